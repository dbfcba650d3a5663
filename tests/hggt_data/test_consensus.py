"""The consensus of any number of votes."""

import itertools
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hggt_data.consensus import consensus_label, judge_group
from hggt_data.schema import Annotation, Consensus, Label

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
VOTES = st.lists(st.none() | st.sampled_from(Label), max_size=9)


def official(first: Label, second: Label, third: Label) -> tuple[Label, int]:
    """The rule of the official loader (`paired_labeled_image_dataset.py`), for exactly three votes, by cases."""
    if first is second and second is third:
        return first, 3
    if first is second or first is third:
        return first, 2
    if second is third:
        return second, 2
    return S, 1


def test_three_votes_follow_the_official_rule() -> None:
    for votes in itertools.product(Label, repeat=3):
        label, agreement = official(*votes)
        assert consensus_label(votes) == Consensus(label, agreement, 3)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([None, None, None], Consensus(None, 0, 0)),
        ([None, N, None], Consensus(None, 0, 1)),
        ([P, None, P], Consensus(P, 2, 2)),
        ([P, N], Consensus(S, 1, 2)),
        ([P, P, S, N], Consensus(P, 2, 4)),
        ([S, S, P, P], Consensus(S, 1, 4)),
        ([P, P, P, N, N], Consensus(P, 3, 5)),
        ([N] * 5, Consensus(N, 5, 5)),
    ],
)
def test_other_numbers_of_votes(votes: list[Label | None], expected: Consensus) -> None:
    assert consensus_label(votes) == expected


@given(VOTES, st.randoms())
def test_the_order_of_votes_and_missing_ones_do_not_matter(votes: list[Label | None], rng: Random) -> None:
    expected = consensus_label(votes)
    shuffled = [*votes, None]
    rng.shuffle(shuffled)
    assert consensus_label(shuffled) == expected


@given(VOTES)
def test_a_label_wins_only_with_strictly_most_votes_and_two_at_least(votes: list[Label | None]) -> None:
    counts = Counter(vote for vote in votes if vote is not None)
    result = consensus_label(votes)
    assert result.num_votes == sum(counts.values())
    winners = [
        label for label in Label if counts[label] >= 2 and all(counts[label] > counts[o] for o in {*Label} - {label})
    ]
    if winners:
        assert (result.label, result.agreement) == (winners[0], counts[winners[0]])
    elif result.num_votes >= 2:
        assert (result.label, result.agreement) == (S, 1)
    else:
        assert (result.label, result.agreement) == (None, 0)


def test_a_group_is_judged_candidate_by_candidate_with_slots_sorted() -> None:
    b, a = Annotation("B", (P, N)), Annotation("A", (P, S))
    group = judge_group("x-0-0", ("01", "02"), [b, a])
    assert group.annotations == (a, b)
    assert group.consensus == (P, S)
    assert group.agreement == (2, 1)
    assert group.num_votes == (2, 2)


@pytest.mark.parametrize("votes", [[0, 0], [Label.POSITIVE, "Positive"]])
def test_votes_that_are_not_labels_are_refused(votes: Any) -> None:
    with pytest.raises(TypeError, match="expected a Label or None"):
        consensus_label(votes)


@pytest.mark.parametrize(
    ("votes", "label", "agreement"), [((P, S, N), None, 0), ((P, P, N, N), None, 0), ((P, P, N), P, 2), ((P,), None, 0)]
)
def test_the_rule_of_a_majority_gives_no_label_without_one(
    votes: tuple[Label, ...], label: Label | None, agreement: int
) -> None:
    assert consensus_label(votes, "majority") == Consensus(label, agreement, len(votes))


def test_gold_practice_and_models_do_not_count_for_the_consensus() -> None:
    others = [Annotation("C", (N,), kind="gold"), Annotation("D", (N,), annotator_kind="model")]
    group = judge_group("x", ("01",), [Annotation("A", (P,)), Annotation("B", (P,)), *others], image_name="photo")
    assert (group.consensus, group.num_votes, group.image_name, group.top) == ((P,), (2,), "photo", None)
