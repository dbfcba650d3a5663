"""Numbers do not depend on the device: whatever algorithm it takes for convolutions, they stay within 1e-4."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hggt_data.io.images import Pixels, read_pixels
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.device import full_precision
from tests.hggt_eval.convolutions import ALGORITHMS, ConvolutionsBy

SAFE = [name for name in ALGORITHMS if name != "tf32"]
WITH_CONVOLUTIONS = ["lpips", "dists", "fsim", "vsi", "haarpsi", "vif_p", "dss", "srsim", "gmsd", "mdsi"]


def test_full_precision_is_put_back() -> None:
    before = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    with torch.autocast("cpu"), full_precision("cpu"):
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined]
        assert not torch.backends.cudnn.allow_tf32  # the older switch can be read
        assert not torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
    assert torch.backends.cudnn.conv.fp32_precision == before  # type: ignore[attr-defined]


class TestEmulation:
    """The other algorithms are convolutions, and as far from the exact value as they are known to be."""

    @pytest.mark.parametrize("algorithm", SAFE)
    @pytest.mark.parametrize(("side", "stride", "padding"), [(3, 1, 1), (11, 4, 2), (5, 1, 2), (1, 1, 0)])
    def test_an_algorithm_is_a_convolution(self, algorithm: str, side: int, stride: int, padding: int) -> None:
        generator = torch.Generator().manual_seed(1)
        pictures, weight = (
            torch.randn(shape, generator=generator) for shape in ((2, 24, 37, 29), (16, 24, side, side))
        )
        exact = torch.conv2d(pictures.double(), weight.double(), stride=stride, padding=padding)
        with ConvolutionsBy(algorithm) as mode:
            found = torch.nn.functional.conv2d(pictures, weight, None, stride, padding)
        assert mode.num_calls == (algorithm != "winograd" or side == 3)
        assert (found - exact).abs().max() < 1e-5 * exact.abs().max()

    def test_tf32_is_far_enough_to_be_seen(self, pair: tuple[Pixels, Pixels]) -> None:
        metric = METRICS["vif_p"].load(MetricSettings())
        with ConvolutionsBy("tf32"):
            coarse = metric(*pair)
        assert abs(coarse - metric(*pair)) > 1e-4


@pytest.mark.parametrize("algorithm", SAFE)
@pytest.mark.parametrize("name", WITH_CONVOLUTIONS)
def test_another_algorithm_gives_the_same(
    random_weights: Path, pair: tuple[Pixels, Pixels], name: str, algorithm: str
) -> None:
    metric = METRICS[name].load(MetricSettings(weights_dir=random_weights))
    with ConvolutionsBy(algorithm) as mode:
        found = metric(*pair)
    assert mode.num_calls > 0 or algorithm == "winograd"
    assert metric(*pair) == pytest.approx(found, abs=2e-5)


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_another_algorithm_gives_the_same_with_real_weights(real_weights: Path, fixtures: Path, name: str) -> None:
    metric = METRICS[name].load(MetricSettings(weights_dir=real_weights))
    names = ("restored/bicubic/coffee-0-120_bicubic.png", "GT/images/01/coffee-0-120_01.png")
    restored, positive = (read_pixels(fixtures / "TestLarge" / path)[100:164, 100:164] for path in names)
    own = metric(restored, positive)
    for algorithm in SAFE:
        with ConvolutionsBy(algorithm) as mode:
            assert metric(restored, positive) == pytest.approx(own, abs=1e-6)
        assert mode.num_calls > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", METRICS)
def test_same_on_cuda(random_weights: Path, pair: tuple[Pixels, Pixels], name: str) -> None:
    large = tuple(np.tile(pixels, (3, 3, 1)) for pixels in pair)  # multi-scale metrics need some room
    cpu, cuda = (
        METRICS[name].load(MetricSettings(device=device, weights_dir=random_weights)) for device in ("cpu", "cuda")
    )
    assert cuda(*large) == pytest.approx(cpu(*large), abs=1e-4)


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
