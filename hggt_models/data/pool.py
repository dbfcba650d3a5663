"""A pool of training pairs that wait and mix, because a whole batch shares some of its degradation's choices."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hggt_models.degradation.random_source import RandomSource

Pairs = Mapping[str, Tensor]


class PairPool:
    """Takes a batch of pairs and gives one back, made of pairs drawn from all that wait.

    Pairs are kept as they come, on their device; whole 8-bit levels come as uint8, which takes a quarter of the memory.
    The pool is filled first, and until then gives each batch back unchanged. Then the drawn pairs go out, and the new
    ones take their places.

    Args:
        size: how many pairs wait; 0 gives each batch back unchanged.

    Source: official `models/ours_posneggt_model.py`, `_dequeue_and_enqueue`, which shuffles float32 copies of the whole
    pool in each step. Drawing without replacement is the same.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._filled = 0
        self._waiting: dict[str, Tensor] = {}

    def exchange(self, pairs: Pairs, source: RandomSource) -> Pairs:
        """One batch in, one batch of the same size out.

        Args:
            pairs: tensors (N, ...) of equal N; the same names, shapes and number formats in every call.
            source: of the choice.
        """
        if not self._size:
            return pairs
        count = len(next(iter(pairs.values())))
        if not self._waiting:
            self._waiting = {name: value.new_empty((self._size, *value.shape[1:])) for name, value in pairs.items()}
        free = min(count, self._size - self._filled)
        if free:
            for name, value in pairs.items():
                self._waiting[name][self._filled : self._filled + free] = value[:free]
            self._filled += free
            return pairs
        device = next(iter(pairs.values())).device
        places = source.permutation(self._size)[:count].to(device, non_blocking=True)
        drawn = {name: value[places] for name, value in self._waiting.items()}
        for name, value in pairs.items():
            self._waiting[name][places] = value
        return drawn

    def state_dict(self) -> dict[str, Tensor]:
        """All pairs that wait."""
        return {name: value[: self._filled] for name, value in self._waiting.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device | str = "cpu") -> None:
        """Go on with the pairs of another pool's `state_dict`; those that do not fit in are left out."""
        self._waiting, self._filled = {}, 0
        for name, value in state.items():
            self._filled = min(len(value), self._size)
            self._waiting[name] = torch.empty((self._size, *value.shape[1:]), dtype=value.dtype, device=device)
            self._waiting[name][: self._filled] = value[: self._filled].to(device)
