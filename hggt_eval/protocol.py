"""Multi-positive scoring: a restored image against every positive of its group, the mean, then the mean over groups.

Each file is read once for all metrics. A candidate's features are computed once for all methods, a restored image's
once for all its candidates. Memory holds one group at a time, or two if all metrics use a single core. Several
processes share the groups.

Source: section 5 of the HGGT paper (CVPR 2023) and the official multi-GT scripts, which fail on a group without
positives; here such a group is left out and reported.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from hggt_data.errors import ImageError, MatchError, SettingsError
from hggt_data.groups import Group, GroupSource
from hggt_data.io.names import find_lookalikes
from hggt_data.io.workers import Processes, cores_per_process
from hggt_data.loading import opened
from hggt_data.ranges import require_kind
from hggt_data.restored.matching import RestoredFiles
from hggt_data.restored.methods import Fault
from hggt_data.tree.aliases import join_pairs
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.group_scorer import GroupScorer, UnusableImageError
from hggt_eval.metrics import require_metric
from hggt_eval.metrics.comparer import LoadedMetric
from hggt_eval.metrics.protocols import Aggregation, Sizes
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.journal import Journal
from hggt_eval.scores.picture_sets import Features
from hggt_eval.scores.scores import GroupScores, MethodScores, best_of_ground_truths
from hggt_eval.set_describer import SetDescriber

_ALONE = Processes()
# The slowest process may still be scoring.
_GATHER_TIMEOUT = timedelta(hours=6)
_GROUPS_AT_ONCE = 2

Value = TypeVar("Value")


def evaluate(
    source: GroupSource | str | Path,
    restored: Sequence[RestoredFiles],
    metrics: Sequence[LoadedMetric],
    *,
    negatives: bool = False,
    aggregation: Aggregation = "mean",
    sizes: Sizes = "equal",
    cache: FeatureCache | None = None,
    known_features: Features | None = None,
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
        aggregation: Whether a group counts with the mean over its ground truths or with the best of them.
        sizes: `common` to crop pictures at the right and bottom to the size in `restored`, if that is smaller.
        cache: Keeps features of positives and negatives for later runs, and those of all pictures for metrics of sets.
        known_features: Features for metrics of sets from an earlier run with the same settings.
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
    kept = cache or (FeatureCache(journal.features_folder) if journal else None)
    describer = SetDescriber(source, restored, metrics, kept, known_features or {})
    own = processes.share(groups)
    names = {group.id: (*group.ground_truths, *(group.negatives if negatives else ())) for group in own}
    pictures = sum(len(names[group.id]) + sum(group.id in files.files for files in restored) for group in own)
    results: dict[str, list[GroupScores]] = {files.method.name: [] for files in restored}
    faults: dict[str, list[Fault]] = {name: [] for name in results}
    with (
        ThreadPoolExecutor(cores_per_process()) as threads,
        ThreadPoolExecutor(_GROUPS_AT_ONCE) as ahead,
        # Progress counts pictures, as nearly all time is spent describing them.
        tqdm(total=pictures, unit="picture", desc="scoring", disable=None if progress else True) as bar,
    ):

        def score_group(group: Group) -> list[tuple[str, GroupScores | Fault]]:
            found: list[tuple[str, GroupScores | Fault]] = []
            scorer: GroupScorer | None = None  # of this group only, as features may take 100 MB per picture
            for files in sorted(restored, key=lambda files: files.sizes.get(group.id, (0, 0))):
                if group.id not in files.files:
                    continue
                size = files.sizes[group.id]
                if scorer is None or scorer.size != size:
                    scorer = GroupScorer(
                        group, names[group.id], size, metrics, threads, cache, may_crop=sizes == "common"
                    )
                name, path = files.method.name, files.files[group.id]
                try:
                    found.append((name, scorer.score(files, journal)))
                except UnusableImageError as error:
                    if not allow_missing:
                        raise ImageError(f"{path}: {error}; `allow_missing` leaves out such images") from error
                    fault = Fault("unusable", name, group.id, f"{files.method.file_name(path)}: {error}")
                    found.append((name, fault))
                with bar.get_lock():
                    bar.update()
            with bar.get_lock():
                bar.update(len(names[group.id]))
            return found

        # While one group waits for its last picture, the next one is read.
        over = ahead.map if all(metric.threadable for metric in metrics) else map
        try:
            for name, one in chain.from_iterable(over(score_group, own)):
                if isinstance(one, Fault):
                    faults[name].append(one)
                else:
                    results[name].append(one)
        finally:
            ahead.shutdown(cancel_futures=True)
    described = describer.describe(processes.share(judged), progress)
    shares = gather((results, faults, described), processes)
    order = {group.id: number for number, group in enumerate(groups)}
    scored = {
        name: tuple(sorted((scores for share, *_ in shares for scores in share[name]), key=lambda s: order[s.id]))
        for name in results
    }
    unusable = {name: tuple(fault for _, share, _ in shares for fault in share[name]) for name in results}
    if not any(scored.values()):
        raise MatchError(
            f"nothing to score: no group of {source.location} has both "
            f"{'a positive' if source.has_labels else 'a ground truth'} and a usable restored image"
        )
    if aggregation == "best":
        scored = {name: tuple(best_of_ground_truths(own, descriptions)) for name, own in scored.items()}
    sets = None
    if describer.is_needed:
        left_out = {name: {fault.id for fault in own if fault.id} for name, own in unusable.items()}
        of_group = {group.id: number for number, group in enumerate(judged)}
        sets = describer.join([share for *_, share in shares], of_group, left_out)
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
        sets=sets,
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


def _require_sizes(restored: Sequence[RestoredFiles], metrics: Sequence[LoadedMetric]) -> None:
    """Fail before the first score if a group is too small for a metric."""
    for size in {size for files in restored for size in files.sizes.values()}:
        for metric in metrics:
            metric.require_size(size)
