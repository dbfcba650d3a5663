"""The sentence at the top of the report, from scores whose answers are known."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hggt_eval.metrics import METRICS
from hggt_eval.report.verdict import describe_verdict
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.scores import GroupScores, MethodScores

PICTURES = 12
# Alternates around 0, so that no mean of it is clear.
NOISE = [0.5 * (-1) ** number for number in range(PICTURES)]


def scored(**shifts: Sequence[float]) -> Evaluation:
    """PSNR is 25 dB plus a shift per source picture, LPIPS 0.3 minus a tenth of it."""
    methods = []
    for name, shift in shifts.items():
        groups = tuple(
            GroupScores(
                f"{k}-0-0",
                str(k),
                "x",
                {},
                {"01": {"psnr": 25.0 + k + by, "lpips": 0.3 - by / 10}},
                sha256=f"{name} {k}",
            )
            for k, by in enumerate(shift)
        )
        methods.append(MethodScores(name, groups))
    return Evaluation((METRICS["psnr"], METRICS["lpips"]), tuple(methods), (), PICTURES)


def verdict(evaluation: Evaluation, baseline: str | None = None) -> tuple[str, list[str]]:
    first, others = describe_verdict(evaluation, compare_methods(evaluation, baseline))
    return first.replace("\N{MINUS SIGN}", "-"), [line.replace("\N{MINUS SIGN}", "-") for line in others]


ZERO = [0.0] * PICTURES
ONE = [1.0] * PICTURES


@pytest.mark.parametrize("baseline", ["old", None])
def test_a_clear_difference_between_two_methods(baseline: str | None) -> None:
    assert verdict(scored(old=ZERO, new=ONE), baseline) == (
        "new is better than old in PSNR: mean difference +1.00, 95 % interval +1.00 to +1.00, 12 source pictures.",
        ["LPIPS: new is better than old, -0.1000 [-0.1000, -0.1000]"],
    )


def test_a_method_that_is_worse_than_the_baseline() -> None:
    sentence, [line] = verdict(scored(old=ZERO, new=ONE), "new")
    assert sentence.startswith("old is worse than new in PSNR: mean difference -1.00, 95 % interval -1.00 to -1.00")
    assert line == "LPIPS: old is worse than new, +0.1000 [+0.1000, +0.1000]"


@pytest.mark.parametrize("baseline", ["old", None])
def test_no_clear_difference(baseline: str | None) -> None:
    sentence, [line] = verdict(scored(old=ZERO, new=[by + 0.01 for by in NOISE]), baseline)
    assert sentence.startswith(
        "No clear difference between new and old in PSNR: mean difference +0.01, 95 % interval -0."
    )
    assert sentence.endswith(", 12 source pictures.")
    assert line.startswith("LPIPS: no clear difference, -0.0010 [-0.0")


def test_few_source_pictures_cannot_show_a_clear_difference() -> None:
    sentence, _ = verdict(scored(old=ZERO[:4], new=ONE[:4]), "old")
    assert sentence == (
        "No clear difference between new and old in PSNR: mean difference +1.00, 95 % interval +1.00 to +1.00, "
        "4 source pictures, too few for a clear difference."
    )
    alone, _ = verdict(scored(old=ZERO[:1], new=ONE[:1]), "old")
    assert alone.endswith("in PSNR: mean difference +1.00, 1 source picture, too few for a clear difference.")


def test_several_methods_are_counted_against_the_baseline() -> None:
    many = scored(old=ZERO, new=ONE, newer=[2.0] * PICTURES, same=NOISE)
    sentence, [line] = verdict(many, "old")
    assert sentence == (
        "2 of 3 methods are better than old in PSNR; the best is newer: mean difference +2.00, 95 % interval +2.00 to "
        "+2.00, 12 source pictures."
    )
    assert line.startswith("LPIPS: 2 of 3 methods are better than old; the best is newer, -0.2000")
    assert verdict(many, "newer")[0].startswith(
        "None of 3 methods is clearly better than newer in PSNR; the best is new:"
    )


def test_without_a_baseline_the_best_is_compared_with_all_others() -> None:
    sentence, _ = verdict(scored(old=ZERO, newer=[2.0] * PICTURES, new=ONE))
    assert sentence.startswith(
        "newer is better than all others in PSNR; next is new: mean difference +1.00, 95 % interval"
    )
    close = scored(old=ZERO, newer=[by + 1.01 for by in NOISE], new=ONE)
    assert verdict(close)[0].startswith(
        "newer has the best PSNR, without a clear difference from new; next is new: mean"
    )


def test_a_single_method_is_compared_with_nothing() -> None:
    sentence, others = verdict(scored(new=ONE))
    assert sentence.startswith("Only one method, so nothing is compared: new has a mean PSNR of 31.50, 95 % interval 2")
    assert sentence.endswith(", 12 source pictures.")
    assert others == []


def test_a_difference_without_p_is_not_tested() -> None:
    evaluation = scored(old=ZERO, new=ONE, other=ONE)
    for names in (("old", "new"), ("old", "new", "other")):
        chosen = replace(evaluation, methods=tuple(m for m in evaluation.methods if m.name in names))
        comparison = compare_methods(chosen, "old")
        untested = tuple(replace(d, p_value=None, p_holm=None) for d in comparison.differences)
        sentence, [line] = describe_verdict(chosen, replace(comparison, differences=untested))
        assert "not tested" in sentence
        assert "not tested" in line


def test_infinite_and_missing_scores() -> None:
    perfect = scored(old=ZERO, new=[math.inf] * PICTURES)
    assert verdict(perfect, "old")[0] == "In PSNR, no method has finite scores in common with old."
    assert verdict(perfect)[0] == "In PSNR, new is the best; old has no finite scores in common with it."
    partly = scored(old=ZERO, new=[math.inf, *ONE[1:]], other=ZERO)
    assert verdict(partly)[0].startswith("old has the best PSNR, without a clear difference from other;")
    fewer = scored(old=ZERO, new=ONE[:-2])
    assert verdict(fewer, "old")[0].startswith("new is better than old in PSNR: mean difference +1.00")
    assert verdict(fewer, "old")[0].endswith("10 source pictures.")
    assert verdict(fewer)[0] == "In PSNR, no method is called best, as their means are over different groups."
    one_side = replace(fewer, methods=(fewer.methods[0], replace(fewer.methods[1], groups=())))
    assert verdict(one_side, "old")[0] == "In PSNR, no method has finite scores in common with old."
