import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hggt_data.loading import open_groups
from hggt_data.schema import Label
from hggt_eval import METRICS, agree
from hggt_eval.cli import main
from hggt_eval.metrics import NO_REFERENCE, MetricSettings
from tests.hggt_data.diffiqa_tree import write_diffiqa
from tests.hggt_data.sriqa_tree import METHODS, write_sriqa_tree
from tests.hggt_data.table_tree import copy_tables, write_pictures
from tests.hggt_eval.conftest import DATA

TREE = DATA / "fixtures/Train"


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["agree", *map(str, arguments)], prog_name="hggt-eval")


def _rows(output: Path) -> Mapping[tuple[str, str], Any]:
    metrics = json.loads((output / "agree.json").read_text())["metrics"]
    return {(row["evidence"], row["name"]): row for row in metrics}


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_metrics_are_computed_against_the_original(tmp_path: Path) -> None:
    """Accuracy by hand: each pair of candidates with different labels, from the metric itself."""
    done = _run("--dataset", TREE, "--metrics", "psnr", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    psnr = METRICS["psnr"].load(MetricSettings(border=4))
    order = {"Positive": 0, "Similar": 1, "Negative": 2}
    right = total = 0
    for group in open_groups(TREE):
        used = [
            (order[label.value], psnr(group.read(name), group.read("original")))
            for name, label, agreement in zip(group.candidates, group.consensus, group.agreement, strict=True)
            if label is not None and agreement >= 2
        ]
        for k, (rank, score) in enumerate(used):
            for other_rank, other_score in used[:k]:
                total += rank != other_rank
                right += (rank < other_rank and score > other_score) or (rank > other_rank and score < other_score)
    row = _rows(tmp_path / "out")["inferred", "psnr"]
    assert (row["pairs"], row["accuracy"]) == (total, pytest.approx(right / total))
    assert ("judged", "psnr") not in _rows(tmp_path / "out")
    assert (row["direction"], row["ties"], row["ceiling"]) == ("higher", 0, None)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "agree.json",
        "report.html",
        "table.md",
        "table.tex",
    ]
    assert "psnr ↑" in done.stdout
    verdict = f"psnr agrees with people on {100 * right / total:.1f} % of {total} pairs"
    assert verdict in (tmp_path / "out/report.html").read_text()


def test_no_reference_metrics_rate_the_original_too(tmp_path: Path) -> None:
    """In each group 01 is better than the original."""
    tree = write_diffiqa(tmp_path / "Test", size=(96, 192))
    [judged, inferred] = agree(tree, metrics=["niqe"], border=0).rankings
    niqe = NO_REFERENCE["niqe"].load(MetricSettings(border=0))
    right = [niqe.rate(group.read("01")) < niqe.rate(group.read("original")) for group in open_groups(tree)]
    [row] = judged.metrics
    assert (row.direction, row.accuracy.value, row.accuracy.pairs, row.ties) == ("lower", sum(right) / 3, 3, 3)
    assert inferred.metrics[0].accuracy.pairs == 3


def test_diffiqa_candidates_without_a_majority_do_not_count(tmp_path: Path) -> None:
    """01 is Positive, 02 Similar, 03 without majority: one judged pair, a human tie and one inferred pair a group."""
    tree = write_diffiqa(tmp_path / "Test", size=(32, 32))
    done = _run("--dataset", tree, "--metrics", "psnr,ssim", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = _rows(tmp_path / "out")
    assert (rows["judged", "chance"]["pairs"], rows["judged", "chance"]["ties"]) == (3, 3)
    assert rows["judged", "always the original"]["accuracy"] == 0
    assert rows["inferred", "psnr"]["pairs"] == 3
    assert rows["inferred", "psnr"]["by_kind"].keys() == {"positive-similar"}
    # Two of the three groups are of the source picture 000006.
    assert rows["inferred", "psnr"]["pictures"] == 2


def test_sriqa_is_reported_with_and_without_the_original(tmp_path: Path) -> None:
    tree = write_sriqa_tree(tmp_path / "sriqa", contents=tuple(f"x{k}" for k in range(1, 7)))
    groups = open_groups(tree)
    lines = [f"{group.id},{name},{k}" for group in groups for k, name in enumerate((*METHODS, "original"))]
    scores = _write(tmp_path / "scores.csv", "group,version,rank", *lines)
    output = tmp_path / "out"
    options = ("--scores", scores, "--lower-is-better", "rank", "--metrics", "psnr", "--output", output)
    done = _run("--dataset", tree, "--ties", "calibrated", *options)
    assert done.exit_code == 0, done.output
    rows = _rows(output)
    # The scores of `rank` for originals are equal in all groups, as those of a metric that compares with them.
    assert "rank gives every original the score 3, as if it compared with originals" in done.stdout
    for name in ("psnr", "rank"):
        assert rows["judged", name]["by_kind"].keys() == {"votes"}
        assert rows["judged", name]["pairs"] + rows["judged", name]["ties"] == 6 * 3
        assert rows["judged", name]["with_ties"]["pairs"] == 6 * 3
        assert rows["judged", name]["groups"] + rows["judged", name]["left_out"] == 6
    assert rows["judged", "chance"]["by_kind"].keys() == {"votes", "votes-original"}
    assert rows["judged", "chance"]["pairs"] + rows["judged", "chance"]["ties"] == 6 * 6
    assert 0 < rows["judged", "rank"]["ceiling"] < 1


def test_verdicts_on_pairs_are_read(tmp_path: Path) -> None:
    tree = write_sriqa_tree(tmp_path / "sriqa")
    pairs = [(a, b) for k, a in enumerate((*METHODS, "original")) for b in (*METHODS, "original")[k + 1 :]]
    lines = [f"{group.id},{a},{b},mine,0.8" for group in open_groups(tree) for a, b in pairs]
    path = _write(tmp_path / "pairs.csv", "group,first,second,metric,score", *lines)
    [ranking] = agree(tree, scores=[path], trained=["mine"]).rankings
    row = ranking.metrics[0]
    assert (row.name, row.direction, row.accuracy.pairs + row.ties) == ("mine", "pairs", 3 * 6)
    assert row.by_kind.keys() == {"votes", "votes-original"}


def test_shares_of_votes_are_credits(tmp_path: Path) -> None:
    """Of 5, 2 and 5 people 20 %, 50 % and all prefer p0; `mine` prefers p1, nothing and nothing."""
    tree = copy_tables("bapps", tmp_path / "bapps")
    groups = ("cnn-000000", "cnn-000001", "traditional-000000")
    write_pictures(tree, dict.fromkeys(groups, ("p0", "p1", "original")))
    header = "group,first,second,metric,score"
    lines = [f"{group},p0,p1,mine,{score}" for group, score in zip(groups, (0.1, 0.5, 0.5), strict=True)]
    [ranking] = agree(tree, scores=[_write(tmp_path / "pairs.csv", header, *lines)]).rankings
    assert ranking.rows[0].accuracy.value == pytest.approx((0.8 + 0.5 + 0.5) / 3)
    assert ranking.rows[0].ceiling == pytest.approx((12 / 20 + 0 + 1) / 3)


COMPLETE = [f"{group.id},{name},0.5" for group in open_groups(TREE) for name in group.candidates]
FIRST = open_groups(TREE)[0].id


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["group,version,mine", *COMPLETE], "name it in --lower-is-better or --higher-is-better"),
        (["group,version,psnr", *COMPLETE[::2]], "psnr lacks "),
        (["group,version,psnr", *COMPLETE, COMPLETE[0]], f"01 of {FIRST} occurs twice; expected one line"),
        (["group,version,psnr", "nowhere,01,3"], "has no group 'nowhere'"),
        (["group,version,psnr", f"{FIRST},1,3"], "version '1' is not known; did you mean '01'?"),
        (["group,version,psnr", f"{FIRST},01,high"], "line 2: psnr is 'high'; expected a number"),
        (["name,psnr", f"{FIRST},3"], "expected group,version,METRIC,... or group,first,second,metric,score"),
        (["group,first,second,metric,score", f"{FIRST},01,02,mine,3"], "score 3; expected 0 (the second is better) to"),
    ],
)
def test_faulty_scores_are_one_line(tmp_path: Path, lines: list[str], message: str) -> None:
    path = _write(tmp_path / "scores.csv", *lines)
    done = _run("--dataset", TREE, "--scores", path)
    assert done.exit_code in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if "Error" in line or str(path) in line]) == 1


def test_directions_are_of_metrics_that_are_ranked(tmp_path: Path) -> None:
    path = _write(tmp_path / "scores.csv", "group,version,psnr", *COMPLETE)
    done = _run("--dataset", TREE, "--scores", path, "--lower-is-better", "psnrr")
    assert "--lower-is-better names psnrr; expected metrics that are ranked" in done.stderr


def test_scores_of_restored_images_are_not_overwritten(tmp_path: Path) -> None:
    _write(tmp_path / "scores.json", "{}")
    done = _run("--dataset", TREE, "--metrics", "psnr", "--output", tmp_path)
    assert "contains scores of restored images; choose another --output" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_votes_on_pairs_without_originals_suit_no_reference_metrics_only(tmp_path: Path) -> None:
    """Of three groups 1, 2 and 3, votes prefer a, a and b."""
    tree = write_pictures(tmp_path / "own", dict.fromkeys("123", ("a", "b")), size=(96, 192))
    _write(
        tree / "votes.csv", "group,first,second,annotator,preferred", "1,a,b,x,first", "2,a,b,x,first", "3,b,a,x,first"
    )
    [ranking] = agree(tree, metrics=["niqe"], border=0).rankings
    niqe = NO_REFERENCE["niqe"].load(MetricSettings(border=0))
    better = ["a" if niqe.rate(group.read("a")) < niqe.rate(group.read("b")) else "b" for group in open_groups(tree)]
    right = sum(one == preferred for one, preferred in zip(better, "aab", strict=True))
    assert ranking.metrics[0].accuracy.value == pytest.approx(right / 3)
    done = _run("--dataset", tree, "--metrics", "psnr")
    assert "3 pictures of " in done.stderr
    assert "original of 1, original of 2, original of 3" in done.stderr


def test_data_without_votes_that_compare_are_refused(tmp_path: Path) -> None:
    tree = write_diffiqa(tmp_path / "Test", {"000006x0y770": {"01": (Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE)}})
    done = _run("--dataset", tree, "--metrics", "psnr")
    assert "has no votes that compare versions" in done.stderr
