"""From pixels to what networks take, and nothing more: no resizing, no crop."""

from collections.abc import Iterator, Mapping, Sequence
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
    """The same with the values that the pixels have, 0 to 255, for those who divide by another number."""
    # A copy, as pixels may be read-only, or a part of a larger picture.
    return torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None].float()  # (1, 3, H, W)


def pack_layers(name: str, layers: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors (1, C, h, w) as float32 arrays (h, w, C), called `name` and their number."""
    return {
        f"{name}{number}": np.ascontiguousarray(layer[0].permute(1, 2, 0).cpu().numpy())  # (h, w, C)
        for number, layer in enumerate(layers)
    }


def unpack_layers(name: str, arrays: Mapping[str, NDArray[Any]], device: str) -> list[Tensor]:
    """The tensors (1, C, h, w) that `pack_layers` packed, with the channels last in memory."""

    def found() -> Iterator[NDArray[Any]]:
        number = 0
        while f"{name}{number}" in arrays:
            yield arrays[f"{name}{number}"]
            number += 1

    return [torch.from_numpy(array).to(device).permute(2, 0, 1)[None] for array in found()]  # (1, C, h, w)
