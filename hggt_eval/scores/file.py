"""`scores.json`: all scores of a run, unrounded, with all that is needed to check them again.

`scores.schema.json` beside this file is its JSON schema. Infinite numbers, which JSON does not have, are the string
`inf`. What is read back equals what was written.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hggt_data.errors import HggtError, MatchError
from hggt_data.restored.methods import Fault, require_distinct_names, require_method_name
from hggt_data.schema import Label, PatchId
from hggt_eval.metrics import (
    FullReferenceMetric,
    NoReferenceMetric,
    metric_versions,
    require_metric,
    tell_metric,
)
from hggt_eval.metrics.comparer import Colour
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.label_measures import GroupMean, measure_labels
from hggt_eval.scores.scores import Evaluation, GroupScores, MethodScores, Scores

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What the scores depend on, as recorded in `scores.json`.

    Attributes:
        metrics: names, in the order of the columns.
        border: pixels cut off each side.
        colour: `rgb`, or `y` where PSNR and SSIM looked at BT.601 luma.
        device: where the networks ran.
        differences_to_cpu: metric -> how far its scores of one image on the device were off the CPU's.
        source: the groups, as the user named them.
        labels_sha256: of all annotations.
        skipped_metrics: metric -> why it was asked for but not computed.
        split: of a dataset with splits.
        labels: folder of annotations, where it was named apart from the pictures.
        restored: method -> its folder, as the user named it.
        suffix: what restored files' names had to end in.
        allow_missing: whether groups with faults were left out.
        label_measures: whether negatives were compared with, too.
        weights_sha256: file name -> SHA-256 of each weights file.
        other_weights: metric -> its file of weights, where that holds other numbers than the published metric.
        versions: package -> version, of every package whose computation the scores are.
    """

    metrics: tuple[str, ...]
    border: int
    colour: Colour
    device: str
    source: str
    labels_sha256: str
    differences_to_cpu: Mapping[str, float] = field(default_factory=dict)
    skipped_metrics: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    labels: str | None = None
    restored: Mapping[str, str] = field(default_factory=dict)
    suffix: str | None = None
    allow_missing: bool = False
    label_measures: bool = False
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    other_weights: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoresFile:
    """What a `scores.json` holds.

    Attributes:
        evaluation: the scores.
        settings: what they depend on.
        metrics: by name, as the file tells of them.
    """

    evaluation: Evaluation
    settings: Settings
    metrics: Mapping[str, FullReferenceMetric | NoReferenceMetric]


def versions_of(metrics: Sequence[str]) -> dict[str, str]:
    """Package -> version, of hggt and every package whose computation these metrics are."""
    return metric_versions([require_metric(name) for name in metrics])


def what_scores_depend_on(settings: Settings) -> dict[str, Any]:
    """The settings that change a score of the same two pictures, and which pictures are compared."""
    names = ("metrics", "border", "colour", "device", "labels_sha256", "label_measures", "weights_sha256", "versions")
    return {name: getattr(settings, name) for name in names}


def format_json(evaluation: Evaluation, settings: Settings, comparison: Comparison | None = None) -> str:
    """The text of `scores.json`."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "settings": asdict(settings),
        "metrics": {name: _metric_content(name) for name in evaluation.metrics},
        "num_groups": evaluation.num_groups,
        "groups_without_positives": [str(group_id) for group_id in evaluation.without_positives],
        "methods": [_method_content(method, evaluation, settings) for method in evaluation.methods],
        **({"comparison": _comparison_content(comparison)} if comparison else {}),
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_scores(path: Path) -> ScoresFile:
    """Read a `scores.json`.

    Raises:
        MatchError: it is none, or one of another version.
        OSError: it cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
        found = content["schema_version"]
    except (ValueError, LookupError, TypeError) as error:
        raise MatchError(f"{path} is no scores.json of hggt-eval: {error or type(error).__name__}") from error
    if found != SCHEMA_VERSION:
        raise MatchError(f"{path} has version {found!r}; expected {SCHEMA_VERSION}. Score again with this hggt")
    try:
        told = {name: _parse_metric(name, content["metrics"][name]) for name in content["settings"]["metrics"]}
        for metric in told.values():
            tell_metric(metric)
        known = {part.name for part in fields(Settings)}
        facts = {name: value for name, value in content["settings"].items() if name in known}
        metrics = tuple(facts["metrics"])
        settings = Settings(**{**facts, "metrics": metrics})
        evaluation = Evaluation(
            metrics=metrics,
            methods=tuple(_parse_method(method) for method in content["methods"]),
            without_positives=tuple(PatchId.parse(text) for text in content["groups_without_positives"]),
            num_groups=content["num_groups"],
        )
        _require_consistent(evaluation)
    except (HggtError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise MatchError(f"{path} is damaged: {type(error).__name__} {error}; score again") from error
    return ScoresFile(evaluation, settings, told)


def _require_consistent(evaluation: Evaluation) -> None:
    """Check what all that work with scores rely on.

    Raises:
        MatchError, ValueError: it is not so.
    """
    kinds = {name: isinstance(require_metric(name), FullReferenceMetric) for name in evaluation.metrics}
    compared = {name for name, has_reference in kinds.items() if has_reference}
    alone = kinds.keys() - compared
    require_distinct_names([(method.name, "the same file") for method in evaluation.methods])
    for method in evaluation.methods:
        require_method_name(method.name)
        if len({group.id for group in method.groups}) != len(method.groups):
            raise ValueError(f"{method.name} has a group twice")
        for group in method.groups:
            scores = [*group.positives.values(), *group.negatives.values()]
            if not group.positives or any(own.keys() != compared for own in scores) or group.alone.keys() != alone:
                raise ValueError(f"{method.name} has not all scores of {group.id}")
            if not group.agreement.keys() >= group.positives.keys():
                raise ValueError(f"{method.name} has not all agreements of {group.id}")


def _metric_content(name: str) -> dict[str, Any]:
    """What a reader without the metric's package cannot know."""
    metric = require_metric(name)
    return {
        "title": metric.title,
        "higher_is_better": metric.higher_is_better,
        "full_reference": isinstance(metric, FullReferenceMetric),
        "package": metric.package,
    }


def _parse_metric(name: str, facts: Mapping[str, Any]) -> FullReferenceMetric | NoReferenceMetric:
    kind = FullReferenceMetric if facts["full_reference"] else NoReferenceMetric
    return kind(name, facts["title"], facts["higher_is_better"], (), facts["package"])


def group_content(group: GroupScores) -> dict[str, Any]:
    """One image's scores as JSON; `parse_group` reads it."""
    return {
        "id": str(group.id),
        "file": group.file,
        "sha256": group.sha256,
        "ground_truths_sha256": dict(group.ground_truths_sha256),
        "mean": _numbers(group.mean),
        "num_infinite": dict(group.num_infinite),
        "labels": {candidate: label.value if label else None for candidate, label in group.labels.items()},
        "agreement": dict(group.agreement),
        "positives": {candidate: _numbers(scores) for candidate, scores in group.positives.items()},
        **({"alone": _numbers(group.alone)} if group.alone else {}),
        **(
            {"negatives": {name: _numbers(scores) for name, scores in group.negatives.items()}}
            if group.negatives
            else {}
        ),
        **({"looks_swapped": True} if group.looks_swapped else {}),
    }


def parse_group(content: Mapping[str, Any]) -> GroupScores:
    """The scores that `group_content` wrote.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is something else.
    """
    return GroupScores(
        id=PatchId.parse(content["id"]),
        file=content["file"],
        labels={name: Label(label) if label else None for name, label in content["labels"].items()},
        positives={name: _parse_numbers(scores) for name, scores in content["positives"].items()},
        alone=_parse_numbers(content.get("alone", {})),
        negatives={name: _parse_numbers(scores) for name, scores in content.get("negatives", {}).items()},
        agreement=dict(content["agreement"]),
        looks_swapped=bool(content.get("looks_swapped", False)),
        sha256=content["sha256"],
        ground_truths_sha256=dict(content["ground_truths_sha256"]),
    )


def _method_content(method: MethodScores, evaluation: Evaluation, settings: Settings) -> dict[str, Any]:
    return {
        "name": method.name,
        "num_groups": len(method.groups),
        "mean": _numbers(method.mean),
        "num_infinite": dict(method.num_infinite),
        "num_swapped": method.num_swapped,
        "left_out": [
            {"kind": fault.kind, "id": fault.id and str(fault.id), "message": fault.message} for fault in method.faults
        ],
        **({"label_measures": _measures_content(method, evaluation)} if settings.label_measures else {}),
        "groups": [group_content(group) for group in method.groups],
    }


def _parse_method(content: Mapping[str, Any]) -> MethodScores:
    name = content["name"]
    faults = tuple(
        Fault(fault["kind"], name, PatchId.parse(fault["id"]) if fault["id"] else None, fault["message"])
        for fault in content["left_out"]
    )
    return MethodScores(name, tuple(parse_group(group) for group in content["groups"]), faults)


def _measures_content(method: MethodScores, evaluation: Evaluation) -> dict[str, Any]:
    def means(of_metric: Mapping[str, GroupMean]) -> dict[str, Any]:
        return {
            metric: {
                "mean": None if math.isnan(mean.value) else _number(mean.value),
                "num_groups": mean.num_groups,
                "num_infinite": mean.num_infinite,
            }
            for metric, mean in of_metric.items()
        }

    measures = measure_labels(method, evaluation.metrics)
    return {
        "best_of_positives": means(measures.best_of_positives),
        "distance_to_negatives": means(measures.distance_to_negatives),
        "positive_margin": means(measures.positive_margin),
        "nearer_to_negative": means(measures.nearer_to_negative),
        "by_agreement": {str(level): means(of_metric) for level, of_metric in measures.by_agreement.items()},
    }


def _comparison_content(comparison: Comparison) -> dict[str, Any]:
    content = asdict(comparison)
    for part in (*content["summaries"], *content["differences"]):
        part["mean"] = None if math.isnan(part["mean"]) else _number(part["mean"])
    return content


def _numbers(scores: Scores) -> dict[str, float | str]:
    return {metric: _number(score) for metric, score in scores.items()}


def _number(score: float) -> float | str:
    return score if math.isfinite(score) else str(score)


def _parse_numbers(scores: Mapping[str, float | str]) -> dict[str, float]:
    numbers = {metric: float(score) for metric, score in scores.items()}
    if any(map(math.isnan, numbers.values())):
        raise ValueError("a score is not a number")
    return numbers
