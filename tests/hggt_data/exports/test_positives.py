"""Positives as a list and as images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hggt_data.loading import open_groups
from tests.hggt_data.exports.commands import done, read_table, refused
from tests.hggt_data.trees import FOUR, contents, write_bytes


def test_a_list_of_a_tree_has_paths_in_it(fixtures: Path, tmp_path: Path) -> None:
    output = done("positives", fixtures / "Train", "--output", tmp_path / "p.csv")
    assert f"; paths are relative to {fixtures / 'Train'}\n" in output
    groups = open_groups(fixtures / "Train")
    lines = read_table(tmp_path / "p.csv")
    assert [(line["group"], line["candidate"]) for line in lines] == [
        (str(group.id), name) for group in groups for name in group.positives
    ]
    for line in lines:
        assert (fixtures / "Train" / line["path"]).name == f"{line['group']}_{line['candidate']}.png"
        assert (fixtures / "Train" / line["path"]).is_file()
        group = next(group for group in groups if str(group.id) == line["group"])
        assert int(line["agreement"]) == group.agreement[group.candidates.index(line["candidate"])]
        assert line["num_votes"] == "3"


def test_a_list_of_a_dataset_has_rows(real_dataset: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
    out = tmp_path / "new" / "p.csv"
    assert "positives of 6 groups" in done("positives", real_dataset, "--split", "test", "--output", out)
    rows = load(str(real_dataset), split="test")
    lines = read_table(out)
    assert lines
    for line in lines:
        row = rows[int(line["row"])]
        assert (row["id"], line["split"]) == (line["group"], "test")
        assert row["consensus"][FOUR.index(line["candidate"])] == 0
        assert row[f"enhanced_{line['candidate']}"] is not None


def test_a_text_file_has_absolute_paths(fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fixtures)
    done("positives", "Train", "--output", tmp_path / "p.txt")
    done("positives", "Train", "--output", tmp_path / "p.csv")
    paths = (tmp_path / "p.txt").read_text().splitlines()
    assert paths == [str(fixtures / "Train" / line["path"]) for line in read_table(tmp_path / "p.csv")] != []


def test_a_text_file_cannot_list_the_pictures_of_a_dataset(real_dataset: Path, tmp_path: Path) -> None:
    message = "the pictures are not files of their own, so"
    refused(message, "positives", real_dataset, "--split", "train", "--output", tmp_path / "p.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["tree", "dataset"])
def test_the_pictures_themselves(fixtures: Path, real_dataset: Path, tmp_path: Path, kind: str) -> None:
    source = [fixtures / "Train"] if kind == "tree" else [real_dataset, "--split", "train"]
    done("positives", *source, "--output", tmp_path / "out", "--files")
    expected = {
        f"{group.id}_{name}.png": group.read_bytes(name)
        for group in open_groups(fixtures / "Train")
        for name in group.positives
    }
    assert contents(tmp_path / "out/gt") == expected
    assert [line["path"] for line in read_table(tmp_path / "out/positives.csv")] == [f"gt/{n}" for n in expected]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["LICENSE.txt", "gt", "positives.csv"]


def test_a_minimum_agreement_of_3_keeps_unanimous_positives(tree: Path, tmp_path: Path) -> None:
    done("positives", tree, "--output", tmp_path / "two.csv")
    done("positives", tree, "--output", tmp_path / "three.csv", "--min-agreement", 3)
    two, three = read_table(tmp_path / "two.csv"), read_table(tmp_path / "three.csv")
    assert three == [line for line in two if line["agreement"] == "3"]
    assert 0 < len(three) < len(two)


def test_no_positive_is_an_error_and_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    for out in ([tmp_path / "p.csv"], [tmp_path / "out", "--files"]):
        message = "no positives with an agreement of 4 or more"
        refused(message, "positives", tree, "--min-agreement", 4, "--output", *out)
    assert [path.name for path in tmp_path.iterdir()] == ["T"]


def test_a_missing_split_and_another_ending_are_refused(real_dataset: Path, tree: Path, tmp_path: Path) -> None:
    message = "has the splits train, test; choose one with"
    refused(message, "positives", real_dataset, "--output", tmp_path / "p.csv")
    refused("a name that ends in .csv or .txt", "positives", tree, "--output", tmp_path / "p.json")


def test_an_existing_list_is_replaced(tree: Path, tmp_path: Path) -> None:
    write_bytes(tmp_path / "p.csv", b"old")
    done("positives", tree, "--output", tmp_path / "p.csv")
    assert read_table(tmp_path / "p.csv")
