"""Against scipy, statsmodels and simulations with a known true mean."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from hggt_eval.scores.resampling import (
    bootstrap_means,
    effective_number,
    holm,
    mean_interval,
    sign_flip_p_value,
    t_quantile,
)

NUM_SETS = 2_000


def simulate(num_pictures: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sets with a true mean of 0: sums over 1 to 5 groups of each picture, which share an effect, and their number."""
    rng = np.random.default_rng(num_pictures)
    counts = rng.integers(1, 6, (NUM_SETS, num_pictures))
    noise = np.where(np.arange(5) < counts[..., None], rng.normal(0, 0.5, (*counts.shape, 5)), 0).sum(axis=-1)
    return counts * rng.normal(size=counts.shape) + noise, counts.astype(np.float64)


def tolerance(share: float) -> float:
    """Four standard deviations of a share found in `NUM_SETS` sets."""
    return 4 * math.sqrt(share * (1 - share) / NUM_SETS)


@pytest.mark.parametrize(("num_pictures", "expected"), [(3, 0.961), (5, 0.921), (8, 0.942), (20, 0.943), (100, 0.948)])
def test_intervals_contain_the_true_mean_as_often_as_documented(num_pictures: int, expected: float) -> None:
    """The shares are those of docs/evaluation.md; plain percentiles would contain it in 75, 83, 88, 92 and 94 %."""
    low, high = mean_interval(*simulate(num_pictures), num_resamples=2_000)
    covered = ((low <= 0) & (high >= 0)).mean()
    assert covered == pytest.approx(expected, abs=tolerance(expected))


@pytest.mark.parametrize("num_pictures", [6, 8, 20])
def test_p_values_without_a_difference_are_at_most_005_in_5_percent_of_cases(num_pictures: int) -> None:
    sums, _ = simulate(num_pictures)
    share = np.mean([sign_flip_p_value(row, num_resamples=999) <= 0.05 for row in sums])
    attainable = 0.05 if num_pictures > 12 else math.floor(0.05 * 2 ** (num_pictures - 1)) / 2 ** (num_pictures - 1)
    assert share == pytest.approx(attainable, abs=tolerance(attainable))


def test_five_pictures_or_more_have_expanded_percentiles() -> None:
    values = np.random.default_rng(1).normal(25, 3, 8)
    level = stats.norm.cdf(math.sqrt(8 / 7) * stats.t.ppf(0.025, 7))  # 0.0057
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        method="percentile",
        confidence_level=1 - 2 * level,
        n_resamples=50_000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    found = mean_interval(values, np.ones(8), num_resamples=50_000)
    assert found == pytest.approx((theirs.low, theirs.high), abs=0.1)


def test_fewer_than_five_pictures_have_the_t_interval_of_their_effective_number() -> None:
    values = np.array([20.0, 24.0, 23.0, 30.0])
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_interval(values, np.ones(4)) == pytest.approx((theirs.low, theirs.high))
    # Means of 20, 26 and 26 from 2, 1 and 1 groups: a mean of 23, residuals of -6, 3 and 3, 16 / 6 effective pictures.
    reach = stats.t.ppf(0.975, 16 / 6 - 1) * math.sqrt(3 / 2 * 54) / 4
    unequal = mean_interval(np.array([40.0, 26.0, 26.0]), np.array([2.0, 1.0, 1.0]))
    assert unequal == pytest.approx((23 - reach, 23 + reach))
    assert np.isfinite(
        mean_interval(np.array([40.0, 9000.0]), np.array([1.0, 300.0]))
    ).all()  # 1.007 effective pictures


def test_rows_are_independent_of_each_other() -> None:
    sums, counts = simulate(8)
    low, high = mean_interval(sums[:3], counts[:3], num_resamples=500)
    assert (low[2], high[2]) == pytest.approx(mean_interval(sums[2], counts[2], num_resamples=500))
    assert bootstrap_means(sums[:3], counts[:3], 500).shape == (500, 3)


def test_the_t_quantile_equals_that_of_scipy() -> None:
    freedom = np.array([[1.0, 1.02, 1.67, 2.0], [3.0, 4.0, 99.0, 9999.0]])
    np.testing.assert_allclose(t_quantile(freedom), stats.t.ppf(0.975, freedom), rtol=1e-9)


def test_the_effective_number_of_pictures_is_lower_if_one_has_most_groups() -> None:
    assert effective_number(np.array([[5.0, 5.0, 5.0], [98.0, 1.0, 1.0]])) == pytest.approx([3, 1e4 / 9606])


@pytest.mark.parametrize(("num", "tolerance"), [(8, 1e-12), (30, 0.01)])
def test_the_p_value_equals_that_of_scipy(num: int, tolerance: float) -> None:
    sums = np.random.default_rng(4).normal(0.4, 1, num)
    theirs = stats.permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(5)
    )
    assert sign_flip_p_value(sums) == pytest.approx(theirs.pvalue, abs=tolerance)


def test_no_difference_has_a_p_value_of_one() -> None:
    assert sign_flip_p_value(np.zeros(5)) == sign_flip_p_value(np.zeros(50)) == 1
    assert sign_flip_p_value(np.array([0.1, 0.1, 0.1, -0.3])) == 1  # although rounding leaves a sum above 0


def test_holm_equals_statsmodels() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
