"""Shared fixtures: pictures, weights, and a blocked network, because no test may depend on a download."""

import io
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hggt_data.io.images import Pixels
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.comparer import AnyComparer

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def golden() -> Path:
    return DATA / "golden"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("network is blocked in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch_home")))


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """A folder with the ImageNet convolutions; tests that need it are skipped without it."""
    folder = os.environ.get("HGGT_TEST_WEIGHTS")
    if not folder:
        pytest.skip("set HGGT_TEST_WEIGHTS to a folder with alexnet_features.pth and vgg16_features.pth")
    return Path(folder)


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with seeded random convolutions, scaled so that activations keep a natural magnitude."""
    import torch

    from hggt_eval.metrics.backbones import empty_network

    folder = tmp_path_factory.mktemp("random_weights")
    for name in ("alexnet", "vgg16"):
        generator = torch.Generator().manual_seed(7)
        state: dict[str, Any] = {}
        for key, tensor in empty_network(name).state_dict().items():
            if key.startswith("features."):
                inputs = tensor[0].numel() if tensor.ndim > 1 else 400
                state[key] = torch.randn(tensor.shape, generator=generator) * (2 / inputs) ** 0.5
        torch.save(state, folder / f"{name}_features.pth")
    return folder


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with seeded random weights of Inception v3 in the published file's form and under its name."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Empty(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: object, **__: object) -> None:
            """Keep the shapes only; the package would download weights or read a file."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    generator = torch.Generator().manual_seed(7)
    state = {
        key: torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5 if value.ndim == 4 else value
        for key, value in Empty("inception", ["2048"], nothing).state_dict().items()
    }
    folder = tmp_path_factory.mktemp("inception")
    torch.save(state, folder / "pt_inception-2015-12-05-6726825d.pth")
    return folder


@pytest.fixture(scope="session")
def networks(random_weights: Path) -> Mapping[str, AnyComparer]:
    """LPIPS and DISTS with random weights."""
    return {name: METRICS[name].load(MetricSettings(weights_dir=random_weights)) for name in ("lpips", "dists")}


@pytest.fixture(scope="session")
def pair() -> tuple[Pixels, Pixels]:
    """Two different pictures of 72 x 60 with structure: waves, and the same waves with noise."""
    y, x = np.mgrid[:72, :60]
    waves = np.stack([127 + 90 * np.sin(0.31 * x + 0.17 * y * (k + 1) + k) for k in range(3)], axis=-1)
    noise = np.random.default_rng(3).normal(0, 12, waves.shape)
    return waves.astype(np.uint8), np.clip(waves + noise, 0, 255).astype(np.uint8)
