"""Methods compared with each other: how certain each mean is, and whether two methods differ.

All resampling is by source picture (`resampling`). Scores of several training seeds, `NAME@SEED`, count as one method:
a group enters with its mean over the seeds. Infinite scores (PSNR of identical pictures) are left out, as in all means
here.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import MatchError, SettingsError
from hggt_data.ranges import Count, require_arguments, require_kind
from hggt_eval.metrics import AnyMetric, SetMetric
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.resampling import NUM_RESAMPLES, effective_number, holm, mean_interval, sign_flip_p_value
from hggt_eval.scores.scores import GroupScores, MethodScores
from hggt_eval.scores.set_comparison import compare_sets, summarise_sets
from hggt_eval.scores.summary import Difference, Summary

_GroupKey = tuple[str, str]  # source picture, id
_GroupValues = Mapping[_GroupKey, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All methods compared with each other.

    Attributes:
        methods: Methods without their seeds, in the order given.
        metrics: Metrics, each with its title and direction.
        summaries: Means, by method, then metric.
        differences: Differences from the baseline, by method, then metric; empty without a baseline.
        baseline: Method with which the others are compared, if any.
        num_resamples: Number of draws for the bootstrap and for the permutation test.
        seed: Random seed of both.
    """

    methods: tuple[str, ...]
    metrics: tuple[AnyMetric, ...]
    summaries: tuple[Summary, ...]
    differences: tuple[Difference, ...]
    baseline: str | None = None
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0

    def summary(self, method: str, metric: str) -> Summary:
        """The summary of a method and metric."""
        return next(s for s in self.summaries if (s.method, s.metric) == (method, metric))


def split_seed(name: str) -> tuple[str, str | None]:
    """`NAME@SEED` as (name, seed); without a seed, (name, None).

    Example:
        >>> split_seed("rrdb@3"), split_seed("bicubic")
        (('rrdb', '3'), ('bicubic', None))
    """
    base, at, seed = name.rpartition("@")
    return (base, seed) if at and base and seed else (name, None)


def group_seeds(names: Iterable[str]) -> dict[str, list[str]]:
    """Methods without their seeds -> the names with seeds, in order; MatchError if a name occurs with and without.

    Example:
        >>> group_seeds(["bicubic", "rrdb@1", "rrdb@2"])
        {'bicubic': ['bicubic'], 'rrdb': ['rrdb@1', 'rrdb@2']}
    """
    runs: dict[str, list[str]] = defaultdict(list)
    for name in names:
        runs[split_seed(name)[0]].append(name)
    for base, own in runs.items():
        if base in own and len(own) > 1:
            raise MatchError(f"{base!r} is used both with and without a seed: {', '.join(own)}; rename one of them")
    return dict(runs)


def require_baseline(names: Iterable[str], baseline: str) -> None:
    """Check that one of these methods, without its seed, has the baseline's name."""
    runs = group_seeds(names)
    if baseline not in runs:
        raise SettingsError(f"`baseline` is {baseline!r}; expected one of {', '.join(runs)}")


def compare_methods(
    evaluation: Evaluation, baseline: str | None = None, *, num_resamples: Count = NUM_RESAMPLES, seed: int = 0
) -> Comparison:
    """Compute intervals for all means, and the differences from a baseline.

    Args:
        evaluation: The scores.
        baseline: Method, without its seed, with which all others are compared.
        num_resamples: Number of draws of source pictures for intervals and of signs for p-values.
        seed: Random seed; the same seed gives the same numbers.

    Returns:
        Means with intervals and, with a baseline, the differences of all other methods from it.

    Raises:
        SettingsError: No method has the baseline's name, or a number is out of range.
        MatchError: A name occurs with and without a seed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import name_methods
        >>> from hggt_data.tree.demo import write_demo
        >>> from hggt_eval import GroundTruth, compare_methods, score
        >>> _, test, _, bicubic, sharper = write_demo(Path(tempfile.mkdtemp()))
        >>> methods = name_methods([(None, bicubic), (None, sharper)])
        >>> scored = score(methods, GroundTruth(dataset=test), metrics=["psnr"])
        >>> comparison = compare_methods(scored.evaluation, "bicubic")
        >>> round(comparison.differences[0].mean, 2)
        0.3
    """
    require_kind(
        Evaluation, "that of `score` or `read_scores`, such as read_scores(FOLDER).evaluation", evaluation=evaluation
    )
    require_arguments(compare_methods, num_resamples=num_resamples)
    methods = {method.name: _by_true_picture(method, evaluation) for method in evaluation.methods}
    if baseline is not None:
        require_baseline(methods, baseline)
    runs = {base: [methods[name] for name in names] for base, names in group_seeds(methods).items()}
    values = {
        metric.name: {base: _group_values(own, metric.name) for base, own in runs.items()}
        for metric in evaluation.metrics
        if not isinstance(metric, SetMetric)
    }
    known = {metric: set().union(*of_method.values()) for metric, of_method in values.items()}
    draws = _Draws(num_resamples, seed)
    summaries = [
        _summarise(base, metric, values[metric][base], len(known[metric]), own, draws)
        for base, own in runs.items()
        for metric in values
    ]
    differences = (
        []
        if baseline is None
        else [found for metric in values for found in _compare_with(baseline, metric, values[metric], draws)]
    )
    of_sets = [metric for metric in evaluation.metrics if isinstance(metric, SetMetric)]
    names = group_seeds(methods)
    for metric in of_sets:
        summaries += summarise_sets(evaluation.set_distances, metric, names, num_resamples, seed)
        if baseline is not None:
            differences += compare_sets(evaluation.set_distances, metric, names, baseline, num_resamples, seed)
    if of_sets:  # in the order of the methods, then of the metrics
        metrics = {metric.name: number for number, metric in enumerate(evaluation.metrics)}
        summaries.sort(key=lambda summary: (list(runs).index(summary.method), metrics[summary.metric]))
        differences.sort(key=lambda difference: metrics[difference.metric])
    order = {base: number for number, base in enumerate(runs)}
    differences.sort(key=lambda difference: order[difference.method])  # stable: metrics keep their order
    return Comparison(
        tuple(runs), evaluation.metrics, tuple(summaries), tuple(differences), baseline, num_resamples, seed
    )


@dataclass(frozen=True, slots=True)
class _Draws:
    """Number of random draws, and their seed."""

    num_resamples: int
    seed: int

    def interval(self, values: _GroupValues) -> tuple[float | None, float | None]:
        sums, counts = _by_picture(values)
        if len(sums) < 2:
            return None, None
        low, high = mean_interval(sums, counts, self.num_resamples, self.seed)
        return float(low), float(high)

    def p_value(self, differences: _GroupValues) -> float | None:
        sums, _ = _by_picture(differences)
        return sign_flip_p_value(sums, self.num_resamples, self.seed) if len(sums) > 1 else None


def _summarise(
    method: str, metric: str, values: _GroupValues, num_known: int, runs: Sequence[MethodScores], draws: _Draws
) -> Summary:
    finite = {key: value for key, value in values.items() if math.isfinite(value)}
    low, high = draws.interval(finite)
    return Summary(
        method=method,
        metric=metric,
        mean=_mean(finite, empty=math.inf if values else math.nan),
        low=low,
        high=high,
        num_groups=len(finite),
        num_pictures=_num_pictures(values),
        effective_pictures=_effective_pictures(finite),
        num_infinite=len(values) - len(finite),
        num_missing=num_known - len(values),
        num_seeds=len(runs),
        deviation=_deviation(runs, metric, finite),
    )


def _compare_with(
    baseline: str, metric: str, values: Mapping[str, _GroupValues], draws: _Draws
) -> Iterator[Difference]:
    """The difference of every other method, with p-values corrected for the number of methods."""
    paired = {base: _differences(own, values[baseline]) for base, own in values.items() if base != baseline}
    p_values = {base: p for base, own in paired.items() if (p := draws.p_value(own)) is not None}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    for base, own in paired.items():
        low, high = draws.interval(own)
        yield Difference(
            method=base,
            baseline=baseline,
            metric=metric,
            mean=_mean(own, empty=math.nan),
            low=low,
            high=high,
            p_value=p_values.get(base),
            p_holm=corrected.get(base),
            num_groups=len(own),
            num_pictures=_num_pictures(own),
            effective_pictures=_effective_pictures(own),
        )


def _group_values(runs: Sequence[MethodScores], metric: str) -> dict[_GroupKey, float]:
    """Group -> mean over a method's seeds, for groups that all seeds have."""
    tables = [{_key(group): group.mean[metric] for group in run.groups if metric in group.mean} for run in runs]
    shared = [key for key in tables[0] if all(key in table for table in tables)]
    return {key: math.fsum(table[key] for table in tables) / len(tables) for key in shared}


def _key(group: GroupScores) -> _GroupKey:
    return group.image_name, group.id


def _differences(values: _GroupValues, baseline: _GroupValues) -> dict[_GroupKey, float]:
    pairs = {key: (values[key], baseline[key]) for key in values if key in baseline}
    return {key: a - b for key, (a, b) in pairs.items() if math.isfinite(a) and math.isfinite(b)}


def _by_true_picture(method: MethodScores, evaluation: Evaluation) -> MethodScores:
    """The scores with one name for source pictures that are one picture."""
    first = {name: names[0] for names in evaluation.same_pictures for name in names}
    groups = (replace(group, image_name=first.get(group.image_name, group.image_name)) for group in method.groups)
    return replace(method, groups=tuple(groups))


def _by_picture(values: _GroupValues) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each source picture, the sum over its groups and their number."""
    own: dict[str, list[float]] = defaultdict(list)
    for (image_name, _), value in values.items():
        own[image_name].append(value)
    return np.array([math.fsum(v) for v in own.values()]), np.array([float(len(v)) for v in own.values()])


def _num_pictures(values: _GroupValues) -> int:
    return len({image_name for image_name, _ in values})


def _effective_pictures(values: _GroupValues) -> float:
    _, counts = _by_picture(values)
    return float(effective_number(counts)) if len(counts) else 0.0


def _mean(values: _GroupValues, empty: float) -> float:
    return math.fsum(values.values()) / len(values) if values else empty


def _deviation(runs: Sequence[MethodScores], metric: str, groups: Collection[_GroupKey]) -> float | None:
    """Standard deviation of the runs' means over the same groups."""
    if len(runs) < 2 or not groups:
        return None
    return float(np.std([np.mean([g.mean[metric] for g in run.groups if _key(g) in groups]) for run in runs], ddof=1))
