"""Against the `lpips` package; the official numbers are in report/test_files.py."""

from pathlib import Path

import lpips
import pytest
import torch

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_eval.metrics import METRICS
from hggt_eval.metrics.comparer import MetricSettings
from hggt_eval.metrics.lpips import Lpips


@pytest.mark.filterwarnings("ignore::UserWarning")  # the package calls torchvision in an old way
@pytest.mark.parametrize(("name", "net", "backbone"), [("lpips", "alex", "alexnet"), ("lpips-vgg", "vgg", "vgg16")])
def test_lpips_equals_its_package_and_is_zero_for_identical_pictures(
    name: str, net: str, backbone: str, random_weights: Path, pair: tuple[Pixels, Pixels]
) -> None:
    package = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = torch.load(random_weights / f"{backbone}_features.pth", weights_only=True)
    names = {key: f"features.{key.split('.', 2)[2]}" for key in package.state_dict() if key.startswith("net.")}
    package.load_state_dict({key: state[name] for key, name in names.items()}, strict=False)
    tensors = [torch.from_numpy(p[4:-4, 4:-4].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1 for p in pair]
    with torch.inference_mode():
        expected = float(package(*tensors))
    assert expected > 1e-3
    metric = METRICS[name].load(MetricSettings(weights_dir=random_weights))
    assert metric(*pair) == pytest.approx(expected, abs=1e-6)
    assert metric(pair[0], pair[0]) == 0


def test_loading_does_not_change_the_random_state(random_weights: Path, pair: tuple[Pixels, Pixels]) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    metric = Lpips(MetricSettings(border=0, weights_dir=random_weights))
    assert torch.equal(torch.get_rng_state(), before)
    assert metric(pair[0][:31, :31], pair[1][:31, :31]) > 0
    with pytest.raises(ImageError, match="lpips needs 31 x 31 pixels or more"):
        metric(pair[0][:30], pair[1][:30])
