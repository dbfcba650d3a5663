"""Pictures as tensors for networks, without resizing or cropping, and features as arrays for the cache."""

from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hggt_data.io.images import Pixels


def as_images(pixels: Pixels, device: torch.device | str = "cpu") -> Tensor:
    """A picture, uint8 (H, W, 3), as float32 (1, 3, H, W) in [0, 1] with the channels last in memory."""
    return levels_8bit(pixels, device) / 255


def levels_8bit(pixels: Pixels, device: torch.device | str = "cpu") -> Tensor:
    """The same in [0, 255], for callers that divide by another number."""
    # A copy, as pixels may be read-only or part of a larger picture.
    return torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None].float()  # (1, 3, H, W)


def pack_layers(name: str, layers: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors (1, C, h, w) as arrays (h, w, C) under `name` and their number."""
    return {
        f"{name}{number}": np.ascontiguousarray(layer[0].permute(1, 2, 0).cpu().numpy())  # (h, w, C)
        for number, layer in enumerate(layers)
    }


def unpack_layers(name: str, arrays: Mapping[str, NDArray[Any]], device: str) -> list[Tensor]:
    """The tensors that `pack_layers` packed, with the channels last in memory."""
    names = takewhile(arrays.__contains__, (f"{name}{number}" for number in count()))
    return [torch.from_numpy(arrays[name]).to(device).permute(2, 0, 1)[None] for name in names]  # (1, C, h, w)
