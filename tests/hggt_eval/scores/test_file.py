import json
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hggt_data import name_methods, open_groups
from hggt_data.errors import MatchError
from hggt_data.io.files import sha256_of_file
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import Fault
from hggt_eval import metrics
from hggt_eval.metrics import METRICS, FullReferenceMetric, NoReferenceMetric, metric_versions
from hggt_eval.protocol import evaluate
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import SCHEMA_VERSION, Settings, format_json, read_scores

SCHEMA = json.loads((files("hggt_eval.scores") / "scores.schema.json").read_text())
SETTINGS = Settings(("psnr", "ssim"), 4, "rgb", "cpu", "tree", "0" * 64, versions=metric_versions([METRICS["psnr"]]))


@pytest.fixture(scope="module")
def evaluation(fixtures: Path) -> Evaluation:
    source = open_groups(fixtures / "Test")
    methods = name_methods([(None, fixtures / "restored" / name) for name in ("bicubic", "lanczos")])
    loaded = [METRICS[name].load() for name in SETTINGS.metrics]
    return evaluate(source, match_restored(methods, source), loaded, negatives=True)


def unusual(evaluation: Evaluation) -> Evaluation:
    """The same with an infinite score, a fault, a group without a label, and a picture with two names."""
    method = evaluation.methods[0]
    group = method.groups[0]
    name = next(iter(group.positives))
    changed = replace(
        group,
        positives={**group.positives, name: {"psnr": math.inf, "ssim": 1.0}},
        labels={**group.labels, "04": None},
        is_flat=True,
        looks_swapped=True,
    )
    fault = Fault("extra", method.name, None, "x.png")
    methods = (replace(method, groups=(changed, *method.groups[1:]), faults=(fault,)),)
    return replace(evaluation, methods=methods, same_pictures=(("a", "A"),))


def with_foreign_metrics(evaluation: Evaluation) -> Evaluation:
    """Scores of metrics that no installed package defines, so their directions are known from the file only."""
    method = evaluation.methods[0]
    group = replace(method.groups[0], positives={"01": {"new_fr": 0.5}}, negatives={}, alone={"new_nr": 40.0})
    foreign = (
        FullReferenceMetric("new_fr", "New FR", False, (), "gone"),
        NoReferenceMetric("new_nr", "New NR", True, (), "gone"),
    )
    return replace(evaluation, metrics=foreign, methods=(replace(method, groups=(group,)),))


@pytest.mark.parametrize("change", [lambda e: e, unusual, with_foreign_metrics])
def test_reading_returns_what_was_written_and_the_file_fits_the_schema(
    evaluation: Evaluation, tmp_path: Path, change: Callable[[Evaluation], Evaluation]
) -> None:
    scored = change(evaluation)
    settings = replace(SETTINGS, metrics=tuple(metric.name for metric in scored.metrics), label_measures=True)
    path = tmp_path / "scores.json"
    text = format_json(scored, settings, compare_methods(scored, "bicubic"))
    path.write_text(text)
    jsonschema.validate(json.loads(text), SCHEMA)
    found = read_scores(path)
    assert (found.evaluation, found.settings) == (scored, settings)
    assert format_json(found.evaluation, found.settings, compare_methods(found.evaluation, "bicubic")) == text


def test_the_schema_has_the_version_of_the_files_and_refuses_other_content(evaluation: Evaluation) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"] == {"const": SCHEMA_VERSION}
    changes: list[Callable[[Any], object]] = [
        lambda content: content.update(schema_version=2),
        lambda content: content["settings"].update(border=-1),
        lambda content: content["methods"][0]["groups"][0].update(sha256="x"),
        lambda content: content.update(x=1),
    ]
    for change in changes:
        content: Any = json.loads(format_json(evaluation, SETTINGS))
        change(content)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content, SCHEMA)


def test_hashes_are_of_the_files(evaluation: Evaluation, fixtures: Path) -> None:
    group = evaluation.methods[0].groups[0]
    assert group.sha256 == sha256_of_file(fixtures / "restored/bicubic" / group.file)
    images = fixtures / "Test/GT/Test-mini/images"
    expected = {name: sha256_of_file(images / name / f"{group.id}_{name}.png") for name in group.ground_truths_sha256}
    assert dict(group.ground_truths_sha256) == expected
    assert set(expected) == set(group.positives) | set(group.negatives)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not a scores.json of hggt-eval"),
        ('{"schema_version": 7}', "has version 7; expected 1. Score again"),
        ('{"schema_version": 1, "settings": {}}', "is damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(MatchError, match=message):
        read_scores(path)


def test_the_version_of_a_package_with_another_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(metrics, "version", missing)
    assert set(metric_versions([METRICS["psnr"]]).values()) == {"unknown"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: next(iter(m["groups"][0]["positives"].values())).pop("psnr"), "bicubic lacks scores of"),
        (lambda m: m["groups"][0]["agreement"].clear(), "bicubic lacks agreements of"),
        (lambda m: m["groups"].append(m["groups"][0]), "bicubic lists a group twice"),
        (lambda m: m.update(name="../../evil"), "'../../evil'"),
        (lambda m: m.update(name="lanczos"), "two methods have the name 'lanczos'"),
        (
            lambda m: next(iter(m["groups"][0]["positives"].values())).update(psnr="nan"),
            "is 'nan'; expected a number or 'inf'",
        ),
    ],
)
def test_inconsistent_content_is_refused(
    evaluation: Evaluation, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    content = json.loads(format_json(evaluation, SETTINGS))
    change(content["methods"][0])
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(content))
    with pytest.raises(MatchError, match=rf"scores\.json is damaged: .*{message}"):
        read_scores(path)
