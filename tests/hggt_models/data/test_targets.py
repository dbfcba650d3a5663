import random
from collections import Counter
from dataclasses import astuple, replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hggt_data.consensus import judge_group
from hggt_data.exports.training.degrade import SCALES
from hggt_data.exports.training.pairs import serves
from hggt_data.schema import Annotation, Label, PairVote, PatchGroup
from hggt_models.config.sections import PositiveRule, TargetKind
from hggt_models.data.targets import Choice, GroupLabels, choose
from hggt_models.degradation.settings import PUBLISHED

TARGETS = get_args(TargetKind)
LETTERS = {"P": Label.POSITIVE, "S": Label.SIMILAR, "N": Label.NEGATIVE}


def group(*votes: str) -> PatchGroup:
    """A group from what each annotator says of its candidates, a letter for each."""
    candidates = tuple(f"{number:02d}" for number in range(1, len(votes[0]) + 1))
    annotations = tuple(
        Annotation(slot, tuple(LETTERS[letter] for letter in letters))
        for slot, letters in zip("ABCDEFG", votes, strict=False)
    )
    return judge_group("0001-0-0", candidates, annotations)


def labelled(*votes: str) -> GroupLabels:
    return GroupLabels.of(group(*votes))


def drawn(one: GroupLabels, target: TargetKind, count: int = 4000) -> list[Choice]:
    rng = random.Random(0)
    return [choose(one, target, rng) for _ in range(count)]


def shares(values: list[str]) -> dict[str, float]:
    return {value: number / len(values) for value, number in sorted(Counter(values).items())}


def evenly(*names: str) -> object:
    return pytest.approx(dict.fromkeys(names, 1 / len(names)), abs=0.03)


# What is known of a group


def test_positives_and_negatives_come_with_their_agreement() -> None:
    one = labelled("PPNSP", "PPNSS", "PSSSN")
    assert one == GroupLabels((("01", 3), ("02", 2)), (("03", 2),), 3)


def test_agreement_is_that_of_as_many_annotators_as_there_are() -> None:
    assert labelled("PN", "PN", "PN", "PS", "SN") == GroupLabels((("01", 4),), (("02", 4),), 5)


def test_a_single_vote_gives_no_labels() -> None:
    assert labelled("PN") == GroupLabels((), (), 1)


# Which groups serve


@pytest.mark.parametrize(
    ("votes", "serving"),
    [
        (("SSSS",) * 3, {"original"}),
        (("NNSS",) * 3, {"original", "positive_negative", "preference"}),
        (("PPSS",) * 3, {"original", "positive", "positive_negative", "preference"}),
        (("PNSS",) * 3, {"original", "positive", "positive_negative", "preference"}),
        (("PNPN", "NPSS", "SSNP"), {"original"}),  # three different labels are Similar
        (("PPNN",), {"original"}),  # one annotator makes no consensus
        (("PP", "NN"), {"original"}),  # nor do two who disagree
        (("PN", "PN", "NP", "NP"), {"original"}),  # nor a tie
        (("NS", "NS", "PP"), {"original", "positive_negative", "preference"}),
    ],
)
def test_a_group_serves_the_targets_whose_labels_it_has(votes: tuple[str, ...], serving: set[str]) -> None:
    one = group(*votes)
    assert {name for name in TARGETS if name != "picture" and GroupLabels.of(one, name).serves(name)} == serving


# What is drawn


@pytest.mark.parametrize("target", ["picture", "original"])
def test_the_first_targets_use_only_the_original(target: TargetKind) -> None:
    assert set(drawn(labelled(*("PPNN",) * 3), target, 100)) == {Choice(("original",))}


def test_a_positive_is_drawn_with_equal_chances() -> None:
    choices = drawn(labelled("PPNPS", "PPNPS", "PSNPS"), "positive")
    assert {choice.names[0] for choice in choices} == {"original"}
    assert {len(choice.names) for choice in choices} == {2}
    assert shares([choice.names[1] for choice in choices]) == evenly("01", "02", "04")


def test_positive_map_positive_and_negative_are_drawn_independently() -> None:
    choices = drawn(labelled("PPPNN", "PPPNN", "PPPNN"), "positive_negative")
    assert {choice.names[0] for choice in choices} == {"original"}
    assert shares([choice.names[1] for choice in choices]) == evenly("01", "02", "03")
    assert shares([choice.names[2] for choice in choices]) == evenly("01", "02", "03")
    assert shares([choice.names[3] for choice in choices]) == evenly("04", "05")
    combined = [" ".join(choice.names[1:]) for choice in choices]
    expected = [f"{p} {m} {n}" for p in ("01", "02", "03") for m in ("01", "02", "03") for n in ("04", "05")]
    assert shares(combined) == evenly(*expected)
    assert all(choice.has_positive and choice.has_negative for choice in choices)


def test_agreement_is_that_of_the_two_in_the_map() -> None:
    # 01 and 03 are agreed on by three, 02 and 04 by two.
    choices = drawn(labelled("PPNN", "PPNN", "PSNS"), "positive_negative", 200)
    assert len({choice.names for choice in choices}) == 8
    agreed = {"01": 3, "02": 2, "03": 3, "04": 2}
    for choice in choices:
        assert choice.positive_agreement == agreed[choice.names[2]]
        assert choice.negative_agreement == agreed[choice.names[3]]
        assert choice.num_annotators == 3


def test_without_a_positive_the_original_replaces_it_with_full_agreement() -> None:
    for annotators in (3, 5):
        choices = drawn(labelled(*("NSN",) * annotators), "positive_negative", 100)
        assert {choice.names[3] for choice in choices} == {"01", "03"}
        for choice in choices:
            assert choice.names[:3] == ("original",) * 3
            assert (choice.positive_agreement, choice.num_annotators) == (annotators, annotators)
            assert (choice.has_positive, choice.has_negative) == (False, True)


def test_without_a_negative_the_original_replaces_it_with_no_agreement() -> None:
    choices = drawn(labelled(*("PSS",) * 3), "positive_negative", 10)
    assert set(choices) == {Choice(("original", "01", "01", "original"), 3, 0, 3, True, False)}


# Which positive, by the rule


def test_a_rule_decides_which_positive_is_drawn() -> None:
    one = labelled("PPPS", "PPPS", "PPPS", "PPSS", "PSSS")  # agreed on by five, four and three
    rng = random.Random(0)
    names = {
        rule: [choose(one, "positive_negative", rng, rule).names for _ in range(4000)]
        for rule in ("uniform", "agreement", "best")
    }
    for place in (1, 2):  # the target, and the positive of the map, which is drawn again
        found = {rule: shares([choice[place] for choice in choices]) for rule, choices in names.items()}
        assert found["uniform"] == evenly("01", "02", "03")
        assert found["agreement"] == pytest.approx({"01": 5 / 12, "02": 4 / 12, "03": 3 / 12}, abs=0.03)
        assert found["best"] == {"01": 1.0}
    tied = labelled("PPP", "PPP", "PPS")
    assert shares([choose(tied, "positive", rng, "best").names[1] for _ in range(4000)]) == evenly("01", "02")


@pytest.mark.parametrize("rule", ["nearest", "all"])
def test_rules_for_whole_groups_draw_as_published_and_name_the_others(rule: PositiveRule) -> None:
    one = labelled("PPPN", "PPPN")
    for seed in range(20):
        plain, whole = (choose(one, "positive_negative", random.Random(seed), each) for each in ("uniform", rule))
        assert replace(whole, others=()) == plain
        assert {whole.names[1], *whole.others} == {"01", "02", "03"}
        assert len(whole.others) == 2


# Pairs that people prefer


def preferences(one: PatchGroup) -> set[tuple[str, str, float, float]]:
    return {astuple(pair) for pair in GroupLabels.of(one, "preference").preferences}


def test_preferences_of_labels_are_of_positives_and_negatives_with_their_agreement() -> None:
    assert preferences(group("PNSP", "PNSP", "PNPS")) == {("01", "02", 1, 1), ("04", "02", 2 / 3, 1)}
    assert preferences(group("PS", "PS", "SS")) == {("01", "original", 2 / 3, 1)}
    assert preferences(group("NS", "NS", "SS")) == {("original", "01", 1, 2 / 3)}
    assert preferences(group("SS", "SS", "SS")) == set()


def test_preferences_of_votes_have_the_share_of_the_votes() -> None:
    votes = [
        PairVote(first="01", second="02", preferred=preferred) for preferred in ("first", "first", "second", "tie")
    ]
    votes.append(PairVote(first="original", second="01", preferred="second"))
    votes.append(PairVote(first="02", second="original", preferred="tie"))
    one = replace(judge_group("0001-0-0", ("01", "02"), ()), pairs=tuple(votes))
    assert preferences(one) == {("01", "02", 0.625, 0.625), ("01", "original", 1, 1)}
    known = GroupLabels.of(one, "preference")
    assert (known.best, sorted(known.names("preference"))) == (["01"], ["01", "02", "original"])
    choices = drawn(known, "preference")
    assert shares([" ".join(choice.names) for choice in choices]) == evenly(
        "original 01 01 02", "original 01 01 original"
    )


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(st.text("PSN", min_size=width, max_size=width), min_size=1, max_size=6)
    ),
    st.sampled_from([target for target in TARGETS if target != "preference"]),
    st.integers(0, 2**32),
)
def test_the_lr_is_made_of_the_original_and_similar_candidates_are_never_used(
    votes: list[str], target: TargetKind, seed: int
) -> None:
    whole = group(*votes)
    one = GroupLabels.of(whole)
    choice = choose(one, target, random.Random(seed))
    assert choice == choose(one, target, random.Random(seed))
    assert choice.names[0] == "original"
    assert len(choice.names) == {"picture": 1, "original": 1, "positive": 2, "positive_negative": 4}[target]
    for place, allowed in enumerate([(), whole.positives, whole.positives, whole.negatives][: len(choice.names)]):
        assert choice.names[place] in (allowed or ("original",))
    assert len(set(choice.names)) <= 4
    if target == "positive_negative":
        assert choice.has_positive == bool(whole.positives)
        assert choice.has_negative == bool(whole.negatives)
        assert 0 <= choice.negative_agreement <= choice.num_annotators
        assert 0 < choice.positive_agreement <= choice.num_annotators


@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.text("PSN", min_size=n, max_size=n), min_size=1, max_size=4)))
def test_exports_use_the_groups_that_runs_use(votes: list[str]) -> None:
    one = group(*votes)
    runs = GroupLabels.of(one)
    assert [serves(one, target) for target in ("original", "positive", "positive-negative")] == [
        runs.serves(target) for target in ("original", "positive", "positive_negative")
    ]


def test_exports_know_the_scales_of_the_published_degradations() -> None:
    assert {name: settings.scale for name, settings in PUBLISHED.items()} == SCALES
