"""Intervals and tests of a mean over groups, which resample whole source pictures. Arrays only, no scores.

Patches cut from one source picture resemble each other: treating them as independent would give intervals that are too
narrow and p-values that are too small. All functions take, for each source picture, the sum over its groups; intervals
also take the number of its groups.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
NUM_RESAMPLES = 10_000
# With fewer source pictures, no quantile of the bootstrap means is far enough out.
FEWEST_RESAMPLED = 5
# Up to this many source pictures all 2^n sign flips are tried, at most 4096.
_MOST_EXACT = 12
_BLOCK = 1_000
_Floats = NDArray[np.float64]


def effective_number(counts: _Floats) -> _Floats:
    """How many source pictures with equally many groups would be as informative, if a picture's groups were all alike.

    `counts`, (..., P), are the numbers of groups; the result is (...).

    Source: Kish, Survey Sampling (1965).

    Example:
        >>> effective_number(np.array([[4.0, 4.0, 4.0], [10.0, 1.0, 1.0]])).round(2).tolist()
        [3.0, 1.41]
    """
    return np.asarray(counts.sum(axis=-1) ** 2 / (counts**2).sum(axis=-1))


def mean_interval(
    sums: _Floats, counts: _Floats, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[_Floats, _Floats]:
    """Both ends of the 95 % interval of a mean over groups, each of shape (...); needs two source pictures.

    `sums` and `counts`, both (..., P), are the sum over each source picture's groups and their number. From five source
    pictures on these are expanded percentiles of `bootstrap_means`: plain ones are too narrow for few pictures, as they
    use the normal instead of the t distribution and a variance that is divided by P instead of P - 1. With fewer
    pictures it is the t interval with a standard error by source picture; its degrees of freedom follow from the
    effective number of pictures, but are at least 1.

    Source: Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69(4), 2015 (expanded
    percentiles); Cameron and Miller, A Practitioner's Guide to Cluster-Robust Inference, Journal of Human Resources
    50(2), 2015 (standard error); Carter, Schnepel and Steigerwald, Asymptotic Behavior of a t Test Robust to Cluster
    Heterogeneity, Review of Economics and Statistics 99(4), 2017 (effective number).
    """
    num = sums.shape[-1]
    if num >= FEWEST_RESAMPLED:
        far_out = math.sqrt(num / (num - 1)) * float(t_quantile(np.array(num - 1.0)))
        level = math.erfc(far_out / math.sqrt(2)) / 2
        low, high = np.quantile(bootstrap_means(sums, counts, num_resamples, seed), [level, 1 - level], axis=0)
        return low, high
    total = counts.sum(axis=-1)
    mean = sums.sum(axis=-1) / total
    residuals = sums - mean[..., None] * counts
    error = np.sqrt(num / (num - 1) * (residuals**2).sum(axis=-1)) / total
    reach = error * t_quantile(np.maximum(effective_number(counts), 2) - 1)
    return mean - reach, mean + reach


def t_quantile(freedom: _Floats) -> _Floats:
    """The value that Student's t exceeds with a probability of 2.5 %, for 1 or more degrees of freedom; same shape.

    With the angle a = atan(t / sqrt(freedom)), the density is proportional to cos(a) ^ (freedom - 1); its integral is
    inverted by bisection. Importing scipy.special would take longer than a comparison.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    whole = [math.exp(math.lgamma(f / 2) - math.lgamma((f + 1) / 2)) * math.sqrt(math.pi) for f in freedom.flat]
    wanted = np.array(whole).reshape(freedom.shape) * CONFIDENCE / 2
    low, high = np.zeros_like(wanted), np.full_like(wanted, math.pi / 2)
    for _ in range(60):
        angle = (low + high) / 2
        heights = np.cos(angle[..., None] * (nodes + 1) / 2) ** (freedom[..., None] - 1)
        is_below = heights @ weights * angle / 2 < wanted
        low, high = np.where(is_below, angle, low), np.where(is_below, high, angle)
    return np.asarray(np.sqrt(freedom) * np.tan(low))


def bootstrap_means(sums: _Floats, counts: _Floats, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> _Floats:
    """Means over groups, (num_resamples, ...), of as many source pictures as there are, drawn with replacement.

    `sums` and `counts` are those of `mean_interval`; all their rows see the same draws.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    num = sums.shape[-1]
    rng = np.random.default_rng(seed)
    chances = np.full(num, 1 / num)
    of_picture, number = np.moveaxis(sums, -1, 0), np.moveaxis(counts, -1, 0)  # (P, ...)
    return np.concatenate(
        [
            np.tensordot(drawn, of_picture, 1) / np.tensordot(drawn, number, 1)
            for drawn in _in_blocks(num_resamples, lambda n: rng.multinomial(num, chances, size=n).astype(np.float64))
        ]
    )


def sign_flip_p_value(sums: _Floats, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> float:
    """Two-sided p-value of paired differences: how often random signs give a mean at least as far from 0.

    `sums`, (P,), is the sum of each source picture's differences. If two methods are equally good, either could have
    had the other's scores, so the differences of one source picture may change sign together. With up to 12 source
    pictures all signs are tried, and the value is exact.
    """
    observed = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()  # another order of summation differs in the last bits
    if len(sums) <= _MOST_EXACT:
        bits = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float((np.abs((1 - 2 * bits) @ sums) >= observed).mean())
    rng = np.random.default_rng(seed)
    as_far = 0
    for signs in _in_blocks(num_resamples, lambda n: rng.choice(np.array([-1.0, 1.0]), (n, len(sums)))):
        as_far += int((np.abs(signs @ sums) >= observed).sum())
    return (as_far + 1) / (num_resamples + 1)  # the observed signs are one of the draws


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction, in the order given.

    Example:
        >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    so_far = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = so_far
    return corrected


def _in_blocks(total: int, draw: Callable[[int], _Floats]) -> Iterator[_Floats]:
    """Draw a thousand at a time: with 10,000 source pictures, all draws at once would take a gigabyte."""
    for start in range(0, total, _BLOCK):
        yield draw(min(_BLOCK, total - start))
