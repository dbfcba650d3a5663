import numpy as np
import pytest

from hggt_eval.agreement.answers import Answers
from hggt_eval.agreement.means import Keys, means_by_picture
from hggt_eval.agreement.pairs import Content, Pair
from hggt_eval.agreement.ranking import ALWAYS_ORIGINAL, CHANCE, rank_metrics


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


def test_pairs_without_and_with_the_original_are_ranked_apart() -> None:
    """`blind` is right on g's two pairs and gives h's a and b one score; `comparing` cannot rate the original."""
    without, with_it = rank_metrics(PAIRS, [], [COMPARING, BLIND])
    assert (without.original, with_it.original) == ("without", "with")
    rows = {row.name: row for row in without.rows}
    assert list(rows) == ["blind", "comparing", CHANCE]
    assert (rows["blind"].accuracy.value, rows["blind"].accuracy.pairs, rows["blind"].equal) == (0.75, 2, 1)
    assert (rows["comparing"].accuracy.value, rows["comparing"].accuracy.pairs) == (0.5, 2)
    assert rows["comparing"].difference is not None
    assert rows["comparing"].difference.value == pytest.approx(-0.25)  # 1, 0 against 1, 0.5 on the same pairs
    rows = {row.name: row for row in with_it.rows}
    assert list(rows) == ["blind", CHANCE, ALWAYS_ORIGINAL]
    assert rows["blind"].accuracy.value == pytest.approx(2.5 / 3)
    assert (rows["blind"].accuracy.pairs, rows["blind"].ties, rows["blind"].equal) == (3, 1, 1)
    assert {kind: one.value for kind, one in rows["blind"].by_kind.items()} == {"votes": 0.75, "votes-original": 1.0}
    assert rows[CHANCE].accuracy.value == 0.5
    assert rows[ALWAYS_ORIGINAL].accuracy.value == pytest.approx((0.5 + 1 + 0.5) / 3)


def test_correlations_without_the_original_leave_it_out() -> None:
    content = Content("g", "g", "judged", None, {"a": 1.0, "b": 0.0, "original": -1.0})
    without, with_it = rank_metrics(PAIRS, [content], [BLIND])
    assert (without.metrics[0].correlation.spearman, with_it.metrics[0].correlation.spearman) == (1.0, -0.5)


def test_accuracy_by_family() -> None:
    [ranking] = rank_metrics(PAIRS[::2], [], [BLIND], family=lambda pair: f"family of {pair.group}")
    found = {name: (one.value, one.pairs) for name, one in ranking.metrics[0].by_family.items()}
    assert found == {"family of g": (1.0, 1), "family of h": (0.5, 1)}


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
    pictures = Keys.of("aabbccddee")
    earned = np.array([1, 1, 1, 0, 0, 1, 0, 0, np.nan, np.nan])
    found = means_by_picture({"own": earned, "none": np.full(10, np.nan)}, pictures, -1.0)
    reach = 3.182446 * (0.5 / 3) ** 0.5 / 2  # the means have variance 1/6
    assert list(found) == ["own"]
    assert (found["own"].value, found["own"].pairs, found["own"].pictures) == (0.5, 8, 4)
    assert found["own"].low == pytest.approx(0.5 - reach)
    assert found["own"].high == pytest.approx(min(1, 0.5 + reach))


def test_the_effective_number_of_pictures_counts_pairs() -> None:
    """Of 25 source pictures 22 have one pair and three have 22 each: (88)^2 / (22 + 3 * 484)."""
    names = [f"p{k}" for k in range(22)] + ["x", "y", "z"] * 22
    [found] = means_by_picture({"own": np.arange(88, dtype=np.float64)}, Keys.of(names), 0.0).values()
    assert found.pictures == 25
    assert found.effective_pictures == pytest.approx(88**2 / (22 + 3 * 484))


def test_a_share_of_people_is_the_credit() -> None:
    [ranking] = rank_metrics([_pair("g", "a", "b", 0.7)], [], [BLIND])
    assert ranking.rows[0].accuracy.value == 0.7
    assert (ranking.rows[0].accuracy.low, ranking.rows[0].p_chance) == (None, None)


def test_verdicts_on_pairs_count_in_both_orders() -> None:
    verdicts = Answers("verdicts", None, verdicts={("g", "a", "b"): 0.9, ("g", "b", "a"): 0.2, ("h", "b", "a"): 0.7})
    found = [verdicts.preference(pair) for pair in PAIRS]
    assert found == [1.0, None, 0.0, None]
