"""Strengths of versions against scipy's optimisers, closed forms and hand-made cases."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from hggt_data.statistics.choice_model import FloatArray
from hggt_data.statistics.strengths import PairCounts, pair_strengths, thurstone_scores
from tests.hggt_data.sriqa_tree import mos_by_scipy


def random_counts(seed: int, versions: int, votes: int, fractions: bool = False) -> PairCounts:
    """Votes on random pairs, in random order, for versions of random strengths; the first is slightly favoured."""
    random = np.random.default_rng(seed)
    strengths = random.normal(size=versions)
    counts = PairCounts(*np.zeros((3, versions, versions)))
    for _ in range(votes):
        i, j = random.choice(versions, 2, replace=False)
        odds = np.exp([strengths[i] + 0.3, strengths[j], (strengths[i] + strengths[j]) / 2 - 0.5])
        if fractions:
            for array, share in zip(counts, random.dirichlet(odds), strict=True):
                array[i, j] += share
        else:
            counts[random.choice(3, p=odds / odds.sum())][i, j] += 1
    return counts


def by_scipy(counts: PairCounts, with_side: bool) -> tuple[FloatArray, float, float]:
    """Strengths, tie and side of the largest posterior, written as products as in Davidson's and Beaver's papers."""
    size = len(counts.first)

    def loss(parameters: FloatArray) -> float:
        strengths, log_tie, side = parameters[:size], parameters[size], parameters[size + 1] * with_side
        total = (parameters**2).sum() / 200
        for i in range(size):
            for j in range(size):
                a, b = math.exp(strengths[i]), math.exp(strengths[j] - side)
                tied = math.exp(log_tie - side / 2) * math.sqrt(math.exp(strengths[i] + strengths[j]))
                for array, part in zip(counts, (a, b, tied), strict=True):
                    total -= array[i, j] * math.log(part / (a + b + tied))
        return float(total)

    found = minimize(loss, np.zeros(size + 2), method="BFGS", options={"gtol": 1e-6}).x
    return found[:size], math.exp(found[size]), found[size + 1]


@pytest.mark.parametrize("with_side", [False, True])
@pytest.mark.parametrize(
    ("seed", "versions", "votes", "fractions"), [(0, 2, 30, False), (1, 5, 200, False), (2, 4, 60, True)]
)
def test_strengths_equal_an_independent_solution(
    seed: int, versions: int, votes: int, fractions: bool, with_side: bool
) -> None:
    counts = random_counts(seed, versions, votes, fractions)
    found = pair_strengths(counts, side_effect=with_side)
    values, tie, side = by_scipy(counts, with_side)
    assert found.values == pytest.approx(values, abs=1e-3)
    assert found.tie == pytest.approx(tie, abs=1e-3)
    assert found.side == pytest.approx(side, abs=1e-3)
    assert found.values.sum() == pytest.approx(0, abs=1e-9)


def test_two_versions_have_the_closed_form_of_davidson() -> None:
    """With two versions the model fits the shares: the ratio of wins, and ties by their geometric mean."""
    found = pair_strengths(PairCounts.of_wins(np.array([[0.0, 60], [20, 0]]), np.array([[0.0, 20], [0, 0]])))
    assert found.values[0] - found.values[1] == pytest.approx(math.log(60 / 20), abs=1e-3)
    assert found.tie == pytest.approx(20 / math.sqrt(60 * 20), abs=1e-3)


def test_a_share_counts_ties_as_halves() -> None:
    found = pair_strengths(PairCounts.of_wins(np.array([[0.0, 70.0], [30.0, 0.0]])))
    assert found.values[0] - found.values[1] == pytest.approx(math.log(7 / 3), abs=1e-3)  # 0.85
    assert found.tie == 0


def test_the_side_effect_of_equal_versions_is_the_log_odds_of_the_first() -> None:
    first, second = np.array([[0.0, 70], [70, 0]]), np.array([[0.0, 30], [30, 0]])
    found = pair_strengths(PairCounts(first, second, np.zeros((2, 2))), side_effect=True)
    assert found.side == pytest.approx(math.log(7 / 3), abs=1e-3)
    assert found.values == pytest.approx([0, 0], abs=1e-9)


def test_a_version_that_won_all_or_nothing_is_reported() -> None:
    found = pair_strengths(PairCounts.of_wins(np.array([[0.0, 5, 5, 5], [0, 0, 3, 5], [0, 2, 0, 5], [0, 0, 0, 0]])))
    assert (found.won_all, found.won_nothing, found.separated) == ((0,), (3,), True)
    assert np.isfinite(found.values).all()
    assert found.values[0] > found.values[1] > found.values[2] > found.values[3]


def test_two_versions_that_won_all_against_the_others_are_separated() -> None:
    found = pair_strengths(PairCounts.of_wins(np.array([[0.0, 1, 4, 4], [1, 0, 4, 4], [0, 0, 0, 2], [0, 0, 2, 0]])))
    assert (found.won_all, found.won_nothing, found.separated) == ((), (), True)


def test_a_tie_connects_in_both_directions() -> None:
    found = pair_strengths(PairCounts.of_wins(np.array([[0.0, 4], [0, 0]]), np.array([[0.0, 1], [0, 0]])))
    assert (found.won_all, found.won_nothing, found.separated) == ((), (), False)


def test_versions_that_no_votes_connect_are_reported_as_parts() -> None:
    wins = np.zeros((5, 5))
    wins[0, 2], wins[2, 0], wins[1, 3], wins[3, 1] = 3, 1, 1, 2
    found = pair_strengths(PairCounts.of_wins(wins))
    assert found.parts == ((0, 2), (1, 3))
    assert not found.separated
    assert found.values[[0, 2]].sum() == pytest.approx(0, abs=1e-9)
    assert math.isnan(found.values[4])


def test_no_votes_give_no_strengths() -> None:
    found = pair_strengths(PairCounts.of_wins(np.zeros((3, 3))), side_effect=True)
    assert np.isnan(found.values).all()
    assert (found.parts, found.separated, found.side) == ((), False, 0)


@pytest.mark.parametrize("votes", [1e9, 1e18, 1e300])
def test_any_number_of_votes_has_a_solution(votes: float) -> None:
    counts = PairCounts.of_wins(votes * np.triu(np.ones((3, 3)), k=1), np.eye(3, k=1))
    strengths = pair_strengths(counts).values
    assert strengths[0] > 5 > -5 > strengths[2]
    assert thurstone_scores(counts).mos == pytest.approx([100, 50, 0], abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_mos_equals_an_independent_solution(seed: int) -> None:
    """55 pairs of 11 versions, about 10 votes each, as in SRIQA-Bench; a tie is a vote for both."""
    counts = random_counts(seed, 11, 550)
    found = thurstone_scores(counts)
    assert found.mos == pytest.approx(mos_by_scipy(counts.wins + counts.tied), abs=0.01)
    assert found.values.sum() == pytest.approx(0, abs=1e-9)


def test_a_vote_against_a_huge_difference_does_not_count() -> None:
    """The worst of 11 versions in perfect order once won against the best: log Phi is cut there."""
    wins = 10 * np.triu(np.ones((11, 11)), k=1)
    perfect = thurstone_scores(PairCounts.of_wins(wins)).mos
    wins[10, 0], wins[0, 10] = 1, 9
    found = thurstone_scores(PairCounts.of_wins(wins)).mos
    assert found == pytest.approx(mos_by_scipy(wins), abs=0.01)
    assert found == pytest.approx(perfect, abs=0.01)


def test_equal_versions_have_no_mos_and_unjudged_ones_neither() -> None:
    equal = thurstone_scores(PairCounts.of_wins(np.array([[0.0, 5], [5, 0]])))
    assert equal.values == pytest.approx([0, 0], abs=1e-9)
    assert np.isnan(equal.mos).all()
    missing = thurstone_scores(PairCounts.of_wins(np.array([[0.0, 0, 5], [0, 0, 0], [1, 0, 0]])))
    assert missing.mos == pytest.approx([100, math.nan, 0], nan_ok=True)


@pytest.mark.parametrize(
    ("wins", "message"),
    [
        (np.zeros((2, 3)), "expected three arrays"),
        (np.array([[0.0, -1], [0, 0]]), "a negative, infinite or undefined number"),
        (np.array([[0.0, math.nan], [0, 0]]), "a negative, infinite or undefined number"),
        (np.array([[1.0, 0], [0, 0]]), "against itself"),
    ],
)
def test_other_arrays_are_refused(wins: FloatArray, message: str) -> None:
    for strengths in (pair_strengths, thurstone_scores):
        with pytest.raises(ValueError, match=message):
            strengths(PairCounts.of_wins(wins))
