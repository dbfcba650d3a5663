"""Measures how well a network restores held-out pictures while it learns, with the metrics of `hggt_eval`."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hggt_data.io.images import Pixels
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_models.config.reader import ConfigError
from hggt_models.config.train import TrainConfig
from hggt_models.data.training_data import HeldOut
from hggt_models.degradation.chain import degrade_picture
from hggt_models.inference.tiling import UPSCALE_OVERLAP_PX, NotFiniteError, Tiler
from hggt_models.memory import DeviceMemoryError, ran_out_of_memory
from hggt_models.networks import Network
from hggt_models.networks.weights import first_line
from hggt_models.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Restored:
    """A validated picture: its LR, the output, and the first reference."""

    name: str
    lr: Pixels
    sr: Pixels
    reference: Pixels


class Validation:
    """Validates a network repeatedly on the same LR images, of which each process takes a share.

    Attributes:
        tiler: Cuts pictures into tiles if they do not fit into memory.
    """

    def __init__(self, held_out: Sequence[HeldOut], config: TrainConfig, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._mine = list(enumerate(held_out))[runtime.rank :: runtime.world]
        metrics = ",".join(config.validation.metrics)
        settings = MetricSettings(
            device=str(runtime.device), weights_advice=f"as `hggt-models fetch-weights --metrics {metrics}` does"
        )
        self._comparers = {name: METRICS[name].load(settings) for name in config.validation.metrics}
        self._lr: dict[int, Pixels] = {}
        self.tiler = Tiler(
            tile=None,
            overlap_px=UPSCALE_OVERLAP_PX,
            device=str(runtime.device),
            dtype=torch.bfloat16 if config.precision == "bf16" else torch.float32,
        )

    def check(self) -> None:
        """ConfigError if a metric cannot rate pictures as small as the smallest; all processes call this together."""
        self._runtime.together(self._check)

    def _check(self) -> None:
        if not self._mine:
            return
        smallest = min((self._cropped(one.source()) for _, one in self._mine), key=lambda pixels: min(pixels.shape[:2]))
        for name, comparer in self._comparers.items():
            try:
                with _metric_memory_errors(name, "the smallest held-out picture", smallest):
                    comparer.compare(comparer.describe(smallest), comparer.describe(255 - smallest))
            except DeviceMemoryError:
                raise
            except Exception as error:
                height, width = smallest.shape[:2]
                raise ConfigError(
                    f"validation.metrics has {name}, which cannot rate a held-out picture of {height} x {width} "
                    f"pixels ({first_line(error)}); leave it out"
                ) from error

    def run(self, network: Network) -> tuple[dict[str, float], list[Restored]]:
        """The mean of each metric over all pictures, the same in all processes, and the first results of this one.

        A picture's score is the mean over its references; infinite scores, of identical images, do not count.
        """
        was_training = network.training
        network.eval()
        sums, shown = self._runtime.together(partial(self._score, network))
        network.train(was_training)
        total, count = self._runtime.sum(sums).tolist()
        return {name: total[k] / count[k] for k, name in enumerate(self._comparers) if count[k]}, shown

    def _score(self, network: Network) -> tuple[Tensor, list[Restored]]:
        """Sum of each metric over this process's pictures and their number, (2, metrics); and the first results."""
        sums = torch.zeros(2, len(self._comparers), dtype=torch.float64, device=self._runtime.device)
        shown: list[Restored] = []
        for number, held_out in self._mine:
            source = held_out.source()
            references = [self._cropped(read()) for read in held_out.references]
            lr = self._make_lr(number, held_out.name, source)
            try:
                sr = self.tiler(network, lr)
            except NotFiniteError as error:
                raise NotFiniteError(f"validation of {held_out.name}: {error}") from error
            except DeviceMemoryError as error:
                raise DeviceMemoryError(
                    f"validation of {held_out.name}: {error}; set precision=bf16, or validation.every=0"
                ) from error
            for column, (metric, comparer) in enumerate(self._comparers.items()):
                with _metric_memory_errors(metric, held_out.name, sr):
                    features = comparer.describe(sr)
                    scores = [comparer.compare(features, comparer.describe(reference)) for reference in references]
                finite = [score for score in scores if math.isfinite(score)]
                if finite:
                    sums[:, column] += torch.tensor([sum(finite) / len(finite), 1.0]).to(sums)
            if len(shown) < self._config.validation.shown:
                shown.append(Restored(held_out.name, lr, sr, references[0]))
        return sums, shown

    def _make_lr(self, number: int, name: str, source: Pixels) -> Pixels:
        if number not in self._lr:
            text = f"{self._config.seed}/validation/{name}"
            with _memory_errors("the degradation", name, source, "use smaller pictures in a new folder"):
                self._lr[number] = degrade_picture(self._cropped(source), self._config.degradation, text)
        return self._lr[number]

    def _cropped(self, pixels: Pixels) -> Pixels:
        """Cropped to multiples of the scale."""
        height, width = (side // self._config.scale * self._config.scale for side in pixels.shape[:2])
        return pixels[:height, :width]


def _metric_memory_errors(metric: str, name: str, pixels: Pixels) -> AbstractContextManager[None]:
    return _memory_errors(metric, name, pixels, f"leave {metric} out of validation.metrics")


@contextmanager
def _memory_errors(work: str, name: str, pixels: Pixels, advice: str) -> Iterator[None]:
    """Say what to do if there is too little memory for a picture."""
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        height, width = pixels.shape[:2]
        raise DeviceMemoryError(
            f"validation of {name}: {work} of {height} x {width} pixels does not fit into memory "
            f"({first_line(error)}); {advice}, or set validation.every=0"
        ) from error
