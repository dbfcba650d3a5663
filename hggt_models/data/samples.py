"""Which sample comes when, and how its pictures are cut and turned: all of it follows from the seed and a number.

Samples are numbered from 0 over the whole run. Nothing else decides what a number stands for, so a run needs no state
to go on, and any number of processes can share the work.
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
    """Samples by their number.

    Args:
        length: how many different ones there are; each comes once in every `length` samples, in a new order.
        source_px: side of what is cut from a picture.
        flip, rotate: as in `TrainConfig`.
        seed: of order and choices.
    """

    def __init__(self, length: int, *, source_px: int, flip: bool, rotate: bool, seed: int) -> None:
        self._length = length
        self._source_px = source_px
        self._flip = flip
        self._rotate = rotate
        self._seed = seed

    def __len__(self) -> int:
        return self._length

    def place(self, number: int) -> tuple[int, random.Random]:
        """What a sample's number stands for: a position, and the source of the sample's other random choices."""
        epoch, offset = divmod(number, self._length)
        return int(_order(self._length, self._seed, epoch)[offset]), random.Random(f"{self._seed}/{number}")

    def cut(self, names: Sequence[str], read: Callable[[int], Pixels], rng: random.Random) -> Tensor:
        """Pictures of one size, all cut and turned alike: uint8 (len(names), 3, source_px, source_px).

        Args:
            names: of the pictures, for messages; one that stands in several places is read once.
            read: gives the pixels, uint8 (H, W, 3), of the picture in a place. It is called for one after the other:
                to hold them all takes a quarter longer, since each then lies in memory that is new to the process.
            rng: of the place and the turns.

        Raises:
            ImageError: a picture is smaller, or of another size than the first; or as `read`.
        """
        side = self._source_px
        cut = np.empty((len(names), 3, side, side), np.uint8)
        pixels = read(0)
        height, width = pixels.shape[:2]
        if min(height, width) < side:
            raise ImageError(
                f"{names[0]}: {height} x {width} pixels, less than source_px {side}; leave it out, or pass "
                f"--set source_px={min(height, width)} or less"
            )
        top, left = rng.randint(0, height - side), rng.randint(0, width - side)
        turns = [rng.random() < 0.5 for _ in range(3)]
        for place, name in enumerate(names):
            first = names.index(name)
            if first < place:
                cut[place] = cut[first]
                continue
            if place > 0:
                pixels = read(place)
            if pixels.shape[:2] != (height, width):
                raise ImageError(f"{name}: {pixels.shape[0]} x {pixels.shape[1]} pixels; expected {height} x {width}")
            piece = self._turned(pixels[top : top + side, left : left + side], turns)
            for channel in range(3):  # a mirrored copy of whole pixels, three bytes each, takes ten times as long
                cut[place, channel] = piece[..., channel]
        return torch.from_numpy(cut)

    def _turned(self, pixels: Pixels, turns: Sequence[bool]) -> Pixels:
        mirrored, upended, quarter = turns
        if self._flip and mirrored:
            pixels = pixels[:, ::-1]
        if self._rotate and upended:
            pixels = pixels[::-1]
        if self._rotate and quarter:
            pixels = pixels.transpose(1, 0, 2)
        return pixels


class ShareSampler(Sampler[list[int]]):
    """The sample numbers of one process, a part of a batch at a time, for ever.

    Iteration i of the whole run consists of the samples from i * batch_size on; each process takes a run of them.

    Args:
        batch_size: samples of one iteration, all processes together.
        rank, world: which process this is, of how many.
        parts: in how many parts a process takes its share.
        first_iteration: where to begin.
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


@lru_cache(maxsize=2)  # this pass and, for workers that run ahead, the next
def _order(length: int, seed: int, epoch: int) -> NDArray[Any]:
    return np.random.default_rng([seed, epoch]).permutation(length)
