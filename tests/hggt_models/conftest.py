"""A blocked network, since no test may depend on a download, and real weights where they are at hand."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("network is blocked in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:  # by which processes of this machine talk
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
