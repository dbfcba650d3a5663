"""The scores of one image and of one method, and how they are averaged."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hggt_data.restored.methods import Fault
from hggt_data.schema import GroupOrder, Label, group_order
from hggt_eval.metrics import Metric
from hggt_eval.metrics.labels import finite_mean

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GroupScores:
    """One restored image's scores.

    Attributes:
        id: The group.
        file: File name of the restored image, relative to its method's folder.
        labels: Candidate -> consensus, for all candidates of the group.
        positives: Candidate -> metric -> score, for every positive; in data without labels, only for `original`.
        alone: Metric -> score, for the no-reference metrics.
        negatives: Candidate -> metric -> score, for every negative, if negatives were requested.
        agreement: Positive or negative -> number of annotators who gave it that label.
        is_flat: Whether the image is a single colour.
        looks_swapped: Whether the image is closer to its positive with red and blue exchanged.
        is_cropped: Whether the image or its ground truths were cropped to the size that both have.
        best: Metric -> whether the highest score is the best, if the best positive counts instead of the mean.
        sha256: SHA-256 of the restored image's file.
        ground_truths_sha256: Candidate -> SHA-256 of its file, for each one compared with.
    """

    id: str
    image_name: str
    file: str
    labels: Mapping[str, Label | None]
    positives: Mapping[str, Scores]
    alone: Scores = field(default_factory=dict)
    negatives: Mapping[str, Scores] = field(default_factory=dict)
    agreement: Mapping[str, int] = field(default_factory=dict)
    is_flat: bool = False
    looks_swapped: bool = False
    is_cropped: bool = False
    best: Mapping[str, bool] = field(default_factory=dict)
    sha256: str = ""
    ground_truths_sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def order(self) -> GroupOrder:
        """The key that sorts groups; HGGT's ids tell the place of a patch."""
        named = group_order(self.id)
        return named if named[0] == self.image_name else group_order(self.id, self.image_name)

    @property
    def mean(self) -> Scores:
        """Metric -> mean over the positives (see `finite_mean`) or the best of them, or the no-reference score."""
        means = _mean_by_metric(list(self.positives.values()))
        for metric, highest in self.best.items():
            means = {**means, metric: (max if highest else min)(scores[metric] for scores in self.positives.values())}
        return {**means, **self.alone}

    @property
    def num_infinite(self) -> Mapping[str, int]:
        """Metric -> number of positives with an infinite score, for metrics that have any."""
        return _count_infinite(list(self.positives.values()))


@dataclass(frozen=True, slots=True)
class MethodScores:
    """One method's scores.

    Attributes:
        name: The method's name.
        groups: Scored groups, sorted by id.
        faults: What was left out because its restored image is missing or unusable.
    """

    name: str
    groups: tuple[GroupScores, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def mean(self) -> Scores:
        """Metric -> mean over the groups' means; see `finite_mean`."""
        return _mean_by_metric([group.mean for group in self.groups])

    @property
    def num_infinite(self) -> Mapping[str, int]:
        """Metric -> number of single comparisons with an infinite score, for metrics that have any."""
        return _count_infinite([scores for group in self.groups for scores in group.positives.values()])

    @property
    def num_swapped(self) -> int:
        """Number of images that look as if red and blue were exchanged; 0 unless most do, as a few may be chance."""
        number = sum(group.looks_swapped for group in self.groups)
        return number if 2 * number > len(self.groups) else 0


def best_of_ground_truths(groups: Iterable[GroupScores], metrics: Iterable[Metric]) -> Iterator[GroupScores]:
    """The same groups, which count with the best of their positives instead of the mean over them."""
    higher = {metric.name: metric.higher_is_better for metric in metrics}
    for group in groups:
        compared = {name for scores in group.positives.values() for name in scores}
        yield replace(group, best={name: highest for name, highest in higher.items() if name in compared})


def _mean_by_metric(scores: Sequence[Scores]) -> Scores:
    return {metric: finite_mean([score[metric] for score in scores]) for metric in (scores[0] if scores else ())}


def _count_infinite(scores: Sequence[Scores]) -> Mapping[str, int]:
    counts = {metric: sum(math.isinf(score[metric]) for score in scores) for metric in (scores[0] if scores else ())}
    return {metric: count for metric, count in counts.items() if count}
