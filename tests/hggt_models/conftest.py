"""Blocks the network, because no test may depend on a download, and finds real weights."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from hggt_data.groups import GroupSource
from hggt_data.loading import open_groups
from hggt_data.schema import LR, PatchGroup


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("network is blocked in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:  # used between processes of this machine
            refuse()
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(scope="session")
def real_generator() -> Path:
    """The published x4 generator of Real-ESRGAN; tests that need it are skipped without it."""
    folder = os.environ.get("HGGT_TEST_WEIGHTS")
    if not folder or not (Path(folder) / "RealESRGAN_x4plus.pth").is_file():
        pytest.skip("set HGGT_TEST_WEIGHTS to a folder with RealESRGAN_x4plus.pth")
    return Path(folder) / "RealESRGAN_x4plus.pth"


@pytest.fixture(scope="session")
def random_alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for TORCH_HOME with seeded random convolutions of AlexNet."""
    import torch

    from hggt_eval.metrics.backbones import empty_network

    generator = torch.Generator().manual_seed(7)
    state: dict[str, Any] = {}
    for key, tensor in empty_network("alexnet").state_dict().items():
        if key.startswith("features."):
            inputs = tensor[0].numel() if tensor.ndim > 1 else 400
            state[key] = torch.randn(tensor.shape, generator=generator) * (2 / inputs) ** 0.5
    folder = tmp_path_factory.mktemp("torch_home")
    (folder / "hub/checkpoints").mkdir(parents=True)
    torch.save(state, folder / "hub/checkpoints/alexnet_features.pth")
    return folder


@pytest.fixture
def alexnet(random_alexnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LPIPS uses the weights of `random_alexnet`."""
    monkeypatch.setenv("TORCH_HOME", str(random_alexnet))


class _LrOfSome(GroupSource):
    """The groups of another source without the LR of the first."""

    def __init__(self, groups: GroupSource) -> None:
        self.location, self.candidates, self.ids, self.split = "some", groups.candidates, groups.ids, groups.split
        self._groups = groups

    def _read_labels(self, index: int) -> PatchGroup:
        return self._groups._read_labels(index)

    def read_bytes(self, index: int, name: str) -> bytes:
        if (index, name) == (0, LR):
            raise KeyError(name)
        return self._groups.read_bytes(index, name)


@pytest.fixture
def lr_of_some(fixtures: Path) -> GroupSource:
    """A test set whose first group has no low-resolution image."""
    return _LrOfSome(open_groups(fixtures / "Test"))
