"""Several `scores.json` joined into one, if they are comparable: same labels, same pictures, same way of scoring."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from hggt_data.errors import MatchError, SettingsError
from hggt_data.licence import UNKNOWN_LICENSE
from hggt_data.restored.methods import require_distinct_names
from hggt_data.tree.aliases import join_pairs
from hggt_eval.metrics import SetMetric
from hggt_eval.metrics.protocols import CUSTOM
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import ScoresFile, Settings, find_scores, read_scores
from hggt_eval.scores.picture_sets import join_sets
from hggt_eval.scores.scores import GroupScores, MethodScores, Scores


def require_output_apart(paths: Sequence[Path], output: Path) -> None:
    """Check that a comparison of several scores does not overwrite one of them."""
    if len(paths) > 1 and find_scores(output).resolve() in {find_scores(path).resolve() for path in paths}:
        raise SettingsError(f"`output` {output} contains scores that are compared; choose another folder")


def join_scores(paths: Sequence[Path]) -> tuple[ScoresFile, list[str]]:
    """Read several files, or folders that contain one, and join their methods in the order given.

    Only metrics that all files have are kept. A method that several files have, such as a baseline, counts once.
    Returns the joined scores, and remarks: metrics left out, versions that differ.

    Args:
        paths: Folders of scores, or their scores.json.

    Raises:
        MatchError: A file is not a scores file; two cannot be compared; a name stands for different images; no metric
            is in all files.
    """
    places = [find_scores(path) for path in paths]
    files = [read_scores(place) for place in places]
    first = files[0]
    for (place, file), (other_place, other) in combinations(zip(places, files, strict=True), 2):
        _require_comparable(place, file, other_place, other)
    _require_same_pictures(places, files)
    metrics = tuple(name for name in first.settings.metrics if all(name in file.settings.metrics for file in files))
    if not metrics:
        listed = "; ".join(f"{place}: {', '.join(f.settings.metrics)}" for place, f in zip(places, files, strict=True))
        raise MatchError(f"no metric is in all files: {listed}")
    methods = _distinct_methods(places, files)
    kept = [metric for metric in first.evaluation.metrics if isinstance(metric, SetMetric) and metric.name in metrics]
    label_measures = all(file.settings.label_measures for file in files)
    evaluation = replace(
        first.evaluation,
        metrics=tuple(metric for metric in first.evaluation.metrics if metric.name in metrics),
        methods=tuple(_with_metrics(method, metrics) for method, _ in methods),
        with_negatives=label_measures,
        same_pictures=_same_pictures(files),
        sets=join_sets([file.evaluation.sets for file in files], kept) if kept else None,
    )
    followed = next((f.settings for f in files if f.settings.protocol != CUSTOM), first.settings)
    settings = replace(
        first.settings,
        protocol=followed.protocol,
        protocol_sha256=followed.protocol_sha256,
        metrics=metrics,
        differences_to_cpu=_largest([file.settings.differences_to_cpu for file in files], metrics),
        skipped_metrics={},
        license=next((f.settings.license for f in files if f.settings.license != UNKNOWN_LICENSE), UNKNOWN_LICENSE),
        restored={method.name: folder for method, folder in methods if folder is not None},
        allow_missing=any(file.settings.allow_missing for file in files),
        label_measures=label_measures,
    )
    return ScoresFile(evaluation, settings), _remarks(places, files, metrics)


def _same_pictures(files: Sequence[ScoresFile]) -> tuple[tuple[str, ...], ...]:
    lists = [names for file in files for names in file.evaluation.same_pictures]
    return tuple(map(tuple, join_pairs((names[0], name) for names in lists for name in names[1:])))


def _largest(differences: Sequence[Mapping[str, float]], metrics: Sequence[str]) -> Mapping[str, float]:
    """Metric -> the largest of its differences, for metrics that have any."""
    found = {metric: [own[metric] for own in differences if metric in own] for metric in metrics}
    return {metric: max(values) for metric, values in found.items() if values}


def _distinct_methods(places: Sequence[Path], files: Sequence[ScoresFile]) -> list[tuple[MethodScores, str | None]]:
    """All methods with their folders; if several files have a method with the same images, the first one's."""
    methods: dict[str, tuple[MethodScores, str | None]] = {}
    origins: list[tuple[str, str]] = []
    for place, file in zip(places, files, strict=True):
        for method in file.evaluation.methods:
            known, _ = methods.setdefault(method.name, (method, file.settings.restored.get(method.name)))
            if known is method or _images(known) != _images(method):
                origins.append((method.name, str(place)))
    require_distinct_names(origins, "their images differ; score one again under another name")
    return list(methods.values())


def _images(method: MethodScores) -> Mapping[str, str]:
    """Group -> SHA-256 of the restored image."""
    return {group.id: group.sha256 for group in method.groups}


def _require_comparable(place: Path, file: ScoresFile, other_place: Path, other_file: ScoresFile) -> None:
    """Report everything that differs and changes scores or their meaning."""
    settings, other = file.settings, other_file.settings
    shared = [name for name in settings.metrics if name in other.metrics]
    directions, other_directions = _directions(file.evaluation), _directions(other_file.evaluation)
    weights = settings.weights_sha256.keys() & other.weights_sha256.keys()
    measured = {
        "border": (settings.border, other.border),
        "colour": (settings.colour, other.colour),
        "aggregation": (settings.aggregation, other.aggregation),
        "sizes": (settings.sizes, other.sizes),
    }
    # What is scored with the settings of a protocol, but without naming it, is comparable with it.
    is_named = CUSTOM not in (settings.protocol, other.protocol)
    protocols = (_protocol_of(settings), _protocol_of(other))
    pairs: dict[str, tuple[Any, Any]] = {
        **({"protocol": protocols} if is_named or any(a != b for a, b in measured.values()) else {}),
        "labels": (settings.labels_sha256, other.labels_sha256),
        "ground truths": ("none" if settings.no_gt else "some", "none" if other.no_gt else "some"),
        **measured,
        **{f"weights of {name}": (_weights_of(name, settings), _weights_of(name, other)) for name in shared},
        **{f"better side of {name}": (directions[name], other_directions[name]) for name in shared},
        **{f"weights {name}": (settings.weights_sha256[name], other.weights_sha256[name]) for name in sorted(weights)},
    }
    faults = [f"{what}: {_short(a)} and {_short(b)}" for what, (a, b) in pairs.items() if a != b]
    if faults:
        raise MatchError(
            f"{place} and {other_place} cannot be compared: {'; '.join(faults)}. Score one of them again with "
            "the settings of the other"
        )


def _short(value: Any) -> str:
    """A value as text; of a SHA-256 the beginning."""
    text = str(value)
    return text[:16] if len(text) == 64 else text


def _protocol_of(settings: Settings) -> str:
    """Its name, with a hash of its content, as two files may have one name."""
    return settings.protocol + (f" {settings.protocol_sha256[:6]}" if settings.protocol_sha256 else "")


def _weights_of(metric: str, settings: Settings) -> str:
    return "not published" if metric in settings.other_weights else "published"


def _directions(evaluation: Evaluation) -> dict[str, str]:
    return {metric.name: "higher" if metric.higher_is_better else "lower" for metric in evaluation.metrics}


def _require_same_pictures(places: Sequence[Path], files: Sequence[ScoresFile]) -> None:
    """Compare every pair of files, as two files may share groups that the first lacks."""
    known: dict[tuple[str, str], tuple[str, Path]] = {}
    for place, file in zip(places, files, strict=True):
        own = _ground_truths(file.evaluation)
        faults = [key for key, sha256 in own.items() if known.get(key, (sha256, place))[0] != sha256]
        if faults:
            group, candidate = faults[0]
            raise MatchError(
                f"{known[faults[0]][1]} and {place} were scored against different pictures: {len(faults)} ground "
                f"truths differ (first: {candidate} of {group}); score one of them again"
            )
        known |= {key: (sha256, place) for key, sha256 in own.items() if key not in known}


def _ground_truths(evaluation: Evaluation) -> Mapping[tuple[str, str], str]:
    groups = [group for method in evaluation.methods for group in method.groups]
    known = {(group.id, name): sha256 for group in groups for name, sha256 in group.ground_truths_sha256.items()}
    for own in () if evaluation.sets is None else evaluation.sets.groups:
        known |= {(own.id, name): sha256 for name, sha256 in {**own.ground_truths, **own.positives}.items()}
    return known


def _with_metrics(method: MethodScores, metrics: Sequence[str]) -> MethodScores:
    def kept(scores: Scores) -> Scores:
        return {metric: scores[metric] for metric in metrics if metric in scores}

    def of(group: GroupScores) -> GroupScores:
        return replace(
            group,
            positives={name: kept(scores) for name, scores in group.positives.items()},
            negatives={name: kept(scores) for name, scores in group.negatives.items()},
            alone=kept(group.alone),
        )

    return replace(method, groups=tuple(of(group) for group in method.groups))


def _remarks(places: Sequence[Path], files: Sequence[ScoresFile], metrics: Sequence[str]) -> list[str]:
    remarks = []
    for name in dict.fromkeys(name for file in files for name in file.settings.metrics):
        if name not in metrics:
            lacking = [str(p) for p, file in zip(places, files, strict=True) if name not in file.settings.metrics]
            remarks.append(f"{name} is left out: missing from {', '.join(lacking)}")
    without = [str(p) for p, file in zip(places, files, strict=True) if not file.settings.label_measures]
    if 0 < len(without) < len(files):
        remarks.append(f"label measures are left out: missing from {', '.join(without)}")
    for package in dict.fromkeys(package for file in files for package in file.settings.versions):
        versions = dict.fromkeys(file.settings.versions[package] for file in files if package in file.settings.versions)
        if len(versions) > 1:
            remarks.append(f"scored with {package} {' and '.join(versions)}; the last digits may differ")
    return remarks
