"""Preference pairs as a dataset and as JSON lines."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Features, Image

from hggt_data.exports.pairs import PairSettings, export_pairs, pair_features, pickapic_features
from hggt_data.exports.preferences import PairKind, preference_pairs, tied_pairs
from hggt_data.exports.source import open_source
from hggt_data.groups import Group
from hggt_data.io.images import encode_png, read_pixels
from hggt_data.loading import open_groups
from hggt_data.schema import Annotation, Label
from hggt_data.tree.hggt_labels import format_annotation
from tests.hggt_data.exports.commands import done, refused, run
from tests.hggt_data.trees import contents, write_tree


def require_pairs(groups: list[Group], rows: list[dict[str, Any]], read: Callable[[Any], bytes]) -> None:
    """The rows are the pairs of these groups, one by one, with the bytes of their pictures."""
    expected = [(group, pair) for group in groups for pair in preference_pairs(group)]
    assert len(rows) == len(expected) > 0
    for row, (group, pair) in zip(rows, expected, strict=True):
        assert (row["group"], row["chosen_name"], row["rejected_name"], row["kind"], row["margin"]) == (
            str(group.id),
            pair.chosen,
            pair.rejected,
            pair.kind and pair.kind.value,
            pair.margin,
        )
        for side in ("chosen", "rejected"):
            assert read(row[side]) == group.read_bytes(row[f"{side}_name"])
            votes = getattr(pair, f"votes_{side}")
            assert row[f"votes_{side}"] == {label.class_name: count for label, count in votes.items()}
        assert read(row["original"]) == group.read_bytes("original")
        if "lr" in row:
            assert (row["lr"] and read(row["lr"])) == (group.read_bytes("lr") if group.has_picture("lr") else None)


def test_parquet_of_both_splits(real_dataset: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
    output = done("pairs", real_dataset, "--output", tmp_path / "pairs")
    assert f'load_dataset("{tmp_path / "pairs"}")' in output
    found = load(str(tmp_path / "pairs"))
    assert list(found) == ["train", "test"]
    for split, rows in found.items():
        assert list(rows.features) == [
            *("lr", "chosen", "rejected", "original", "group", "chosen_name", "rejected_name"),
            *("kind", "votes_chosen", "votes_rejected", "margin"),
        ]
        assert rows.features == pair_features(has_lr=True)
        assert isinstance(rows.features["chosen"], Image)
        plain = rows.cast(Features({**rows.features, **{c: Image(decode=False) for c in rows.column_names[:4]}}))
        require_pairs(list(open_groups(real_dataset, split)), list(plain), lambda value: value["bytes"])
    row = found["test"][0]
    np.testing.assert_array_equal(
        np.asarray(row["chosen"]), open_groups(real_dataset, "test")[0].read(row["chosen_name"])
    )
    assert row["lr"].size == (40, 40)


def test_parquet_loads_by_its_files_or_streaming_and_no_shard_may_be_missing(
    tree: Path, tmp_path: Path, load: Callable[..., Any]
) -> None:
    export_pairs(open_source(str(tree)), tmp_path / "pairs", PairSettings(pairs_per_shard=5))
    files = sorted((tmp_path / "pairs/data").iterdir())
    assert len(files) > 2
    groups = list(open_groups(tree))
    count = sum(len(preference_pairs(group)) for group in groups)
    assert [path.name for path in files][-1] == f"train-{len(files) - 1:05d}-of-{len(files):05d}.parquet"
    by_files = load("parquet", data_files=[str(path) for path in files], split="train")
    assert (len(by_files), by_files.features) == (count, pair_features(has_lr=False))
    streamed = list(load(str(tmp_path / "pairs"), split="train", streaming=True))
    assert [row["group"] for row in streamed] == by_files["group"][:]
    files[1].unlink()
    with pytest.raises(FileNotFoundError, match="train-00001-of"):
        load(str(tmp_path / "pairs"))


def test_jsonl_names_each_picture_once_and_lr_where_a_split_has_it(real_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    done("pairs", real_dataset, "--output", out, "--format", "jsonl")
    named = set()
    for split in ("train", "test"):
        rows = [json.loads(line) for line in (out / f"{split}.jsonl").read_text("utf-8").splitlines()]
        require_pairs(list(open_groups(real_dataset, split)), rows, lambda path: (out / path).read_bytes())
        assert list(rows[0])[:4] == ["lr", "chosen", "rejected", "original"]
        named |= {row[column] for row in rows for column in ("lr", "chosen", "rejected", "original")} - {None}
    assert named == {path for path in contents(out) if path.endswith(".png")}


def test_some_kinds_and_margins(tree: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
    options = ["--kind", "P-N", "--kind", "original-N", "--min-margin", "0.9"]
    output = done("pairs", tree, "--output", tmp_path / "pairs", *options)
    rows = load(str(tmp_path / "pairs"), split="train")
    assert set(rows["kind"]) == {"P>N", "original>N"}
    assert min(rows["margin"]) >= 0.9
    kinds = {PairKind.POSITIVE_NEGATIVE, PairKind.ORIGINAL_NEGATIVE}
    pairs = [pair for group in open_groups(tree) for pair in preference_pairs(group, kinds)]
    assert len(rows) == sum(pair.margin >= 0.9 for pair in pairs) < len(pairs)
    assert f"{len(rows)} pairs (" in output


def test_no_pair_is_an_error_and_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    options = ["--kind", "S-N", "--min-margin", 2]
    refused("has no such pairs of different pictures in train", "pairs", tree, "--output", tmp_path / "pairs", *options)
    assert [path.name for path in tmp_path.iterdir()] == ["T"]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_equal_pictures_form_no_pair(tree: Path, tmp_path: Path, form: str, load: Callable[..., Any]) -> None:
    (images,) = (tree / "images").iterdir()
    for path in (images / "04").iterdir():  # encoded otherwise
        (images / "03" / path.name.replace("_04", "_03")).write_bytes(encode_png(read_pixels(path), 1))
    group, *_ = [group for group in open_groups(tree) if "01" in group.positives]
    shutil.copy(images / f"original/{group.id}.png", images / f"01/{group.id}_01.png")
    expected = [
        (str(group.id), pair.chosen, pair.rejected)
        for group in open_groups(tree)
        for pair in preference_pairs(group)
        if not np.array_equal(group.read(pair.chosen), group.read(pair.rejected))
    ]
    num_all = sum(len(preference_pairs(group)) for group in open_groups(tree))
    assert 0 < len(expected) < num_all
    output = done("pairs", tree, "--output", tmp_path / "pairs", "--format", form)
    assert f"; left out {num_all - len(expected)} pairs of equal pictures\n" in output
    if form == "parquet":
        rows = list(load(str(tmp_path / "pairs"), split="train"))
    else:
        rows = [json.loads(line) for line in (tmp_path / "pairs/train.jsonl").read_text("utf-8").splitlines()]
    assert [(row["group"], row["chosen_name"], row["rejected_name"]) for row in rows] == expected


def test_only_equal_pictures_are_an_error_and_leave_nothing(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "T", ["a-0-0"], candidates=("01",))
    shutil.copy(tree / "images/0-9/original/a-0-0.png", tree / "images/0-9/01/a-0-0_01.png")
    for slot in "ABC":
        edit = tree / f"labels/0-9/{slot}/a-0-0.json"
        edit.write_bytes(format_annotation(Annotation(slot, (Label.POSITIVE,)), "a-0-0", ("01",)).encode())
    refused("has no such pairs of different pictures in train", "pairs", tree, "--output", tmp_path / "pairs")
    assert [path.name for path in tmp_path.iterdir()] == ["T"]


def test_a_tree_and_its_dataset_give_the_same_folder(fixtures: Path, real_dataset: Path, tmp_path: Path) -> None:
    done("pairs", fixtures / "Test", "--output", tmp_path / "tree")
    done("pairs", real_dataset, "--split", "test", "--output", tmp_path / "data")
    assert contents(tmp_path / "tree") == contents(tmp_path / "data")


def test_a_changed_picture_changes_the_card(tree: Path, tmp_path: Path) -> None:
    done("pairs", tree, "--output", tmp_path / "one")
    shutil.copy(tree / "images/0-9/original/b-0-0.png", tree / "images/0-9/original/b-0-8.png")
    done("pairs", tree, "--output", tmp_path / "two")
    one, two = ((tmp_path / name / "README.md").read_bytes() for name in ("one", "two"))
    assert one != two  # or load_dataset would give the old rows from its cache


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_damaged_picture_is_one_line_and_leaves_nothing(tree: Path, tmp_path: Path, form: str) -> None:
    path = tree / "images/0-9/original/b-0-8.png"
    path.write_bytes(path.read_bytes()[:-10])
    refused("original/b-0-8.png: cut off", "pairs", tree, "--output", tmp_path / "out", "--format", form)
    assert [path.name for path in tmp_path.iterdir()] == ["T"]


@pytest.mark.parametrize(
    "arguments",
    [["--kind", "P>S"], ["--min-margin", "3"], ["--columns", "pickapic", "--format", "jsonl"], ["--ties"]],
)
def test_wrong_usage_exits_2(tree: Path, tmp_path: Path, arguments: list[str]) -> None:
    assert run("pairs", tree, "--output", tmp_path / "out", *arguments).exit_code == 2


def test_the_columns_of_pick_a_pic(tree: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
    arguments = ["pairs", tree, "--columns", "pickapic", "--output"]
    done(*arguments, tmp_path / "pairs")
    assert " ties" in done(*arguments, tmp_path / "ties", "--ties")
    rows, with_ties = (load(str(tmp_path / name), split="train") for name in ("pairs", "ties"))
    assert rows.features == pickapic_features()
    assert list(rows.features) == ["jpg_0", "jpg_1", "label_0", "caption"]
    found = [(pair, group) for group in open_groups(tree) for pair in preference_pairs(group)]
    assert len(rows) == len(found)
    for row, (pair, group) in zip(rows, found, strict=True):
        better, worse = ("jpg_0", "jpg_1") if row["label_0"] else ("jpg_1", "jpg_0")
        assert (row[better], row[worse]) == (group.read_bytes(pair.chosen), group.read_bytes(pair.rejected))
    assert set(rows["label_0"]) == {0.0, 1.0}  # the position says nothing
    ties = [(group, pair) for group in open_groups(tree) for pair in tied_pairs(group)]
    written = [{row["jpg_0"], row["jpg_1"]} for row in with_ties if row["label_0"] == 0.5]
    assert written == [{group.read_bytes(pair.chosen), group.read_bytes(pair.rejected)} for group, pair in ties] != []


def test_candidates_without_a_majority_can_be_left_out(tree: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
    done("pairs", tree, "--output", tmp_path / "all")
    done("pairs", tree, "--output", tmp_path / "clear", "--majority-only")
    groups = open_groups(tree)
    rows, clear = (list(load(str(tmp_path / name), split="train")) for name in ("all", "clear"))

    def is_clear(row: dict[str, Any]) -> bool:
        group = groups[row["group"]]
        agreement = dict(zip(group.candidates, group.agreement, strict=True))
        return all(agreement.get(row[f"{side}_name"], 3) > 1 for side in ("chosen", "rejected"))

    assert [row["margin"] for row in clear] == [row["margin"] for row in rows if is_clear(row)]
    assert 0 < len(clear) < len(rows)


@pytest.mark.parametrize("form", ["parquet", "pickapic", "jsonl"])
def test_votes_on_pairs_without_an_original(tmp_path: Path, form: str, load: Callable[..., Any]) -> None:
    for number, name in enumerate(("a", "b", "c")):
        path = tmp_path / f"T/cat/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((16, 16, 3), number, np.uint8)))
    (tmp_path / "T/votes.csv").write_text("group,first,second,preferred_share,votes\ncat,a,b,0.2,5\ncat,c,b,0.5,2\n")
    output, pictures = tmp_path / "pairs", {name: (tmp_path / f"T/cat/{name}.png").read_bytes() for name in "abc"}
    if form == "jsonl":
        assert "1 pair (1 votes)" in done("pairs", tmp_path / "T", "--output", output, "--format", form)
        (line,) = (output / "train.jsonl").read_text().splitlines()
        row = json.loads(line)
        assert (output / row["chosen"]).read_bytes() == pictures["b"]
    elif form == "parquet":
        done("pairs", tmp_path / "T", "--output", output)
        (row,) = load(str(output), split="train")
    else:
        done("pairs", tmp_path / "T", "--output", output, "--columns", form, "--ties")
        rows = load(str(output), split="train")
        assert {(row["jpg_0"], row["jpg_1"]): row["label_0"] for row in rows}.keys() <= {
            *((pictures["b"], pictures[name]) for name in "ac"),
            *((pictures[name], pictures["b"]) for name in "ac"),
        }
        assert sorted({row["label_0"] for row in rows}) in ([0, 0.5], [0.5, 1])
        return
    names = ("group", "chosen_name", "rejected_name", "kind", "margin", "original")
    assert tuple(row[name] for name in names) == ("cat", "b", "a", "votes", pytest.approx(0.6), None)
