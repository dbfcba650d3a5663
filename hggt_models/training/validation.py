"""How well a network restores held-out pictures while it learns, by the metrics of `hggt_eval`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hggt_data.io.images import Pixels
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_models.config.train import TrainConfig
from hggt_models.data.training_data import HeldOut
from hggt_models.degradation.chain import degrade_picture
from hggt_models.inference.tiling import UPSCALE_OVERLAP_PX, Tiler
from hggt_models.networks import Network
from hggt_models.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Restored:
    """A validated picture to look at: its LR, the output, and the first reference, as pixels."""

    name: str
    lr: Pixels
    sr: Pixels
    reference: Pixels


class Validation:
    """Validates one network again and again, on LR that stays the same.

    Args:
        held_out: the pictures.
        config: of the run.
        runtime: this process.

    Attributes:
        tiler: cuts pictures that the memory has no room for.

    Raises:
        WeightsError: a metric needs weights that cannot be had.
    """

    def __init__(self, held_out: Sequence[HeldOut], config: TrainConfig, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._mine = list(enumerate(held_out))[runtime.rank :: runtime.world]
        settings = MetricSettings(device=str(runtime.device))
        self._comparers = {name: METRICS[name].load(settings) for name in config.validation.metrics}
        self._lr: dict[int, Pixels] = {}
        # A large picture must not end a run.
        self.tiler = Tiler(
            tile=None,
            overlap_px=UPSCALE_OVERLAP_PX,
            device=str(runtime.device),
            dtype=torch.bfloat16 if config.precision == "bf16" else torch.float32,
        )

    def run(self, network: Network) -> tuple[dict[str, float], list[Restored]]:
        """The mean of each metric over pictures, on all processes alike, and the first results of this one.

        A picture's score is the mean over its references; infinite ones, of equal pictures, do not count.

        Args:
            network: in whatever mode; it is left in it.

        Raises:
            ImageError, OSError: a picture cannot be read.
            DeviceMemoryError: not even a small tile of one fits into memory.
            WorkerError: another process of the run cannot go on.
        """
        was_training = network.training
        network.eval()
        sums, shown = self._runtime.together(partial(self._score, network))
        network.train(was_training)
        total, count = self._runtime.sum(sums).tolist()
        return {name: total[k] / count[k] for k, name in enumerate(self._comparers) if count[k]}, shown

    def _score(self, network: Network) -> tuple[Tensor, list[Restored]]:
        """Sums of each metric over this process's pictures, with how many they are, (2, metrics); the first results."""
        sums = torch.zeros(2, len(self._comparers), dtype=torch.float64, device=self._runtime.device)
        shown: list[Restored] = []
        for number, held_out in self._mine:
            source = held_out.source()
            references = [self._fitting(read()) for read in held_out.references]
            lr = self._degraded(number, held_out.name, source)
            sr = self.tiler(network, lr)
            for column, comparer in enumerate(self._comparers.values()):
                features = comparer.describe(sr)
                scores = [comparer.compare(features, comparer.describe(reference)) for reference in references]
                finite = [score for score in scores if math.isfinite(score)]
                if finite:
                    sums[:, column] += torch.tensor([sum(finite) / len(finite), 1.0]).to(sums)
            if len(shown) < self._config.validation.shown:
                shown.append(Restored(held_out.name, lr, sr, references[0]))
        return sums, shown

    def _degraded(self, number: int, name: str, source: Pixels) -> Pixels:
        if number not in self._lr:
            text = f"{self._config.seed}/validation/{name}"
            self._lr[number] = degrade_picture(self._fitting(source), self._config.degradation, text)
        return self._lr[number]

    def _fitting(self, pixels: Pixels) -> Pixels:
        """Cut to sides that the scale divides."""
        height, width = (side // self._config.scale * self._config.scale for side in pixels.shape[:2])
        return pixels[:height, :width]
