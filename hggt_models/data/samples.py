"""The order of samples, and how their pictures are cropped and flipped, all determined by the seed and a number.

Samples are numbered from 0 over the whole run. So the data needs no state to resume, and any number of processes can
share the work.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels

Sample = Mapping[str, Tensor]


class SampleDataset(Dataset[Sample]):
    """Samples by their number: each of `length` groups or pictures once in every `length` samples, in a new order.

    See `TrainConfig` for the other arguments.
    """

    def __init__(self, length: int, *, source_px: int, flip: bool, rotate: bool, seed: int) -> None:
        self._length = length
        self._source_px = source_px
        self._flip = flip
        self._rotate = rotate
        self._seed = seed

    def __len__(self) -> int:
        return self._length

    def locate(self, number: int) -> tuple[int, random.Random]:
        """The group or picture of a sample, and the random source of its other choices."""
        if number < 0:
            raise IndexError(f"sample {number}; the first one has number 0, and there is no last one")
        epoch, offset = divmod(number, self._length)
        return int(_order(self._length, self._seed, epoch)[offset]), random.Random(f"{self._seed}/{number}")

    def cut(self, names: Sequence[str], read: Callable[[int], Pixels], rng: random.Random) -> Tensor:
        """Pictures of equal size, all cropped and flipped alike: uint8 (len(names), 3, source_px, source_px).

        A name that occurs several times is read once. `read` gives the pixels of the picture at an index, one after the
        other: to hold them all takes a quarter longer, because each then needs memory that is new to the process.
        """
        side = self._source_px
        cut = np.empty((len(names), 3, side, side), np.uint8)
        pixels = read(0)
        height, width = pixels.shape[:2]
        if min(height, width) < side:
            raise ImageError(
                f"{names[0]}: {height} x {width} pixels, less than source_px {side}; remove it, or set source_px to "
                f"{min(height, width)} or less"
            )
        top, left = rng.randint(0, height - side), rng.randint(0, width - side)
        flips = [rng.random() < 0.5 for _ in range(3)]
        for index, name in enumerate(names):
            first = names.index(name)
            if first < index:
                cut[index] = cut[first]
                continue
            if index > 0:
                pixels = read(index)
            if pixels.shape[:2] != (height, width):
                raise ImageError(f"{name}: {pixels.shape[0]} x {pixels.shape[1]} pixels; expected {height} x {width}")
            piece = self._flipped(pixels[top : top + side, left : left + side], flips)
            for channel in range(3):  # to copy mirrored pixels of three bytes takes ten times as long
                cut[index, channel] = piece[..., channel]
        return torch.from_numpy(cut)

    def _flipped(self, pixels: Pixels, flips: Sequence[bool]) -> Pixels:
        left_right, top_bottom, transpose = flips
        if self._flip and left_right:
            pixels = pixels[:, ::-1]
        if self._rotate and top_bottom:
            pixels = pixels[::-1]
        if self._rotate and transpose:
            pixels = pixels.transpose(1, 0, 2)
        return pixels


class ShareSampler(Sampler[list[int]]):
    """The sample numbers of one process, endlessly, in lists that are each one of `parts` of its share of a batch.

    Iteration i of the whole run has `batch_size` samples from number i * batch_size on; each process takes consecutive
    ones of them.
    """

    def __init__(
        self, batch_size: int, *, rank: int = 0, world: int = 1, parts: int = 1, first_iteration: int = 0
    ) -> None:
        self._batch_size = batch_size
        self._rank = rank
        self._world = world
        self._parts = parts
        self._first = first_iteration

    def __iter__(self) -> Iterator[list[int]]:
        share = self._batch_size // self._world
        size = share // self._parts
        iteration = self._first
        while True:
            start = iteration * self._batch_size + self._rank * share
            for part in range(self._parts):
                yield list(range(start + part * size, start + (part + 1) * size))
            iteration += 1


@lru_cache(maxsize=2)  # this epoch and, for workers that are ahead, the next
def _order(length: int, seed: int, epoch: int) -> NDArray[Any]:
    return np.random.default_rng([seed, epoch]).permutation(length)
