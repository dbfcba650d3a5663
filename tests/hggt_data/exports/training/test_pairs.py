"""Which pairs are chosen, and what prevents an export."""

from collections import Counter

import numpy as np
import pytest

from hggt_data.errors import DatasetError, ImageError
from hggt_data.exports.training.pairs import choose_pairs, file_stem, plan_pairs, serves
from hggt_data.io.images import Pixels
from hggt_data.schema import Label
from tests.hggt_data.exports.test_preferences import group_of
from tests.hggt_data.memory_source import MemorySource


def grey(level: int, size: tuple[int, int] = (8, 8)) -> Pixels:
    return np.full((*size, 3), level, np.uint8)


def test_groups_without_the_required_labels_are_left_out() -> None:
    groups = {"with a positive": group_of("PPP", "SSS"), "only negatives": group_of("NNN"), "similar": group_of("SSS")}
    used = {
        target: [name for name, group in groups.items() if serves(group, target)]
        for target in ("original", "positive", "positive-negative")
    }
    assert used == {
        "original": list(groups),
        "positive": ["with a positive"],
        "positive-negative": ["with a positive", "only negatives"],
    }


def test_one_positive_is_drawn_all_alike_or_weighted_by_agreement() -> None:
    group = group_of("PPPPPP", "PPPPNN", "NNNNNN", "SSSSSS")
    drawn = {
        rule: Counter(choose_pairs(group, 0, "positive", rule, seed)[0].target for seed in range(2000))
        for rule in ("uniform", "agreement")
    }
    assert drawn["uniform"].keys() == drawn["agreement"].keys() == {"01", "02"}
    assert abs(drawn["uniform"]["01"] / 2000 - 1 / 2) < 0.04
    assert abs(drawn["agreement"]["01"] / 2000 - 6 / 10) < 0.04
    assert choose_pairs(group, 0, "positive", "uniform", 7) == choose_pairs(group, 0, "positive", "uniform", 7)


def test_the_best_has_most_agreement_then_fewest_opposite_votes() -> None:
    group = group_of("PPN", "PPS", "PPS", "NNP", "NNS")
    (pair,) = choose_pairs(group, 0, "positive-negative", "best", 0)
    assert (pair.target, pair.agreement, pair.negative, pair.negative_agreement) == ("02", 2, "05", 2)
    (pair,) = choose_pairs(group_of("PPS", "PPP"), 0, "positive", "best", 0)
    assert pair.target == "02"


def test_all_gives_a_pair_for_each_positive() -> None:
    pairs = choose_pairs(group_of("PPP", "SSS", "PPS", "NNN"), 3, "positive-negative", "all", 0)
    assert [(pair.name, pair.index, pair.target, pair.negative) for pair in pairs] == [
        ("p-0-0_01", 3, "01", "04"),
        ("p-0-0_03", 3, "03", "04"),
    ]


def test_the_original_replaces_a_missing_positive() -> None:
    (pair,) = choose_pairs(group_of("SSS", "NNN"), 0, "positive-negative", "all", 0)
    assert (pair.name, pair.target, pair.agreement, pair.negative) == ("p-0-0", "original", 0, "02")
    (pair,) = choose_pairs(group_of("PPP"), 0, "original", "all", 0)
    assert (pair.name, pair.target, pair.negative) == ("p-0-0", "original", None)


def test_names_have_no_dots_and_spaces_and_stay_different() -> None:
    names = ["a.b-0-0", "a b-0-0", "a%2Eb-0-0", "a-b-0-0", "é-0-0", "a\u00a0b-0-0"]
    stems = [file_stem(name) for name in names]
    assert stems == ["a%2Eb-0-0", "a%20b-0-0", "a%252Eb-0-0", "a-b-0-0", "é-0-0", "a%C2%A0b-0-0"]
    assert len(set(stems)) == len(names)


def test_a_negative_that_equals_its_target_does_not_count() -> None:
    groups = MemorySource(
        {
            "a-0-0": {"01": (grey(9), Label.POSITIVE), "02": (grey(9), Label.NEGATIVE)},
            "b-0-0": {"01": (grey(9), Label.POSITIVE), "02": (grey(8), Label.NEGATIVE)},
        }
    )
    plan = plan_pairs(groups, "positive-negative", "uniform", 0, with_lr=False)
    assert [pair.negative for pair in plan.pairs] == [None, "02"]


def test_a_candidate_of_another_size_is_named() -> None:
    groups = MemorySource({"a-0-0": {"01": (grey(1), Label.SIMILAR), "02": (grey(2, (8, 7)), Label.POSITIVE)}})
    with pytest.raises(
        ImageError, match=r"1 group of memory .*picture 02 of a-0-0: 8 x 7 px; its original has 8 x 8 px"
    ):
        plan_pairs(groups, "positive", "uniform", 0, with_lr=False)


def test_no_group_with_the_required_labels_is_an_error() -> None:
    groups = MemorySource({"a-0-0": {"01": (grey(1), Label.SIMILAR)}})
    with pytest.raises(DatasetError, match="no groups with a positive; choose the target original"):
        plan_pairs(groups, "positive", "uniform", 0, with_lr=False)


def test_pairs_of_the_same_name_are_an_error() -> None:
    positive = (grey(1), Label.POSITIVE)
    groups = MemorySource({"a": {"01_01": positive}, "a_01": {"01": positive}})
    with pytest.raises(DatasetError, match="several pairs would be called a_01_01; rename a group"):
        plan_pairs(groups, "positive", "all", 0, with_lr=False)
