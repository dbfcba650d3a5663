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
# An output farther from the target than a picture of one colour is ruined if it was nearer before: so many times nearer
# than now at the start or in the lowest mean, and by more standard errors than chance explains; or if it is farther
# than any picture could be, which is a pixel loss of 1.
_NEARER_AT_START, _NEARER_LATER, _STANDARD_ERRORS = 1.25, 2, 4
_WATCHED = ("pixel", "perceptual", "artifact_map", "adversarial")  # losses that cannot be negative


class DivergedError(HggtError, ArithmeticError):
    """A loss became NaN or infinite, or a run diverged."""


def blank_loss(targets: Tensor) -> Tensor:
    """The pixel loss of pictures of one colour each, the mean of the target's, for targets (N, 3, H, W)."""
    return (targets - targets.mean((2, 3), keepdim=True)).abs().mean()


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
        self._recent = torch.empty(2, 0)  # the watched loss of the last iterations, and that of blank pictures
        self._start = self._lowest = torch.tensor(math.inf)  # its mean over the first iterations; the lowest one

    def add(self, losses: dict[str, Tensor], blank: Tensor) -> None:
        """Add the losses of one iteration: scalars, under the same names each time; and `blank_loss` of its targets."""
        self._sums = {name: value.double() + self._sums.get(name, 0) for name, value in losses.items()}
        self._count += 1
        latest = torch.stack([losses[self._watched], self._weight * blank])[:, None].double()
        self._recent = torch.cat([self._recent.to(latest, non_blocking=True), latest], 1)[:, -_WINDOW:]
        self._num_watched += 1
        if self._num_watched == self._num_first:
            self._start = self._recent[0].mean()
        if self._num_watched % _WINDOW == 0:  # whenever the run logs or saves
            lowest = self._lowest.to(latest, non_blocking=True)
            self._lowest = torch.minimum(lowest, self._recent[0].mean())

    @property
    def _watched(self) -> str:
        return next(name for name in _WATCHED if name in self._sums)

    def keep(self) -> None:
        """Remember the meter as it is now, for `undo`."""
        self._kept = self.state_dict()

    def undo(self) -> None:
        """Undo all since `keep`."""
        self._set(self._kept)

    def means(self, runtime: Runtime) -> dict[str, float]:
        """The means since the last `restart`, over all processes, which call this together; waits for the device.

        DivergedError if a loss is NaN or infinite, or the watched one is many times what it was.
        """
        if not self._count:
            return {}
        latest, blanks = self._recent[:, -_LATEST:]
        watched = torch.stack([latest.mean(), latest.var(correction=0), blanks.mean(), self._lowest.to(latest)])
        *values, now, variance, blank, lowest, start = runtime.mean(
            torch.stack([*(value / self._count for value in self._sums.values()), *watched, self._start.to(latest)])
        ).tolist()
        means = dict(zip(self._sums, values, strict=True))
        faults = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
        if faults:
            raise DivergedError(f"losses became NaN or infinite ({', '.join(faults)})")
        is_ruined = False
        if self._has_pixel:
            start = max(start, _SMALL * self._weight)
            lowest = min(lowest, start)
            # Relative, because a loss that grows varies more; so its own growth does not hide it.
            error = math.sqrt(variance * (1 / _LATEST + 1 / self._num_first)) / now if now else 0.0
            was_nearer = now > _NEARER_AT_START * start or now > _NEARER_LATER * lowest
            is_by_chance = now <= lowest * math.exp(_STANDARD_ERRORS * error)
            is_ruined = was_nearer and (now > self._weight or (now > blank and not is_by_chance))
            is_ruined &= self._num_watched >= self._num_first + _LATEST
        if is_ruined or now > _DIVERGED * lowest:
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
        moved = {name: value.to(device, copy=True) for name, value in state.items() if isinstance(value, Tensor)}
        self._set(
            {**state, **moved, "sums": {name: value.to(device, copy=True) for name, value in state["sums"].items()}}
        )

    def _set(self, state: dict[str, Any]) -> None:
        self._sums, self._count, self._num_first = state["sums"], state["count"], state["num_first"]
        self._num_watched, self._recent = state["num_judged"], state["recent"]
        self._lowest, self._start = state["lowest"], state["start"]
