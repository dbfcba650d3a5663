"""Multi-positive scoring: a restored image against every positive of its group, the mean, then the mean over groups.

Each file is read once for all metrics. A candidate's features are computed once for all methods, a restored image's
once for all its candidates. Memory holds one group at a time. Several processes share the groups.

Source: section 5 of the HGGT paper (CVPR 2023) and the official multi-GT scripts, which fail on a group without
positives; here such a group is left out and reported.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hggt_data.errors import ImageError, MatchError, SettingsError
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import read_regular_file, sha256_of
from hggt_data.io.images import Pixels, decode_png
from hggt_data.io.names import find_lookalikes
from hggt_data.io.workers import Processes, cores_per_process
from hggt_data.loading import opened
from hggt_data.ranges import require_kind
from hggt_data.restored.matching import RestoredFiles
from hggt_data.restored.methods import Fault
from hggt_data.tree.aliases import join_pairs
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics import require_metric
from hggt_eval.metrics.comparer import AnyComparer, Comparer, LoadedMetric, NoReference
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.journal import Journal
from hggt_eval.scores.scores import GroupScores, MethodScores

_ALONE = Processes()
# The slowest process may still be scoring.
_GATHER_TIMEOUT = timedelta(hours=6)

Value = TypeVar("Value")


class _UnusableImageError(ImageError):
    """A metric is undefined for a restored image; the text does not name the file."""


def evaluate(
    source: GroupSource | str | Path,
    restored: Sequence[RestoredFiles],
    metrics: Sequence[LoadedMetric],
    *,
    negatives: bool = False,
    cache: FeatureCache | None = None,
    journal: Journal | None = None,
    processes: Processes = _ALONE,
    allow_missing: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Score every method against every positive of every group; in data without labels, against the originals.

    No-reference metrics rate the restored images of the same groups, so that all scores are of the same pictures.

    Args:
        source: The groups, or what `hggt_data.open_groups` opens: the test split of a dataset, or a tree.
        restored: Each method's files, from `match_restored`.
        metrics: Metrics ready to run, from `METRICS[name].load(settings)`.
        negatives: Also compare with every negative, for the label measures.
        cache: Keeps features of positives and negatives for later runs.
        journal: Keeps each image's scores, so that an interrupted run can resume.
        processes: Processes that share the groups; all must make this call, and each gets all scores.
        allow_missing: Leave out images for which a metric is undefined, as a fault of their method.
        progress: Show rate and remaining time on stderr.

    Returns:
        All scores, with each method's left-out images.

    Raises:
        SettingsError: An argument is of another kind, such as the name of a metric.
        ImageError: A picture is damaged, is too small for a metric, or has changed its size since it was matched.
        MatchError: No group has both a ground truth and a restored image.
        OutputError: Features or scores cannot be written.

    `score` does all of this in one call.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import match_restored, name_methods, open_groups
        >>> from hggt_data.tree.demo import write_demo
        >>> from hggt_eval import METRICS, evaluate
        >>> _, test, _, bicubic, _ = write_demo(Path(tempfile.mkdtemp()))
        >>> groups = open_groups(test)
        >>> restored = match_restored(name_methods([(None, bicubic)]), groups)
        >>> evaluation = evaluate(groups, restored, [METRICS["psnr"].load()])
        >>> round(evaluation.methods[0].mean["psnr"], 2)
        22.6
    """
    source = opened(source, "test")
    for files in restored:
        require_kind(RestoredFiles, "that of `match_restored`", restored=files)
    for metric in metrics:
        require_kind(LoadedMetric, "such as METRICS[NAME].load()", metrics=metric)
    descriptions = tuple(require_metric(metric.name) for metric in metrics)
    judged = list(source)
    if negatives and not source.has_labels:
        raise SettingsError(f"{source.location} has no labels, so there are no negatives and no label measures")
    groups = [group for group in judged if group.ground_truths or not source.has_ground_truths]
    _require_sizes(restored, metrics)
    own = processes.share(groups)
    names = {group.id: (*group.ground_truths, *(group.negatives if negatives else ())) for group in own}
    pictures = sum(len(names[group.id]) + sum(group.id in files.files for files in restored) for group in own)
    results: dict[str, list[GroupScores]] = {files.method.name: [] for files in restored}
    faults: dict[str, list[Fault]] = {name: [] for name in results}
    with (
        ThreadPoolExecutor(cores_per_process()) as threads,
        # Progress counts pictures, as nearly all time is spent describing them.
        tqdm(total=pictures, unit="picture", desc="scoring", disable=None if progress else True) as bar,
    ):
        for group in own:
            present = [files for files in restored if group.id in files.files]
            if present:
                # Replaced for every group, as features may take 100 MB per picture.
                scorer = _GroupScorer(group, names[group.id], present[0].sizes[group.id], metrics, threads, cache)
            for files in present:
                name, path = files.method.name, files.files[group.id]
                try:
                    results[name].append(scorer.score(files, journal))
                except _UnusableImageError as error:
                    if not allow_missing:
                        raise ImageError(f"{path}: {error}; `allow_missing` leaves out such images") from error
                    faults[name].append(Fault("unusable", name, group.id, f"{files.method.file_name(path)}: {error}"))
                bar.update()
            bar.update(len(names[group.id]))
    shares = gather((results, faults), processes)
    order = {group.id: number for number, group in enumerate(groups)}
    scored = {
        name: tuple(sorted((scores for share, _ in shares for scores in share[name]), key=lambda s: order[s.id]))
        for name in results
    }
    unusable = {name: tuple(fault for _, share in shares for fault in share[name]) for name in results}
    if not any(scored.values()):
        raise MatchError(
            f"nothing to score: no group of {source.location} has both "
            f"{'a positive' if source.has_labels else 'a ground truth'} and a usable restored image"
        )
    return Evaluation(
        metrics=descriptions,
        methods=tuple(
            MethodScores(name, scored[name], (*files.faults, *unusable[name]))
            for name, files in ((files.method.name, files) for files in restored)
        ),
        without_positives=tuple(group.id for group in judged if source.has_ground_truths and not group.ground_truths),
        num_groups=len(judged),
        with_negatives=negatives,
        same_pictures=tuple(map(tuple, join_pairs(find_same_pictures(source)))),
    )


def find_same_pictures(source: GroupSource) -> Iterator[tuple[str, str]]:
    """Pairs of source pictures that are one picture."""
    yield from find_lookalikes(sorted(set(source.image_names)))
    yield from source.find_equal_pictures()


def gather(value: Value, processes: Processes) -> list[Value]:
    """The values of all processes, in their order; all must make this call together."""
    if processes.world == 1:
        return [value]
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=_GATHER_TIMEOUT)
    try:
        gathered: list[Value] = [value] * processes.world
        dist.all_gather_object(gathered, value)
        return gathered
    finally:
        dist.destroy_process_group()


class _GroupScorer:
    """Scores restored images against the ground truths of one group.

    Ground truths are described when the first image needs them; if the journal has all images, they are not decoded.

    Args:
        group: The group.
        names: Its positives, then its negatives if they are requested.
        size: (height, width) that all pictures must have.
        metrics: Metrics ready to run.
        threads: Runs metrics that use a single core.
        cache: Keeps features, if given.
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
        """The scores of one method's restored image, from the journal if it has them."""
        path = files.files[self._group.id]
        data = read_regular_file(path)
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
        picture = self._decode(data, str(path))
        scores: dict[str, dict[str, float]] = {name: {} for name in self._names}
        for metric, features in zip(self._comparers, self._features, strict=True):
            compare = partial(metric.compare, metric.describe(picture))
            values = self._threads.map(compare, features) if metric.threadable else map(compare, features)
            for name, value in zip(self._names, values, strict=True):
                _require_number(value, f"{metric.name} against {name} of {group.id}")
                scores[name][metric.name] = value
        return GroupScores(
            id=group.id,
            image_name=group.image_name,
            file=file,
            labels=dict(zip(group.candidates, group.consensus, strict=True)),
            positives={name: scores[name] for name in group.ground_truths},
            alone={metric.name: _rate(metric, picture) for metric in self._no_reference},
            negatives={name: scores[name] for name in self._names if name in group.negatives},
            agreement={
                name: number for name, number in zip(group.candidates, group.agreement, strict=True) if name in scores
            },
            is_flat=bool((picture == picture[0, 0]).all()),
            looks_swapped=bool(self._pictures) and _looks_swapped(picture, self._pictures[0]),
            sha256=sha256,
            ground_truths_sha256=self._sha256,
        )

    @cached_property
    def _pictures(self) -> list[Pixels]:
        return [
            self._decode(data, self._group.name_picture(name))
            for name, data in zip(self._names, self._files, strict=True)
        ]

    @cached_property
    def _features(self) -> list[list[Any]]:
        """The features of all pictures, for each metric."""
        return [self._describe(metric) for metric in self._comparers]

    def _describe(self, metric: AnyComparer) -> list[Any]:
        if self._cache is not None and metric.worth_caching:
            return list(map(partial(self._cache.describe, metric), self._pictures, self._sha256.values()))
        over = self._threads.map if metric.threadable else map
        return list(over(metric.describe, self._pictures))

    def _decode(self, data: bytes, where: str) -> Pixels:
        """A picture, which must have the size it had when the restored images were matched."""
        try:
            picture = decode_png(data)
        except ImageError as error:
            raise ImageError(f"{where}: {error}") from error
        if picture.shape[:2] != self._size:
            found, expected = (f"{height} x {width}" for height, width in (picture.shape[:2], self._size))
            raise ImageError(f"{where} is {found}; expected {expected}, its size when it was checked")
        return picture


def _looks_swapped(restored: Pixels, positive: Pixels) -> bool:
    """Whether exchanging red and blue more than halves the squared difference, as if OpenCV had been given RGB."""
    small, reference = (picture[::4, ::4].astype(np.float32) for picture in (restored, positive))
    unchanged, exchanged = (_squared_error(pixels, reference) for pixels in (small, small[..., ::-1]))
    return exchanged < unchanged / 2


def _squared_error(pixels: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    return float(((pixels - reference) ** 2).mean())


def _rate(metric: NoReference, picture: Pixels) -> float:
    try:
        value = metric.rate(picture)
    except ImageError as error:
        raise _UnusableImageError(str(error)) from error
    _require_number(value, metric.name)
    return value


def _require_number(value: float, what: str) -> None:
    if math.isnan(value):
        raise _UnusableImageError(f"{what} is NaN")


def _require_sizes(restored: Sequence[RestoredFiles], metrics: Sequence[LoadedMetric]) -> None:
    """Fail before the first score if a group is too small for a metric."""
    for size in {size for files in restored for size in files.sizes.values()}:
        for metric in metrics:
            metric.require_size(size)
