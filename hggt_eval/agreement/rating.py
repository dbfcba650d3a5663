"""Scores of the versions that pairs need, computed here: full-reference metrics compare candidates with the original.

Scores are kept in the output folder, a line per version, so that a killed run resumes and a later run scores only what
has changed. A kept score counts only for the same pictures, by content, and the same way of scoring.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from hggt_data.errors import ImageError, MatchError
from hggt_data.groups import Group
from hggt_data.io.files import sha256_of
from hggt_data.io.images import Pixels, decode_png
from hggt_data.io.text import format_examples, format_size, plural
from hggt_data.io.workers import cores_per_process, show_progress
from hggt_data.schema import ORIGINAL
from hggt_eval.agreement.answers import Answers
from hggt_eval.agreement.pairs import Pair
from hggt_eval.device_check import compare_image
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics import metric_versions, require_metric
from hggt_eval.metrics.comparer import AnyComparer, Comparer, LoadedMetric, NoReference
from hggt_eval.scores.journal import Journal
from hggt_eval.scores.scores import GroupScores

KEPT_FILES = ".versions"


def needed_versions(pairs: Iterable[Pair], metrics: Sequence[LoadedMetric]) -> dict[str, tuple[str, ...]]:
    """Group -> versions that the metrics need, candidates first."""
    needed: dict[str, dict[str, None]] = {}
    for pair in pairs:
        needed.setdefault(pair.group, {}).update(dict.fromkeys((pair.first, pair.second)))
    needs_original = any(isinstance(metric, Comparer) for metric in metrics)
    found = {}
    for group, names in needed.items():
        has_original = names.pop(ORIGINAL, 0) is None
        found[group] = (*names, *([ORIGINAL] if has_original or needs_original else []))
    return found


def rating_settings(metrics: Sequence[LoadedMetric]) -> dict[str, Any]:
    """Everything besides the pictures that scores depend on, as JSON values."""
    return {
        "metrics": [metric.name for metric in metrics],
        "border": metrics[0].settings.border,
        "colour": metrics[0].settings.colour,
        "device": metrics[0].settings.device,
        "weights_sha256": {name: sha256 for metric in metrics for name, sha256 in metric.weights_sha256.items()},
        "versions": metric_versions([require_metric(metric.name) for metric in metrics]),
    }


def open_journal(output: Path, metrics: Sequence[LoadedMetric]) -> Journal:
    """What earlier runs in this folder have scored."""
    return Journal(output, rating_settings(metrics), prefix=KEPT_FILES)


def rate_versions(
    groups: Sequence[Group],
    pairs: Sequence[Pair],
    metrics: Sequence[LoadedMetric],
    *,
    cache: FeatureCache | None = None,
    journal: Journal | None = None,
) -> tuple[list[Answers], Mapping[str, float]]:
    """Each metric's scores of all versions that pairs need, and how much a GPU's scores differ from the CPU's.

    Raises:
        MatchError: Pictures are missing.
        ImageError: A picture is damaged, too small or of another size, or a metric is undefined for it.
        PrecisionError: The device's scores differ from the CPU's.
    """
    needed = needed_versions(pairs, metrics)
    judged = [group for group in groups if group.id in needed]
    _require_pictures(judged, needed)
    found = [Answers(metric.name, require_metric(metric.name).higher_is_better) for metric in metrics]
    differences = _compare_with_cpu(judged, needed, metrics)
    with ThreadPoolExecutor(cores_per_process()) as threads:
        for group in show_progress(judged, len(judged), "scoring") if sys.stderr.isatty() else judged:
            scored = _rate_group(group, needed[group.id], metrics, threads, cache, journal)
            for version, scores in scored.items():
                for answers in found:
                    if answers.name in scores:
                        answers.scores[group.id, version] = scores[answers.name]
    return found, differences


def _rate_group(
    group: Group,
    versions: Sequence[str],
    metrics: Sequence[LoadedMetric],
    threads: Executor,
    cache: FeatureCache | None,
    journal: Journal | None,
) -> dict[str, Mapping[str, float]]:
    """Version -> metric -> score; pictures are decoded only if the journal lacks some."""
    files = {name: group.read_bytes(name) for name in versions}
    sha256 = {name: sha256_of(data) for name, data in files.items()}
    compares = any(isinstance(metric, Comparer) for metric in metrics)
    reference = {ORIGINAL: sha256[ORIGINAL]} if compares else {}
    rated = [name for name in versions if name != ORIGINAL or any(isinstance(one, NoReference) for one in metrics)]
    kept = {name: journal.find(name, group.id, sha256[name], reference) for name in rated} if journal else {}
    unrated = [name for name in rated if kept.get(name) is None]
    if unrated:
        pixels = {name: _decode(group, name, files[name]) for name in dict.fromkeys((*reference, *unrated))}
        _require_one_size(group, pixels)
        computed = _compute(group, unrated, pixels, sha256.get(ORIGINAL, ""), metrics, threads, cache)
        for name, (against_original, alone) in computed.items():
            scores = kept[name] = GroupScores(
                id=group.id,
                image_name=group.image_name,
                file=name,
                labels={},
                positives={ORIGINAL: against_original} if reference else {},
                alone=alone,
                sha256=sha256[name],
                ground_truths_sha256=reference,
            )
            if journal:
                journal.add(name, scores)
    return {name: {**one.positives.get(ORIGINAL, {}), **one.alone} for name, one in kept.items() if one is not None}


def _compute(
    group: Group,
    versions: Sequence[str],
    pixels: Mapping[str, Pixels],
    original_sha256: str,
    metrics: Sequence[LoadedMetric],
    threads: Executor,
    cache: FeatureCache | None,
) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Version -> scores against the original (none for the original itself), and scores without a reference."""
    scores: dict[str, tuple[dict[str, float], dict[str, float]]] = {name: ({}, {}) for name in versions}
    candidates = [name for name in versions if name != ORIGINAL]
    for metric in metrics:
        over = threads.map if metric.threadable else map
        try:
            if isinstance(metric, Comparer):
                if not candidates:
                    continue
                compare = partial(_compare, metric, _describe(metric, pixels[ORIGINAL], original_sha256, cache))
                found = zip(candidates, over(compare, [pixels[name] for name in candidates]), strict=True)
            else:
                assert isinstance(metric, NoReference)
                found = zip(versions, over(metric.rate, [pixels[name] for name in versions]), strict=True)
            for name, value in found:
                if math.isnan(value):
                    raise ImageError(f"{metric.name} of {name} is NaN; leave the metric out")
                scores[name][isinstance(metric, NoReference)][metric.name] = value
        except ImageError as error:
            raise ImageError(f"group {group.id}: {error}") from error
    return scores


def _describe(metric: AnyComparer, original: Pixels, sha256: str, cache: FeatureCache | None) -> Any:
    """The features of the original, which serves all candidates."""
    if cache is not None and metric.worth_caching:
        return cache.describe(metric, original, sha256)
    return metric.describe(original)


def _compare(metric: AnyComparer, original: Any, candidate: Pixels) -> float:
    return metric.compare(metric.describe(candidate), original)


def _decode(group: Group, name: str, data: bytes) -> Pixels:
    try:
        return decode_png(data)
    except ImageError as error:
        raise ImageError(f"{group.name_picture(name)}: {error}") from error


def _require_one_size(group: Group, pixels: Mapping[str, Pixels]) -> None:
    """Check that all versions have the size of the first, which is the original if metrics compare with it."""
    first, *others = pixels
    for name in others:
        if pixels[name].shape != pixels[first].shape:
            size, expected = (format_size(pixels[one].shape[:2]) for one in (name, first))
            raise ImageError(
                f"{group.name_picture(name)} is {size}, {first} of this group {expected}; expected equal sizes, as "
                "pictures are never resized before a comparison"
            )


def _compare_with_cpu(
    groups: Sequence[Group], needed: Mapping[str, Sequence[str]], metrics: Sequence[LoadedMetric]
) -> Mapping[str, float]:
    for group in groups:
        candidates = [name for name in needed[group.id] if name != ORIGINAL]
        if candidates and ORIGINAL in needed[group.id]:
            where = group.name_picture(candidates[0])
            return compare_image(metrics, where, group.read(candidates[0]), [group.read(ORIGINAL)])
    return {}


def _require_pictures(groups: Sequence[Group], needed: Mapping[str, Sequence[str]]) -> None:
    """Check that all pictures exist, before the first is rated."""
    missing = [f"{name} of {group.id}" for group in groups for name in needed[group.id] if not group.has_picture(name)]
    if missing:
        raise MatchError(
            f"{plural(len(missing), 'picture')} of {groups[0].source.location} that the metrics need do not exist: "
            f"{format_examples(missing)}; full-reference metrics compare with the original, others need the versions "
            "that people judged"
        )
