"""Lists of triplets."""

from pathlib import Path

import pytest

from hggt_data.loading import open_groups
from hggt_data.schema import Annotation, Label
from hggt_data.tree.hggt_labels import format_annotation
from tests.hggt_data.exports.commands import done, refused
from tests.hggt_data.trees import write_tree

LETTERS = {label.value[0]: label for label in Label}


def labelled(root: Path, group: str, *votes: str) -> Path:
    """A tree of one group whose slots A, B, C give these labels, a letter for each candidate."""
    names = tuple(f"{k:02d}" for k in range(1, len(votes[0]) + 1))
    write_tree(root, [group], candidates=names)
    for slot, letters in zip("ABC", votes, strict=True):
        annotation = Annotation(slot, tuple(LETTERS[letter] for letter in letters))
        (root / f"labels/0-9/{slot}/{group}.json").write_text(format_annotation(annotation, group, names))
    return root


def test_candidates_are_compared_with_each_other_and_the_original(tmp_path: Path) -> None:
    tree = labelled(tmp_path / "T", "a-0-0", "PSNSPN", "PSNSSN", "SSNPNN")
    output = done("triplets", tree, "--output", tmp_path / "Triplet.txt")
    lines = [line.replace("a-0-0", "a") for line in (tmp_path / "Triplet.txt").read_text().splitlines()]
    assert lines == [  # 05 has no majority
        "a_01.png,a_02.png,a.png,1,1,0.5",
        "a_01.png,a_03.png,a.png,1,1,0",
        "a_01.png,a_04.png,a.png,1,1,0.5",
        "a_01.png,a_06.png,a.png,1,1,0",
        "a_02.png,a_03.png,a.png,1,0.5,0",
        "a_02.png,a_04.png,a.png,0.5,0.5,0.5",
        "a_02.png,a_06.png,a.png,1,0.5,0",
        "a_03.png,a_04.png,a.png,0,0,0.5",
        "a_04.png,a_06.png,a.png,1,0.5,0",
        "a_01.png,a.png,a.png,1,1,0.5",
        "a_02.png,a.png,a.png,0.5,0.5,0.5",
        "a_03.png,a.png,a.png,0,0,0.5",
        "a_04.png,a.png,a.png,0.5,0.5,0.5",
        "a_06.png,a.png,a.png,0,0,0.5",
    ]
    assert "14 triplets of 1 group" in output
    assert "HGGT terms" in (tmp_path / "Triplet.txt.LICENSE.txt").read_text()


def test_files_of_a_tree_have_these_names(fixtures: Path, tmp_path: Path) -> None:
    done("triplets", fixtures / "Test", "--output", tmp_path / "Triplet.txt")
    listed = {name for line in (tmp_path / "Triplet.txt").read_text().splitlines() for name in line.split(",")[:3]}
    assert listed <= {path.name for path in (fixtures / "Test").rglob("*.png")}
    assert {f"{group}.png" for group in open_groups(fixtures / "Test").ids} <= listed


@pytest.mark.parametrize(
    ("group", "votes", "message"),
    [
        ("a,b-0-0", ("P", "P", "P"), "the group 'a,b-0-0' has a comma in its name, which separates values"),
        ("a-0-0", ("P", "S", "N"), "has no candidates with a majority"),
    ],
)
def test_what_cannot_be_listed_leaves_nothing(tmp_path: Path, group: str, votes: tuple[str, ...], message: str) -> None:
    refused(message, "triplets", labelled(tmp_path / "T", group, *votes), "--output", tmp_path / "Triplet.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["T"]
