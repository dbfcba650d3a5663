"""What differs between two versions of the same data."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hggt_data.cli.main import main
from hggt_data.comparison.difference import Change, compare_versions
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.dataset.reader import DatasetSource
from hggt_data.io.files import read_csv
from hggt_data.schema import HGGT_PROTOCOL
from hggt_data.tree.protocol import write_protocol
from tests.hggt_data.named_tree import REPO, Published
from tests.hggt_data.trees import edit_text, write_tree
from tests.hub_server import HubServer

IDS = ("p0-0-0", "p1-0-0", "p2-0-0")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["diff", *map(str, arguments), "--workers", "1"])


def build(tree: Path, output: Path, license: str = "cc0-1.0") -> Path:
    build_dataset(BuildSettings([tree], output, license=license, groups_per_shard=2, workers=1))
    return output


@pytest.fixture
def changed(tmp_path: Path) -> tuple[Path, Path]:
    """Two trees: a group is gone, one is new, and of p1-0-0 a label, two pictures and the protocol have changed."""
    one = write_tree(tmp_path / "one", IDS)
    two = write_tree(tmp_path / "two", (*IDS[1:], "p3-0-0"))
    for slot in "ABC":
        path = two / f"labels/0-9/{slot}/p1-0-0.json"
        text = path.read_text()
        for word in ("Similar", "Negative"):
            text = text.replace(word, "Positive")
        path.write_text(text)
    first = two / "images/0-9/01/p1-0-0_01.png"
    Image.open(first).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(first)
    second = two / "images/0-9/02/p1-0-0_02.png"
    Image.open(second).save(second, compress_level=0)
    write_protocol(two, replace(HGGT_PROTOCOL, blind=True))
    return one, two


def test_trees_are_compared_group_by_group(changed: tuple[Path, Path]) -> None:
    difference = compare_versions(*changed, workers=1)
    found = {(one.group, one.change): one.detail for one in difference.changes}
    assert found.keys() == {
        ("p0-0-0", "gone"),
        ("p3-0-0", "added"),
        ("p1-0-0", "consensus"),
        ("p1-0-0", "pixels"),
        ("p1-0-0", "encoding"),
    }
    assert found["p1-0-0", "consensus"].endswith("-> Positive")
    assert (found["p1-0-0", "pixels"], found["p1-0-0", "encoding"]) == ("01", "02")
    assert difference.facts == ("protocol of train: blind is False -> True",)
    assert difference.num_common == 2


def test_datasets_have_the_differences_of_their_trees(changed: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = (build(tree, tmp_path / f"{tree.name}-set") for tree in changed)
    assert compare_versions(one, two, workers=1).changes == compare_versions(*changed, workers=1).changes
    assert not compare_versions(changed[0], one, workers=1)


def test_votes_that_leave_the_consensus_as_it_is_are_told_apart(tmp_path: Path) -> None:
    one, two = (write_tree(tmp_path / name, IDS[:1]) for name in ("one", "two"))
    for tree, words in ((one, ("Positive", "Positive", "Similar")), (two, ("Positive", "Positive", "Negative"))):
        for slot, word in zip("ABC", words, strict=True):
            path = tree / f"labels/0-9/{slot}/p0-0-0.json"
            text = path.read_text()
            for old in ("Positive", "Similar", "Negative"):
                text = text.replace(old, word)
            path.write_text(text)
    assert compare_versions(one, two, workers=1).changes == (Change("train", "p0-0-0", "votes", ""),)


def test_groups_that_moved_to_another_split_and_the_licence_are_named(tmp_path: Path) -> None:
    trees = [write_tree(tmp_path / name, [group]) for name, group in zip("abc", IDS, strict=True)]
    for output, train, test, license in (("x", 0, 1, "cc0-1.0"), ("y", 1, 0, "cc-by-4.0")):
        settings = BuildSettings([trees[train], trees[2]], tmp_path / output, trees[test], license=license, workers=1)
        build_dataset(settings)
    difference = compare_versions(tmp_path / "x", tmp_path / "y", workers=1)
    assert set(difference.changes) == {
        Change("train", IDS[0], "moved", "train -> test"),
        Change("test", IDS[1], "moved", "test -> train"),
    }
    assert difference.facts == ("licence: cc0-1.0 -> cc-by-4.0",)


def test_equal_shards_are_not_read(changed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = build(changed[0], tmp_path / "a")
    edit_text(changed[0] / "labels/0-9/A/p2-0-0.json", '"Picture_', ' "Picture_')  # the same labels
    two = build(changed[0], tmp_path / "b")
    shutil.copytree(one, tmp_path / "c")
    monkeypatch.setattr(DatasetSource, "read_bytes", None)
    assert not compare_versions(one, two, workers=1)
    assert not compare_versions(one, tmp_path / "c", workers=1)


def test_the_command_writes_all_changes_and_has_an_exit_code(changed: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*changed, "--output", tmp_path / "all.csv")
    assert result.exit_code == 0, result.output
    assert "1 group with other pixels: p1-0-0 (01)" in result.output
    columns, lines = read_csv(tmp_path / "all.csv")
    assert columns == ["split", "group", "change", "detail"]
    assert len(lines) == 5
    assert run(*changed, "--exit-code", "--labels-only").exit_code == 1
    same = run(changed[0], changed[0], "--exit-code")
    assert (same.exit_code, "no differences" in same.output) == (0, True)


@pytest.mark.usefixtures("online")
def test_revisions_on_the_hub_are_compared(filled_hub: HubServer, published: Published) -> None:
    result = run(f"{REPO}@v1.0", published.tree)
    assert result.exit_code == 0, result.output
    assert "no differences" in result.output
