"""Votes as tables."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hggt_data.consensus import consensus_label
from hggt_data.errors import DatasetError
from hggt_data.exports.source import OpenedSource
from hggt_data.exports.votes import export_votes
from hggt_data.groups import GroupSource, anonymous_votes
from hggt_data.loading import open_groups, open_splits
from hggt_data.schema import ChoiceVote, Label, PairVote, PatchGroup, Score
from hggt_data.tree.demo import write_demo_tree
from hggt_data.tree.table_options import TableOptions
from tests.hggt_data.diffiqa_tree import write_splits
from tests.hggt_data.exports.commands import done, read_table, refused
from tests.hggt_data.memory_source import MemorySource
from tests.hggt_data.named_tree import ANNOTATORS, write_named_tree
from tests.hggt_data.sriqa_tree import write_sriqa_tree


def test_the_table_gives_the_same_labels_again(real_dataset: Path, tmp_path: Path) -> None:
    done("votes", real_dataset, "--output", tmp_path / "out")
    rows = read_table(tmp_path / "out/votes.csv")
    splits = {line["group"]: line["split"] for line in read_table(tmp_path / "out/groups.csv")}
    assert set(splits.values()) == {"train", "test"}
    for name, split in splits.items():
        group = open_groups(real_dataset, split)[name]
        for k, candidate in enumerate(group.candidates):
            found = [row for row in rows if (row["group"], row["candidate"]) == (name, candidate)]
            assert [(row["slot"], Label(row["label"])) for row in found] == [
                (annotation.slot, annotation.labels[k]) for annotation in group.annotations
            ]
            drawn = consensus_label([Label(row["label"]) for row in found])
            assert (drawn.label, drawn.agreement) == (group.consensus[k], group.agreement[k])
        starts = {row["slot"]: row["start"] for row in rows if row["group"] == name}
        assert {slot: datetime.fromisoformat(text) for slot, text in starts.items()} == {
            annotation.slot: annotation.start for annotation in group.annotations
        }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["LICENSE.txt", "groups.csv", "protocol.json", "votes.csv"]
    )


def test_annotators_are_named_only_if_they_are_known(tmp_path: Path) -> None:
    tree = write_named_tree(tmp_path / "T")
    done("votes", tree, "--output", tmp_path / "out")
    rows = read_table(tmp_path / "out/votes.csv")
    assert {(row["group"], row["slot"]): row["annotator"] for row in rows} == {
        (row["group"], row["slot"]): ANNOTATORS.get((row["group"], row["slot"]), "") for row in rows
    }


def write_hggt_test(folder: Path) -> Path:
    """A tree with LR images."""
    return write_demo_tree(folder).test


class Voted(MemorySource):
    """One group with these votes."""

    def __init__(self, **votes: Any) -> None:
        super().__init__({"a-0-0": {"01": (np.zeros((8, 8, 3), np.uint8), Label.SIMILAR)}})
        self.split = "train"
        self._votes = votes

    def _read_labels(self, index: int) -> PatchGroup:
        return replace(super()._read_labels(index), **self._votes)


def exported(groups: GroupSource, output: Path) -> Mapping[str, list[dict[str, str]]]:
    export_votes(OpenedSource("memory", {"train": groups}, "cc0-1.0"), output)
    return {path.stem: read_table(path) for path in sorted(output.glob("*.csv"))}


def test_votes_on_pairs_choices_and_scores_have_tables_of_their_own(tmp_path: Path) -> None:
    tables = exported(
        Voted(
            pairs=(
                PairVote("01", "original", "second", annotator="bot", annotator_kind="model"),
                PairVote("original", "01", "tie", kind="gold", seconds=1.5, count=2),
            ),
            choices=(ChoiceVote(("01", "original"), "01", question="sharper?"),),
            scores=(Score("01", 3.5, std=0.5, votes=20), Score("original", 4)),
        ),
        tmp_path / "out",
    )
    assert list(tables) == ["choices", "groups", "pairs", "scores", "votes"]
    assert tables["votes"] == [
        {"group": "a-0-0", "candidate": "01", "annotator": "", "label": "Similar", "slot": slot} for slot in "AB"
    ]
    pair = {"group": "a-0-0", "count": "1", "seconds": "", "kind": "vote", "annotator_kind": "person", "annotator": ""}
    assert tables["pairs"] == [
        {**pair, "first": "01", "second": "original", "preferred": "second"}
        | {"annotator": "bot", "annotator_kind": "model"},
        {**pair, "first": "original", "second": "01", "preferred": "tie"}
        | {"kind": "gold", "count": "2", "seconds": "1.5"},
    ]
    assert tables["choices"] == [
        {"group": "a-0-0", "shown": "01;original", "annotator": "", "preferred": "01", "question": "sharper?"}
    ]
    assert tables["scores"] == [
        {"group": "a-0-0", "candidate": "01", "score": "3.5", "std": "0.5", "votes": "20"},
        {"group": "a-0-0", "candidate": "original", "score": "4", "std": "", "votes": ""},
    ]


def test_totals_have_shares(tmp_path: Path) -> None:
    total = PairVote("01", "original", share=0.25, count=4)
    tables = exported(Voted(annotations=(), pairs=(total,)), tmp_path / "out")
    assert tables["votes"] == [
        {"group": "a-0-0", "first": "01", "second": "original", "preferred_share": "0.25", "votes": "4"}
    ]


def test_no_votes_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="memory has no votes"):
        exported(Voted(annotations=()), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_outputs_inside_the_source_are_refused(tree: Path) -> None:
    refused("is inside the source", "votes", tree, "--output", tree / "votes")


@pytest.mark.parametrize("write", [write_sriqa_tree, write_splits, write_hggt_test])
def test_the_table_and_the_pictures_of_a_tree_are_the_same_groups_again(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    tree = write(tmp_path / "T")
    export_votes(tree, tmp_path / "out")
    table = TableOptions(votes=tmp_path / "out/votes.csv", pictures=tree)
    given, read = open_splits(tree), open_splits(tmp_path / "out", table=table)
    assert list(given) == list(read)
    for split, groups in given.items():
        again = read[split]
        assert (again.ids, again.consensus_rule, again.protocol) == (groups.ids, groups.consensus_rule, groups.protocol)
        for one, other in zip(groups, again, strict=True):
            assert anonymous_votes(one) == anonymous_votes(other)
            assert (one.consensus, one.image_name, one.top) == (other.consensus, other.image_name, other.top)
            for name in ("original", "lr", *groups.candidates):
                assert one.has_picture(name) == other.has_picture(name)
                assert not one.has_picture(name) or one.read_bytes(name) == other.read_bytes(name)
