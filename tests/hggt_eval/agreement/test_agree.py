import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.stats import kendalltau, pearsonr, spearmanr

from hggt_data.loading import open_groups
from hggt_data.schema import Label
from hggt_eval import METRICS, agree
from hggt_eval.cli import main
from hggt_eval.metrics import NO_REFERENCE, MetricSettings
from tests.hggt_data.diffiqa_tree import write_diffiqa
from tests.hggt_data.sriqa_tree import METHODS, write_mos, write_sriqa_tree
from tests.hggt_data.table_tree import copy_tables, write_pictures
from tests.hggt_eval.conftest import DATA

TREE = DATA / "fixtures/Train"
VERSIONS = (*METHODS, "original")


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["agree", *map(str, arguments)], prog_name="hggt-eval")


def _rows(output: Path, question: str | None = None, original: str | None = None) -> Mapping[tuple[str, str], Any]:
    """The rows of one question, with, without or irrespective of the original: (evidence, name) -> row."""
    metrics = json.loads((output / "agree.json").read_text())["metrics"]
    chosen = [row for row in metrics if (row["question"], row["original"]) == (question, original)]
    return {(row["evidence"], row["name"]): row for row in chosen}


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_metrics_are_computed_against_the_original(tmp_path: Path) -> None:
    """Accuracy by hand: each pair of candidates with different labels, from the metric itself."""
    done = _run("--dataset", TREE, "--metrics", "psnr", "--plain", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert r"\toprule" not in (tmp_path / "out/table.tex").read_text("utf-8")
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
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == [
        "agree.json",
        "report.html",
        "table.md",
        "table.tex",
    ]
    assert "psnr ↑" in done.stdout
    verdict = f"psnr agrees with people on {100 * right / total:.1f} % of {total} pairs"
    page = (tmp_path / "out/report.html").read_text()
    assert verdict in page
    assert "It does not differ significantly from chance." in page


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
    lines = [f"{group.id},{name},{k},{hash(group.id) % 97 + k}" for group in groups for k, name in enumerate(VERSIONS)]
    scores = _write(tmp_path / "scores.csv", "group,version,rank,blind", *lines)
    output = tmp_path / "out"
    options = ("--scores", scores, "--lower-is-better", "rank", "--higher-is-better", "blind", "--output", output)
    done = _run("--dataset", tree, "--ties", "calibrated", "--metrics", "psnr", *options)
    assert done.exit_code == 0, done.output
    # The scores of `rank` for originals are equal in all groups, as those of a metric that compares with them.
    assert "rank gives every original the score 3, as if it compared with originals" in done.stdout
    without, with_it = (_rows(output, original=original) for original in ("without", "with"))
    assert {name for _, name in without} == {"psnr", "rank", "blind", "chance"}
    assert {name for _, name in with_it} == {"blind", "chance", "always the original"}
    for name in ("psnr", "rank", "blind"):
        row = without["judged", name]
        assert row["by_kind"].keys() == {"votes"}
        assert row["pairs"] + row["ties"] == row["with_ties"]["pairs"] == 6 * 3
        assert row["groups"] + row["left_out"] == 6
    row = with_it["judged", "blind"]
    assert row["by_kind"].keys() == {"votes", "votes-original"}
    assert row["pairs"] + row["ties"] == 6 * 6
    assert 0 < row["ceiling"] < 1


def test_mos_that_were_rescaled_in_each_content_are_not_pooled(tmp_path: Path) -> None:
    """SRIQA-Bench's MOS are 0 to 100 in each content; each of them is a question."""
    tree = write_sriqa_tree(tmp_path / "sriqa")
    done = _run("--dataset", tree, "--metrics", "psnr", "--output", tmp_path / "out")
    row = _rows(tmp_path / "out", "MOS", "without")["scored", "psnr"]
    assert (row["pairs"], row["groups"], row["by_kind"].keys()) == (9, 3, {"scores"})
    assert row["pooled_spearman"] is row["pooled_pearson"] is None
    assert "rescaled within each content" in (tmp_path / "out/table.md").read_text()
    assert "Pairs by opinion scores (MOS_Gen):" in done.stdout


def test_opinion_scores_on_one_scale_are_pooled(tmp_path: Path) -> None:
    """Eight pictures with four distortions; the accuracy and the pooled values are recomputed from the two tables."""
    rng = np.random.default_rng(0)
    names, groups = ("01_01", "01_02", "02_01", "02_02"), [f"I{k:02}" for k in range(8)]
    mos = {(group, name): round(rng.uniform(1, 5), 2) for group in groups for name in names}
    own = {key: value + rng.normal(0, 0.7) for key, value in mos.items()}
    tree = write_pictures(tmp_path / "own", dict.fromkeys(groups, (*names, "original")), size=(32, 32))
    _write(tree / "votes.csv", "group,candidate,score,std,votes", *(f"{g},{n},{v},0.5,30" for (g, n), v in mos.items()))
    scores = _write(tmp_path / "scores.csv", "group,version,mine", *(f"{g},{n},{v}" for (g, n), v in own.items()))
    options = ("--scores", scores, "--higher-is-better", "mine", "--metrics", "ssim", "--output", tmp_path / "out")
    done = _run("--dataset", tree, *options)
    assert done.exit_code == 0, done.output
    row = _rows(tmp_path / "out")["scored", "mine"]
    pairs = [((g, a), (g, b)) for g in groups for a, b in combinations(names, 2) if mos[g, a] != mos[g, b]]
    assert row["accuracy"] == pytest.approx(np.mean([(mos[a] > mos[b]) == (own[a] > own[b]) for a, b in pairs]))
    assert row["pooled_spearman"] == pytest.approx(spearmanr(list(own.values()), list(mos.values())).statistic)
    assert row["pooled_kendall"] == pytest.approx(kendalltau(list(own.values()), list(mos.values())).statistic)
    assert row["pooled_pearson"] >= pearsonr(list(own.values()), list(mos.values())).statistic - 1e-6
    within = [spearmanr([own[g, n] for n in names], [mos[g, n] for n in names]).statistic for g in groups]
    assert row["spearman"] == pytest.approx(np.mean(within))
    assert "pooled Pearson" in done.stdout


def test_labels_are_never_pooled(tmp_path: Path) -> None:
    _run("--dataset", TREE, "--metrics", "psnr", "--output", tmp_path)
    rows = json.loads((tmp_path / "agree.json").read_text())["metrics"]
    assert {row[f"pooled_{name}"] for row in rows for name in ("spearman", "kendall", "pearson")} == {None}


def test_families_of_versions(tmp_path: Path) -> None:
    """SRIQA-Bench's MOS files tell regression from generative methods; any others are in a file."""
    tree = write_sriqa_tree(tmp_path / "sriqa")
    for content in ("x1", "x2", "x10"):
        write_mos(tree / "MOS_Reg", content, ("SwinIR",), np.array([50.0]))
        write_mos(tree / "MOS_Gen", content, ("BSRGAN", "StableSR"), np.array([0.0, 100.0]))
    _run("--dataset", tree, "--metrics", "psnr", "--by", "family", "--output", tmp_path / "out")
    by_family = _rows(tmp_path / "out", original="without")["judged", "psnr"]["by_family"]
    assert by_family.keys() <= {"generative", "generative, regression"}
    assert {"generative, original", "regression, original"} <= _rows(tmp_path / "out", original="with")[
        "judged", "chance"
    ]["by_family"].keys()
    names = open_groups(TREE).candidates
    path = _write(
        tmp_path / "families.csv", "version,family", *(f"{n},{'RCAN' if n < '03' else 'ELAN'}" for n in names)
    )
    done = _run(
        "--dataset", TREE, "--metrics", "psnr", "--by", "family", "--families", path, "--output", tmp_path / "hggt"
    )
    row = _rows(tmp_path / "hggt")["inferred", "psnr"]
    assert row["by_family"].keys() == {"ELAN", "ELAN, RCAN", "RCAN"}
    assert sum(one["pairs"] for one in row["by_family"].values()) == row["pairs"]
    assert "Pairs inferred from labels, by family:" in done.stdout
    [_, ranking] = agree(TREE, metrics="psnr", by="family").rankings
    assert "01, 02" in ranking.metrics[0].by_family


def test_families_of_groups(tmp_path: Path) -> None:
    tree = copy_tables("bapps", tmp_path / "bapps")
    groups = ("cnn-000000", "cnn-000001", "traditional-000000")
    write_pictures(tree, dict.fromkeys(groups, ("p0", "p1", "original")), size=(32, 32))
    path = _write(tmp_path / "families.csv", "group,family", *(f"{group},{group.split('-')[0]}" for group in groups))
    [ranking] = agree(tree, metrics="psnr", by="family", families=path).rankings
    assert {name: one.pairs for name, one in ranking.metrics[0].by_family.items()} == {"cnn": 2, "traditional": 1}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["version,family", "01,RCAN"], "lacks 3 of 4 versions: 02, 03"),
        (["version,family", "1,RCAN"], "line 2: "),
        (["version,family", "01,"], "version 01 has no family"),
        (["group,sort", "01,RCAN"], "columns group,sort; expected version,family or group,family"),
    ],
)
def test_faulty_families_are_one_line(tmp_path: Path, lines: list[str], message: str) -> None:
    path = _write(tmp_path / "families.csv", *lines)
    done = _run("--dataset", TREE, "--metrics", "psnr", "--by", "family", "--families", path)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_table_by_question(tmp_path: Path) -> None:
    tree = write_sriqa_tree(tmp_path / "sriqa")
    done = _run("--dataset", tree, "--metrics", "psnr", "--by", "question")
    [_, table] = done.stdout.split("By question:\n")
    assert [line.split("  ")[0] for line in table.splitlines()[:8]] == [
        "question",
        "Pairs that people judged, without the original",
        "Pairs that people judged, with the original",
        "Pairs by opinion scores (MOS), without the original",
        "Pairs by opinion scores (MOS), with the original",
        "Pairs by opinion scores (MOS_Gen)",
    ]


def test_verdicts_on_pairs_are_read(tmp_path: Path) -> None:
    tree = write_sriqa_tree(tmp_path / "sriqa")
    pairs = list(combinations(VERSIONS, 2))
    lines = [f"{group.id},{a},{b},mine,0.8" for group in open_groups(tree) for a, b in pairs]
    path = _write(tmp_path / "pairs.csv", "group,first,second,metric,score", *lines)
    agreement = agree(tree, scores=[path], trained=["mine"])
    without, with_it = agreement.rankings[:2]
    row = with_it.metrics[0]
    assert (row.name, row.direction, row.accuracy.pairs + row.ties) == ("mine", "pairs", 3 * 6)
    assert row.by_kind.keys() == {"votes", "votes-original"}
    assert without.metrics[0].by_kind.keys() == {"votes"}
    assert "mine (trained on these data)" in agreement.table()


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
        (["group,version,psnr,ssim", *(f"{line},0.5" for line in COMPLETE[::2])], "psnr and ssim lack "),
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


def test_only_its_own_results_are_overwritten(tmp_path: Path) -> None:
    for name in ("scores.json", "report.html", "table.tex"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        _write(folder / name, "{}")
        done = _run("--dataset", TREE, "--metrics", "psnr", "--output", folder)
        assert f"contains {name} of another command or program; choose another folder for --output" in done.stderr
        assert [path.name for path in folder.iterdir()] == [name]
    for metric in ("psnr", "ssim"):
        assert _run("--dataset", TREE, "--metrics", metric, "--output", tmp_path / "own").exit_code == 0
    assert ("inferred", "ssim") in _rows(tmp_path / "own")


@pytest.mark.parametrize("command", ["score", "compare"])
def test_its_results_are_not_overwritten_by_other_commands(tmp_path: Path, command: str) -> None:
    own, scores = tmp_path / "own", tmp_path / "scores"
    _run("--dataset", TREE, "--metrics", "psnr", "--output", own)
    before = {path: path.read_bytes() for path in own.iterdir()}
    data = ("--dataset", DATA / "fixtures/Test", "--restored", DATA / "fixtures/restored/bicubic", "--metrics", "psnr")
    for output in (scores, own):
        how = ("compare", scores) if command == "compare" and output == own else ("score", *data)
        arguments = [*map(str, how), "--gallery", "0", "--output", str(output)]
        done = CliRunner().invoke(main, arguments, prog_name="hggt-eval")
        assert done.exit_code == (output == own)
    assert "contains agree.json, " in done.stderr
    assert "of another command or program; choose another folder for --output" in done.stderr
    assert {path: path.read_bytes() for path in own.iterdir()} == before


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
