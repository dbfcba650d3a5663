"""What a comparison says, in one sentence per metric: which method is better, by how much, and how sure that is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from hggt_eval.metrics import AnyMetric, SetMetric
from hggt_eval.report.tables import count_images, decimals_of, format_score, format_signed
from hggt_eval.scores.comparison import Comparison, compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.summary import Difference, Summary

Direction = Literal["better", "worse", "unclear"]
# A difference is called clear if its p, corrected by Holm, is at most this.
SIGNIFICANT = 0.05


def direction_of(difference: Difference, metric: AnyMetric) -> Direction:
    """Whether the method is clearly better or worse than the baseline."""
    if difference.p_holm is None or difference.p_holm > SIGNIFICANT:
        return "unclear"
    return "better" if (difference.mean > 0) == metric.higher_is_better else "worse"


def is_tested(difference: Difference) -> bool:
    """Whether there is a p; metrics such as FID have none."""
    return difference.p_holm is not None or difference.num_pictures < 2


def size_of_sets(difference: Difference, metric: AnyMetric) -> str:
    """The number of images in both sets, for a metric of sets; otherwise empty."""
    return f" {count_images(difference.num_groups)}" if isinstance(metric, SetMetric) else ""


def describe_verdict(
    evaluation: Evaluation, comparison: Comparison, decimals: Mapping[str, int] | None = None
) -> tuple[str, list[str]]:
    """One sentence about the first metric, and a short line for each other metric.

    With a baseline the others are compared with it; without one, the best method with all others. A single method has a
    sentence only.
    """
    if len(comparison.methods) == 1:
        return _describe_single(comparison, decimals), []
    first, *others = (_Verdict.of(metric, evaluation, comparison) for metric in comparison.metrics)
    return first.sentence(decimals), [other.line(decimals) for other in others]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is said of one metric.

    Attributes:
        metric: The metric.
        statement: Who is better, as a clause that names the metric.
        short: The same without the metric.
        difference: The difference that the numbers are of; None if there are no numbers.
    """

    metric: AnyMetric
    statement: str
    short: str
    difference: Difference | None = None

    @classmethod
    def of(cls, metric: AnyMetric, evaluation: Evaluation, comparison: Comparison) -> "_Verdict":
        """With the baseline if there is one, otherwise with the best method."""
        if comparison.baseline is not None:
            return _against_baseline(metric, comparison.baseline, comparison)
        return _best_of_all(metric, evaluation, comparison)

    def sentence(self, decimals: Mapping[str, int] | None) -> str:
        """With all that tells how sure it is."""
        if self.difference is None:
            return f"{self.statement}."
        mean, low, high = _numbers(self.difference, decimals_of(self.metric.name, decimals))
        interval = f", 95 % interval {low} to {high}" if low else ""
        number, sets = self.difference.num_pictures, size_of_sets(self.difference, self.metric)
        few = ", too few for a clear difference" if 2 ** (1 - number) > SIGNIFICANT else ""
        mean = f"{'difference' if sets else 'mean difference'} {mean}{sets}"
        return f"{self.statement}: {mean}{interval}, {_pictures(number)}{few}."

    def line(self, decimals: Mapping[str, int] | None) -> str:
        """In short."""
        if self.difference is None:
            return f"{self.metric.title}: {self.short}"
        mean, low, high = _numbers(self.difference, decimals_of(self.metric.name, decimals))
        sets = size_of_sets(self.difference, self.metric)
        return f"{self.metric.title}: {self.short}, {mean}{sets}{f' [{low}, {high}]' if low else ''}"


def _describe_single(comparison: Comparison, decimals: Mapping[str, int] | None) -> str:
    [method], metric = comparison.methods, comparison.metrics[0]
    summary = comparison.summary(method, metric.name)
    digits = decimals_of(metric.name, decimals)
    interval = ""
    if summary.low is not None and summary.high is not None:
        interval = f"95 % interval {format_score(summary.low, digits)} to {format_score(summary.high, digits)}, "
    what, sets = f"a mean {metric.title}", ""
    if isinstance(metric, SetMetric):
        what, sets = f"the {metric.title}", f" {count_images(summary.num_groups, summary.num_patches)}"
    return (
        f"Only one method, so nothing is compared: {method} has {what} of "
        f"{format_score(summary.mean, digits)}{sets}, {interval}{_pictures(summary.num_pictures)}."
    )


def _against_baseline(metric: AnyMetric, baseline: str, comparison: Comparison) -> _Verdict:
    own = [difference for difference in comparison.differences if difference.metric == metric.name]
    paired = [difference for difference in own if difference.num_groups]
    title = metric.title
    if not paired:
        short = f"no method has finite scores in common with {baseline}"
        return _Verdict(metric, f"In {title}, {short}", short)
    best = (max if metric.higher_is_better else min)(paired, key=lambda difference: difference.mean)
    if len(own) == 1:
        return _of_two(best.method, direction_of(best, metric), metric, best)
    if isinstance(metric, SetMetric) and len({difference.num_groups for difference in paired}) > 1:
        short = "no method is called best, as it is comparable only between equal numbers of pictures"
        return _Verdict(metric, f"In {title}, {short}", short)
    if not any(map(is_tested, paired)):
        short = f"differences from {baseline} are not tested; the best is {best.method}"
        return _Verdict(metric, f"In {title}, {short}", short, best)
    better = sum(direction_of(difference, metric) == "better" for difference in paired)
    counted = f"{better or 'none'} of {len(own)} methods {'is' if better < 2 else 'are'} "
    counted += f"{'' if better else 'clearly '}better than {baseline}"
    statement = f"{counted[0].upper()}{counted[1:]} in {title}; the best is {best.method}"
    return _Verdict(metric, statement, f"{counted}; the best is {best.method}", best)


def _best_of_all(metric: AnyMetric, evaluation: Evaluation, comparison: Comparison) -> _Verdict:
    ranked = _ranked(metric, comparison)
    title = metric.title
    if len(ranked) < 2:
        short = "no method is called best, as their means are over different groups"
        return _Verdict(metric, f"In {title}, {short}", short)
    best, second = ranked[0].method, ranked[1].method
    against = compare_methods(
        replace(evaluation, metrics=(metric,)), best, num_resamples=comparison.num_resamples, seed=comparison.seed
    )
    others = {difference.method: difference for difference in against.differences}
    if not others[second].num_groups:
        short = f"{best} is the best; {second} has no finite scores in common with it"
        return _Verdict(metric, f"In {title}, {short}", short)
    difference = _reversed(others[second])
    if len(comparison.methods) == 2:
        return _of_two(best, direction_of(difference, metric), metric, difference)
    if not is_tested(difference):
        short = f"{best} is the best, which is not tested; next is {second}"
        return _Verdict(metric, f"In {title}, {short}", short, difference)
    unclear = [summary.method for summary in ranked[1:] if direction_of(others[summary.method], metric) != "worse"]
    if not unclear:
        said = "better than all others"
        return _Verdict(
            metric, f"{best} is {said} in {title}; next is {second}", f"{best} is {said}; next is {second}", difference
        )
    named = unclear[0] if len(unclear) == 1 else f"{len(unclear)} others"
    ending = f"without a clear difference from {named}; next is {second}"
    return _Verdict(metric, f"{best} has the best {title}, {ending}", f"{best} is the best, {ending}", difference)


def _ranked(metric: AnyMetric, comparison: Comparison) -> list[Summary]:
    """The methods whose means are over all groups, best first; the same that the tables rank."""
    own = [comparison.summary(method, metric.name) for method in comparison.methods]
    whole = [s for s in own if not s.num_missing and (math.isinf(s.mean) or (s.num_groups and not s.num_infinite))]
    return sorted(whole, key=lambda summary: summary.mean, reverse=metric.higher_is_better)


def _of_two(method: str, direction: Direction, metric: AnyMetric, difference: Difference) -> _Verdict:
    other = difference.baseline
    if not is_tested(difference):
        statement = f"The difference between {method} and {other} in {metric.title} is not tested"
        return _Verdict(metric, statement, "not tested", difference)
    if direction == "unclear":
        statement = f"No clear difference between {method} and {other} in {metric.title}"
        return _Verdict(metric, statement, "no clear difference", difference)
    short = f"{method} is {direction} than {other}"
    return _Verdict(metric, f"{short} in {metric.title}", short, difference)


def _reversed(difference: Difference) -> Difference:
    """The same difference, seen from the baseline."""
    low, high = difference.low, difference.high
    return replace(
        difference,
        method=difference.baseline,
        baseline=difference.method,
        mean=-difference.mean,
        low=None if high is None else -high,
        high=None if low is None else -low,
    )


def _numbers(difference: Difference, decimals: int) -> tuple[str, str, str]:
    """The mean and the ends of the interval, which are empty if there is none."""
    low, high = difference.low, difference.high
    ends = ("", "") if low is None or high is None else (format_signed(low, decimals), format_signed(high, decimals))
    return format_signed(difference.mean, decimals), *ends


def _pictures(number: int) -> str:
    return f"{number:,} source picture{'' if number == 1 else 's'}"
