"""`hggt-eval study`: from tables of votes to files and messages."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hggt_data.annotate.reassign import reassign_groups
from hggt_data.annotate.study.merge import merge_study
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import DatasetError, OutputError, TreeError
from hggt_data.exports.votes import export_votes
from hggt_data.remove import remove_data
from hggt_data.study_plan import StudyPlan, read_plan, write_plan
from hggt_eval.cli import main
from hggt_eval.scores.file import read_scores
from hggt_eval.study.study import analyse_study
from tests.hggt_data.annotate.study.studies import again, best, judge, make_study
from tests.hggt_data.trees import write_tree
from tests.hggt_eval.study.simulated import METHODS, PAIR_COLUMNS, Simulation, pair_rows, simulate, write_csv

QUESTION = "Which looks better?"
PLAN = StudyPlan(
    methods=METHODS,
    design="pairs",
    questions=(QUESTION,),
    primary=("a", "c"),
    groups=24,
    annotators=12,
    votes=3,
    ties=True,
    reference="hidden",
    reference_kind=None,
    enlargement=None,
    gold=2,
    repeats=0,
    least_gold_share=0.75,
    seed=0,
    created="2026-01-02T00:00:00Z",
)
Row = tuple[str, ...]


def votes_of(pictures: int = 24, people: int = 12, votes: int = 3, seed: int = 0) -> list[Row]:
    return list(pair_rows(simulate(Simulation(pictures, people, votes, 0.5, 0.5, tie=0.4), seed)))


def planned(folder: Path, plan: StudyPlan = PLAN, rows: list[Row] | None = None, gold: list[Row] | None = None) -> Path:
    """A table of votes with a plan beside it."""
    folder.mkdir(exist_ok=True)
    counted = [(*row, QUESTION, "vote") for row in (votes_of() if rows is None else rows)]
    write_csv(folder / "votes.csv", [*counted, *(gold or [])], (*PAIR_COLUMNS, "question", "kind"))
    write_plan(folder, plan)
    return folder


def run(*words: str | Path | int) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


def test_a_table_of_votes_becomes_all_files(tmp_path: Path) -> None:
    votes = write_csv(tmp_path / "votes.csv", votes_of())
    output = tmp_path / "out"
    result = run("study", votes, "--baseline", "c", "--output", output, "--resamples", 500)
    assert result.exit_code == 0, result.output
    content = json.loads((output / "study.json").read_text())
    assert [{"name", "strength", "low", "high", "wins", "votes"} <= method.keys() for method in content["methods"]]
    assert [method["name"] for method in content["methods"]] == list(METHODS)
    assert sum(method["strength"] for method in content["methods"]) == pytest.approx(0, abs=1e-6)
    assert sum(method["votes"] for method in content["methods"]) == 2 * content["num_votes"] == 2 * 24 * 3 * 3
    for method in content["methods"]:
        assert method["low"] < method["strength"] < method["high"]
        assert method["win_rate"] == pytest.approx((method["wins"] + method["ties"] / 2) / method["votes"])
    [pair] = [pair for pair in content["pairs"] if (pair["first"], pair["second"]) == ("a", "c")]
    sentence = f"a was preferred over c in {100 * pair['win_rate']:.0f} % of 72 comparisons, 95 % interval "
    assert sentence in result.output
    assert sentence.replace(" %", r"\,\%") in (output / "sentence.tex").read_text()
    rows = list(csv.DictReader((output / "study.csv").read_text().splitlines()))
    assert [float(row["strength"]) for row in rows] == [method["strength"] for method in content["methods"]]
    assert [row["p_holm"] != "" for row in rows] == [True, True, False]
    assert len(list(csv.DictReader((output / "pairs.csv").read_text().splitlines()))) == 6
    assert r"\begin{tabular}" in (output / "table.tex").read_text()
    page = (output / "report.html").read_text()
    assert "<svg" in page
    assert "<script" not in page


def test_without_a_chosen_baseline_there_is_no_p(tmp_path: Path) -> None:
    found = analyse_study(write_csv(tmp_path / "votes.csv", votes_of()), resamples=200).questions[0].main
    assert found.baseline == min(found.methods, key=lambda method: method.strength.value).name
    assert [difference.p for difference in found.differences] == [None, None]


def test_questions_have_their_own_tables(tmp_path: Path) -> None:
    rows = [(*row, question) for seed, question in enumerate(("Sharper?", "Nicer?")) for row in votes_of(seed=seed)]
    votes = write_csv(tmp_path / "votes.csv", rows, (*PAIR_COLUMNS, "question"))
    result = run("study", votes, "--output", tmp_path / "out", "--resamples", 200)
    content = json.loads((tmp_path / "out" / "study.json").read_text())
    assert (content["question"], [other["question"] for other in content["other_questions"]]) == (
        "Sharper?",
        ["Nicer?"],
    )
    assert content["num_votes"] == content["other_questions"][0]["num_votes"] == len(rows) / 2
    assert content["methods"] != content["other_questions"][0]["methods"]
    assert "Strengths (Sharper?):" in result.output
    assert "Strengths (Nicer?):" in result.output


def test_few_pictures_and_people_are_reported_in_the_table(tmp_path: Path) -> None:
    votes = write_csv(tmp_path / "votes.csv", votes_of(pictures=19, people=9))
    result = run("study", votes, "--output", tmp_path / "out", "--resamples", 200)
    for text in (
        result.output,
        (tmp_path / "out" / "table.md").read_text(),
        (tmp_path / "out" / "report.html").read_text(),
    ):
        assert "Only 9 people voted; with fewer than 10, intervals are too narrow." in text
        assert "Only 19 source pictures; with fewer than 20, intervals are too narrow." in text


def test_unknown_annotators_are_reported_and_only_pictures_are_drawn(tmp_path: Path) -> None:
    known = votes_of()
    votes = write_csv(tmp_path / "votes.csv", [(*row[:3], "", row[4]) for row in known])
    result = run("study", votes, "--output", tmp_path / "out", "--resamples", 500)
    table = (tmp_path / "out" / "table.md").read_text()
    assert "ignore that people differ" in table
    assert "Intervals by the bootstrap of source pictures." in table
    assert "draws of pictures." in result.output
    alone = json.loads((tmp_path / "out" / "study.json").read_text())["methods"]
    both = analyse_study(write_csv(tmp_path / "known.csv", known), resamples=500).questions[0].main.methods
    assert alone[0]["strength"] == pytest.approx(both[0].strength.value)
    assert alone[0]["high"] - alone[0]["low"] < both[0].strength.high - both[0].strength.low


def test_groups_csv_names_source_pictures(tmp_path: Path) -> None:
    votes = write_csv(tmp_path / "votes.csv", votes_of())
    write_csv(tmp_path / "groups.csv", [(f"p{k}", f"photo-{k // 2}") for k in range(24)], ("group", "image"))
    assert analyse_study(votes, resamples=200).questions[0].main.votes.num_pictures == 12


def test_choices_are_analysed_as_choices(tmp_path: Path) -> None:
    rows = [(f"p{n % 20}", "a;b;c", f"ann-{n % 11}", "abc"[(n % 5) // 2]) for n in range(220)]
    columns = ("group", "shown", "annotator", "preferred")
    votes = write_csv(tmp_path / "choices.csv", rows, columns)
    result = run("study", votes, "--baseline", "c", "--output", tmp_path / "out", "--resamples", 200)
    assert "a was chosen as the best in 40 % of 220 choices" in result.output
    content = json.loads((tmp_path / "out" / "study.json").read_text())
    assert (content["design"], content["pairs"]) == ("best-of", [])
    assert [method["wins"] for method in content["methods"]] == [88, 88, 44]


def test_a_plan_names_the_primary_comparison(tmp_path: Path) -> None:
    result = run("study", planned(tmp_path / "tree"), "--resamples", 500)
    assert result.exit_code == 0, result.output
    first = result.output.splitlines()[1]
    assert first.startswith("a was preferred over c")
    assert "(primary comparison)" in first


def test_an_unfinished_study_is_shown_only_on_request_and_has_no_p(tmp_path: Path) -> None:
    folder = planned(tmp_path / "tree", rows=votes_of()[:-1])
    refused = run("study", folder, "--output", tmp_path / "out")
    assert refused.exit_code == 1
    assert "the study is not complete (215 votes so far)" in refused.output
    assert "--unfinished" in refused.output
    assert "preferred" not in refused.output
    assert not (tmp_path / "out").exists()
    shown = run("study", folder, "--unfinished", "--output", tmp_path / "out", "--resamples", 200)
    assert shown.exit_code == 0
    require_no_p(
        tmp_path / "out", shown.output, "The study is not complete, so these are interim results and p is withheld."
    )


def test_a_study_extended_after_a_look_has_no_p(tmp_path: Path) -> None:
    plan = replace(PLAN, votes=2).with_look(100, "hggt-eval study").with_extension(3, 12)
    shown = run("study", planned(tmp_path / "tree", plan), "--output", tmp_path / "out", "--resamples", 200)
    assert shown.exit_code == 0, shown.output
    require_no_p(tmp_path / "out", shown.output, "after its preferences had been looked at")


def test_a_study_extended_before_any_look_has_p(tmp_path: Path) -> None:
    plan = replace(PLAN, votes=2).with_extension(3, 12)
    found = analyse_study(planned(tmp_path / "tree", plan), resamples=200)
    assert found.caveat == ""
    assert all(one.p is not None for one in found.questions[0].main.differences)


def require_no_p(output: Path, printed: str, words: str) -> None:
    """Every table and sentence says so, in all files."""
    content = json.loads((output / "study.json").read_text())
    assert words in content["caveat"]
    assert all(words in sentence for sentence in content["sentences"])
    assert all((one["p"], one["p_holm"]) == (None, None) for one in content["differences"])
    assert "p = " not in printed
    tables = (output / "table.md").read_text().split("### ")[1:]
    assert len(tables) > 3
    assert all(words in table for table in tables)
    assert printed.count(words) >= len(tables)
    for name in ("table.tex", "sentence.tex", "study.csv", "pairs.csv", "report.html"):
        assert words in (output / name).read_text()


def gold_row(person: int, number: int, right: bool) -> Row:
    return (
        f"p{number}",
        "a",
        f"damaged-{number + 1}",
        f"ann-{person}",
        "first" if right else "second",
        QUESTION,
        "gold",
    )


def test_results_are_given_with_and_without_people_who_fail_gold(tmp_path: Path) -> None:
    gold = [gold_row(person, number, right=person != 3) for person in range(12) for number in range(2)]
    folder = planned(tmp_path / "tree", gold=gold)
    result = run("study", folder, "--output", tmp_path / "out", "--resamples", 200)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "out" / "study.json").read_text())
    assert (content["failed_gold"], content["num_people"]) == (1, 11)
    everyone = content["with_people_who_failed_gold"]
    assert everyone["num_people"] == 12
    assert everyone["num_votes"] == 216 > content["num_votes"]
    assert "without 1 person who failed gold" in result.output
    assert "With and without people who failed gold" in result.output
    assert {row["people"] for row in csv.DictReader((tmp_path / "out" / "study.csv").read_text().splitlines())} == {
        "all",
        "without those who failed gold",
    }


def test_every_table_says_so_if_everyone_failed_gold(tmp_path: Path) -> None:
    gold = [gold_row(person, number, right=False) for person in range(12) for number in range(2)]
    folder = planned(tmp_path / "tree", gold=gold)
    result = run("study", folder, "--output", tmp_path / "out", "--resamples", 200)
    assert result.exit_code == 0, result.output
    words = "Everyone failed gold, so nobody is left out."
    tables = (tmp_path / "out" / "table.md").read_text().split("### ")[1:]
    assert tables
    assert all(words in table for table in tables)
    assert all(words in text for text in (result.output, (tmp_path / "out" / "sentence.tex").read_text()))


def test_strengths_stand_beside_the_scores_of_metrics(tmp_path: Path, fixtures: Path) -> None:
    scores = tmp_path / "scores"
    names = {"a": "realesrgan", "b": "lanczos", "c": "bicubic"}
    restored = [
        word for name, folder in names.items() for word in ("--restored", f"{name}={fixtures / 'restored' / folder}")
    ]
    assert run(*restored, "--dataset", fixtures / "Test", "--metrics", "psnr", "--output", scores).exit_code == 0
    votes = write_csv(tmp_path / "votes.csv", votes_of())
    result = run("study", votes, "--scores", scores, "--output", tmp_path / "out", "--resamples", 200)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "out" / "study.json").read_text())["scores"]["PSNR"]
    assert written.keys() == names.keys()
    assert written["a"] == pytest.approx(read_scores(scores).evaluation.methods[0].mean["psnr"])
    assert f"{written['a']:.4f}" in result.output
    assert "Strength against PSNR" in (tmp_path / "out" / "report.html").read_text()
    other = write_csv(tmp_path / "other.csv", [("p", "x", "y", "ann", "first")])
    refused = run("study", other, "--scores", scores)
    assert refused.exit_code == 2
    assert "expected two or more methods of the same names" in refused.output


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([("p1", "a", "a", "x", "first")], PAIR_COLUMNS, "line 2: compares a with itself. Remove the line"),
        ([("p1", "a", "b", "x", "left")], PAIR_COLUMNS, "line 2: preferred is 'left'; expected first, second, tie"),
        (
            [("p1", "rrdb", "b", "x", "first"), ("p2", "RRDB", "b", "x", "first")],
            PAIR_COLUMNS,
            "two methods of one name: 'rrdb' differs from 'RRDB' only in case",
        ),
        (
            [("p1", "a", "x", "Positive")],
            ("group", "candidate", "annotator", "label"),
            "has no votes on pairs and no choices, only labels; hggt-data stats counts labels",
        ),
        (
            [("p1", "a", "b", "x", "first", "gold")],
            (*PAIR_COLUMNS, "kind"),
            "has no people's votes on pairs and no choices, only gold",
        ),
    ],
)
def test_bad_tables_are_refused_in_one_line(
    tmp_path: Path, rows: list[Row], columns: tuple[str, ...], words: str
) -> None:
    result = run("study", write_csv(tmp_path / "votes.csv", rows, columns), "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert words in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_all_faulty_rows_are_named(tmp_path: Path) -> None:
    rows = [("p1", "a", "a", "x", "first"), ("p2", "b", "b", "x", "first")]
    result = run("study", write_csv(tmp_path / "votes.csv", rows))
    assert "line 2: compares a with itself" in result.output
    assert "line 3: compares b with itself" in result.output


def test_an_unknown_baseline_is_refused(tmp_path: Path) -> None:
    result = run("study", write_csv(tmp_path / "votes.csv", votes_of()), "--baseline", "d")
    assert result.exit_code == 2
    assert "is 'd', which has no votes" in result.output


def test_a_tree_of_labels_is_refused(fixtures: Path) -> None:
    result = run("study", fixtures / "Test")
    assert result.exit_code == 1
    assert "has no votes on pairs and no choices, only labels" in result.output


def test_results_of_another_command_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("mine")
    votes = write_csv(tmp_path / "votes.csv", votes_of())
    result = run("study", votes, "--output", tmp_path / "out", "--resamples", 200)
    assert result.exit_code == 1
    assert "report.html of another command or program" in result.output
    assert (tmp_path / "out" / "report.html").read_text() == "mine"


def test_sizes_of_studies_are_planned(tmp_path: Path) -> None:
    assumed = run("study-size", "--pictures", "20,80", "--annotators", "10,40", "--votes", "5")
    assert assumed.exit_code == 0, assumed.output
    detectable = [float(line.split()[-3]) for line in assumed.output.splitlines()[1:5]]
    assert detectable[0] == max(detectable) > min(detectable) == detectable[3] > 50
    assert "assumed as 0.15 between pictures" in assumed.output
    votes = write_csv(tmp_path / "votes.csv", votes_of())
    found = run("study-size", "--pictures", "40", "--annotators", "20", "--from", votes)
    assert "found as" in found.output
    refused = run("study-size", "--pictures", "1", "--annotators", "4", "--votes", "5")
    assert refused.exit_code == 2
    assert "pictures is 1; expected 2 or more" in refused.output.replace("--", "").replace("`", "")


@pytest.mark.parametrize("design", ["pairs", "best-of"])
def test_a_round_and_its_merged_tree_have_the_same_results(tmp_path: Path, design: str) -> None:
    round_ = make_study(tmp_path, design=design, gold=1, license="cc0-1.0")
    judge(round_, best("a", "b", "c"), ["Ada"])
    inside = run("study", round_.folder, "--unfinished", "--output", round_.folder / "results")
    assert f"is inside the data {round_.folder}" in inside.output
    refused = run("study", round_.folder)
    assert refused.exit_code == 1
    assert "the study is not complete" in refused.output
    assert not read_plan(round_.folder).looks
    interim = analyse_study(round_.folder, unfinished=True, resamples=100)
    assert "interim" in interim.caveat
    assert [look.how for look in read_plan(round_.folder).looks] == ["hggt-eval study"]
    judge(round_, best("a", "b", "c"))
    found = analyse_study(round_.folder, resamples=100)
    assert (found.caveat, found.license) == ("", "cc0-1.0")
    assert found.questions[0].num_failed == 0
    rates = [method.win_rate for method in found.questions[0].main.methods]
    assert (rates[0].value, rates[2].value) == (1, 0)
    assert all(math.isnan(rate.low) or 0 <= rate.low < rate.value < rate.high <= 1 for rate in rates)
    assert math.isnan(rates[0].low)
    assert found.questions[0].main.components is None
    merge_study(round_.folder, tmp_path / "tree")
    merged = analyse_study(tmp_path / "tree", resamples=100)
    assert merged.complete
    for one, other in zip(merged.questions[0].main.methods, found.questions[0].main.methods, strict=True):
        assert (one.name, one.wins, one.votes) == (other.name, other.wins, other.votes)
        assert one.strength.value == pytest.approx(other.strength.value)
        assert math.isnan(one.strength.low)  # every vote was the same
    reassign_groups(round_.folder, votes=3)
    judge(again(round_), best("b", "a", "c"))
    assert "extended" in analyse_study(round_.folder, resamples=100).caveat


def test_a_dataset_keeps_the_plan_of_its_study(tmp_path: Path) -> None:
    """So that an extension after a look still takes away p."""
    round_ = make_study(tmp_path, ("a", "b"), ("Ada", "Bob"), votes=1)
    judge(round_, best("a"))
    merge_study(round_.folder, tmp_path / "first")
    reassign_groups(round_.folder, votes=2)
    judge(again(round_), best("b"))
    merge_study(round_.folder, tmp_path / "second")
    for name, caveat in (("first", ""), ("second", "extended")):
        build_dataset(BuildSettings([tmp_path / name], tmp_path / "dataset", license="cc0-1.0", workers=1))
        found = analyse_study(tmp_path / "dataset", resamples=100)
        assert found.plan == read_plan(tmp_path / name)
        assert found.complete
        export_votes(tmp_path / "dataset", tmp_path / f"votes of {name}")
        assert read_plan(tmp_path / f"votes of {name}") == found.plan
        assert caveat in found.caveat
        assert bool(caveat) == bool(found.caveat)
    both = BuildSettings([tmp_path / "first", tmp_path / "second"], tmp_path / "both", workers=1)
    with pytest.raises(TreeError, match="the plan of a study, which does not hold for several trees"):
        build_dataset(both)
    [withdrawn, *_] = [one.pseudonym for one in round_.annotators]
    remove_data(tmp_path / "dataset", annotators=[withdrawn], workers=1)
    assert read_plan(tmp_path / "dataset") == read_plan(tmp_path / "second")
    rest = analyse_study(tmp_path / "dataset", resamples=100)
    assert rest.complete  # as it was when it was merged
    assert "4 of the 8 planned votes: the others were withdrawn" in " ".join(rest.notes)
    path = tmp_path / "dataset" / "plan.json"
    path.write_bytes(path.read_bytes().replace(b"true", b"null"))
    with pytest.raises(DatasetError, match=r"plan\.json has other content"):
        analyse_study(tmp_path / "dataset", resamples=100)
    build_dataset(BuildSettings([write_tree(tmp_path / "labels", ("a-0-0",))], tmp_path / "dataset", workers=1))
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"files that hggt did not write: plan\.json"):
        build_dataset(BuildSettings([tmp_path / "labels"], tmp_path / "dataset", workers=1))
