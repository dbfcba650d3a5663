"""Votes on pairs, choices and scores as columns: names, types, and back."""

from datetime import datetime
from typing import Any

import pytest
from datasets import Features, List, Value

from hggt_data import ChoiceVote, PairVote, PatchGroup, Score
from hggt_data.consensus import judge_group
from hggt_data.dataset.features import arrow_schema, dataset_features, group_from_row, labels_to_row
from hggt_data.dataset.vote_columns import VOTE_COLUMNS

PAIRS = (
    PairVote("a", "original", "first", slot="A", start=datetime(2024, 5, 8, 12), seconds=1.5, kind="gold"),
    PairVote("b", "a", "tie", annotator="net", annotator_kind="model", question="sharper?"),
    PairVote("b", "a", share=0.25, count=8),
)
GROUP = judge_group(
    "cat",
    ("a", "b"),
    [],
    pairs=PAIRS,
    choices=(ChoiceVote(("b", "a", "original"), "a", annotator="owl"),),
    scores=(Score("a", 53.1, std=2.5, votes=7), Score("original", 100.0)),
)


def row_of(group: PatchGroup) -> dict[str, Any]:
    place = {"id": group.id, "image_name": group.image_name, "top": None, "left": None}
    return place | labels_to_row(group, VOTE_COLUMNS)


def test_votes_come_back_from_their_row() -> None:
    assert group_from_row(row_of(GROUP), ("a", "b")) == GROUP


def test_a_row_has_only_the_columns_that_the_data_has() -> None:
    assert not {*VOTE_COLUMNS, "strengths", "mos"} & labels_to_row(GROUP).keys()
    assert labels_to_row(GROUP, ("scores",)).keys() & {*VOTE_COLUMNS, "strengths", "mos"} == {"scores"}


def test_strengths_and_mos_are_those_of_the_candidates_and_the_original() -> None:
    row = labels_to_row(GROUP, ("pairs",))
    assert row["strengths"] == pytest.approx([0.549, -0.549, None], abs=0.01)  # 6 votes to 2: half of log 3
    assert row["mos"] == [100, 0, None]


def test_the_columns_and_their_types_are_those_of_the_manual() -> None:
    facts = {
        "count": Value("int32"),
        "slot": Value("string"),
        "annotator": Value("string"),
        "annotator_kind": Value("string"),
        "question": Value("string"),
        "kind": Value("string"),
        "start": Value("string"),
        "end": Value("string"),
        "seconds": Value("float64"),
    }
    pair = {name: Value("string") for name in ("first", "second", "preferred")} | {"share": Value("float64")}
    score = {"candidate": Value("string"), "score": Value("float64"), "std": Value("float64"), "votes": Value("int32")}
    expected = {
        "pairs": List({**pair, **facts}),
        "choices": List({"shown": List(Value("string")), "preferred": Value("string"), **facts}),
        "scores": List({**score, **facts}),
        "strengths": List(Value("float32"), length=3),
        "mos": List(Value("float32"), length=3),
    }
    features = dataset_features(("a", "b"), False, (), VOTE_COLUMNS)
    assert {name: features[name] for name in expected} == expected
    assert Features.from_arrow_schema(arrow_schema(features)) == features
    assert not expected.keys() & dataset_features(("a", "b"), False, ()).keys()


@pytest.mark.parametrize(
    ("column", "change", "message"),
    [
        ("pairs", {"second": "c"}, "'c', which is not a version"),
        ("pairs", {"second": "a"}, "a version with itself: a, a"),
        ("pairs", {"preferred": "left"}, "expected 'first' or 'second' or 'tie' or null"),
        ("pairs", {"preferred": None}, "either a preferred version or a share"),
        ("pairs", {"share": 0.5}, "either a preferred version or a share"),
        ("pairs", {"preferred": None, "share": 1.5}, "either a preferred version or a share"),
        ("pairs", {"count": 0}, "counts less than once"),
        ("pairs", {"kind": "joke"}, "expected one of"),
        ("choices", {"shown": ["a", "c"]}, "'c', which is not a version"),
        ("choices", {"preferred": "lr"}, "'lr', which was not shown"),
        ("scores", {"candidate": "c"}, "'c', which is not a version"),
        ("scores", {"score": float("nan")}, "expected a number"),
    ],
)
def test_votes_that_cannot_be_are_refused(column: str, change: dict[str, Any], message: str) -> None:
    row = row_of(GROUP)
    row[column][0] |= change
    with pytest.raises(ValueError, match=message):
        group_from_row(row, ("a", "b"))
