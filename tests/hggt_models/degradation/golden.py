"""Results of the official code for pictures computed by a formula; see tests/data/README.md."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN_TENSORS = Path(__file__).parents[2] / "data" / "golden" / "golden_tensors.npz"


def golden(key: str) -> Tensor:
    with np.load(GOLDEN_TENSORS) as tensors:
        return torch.from_numpy(tensors[key])


def waves(height: int, width: int, salt: float = 0.0) -> Tensor:
    """The input of the golden values, float32 (1, 3, height, width) in 0.05 to 0.95."""
    y, x, channel = np.ogrid[:height, :width, :3]
    image = 0.5 + 0.45 * np.sin(0.31 * x + 0.17 * y * (channel + 1) + channel + salt)  # (H, W, 3)
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
