"""Against cases worked out by hand; the formulas are tested in `test_resampling`."""

import math
from collections.abc import Mapping

import numpy as np
import pytest

from hggt_data.errors import MatchError, SettingsError
from hggt_data.schema import PatchId
from hggt_eval.metrics import METRICS
from hggt_eval.scores.comparison import (
    Comparison,
    compare_methods,
    group_seeds,
)
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.scores import GroupScores, MethodScores
from hggt_eval.scores.summary import Difference

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
    assert base.low < 25.0 < base.high
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
    """With forty patches of two pictures, treating patches as independent would give a narrow interval and a tiny p."""
    rng = np.random.default_rng(0)
    base = {f"{image}-{top}-0": float(rng.normal(25, 1)) for image in "ab" for top in range(20)}
    found = difference(base, {name: value + (0.5 if name[0] == "a" else 0.1) for name, value in base.items()})
    assert found.p_value == 0.5  # 2 of 4 flips
    # The t quantile with one degree of freedom is 12.706; the standard error of the means 0.5 and 0.1 is 0.2.
    assert (found.low, found.high) == pytest.approx((0.3 - 12.706 * 0.2, 0.3 + 12.706 * 0.2), abs=1e-3)
    assert found.effective_pictures == 2


def test_the_effective_number_of_pictures_counts_groups_with_finite_scores() -> None:
    many = {f"{picture}-0-0": math.inf if picture < 22 else 20.0 + picture for picture in range(25)}
    comparison = compare({"base": dict.fromkeys(many, 20.0), "net": many}, "base")
    net = comparison.summary("net", "psnr")
    assert (net.num_pictures, net.effective_pictures, comparison.differences[0].effective_pictures) == (25, 3, 3)
    assert comparison.summary("base", "psnr").effective_pictures == 25
    assert compare({"base": BASE}).summary("base", "psnr").effective_pictures == pytest.approx(16 / 6)
    assert compare({"net": {"a-0-0": math.inf}}).summary("net", "psnr").effective_pictures == 0


def test_one_picture_under_two_names_counts_once() -> None:
    twice = {"a-0-0": 20.0, "b-0-0": 20.0, "c-0-0": 30.0}
    better = {name: value + 1 for name, value in twice.items()}
    same = compare({"base": twice, "net": better}, "base", same=(("a", "b"),))
    renamed = compare({"base": twice, "net": better}, "base").differences[0]
    assert (same.differences[0].p_value, renamed.p_value) == (2 / 4, 2 / 8)
    assert (same.differences[0].num_pictures, same.summaries[0].num_pictures) == (2, 2)


def test_p_values_are_corrected_across_the_methods_of_a_metric() -> None:
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
