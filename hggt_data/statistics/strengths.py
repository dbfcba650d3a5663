"""Strengths of versions from votes on pairs, in numpy: Bradley-Terry with ties, and SRIQA-Bench's MOS. No I/O.

Both maximise a strictly concave function by Newton's method, so that each result is unique. Counts may be fractions, as
from aggregated shares. Arrays of another form raise ValueError.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hggt_data.statistics.choice_model import TOLERANCE, FloatArray, Trials, fit_choices

_MOST_STEPS = 200
# On a pair. With many more, the prior of a version that won all is lost to rounding, so all counts are scaled down.
_MOST_VOTES = 1e9
# Scores that differ by less are equal.
_ROUNDING = 1e-9
# SRIQA-Bench takes the logarithm of no smaller probability.
_SMALLEST_PROBABILITY = 1e-6

_erfc = np.frompyfunc(math.erfc, 1, 1)


class PairCounts(NamedTuple):
    """How the votes on each pair of versions went: float64 (versions, versions), `[i, j]` for i shown first (left).

    Attributes:
        first: votes that preferred i, the version shown first.
        second: votes that preferred j, the version shown second.
        ties: votes for neither.
    """

    first: FloatArray
    second: FloatArray
    ties: FloatArray

    @classmethod
    def of_wins(cls, wins: FloatArray, ties: FloatArray | None = None) -> "PairCounts":
        """Counts whose order is unknown: `wins[i, j]` votes preferred i to j; `ties` counts each tie once."""
        return cls(wins, np.zeros_like(wins), np.zeros_like(wins) if ties is None else ties)

    @property
    def wins(self) -> FloatArray:
        """Votes that preferred i to j, in either order."""
        return self.first + self.second.T

    @property
    def tied(self) -> FloatArray:
        """Ties of i and j, in either order; symmetric."""
        return self.ties + self.ties.T

    @property
    def votes(self) -> FloatArray:
        """Votes on i and j, in either order; symmetric."""
        return self.wins + self.wins.T + self.tied


class Strengths(NamedTuple):
    """Strengths of versions by the model of Bradley, Terry and Davidson.

    Attributes:
        values: (versions,) log odds; they sum to 0, in each part of `parts`. NaN for a version without votes.
        tie: Davidson's parameter: two equal versions tie with the odds `tie` to 2; 0 without ties.
        side: log odds that the first of two equal versions is preferred to the second; 0 if not estimated.
        won_all: indices of versions that won every vote on them.
        won_nothing: indices of versions that lost every vote on them.
        separated: whether some versions won every vote against all others. The votes then only bound how much stronger
            they are, and the prior decides.
        parts: indices of the versions in each part that votes connect, one part in a complete comparison. Votes do not
            compare strengths of different parts.
    """

    values: FloatArray
    tie: float
    side: float
    won_all: tuple[int, ...]
    won_nothing: tuple[int, ...]
    separated: bool
    parts: tuple[tuple[int, ...], ...]


def pair_strengths(counts: PairCounts, side_effect: bool = False) -> Strengths:
    """Bradley-Terry strengths with ties: how much each version is preferred, in log odds.

    Versions i and j of strengths s_i and s_j are preferred in the ratio exp(s_i) : exp(s_j), and tie in the ratio
    tie * exp((s_i + s_j) / 2) to these. Without ties, i is thus preferred with probability 1 / (1 + exp(s_j - s_i)).
    Each strength, `side` and the logarithm of `tie` have a normal prior of mean 0 and standard deviation 10. It keeps
    them finite if a version won all or nothing.

    Args:
        counts: the votes.
        side_effect: whether to estimate how much the version shown first is favoured; each pair of versions should
            have been shown in both orders.

    Example:
        >>> import numpy as np
        >>> found = pair_strengths(PairCounts.of_wins(np.array([[0.0, 60], [20, 0]]), np.array([[0.0, 20], [0, 0]])))
        >>> found.values.round(2).tolist(), round(found.tie, 2)
        ([0.55, -0.55], 0.58)

    Source: Davidson, On Extending the Bradley-Terry Model to Accommodate Ties in Paired Comparison Experiments, 1970,
    https://doi.org/10.1080/01621459.1970.10481082; the side effect: Davidson and Beaver, On Extending the Bradley-Terry
    Model to Incorporate Within-Pair Order Effects, 1977, https://doi.org/10.2307/2529467. The prior is ours, and so is
    a side effect that moves both versions by half, which changes `tie` only.
    """
    counts = _require_counts(counts)
    judged = counts.votes.sum(axis=1) > 0
    with_ties = bool(counts.ties.any())
    design, votes = _outcomes(counts)
    if not with_ties:
        design, votes = design[:, :2], votes[:, :2]
    estimated = np.append(judged, [with_ties, side_effect and len(votes) > 0])
    trials = Trials(design[:, :, estimated], np.ones(votes.shape, dtype=bool))
    parameters = np.zeros(len(estimated))
    parameters[estimated] = fit_choices(trials, votes[None])[0]
    *values, log_tie, side = parameters
    return Strengths(
        np.where(judged, values, np.nan),
        math.exp(log_tie) if with_ties else 0.0,
        float(side),
        *find_separation((counts.wins + counts.tied) > 0, judged),
    )


class ThurstoneScores(NamedTuple):
    """SRIQA-Bench's scores of the versions of one content, (versions,); NaN for a version without votes.

    Attributes:
        values: scores in standard deviations of the difference of two versions; they sum to 0.
        mos: the same, scaled so that the worst version has 0 and the best 100; NaN if all are equal. Not comparable
            between contents.
    """

    values: FloatArray
    mos: FloatArray


def thurstone_scores(counts: PairCounts) -> ThurstoneScores:
    """The mean opinion scores of SRIQA-Bench: Thurstone's model, case V, in which a tie is a vote for both versions.

    With C_ij votes that prefer i to j, the scores S maximise the sum of C_ij log Phi(S_i - S_j) minus half the sum of
    S_i squared.

    Example:
        >>> import numpy as np
        >>> thurstone_scores(PairCounts.of_wins(np.array([[0.0, 9, 10], [1, 0, 8], [0, 2, 0]]))).mos.round(1).tolist()
        [100.0, 40.2, 0.0]

    Source: Chen et al., Toward Generalized Image Quality Assessment, CVPR 2025, and its released labels. Its code takes
    log Phi of nothing below 1e-6; here, too, votes against a difference that large do not count.
    """
    counts = _require_counts(counts)
    judged = counts.votes.sum(axis=1) > 0
    votes = (counts.wins + counts.tied)[np.ix_(judged, judged)]
    found = _maximise_thurstone(votes)
    while (ignored := (votes > 0) & (_log_phi(_differences(found)) < math.log(_SMALLEST_PROBABILITY))).any():
        votes = np.where(ignored, 0, votes)
        found = _maximise_thurstone(votes)
    values = np.full(len(judged), np.nan)
    values[judged] = found
    spread = np.ptp(found) if found.size else 0.0
    lowest = found.min(initial=np.inf)
    return ThurstoneScores(
        values, 100 * (values - lowest) / spread if spread > _ROUNDING else np.full_like(values, np.nan)
    )


def _maximise_thurstone(votes: FloatArray) -> FloatArray:
    def log_posterior(scores: FloatArray) -> _Value:
        d = _differences(scores)
        logs = _log_phi(d)
        ratio = np.exp(-d * d / 2 - logs) / math.sqrt(2 * math.pi)  # the derivative of log Phi
        pull = votes * ratio
        bend = votes * ratio * (d + ratio)
        bend = bend + bend.T
        curvature = np.diag(bend.sum(axis=1)) - bend
        gradient = pull.sum(axis=1) - pull.sum(axis=0)
        value = float((votes * logs).sum()) - float(scores @ scores) / 2
        return _Value(value, gradient - scores, curvature + np.eye(len(scores)))

    return _maximise(log_posterior, len(votes))


def _differences(scores: FloatArray) -> FloatArray:
    return scores[:, None] - scores[None, :]


def _log_phi(x: FloatArray) -> FloatArray:
    """The logarithm of the standard normal distribution function; below -37, where it underflows, that of -37."""
    return np.log(np.asarray(_erfc(-np.maximum(x, -37) / math.sqrt(2)), dtype=np.float64) / 2)


class _Value(NamedTuple):
    """A function's value, its gradient and its negative matrix of second derivatives."""

    value: float
    gradient: FloatArray
    curvature: FloatArray


def _maximise(function: Callable[[FloatArray], _Value], size: int) -> FloatArray:
    """The maximum of a strictly concave function of `size` parameters, by Newton's method with halved steps."""
    at = np.zeros(size)
    here = function(at)
    for _ in range(_MOST_STEPS):
        step = np.linalg.solve(here.curvature, here.gradient)
        there = function(at + step)
        while there.value < here.value - 1e-12 * abs(here.value) and np.abs(step).max() > TOLERANCE:
            step = step / 2
            there = function(at + step)
        at, here = at + step, there
        if np.abs(step).max(initial=0) <= TOLERANCE:
            return at
    raise ArithmeticError(f"no maximum found in {_MOST_STEPS} steps")


class Separation(NamedTuple):
    """Where votes only bound strengths, or do not compare them; the attributes of `Strengths` of the same names."""

    won_all: tuple[int, ...]
    won_nothing: tuple[int, ...]
    separated: bool
    parts: tuple[tuple[int, ...], ...]


def find_separation(not_lost: npt.NDArray[np.bool_], judged: npt.NDArray[np.bool_]) -> Separation:
    """The separation of votes.

    Args:
        not_lost: (versions, versions) `[i, j]`: i was preferred to j at least once, chosen where j was shown, or tied.
        judged: (versions,) whether there are votes on a version.
    """
    won_all, won_nothing = (
        tuple(np.flatnonzero(judged & ~lost.any(axis=axis)).tolist()) for lost, axis in ((not_lost, 0), (not_lost, 1))
    )
    connected = _reachable(not_lost | not_lost.T)
    parts = sorted({tuple(np.flatnonzero(row).tolist()) for row in connected[judged]})
    # Ford's condition: finite strengths need a chain of votes from each version to each other one.
    separated = bool((connected & ~_reachable(not_lost))[judged].any())
    return Separation(won_all, won_nothing, separated, tuple(parts))


def find_comparable(not_lost: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(versions, versions) whether chains of votes lead from i to j and back, so that their difference is finite."""
    reached = _reachable(not_lost)
    return reached & reached.T


def _reachable(edges: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(versions, versions) whether a chain of edges leads from i to j; from each version to itself."""
    reached = edges | np.eye(len(edges), dtype=bool)
    for k in range(len(reached)):
        reached |= reached[:, k, None] & reached[k]
    return reached


def _require_counts(counts: PairCounts) -> PairCounts:
    arrays = PairCounts(*(np.asarray(array, dtype=np.float64) for array in counts))
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1 or arrays.first.ndim != 2 or arrays.first.shape[0] != arrays.first.shape[1]:
        raise ValueError(f"counts have shapes {sorted(shapes)}; expected three arrays (versions, versions)")
    if not all((np.isfinite(array) & (array >= 0)).all() for array in arrays):
        raise ValueError("counts contain a negative, infinite or undefined number")
    if any(array.diagonal().any() for array in arrays):
        raise ValueError("counts contain votes on a version against itself")
    too_many = max(array.max(initial=0) for array in arrays) / _MOST_VOTES
    return PairCounts(*(array / too_many for array in arrays)) if too_many > 1 else arrays


def _outcomes(counts: PairCounts) -> tuple[FloatArray, FloatArray]:
    """How strengths, `log(tie)` and `side` add up for each outcome; and its votes, (pairs, 3).

    The first is (pairs, 3, versions + 2); the outcomes are first, second, tie.
    """
    votes = np.stack(counts, axis=-1)
    i, j = np.nonzero(votes.sum(axis=-1))
    pair = np.arange(len(i))
    outcomes = np.zeros((len(i), 3, len(votes) + 2))
    outcomes[pair, 0, i] = outcomes[pair, 1, j] = 1
    outcomes[pair, 2, i] = outcomes[pair, 2, j] = 0.5
    outcomes[:, 2, -2] = 1
    outcomes[:, 0, -1], outcomes[:, 1, -1] = 0.5, -0.5
    return outcomes, votes[i, j]
