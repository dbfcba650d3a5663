"""The label measures of a method: what labels allow beyond the official protocol, see `hggt_eval.metrics.labels`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hggt_eval.metrics import Metric
from hggt_eval.metrics.labels import (
    MARGIN_METRICS,
    GroupMean,
    LabelMeasure,
    LabelScores,
    mean_of_groups,
    measure_group,
    of_agreement,
)
from hggt_eval.scores.scores import GroupScores


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
    scores = {metric.name: [_label_scores(group, metric) for group in groups] for metric in compared}
    levels = sorted({group.agreement[name] for group in groups for name in group.positives})

    def over(chosen: Sequence[Metric], measure: LabelMeasure) -> dict[str, GroupMean]:
        return {
            metric.name: mean_of_groups(measure_group(measure, own, metric) for own in scores[metric.name])
            for metric in chosen
        }

    return LabelMeasures(
        best_of_positives=over(compared, "best_of_positives"),
        distance_to_negatives=over(compared, "distance_to_negatives"),
        positive_margin=over(distances, "positive_margin"),
        nearer_to_negative=over(distances, "nearer_to_negative"),
        by_agreement={
            level: {name: mean_of_groups(of_agreement(one, level) for one in own) for name, own in scores.items()}
            for level in levels
        },
    )


def _label_scores(group: GroupScores, metric: Metric) -> LabelScores:
    positives, negatives = (
        np.array([scores[metric.name] for scores in candidates.values()], np.float64)
        for candidates in (group.positives, group.negatives)
    )
    agreement = np.array([group.agreement[name] for name in group.positives], np.int64)
    return LabelScores(positives, negatives, agreement)
