import csv
import io
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from hggt_data.errors import OutputError
from hggt_data.loading import open_groups
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import Fault, name_methods
from hggt_data.schema import Label
from hggt_eval.metrics import METRICS, MetricSettings, require_metric
from hggt_eval.metrics.comparer import LoadedMetric
from hggt_eval.protocol import evaluate
from hggt_eval.report.csv_files import format_csv
from hggt_eval.report.files import format_official, format_table, write_page, write_reports
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings
from hggt_eval.scores.scores import GroupScores, MethodScores
from tests.hggt_data.trees import contents

# Tree, methods with their golden files.
FIXTURES = [
    ("Test", {"bicubic": "bicubic", "lanczos": "lanczos", "realesrgan": "realesrgan"}),
    ("TestLarge", {"bicubic": "large_bicubic", "lanczos": "large_lanczos"}),
]


@cache
def load(metric: str, weights: Path | None) -> LoadedMetric:
    return require_metric(metric).load(MetricSettings(weights_dir=weights))


def score(
    fixtures: Path, tree: str, methods: Iterable[str], metrics: Iterable[str], weights: Path | None = None
) -> Evaluation:
    source = open_groups(fixtures / tree / ("GT" if tree == "TestLarge" else ""))
    folder = fixtures / "restored" if tree == "Test" else fixtures / tree / "restored"
    found = match_restored(name_methods([(None, folder / method) for method in methods]), source)
    return evaluate(source, found, [load(metric, weights) for metric in metrics])


@pytest.mark.parametrize(("tree", "methods"), FIXTURES)
def test_psnr_ssim_text_equals_the_official_one(
    fixtures: Path, golden: Path, tree: str, methods: dict[str, str]
) -> None:
    evaluation = score(fixtures, tree, methods, ("psnr", "ssim"))
    for method in evaluation.methods:
        expected = (golden / f"psnr_ssim_fixtures_{methods[method.name]}.txt").read_text()
        assert format_official(evaluation, method, ("psnr", "ssim")) == expected


@pytest.mark.parametrize(("tree", "methods"), FIXTURES)
def test_network_metrics_are_within_1e_4_of_the_official_ones(
    fixtures: Path, golden: Path, real_weights: Path, tree: str, methods: dict[str, str]
) -> None:
    number = re.compile(r"\d\.\d{4}$", re.MULTILINE)
    evaluation = score(fixtures, tree, methods, ("lpips", "dists"), real_weights)
    for method in evaluation.methods:
        for metric in ("lpips", "dists"):
            text = format_official(evaluation, method, (metric,))
            expected = (golden / f"{metric}_fixtures_{methods[method.name]}.txt").read_text()
            assert number.sub("", text) == number.sub("", expected)
            found = [float(value) for value in number.findall(text)]
            assert found == pytest.approx([float(value) for value in number.findall(expected)], abs=1.01e-4)
            assert len(found) > 3


@pytest.fixture
def evaluation() -> Evaluation:
    """Two groups, one with an identical picture, and one example of everything that can be skipped."""
    labels = {"01": Label.POSITIVE, "02": Label.POSITIVE, "03": Label.SIMILAR, "04": None}
    groups = (
        GroupScores(
            "cat-0-8",
            "cat",
            "cat-0-8.png",
            labels,
            {"01": {"psnr": math.inf}, "02": {"psnr": 20.123456789}},
            agreement={"01": 3, "02": 2},
        ),
        GroupScores("cat-0-16", "cat", "cat-0-16.png", labels, {"01": {"psnr": 30.0}}, agreement={"01": 3}),
    )
    fault = Fault("missing", "net", "dog-0-0", "dog-0-0: no restored image")
    return Evaluation((METRICS["psnr"],), (MethodScores("net", groups, (fault,)),), ("eel-0-0",), 4)


@pytest.fixture
def settings() -> Settings:
    skipped = {"lpips": "weights of alexnet are not available"}
    return Settings(("psnr",), 4, "rgb", "cpu", "tree", "0" * 64, skipped_metrics=skipped, allow_missing=True)


def test_the_table_ends_with_notes_on_what_was_left_out(evaluation: Evaluation, settings: Settings) -> None:
    assert format_table(evaluation, settings).splitlines() == [
        "method  groups   PSNR ↑",
        "net          2  25.0617",
        "1 of 4 groups left out, as no candidate is Positive: eel-0-0",
        "Metrics left out, as their weights or packages are not available: LPIPS",
        "net: 1 left out:",
        "  missing: dog-0-0: no restored image",
        "net: infinite scores left out of the mean: 1 PSNR (identical pictures)",
    ]


def test_a_method_without_scores_has_dashes(evaluation: Evaluation, settings: Settings) -> None:
    nothing = replace(evaluation, methods=(replace(evaluation.methods[0], groups=()),))
    assert format_table(nothing, settings).splitlines()[1].split() == ["net", "0", "-"]


def test_scores_csv_has_a_row_per_positive_and_per_image_left_out(evaluation: Evaluation) -> None:
    rows = list(csv.reader(format_csv(evaluation).splitlines()))
    assert rows == [
        ["method", "id", "candidate", "psnr", "note"],
        ["net", "cat-0-8", "01", "inf", ""],
        ["net", "cat-0-8", "02", "20.123456789", ""],
        ["net", "cat-0-16", "01", "30.0", ""],
        ["net", "dog-0-0", "", "", "missing: dog-0-0: no restored image"],
        ["net", "eel-0-0", "", "", "no candidate is Positive"],
    ]


def test_official_text_names_skipped_groups(evaluation: Evaluation) -> None:
    text = format_official(evaluation, evaluation.methods[0], ("psnr",))
    assert text.splitlines() == [
        "",
        "PSNR for testing dataset: net.",
        "cat-0-16 01:Positive 02:Positive 03:Similar 04:None",
        "01 PSNR:30.0000",
        "PSNR-avg:30.0000",
        "cat-0-8 01:Positive 02:Positive 03:Similar 04:None",
        "01 PSNR:inf",
        "02 PSNR:20.1235",
        "PSNR-avg:20.1235",
        "PSNR-avg all:25.0617",
        "left out, missing: dog-0-0: no restored image",
        "left out, no candidate is Positive: eel-0-0",
    ]


def test_files_are_written_for_the_metrics_that_were_scored(fixtures: Path, settings: Settings, tmp_path: Path) -> None:
    evaluation = score(fixtures, "TestLarge", ["bicubic"], ("psnr", "ssim"))
    settings = replace(settings, metrics=("psnr", "ssim"))
    write_reports(evaluation, settings, compare_methods(evaluation), tmp_path / "out")
    write_page("<p>", tmp_path / "out")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    reports = ["comparison.csv", "report.html", "scores.csv", "scores.json", "table.md", "table.tex"]
    assert files == ["out/bicubic/psnr_ssim.txt", *(f"out/{name}" for name in reports)]
    write_reports(evaluation, settings, compare_methods(evaluation), tmp_path / "out")
    assert not (tmp_path / "out/report.html").exists()  # it would show other scores


def test_scores_that_the_new_run_lacks_are_not_overwritten(
    evaluation: Evaluation, settings: Settings, tmp_path: Path
) -> None:
    methods = tuple(replace(evaluation.methods[0], name=name) for name in ("net", "old"))
    two = replace(evaluation, methods=methods, with_negatives=True)
    write_reports(two, replace(settings, label_measures=True), compare_methods(two), tmp_path)
    before = contents(tmp_path)
    other = replace(settings, metrics=("ssim",))
    with pytest.raises(OutputError, match=r"scores that would be lost: old, PSNR, label measures\. Choose another"):
        write_reports(evaluation, other, compare_methods(evaluation), tmp_path)
    assert contents(tmp_path) == before
    more = replace(two, methods=(*methods, replace(methods[0], name="new")))
    write_reports(more, replace(settings, label_measures=True), compare_methods(more), tmp_path)


@pytest.mark.parametrize("text", ["no JSON", '{"schema_version": 1}'])
def test_a_scores_json_of_another_program_is_not_overwritten(
    evaluation: Evaluation, settings: Settings, tmp_path: Path, text: str
) -> None:
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(OutputError, match=r"scores\.json .*It would be overwritten; choose another folder"):
        write_reports(evaluation, settings, compare_methods(evaluation), tmp_path)
    assert contents(tmp_path) == {"scores.json": text.encode()}


@pytest.mark.parametrize("name", ["table.md", "report.html", "agree.json", "net/psnr_ssim.txt"])
def test_files_of_other_commands_and_programs_are_not_overwritten(
    evaluation: Evaluation, settings: Settings, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("theirs")
    evaluation = replace(evaluation, methods=(replace(evaluation.methods[0], name="net"),))
    with pytest.raises(OutputError, match=rf"contains {name} of another command or program; choose another folder"):
        write_reports(evaluation, settings, compare_methods(evaluation), tmp_path)
    assert contents(tmp_path) == {name: b"theirs"}


def test_an_output_that_cannot_be_written_is_an_error(
    evaluation: Evaluation, settings: Settings, tmp_path: Path
) -> None:
    write_reports(evaluation, settings, compare_methods(evaluation), tmp_path)
    (tmp_path / "table.md").unlink()
    (tmp_path / "table.md").mkdir()
    with pytest.raises(OutputError, match=r"table\.md: cannot be written"):
        write_reports(evaluation, settings, compare_methods(evaluation), tmp_path)
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report\.html: cannot be written"):
        write_reports(evaluation, settings, compare_methods(evaluation), tmp_path)
    with pytest.raises(OutputError, match=r"report\.html: cannot be written"):
        write_page("<p>", tmp_path)


def test_every_output_has_the_notes(evaluation: Evaluation, settings: Settings, tmp_path: Path) -> None:
    """So that no table in a paper hides skipped groups or scores."""
    part = MethodScores("part", evaluation.methods[0].groups[:1])
    two = replace(evaluation, methods=(*evaluation.methods, part, replace(part, name="copy")))
    write_reports(two, settings, compare_methods(two), tmp_path)
    expected = [
        "missing: dog-0-0: no restored image",
        "net: infinite scores left out of the mean: 1 PSNR (identical pictures)",
        "part: not ranked, as its mean is over 1 of 2 groups",
        "part and copy: all images are identical",
    ]
    for text in (
        format_table(two, settings, compare_methods(two)),
        (tmp_path / "table.md").read_text(),
        (tmp_path / "table.tex").read_text(),
    ):
        assert [line for line in expected if line not in text] == []


def test_no_reference_scores_have_their_own_row(fixtures: Path, settings: Settings) -> None:
    scored = score(fixtures, "TestLarge", ["bicubic"], ("psnr", "niqe"))
    [group] = scored.methods[0].groups
    rows = list(csv.DictReader(io.StringIO(format_csv(scored))))
    assert [(row["candidate"], bool(row["psnr"]), bool(row["niqe"])) for row in rows] == [
        *((name, True, False) for name in group.positives),
        ("", False, True),
    ]
    assert float(rows[-1]["niqe"]) == group.alone["niqe"]
    assert "NIQE ↓" in format_table(scored, settings)


def test_a_baseline_and_seeds_have_their_own_tables_on_screen(fixtures: Path, settings: Settings) -> None:
    source = open_groups(fixtures / "Test")
    folders = [(name, fixtures / "restored" / place) for name, place in (("a@1", "bicubic"), ("a@2", "lanczos"))]
    found = match_restored(name_methods([*folders, ("b", fixtures / "restored/lanczos")]), source)
    scored = evaluate(source, found, [METRICS["psnr"].load(MetricSettings())])
    complete = replace(settings, skipped_metrics={})
    lines = format_table(scored, complete, compare_methods(scored, "b")).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["method", "a@1", "a@2", "b"]
    assert lines[4:6] == ["", "Scores:"]
    assert lines[7].split()[:6] == ["a", "21.40", "±", "0.12", "[17.14,", "25.65]"]
    assert lines[10] == "Difference from b:"
    assert lines[12].split()[:4] == ["PSNR", "↑", "a", "\N{MINUS SIGN}0.08"]
    alone = replace(scored, methods=scored.methods[2:])
    assert len(format_table(alone, complete, compare_methods(alone)).splitlines()) == 2
