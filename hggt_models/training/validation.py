"""Measures how well a network restores held-out pictures while it learns, with the metrics of `hggt_eval`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hggt_data.io.images import Pixels
from hggt_models.config.reader import ConfigError
from hggt_models.config.train import TrainConfig
from hggt_models.data.training_data import HeldOut
from hggt_models.degradation.chain import degrade_picture
from hggt_models.inference.tiling import UPSCALE_OVERLAP_PX, NotFiniteError, Tiler
from hggt_models.memory import DeviceMemoryError
from hggt_models.networks import Network
from hggt_models.runtime import Runtime
from hggt_models.training.picture_scores import PictureScorer, memory_errors


@dataclass(frozen=True, slots=True)
class Restored:
    """A validated picture: its LR, the output, and the first reference."""

    name: str
    lr: Pixels
    sr: Pixels
    reference: Pixels


@dataclass(frozen=True, slots=True)
class Validated:
    """The result of a validation, the same in all processes except `shown`.

    Attributes:
        scores: Measure -> mean over the pictures that have a value.
        counts: Measure -> number of these pictures.
        num_pictures: Number of validated pictures.
        tile: The smallest tile that any process had to use because memory ran out; None if none did.
        shown: The first results, in the leading process.
    """

    scores: Mapping[str, float]
    counts: Mapping[str, int]
    num_pictures: int
    tile: int | None
    shown: Sequence[Restored]


class Validation:
    """Validates a network repeatedly on the same LR images, of which each process takes a share.

    ConfigError if no held-out group has the candidates that a label measure is about.

    Attributes:
        tiler: Cuts pictures into tiles if they do not fit into memory.
    """

    def __init__(self, held_out: Sequence[HeldOut], config: TrainConfig, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._num_pictures = len(held_out)
        shown = min(config.validation.shown, len(held_out))
        self._mine = list(enumerate(held_out))[share_of(len(held_out), shown, runtime.rank, runtime.world)]
        self._scorer = PictureScorer(config.validation.metrics, str(runtime.device))
        self._scorer.require_candidates(held_out)
        self._lr: dict[int, Pixels] = {}
        self.tiler = Tiler(
            tile=None,
            overlap_px=UPSCALE_OVERLAP_PX,
            device=str(runtime.device),
            dtype=torch.bfloat16 if config.precision == "bf16" else torch.float32,
        )
        self.tiler.start_from(config.validation.tile)

    def check(self) -> None:
        """ConfigError if a metric cannot rate pictures as small as the smallest; all processes call this together."""
        self._runtime.together(self._check)

    def _check(self) -> None:
        if self._mine:
            sources = (self._cropped(one.source()) for _, one in self._mine)
            self._scorer.check(min(sources, key=lambda pixels: min(pixels.shape[:2])))

    def run(self, network: Network) -> Validated:
        """Validate a network; all processes call this together. Infinite scores, of identical images, do not count."""
        was_training = network.training
        network.eval()
        sums, shown = self._runtime.together(partial(self._score, network))
        network.train(was_training)
        tiles = torch.zeros(self._runtime.world).to(sums)
        tiles[self._runtime.rank] = self.tiler.tile or 0
        joint = self._runtime.sum(torch.cat([sums.flatten(), tiles])).tolist()
        names = [measure.name for measure in self._scorer.measures]
        totals, counts = joint[: len(names)], joint[len(names) : 2 * len(names)]
        used = [int(tile) for tile in joint[2 * len(names) :] if tile]
        return Validated(
            scores={name: totals[k] / counts[k] for k, name in enumerate(names) if counts[k]},
            counts={name: int(counts[k]) for k, name in enumerate(names)},
            num_pictures=self._num_pictures,
            tile=min(used) if used and min(used) != self._config.validation.tile else None,
            shown=shown,
        )

    def _score(self, network: Network) -> tuple[Tensor, list[Restored]]:
        """Sum of each measure over this process's pictures and their number, (2, measures); and the first results."""
        sums = torch.zeros(2, len(self._scorer.measures), dtype=torch.float64, device=self._runtime.device)
        shown: list[Restored] = []
        for number, held_out in self._mine:
            lr = self._make_lr(number, held_out)
            try:
                sr = self.tiler(network, lr)
            except NotFiniteError as error:
                raise NotFiniteError(f"validation of {held_out.name}: {error}") from error
            except DeviceMemoryError as error:
                raise DeviceMemoryError(
                    f"validation of {held_out.name}: {error}; set precision=bf16, or validation.every=0"
                ) from error
            for column, value in enumerate(self._scorer.score(sr, held_out, self._cropped)):
                if value is not None:
                    sums[:, column] += torch.tensor([value, 1.0]).to(sums)
            if self._runtime.leads and len(shown) < self._config.validation.shown:
                shown.append(Restored(held_out.name, lr, sr, self._cropped(held_out.references[0]())))
        return sums, shown

    def _make_lr(self, number: int, held_out: HeldOut) -> Pixels:
        if number not in self._lr:
            text, source = f"{self._config.seed}/validation/{held_out.name}", held_out.source()
            with memory_errors("the degradation", held_out.name, source, "use smaller pictures in a new folder"):
                self._lr[number] = degrade_picture(self._cropped(source), self._config.degradation, text)
        return self._lr[number]

    def _cropped(self, pixels: Pixels) -> Pixels:
        """Cropped to multiples of the scale."""
        height, width = (side // self._config.scale * self._config.scale for side in pixels.shape[:2])
        return pixels[:height, :width]


def open_validation(held_out: Sequence[HeldOut], config: TrainConfig, runtime: Runtime) -> Validation | None:
    """The validation of a run; None without one, which is a ConfigError if the best weights are to be kept."""
    if held_out and config.validation.every:
        return Validation(held_out, config, runtime)
    if config.checkpoint.best:
        raise ConfigError(
            f"checkpoint.best is {config.checkpoint.best!r}, but no picture is held out to validate on; expected more "
            "source pictures, or an empty checkpoint.best"
        )
    return None


def share_of(number: int, shown: int, rank: int, world: int) -> slice:
    """The pictures of a process: the leading one has at least those that are shown, all others equally many."""
    first = max(shown, -(-number // world))
    if rank == 0 or world == 1:
        return slice(first if world > 1 else number)
    rest, others = number - first, world - 1
    return slice(first + rest * (rank - 1) // others, first + rest * rank // others)
