"""Which pictures of a group are preferred to which, and by how much."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hggt_data.consensus import judge_group
from hggt_data.exports.preferences import PairKind, has_majority, preference_pairs, tied_pairs
from hggt_data.schema import Annotation, Label, PairVote, PatchGroup

LETTERS = {label.value[0]: label for label in Label}


def group_of(*candidates: str) -> PatchGroup:
    """A group from the votes for each candidate: `PPS` are two Positive and one Similar."""
    names = tuple(f"{k:02d}" for k in range(1, len(candidates) + 1))
    annotations = [
        Annotation(f"slot{j:02d}", tuple(LETTERS[votes[j]] for votes in candidates)) for j in range(len(candidates[0]))
    ]
    return judge_group("p-0-0", names, annotations)


def shown(group: PatchGroup) -> list[str]:
    return [f"{pair.chosen}>{pair.rejected}" for pair in preference_pairs(group)]


def test_all_five_kinds_in_order() -> None:
    group = group_of("PPP", "SSS", "NNN", "PPS")
    pairs = preference_pairs(group)
    assert [(p.chosen, p.rejected, p.kind and p.kind.value) for p in pairs] == [
        ("01", "02", "P>S"),
        ("04", "02", "P>S"),
        ("01", "03", "P>N"),
        ("04", "03", "P>N"),
        ("02", "03", "S>N"),
        ("01", "original", "P>original"),
        ("04", "original", "P>original"),
        ("original", "03", "original>N"),
    ]
    assert [round(p.margin, 4) for p in pairs] == [1, 0.6667, 2, 1.6667, 1, 1, 0.6667, 1]
    assert pairs[1].votes_chosen == {Label.POSITIVE: 2, Label.SIMILAR: 1, Label.NEGATIVE: 0}
    assert pairs[-1].votes_chosen == dict.fromkeys(Label, 0)
    assert pairs[-1].votes_rejected == {Label.POSITIVE: 0, Label.SIMILAR: 0, Label.NEGATIVE: 3}


def test_groups_with_fewer_pairs() -> None:
    assert shown(group_of("SSS", "SSP")) == []  # neither equals nor Similar and the original
    assert shown(group_of("PPP", "PPS")) == ["01>original", "02>original"]
    assert shown(group_of("PPP", "PSN")) == ["01>02", "01>original"]  # without a majority a candidate is Similar
    assert shown(group_of("P", "N")) == []  # no consensus


def test_similar_candidates_with_a_majority_and_the_original_are_equally_good() -> None:
    group = group_of("SSS", "PSN", "SSN", "PPP")
    assert [(pair.chosen, pair.rejected, pair.kind) for pair in tied_pairs(group)] == [
        ("01", "03", None),
        ("01", "original", None),
        ("03", "original", None),
    ]
    assert tied_pairs(group_of("PSN", "PPP")) == []


def test_votes_on_a_pair_decide_which_is_preferred_and_how_clearly() -> None:
    votes = (
        PairVote("01", "02", "first", count=2),
        PairVote("02", "01", "first"),
        PairVote("01", "02", "tie"),
        PairVote("01", "02", "second", count=9, annotator_kind="model"),
        PairVote("01", "original", "first"),
        PairVote("original", "01", "first"),
        PairVote("02", "original", share=0.1, count=10),
        PairVote("original", "03", "first"),
    )
    group = replace(judge_group("g", ("01", "02", "03"), []), pairs=votes)
    pairs = preference_pairs(group)
    assert [(pair.chosen, pair.rejected, pair.margin) for pair in pairs] == [
        ("01", "02", 0.25),
        ("original", "02", 0.8),
        ("original", "03", 1),
    ]
    assert {pair.kind for pair in pairs} == {PairKind.VOTES}
    assert pairs[0].votes_chosen == {Label.POSITIVE: 2, Label.SIMILAR: 1, Label.NEGATIVE: 1}
    assert pairs[1].votes_chosen is None  # a share of which ties are unknown
    assert [has_majority(group, pair) for pair in pairs] == [False, True, True]  # two of four votes
    assert [(pair.chosen, pair.rejected, pair.kind) for pair in tied_pairs(group)] == [("01", "original", None)]
    asked_twice = replace(group, pairs=(*votes, PairVote("01", "02", "first", question="sharper")))
    assert preference_pairs(asked_twice) == []


def test_only_the_requested_kinds() -> None:
    pairs = preference_pairs(group_of("PPP", "SSS", "NNN"), {PairKind.SIMILAR_NEGATIVE})
    assert [pair.kind for pair in pairs] == [PairKind.SIMILAR_NEGATIVE]


def test_a_margin_can_be_0_or_negative() -> None:
    assert next(p.margin for p in preference_pairs(group_of("PPN", "SSP"))) == 0
    assert next(p.margin for p in preference_pairs(group_of("PPPNN", "SSSPP"))) == -0.2


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.text("PSN", min_size=n, max_size=n), min_size=1, max_size=4)))
def test_margins_are_in_range_and_add_up_over_the_original(candidates: list[str]) -> None:
    group = group_of(*candidates)
    pairs = {(pair.chosen, pair.rejected): pair for pair in preference_pairs(group)}
    means = {
        name: (votes.count("P") - votes.count("N")) / len(votes)
        for name, votes in zip(group.candidates, candidates, strict=True)
    } | {"original": 0.0}
    for (chosen, rejected), pair in pairs.items():
        assert (rejected, chosen) not in pairs
        assert abs(pair.margin - (means[chosen] - means[rejected])) < 1e-12
        assert -2 <= pair.margin <= 2
        if pair.kind not in (PairKind.POSITIVE_SIMILAR, PairKind.SIMILAR_NEGATIVE):
            assert pair.margin > 0
    assert {c for c, r in pairs if r == "original"} == set(group.positives)
    assert {r for c, r in pairs if c == "original"} == set(group.negatives)
