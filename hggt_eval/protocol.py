"""Multi-positive scoring: a restored image against every positive of its group, the mean, then the mean over groups.

Each file is read once for all metrics. A candidate's features are computed once for all methods, a restored image's
once for all its candidates. Memory holds one group at a time.

Source: section 5 of the HGGT paper (CVPR 2023) and the official multi-GT scripts, which fail on a group without
positives where this leaves it out and says so.
"""

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hggt_data.errors import ImageError, MatchError
from hggt_data.images import Pixels, read_pixels
from hggt_data.loading import Group, GroupSource
from hggt_data.schema import Label, PatchId
from hggt_eval.matching import Fault, RestoredFiles
from hggt_eval.metrics.comparer import AnyComparer, Comparer, LoadedMetric, Rater

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
    """

    id: PatchId
    file: str
    labels: Mapping[str, Label | None]
    positives: Mapping[str, Scores]
    alone: Scores = field(default_factory=dict)
    negatives: Mapping[str, Scores] = field(default_factory=dict)
    agreement: Mapping[str, int] = field(default_factory=dict)
    looks_swapped: bool = False

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


def evaluate(
    source: GroupSource,
    restored: Sequence[RestoredFiles],
    metrics: Sequence[LoadedMetric],
    *,
    negatives: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Score every method against every positive of every group.

    No-reference metrics look at the restored images of the same groups, so that all scores are of the same pictures.

    Args:
        source: the groups.
        restored: each method's files, from `match_restored`.
        metrics: ready to run, from `Metric.load`.
        negatives: also compare with every negative, for `label_measures.py`.
        progress: show rate and time left on stderr, where that is a terminal.

    Raises:
        ImageError: a picture is damaged or too small for a metric, or has another size than when it was matched.
        MatchError: no group has both a positive and a restored image.
        OSError: a file cannot be read.
    """
    judged = list(source)
    groups = [group for group in judged if group.positives]
    _require_sizes(restored, metrics)
    results: dict[str, list[GroupScores]] = {files.method.name: [] for files in restored}
    compared = {group.id: (*group.positives, *(group.negatives if negatives else ())) for group in groups}
    pictures = sum(len(compared[group.id]) + sum(group.id in files.files for files in restored) for group in groups)
    # Nearly all time goes into describing pictures, so they are what is counted.
    with (
        ThreadPoolExecutor(os.cpu_count()) as threads,
        tqdm(total=pictures, unit="picture", desc="scoring", disable=None if progress else True) as bar,
    ):
        for group in groups:
            present = [files for files in restored if group.id in files.files]
            if not present:
                bar.update(len(compared[group.id]))
                continue
            # One method after the other, and nothing of a group outlives its turn: features may take 100 MB a picture.
            candidates = _Candidates(group, compared[group.id], present[0].sizes[group.id], metrics, threads)
            bar.update(len(compared[group.id]))
            for files in present:
                results[files.method.name].append(candidates.score(files))
                bar.update()
            del candidates
    if not any(results.values()):
        raise MatchError(f"nothing to score: no group of {source.location} has both a positive and a restored image")
    return Evaluation(
        metrics=tuple(metric.name for metric in metrics),
        methods=tuple(
            MethodScores(files.method.name, tuple(results[files.method.name]), files.faults) for files in restored
        ),
        without_positives=tuple(group.id for group in judged if not group.positives),
        num_groups=len(judged),
    )


class _Candidates:
    """The positives of one group, and its negatives if they are asked for, read and described.

    Raises:
        ImageError: a picture is damaged, or has another (height, width) than `size`.
    """

    def __init__(
        self,
        group: Group,
        names: Sequence[str],
        size: tuple[int, int],
        metrics: Sequence[LoadedMetric],
        threads: Executor,
    ) -> None:
        pictures = [group.read(name) for name in names]
        for name, picture in zip(names, pictures, strict=True):
            _require_size(f"{group.source.location}: picture {name} of {group.id}", picture, size)
        self._names = names
        self._glance = _glance(pictures[0])
        self._size = size
        self._group = group
        self._comparers: list[AnyComparer] = [metric for metric in metrics if isinstance(metric, Comparer)]
        self._raters = [metric for metric in metrics if isinstance(metric, Rater)]
        self._threads = threads
        self._features = [
            list(threads.map(metric.describe, pictures) if metric.threadable else map(metric.describe, pictures))
            for metric in self._comparers
        ]

    def score(self, files: RestoredFiles) -> GroupScores:
        """One method's restored image against all of them."""
        path = files.files[self._group.id]
        picture = read_pixels(path)
        _require_size(str(path), picture, self._size)
        scores: dict[str, dict[str, float]] = {name: {} for name in self._names}
        for metric, features in zip(self._comparers, self._features, strict=True):
            compare = partial(metric.compare, metric.describe(picture))
            values = self._threads.map(compare, features) if metric.threadable else map(compare, features)
            for name, value in zip(self._names, values, strict=True):
                _require_number(value, f"{path}: {metric.name} against {name} of {self._group.id}")
                scores[name][metric.name] = value
        alone = {metric.name: metric.rate(picture) for metric in self._raters}
        for name, value in alone.items():
            _require_number(value, f"{path}: {name}")
        return GroupScores(
            id=self._group.id,
            file=files.method.file_name(path),
            labels=dict(zip(self._group.candidates, self._group.consensus, strict=True)),
            positives={name: scores[name] for name in self._group.positives},
            alone=alone,
            negatives={name: scores[name] for name in self._names if name in self._group.negatives},
            agreement={
                name: number
                for name, number in zip(self._group.candidates, self._group.agreement, strict=True)
                if name in scores
            },
            looks_swapped=_looks_swapped(_glance(picture), self._glance),
        )


def _require_size(where: str, picture: Pixels, size: tuple[int, int]) -> None:
    """Fail where a picture is no longer what it was when the restored images were matched."""
    if picture.shape[:2] != size:
        height, width = picture.shape[:2]
        raise ImageError(f"{where}: {height} x {width}; expected {size[0]} x {size[1]}, as when it was checked")


def _glance(picture: Pixels) -> NDArray[np.float32]:
    """Every fourth pixel of a picture, to look at its colours."""
    return picture[::4, ::4].astype(np.float32)


def _looks_swapped(restored: NDArray[np.float32], positive: NDArray[np.float32]) -> bool:
    """Whether exchanging red and blue more than halves the squared difference; OpenCV writes files so, given RGB."""
    as_it_is, exchanged = (((pixels - positive) ** 2).mean() for pixels in (restored, restored[..., ::-1]))
    return bool(exchanged < as_it_is / 2)


def _require_number(value: float, what: str) -> None:
    if math.isnan(value):
        raise ImageError(f"{what} is not a number")


def _require_sizes(restored: Sequence[RestoredFiles], metrics: Sequence[LoadedMetric]) -> None:
    """Fail before the first score, not in the middle, where a metric cannot look at a group."""
    for size in {size for files in restored for size in files.sizes.values()}:
        for metric in metrics:
            metric.require_size(size)


def _mean_by_metric(scores: Sequence[Scores]) -> Scores:
    return {metric: finite_mean([score[metric] for score in scores]) for metric in (scores[0] if scores else ())}


def _count_infinite(scores: Sequence[Scores]) -> Mapping[str, int]:
    counts = {metric: sum(math.isinf(score[metric]) for score in scores) for metric in (scores[0] if scores else ())}
    return {metric: count for metric, count in counts.items() if count}
