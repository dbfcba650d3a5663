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

from hggt_data.errors import MatchError
from hggt_data.io.files import sha256_of_file
from hggt_data.loading import open_groups
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import Fault, name_methods
from hggt_eval import metrics
from hggt_eval.metrics import (
    METRICS,
    FullReferenceMetric,
    MetricSettings,
    NoReferenceMetric,
    require_metric,
    tell_metric,
)
from hggt_eval.protocol import evaluate
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.file import SCHEMA_VERSION, Settings, format_json, read_scores, versions_of
from hggt_eval.scores.scores import Evaluation

SCHEMA_FILE = files("hggt_eval.scores") / "scores.schema.json"

SETTINGS = Settings(("psnr", "ssim"), 4, "rgb", "cpu", "tree", "0" * 64, versions=versions_of(("psnr", "ssim")))


@pytest.fixture(scope="module")
def evaluation(fixtures: Path) -> Evaluation:
    source = open_groups(fixtures / "Test")
    methods = name_methods([(None, fixtures / "restored" / name) for name in ("bicubic", "lanczos")])
    metrics = [METRICS[name].load(MetricSettings()) for name in SETTINGS.metrics]
    return evaluate(source, match_restored(methods, source), metrics, negatives=True)


def odd(evaluation: Evaluation) -> Evaluation:
    """The same with an infinite score, a fault, and a group without a label."""
    method = evaluation.methods[0]
    group = method.groups[0]
    name = next(iter(group.positives))
    strange = replace(
        group,
        positives={**group.positives, name: {"psnr": math.inf, "ssim": 1.0}},
        labels={**group.labels, "04": None},
        looks_swapped=True,
    )
    fault = Fault("extra", method.name, None, "x.png")
    return replace(evaluation, methods=(replace(method, groups=(strange, *method.groups[1:]), faults=(fault,)),))


@pytest.mark.parametrize("change", [lambda e: e, odd])
def test_what_is_read_equals_what_was_written_and_fits_the_schema(
    evaluation: Evaluation, tmp_path: Path, change: object
) -> None:
    scored = change(evaluation)  # type: ignore[operator]
    settings = replace(SETTINGS, label_measures=True)
    path = tmp_path / "scores.json"
    path.write_text(format_json(scored, settings, compare_methods(scored, "bicubic")))
    jsonschema.validate(json.loads(path.read_text()), json.loads(SCHEMA_FILE.read_text()))
    found = read_scores(path)
    assert found.evaluation == scored
    assert found.settings == settings


def test_the_schema_has_the_version_of_the_files() -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


@pytest.mark.parametrize(
    ("place", "value"),
    [(("schema_version",), 2), (("settings", "border"), -1), (("methods", 0, "groups", 0, "sha256"), "x"), (("x",), 1)],
)
def test_the_schema_refuses_what_is_none_of_ours(
    evaluation: Evaluation, place: tuple[str | int, ...], value: object
) -> None:
    content = json.loads(format_json(evaluation, SETTINGS))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json.loads(SCHEMA_FILE.read_text()))


def test_hashes_are_of_the_files(evaluation: Evaluation, fixtures: Path) -> None:
    group = evaluation.methods[0].groups[0]
    assert group.sha256 == sha256_of_file(fixtures / "restored/bicubic" / group.file)
    images = fixtures / "Test/GT/Test-mini/images"
    expected = {name: sha256_of_file(images / name / f"{group.id}_{name}.png") for name in group.ground_truths_sha256}
    assert dict(group.ground_truths_sha256) == expected
    assert set(expected) == set(group.positives) | set(group.negatives)


def test_a_reader_without_pyiqa_knows_directions_from_the_file(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of pyiqa are compared where it is not installed, and nobody else knows a direction."""
    monkeypatch.setattr(metrics, "_told", {})
    tell_metric(FullReferenceMetric("nlpd", "NLPD", False, (), "pyiqa"))
    tell_metric(NoReferenceMetric("piqe", "PIQE", False, (), "pyiqa"))
    method = evaluation.methods[0]
    group = replace(method.groups[0], positives={"01": {"nlpd": 0.5}}, negatives={}, alone={"piqe": 40.0})
    scored = replace(evaluation, metrics=("nlpd", "piqe"), methods=(replace(method, groups=(group,)),))
    path = tmp_path / "scores.json"
    path.write_text(format_json(scored, replace(SETTINGS, metrics=("nlpd", "piqe"))))
    jsonschema.validate(json.loads(path.read_text()), json.loads(SCHEMA_FILE.read_text()))
    monkeypatch.setattr(metrics, "_told", {})
    assert read_scores(path).evaluation == scored
    assert [require_metric(name).higher_is_better for name in ("nlpd", "piqe")] == [False, False]
    assert isinstance(require_metric("nlpd"), FullReferenceMetric)
    assert isinstance(require_metric("piqe"), NoReferenceMetric)


def test_a_file_cannot_change_our_own_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_told", {})
    tell_metric(FullReferenceMetric("lpips", "LPIPS", True))
    assert not require_metric("lpips").higher_is_better


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no scores.json of hggt-eval"),
        ("[]", "is no scores.json of hggt-eval"),
        ("{}", "is no scores.json of hggt-eval"),
        ('{"schema_version": 7}', "has version 7; expected 1. Score again"),
        ('{"schema_version": 1, "settings": {}}', "is damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(MatchError, match=message):
        read_scores(path)


def test_version_of_a_package_of_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(metrics, "version", missing)
    assert set(versions_of(("psnr",)).values()) == {"unknown"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["groups"][0]["positives"].clear(), "bicubic has not all scores of"),
        (lambda m: next(iter(m["groups"][0]["positives"].values())).pop("psnr"), "bicubic has not all scores of"),
        (lambda m: m["groups"][0]["agreement"].clear(), "bicubic has not all agreements of"),
        (lambda m: m["groups"].append(m["groups"][0]), "bicubic has a group twice"),
        (lambda m: m.update(name="../../evil"), "cannot name a folder of reports"),
        (lambda m: m.update(name="lanczos"), "two methods have the name 'lanczos'"),
        (lambda m: next(iter(m["groups"][0]["positives"].values())).update(psnr="nan"), "a score is not a number"),
    ],
)
def test_what_is_damaged_inside_is_refused(
    evaluation: Evaluation, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    content = json.loads(format_json(evaluation, SETTINGS))
    change(content["methods"][0])
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(content))
    with pytest.raises(MatchError, match=rf"scores\.json is damaged: .*{message}"):
        read_scores(path)
