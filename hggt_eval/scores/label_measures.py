"""What labels allow beyond the official protocol: the best positive, the negatives, and the agreement of annotators.

Formulas are in docs/evaluation.md. Each measure is first computed per group, then averaged over groups. A group that
lacks the candidates in question, such as one without negatives, does not count, so each mean carries its number of
groups.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hggt_eval.metrics import Metric
from hggt_eval.scores.scores import GroupScores, Scores, finite_mean

# Distances: 0 for pictures that look the same, and comparable between pictures.
MARGIN_METRICS = ("lpips", "dists")

_Measure = Callable[[GroupScores, Metric], float | None]


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
class LabelMeasures:
    """The measures of one method, each as metric -> mean over groups.

    Attributes:
        best_of_positives: Best score over the positives.
        distance_to_negatives: Mean score over the negatives.
        positive_margin: Distance to the nearest negative minus distance to the nearest positive; above 0 is right.
        nearer_to_negative: Share of groups in which a negative is nearer than every positive.
        by_agreement: Number of annotators who agreed -> mean score over the positives with that agreement.
    """

    best_of_positives: Mapping[str, GroupMean]
    distance_to_negatives: Mapping[str, GroupMean]
    positive_margin: Mapping[str, GroupMean]
    nearer_to_negative: Mapping[str, GroupMean]
    by_agreement: Mapping[int, Mapping[str, GroupMean]]


def measure_labels(groups: Sequence[GroupScores], metrics: Sequence[Metric]) -> LabelMeasures:
    """The measures of a method's groups, which were scored with their negatives; no-reference metrics are skipped."""
    compared = [m for m in metrics if any(m.name in scores for g in groups for scores in g.positives.values())]
    distances = [metric for metric in compared if metric.name in MARGIN_METRICS]
    levels = sorted({group.agreement[name] for group in groups for name in group.positives})

    def over(chosen: Sequence[Metric], measure: _Measure) -> dict[str, GroupMean]:
        return {metric.name: _mean(measure(group, metric) for group in groups) for metric in chosen}

    return LabelMeasures(
        best_of_positives=over(compared, lambda group, metric: _best(group.positives, metric)),
        distance_to_negatives=over(compared, lambda group, metric: _average(group.negatives, metric)),
        positive_margin=over(distances, _margin),
        nearer_to_negative=over(distances, _is_nearer_to_negative),
        by_agreement={level: over(compared, _average_of_level(level)) for level in levels},
    )


def _best(candidates: Mapping[str, Scores], metric: Metric) -> float | None:
    best = max if metric.higher_is_better else min
    return best((scores[metric.name] for scores in candidates.values()), default=None)


def _average(candidates: Mapping[str, Scores], metric: Metric) -> float | None:
    return finite_mean([scores[metric.name] for scores in candidates.values()]) if candidates else None


def _margin(group: GroupScores, metric: Metric) -> float | None:
    """None unless the group has both a positive and a negative."""
    negative, positive = _best(group.negatives, metric), _best(group.positives, metric)
    return None if negative is None or positive is None else negative - positive


def _is_nearer_to_negative(group: GroupScores, metric: Metric) -> float | None:
    margin = _margin(group, metric)
    return None if margin is None else float(margin < 0)


def _average_of_level(level: int) -> _Measure:
    def measure(group: GroupScores, metric: Metric) -> float | None:
        return _average({name: s for name, s in group.positives.items() if group.agreement[name] == level}, metric)

    return measure


def _mean(values: Iterable[float | None]) -> GroupMean:
    known = [value for value in values if value is not None]
    num_finite = sum(map(math.isfinite, known))
    return GroupMean(finite_mean(known) if known else math.nan, num_finite, len(known) - num_finite)
