"""Against scipy, statsmodels and cases worked out by hand."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from hggt_data.errors import MatchError, SettingsError
from hggt_data.schema import PatchId
from hggt_eval.metrics import METRICS
from hggt_eval.scores.comparison import (
    Comparison,
    Difference,
    bootstrap_interval,
    compare_methods,
    group_seeds,
    holm,
    sign_flip_p_value,
)
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.scores import GroupScores, MethodScores

# Three source pictures, the first with two groups.
BASE = {"a-0-0": 20.0, "a-0-8": 22.0, "b-0-0": 30.0, "c-0-0": 28.0}
BETTER = {"a-0-0": 21.0, "a-0-8": 22.5, "b-0-0": 30.5, "c-0-0": 30.0}


def without(scores: Mapping[str, float], name: str) -> dict[str, float]:
    return {other: value for other, value in scores.items() if other != name}


def compare(
    methods: Mapping[str, Mapping[str, float]],
    baseline: str | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
    same: tuple[tuple[str, ...], ...] = (),
) -> Comparison:
    """Method -> group `IMAGE-TOP-LEFT` -> PSNR, compared."""
    scores = [
        MethodScores(
            name,
            tuple(
                GroupScores(id, PatchId.parse(id).image, "x.png", {}, {"01": {"psnr": value}})
                for id, value in psnr.items()
            ),
        )
        for name, psnr in methods.items()
    ]
    evaluation = Evaluation((METRICS["psnr"],), tuple(scores), (), 4, same_pictures=same)
    return compare_methods(evaluation, baseline, num_resamples=num_resamples, seed=seed)


def difference(base: Mapping[str, float], net: Mapping[str, float]) -> Difference:
    [found] = compare({"base": base, "net": net}, "base").differences
    return found


def test_a_summary_has_the_mean_and_the_counts() -> None:
    comparison = compare({"base": BASE, "net": BETTER})
    base = comparison.summary("base", "psnr")
    assert (base.mean, base.num_groups, base.num_pictures, base.num_seeds) == (25.0, 4, 3, 1)
    assert base.low is not None
    assert base.high is not None
    assert 21.0 <= base.low < 25.0 < base.high <= 30.0
    assert comparison.differences == ()
    assert comparison.metrics == (METRICS["psnr"],)


def test_the_difference_is_paired_and_its_exact_p_value_counts_sign_flips_of_source_pictures() -> None:
    found = difference(BASE, BETTER)
    assert found.mean == 1.0  # (1 + 0.5 + 0.5 + 2) / 4
    # Sums by picture are 1.5, 0.5 and 2: of 8 sign flips, two give |sum| 4.
    assert (found.p_value, found.p_holm) == (2 / 8, 2 / 8)
    assert (found.num_groups, found.num_pictures) == (4, 3)
    found = difference(BASE, without(BETTER, "c-0-0"))
    assert found.mean == pytest.approx(2 / 3)
    assert (found.num_groups, found.num_pictures) == (3, 2)
    found = difference(BASE, {"d-0-0": 20.0})
    assert math.isnan(found.mean)
    assert (found.p_value, found.p_holm, found.num_groups) == (None, None, 0)


def test_groups_of_one_picture_are_not_independent_evidence() -> None:
    """With forty patches of two pictures, resampling patches would give a narrow interval and a tiny p."""
    rng = np.random.default_rng(0)
    base = {f"{image}-{top}-0": float(rng.normal(25, 1)) for image in "ab" for top in range(20)}
    found = difference(base, {name: value + (0.5 if name[0] == "a" else 0.1) for name, value in base.items()})
    assert found.p_value == 0.5  # 2 of 4 flips
    assert (found.low, found.high) == pytest.approx((0.1, 0.5))


def test_one_picture_under_two_names_counts_once() -> None:
    twice = {"a-0-0": 20.0, "b-0-0": 20.0, "c-0-0": 30.0}
    better = {name: value + 1 for name, value in twice.items()}
    same = compare({"base": twice, "net": better}, "base", same=(("a", "b"),))
    renamed = compare({"base": twice, "net": better}, "base").differences[0]
    assert (same.differences[0].p_value, renamed.p_value) == (2 / 4, 2 / 8)
    assert (same.differences[0].num_pictures, same.summaries[0].num_pictures) == (2, 2)


def test_the_interval_equals_that_of_scipy_if_each_picture_has_one_group() -> None:
    values = np.random.default_rng(1).normal(25, 3, 40)
    low, high = bootstrap_interval(values, np.ones(40))
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(2))
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.05)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.05)


def test_the_interval_covers_the_truth_as_often_as_stated_although_patches_of_a_picture_correlate() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        sizes = rng.integers(1, 6, 40)
        effects = rng.normal(0, 1, 40)  # shared by the patches of a picture
        sums = np.array([rng.normal(effect, 0.3, size).sum() for effect, size in zip(effects, sizes, strict=True)])
        low, high = bootstrap_interval(sums, sizes.astype(float), num_resamples=1000)
        assert low is not None
        assert high is not None
        covered += low <= 0 <= high
    assert 0.90 <= covered / 300 <= 0.98


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


def test_holm_equals_statsmodels_and_corrects_across_the_methods_of_a_metric() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    worse = {name: value - 1 for name, value in BASE.items()}
    differences = compare({"base": BASE, "net": BETTER, "worse": worse}, "base").differences
    assert [(found.p_value, found.p_holm) for found in differences] == [(0.25, 0.5), (0.25, 0.5)]


def test_seeds_are_one_method_with_the_deviation_of_their_means() -> None:
    shifted = {name: value + 2 for name, value in BETTER.items()}
    comparison = compare({"net@1": BETTER, "base": BASE, "net@2": shifted}, "base")
    assert comparison.methods == ("net", "base")
    net = comparison.summary("net", "psnr")
    assert (net.mean, net.num_seeds, net.deviation) == pytest.approx((27.0, 2, math.sqrt(2)))
    assert comparison.summary("base", "psnr").deviation is None
    assert comparison.differences[0].mean == 2.0


def test_the_deviation_of_seeds_uses_groups_that_all_seeds_have() -> None:
    """Otherwise a missing or infinite score would look like a difference between runs."""
    [summary] = compare({"net@1": {**BASE, "b-0-0": math.inf}, "net@2": without(BASE, "c-0-0")}).summaries
    assert (summary.mean, summary.deviation) == (21.0, 0.0)
    assert (summary.num_groups, summary.num_infinite, summary.num_missing) == (2, 1, 0)


def test_infinite_scores_and_groups_of_other_methods_are_counted() -> None:
    comparison = compare({"base": BASE, "part": {"a-0-0": 40.0, "d-0-0": math.inf}}, "base")
    assert [(s.mean, s.num_groups, s.num_infinite, s.num_missing) for s in comparison.summaries] == [
        (25.0, 4, 0, 1),
        (40.0, 1, 1, 3),
    ]
    assert comparison.differences[0].num_groups == 1
    [summary] = compare({"net": {"a-0-0": math.inf}}).summaries
    assert summary.mean == math.inf


def test_one_source_picture_has_neither_interval_nor_p_value() -> None:
    [summary] = compare({"net": {"a-0-0": 20.0, "a-0-8": 21.0}}).summaries
    assert (summary.low, summary.high, summary.num_pictures) == (None, None, 1)
    assert difference({"a-0-0": 20.0, "a-0-8": 21.0}, {"a-0-0": 22.0, "a-0-8": 21.0}).p_value is None


def test_contradictory_names_and_an_unknown_baseline_are_refused() -> None:
    with pytest.raises(MatchError, match="'net' is used both with and without a seed: net, net@1; rename"):
        group_seeds(["net", "net@1"])
    with pytest.raises(SettingsError, match=r"^`baseline` is 'bass'; expected one of base, net$"):
        compare({"base": BASE, "net@1": BETTER}, "bass")


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    rng = np.random.default_rng(6)
    methods = {name: {f"{n}-0-0": float(v) for n, v in enumerate(rng.normal(25, 2, 30))} for name in ("base", "net")}
    first, again, other = (compare(methods, "base", seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.summaries != other.summaries
