"""What the labels allow to be measured beyond the official protocol: the nearest positive, and the negatives.

Formulas are in docs/evaluation.md. Every mean is over groups, of what each group has of its own; a group that has
nothing of the kind, such as one without negatives, does not count, so each number says of how many groups it is.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hggt_eval.metrics import require_metric
from hggt_eval.scores.scores import GroupScores, MethodScores, Scores, finite_mean

# Distances: 0 for what looks the same, and comparable between pictures.
MARGIN_METRICS = ("lpips", "dists")


@dataclass(frozen=True, slots=True)
class GroupMean:
    """A mean over groups.

    Attributes:
        value: over the finite ones; infinite where all are, NaN where there is no group.
        num_groups: over how many.
        num_infinite: groups left out because their score is infinite.
    """

    value: float
    num_groups: int
    num_infinite: int = 0


@dataclass(frozen=True, slots=True)
class LabelMeasures:
    """The measures of one method; each maps metrics to a mean over groups.

    Attributes:
        best_of_positives: the score of the positive that scores best.
        distance_to_negatives: the mean score over negatives.
        positive_margin: the distance to the nearest negative less that to the nearest positive; above 0 is right.
        nearer_to_negative: the share of groups in which a negative is nearer than any positive.
        by_agreement: how many annotators agreed -> the mean score over the positives on which so many did.
    """

    best_of_positives: Mapping[str, GroupMean]
    distance_to_negatives: Mapping[str, GroupMean]
    positive_margin: Mapping[str, GroupMean]
    nearer_to_negative: Mapping[str, GroupMean]
    by_agreement: Mapping[int, Mapping[str, GroupMean]]


def measure_labels(method: MethodScores, metrics: Sequence[str]) -> LabelMeasures:
    """The measures of a method whose groups were scored with their negatives (`evaluate(..., negatives=True)`).

    Args:
        method: its scores.
        metrics: of `Evaluation.metrics`; those without a reference are passed over.
    """
    groups = method.groups
    names = [name for name in metrics if any(name in scores for g in groups for scores in g.positives.values())]
    margins = [name for name in names if name in MARGIN_METRICS]
    levels = sorted({g.agreement[name] for g in groups for name in g.positives})

    def over(chosen: Sequence[str], measure: Callable[[GroupScores, str], float | None]) -> dict[str, GroupMean]:
        return {metric: _mean(measure(group, metric) for group in groups) for metric in chosen}

    return LabelMeasures(
        best_of_positives=over(names, lambda g, metric: _best(g.positives, metric)),
        distance_to_negatives=over(names, lambda g, metric: _average(g.negatives, metric)),
        positive_margin=over(margins, _margin),
        nearer_to_negative=over(margins, lambda g, metric: _is_below_zero(_margin(g, metric))),
        by_agreement={level: over(names, partial(_average_agreed, level)) for level in levels},
    )


def _best(candidates: Mapping[str, Scores], metric: str) -> float | None:
    values = [scores[metric] for scores in candidates.values()]
    best = max if require_metric(metric).higher_is_better else min
    return best(values) if values else None


def _average(candidates: Mapping[str, Scores], metric: str) -> float | None:
    return finite_mean([scores[metric] for scores in candidates.values()]) if candidates else None


def _margin(group: GroupScores, metric: str) -> float | None:
    """Of distances; null without a positive and a negative."""
    negative, positive = _best(group.negatives, metric), _best(group.positives, metric)
    return None if negative is None or positive is None else negative - positive


def _is_below_zero(margin: float | None) -> float | None:
    return None if margin is None else float(margin < 0)


def _average_agreed(level: int, group: GroupScores, metric: str) -> float | None:
    return _average({name: s for name, s in group.positives.items() if group.agreement[name] == level}, metric)


def _mean(values: Iterable[float | None]) -> GroupMean:
    known = [value for value in values if value is not None]
    num_finite = sum(map(math.isfinite, known))
    return GroupMean(finite_mean(known) if known else math.nan, num_finite, len(known) - num_finite)
