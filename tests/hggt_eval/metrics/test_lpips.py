from pathlib import Path

import lpips
import numpy as np
import pytest
import torch

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels, read_pixels
from hggt_eval.metrics.comparer import MetricSettings
from hggt_eval.metrics.lpips import Lpips


def _package(weights: Path) -> lpips.LPIPS:
    """The package as its users run it, with the same backbone."""
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = torch.load(weights / "alexnet_features.pth", weights_only=True)
    own = network.state_dict()
    names = {key: f"features.{key.split('.', 2)[2]}" for key in own if key.startswith("net.")}
    network.load_state_dict({**own, **{key: state[name] for key, name in names.items()}})
    return network


def _tensor(pixels: Pixels, border: int) -> torch.Tensor:
    height, width = pixels.shape[:2]
    cropped = np.ascontiguousarray(pixels[border : height - border, border : width - border])
    return torch.from_numpy(cropped).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.mark.filterwarnings("ignore::UserWarning")  # the package calls torchvision in an old way
@pytest.mark.parametrize("border", [0, 4])
def test_equals_the_package(random_weights: Path, pair: tuple[Pixels, Pixels], border: int) -> None:
    with torch.inference_mode():
        expected = float(_package(random_weights)(*(_tensor(pixels, border) for pixels in pair)))
    metric = Lpips(MetricSettings(border, weights_dir=random_weights))
    assert expected > 1e-3
    assert metric(*pair) == pytest.approx(expected, abs=1e-6)


def test_identical_pictures_are_zero(random_weights: Path, pair: tuple[Pixels, Pixels]) -> None:
    assert Lpips(MetricSettings(weights_dir=random_weights))(pair[0], pair[0]) == 0


def test_loading_leaves_the_random_state_alone(random_weights: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    Lpips(MetricSettings(weights_dir=random_weights))
    assert torch.equal(torch.get_rng_state(), before)


def test_small_pictures_are_an_error(random_weights: Path, pair: tuple[Pixels, Pixels]) -> None:
    metric = Lpips(MetricSettings(border=0, weights_dir=random_weights))
    assert metric(pair[0][:31, :31], pair[1][:31, :31]) > 0
    with pytest.raises(ImageError, match="lpips needs 31 x 31 pixels or more"):
        metric(pair[0][:30], pair[1][:30])


def test_real_weights_give_the_official_value(real_weights: Path, fixtures: Path) -> None:
    metric = Lpips(MetricSettings(weights_dir=real_weights))
    restored = read_pixels(fixtures / "TestLarge/restored/bicubic/coffee-0-120_bicubic.png")
    positive = read_pixels(fixtures / "TestLarge/GT/images/01/coffee-0-120_01.png")
    assert metric(restored, positive) == pytest.approx(0.5171, abs=1e-4)  # golden/lpips_fixtures_large_bicubic.txt
