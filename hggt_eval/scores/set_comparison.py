"""KID and FID of methods, with intervals by source picture and differences from a baseline.

Leaving out one source picture at a time gives each one's pseudo-value of the distance (jackknife); their interval is
that of a mean over source pictures. A paired difference of KID is tested like that of any other metric: by exchanging
the two methods' images of one source picture.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hggt_eval.metrics import SetMetric
from hggt_eval.scores.picture_sets import SetDistance, SetDistances
from hggt_eval.scores.resampling import effective_number, holm, mean_interval, sign_flip_p_value
from hggt_eval.scores.summary import Difference, Summary

_Floats = NDArray[np.float64]
_Runs = Mapping[str, Sequence[str]]


def summarise_sets(
    distances: SetDistances, metric: SetMetric, runs: _Runs, num_resamples: int, seed: int
) -> list[Summary]:
    """The summaries of all methods, given as names without seeds -> names with seeds."""
    groups = {base: _shared(distances, metric, names) for base, names in runs.items()}
    num_known = len(set().union(*groups.values()))
    return [
        _summarise(distances, metric, base, names, groups[base], num_known, num_resamples, seed)
        for base, names in runs.items()
    ]


def _summarise(
    distances: SetDistances,
    metric: SetMetric,
    base: str,
    names: Sequence[str],
    groups: Sequence[str],
    num_known: int,
    num_resamples: int,
    seed: int,
) -> Summary:
    if not groups:
        return Summary(base, metric.name, math.nan, None, None, 0, 0, 0.0, 0, num_known, len(names), None)
    own = [distances.of(metric, name, groups) for name in names]
    value, low, high = _mean_with_interval(own, num_resamples, seed)
    return Summary(
        method=base,
        metric=metric.name,
        mean=value,
        low=low,
        high=high,
        num_groups=len(groups),
        num_pictures=own[0].num_sources,
        effective_pictures=float(effective_number(own[0].by_source)),
        num_missing=num_known - len(groups),
        num_seeds=len(names),
        deviation=float(np.std([one.value for one in own], ddof=1)) if len(own) > 1 else None,
        num_patches=own[0].num_patches,
    )


def compare_sets(
    distances: SetDistances, metric: SetMetric, runs: _Runs, baseline: str, num_resamples: int, seed: int
) -> Iterator[Difference]:
    """The difference of every other method from the baseline, both on the groups that both have."""
    found: list[Difference] = []
    for base, names in runs.items():
        if base == baseline:
            continue
        known = frozenset(_shared(distances, metric, names))
        groups = [group for group in _shared(distances, metric, runs[baseline]) if group in known]
        own, others = (
            [distances.of(metric, name, groups) for name in of] if groups else [] for of in (names, runs[baseline])
        )
        value, low, high = _mean_with_interval(own, num_resamples, seed, others) if groups else (math.nan, None, None)
        p_value = None
        if groups and metric.distance == "kid" and own[0].num_sources > 1 and len(names) == len(runs[baseline]) == 1:
            sums = distances.exchanges(metric, names[0], runs[baseline][0], groups)
            p_value = sign_flip_p_value(sums, num_resamples, seed)
        found.append(
            Difference(
                method=base,
                baseline=baseline,
                metric=metric.name,
                mean=value,
                low=low,
                high=high,
                p_value=p_value,
                p_holm=None,
                num_groups=len(groups),
                num_pictures=own[0].num_sources if own else 0,
                effective_pictures=float(effective_number(own[0].by_source)) if own else 0.0,
            )
        )
    corrected = iter(holm([one.p_value for one in found if one.p_value is not None]))
    for one in found:
        yield one if one.p_value is None else replace(one, p_holm=next(corrected))


def _shared(distances: SetDistances, metric: SetMetric, names: Sequence[str]) -> list[str]:
    """The groups that all seeds have."""
    first, *others = (distances.groups_of(metric, name) for name in names)
    return [group for group in first if all(group in other for other in others)]


def _mean_with_interval(
    own: Sequence[SetDistance], num_resamples: int, seed: int, others: Sequence[SetDistance] = ()
) -> tuple[float, float | None, float | None]:
    """The mean of distances, minus that of others, with its 95 % interval; none unless it exists without any part."""
    value = _mean([one.value for one in own]) - _mean([one.value for one in others])
    without = np.asarray(_mean([one.without for one in own]) - _mean([one.without for one in others]))
    num = without.size
    if num < 2 or not np.isfinite(without).all():
        return float(value), None, None
    deviations = (num - 1) * (without.mean() - without)
    low, high = mean_interval(deviations, np.ones(num), num_resamples, seed)
    return float(value), float(value + low), float(value + high)


def _mean(values: Sequence[Any]) -> Any:
    return sum(values) / len(values) if values else 0.0
