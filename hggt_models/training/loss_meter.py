"""Means of losses over iterations and processes, summed on the device so that no step waits for it."""

import math
from typing import Any

import torch
from torch import Tensor

from hggt_data.errors import HggtError
from hggt_models.runtime import Runtime

_DIVERGED = 10  # times the lowest mean so far
_WINDOW = 100  # iterations that such a mean is over: one easy batch would set a mark that no other can meet
_LATEST = 10  # iterations whose mean is compared with it
_JUDGED = ("pixel", "perceptual", "artifact_map", "adversarial")  # none can fall below 0


class DivergedError(HggtError, ArithmeticError):
    """The losses are no numbers any more, or have grown beyond all reason."""


class LossMeter:
    """Adds up losses until they are told, and judges by one of them whether a run diverges.

    Args:
        pixel_weight: of the pixel loss, by which a run is judged; where it is 0, by the first other loss.
    """

    def __init__(self, pixel_weight: float) -> None:
        self._weight = pixel_weight or 1.0
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._num_judged = 0
        self._recent: Tensor | None = None  # the judged loss of the last iterations
        self._lowest: Tensor | None = None

    def add(self, losses: dict[str, Tensor]) -> None:
        """Take the losses of one iteration into account: scalars, under the same names each time."""
        if not self._count:
            self._sums = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in losses.items()}
        for name, value in losses.items():
            self._sums[name] += value
        self._count += 1
        self._mark(losses[self._judged])

    @property
    def _judged(self) -> str:
        return next(name for name in _JUDGED if name in self._sums)

    def _mark(self, loss: Tensor) -> None:
        """After each whole window, which is the same however often a run is told of or saved."""
        if self._recent is None or self._lowest is None:
            self._recent = loss.new_zeros(_WINDOW, dtype=torch.float64)
            self._lowest = loss.new_full((), math.inf, dtype=torch.float64)
        self._recent[self._num_judged % _WINDOW] = loss
        self._num_judged += 1
        if self._num_judged % _WINDOW == 0:
            self._lowest = torch.minimum(self._lowest, self._recent.mean())

    def means(self, runtime: Runtime) -> dict[str, float]:
        """The means since the last `restart`, over all processes, which call this together. Waits for the device.

        Empty right after a `restart`.

        Raises:
            DivergedError: a loss is no finite number, or one has lately been many times what it was at its lowest.
        """
        if not self._count:
            return {}
        assert self._recent is not None
        assert self._lowest is not None
        latest = self._recent.roll(-self._num_judged)[-_LATEST:].mean()
        *values, now, lowest = runtime.mean(
            torch.stack([*(value / self._count for value in self._sums.values()), latest, self._lowest])
        ).tolist()
        means = dict(zip(self._sums, values, strict=True))
        strange = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
        if strange:
            raise DivergedError(f"the losses are no finite numbers any more ({', '.join(strange)})")
        if now > _DIVERGED * lowest:
            before, after = lowest / self._weight, now / self._weight
            raise DivergedError(f"the mean {self._judged} loss has grown from {before:.4g} to {after:.4g}")
        return means

    def restart(self) -> None:
        """Begin new means after some were told."""
        self._sums, self._count = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "sums": self._sums,
            "count": self._count,
            "num_judged": self._num_judged,
            "recent": self._recent,
            "lowest": self._lowest,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from what `state_dict` gave."""
        self._sums = {name: value.to(device, copy=True) for name, value in state["sums"].items()}
        self._count, self._num_judged = state["count"], state["num_judged"]
        if self._num_judged:
            self._recent, self._lowest = (state[name].to(device, copy=True) for name in ("recent", "lowest"))
