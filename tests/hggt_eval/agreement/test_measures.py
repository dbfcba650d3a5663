import math

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from hggt_eval.agreement.measures import chance_of_agreement, kendall_tau_b, leave_one_out, spearman


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ((3, 0, 0), 1.0),
        ((2, 1, 0), 1 / 3),  # the two have others 1:1, a half each; the third has others 2:0, nothing
        ((2, 0, 1), 0.5),  # the two have others 1:0:1; the tie earns half
        ((1, 0, 2), 0.5),  # the first vote has others who say tie, and does not count
        ((3, 1, 0), 0.75),
        ((0, 0, 3), math.nan),
        ((2, 0, 0), math.nan),
    ],
)
def test_each_vote_is_compared_with_the_majority_of_the_others(votes: tuple[int, int, int], expected: float) -> None:
    assert leave_one_out(*votes) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("number", [3, 4, 5, 10])
def test_the_ceiling_of_tossed_votes_is_a_half(number: int) -> None:
    chances = [math.comb(number, k) / 2**number for k in range(number + 1)]
    earned = [leave_one_out(k, number - k, 0) for k in range(number + 1)]
    assert sum(c * e for c, e in zip(chances, earned, strict=True)) == pytest.approx(0.5)


def test_two_people_of_ten_agree_without_bias() -> None:
    """With 7 of 10 for the first: (7 * 6 + 3 * 2) / (10 * 9). Its mean over samples is p^2 + (1 - p)^2."""
    assert chance_of_agreement(7, 10) == pytest.approx(48 / 90)
    p = 0.7
    mean = sum(math.comb(4, k) * p**k * (1 - p) ** (4 - k) * chance_of_agreement(k, 4) for k in range(5))
    assert mean == pytest.approx(p**2 + (1 - p) ** 2)


def test_rank_correlations_equal_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 4, (2, 7)).astype(float)
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, nan_ok=True)
        assert kendall_tau_b(x, y) == pytest.approx(kendalltau(x, y).statistic, nan_ok=True)


def test_infinite_scores_have_a_rank() -> None:
    scores, labels = np.array([math.inf, math.inf, 30.0, 20.0]), np.array([1.0, 1.0, 0.0, -1.0])
    assert spearman(scores, labels) == kendall_tau_b(scores, labels) == pytest.approx(1)
