"""Against torchmetrics' own network; the official numbers are in report/test_files.py."""

from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import torchvision
from torchmetrics.functional.image import dists as torchmetrics_dists

from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import AnyComparer, MetricSettings
from hggt_eval.metrics.dists import Dists


@pytest.fixture(scope="module")
def package_network(random_weights: Path) -> torchmetrics_dists.DISTSNetwork:
    """torchmetrics' network with torchvision's VGG16 and the random convolutions."""
    vgg16 = torchvision.models.vgg16(weights=None, init_weights=False)
    vgg16.load_state_dict(torch.load(random_weights / "vgg16_features.pth", weights_only=True), strict=False)
    with mock.patch.object(torchmetrics_dists, "vgg16", return_value=vgg16):
        return torchmetrics_dists.DISTSNetwork().eval()


def test_dists_equals_torchmetrics_and_is_zero_for_identical_pictures(
    package_network: torchmetrics_dists.DISTSNetwork, networks: Mapping[str, AnyComparer], pair: tuple[Pixels, Pixels]
) -> None:
    flat = (np.full((40, 48, 3), 90, np.uint8), np.full((40, 48, 3), 140, np.uint8))
    for a, b in (pair, flat):
        tensors = [torch.from_numpy(p[4:-4, 4:-4].copy()).permute(2, 0, 1)[None].float() / 255 for p in (a, b)]
        with torch.inference_mode():
            expected = float(package_network(*tensors))
        assert expected > 1e-3
        assert networks["dists"](a, b) == pytest.approx(expected, abs=1e-5 if a is pair[0] else 1e-4)
    assert networks["dists"](pair[0], pair[0]) == pytest.approx(0, abs=1e-6)


def test_the_constructor_of_torchmetrics_which_downloads_is_not_called(
    random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("DISTSNetwork() loads torchvision's whole file")

    monkeypatch.setattr(torchmetrics_dists.DISTSNetwork, "__init__", refuse)
    Dists(MetricSettings(weights_dir=random_weights))
