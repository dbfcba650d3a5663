from pathlib import Path

import pytest
import torch

from hggt_data.images import Pixels
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.precision import full_precision


def test_full_precision_is_put_back() -> None:
    before = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    with torch.autocast("cpu"), full_precision("cpu"):
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined]
        assert not torch.backends.cudnn.allow_tf32  # the older switch can be read
        assert not torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
    assert torch.backends.cudnn.conv.fp32_precision == before  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # what the switch says of Intel GPUs
@pytest.mark.parametrize("name", ["lpips", "dists", "fsim", "vsi", "vif_p", "gmsd", "mdsi"])
def test_another_implementation_of_convolutions_gives_the_same(
    random_weights: Path, pair: tuple[Pixels, Pixels], name: str
) -> None:
    metric = METRICS[name].load(MetricSettings(weights_dir=random_weights))
    assert torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    with torch.backends.mkldnn.flags(enabled=False):
        own = metric(*pair)
    assert metric(*pair) == pytest.approx(own, abs=1e-5)
