"""Against scipy, statsmodels and cases worked out by hand."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from hggt_data.errors import MatchError
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


def method(name: str, psnr: Mapping[str, float]) -> MethodScores:
    """A method with these scores for the groups `IMAGE-TOP-LEFT`."""
    groups = [GroupScores(PatchId.parse(text), "x.png", {}, {"01": {"psnr": value}}) for text, value in psnr.items()]
    return MethodScores(name, tuple(groups))


def evaluation(*methods: MethodScores) -> Evaluation:
    return Evaluation((METRICS["psnr"],), methods, (), 4)


# Three source pictures, the first with two groups.
BASE = {"a-0-0": 20.0, "a-0-8": 22.0, "b-0-0": 30.0, "c-0-0": 28.0}
BETTER = {"a-0-0": 21.0, "a-0-8": 22.5, "b-0-0": 30.5, "c-0-0": 30.0}


def only_difference(comparison: Comparison) -> Difference:
    [difference] = comparison.differences
    return difference


def test_means_and_counts() -> None:
    comparison = compare_methods(evaluation(method("base", BASE), method("net", BETTER)))
    base = comparison.summary("base", "psnr")
    assert (base.mean, base.num_groups, base.num_pictures, base.num_seeds) == (25.0, 4, 3, 1)
    assert base.low is not None
    assert base.high is not None
    assert 21.0 <= base.low < 25.0 < base.high <= 30.0
    assert comparison.differences == ()


def test_the_difference_is_paired_and_its_exact_p_value_counts_signs_of_source_pictures() -> None:
    difference = only_difference(compare_methods(evaluation(method("base", BASE), method("net", BETTER)), "base"))
    assert difference.mean == 1.0  # (1 + 0.5 + 0.5 + 2) / 4
    # Sums by picture 1.5, 0.5, 2: of 8 ways to set signs, two give |sum| 4.
    assert difference.p_value == 2 / 8
    assert difference.p_holm == 2 / 8
    assert (difference.num_groups, difference.num_pictures) == (4, 3)


def test_only_groups_that_both_have_are_paired() -> None:
    fewer = {name: value for name, value in BETTER.items() if name != "c-0-0"}
    difference = only_difference(compare_methods(evaluation(method("base", BASE), method("net", fewer)), "base"))
    assert difference.mean == pytest.approx(2 / 3)
    assert (difference.num_groups, difference.num_pictures) == (3, 2)


def test_groups_of_one_picture_are_not_independent_evidence() -> None:
    """With forty patches of two pictures, resampling patches would give a narrow interval and a tiny p."""
    rng = np.random.default_rng(0)
    base = {f"{image}-{top}-0": float(rng.normal(25, 1)) for image in "ab" for top in range(20)}
    net = {name: value + (0.5 if name[0] == "a" else 0.1) for name, value in base.items()}
    difference = only_difference(compare_methods(evaluation(method("base", base), method("net", net)), "base"))
    assert difference.p_value == 0.5  # 2 of 4 ways
    assert difference.low == pytest.approx(0.1)
    assert difference.high == pytest.approx(0.5)


def test_the_interval_is_scipys_if_each_picture_has_one_group() -> None:
    values = np.random.default_rng(1).normal(25, 3, 40)
    low, high = bootstrap_interval(values, np.ones(40))
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(2))
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.05)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.05)


def test_the_interval_covers_the_truth_as_often_as_stated_although_patches_resemble_each_other() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        sizes = rng.integers(1, 6, 40)
        effects = rng.normal(0, 1, 40)  # shared by the patches of a picture
        sums = np.array([rng.normal(effect, 0.3, size).sum() for effect, size in zip(effects, sizes, strict=True)])
        low, high = bootstrap_interval(sums, sizes.astype(float), num_resamples=1000)
        assert low is not None
        assert high is not None
        covered += low <= 0 <= high
    assert 0.90 <= covered / 200 <= 0.98


@pytest.mark.parametrize(("num", "tolerance"), [(8, 1e-12), (30, 0.01)])
def test_the_p_value_is_scipys(num: int, tolerance: float) -> None:
    sums = np.random.default_rng(4).normal(0.4, 1, num)
    theirs = stats.permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(5)
    )
    assert sign_flip_p_value(sums) == pytest.approx(theirs.pvalue, abs=tolerance)


def test_no_difference_has_a_p_value_of_one() -> None:
    assert sign_flip_p_value(np.zeros(5)) == sign_flip_p_value(np.zeros(50)) == 1
    assert sign_flip_p_value(np.array([0.1, 0.1, 0.1, -0.3])) == 1  # although rounding leaves a sum above 0


def test_holm_is_statsmodels_and_corrects_across_the_methods_of_a_metric() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    worse = {name: value - 1 for name, value in BASE.items()}
    methods = [method("base", BASE), method("net", BETTER), method("worse", worse)]
    comparison = compare_methods(evaluation(*methods), "base")
    assert [difference.p_value for difference in comparison.differences] == [0.25, 0.25]
    assert [difference.p_holm for difference in comparison.differences] == [0.5, 0.5]


def test_seeds_are_one_method_with_the_deviation_of_their_means() -> None:
    shifted = {name: value + 2 for name, value in BETTER.items()}
    comparison = compare_methods(
        evaluation(method("net@1", BETTER), method("base", BASE), method("net@2", shifted)), "base"
    )
    assert comparison.methods == ("net", "base")
    net = comparison.summary("net", "psnr")
    assert (net.mean, net.num_seeds) == (27.0, 2)
    assert net.deviation == pytest.approx(math.sqrt(2))
    assert comparison.summary("base", "psnr").deviation is None
    assert only_difference(comparison).mean == 2.0


def test_the_deviation_of_seeds_is_over_the_groups_that_all_have() -> None:
    """Otherwise a missing or infinite score would look like a difference between runs."""
    runs = [
        method("net@1", {**BASE, "b-0-0": math.inf}),
        method("net@2", {name: value for name, value in BASE.items() if name != "c-0-0"}),
    ]
    [summary] = compare_methods(evaluation(*runs)).summaries
    assert (summary.mean, summary.deviation) == (21.0, 0.0)
    assert (summary.num_groups, summary.num_infinite, summary.num_missing) == (2, 1, 0)


def test_groups_that_another_method_has_are_missing() -> None:
    part = method("part", {"a-0-0": 40.0, "d-0-0": math.inf})
    summaries = compare_methods(evaluation(method("base", BASE), part)).summaries
    assert [(s.method, s.num_groups, s.num_infinite, s.num_missing) for s in summaries] == [
        ("base", 4, 0, 1),
        ("part", 1, 1, 3),
    ]


def test_a_name_with_and_without_seeds_is_refused() -> None:
    with pytest.raises(MatchError, match="'net' is used both with and without a seed: net, net@1; rename"):
        group_seeds(["net", "net@1"])


def test_infinite_scores_are_left_out_and_counted() -> None:
    identical = {**BETTER, "a-0-0": math.inf}
    comparison = compare_methods(evaluation(method("base", BASE), method("net", identical)), "base")
    net = comparison.summary("net", "psnr")
    assert net.mean == pytest.approx((22.5 + 30.5 + 30) / 3)
    assert (net.num_groups, net.num_infinite) == (3, 1)
    assert only_difference(comparison).num_groups == 3


def test_one_source_picture_has_no_interval_and_all_infinite_no_mean() -> None:
    comparison = compare_methods(evaluation(method("net", {"a-0-0": 20.0, "a-0-8": 21.0})))
    [summary] = comparison.summaries
    assert (summary.low, summary.high, summary.num_pictures) == (None, None, 1)
    two = [method(name, {"a-0-0": value, "a-0-8": 21.0}) for name, value in (("base", 20.0), ("net", 22.0))]
    assert only_difference(compare_methods(evaluation(*two), "base")).p_value is None
    [summary] = compare_methods(evaluation(method("net", {"a-0-0": math.inf}))).summaries
    assert summary.mean == math.inf


def test_no_shared_group_is_no_difference() -> None:
    other = method("net", {"d-0-0": 20.0})
    difference = only_difference(compare_methods(evaluation(method("base", BASE), other), "base"))
    assert math.isnan(difference.mean)
    assert (difference.p_value, difference.p_holm, difference.num_groups) == (None, None, 0)


def test_an_unknown_baseline_names_the_known() -> None:
    with pytest.raises(MatchError, match="no method is called 'bass'; the baseline must be one of base, net"):
        compare_methods(evaluation(method("base", BASE), method("net@1", BETTER)), "bass")


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    rng = np.random.default_rng(6)
    base = method("base", {f"{n}-0-0": float(v) for n, v in enumerate(rng.normal(25, 2, 30))})
    net = method("net", {f"{n}-0-0": float(v) for n, v in enumerate(rng.normal(25.5, 2, 30))})
    first, again, other = (compare_methods(evaluation(base, net), "base", seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.summaries != other.summaries
