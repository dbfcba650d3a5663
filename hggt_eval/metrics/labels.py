"""Label measures: the best positive, the negatives, and the agreement of annotators, from arrays of scores.

A measure is computed for one restored image from its scores by one metric against the positives of its group, (P,), and
against the negatives, (N,), and then averaged over groups. Formulas are in docs/evaluation.md. A group that lacks the
candidates in question has no value and does not count, so each mean carries its number of groups.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import SettingsError
from hggt_data.io.text import nearest
from hggt_eval.metrics import AnyMetric, FullReferenceMetric, Metric, NoReferenceMetric, SetMetric, require_metric

LabelMeasure = Literal["best_of_positives", "distance_to_negatives", "positive_margin", "nearer_to_negative"]
LABEL_MEASURES: tuple[LabelMeasure, ...] = (
    "best_of_positives",
    "distance_to_negatives",
    "positive_margin",
    "nearer_to_negative",
)
# Distances: 0 for pictures that look the same, and comparable between pictures.
MARGIN_METRICS = ("lpips", "dists")
_MARGINS = ("positive_margin", "nearer_to_negative")
_NONE = np.empty(0)


@dataclass(frozen=True, slots=True)
class GroupMean:
    """A mean over groups.

    Attributes:
        value: Mean of the finite values; infinite if all are, NaN without a group.
        num_groups: Number of groups in the mean.
        num_infinite: Groups left out because their value is infinite.
    """

    value: float
    num_groups: int
    num_infinite: int = 0


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Scores of one restored image by one metric.

    Attributes:
        positives: Against the positives of its group, float64 (P,).
        negatives: Against its negatives, float64 (N,).
        agreement: Number of annotators who agreed on each positive, (P,).
    """

    positives: NDArray[np.float64]
    negatives: NDArray[np.float64] = field(default_factory=lambda: _NONE)
    agreement: NDArray[np.int64] = field(default_factory=lambda: _NONE.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Measure:
    """What a restored image is rated by: a metric, or a label measure of one, `METRIC.MEASURE`.

    Attributes:
        metric: The metric.
        label: A name in `LABEL_MEASURES`, `by_agreement.LEVEL`, or empty for the metric itself.
    """

    metric: FullReferenceMetric | NoReferenceMetric
    label: str = ""

    @property
    def name(self) -> str:
        """The name in settings and logs, such as `lpips` or `lpips.positive_margin`."""
        return f"{self.metric.name}.{self.label}" if self.label else self.metric.name

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is better: farther from negatives, nearer to positives."""
        directions = {"positive_margin": True, "nearer_to_negative": False}
        own = self.metric.higher_is_better
        return directions.get(self.label, not own if self.label == "distance_to_negatives" else own)

    def of_group(self, scores: LabelScores) -> float | None:
        """The value of a label measure for one restored image; None if its group lacks the candidates."""
        if self.label.startswith("by_agreement."):
            return of_agreement(scores, int(self.label.rpartition(".")[2]))
        return measure_group(self.label, scores, self.metric)  # type: ignore[arg-type]


def parse_measure(name: str) -> Measure:
    """The measure of this name; UnknownMetricError or SettingsError if there is none, or it needs whole sets."""
    metric_name, _, label = name.partition(".")
    metric: AnyMetric = require_metric(metric_name)
    if isinstance(metric, SetMetric):
        raise SettingsError(f"{name} compares sets of pictures, so single pictures have no value")
    if not label:
        return Measure(metric)
    if not isinstance(metric, FullReferenceMetric):
        raise SettingsError(f"{name}: {metric_name} compares with no candidate, so it has no label measures")
    level = label.removeprefix("by_agreement.")
    if label not in LABEL_MEASURES and (level == label or not level.isdecimal()):
        known = (*LABEL_MEASURES, "by_agreement.LEVEL")
        raise SettingsError(f"{name}: label measure {label!r} is not known; {nearest(label, known)}")
    if label in _MARGINS and metric_name not in MARGIN_METRICS:
        raise SettingsError(f"{name} requires a distance; expected {' or '.join(MARGIN_METRICS)}")
    return Measure(metric, label)


def measure_group(measure: LabelMeasure, scores: LabelScores, metric: Metric) -> float | None:
    """A label measure of one restored image; None if its group lacks the candidates."""
    positive, negative = (_best(values, metric) for values in (scores.positives, scores.negatives))
    if measure == "best_of_positives":
        return positive
    if measure == "distance_to_negatives":
        return None if negative is None else finite_mean(scores.negatives)
    if positive is None or negative is None:
        return None
    margin = negative - positive
    return margin if measure == "positive_margin" else float(margin < 0)


def of_agreement(scores: LabelScores, level: int) -> float | None:
    """The mean over the positives on which so many annotators agreed; None if there is none."""
    chosen = scores.positives[scores.agreement == level]
    return finite_mean(chosen) if len(chosen) else None


def mean_of_groups(values: Iterable[float | None]) -> GroupMean:
    """The mean over the groups that have a value."""
    known = np.array([value for value in values if value is not None], np.float64)
    num_finite = int(np.isfinite(known).sum())
    return GroupMean(finite_mean(known) if len(known) else math.nan, num_finite, len(known) - num_finite)


def finite_mean(values: Iterable[float]) -> float:
    """The mean over the finite values; infinite if all are.

    Identical pictures have an infinite PSNR; one such pair would hide all others in a plain mean.

    Example:
        >>> finite_mean([30.0, math.inf, 40.0]), finite_mean([math.inf])
        (35.0, inf)
    """
    finite = [float(value) for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.inf


def _best(values: NDArray[np.float64], metric: Metric) -> float | None:
    if not len(values):
        return None
    return float(values.max() if metric.higher_is_better else values.min())
