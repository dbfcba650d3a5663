"""`scores.json`: all scores of a run, unrounded, with everything needed to check them again.

`scores.schema.json` beside this file is its JSON schema. Infinite numbers, which JSON lacks, are the string `inf`.
Reading a file returns exactly what was written.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from hggt_data.errors import HggtError, MatchError
from hggt_data.io.files import read_regular_file
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.licence import UNKNOWN_LICENSE
from hggt_data.restored.methods import SCORES_FILE, Fault, FaultKind, require_distinct_names, require_method_name
from hggt_data.schema import ORIGINAL, Label, group_order, require_group_id
from hggt_eval.metrics import SET_METRICS, AnyMetric, FullReferenceMetric, NoReferenceMetric, SetMetric
from hggt_eval.metrics.comparer import Colour
from hggt_eval.metrics.labels import GroupMean
from hggt_eval.metrics.protocols import Aggregation, Sizes
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.label_measures import LabelMeasures
from hggt_eval.scores.scores import GroupScores, MethodScores, Scores, best_of_ground_truths
from hggt_eval.scores.sets_file import SetsContent, distance_content, parse_sets, require_sets, sets_content

SCHEMA_VERSION = 1
_LARGEST_SCORE = 1e12


@dataclass(frozen=True, slots=True)
class Settings:
    """What the scores depend on, as recorded in `scores.json`.

    Attributes:
        metrics: Metric names, in the order of the columns.
        protocol: Scoring protocol that was followed; `custom` if border, colour and metrics were chosen freely.
        protocol_sha256: SHA-256 of the protocol's content; None if it is `custom`.
        aggregation: What counts of a group: the mean over its ground truths, or the best of them.
        sizes: `common` if images and ground truths were cropped to the size both have.
        border: Pixels cut off each side.
        colour: `rgb`, or `y` if PSNR and SSIM were computed on BT.601 luma.
        device: Device on which the networks ran.
        source: The groups, as the user named them.
        labels_sha256: SHA-256 of all annotations.
        license: Licence id of the data, as in its manifest; `unknown` in files that do not record it.
        differences_to_cpu: Metric -> largest difference between the device's and the CPU's scores of one image.
        skipped_metrics: Metric -> why it was requested but not computed.
        split: Split, of a dataset with splits.
        labels: Folder of annotations, if it was given separately from the pictures.
        gt: Folders of ground truths without labels, if they were given instead of a dataset.
        no_gt: Whether there were no ground truths.
        restored: Method -> its folder, as the user named it.
        suffix: Required ending of restored files' names.
        allow_missing: Whether groups with faults were left out.
        label_measures: Whether restored images were also compared with negatives.
        weights_sha256: File name -> SHA-256 of each weights file.
        other_weights: Metric -> its weights file, if that differs from the published metric's.
        versions: Package -> version, for every package that computed a score.
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
    license: str = UNKNOWN_LICENSE
    protocol: str = "custom"
    protocol_sha256: str | None = None
    aggregation: Aggregation = "mean"
    sizes: Sizes = "equal"
    gt: tuple[str, ...] = ()
    no_gt: bool = False
    restored: Mapping[str, str] = field(default_factory=dict)
    suffix: str | None = None
    allow_missing: bool = False
    label_measures: bool = False
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    other_weights: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoresFile:
    """The content of a `scores.json`.

    Attributes:
        evaluation: The scores.
        settings: What the scores depend on.
    """

    evaluation: Evaluation
    settings: Settings


def what_scores_depend_on(settings: Settings) -> dict[str, Any]:
    """The settings that change the score of the same two pictures, or which pictures are compared."""
    names = ("metrics", "border", "colour", "device", "labels_sha256", "label_measures", "weights_sha256", "versions")
    return {name: getattr(settings, name) for name in names}


def format_json(evaluation: Evaluation, settings: Settings, comparison: Comparison | None = None) -> str:
    """The text of `scores.json`."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "settings": asdict(settings),
        "metrics": {metric.name: _metric_content(metric) for metric in evaluation.metrics},
        "num_groups": evaluation.num_groups,
        "groups_without_positives": list(evaluation.without_positives),
        **({"same_pictures": evaluation.same_pictures} if evaluation.same_pictures else {}),
        "methods": [_method_content(method, evaluation) for method in evaluation.methods],
        **({} if evaluation.sets is None else {"sets": sets_content(evaluation.sets)}),
        **({"comparison": _comparison_content(comparison)} if comparison else {}),
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def find_scores(path: Path) -> Path:
    """The `scores.json` of a folder, or the file itself."""
    return path / SCORES_FILE if path.is_dir() else path


def read_scores(path: str | Path) -> ScoresFile:
    """Read a `scores.json`.

    Metrics are as the file describes them, so the packages that computed them are not needed.

    Args:
        path: The file, or the folder that contains it.

    Returns:
        The scores, and what they depend on.

    Raises:
        MatchError: There is no such file, or it is not a scores file, has another version, or is damaged.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import name_methods
        >>> from hggt_data.tree.demo import write_demo
        >>> from hggt_eval import GroundTruth, compare_methods, read_scores, score, write_reports
        >>> folder = Path(tempfile.mkdtemp())
        >>> _, test, _, bicubic, sharper = write_demo(folder)
        >>> methods = name_methods([(None, bicubic), (None, sharper)])
        >>> scored = score(methods, GroundTruth(dataset=test), metrics=["psnr"])
        >>> comparison = compare_methods(scored.evaluation)
        >>> files = write_reports(scored.evaluation, scored.settings, comparison, folder / "scores")
        >>> read_scores(folder / "scores").evaluation == scored.evaluation
        True
    """
    path = find_scores(Path(path))
    if not path.exists():
        raise MatchError(f"{path} does not exist; expected a folder that hggt-eval has written scores to, or its file")
    try:
        content = parse_json(read_regular_file(path))
        found = read_value(_Versioned, content)["schema_version"]
    except ValueError as error:
        raise MatchError(f"{path} is not a scores.json of hggt-eval: {error}") from error
    if found != SCHEMA_VERSION:
        raise MatchError(
            f"{path} has version {found!r}; expected {SCHEMA_VERSION}. Score again with this version of hggt"
        )
    try:
        described = read_value(_Content, content)
        known = {part.name for part in fields(Settings)}
        facts = {name: value for name, value in described["settings"].items() if name in known}
        settings = read_value(Settings, facts)
        metrics = {name: _parse_metric(name, facts) for name, facts in described["metrics"].items()}
        if unknown := [name for name in settings.metrics if name not in metrics]:
            raise ValueError(f"metric {unknown[0]!r} is not described")
        methods = list(map(_parse_method, described["methods"]))
        if settings.aggregation == "best":
            methods = [replace(m, groups=tuple(best_of_ground_truths(m.groups, metrics.values()))) for m in methods]
        evaluation = Evaluation(
            metrics=tuple(metrics[name] for name in settings.metrics),
            methods=tuple(methods),
            without_positives=tuple(map(require_group_id, described["groups_without_positives"])),
            num_groups=described["num_groups"],
            with_negatives=settings.label_measures,
            same_pictures=tuple(map(tuple, described.get("same_pictures", ()))),
            sets=None if "sets" not in described else parse_sets(described["sets"], path),
        )
        _require_complete(evaluation, without_ground_truths=settings.no_gt)
    except (HggtError, ValueError) as error:
        raise MatchError(f"{path} is damaged: {error}; score again") from error
    return ScoresFile(evaluation, settings)


# What is read; other keys are for people and other programs.
_Scores = dict[str, float | Literal["inf", "-inf"]]


class _Versioned(TypedDict):
    schema_version: int


class _Metric(TypedDict):
    title: str
    higher_is_better: bool
    full_reference: bool
    package: str
    of_sets: NotRequired[bool]


class _Group(TypedDict):
    id: str
    image_name: NotRequired[str]
    file: str
    sha256: str
    ground_truths_sha256: dict[str, str]
    labels: dict[str, Literal["Positive", "Similar", "Negative"] | None]
    agreement: dict[str, int]
    positives: dict[str, _Scores]
    alone: NotRequired[_Scores]
    negatives: NotRequired[dict[str, _Scores]]
    looks_swapped: NotRequired[bool]
    is_flat: NotRequired[bool]
    is_cropped: NotRequired[bool]


class _Fault(TypedDict):
    kind: FaultKind
    id: str | None
    message: str


class _Method(TypedDict):
    name: str
    left_out: list[_Fault]
    groups: list[_Group]


class _Content(TypedDict):
    settings: dict[str, Any]
    metrics: dict[str, _Metric]
    num_groups: int
    groups_without_positives: list[str]
    same_pictures: NotRequired[list[list[str]]]
    methods: list[_Method]
    sets: NotRequired[SetsContent]


def _require_complete(evaluation: Evaluation, *, without_ground_truths: bool) -> None:
    """Check what everything that works with scores relies on."""
    if not evaluation.metrics or len({metric.name for metric in evaluation.metrics}) != len(evaluation.metrics):
        raise ValueError("it has no metrics, or one twice")
    if not any(method.groups for method in evaluation.methods):
        raise ValueError("it has no scores")
    compared = {metric.name for metric in evaluation.metrics if isinstance(metric, FullReferenceMetric)}
    of_sets = [metric for metric in evaluation.metrics if isinstance(metric, SetMetric)]
    alone = {metric.name for metric in evaluation.metrics} - compared - {metric.name for metric in of_sets}
    if of_sets:
        require_sets(evaluation.sets, of_sets, [method.name for method in evaluation.methods])
    require_distinct_names([(method.name, "the same file") for method in evaluation.methods])
    for method in evaluation.methods:
        require_method_name(method.name)
        if len({group.id for group in method.groups}) != len(method.groups):
            raise ValueError(f"{method.name} lists a group twice")
        for group in method.groups:
            judged = {**group.positives, **group.negatives}
            lacks_all = not group.positives and not without_ground_truths
            if lacks_all or any(own.keys() != compared for own in judged.values()):
                raise ValueError(f"{method.name} lacks scores of {group.id}")
            if group.alone.keys() != alone:
                raise ValueError(f"{method.name} lacks scores of {group.id}")
            if not group.agreement.keys() >= group.positives.keys() - {ORIGINAL}:
                raise ValueError(f"{method.name} lacks agreements of {group.id}")


def _metric_content(metric: AnyMetric) -> dict[str, Any]:
    """What a reader without the metric's package cannot know."""
    return {
        "title": metric.title,
        "higher_is_better": metric.higher_is_better,
        "full_reference": isinstance(metric, FullReferenceMetric),
        "package": metric.package,
        **({"of_sets": True} if isinstance(metric, SetMetric) else {}),
    }


def _parse_metric(name: str, facts: _Metric) -> AnyMetric:
    if facts.get("of_sets"):
        if name not in SET_METRICS:
            raise ValueError(f"metric of sets {name!r} is not known")
        return SET_METRICS[name]
    kind = FullReferenceMetric if facts["full_reference"] else NoReferenceMetric
    return kind(name, facts["title"], facts["higher_is_better"], (), facts["package"])


def group_content(group: GroupScores) -> dict[str, Any]:
    """One image's scores as JSON; `parse_group` reads it."""
    return {
        "id": group.id,
        **({} if _named_picture(group.id) == group.image_name else {"image_name": group.image_name}),
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
        **({"is_flat": True} if group.is_flat else {}),
        **({"looks_swapped": True} if group.looks_swapped else {}),
        **({"is_cropped": True} if group.is_cropped else {}),
    }


def _named_picture(group_id: str) -> str:
    """The source picture that an id of the form `IMAGE-TOP-LEFT` names; otherwise the id."""
    image_name, *_ = group_order(group_id)
    return image_name


def parse_group(content: object) -> GroupScores:
    """The scores that `group_content` wrote; ValueError for other content."""
    values: _Group = read_value(_Group, content)
    return _parse_group(values)


def _parse_group(values: _Group) -> GroupScores:
    return GroupScores(
        id=require_group_id(values["id"]),
        image_name=values.get("image_name", _named_picture(values["id"])),
        file=values["file"],
        labels={name: Label(label) if label else None for name, label in values["labels"].items()},
        positives={name: _parse_numbers(scores) for name, scores in values["positives"].items()},
        alone=_parse_numbers(values.get("alone", {})),
        negatives={name: _parse_numbers(scores) for name, scores in values.get("negatives", {}).items()},
        agreement=values["agreement"],
        is_flat=values.get("is_flat", False),
        looks_swapped=values.get("looks_swapped", False),
        is_cropped=values.get("is_cropped", False),
        sha256=values["sha256"],
        ground_truths_sha256=values["ground_truths_sha256"],
    )


def _method_content(method: MethodScores, evaluation: Evaluation) -> dict[str, Any]:
    measures = evaluation.label_measures.get(method.name)
    distances = evaluation.distances[method.name]
    return {
        "name": method.name,
        "num_groups": len(method.groups),
        "mean": _numbers(method.mean),
        "num_infinite": dict(method.num_infinite),
        "num_swapped": method.num_swapped,
        "left_out": [{"kind": fault.kind, "id": fault.id, "message": fault.message} for fault in method.faults],
        **({"label_measures": _measures_content(measures)} if measures else {}),
        **({"sets": {name: distance_content(own) for name, own in distances.items()}} if distances else {}),
        "groups": [group_content(group) for group in method.groups],
    }


def _parse_method(content: _Method) -> MethodScores:
    name = content["name"]
    faults = tuple(
        Fault(fault["kind"], name, fault["id"] and require_group_id(fault["id"]), fault["message"])
        for fault in content["left_out"]
    )
    return MethodScores(name, tuple(map(_parse_group, content["groups"])), faults)


def _measures_content(measures: LabelMeasures) -> dict[str, Any]:
    def means(of_metric: Mapping[str, GroupMean]) -> dict[str, Any]:
        return {
            metric: {
                "mean": None if math.isnan(mean.value) else _number(mean.value),
                "num_groups": mean.num_groups,
                "num_infinite": mean.num_infinite,
            }
            for metric, mean in of_metric.items()
        }

    return {
        "best_of_positives": means(measures.best_of_positives),
        "distance_to_negatives": means(measures.distance_to_negatives),
        "positive_margin": means(measures.positive_margin),
        "nearer_to_negative": means(measures.nearer_to_negative),
        "by_agreement": {str(level): means(of_metric) for level, of_metric in measures.by_agreement.items()},
    }


def _comparison_content(comparison: Comparison) -> dict[str, Any]:
    content = asdict(comparison)
    del content["metrics"]
    for part in (*content["summaries"], *content["differences"]):
        part["mean"] = None if math.isnan(part["mean"]) else _number(part["mean"])
    return content


def _numbers(scores: Scores) -> dict[str, float | str]:
    return {metric: _number(score) for metric, score in scores.items()}


def _number(score: float) -> float | str:
    return score if math.isfinite(score) else str(score)


def _parse_numbers(scores: _Scores) -> dict[str, float]:
    numbers = {metric: float(score) for metric, score in scores.items()}
    if any(abs(number) > _LARGEST_SCORE for number in numbers.values() if math.isfinite(number)):
        raise ValueError(f"a score is beyond {_LARGEST_SCORE:g}")  # sums would overflow
    return numbers
