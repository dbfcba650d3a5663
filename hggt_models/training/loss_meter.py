"""Means of losses over iterations and processes, summed on the device so that no step has to wait for it."""

import math
from typing import Any

import torch
from torch import Tensor

from hggt_data.errors import HggtError
from hggt_models.runtime import Runtime

_DIVERGED = 10  # times the lowest mean so far
_WINDOW = 100  # iterations of such a mean: a single easy batch would set a bound that no other batch can meet
_LATEST = 10  # iterations whose mean is compared with it, and with that of the first as many
_SMALL = 0.02  # a pixel loss that may be that of a few dark pictures; a start below it counts as this
_GREY = 0.5  # no picture is farther than this from plain grey: an output that is worse, after it was better, is ruined
_WATCHED = ("pixel", "perceptual", "artifact_map", "adversarial")  # losses that cannot be negative


class DivergedError(HggtError, ArithmeticError):
    """A loss became NaN or infinite, or a run diverged."""


class LossMeter:
    """Sums losses between two log lines, and detects from one of them whether a run diverges.

    That one is the pixel loss, which has the weight `pixel_weight`; or the first other loss if this is 0. A run that
    `starts_trained` may be ruined within ten iterations, so its first iteration is what the others are compared with.
    """

    def __init__(self, pixel_weight: float, *, starts_trained: bool = False) -> None:
        self._num_first = 1 if starts_trained else _LATEST
        self._has_pixel = pixel_weight > 0
        self._weight = pixel_weight or 1.0
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._num_watched = 0
        self._recent: Tensor | None = None  # the watched loss of the last iterations
        self._lowest: Tensor | None = None
        self._start: Tensor | None = None  # its mean over the first iterations

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add the losses of one iteration: scalars, under the same names each time."""
        if not self._count:
            self._sums = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in losses.items()}
        for name, value in losses.items():
            self._sums[name] += value
        self._count += 1
        self._watch(losses[self._watched])

    @property
    def _watched(self) -> str:
        return next(name for name in _WATCHED if name in self._sums)

    def _watch(self, loss: Tensor) -> None:
        """Update the lowest mean after each whole window, whenever the run logs or saves."""
        if self._recent is None or self._lowest is None:
            self._recent = loss.new_zeros(_WINDOW, dtype=torch.float64)
            self._lowest = loss.new_full((), math.inf, dtype=torch.float64)
            self._start = self._lowest.clone()
        self._recent[self._num_watched % _WINDOW] = loss
        self._num_watched += 1
        if self._num_watched == self._num_first:
            self._start = self._recent[: self._num_first].mean()
        if self._num_watched % _WINDOW == 0:
            self._lowest = torch.minimum(self._lowest, self._recent.mean())

    def means(self, runtime: Runtime) -> dict[str, float]:
        """The means since the last `restart`, over all processes, which call this together; waits for the device.

        DivergedError if a loss is NaN or infinite, or the watched one is many times what it was.
        """
        if not self._count:
            return {}
        assert self._recent is not None
        assert self._lowest is not None
        assert self._start is not None
        latest = self._recent.roll(-self._num_watched)[-_LATEST:].mean()
        *values, now, lowest, start = runtime.mean(
            torch.stack([*(value / self._count for value in self._sums.values()), latest, self._lowest, self._start])
        ).tolist()
        means = dict(zip(self._sums, values, strict=True))
        faults = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
        if faults:
            raise DivergedError(f"losses became NaN or infinite ({', '.join(faults)})")
        if self._has_pixel:
            lowest = min(lowest, max(start, _SMALL * self._weight))
        is_worse_than_grey = self._has_pixel and now > _GREY * self._weight and now > 2 * lowest
        if now > _DIVERGED * lowest or is_worse_than_grey:
            before, after = lowest / self._weight, now / self._weight
            raise DivergedError(f"the mean {self._watched} loss has grown from {before:.4g} to {after:.4g}")
        return means

    def restart(self) -> None:
        """Start new means."""
        self._sums, self._count = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume."""
        return {
            "sums": self._sums,
            "count": self._count,
            "num_first": self._num_first,
            "num_judged": self._num_watched,
            "recent": self._recent,
            "lowest": self._lowest,
            "start": self._start,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Resume from a `state_dict`."""
        self._sums = {name: value.to(device, copy=True) for name, value in state["sums"].items()}
        self._count, self._num_first, self._num_watched = (state[name] for name in ("count", "num_first", "num_judged"))
        if self._num_watched:
            names = ("recent", "lowest", "start")
            self._recent, self._lowest, self._start = (state[name].to(device, copy=True) for name in names)
