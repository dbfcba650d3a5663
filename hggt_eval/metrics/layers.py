"""Layers of a network as arrays for a file, and back to the bit, in the layout that sums run over in the same order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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
