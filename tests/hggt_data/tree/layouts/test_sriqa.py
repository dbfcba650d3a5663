"""SRIQA-Bench: votes on pairs, MOS files and low-resolution images, and every fault of them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hggt_data import BuildSettings, PairVote, Score, build_dataset, count_labels, open_groups
from hggt_data.schema import Protocol
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.sriqa_tree import METHODS, vote_path, write_sriqa_tree, write_vote
from tests.hggt_data.trees import contents, edit_text, write_bytes, zip_folder

CANDIDATES = tuple(sorted(METHODS))
Change = Callable[[Path], object]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_sriqa_tree(tmp_path / "SRIQA-Bench")


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that tests only read."""
    return write_sriqa_tree(tmp_path_factory.mktemp("sriqa") / "SRIQA-Bench")


def test_the_layout_is_recognised_and_has_no_problems(shared_tree: Path) -> None:
    report = validate_tree(shared_tree, workers=1)
    assert report.problems == ()
    assert report.describe() == (
        "3 groups (layout: sriqa, candidates BSRGAN, StableSR, SwinIR, slots A, B, C, D, E): 0 errors, 0 warnings"
    )


def test_groups_are_contents_with_all_their_pictures(shared_tree: Path) -> None:
    groups = open_groups(shared_tree)
    assert (groups.split, groups.layout, groups.protocol) == ("test", "sriqa", Protocol(versions_at_once=2))
    assert (groups.candidates, groups.ids) == (CANDIDATES, ["x1", "x10", "x2"])
    group = groups["x10"]
    assert (group.image_name, group.top, group.left) == ("x10", None, None)
    assert {name: group.read(name).shape for name in ("original", "SwinIR", "lr")} == {
        "original": (16, 24, 3),
        "SwinIR": (16, 24, 3),
        "lr": (4, 6, 3),
    }


def test_a_vote_prefers_one_of_two_versions_or_neither_and_its_slot_is_nobody(tree: Path) -> None:
    for slot, preferred in zip("ABC", ("first", "second", "tie"), strict=True):
        write_vote(tree, slot, "x1", "SwinIR", "Original", preferred)
    group = open_groups(tree)["x1"]
    assert (group.annotations, group.consensus, group.num_votes) == ((), (None,) * 3, (0,) * 3)
    assert len(group.pairs) == 5 * 6
    assert [vote for vote in group.pairs if {vote.first, vote.second} == {"SwinIR", "original"}][:3] == [
        PairVote("SwinIR", "original", "first", slot="A"),
        PairVote("SwinIR", "original", "second", slot="B"),
        PairVote("SwinIR", "original", "tie", slot="C"),
    ]


def test_the_first_version_of_a_vote_is_its_first_picture(tree: Path) -> None:
    path = vote_path(tree, "A", "x1", "BSRGAN", "SwinIR")
    content = json.loads(path.read_bytes())
    swapped = {"Picture_01": content["Picture_02"], "Picture_02": content["Picture_01"]}
    path.write_text(json.dumps(swapped))
    vote = next(
        v for v in open_groups(tree)["x1"].pairs if v.slot == "A" and {v.first, v.second} == {"BSRGAN", "SwinIR"}
    )
    assert (vote.first, vote.second) == ("SwinIR", "BSRGAN")


def test_annotators_csv_names_the_people_of_slots(tree: Path) -> None:
    (tree / "annotators.csv").write_text("group,slot,pseudonym\nx1,B,owl\n")
    assert {(vote.slot, vote.annotator) for vote in open_groups(tree)["x1"].pairs} == {
        *((slot, None) for slot in "ACDE"),
        ("B", "owl"),
    }


def test_mos_files_are_scores_of_their_folder(shared_tree: Path) -> None:
    line = (shared_tree / "MOS/x1.txt").read_text().splitlines()[1]
    scores = open_groups(shared_tree)["x1"].scores
    assert scores[1] == Score("SwinIR", float(line.split(",")[1]), question="MOS")
    assert [(score.question, score.candidate) for score in scores] == [
        *(("MOS", name) for name in (*METHODS, "original")),
        *(("MOS_Gen", name) for name in METHODS),
    ]


def test_without_mos_files_or_low_resolution_images_the_votes_remain(tree: Path) -> None:
    for folder in ("MOS", "MOS_Gen", "LRImages"):
        for path in sorted((tree / folder).iterdir()):
            path.unlink()
        (tree / folder).rmdir()
    assert validate_tree(tree, workers=1).problems == ()
    listing = list_tree(tree)
    assert (listing.votes, listing.has_lr) == (("pairs",), False)


def test_the_dataset_has_the_same_groups_and_their_strengths(shared_tree: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    output = build_dataset(BuildSettings([shared_tree], tmp_path / "sriqa", workers=1)).output
    built, tree = open_groups(output), open_groups(shared_tree)
    assert list(built) == list(tree)
    assert built.labels_sha256() == tree.labels_sha256()
    assert count_labels(built).to_json() == count_labels(tree).to_json()
    row = load_dataset(str(output), split="test", cache_dir=str(tmp_path))[1]
    assert (row["id"], len(row["pairs"]), row["lr"].size) == ("x10", 30, (6, 4))
    given = {score["candidate"]: score["score"] for score in row["scores"] if score["question"] == "MOS"}
    assert row["mos"] == pytest.approx([given[name] for name in (*CANDIDATES, "original")], abs=0.01)
    assert sum(row["strengths"]) == pytest.approx(0, abs=1e-4)
    card = (output / "README.md").read_text()
    assert "90 votes on pairs; 21 opinion scores" in card
    assert "How the labels were made" not in card
    assert "Toward Generalized Image Quality Assessment" in card


def test_a_zip_file_is_read_as_the_folder(shared_tree: Path, tmp_path: Path) -> None:
    zipped = zip_folder(shared_tree, tmp_path / "download.zip", "SRIQA-Bench")
    assert validate_tree(zipped, workers=1) == validate_tree(shared_tree, workers=1)
    assert open_groups(zipped).labels_sha256() == open_groups(shared_tree).labels_sha256()
    assert open_groups(zipped)["x1"].read_bytes("lr") == open_groups(shared_tree)["x1"].read_bytes("lr")


def test_missing_votes_are_counted_and_named(tree: Path) -> None:
    for slot, pair in (("B", ("BSRGAN", "SwinIR")), ("B", ("BSRGAN", "Original")), ("D", ("SwinIR", "StableSR"))):
        vote_path(tree, slot, "x2", *pair).unlink()
    problems = [problem for problem in validate_tree(tree, workers=1).problems if problem.kind == "missing-votes"]
    assert {problem.severity for problem in problems} == {"warning"}
    assert {problem.path: problem.message for problem in problems} == {
        "labels": "3 of 90 votes are missing",
        "labels/B/x2": "2 of 6 votes are missing: x2_BSRGANx4_SwinIRx4.json, x2_BSRGANx4_Original.json",
        "labels/D/x2": "1 of 6 votes are missing: x2_StableSRx4_SwinIRx4.json",
    }
    assert len(open_groups(tree)["x2"].pairs) == 27


def test_mos_that_votes_do_not_give_are_a_warning(tree: Path) -> None:
    path = tree / "MOS/x1.txt"
    given = re.search(r"x1_SwinIRx4.png,([0-9.]+)", path.read_text())
    assert given
    edit_text(path, given[1], f"{float(given[1]) + 0.02:.4f}")
    [problem] = validate_tree(tree, workers=1).problems
    assert (problem.kind, problem.severity, problem.path) == ("other-mos", "warning", "MOS/x1.txt")
    assert re.match(
        rf"1 score of 4 differ from those of the votes: SwinIR {float(given[1]) + 0.02:.4f}", problem.message
    )


def test_a_rounded_mos_is_equal(tree: Path) -> None:
    path = tree / "MOS/x1.txt"
    path.write_text(re.sub(r"([0-9.]+)$", lambda found: f"{float(found[1]):.0f}", path.read_text(), flags=re.MULTILINE))
    assert validate_tree(tree, workers=1).problems == ()


PICTURE = "images/SwinIR/x1_SwinIRx4.png"
VOTE = "labels/B/x1/x1_SwinIRx4_Original.json"
SWAPPED = "labels/B/x1/x1_Original_SwinIRx4.json"
UNKNOWN = "labels/B/x1/x1_SwinIRx4_Nonex4.json"
WITH_ITSELF = "labels/B/x1/x1_SwinIRx4_SwinIRx4.json"


def replaced(old: str, new: str, path: str = VOTE) -> Change:
    return lambda tree: edit_text(tree / path, old, new)


def written(path: str, data: bytes = b"") -> Change:
    return lambda tree: write_bytes(tree / path, data)


@pytest.mark.parametrize(
    ("change", "kind", "path", "message"),
    [
        (written(VOTE, b"{"), "bad-vote", VOTE, "Expecting property name"),
        (replaced('"Picture_02"', '"Picture_03"'), "bad-vote", VOTE, "lacks 'Picture_02'"),
        (replaced("SwinIR", "BSRGAN"), "bad-vote", VOTE, "it is about x1_BSRGANx4.png and x1_Original.png; expected"),
        (
            replaced('"Negative"', '"Positive"'),
            "bad-vote",
            VOTE,
            "its labels are Positive and Positive; expected Positive and Negative, or twice Similar",
        ),
        (written(UNKNOWN), "annotation-without-group", UNKNOWN, "expected only x1_A_B.json for two of the versions"),
        (written(WITH_ITSELF), "annotation-without-group", WITH_ITSELF, "expected only x1_A_B.json for two"),
        (written(SWAPPED), "duplicate-annotation", VOTE, "slot B voted on this pair in x1_Original_SwinIRx4.json, too"),
        (written("labels/B/x3/x3_SwinIRx4_Original.json"), "annotation-without-group", "labels/B/x3", "x3 has no"),
        (written("MOS/x1.txt", b"x1_SwinIRx4.png;53"), "bad-mos", "MOS/x1.txt", "a line is 'x1_SwinIRx4.png;53';"),
        (written("MOS/x1.txt", b"x2_SwinIRx4.png,53.1"), "bad-mos", "MOS/x1.txt", "a line is 'x2_SwinIRx4.png,53.1'"),
        (written("MOS/x1.txt", b"x1_SwinIRx4.png,nan"), "bad-mos", "MOS/x1.txt", "has the MOS nan; expected 0 to 100"),
        (lambda tree: (tree / PICTURE).unlink(), "missing-image", PICTURE, "SwinIR of group x1 is missing"),
    ],
)
def test_faults_are_errors_of_their_file(tree: Path, change: Change, kind: str, path: str, message: str) -> None:
    change(tree)
    before = contents(tree)
    [problem] = validate_tree(tree, workers=1).errors
    assert (problem.kind, problem.path) == (kind, path)
    assert message in problem.message
    assert contents(tree) == before


@pytest.mark.parametrize("path", ["MOS/x3.txt", "LRImages/x3_Original.png", "labels/notes.txt", "MOS_Gen/readme.md"])
def test_files_that_do_not_belong_are_warnings(tree: Path, path: str) -> None:
    write_bytes(tree / path, b"")
    [problem] = validate_tree(tree, workers=1).problems
    assert (problem.kind, problem.severity, problem.path) == ("extra-file", "warning", path)
