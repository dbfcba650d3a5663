"""A pool that mixes training pairs of several batches, because a batch shares some choices of its degradation."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hggt_models.degradation.random_source import RandomSource

Pairs = Mapping[str, Tensor]


class PairPool:
    """Exchanges each batch for one drawn at random from `size` pairs, which the new pairs then replace.

    Until the pool is full it stores the pairs and returns each batch unchanged; so does a pool of size 0 always. Pairs
    stay on their device, and images of 8-bit levels are uint8, a quarter of the memory of float32.

    Source: official `models/ours_posneggt_model.py`, `_dequeue_and_enqueue`, which shuffles float32 copies of the whole
    pool in each step. Drawing without replacement is equivalent.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._filled = self._kept_filled = 0
        self._pairs: dict[str, Tensor] = {}
        self._replaced: list[tuple[Tensor, Pairs]] = []  # positions and pairs, to undo exchanges

    def exchange(self, pairs: Pairs, source: RandomSource) -> Pairs:
        """Exchange a batch, tensors (N, ...) of the same names, shapes and dtypes in every call, for one as large."""
        if not self._size:
            return pairs
        count = len(next(iter(pairs.values())))
        if not self._pairs:
            self._pairs = {name: value.new_empty((self._size, *value.shape[1:])) for name, value in pairs.items()}
        free = min(count, self._size - self._filled)
        if free:
            for name, value in pairs.items():
                self._pairs[name][self._filled : self._filled + free] = value[:free]
            self._filled += free
            return pairs
        device = next(iter(pairs.values())).device
        positions = source.permutation(self._size)[:count].to(device, non_blocking=True)
        drawn = {name: value[positions] for name, value in self._pairs.items()}
        self._replaced.append((positions, drawn))
        for name, value in pairs.items():
            self._pairs[name][positions] = value
        return drawn

    def keep(self) -> None:
        """Remember the pool as it is now, for `undo`."""
        self._replaced.clear()
        self._kept_filled = self._filled

    def undo(self) -> None:
        """Undo all exchanges since `keep`."""
        for positions, drawn in reversed(self._replaced):
            for name, value in drawn.items():
                self._pairs[name][positions] = value
        self._filled = self._kept_filled

    def state_dict(self) -> dict[str, Tensor]:
        """All pairs in the pool."""
        return {name: value[: self._filled] for name, value in self._pairs.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device | str = "cpu") -> None:
        """Resume from a `state_dict`; pairs that exceed the size are left out."""
        self._pairs, self._filled = {}, 0
        for name, value in state.items():
            self._filled = min(len(value), self._size)
            self._pairs[name] = torch.empty((self._size, *value.shape[1:]), dtype=value.dtype, device=device)
            self._pairs[name][: self._filled] = value[: self._filled].to(device)
