"""What a run reports while it trains: losses, speed, validation and warnings. Only the leading process has a log."""

import math
import resource
import sys
import time
from collections.abc import Mapping

import torch

from hggt_models.config.train import TrainConfig
from hggt_models.memory import DeviceMemoryError
from hggt_models.training.optimizers import learning_rate
from hggt_models.training.preference import CHOSEN_DISTANCE, START_DISTANCE
from hggt_models.training.run_log import RunLog
from hggt_models.training.run_state import RunState
from hggt_models.training.validation import Validated

_FARTHER = 1.05  # by so much may the distance to the chosen pictures grow before a run warns


class Progress:
    """Reports on a run.

    Args:
        log: where to; None in all processes except the leading one, which then report nothing.
        config: of the run.
        state: of the run.
        device: whose memory is reported.
    """

    def __init__(self, log: RunLog | None, config: TrainConfig, state: RunState, device: torch.device) -> None:
        self._log, self._config, self._state, self._device = log, config, state, device
        self._is_dominated = self._moves_away = False
        self.restart_clock()

    def restart_clock(self) -> None:
        """Measure the speed from now on: neither validation nor saving counts."""
        self._since, self._from = time.perf_counter(), self._state.done
        self._waited_s = self._state.loader.waited_s

    def advance(self) -> None:
        """Count an iteration on the progress bar."""
        if self._log:
            self._log.advance()

    def note(self, text: str) -> None:
        """Print a line."""
        if self._log:
            self._log.note(text)

    def note_smaller_tile(self, error: DeviceMemoryError, tile: int) -> None:
        """Report that a validated picture did not fit into memory."""
        self.note(f"{error}: validating in tiles of {tile} from now on")

    def log_losses(self, means: Mapping[str, float]) -> None:
        """Report the losses, the speed and the memory since the last time."""
        if not self._log:
            return
        done, end = self._state.done, self._config.iterations
        seconds = time.perf_counter() - self._since
        rate = (done - self._from) / seconds
        memory_gb = _memory_bytes(self._device) / 1e9
        about = {
            "iterations_per_s": rate,
            "waiting_share": (self._state.loader.waited_s - self._waited_s) / seconds,
            "memory_gb": memory_gb,
            "learning_rate": learning_rate(self._config, done - 1),
        }
        self.restart_clock()
        self._log.scalars(done, "train", means, about)
        losses = "  ".join(f"{name} {value:.4g}" for name, value in means.items())
        left = _duration((end - done) / rate)
        self._log.note(f"{done:,} of {end:,}  {losses}  {rate:.3g} it/s  {left} left  {memory_gb:.2f} GB")
        self._warn_of_negative_loss(means)
        self._warn_of_distance(means)

    def log_validation(self, validated: Validated) -> None:
        """Report the scores of a validation and keep its pictures; scores of some of the pictures with their number."""
        if not self._log:
            return
        total = validated.num_pictures
        partial = {name: number for name, number in validated.counts.items() if number < total}
        about = {f"{name}.pictures": number for name, number in partial.items()}
        if validated.tile:
            about["tile"] = validated.tile
        self._log.scalars(self._state.done, "validation", validated.scores, about)
        for restored in validated.shown:
            self._log.picture(self._state.done, restored)
        texts = [
            f"{name} {validated.scores.get(name, math.nan):.4f}"
            + (f" ({partial[name]} of {total})" if name in partial else "")
            for name in validated.counts
        ]
        tiles = f"  in tiles of {validated.tile}" if validated.tile else ""
        self._log.note(f"validation after {self._state.done:,}  {'  '.join(texts)}{tiles}")

    def _warn_of_negative_loss(self, means: Mapping[str, float]) -> None:
        """The negative loss has no lower bound: if it outweighs the others, they no longer control the output."""
        others = sum(max(means.get(name, 0), 0) for name in ("pixel", "perceptual", "adversarial"))
        is_dominated = -means.get("negative", 0) > others
        if is_dominated and not self._is_dominated:
            self.note(
                f"warning: the negative loss ({means['negative']:.4g}) outweighs all others ({others:.4g}); bound "
                "it by a smaller loss.negative or a loss.negative_margin"
            )
        self._is_dominated = is_dominated

    def _warn_of_distance(self, means: Mapping[str, float]) -> None:
        """A preference can grow while the output moves away from both pictures of the pair."""
        now, start = means.get(CHOSEN_DISTANCE, 0), means.get(START_DISTANCE, 0)
        moves_away = 0 < _FARTHER * start < now
        if moves_away and not self._moves_away:
            self.note(
                f"warning: the output is {now / start - 1:.0%} farther from the chosen pictures than that of the "
                f"network that the run started from ({now:.4g}, was {start:.4g}); use a smaller loss.negative or "
                "loss.dpo_beta, or a larger loss.pixel"
            )
        self._moves_away = moves_away


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _memory_bytes(device: torch.device) -> int:
    """Largest amount in use so far: of the GPU's memory, or of this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
