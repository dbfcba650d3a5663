"""Real pictures, as tensors."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hggt_data.io.images import read_pixels


@pytest.fixture(scope="session")
def crops(fixtures: Path) -> Tensor:
    """Six real crops, (6, 3, 160, 160) in [0, 1]."""
    paths = sorted((fixtures / "Test/GT/Test-mini/images/original").glob("*.png"))
    return torch.stack([torch.from_numpy(read_pixels(path)).permute(2, 0, 1).float() / 255 for path in paths])
