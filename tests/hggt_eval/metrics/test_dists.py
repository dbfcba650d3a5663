from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import torchvision
from torchmetrics.functional.image import dists as torchmetrics_dists

from hggt_data.io.images import Pixels, read_pixels
from hggt_eval.metrics.comparer import MetricSettings
from hggt_eval.metrics.dists import Dists


@pytest.fixture(scope="module")
def package_network(random_weights: Path) -> torchmetrics_dists.DISTSNetwork:
    """torchmetrics' own network around torchvision's own VGG16, with the random convolutions."""
    vgg16 = torchvision.models.vgg16(weights=None, init_weights=False)
    vgg16.load_state_dict(torch.load(random_weights / "vgg16_features.pth", weights_only=True), strict=False)
    with mock.patch.object(torchmetrics_dists, "vgg16", return_value=vgg16):
        return torchmetrics_dists.DISTSNetwork().eval()


def _tensor(pixels: Pixels, border: int) -> torch.Tensor:
    height, width = pixels.shape[:2]
    cropped = np.ascontiguousarray(pixels[border : height - border, border : width - border])
    return torch.from_numpy(cropped).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("border", [0, 4])
def test_equals_torchmetrics(
    package_network: torchmetrics_dists.DISTSNetwork, random_weights: Path, pair: tuple[Pixels, Pixels], border: int
) -> None:
    with torch.inference_mode():
        expected = float(package_network(*(_tensor(pixels, border) for pixels in pair)))
    metric = Dists(MetricSettings(border, weights_dir=random_weights))
    assert expected > 1e-3
    assert metric(*pair) == pytest.approx(expected, abs=1e-5)


def test_flat_pictures_equal_torchmetrics(
    package_network: torchmetrics_dists.DISTSNetwork, random_weights: Path
) -> None:
    flat = [np.full((40, 48, 3), value, np.uint8) for value in (90, 140)]
    with torch.inference_mode():
        expected = float(package_network(*(_tensor(pixels, 0) for pixels in flat)))
    metric = Dists(MetricSettings(border=0, weights_dir=random_weights))
    assert metric(*flat) == pytest.approx(expected, abs=1e-4)


def test_identical_pictures_are_zero(random_weights: Path, pair: tuple[Pixels, Pixels]) -> None:
    assert Dists(MetricSettings(weights_dir=random_weights))(pair[0], pair[0]) == pytest.approx(0, abs=1e-6)


def test_torchmetrics_constructor_is_not_called_because_it_downloads(
    random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("DISTSNetwork() loads torchvision's whole file")

    monkeypatch.setattr(torchmetrics_dists.DISTSNetwork, "__init__", refuse)
    Dists(MetricSettings(weights_dir=random_weights))


def test_real_weights_give_the_official_value(real_weights: Path, fixtures: Path) -> None:
    metric = Dists(MetricSettings(weights_dir=real_weights))
    restored = read_pixels(fixtures / "TestLarge/restored/bicubic/coffee-0-120_bicubic.png")
    positive = read_pixels(fixtures / "TestLarge/GT/images/01/coffee-0-120_01.png")
    assert metric(restored, positive) == pytest.approx(0.2709, abs=1e-4)  # golden/dists_fixtures_large_bicubic.txt
