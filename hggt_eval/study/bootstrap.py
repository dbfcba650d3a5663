"""The crossed bootstrap: source pictures and people are drawn independently, and a vote weighs the product.

A vote belongs to a picture and to a person, and neither is a fixed list: the interval should say what other pictures
and other people would give. Product weights overstate the variance, as the noise of single votes counts three times
where it should count once. Quantiles are therefore taken at the level at which the interval has the width of the
two-way cluster-robust variance, with the quantile of the t distribution.

Source: Owen and Eckles, Bootstrapping Data Arrays of Arbitrary Order, 2012, https://doi.org/10.1214/12-AOAS547; the
variance: Cameron, Gelbach and Miller, Robust Inference with Multiway Clustering, 2011,
https://doi.org/10.1198/jbes.2010.07136.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hggt_eval.study.votes import BoolArray, FloatArray, IntArray

NUM_RESAMPLES = 10_000
_BLOCK = 250
# Quantiles further out than this many draws are extrapolated by the normal distribution.
_FEWEST_BEYOND = 10


class Crossed(NamedTuple):
    """The picture and the person of each vote, (votes,). `person` is None if people are not drawn."""

    picture: IntArray
    person: IntArray | None


def draw_counts(
    crossed: Crossed, cell: IntArray, weight: FloatArray, num_cells: int, num_resamples: int, seed: int
) -> Iterator[FloatArray]:
    """The votes in each cell, (block, cells), for pictures and people drawn with replacement; block by block."""
    rng = np.random.default_rng(seed)
    # Votes of one person on one picture in one cell have the same weight in every draw.
    person = np.zeros_like(crossed.picture) if crossed.person is None else crossed.person
    rows, place = np.unique(np.stack([cell, crossed.picture, person]), axis=1, return_inverse=True)
    size = np.bincount(place.reshape(-1), weight)
    cells, starts = np.unique(rows[0], return_index=True)
    _, picture = np.unique(rows[1], return_inverse=True)
    _, person = np.unique(rows[2], return_inverse=True)
    for start in range(0, num_resamples, _BLOCK):
        block = min(_BLOCK, num_resamples - start)
        drawn = _multinomial(rng, picture.max() + 1, block)[:, picture] * size
        if crossed.person is not None:
            drawn *= _multinomial(rng, person.max() + 1, block)[:, person]
        counts = np.zeros((block, num_cells))
        counts[:, cells] = np.add.reduceat(drawn, starts, axis=1)
        yield counts


def _multinomial(rng: np.random.Generator, number: int, size: int) -> FloatArray:
    return rng.multinomial(number, np.full(number, 1 / number), size=size).astype(np.float64)


class Scale(NamedTuple):
    """How bootstrap quantiles become intervals, for each statistic, (statistics,).

    Attributes:
        error: Standard error by the two-way cluster-robust variance.
        ratio: The same, divided by the standard error of product weights, to first order.
        freedom: Degrees of freedom of the t distribution.
    """

    error: FloatArray
    ratio: FloatArray
    freedom: FloatArray


def find_scale(influence: FloatArray, crossed: Crossed) -> Scale:
    """The scale of statistics whose votes have this influence, (votes, statistics)."""
    by_picture, num_pictures = _sum_squares(influence, crossed.picture)
    corrected = by_picture * num_pictures / max(num_pictures - 1, 1)
    if crossed.person is None:
        freedom = np.full(influence.shape[1], max(num_pictures - 1.0, 1.0))
        return Scale(np.sqrt(corrected), np.sqrt(_ratio(corrected, by_picture)), freedom)
    by_person, num_people = _sum_squares(influence, crossed.person)
    corrected_person = by_person * num_people / max(num_people - 1, 1)
    both = crossed.picture * (crossed.person.max(initial=0) + 1) + crossed.person
    by_both, num_both = _sum_squares(influence, both)
    variance = corrected + corrected_person - by_both * num_both / max(num_both - 1, 1)
    variance = np.maximum(variance, np.maximum(corrected, corrected_person))
    spread = corrected**2 / max(num_pictures - 1, 1) + corrected_person**2 / max(num_people - 1, 1)
    freedom = np.maximum(_ratio(variance**2, spread), 1)
    return Scale(np.sqrt(variance), np.sqrt(_ratio(variance, by_picture + by_person + by_both)), freedom)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.ones_like(part), where=whole > 0)


def _sum_squares(influence: FloatArray, cluster: IntArray) -> tuple[FloatArray, int]:
    """The sum of squares of each cluster's sum, (statistics,), and the number of clusters."""
    order = np.argsort(cluster, kind="stable")
    names, starts = np.unique(cluster[order], return_index=True)
    if not len(names):
        return np.zeros(influence.shape[1]), 0
    return (np.add.reduceat(influence[order], starts, axis=0) ** 2).sum(axis=0), len(names)


def intervals(estimate: FloatArray, draws: FloatArray, scale: Scale) -> tuple[FloatArray, FloatArray]:
    """Both ends of the 95 % intervals, each (statistics,), from draws (resamples, statistics) without NaN."""
    from scipy.special import ndtr, stdtrit

    far_out = scale.ratio * stdtrit(scale.freedom, 0.975)
    low, high = np.full((2, len(estimate)), np.nan)
    for k, (value, own) in enumerate(zip(estimate, draws.T, strict=True)):
        own = own[np.isfinite(own)]
        level = ndtr(-far_out[k])
        # Draws that are all equal, as of a method that won all its votes, would look like certainty.
        if len(own) < 2 or not np.isfinite(value) or np.ptp(own) == 0:
            continue
        if level * len(own) < _FEWEST_BEYOND:
            reach = far_out[k] * own.std()
            low[k], high[k] = value - reach, value + reach
        else:
            low[k], high[k] = np.quantile(own, [level, 1 - level])
    return low, high


def p_values(estimate: FloatArray, draws: FloatArray, scale: Scale, has_interval: BoolArray) -> FloatArray:
    """Two-sided p of the hypothesis that each statistic is 0, (statistics,): 0.05 where its 95 % interval ends at 0."""
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    number = np.isfinite(draws).sum(axis=0)
    below = ((draws < 0) + 0.5 * (draws == 0)).sum(axis=0)
    tail = (np.minimum(below, number - below) + 1) / (number + 1)
    p = 2 * stdtr(scale.freedom, ndtri(np.minimum(tail, 0.5)) / scale.ratio)
    # Where too few draws are beyond the ends of an interval, it was extrapolated, and p is that of its t distribution.
    few = has_interval & (ndtr(-scale.ratio * stdtrit(scale.freedom, 0.975)) * number < _FEWEST_BEYOND)
    reach = scale.ratio[few] * np.nanstd(draws[:, few], axis=0)
    p[few] = 2 * stdtr(scale.freedom[few], -np.abs(estimate[few]) / reach)
    return np.asarray(np.minimum(p, 1.0))
