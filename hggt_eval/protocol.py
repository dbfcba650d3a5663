"""Multi-positive scoring: a restored image against every positive of its group, the mean, then the mean over groups.

Each file is read once for all metrics. A candidate's features are computed once for all methods, a restored image's
once for all its candidates. Memory holds one group at a time.

Source: section 5 of the HGGT paper (CVPR 2023) and the official multi-GT scripts, which fail on a group without
positives where this leaves it out and says so.
"""

import math
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hggt_data.errors import ImageError, MatchError
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import sha256_of
from hggt_data.io.images import Pixels, decode_png
from hggt_data.io.workers import Processes, cores_per_process
from hggt_data.restored.matching import RestoredFiles
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics.comparer import AnyComparer, Comparer, LoadedMetric, NoReference
from hggt_eval.scores.journal import Journal
from hggt_eval.scores.scores import Evaluation, GroupScores, MethodScores

_ALONE = Processes()


def evaluate(
    source: GroupSource,
    restored: Sequence[RestoredFiles],
    metrics: Sequence[LoadedMetric],
    *,
    negatives: bool = False,
    cache: FeatureCache | None = None,
    journal: Journal | None = None,
    processes: Processes = _ALONE,
    progress: bool = False,
) -> Evaluation:
    """Score every method against every positive of every group.

    No-reference metrics look at the restored images of the same groups, so that all scores are of the same pictures.

    Args:
        source: the groups.
        restored: each method's files, from `match_restored`.
        metrics: ready to run, from `Metric.load`.
        negatives: also compare with every negative, for `label_measures.py`.
        cache: keeps features of positives and negatives for the next run.
        journal: knows and keeps scores image by image, so that an interrupted run can go on.
        processes: those that share the groups; all must call this together, and each gets everything.
        progress: show rate and time left on stderr, where that is a terminal.

    Raises:
        ImageError: a picture is damaged or too small for a metric, or has another size than when it was matched.
        MatchError: no group has both a positive and a restored image.
        OutputError: features or scores cannot be kept.
        OSError: a file cannot be read.
    """
    judged = list(source)
    groups = [group for group in judged if group.positives]
    _require_sizes(restored, metrics)
    own = processes.share(groups)
    names = {group.id: (*group.positives, *(group.negatives if negatives else ())) for group in own}
    pictures = sum(len(names[group.id]) + sum(group.id in files.files for files in restored) for group in own)
    results: dict[str, list[GroupScores]] = {files.method.name: [] for files in restored}
    # Nearly all time goes into describing pictures, so they are what is counted.
    with (
        ThreadPoolExecutor(cores_per_process()) as threads,
        tqdm(total=pictures, unit="picture", desc="scoring", disable=None if progress else True) as bar,
    ):
        for group in own:
            present = [files for files in restored if group.id in files.files]
            if present:
                # Nothing of a group outlives its turn: features may take 100 MB a picture.
                scorer = _GroupScorer(group, names[group.id], present[0].sizes[group.id], metrics, threads, cache)
            for files in present:
                results[files.method.name].append(scorer.score(files, journal))
                bar.update()
            bar.update(len(names[group.id]))
    shares = gather(results, processes)
    order = {group.id: number for number, group in enumerate(groups)}
    scored = {
        name: tuple(sorted((scores for share in shares for scores in share[name]), key=lambda s: order[s.id]))
        for name in results
    }
    if not any(scored.values()):
        raise MatchError(f"nothing to score: no group of {source.location} has both a positive and a restored image")
    return Evaluation(
        metrics=tuple(metric.name for metric in metrics),
        methods=tuple(MethodScores(files.method.name, scored[files.method.name], files.faults) for files in restored),
        without_positives=tuple(group.id for group in judged if not group.positives),
        num_groups=len(judged),
    )


class _GroupScorer:
    """The ground truths of one group: its positives, and its negatives if they are asked for.

    They are described when the first image needs it: of an image that the journal knows nothing is computed.

    Args:
        group: whose they are.
        names: the positives, then the negatives.
        size: (height, width) that all pictures must have.
        metrics: ready to run.
        threads: for those that use one core.
        cache: of features, or null.
    """

    def __init__(
        self,
        group: Group,
        names: Sequence[str],
        size: tuple[int, int],
        metrics: Sequence[LoadedMetric],
        threads: Executor,
        cache: FeatureCache | None,
    ) -> None:
        self._group = group
        self._names = names
        self._size = size
        self._comparers: list[AnyComparer] = [metric for metric in metrics if isinstance(metric, Comparer)]
        self._no_reference = [metric for metric in metrics if isinstance(metric, NoReference)]
        self._threads = threads
        self._cache = cache
        self._files = [group.read_bytes(name) for name in names]
        self._sha256 = {name: sha256_of(data) for name, data in zip(names, self._files, strict=True)}

    def score(self, files: RestoredFiles, journal: Journal | None) -> GroupScores:
        """The scores of one method's restored image.

        Raises:
            ImageError: a picture is damaged, or has another (height, width) than it should.
            OutputError: features or scores cannot be kept.
            OSError: the restored image cannot be read.
        """
        path = files.files[self._group.id]
        data = path.read_bytes()
        sha256 = sha256_of(data)
        name, file = files.method.name, files.method.file_name(path)
        if journal and (known := journal.find(name, self._group.id, sha256, self._sha256)):
            return replace(known, file=file)  # it may have been renamed
        scores = self._compute(path, data, sha256, file)
        if journal:
            journal.add(name, scores)
        return scores

    def _compute(self, path: Path, data: bytes, sha256: str, file: str) -> GroupScores:
        group = self._group
        picture = _decode(data, str(path))
        _require_size(str(path), picture, self._size)
        scores: dict[str, dict[str, float]] = {name: {} for name in self._names}
        for metric, features in zip(self._comparers, self._features, strict=True):
            compare = partial(metric.compare, metric.describe(picture))
            values = self._threads.map(compare, features) if metric.threadable else map(compare, features)
            for name, value in zip(self._names, values, strict=True):
                _require_number(value, f"{path}: {metric.name} against {name} of {group.id}")
                scores[name][metric.name] = value
        alone = {metric.name: _rate(metric, picture, str(path)) for metric in self._no_reference}
        return GroupScores(
            id=group.id,
            file=file,
            labels=dict(zip(group.candidates, group.consensus, strict=True)),
            positives={name: scores[name] for name in group.positives},
            alone=alone,
            negatives={name: scores[name] for name in self._names if name in group.negatives},
            agreement={
                name: number for name, number in zip(group.candidates, group.agreement, strict=True) if name in scores
            },
            looks_swapped=_looks_swapped(_glance(picture), _glance(self._pictures[0])),
            sha256=sha256,
            ground_truths_sha256=self._sha256,
        )

    @cached_property
    def _pictures(self) -> list[Pixels]:
        pictures = []
        for name, data in zip(self._names, self._files, strict=True):
            where = self._group.name_picture(name)
            pictures.append(_decode(data, where))
            _require_size(where, pictures[-1], self._size)
        return pictures

    @cached_property
    def _features(self) -> list[list[Any]]:
        """For each metric, those of all pictures."""
        return [self._describe(metric) for metric in self._comparers]

    def _describe(self, metric: AnyComparer) -> list[Any]:
        if self._cache is not None and metric.worth_caching:
            return list(map(partial(self._cache.describe, metric), self._pictures, self._sha256.values()))
        over = self._threads.map if metric.threadable else map
        return list(over(metric.describe, self._pictures))


def _decode(data: bytes, where: str) -> Pixels:
    try:
        return decode_png(data)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from error


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


def _rate(metric: NoReference, picture: Pixels, where: str) -> float:
    try:
        value = metric.rate(picture)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from error
    _require_number(value, f"{where}: {metric.name}")
    return value


def _require_number(value: float, what: str) -> None:
    if math.isnan(value):
        raise ImageError(f"{what} is not a number")


def _require_sizes(restored: Sequence[RestoredFiles], metrics: Sequence[LoadedMetric]) -> None:
    """Fail before the first score, not in the middle, where a metric cannot look at a group."""
    for size in {size for files in restored for size in files.sizes.values()}:
        for metric in metrics:
            metric.require_size(size)


Value = TypeVar("Value")

# The slowest process may still be scoring.
_PATIENCE = timedelta(hours=6)


def gather(value: Value, processes: Processes) -> list[Value]:
    """What each process has, in their order; all must call this together.

    Raises:
        RuntimeError: another process has ended.
    """
    if processes.world == 1:
        return [value]
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        gathered: list[Value] = [value] * processes.world
        dist.all_gather_object(gathered, value)
        return gathered
    finally:
        dist.destroy_process_group()
