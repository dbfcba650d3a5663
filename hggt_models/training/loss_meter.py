"""Means of losses over iterations and processes, summed on the device so that no step waits for it."""

import math
from typing import Any

import torch
from torch import Tensor

from hggt_data.errors import HggtError
from hggt_models.runtime import Runtime

_DIVERGED = 10  # times the lowest mean so far
_WINDOW = 100  # iterations that such a mean is over, at least


class DivergedError(HggtError, ArithmeticError):
    """The losses are no numbers any more, or have grown beyond all reason."""


class LossMeter:
    """Adds up losses until they are told.

    Args:
        pixel_weight: of the pixel loss, which tells whether a run diverges; 0 if there is none.
    """

    def __init__(self, pixel_weight: float) -> None:
        self._pixel_weight = pixel_weight
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._pixel_sum, self._pixel_count = 0.0, 0
        self._lowest_pixel = math.inf

    def add(self, losses: dict[str, Tensor]) -> None:
        """Take the losses of one iteration into account: scalars, under the same names each time."""
        if not self._count:
            self._sums = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in losses.items()}
        for name, value in losses.items():
            self._sums[name] += value
        self._count += 1

    def means(self, runtime: Runtime) -> dict[str, float]:
        """The means since the last `restart`, over all processes, which call this together. Waits for the device.

        Empty right after a `restart`.

        Raises:
            DivergedError: a loss is no finite number.
        """
        if not self._count:
            return {}
        values = runtime.mean(torch.stack(list(self._sums.values())) / self._count).tolist()
        means = dict(zip(self._sums, values, strict=True))
        strange = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
        if strange:
            raise DivergedError(f"the losses are no finite numbers any more ({', '.join(strange)})")
        return means

    def restart(self, means: dict[str, float]) -> None:
        """Begin a new mean after one was told.

        Whether a run diverges is judged over many iterations, however often it tells of itself: one easy batch among
        few would set a mark that no other can meet.

        Raises:
            DivergedError: the pixel loss is many times what it was at its lowest.
        """
        count = self._count
        self._sums, self._count = {}, 0
        if not self._pixel_weight:
            return
        self._pixel_sum += count * means["pixel"] / self._pixel_weight
        self._pixel_count += count
        if self._pixel_count < _WINDOW:
            return
        pixel = self._pixel_sum / self._pixel_count
        self._pixel_sum, self._pixel_count = 0.0, 0
        if pixel > _DIVERGED * self._lowest_pixel:
            raise DivergedError(f"the mean pixel loss has grown from {self._lowest_pixel:.4g} to {pixel:.4g}")
        self._lowest_pixel = min(self._lowest_pixel, pixel)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "sums": self._sums,
            "count": self._count,
            "pixel_sum": self._pixel_sum,
            "pixel_count": self._pixel_count,
            "lowest_pixel": self._lowest_pixel,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from what `state_dict` gave."""
        self._sums = {name: value.to(device, copy=True) for name, value in state["sums"].items()}
        self._count, self._lowest_pixel = state["count"], state["lowest_pixel"]
        self._pixel_sum, self._pixel_count = state["pixel_sum"], state["pixel_count"]
