"""What each annotator sees, in which order."""

import random
from collections import Counter

import pytest

from hggt_data.annotate.batches import Checks, with_batches
from hggt_data.annotate.round import Annotator, Item, Kind
from hggt_data.schema import PatchId

NONE = Checks((), (), 0)
GROUPS = [PatchId(f"p{k:03d}", 0, 0) for k in range(100)]


def give(
    annotator: Annotator, votes: list[PatchId], checks: Checks = NONE, per_batch: int = 30, **more: object
) -> Annotator:
    return with_batches(annotator, votes, checks, per_batch, random.Random(0), **more)  # type: ignore[arg-type]


def counts(annotator: Annotator) -> list[dict[Kind, int]]:
    return [dict(Counter(item.kind for item in batch)) for batch in annotator.batches]


@pytest.mark.parametrize(
    ("votes", "sizes"), [(0, []), (1, [1]), (30, [30]), (31, [15, 16]), (61, [20, 20, 21]), (100, [25] * 4)]
)
def test_batches_are_few_and_of_equal_size(votes: int, sizes: list[int]) -> None:
    annotator = give(Annotator("Ada", "a"), GROUPS[:votes])
    assert [len(batch) for batch in annotator.batches] == sizes
    assert sorted(item.group for item in annotator.items) == GROUPS[:votes]


def test_practice_comes_first_and_gold_is_spread() -> None:
    checks = Checks(tuple(GROUPS[90:93]), tuple(GROUPS[93:98]), 2)
    annotator = give(Annotator("Ada", "a"), GROUPS[:60], checks)
    assert annotator.batches[0] == tuple(Item(Kind.PRACTICE, group) for group in GROUPS[90:93])
    assert counts(annotator)[1:] == [
        {Kind.VOTE: 30, Kind.GOLD: 3, Kind.REPEAT: 2},
        {Kind.VOTE: 30, Kind.GOLD: 2, Kind.REPEAT: 2},
    ]


def test_answered_items_keep_their_place() -> None:
    before = give(Annotator("Ada", "a"), GROUPS[:20])
    answered = {before.items[3], before.items[7]}
    assigned = sorted({item.group for item in before.items[10:]} | {*GROUPS[50:55]})
    after = give(before, assigned, answered=answered)
    assert after.batches[0] == (before.items[3], before.items[7], *before.items[10:])
    assert sorted(item.group for item in after.batches[1]) == GROUPS[50:55]


def test_a_small_later_batch_has_fewer_repeats() -> None:
    before = give(Annotator("Ada", "a"), GROUPS[:28], Checks((), (), 7))
    after = give(before, GROUPS[:35], Checks((), (), 7))
    assert counts(after) == [{Kind.VOTE: 28, Kind.REPEAT: 7}, {Kind.VOTE: 7, Kind.REPEAT: 1}]


def test_checks_are_given_once() -> None:
    checks = Checks(tuple(GROUPS[90:92]), tuple(GROUPS[93:95]), 0)
    before = give(Annotator("Ada", "a"), GROUPS[:10], checks)
    after = give(before, GROUPS[:20], checks)
    assert after.batches[: len(before.batches)] == before.batches
    assert counts(after)[-1] == {Kind.VOTE: 10}
