"""From pixels to what networks take, and nothing more: no resizing, no crop."""

import torch
from torch import Tensor

from hggt_data.images import Pixels


def as_images(pixels: Pixels, device: torch.device | str = "cpu") -> Tensor:
    """A picture, uint8 (H, W, 3), as float32 (1, 3, H, W) in [0, 1] with the channels last in memory."""
    return levels_8bit(pixels, device) / 255


def levels_8bit(pixels: Pixels, device: torch.device | str = "cpu") -> Tensor:
    """The same with the values that the pixels have, 0 to 255, for those who divide by another number."""
    # A copy, as pixels may be read-only, or a part of a larger picture.
    return torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None].float()  # (1, 3, H, W)
