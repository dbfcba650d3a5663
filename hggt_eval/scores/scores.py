"""What scoring gives: the scores of one image, of a method, of a run; and how they are averaged.

`protocol.py` computes them, `scores_file.py` keeps them in a file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hggt_data.restored.methods import Fault
from hggt_data.schema import Label, PatchId

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GroupScores:
    """One restored image's scores.

    Attributes:
        id: its group.
        file: name of the restored image's file, below its method's folder.
        labels: candidate -> consensus, for all candidates of the group.
        positives: candidate -> metric -> score, for every positive.
        alone: metric -> score, of the metrics that look at the restored image alone.
        negatives: candidate -> metric -> score, for every negative, where they were asked for.
        agreement: positive or negative -> how many annotators gave it that label.
        looks_swapped: whether the image is nearer to its positive with red and blue exchanged.
        sha256: of the restored image's file.
        ground_truths_sha256: candidate -> SHA-256 of its file, for each that was compared with.
    """

    id: PatchId
    file: str
    labels: Mapping[str, Label | None]
    positives: Mapping[str, Scores]
    alone: Scores = field(default_factory=dict)
    negatives: Mapping[str, Scores] = field(default_factory=dict)
    agreement: Mapping[str, int] = field(default_factory=dict)
    looks_swapped: bool = False
    sha256: str = ""
    ground_truths_sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def mean(self) -> Scores:
        """Metric -> mean over the positives (see `finite_mean`), or the score of the image alone."""
        return {**_mean_by_metric(list(self.positives.values())), **self.alone}

    @property
    def num_infinite(self) -> Mapping[str, int]:
        """Metric -> how many positives gave an infinite score, where any did."""
        return _count_infinite(list(self.positives.values()))


@dataclass(frozen=True, slots=True)
class MethodScores:
    """One method's scores.

    Attributes:
        name: the method.
        groups: one per scored group, sorted by id.
        faults: what was left out because its restored image is missing or unusable.
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
        """Metric -> how many single comparisons gave an infinite score, where any did."""
        return _count_infinite([scores for group in self.groups for scores in group.positives.values()])

    @property
    def num_swapped(self) -> int:
        """How many images look as if red and blue were exchanged; 0 unless most do, for one alone may be chance."""
        number = sum(group.looks_swapped for group in self.groups)
        return number if 2 * number > len(self.groups) else 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All scores of one run.

    Attributes:
        metrics: names of the metrics that were computed, in the order asked for.
        methods: in the order given.
        without_positives: groups that no candidate of which is Positive; they are left out for every method.
        num_groups: how many groups there are, scored or not.
    """

    metrics: tuple[str, ...]
    methods: tuple[MethodScores, ...]
    without_positives: tuple[PatchId, ...]
    num_groups: int


def finite_mean(values: Sequence[float]) -> float:
    """The mean over the finite values; infinite where all are.

    Identical pictures have an infinite PSNR, and one such pair would hide all others in a plain mean.

    Example:
        >>> finite_mean([30.0, math.inf, 40.0]), finite_mean([math.inf])
        (35.0, inf)
    """
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.inf


def _mean_by_metric(scores: Sequence[Scores]) -> Scores:
    return {metric: finite_mean([score[metric] for score in scores]) for metric in (scores[0] if scores else ())}


def _count_infinite(scores: Sequence[Scores]) -> Mapping[str, int]:
    counts = {metric: sum(math.isinf(score[metric]) for score in scores) for metric in (scores[0] if scores else ())}
    return {metric: count for metric, count in counts.items() if count}
