import pytest

from hggt_eval.agreement.answers import Answers
from hggt_eval.agreement.pairs import Content, Pair
from hggt_eval.agreement.ranking import ALWAYS_ORIGINAL, CHANCE, correlate, means_by_picture, rank_metrics


def _pair(group: str, first: str, second: str, share: float, kind: str = "votes", *, is_tie: bool = False) -> Pair:
    return Pair(group, group, first, second, share, kind, "judged", is_tie=is_tie)


PAIRS = [
    _pair("g", "a", "b", 1.0),
    _pair("g", "a", "original", 0.0, "votes-original"),
    _pair("h", "a", "b", 1.0),
    _pair("h", "b", "original", 0.5, "votes-original", is_tie=True),
]
BLIND = Answers("blind", False, {("g", "a"): 1, ("g", "b"): 2, ("g", "original"): 0, ("h", "a"): 5, ("h", "b"): 5})
BLIND.scores["h", "original"] = 9
COMPARING = Answers("comparing", True, {("g", "a"): 3, ("g", "b"): 2, ("h", "a"): 1, ("h", "b"): 2})


def test_accuracy_leaves_human_ties_out_and_equal_scores_earn_half() -> None:
    """`blind` is right on g's two pairs and gives h's a and b one score; `comparing` skips pairs with the original."""
    [ranking] = rank_metrics(PAIRS, [], [COMPARING, BLIND])
    rows = {row.name: row for row in ranking.rows}
    assert list(rows) == ["blind", "comparing", CHANCE, ALWAYS_ORIGINAL]
    assert rows["blind"].accuracy.value == pytest.approx(2.5 / 3)
    assert (rows["blind"].accuracy.pairs, rows["blind"].ties, rows["blind"].equal) == (3, 1, 1)
    assert rows["comparing"].accuracy.value == 0.5
    assert (rows["comparing"].accuracy.pairs, rows["comparing"].ties) == (2, 0)
    assert {kind: one.value for kind, one in rows["blind"].by_kind.items()} == {"votes": 0.75, "votes-original": 1.0}
    assert rows[CHANCE].accuracy.value == 0.5
    assert rows[ALWAYS_ORIGINAL].accuracy.value == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert rows["comparing"].difference is not None
    assert rows["comparing"].difference.value == pytest.approx(-0.25)  # 1, 0 against 1, 0.5 on the same pairs
    assert rows["comparing"].difference.pairs == 2


def test_tests_are_by_source_picture_and_corrected_for_all_metrics() -> None:
    """On ten source pictures one metric is always right, the other always wrong: 2 of 2^10 signs are as extreme."""
    pairs = [_pair(f"g{k}", "a", "b", 1.0) for k in range(10)]
    groups = [f"g{k}" for k in range(10)]
    right = Answers("right", True, {(g, v): s for g in groups for v, s in (("a", 1.0), ("b", 0.0))})
    wrong = Answers("wrong", False, dict(right.scores))
    [ranking] = rank_metrics(pairs, [], [wrong, right])
    best, worst = ranking.metrics
    assert (best.name, best.p_chance, best.p_chance_holm) == ("right", 2 / 1024, 4 / 1024)
    assert (worst.p, worst.p_holm) == (2 / 1024, 2 / 1024)
    assert (best.accuracy.low, best.accuracy.high, best.accuracy.pictures) == (None, None, 10)


def test_the_interval_is_by_source_picture() -> None:
    """Means 1, 1/2, 1/2 and 0 of two pairs each: mean 1/2, and the t interval with 3 degrees of freedom."""
    earned = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
    pairs = {
        Pair(f"{picture}{k}", str(picture), "a", "b", 1.0, "votes", "judged"): value
        for picture, values in enumerate(earned)
        for k, value in enumerate(values)
    }
    found = means_by_picture({"own": pairs}, -1.0)["own"]
    reach = 3.182446 * (0.5 / 3) ** 0.5 / 2  # the means have variance 1/6
    assert found.value == 0.5
    assert (found.pairs, found.pictures) == (8, 4)
    assert found.low == pytest.approx(0.5 - reach)
    assert found.high == pytest.approx(min(1, 0.5 + reach))


def test_a_share_of_people_is_the_credit() -> None:
    [ranking] = rank_metrics([_pair("g", "a", "b", 0.7)], [], [BLIND])
    assert ranking.rows[0].accuracy.value == 0.7
    assert (ranking.rows[0].accuracy.low, ranking.rows[0].p_chance) == (None, None)


def test_verdicts_on_pairs_count_in_both_orders() -> None:
    verdicts = Answers("verdicts", None, verdicts={("g", "a", "b"): 0.9, ("g", "b", "a"): 0.2, ("h", "b", "a"): 0.7})
    found = [verdicts.preference(pair) for pair in PAIRS]
    assert found == [1.0, None, 0.0, None]


def test_correlations_are_within_contents_and_constant_labels_are_left_out() -> None:
    contents = [
        Content("g", "judged", None, {"a": 1.0, "b": 0.0, "original": -1.0}),
        Content("h", "judged", None, {"a": 1.0, "b": 1.0}),
    ]
    # Scores 1, 2, 0 where lower is better: ranks of -1, -2, 0 are 2, 1, 3 against 3, 2, 1.
    found = correlate(BLIND, contents)
    assert found.spearman == pytest.approx(-0.5)
    assert found.kendall == pytest.approx(-1 / 3)
    assert (found.groups, found.left_out) == (1, 1)
    same = Answers("same", True, {("g", "a"): 1, ("g", "b"): 1})
    assert correlate(same, contents[:1]).spearman == 0
