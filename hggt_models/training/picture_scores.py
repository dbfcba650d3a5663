"""Rates a restored picture by metrics of hggt-eval and by their label measures."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import numpy as np

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_eval.metrics import MetricSettings, NoReferenceMetric
from hggt_eval.metrics.comparer import AnyComparer, NoReference
from hggt_eval.metrics.labels import LabelScores, Measure, finite_mean, parse_measure
from hggt_models.config.reader import ConfigError
from hggt_models.data.training_data import HeldOut, Read
from hggt_models.memory import DeviceMemoryError, ran_out_of_memory
from hggt_models.networks.weights import first_line


class PictureScorer:
    """Rates restored pictures by `measures`, which it has in the order of their names."""

    def __init__(self, names: Sequence[str], device: str) -> None:
        self.measures = [parse_measure(name) for name in dict.fromkeys(names)]
        metrics = {measure.metric.name: measure.metric for measure in self.measures}
        advice = f"as `hggt-models fetch-weights --metrics {','.join(metrics)}` does"
        settings = MetricSettings(device=device, weights_advice=advice)
        self._metrics: dict[str, AnyComparer | NoReference] = {
            name: metric.load(settings) for name, metric in metrics.items()
        }

    def require_candidates(self, held_out: Sequence[HeldOut]) -> None:
        """ConfigError if no held-out group has the candidates that a label measure is about."""
        for measure in (measure for measure in self.measures if measure.label):
            if all(measure.of_group(_label_scores(one, lambda _: 0.0)) is None for one in held_out):
                raise ConfigError(
                    f"validation.metrics has {measure.name}, but none of {len(held_out)} held-out groups has the "
                    "candidates for it; leave it out, or hold out more groups (validation.pictures, validation.images)"
                )

    def check(self, smallest: Pixels) -> None:
        """ConfigError if a metric cannot rate pictures as small as this one."""
        height, width = smallest.shape[:2]
        noise = np.random.default_rng(0).integers(0, 256, smallest.shape, np.uint8)  # as flat pictures have no NIQE
        for name, metric in self._metrics.items():
            try:
                with _metric_memory_errors(name, "the smallest held-out picture", smallest):
                    if isinstance(metric, NoReference):
                        metric.rate(noise)
                    else:
                        metric.compare(metric.describe(noise), metric.describe(255 - noise))
            except DeviceMemoryError:
                raise
            except Exception as error:
                raise ConfigError(
                    f"validation.metrics has {name}, which cannot rate a held-out picture of {height} x {width} "
                    f"pixels ({first_line(error)}); leave it out"
                ) from error

    def score(self, sr: Pixels, held_out: HeldOut, crop: Callable[[Pixels], Pixels]) -> list[float | None]:
        """The value of each measure, that of a metric as the mean over the references; None if it does not count.

        Those are label measures of groups without the candidates, infinite values, of identical pictures, and metrics
        that are undefined for this picture. `crop` crops a reference to the size of the output `sr`.
        """
        pictures = {read: crop(read()) for measure in self.measures for read in _compared(measure, held_out)}
        values: dict[str, dict[Read, float]] = {}
        alone: dict[str, float] = {}
        for name, metric in self._metrics.items():
            with _metric_memory_errors(name, held_out.name, sr):
                if isinstance(metric, NoReference):
                    alone[name] = _rate(metric, sr)
                    continue
                own, of_metric = metric.describe(sr), [one for one in self.measures if one.metric.name == name]
                needed = {read for measure in of_metric for read in _compared(measure, held_out)}
                values[name] = {read: metric.compare(own, metric.describe(pictures[read])) for read in needed}
        return [_value(measure, held_out, values.get(measure.metric.name, {}), alone) for measure in self.measures]


def _compared(measure: Measure, held_out: HeldOut) -> tuple[Read, ...]:
    """The pictures that a restored one is compared with."""
    if isinstance(measure.metric, NoReferenceMetric):
        return ()
    return held_out.labelled if measure.label else held_out.references


def _value(
    measure: Measure, held_out: HeldOut, values: Mapping[Read, float], alone: Mapping[str, float]
) -> float | None:
    value: float | None
    if isinstance(measure.metric, NoReferenceMetric):
        value = alone[measure.metric.name]
    elif measure.label:
        value = measure.of_group(_label_scores(held_out, values.__getitem__))
    else:
        value = finite_mean(values[read] for read in held_out.references)
    return value if value is not None and math.isfinite(value) else None


def _label_scores(held_out: HeldOut, score: Callable[[Read], float]) -> LabelScores:
    return LabelScores(
        positives=np.array([score(read) for read, _ in held_out.positives], np.float64),
        negatives=np.array([score(read) for read in held_out.negatives], np.float64),
        agreement=np.array([agreement for _, agreement in held_out.positives], np.int64),
    )


def _rate(metric: NoReference, sr: Pixels) -> float:
    try:
        return metric.rate(sr)
    except ImageError:  # such as the flat output of an untrained network
        return math.nan


def _metric_memory_errors(metric: str, name: str, pixels: Pixels) -> AbstractContextManager[None]:
    return memory_errors(metric, name, pixels, f"leave {metric} out of validation.metrics")


@contextmanager
def memory_errors(work: str, name: str, pixels: Pixels, advice: str) -> Iterator[None]:
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
