"""What each annotator sees, in which order."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from hggt_data.annotate.answers import Answers
from hggt_data.annotate.batches import with_batches
from hggt_data.annotate.round import Annotator, Checks, Item, Kind
from hggt_data.schema import Annotation

NONE = Checks((), (), 0)
GROUPS = [f"p{k:03d}-0-0" for k in range(100)]


def give(
    annotator: Annotator, votes: list[str], checks: Checks = NONE, per_batch: int = 30, **more: object
) -> Annotator:
    return with_batches(annotator, votes, checks, per_batch, random.Random(0), **more)  # type: ignore[arg-type]


def answers_to(*items: Item) -> Answers:
    return Answers(dict.fromkeys(items, Annotation("A", ())))


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
    after = give(before, assigned, answers=answers_to(*answered))
    assert after.batches[0] == (before.items[3], before.items[7], *before.items[10:])
    assert sorted(item.group for item in after.batches[1]) == GROUPS[50:55]


def test_a_small_later_batch_has_fewer_repeats() -> None:
    before = give(Annotator("Ada", "a"), GROUPS[:28], Checks((), (), 7))
    after = give(before, GROUPS[:35], Checks((), (), 7))
    assert counts(after) == [{Kind.VOTE: 28, Kind.REPEAT: 7}, {Kind.VOTE: 7, Kind.REPEAT: 2}]


@pytest.mark.parametrize(("num_gold", "num_batches"), [(8, 20), (20, 20), (21, 20), (1, 3), (50, 7)])
def test_gold_reaches_every_part_of_the_work(num_gold: int, num_batches: int) -> None:
    votes = [f"v-{k}-0" for k in range(num_batches * 10 - 3)]
    gold = tuple(f"g-{k}-0" for k in range(num_gold))
    annotator = give(Annotator("Ada", "a"), votes, Checks((), gold, 2), per_batch=10)
    assert len(annotator.batches) == num_batches
    places = [place for place, item in enumerate(annotator.items) if item.kind is Kind.GOLD]
    assert sorted(annotator.items[place].group for place in places) == sorted(gold)
    gaps = [after - before for before, after in pairwise([0, *places, len(annotator.items)])]
    assert max(gaps) <= 2.5 * len(annotator.items) / num_gold
    if num_gold >= num_batches:
        assert all(count[Kind.GOLD] >= num_gold // num_batches for count in counts(annotator))


def test_repeats_are_spread_and_each_comes_a_third_of_the_batch_later() -> None:
    for seed in range(20):
        checks = Checks((), (), 20)
        [batch] = with_batches(Annotator("Ada", "a"), GROUPS, checks, 100, random.Random(seed)).batches
        votes = [item.group for item in batch if item.kind is Kind.VOTE]
        repeats = [place for place, item in enumerate(batch) if item.kind is Kind.REPEAT]
        assert len({batch[place].group for place in repeats}) == 20
        for place in repeats:
            before = [item.group for item in batch[:place] if item.kind is Kind.VOTE]
            assert len(before) - votes.index(batch[place].group) >= 33
        assert max(after - before for before, after in pairwise([33, *repeats, 120])) <= 10


def test_unanswered_gold_and_repeats_are_spread_over_old_and_new_work() -> None:
    checks = Checks(tuple(GROUPS[90:92]), tuple(GROUPS[93:97]), 2)
    before = give(Annotator("Ada", "a"), GROUPS[:10], checks)
    answered = answers_to(*before.items[:10])
    assert sum(item.kind is Kind.GOLD for item in answered.annotations) == 2
    after = give(before, GROUPS[:20], checks, answers=answered)
    assert after.batches[0] == before.batches[0]
    assert after.batches[1][:8] == before.batches[1][:8]
    gold, repeats = ([count[kind] for count in counts(after)[1:]] for kind in (Kind.GOLD, Kind.REPEAT))
    assert (sum(gold), sum(repeats)) == (4, 3), (gold, repeats)
    assert give(after, GROUPS[:20], checks, answers=answered) is after


def test_gold_is_asked_again_where_new_work_would_have_none() -> None:
    checks = Checks((), tuple(GROUPS[90:94]), 0)
    before = give(Annotator("Ada", "a"), GROUPS[:40], checks)
    after = give(before, GROUPS[:60], checks, answers=answers_to(*before.items))
    golds = [item.group for item in before.items if item.kind is Kind.GOLD]
    again = [item.group for item in after.items if item.kind is Kind.REPEAT]
    assert after.items[: len(before.items)] == before.items
    assert again == golds[:1]  # a third of the gold, as a third of the votes is new; the earliest answered first
    last = give(after, GROUPS[:90], checks, answers=answers_to(*after.items))
    repeats = [item.group for item in last.items if item.kind is Kind.REPEAT]
    assert repeats == golds[:2]
