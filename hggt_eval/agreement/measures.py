"""Measures of agreement between people, and between people and a metric: arrays and counts only."""

import math

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
# Others' majority is an opinion only if there are two others.
_FEWEST_VOTES = 3
# A curve of four parameters through fewer levels says nothing; labels have three.
_FEWEST_LEVELS = 5


def leave_one_out(first: int, second: int, ties: int) -> float:
    """What a person earns on a pair on average, if each vote is compared with the majority of the others.

    A vote that agrees earns 1. A vote for a tie, or others without a majority, earns half. Votes whose others mostly
    say that the versions are equal do not count, as human ties do not count for metrics. Votes that are tossed earn a
    half on average.

    Args:
        first: Number of votes for the first version.
        second: Number of votes for the second version.
        ties: Number of votes for neither.

    Returns:
        A share between 0 and 1; NaN with fewer than three votes, or if no vote counts.

    Example:
        >>> leave_one_out(3, 0, 0), round(leave_one_out(2, 1, 0), 3)
        (1.0, 0.333)
    """
    counts = np.array([first, second, ties])
    if counts.sum() < _FEWEST_VOTES:
        return math.nan
    earned, counted = 0.0, 0
    for answer in np.nonzero(counts)[0].tolist():
        others = counts.copy()
        others[answer] -= 1
        top = np.nonzero(others == others.max())[0].tolist()
        if top == [2]:
            continue
        earned += counts[answer] * (0.5 if len(top) > 1 or answer == 2 else float(top == [answer]))
        counted += int(counts[answer])
    return float(earned / counted) if counted else math.nan


def chance_of_agreement(for_first: float, number: float) -> float:
    """The probability that two of `number` people agree, `for_first` of whom prefer the first version.

    It is an unbiased estimate of what a person earns whose credit is the share of people who agree; NaN for one vote.

    Example:
        >>> chance_of_agreement(3, 4)
        0.5
    """
    if number < 2:
        return math.nan
    against = number - for_first
    return (for_first * (for_first - 1) + against * (against - 1)) / (number * (number - 1))


def kendall_tau_b(x: _Floats, y: _Floats) -> float:
    """Kendall's rank correlation with ties, of two arrays (n,); NaN if one of them is constant.

    Source: Kendall, The Treatment of Ties in Ranking Problems, Biometrika 33(3), 1945.

    Example:
        >>> round(kendall_tau_b(np.array([1.0, 2, 3]), np.array([1.0, 1, 2])), 4)
        0.8165
    """
    i, j = np.triu_indices(len(x), 1)
    signs_x, signs_y = _signs(x[i], x[j]), _signs(y[i], y[j])
    size = math.sqrt(float(np.abs(signs_x).sum()) * float(np.abs(signs_y).sum()))
    return float((signs_x * signs_y).sum()) / size if size else math.nan


def spearman(x: _Floats, y: _Floats) -> float:
    """Spearman's rank correlation of two arrays (n,), where equal values share their mean rank; NaN if one is constant.

    Example:
        >>> round(spearman(np.array([1.0, 2, 3]), np.array([1.0, 1, 2])), 4)
        0.866
    """
    centred = [ranks - ranks.mean() for ranks in (_ranks(x), _ranks(y))]
    size = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / size if size else math.nan


def logistic_pearson(scores: _Floats, values: _Floats) -> float:
    """Pearson's correlation of `values` with a 4-parameter logistic of `scores`, fitted by least squares; both (n,).

    The curve is b2 + (b1 - b2) / (1 + exp(-(x - b3) / b4)). NaN with fewer than five different values or scores, with
    infinite scores, or if the fit does not converge.

    Source: VQEG, Final Report on the Validation of Objective Models of Video Quality Assessment, Phase I (2000).

    Example:
        >>> x = np.linspace(0, 10, 30)
        >>> round(logistic_pearson(x, 1 / (1 + np.exp(-3 * (x - 5)))), 4)
        1.0
    """
    if min(len(np.unique(scores)), len(np.unique(values))) < _FEWEST_LEVELS or not np.isfinite(scores).all():
        return math.nan
    from scipy.optimize import least_squares
    from scipy.special import expit

    x = (scores - scores.mean()) / scores.std()

    def curve(parameters: _Floats) -> _Floats:
        top, bottom, middle, width = parameters
        return np.asarray(bottom + (top - bottom) * expit((x - middle) / width))

    start = (values.max(), values.min(), 0.0, 1.0)
    fit = least_squares(lambda parameters: curve(parameters) - values, start, method="lm", max_nfev=20_000)
    mapped = curve(fit.x)
    return float(np.corrcoef(mapped, values)[0, 1]) if fit.success and np.ptp(mapped) else math.nan


def _signs(one: _Floats, other: _Floats) -> _Floats:
    """1, 0 or -1; a difference of infinite scores would be NaN."""
    return (one > other).astype(np.float64) - (one < other)


def _ranks(values: _Floats) -> _Floats:
    return np.asarray(_signs(values[:, None], values[None, :]).sum(axis=1) / 2)
