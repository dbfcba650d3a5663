"""The analysis of one question of a study: strengths, win rates and their differences, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hggt_data.statistics.numbers import ratio
from hggt_data.statistics.strengths import PairCounts, Separation, thurstone_scores
from hggt_eval.scores.resampling import holm
from hggt_eval.study.bootstrap import NUM_RESAMPLES, Crossed, draw_counts, find_scale, intervals, p_values
from hggt_eval.study.model import Model, make_model
from hggt_eval.study.people import Consistency, find_consistency
from hggt_eval.study.variance import Components, find_components
from hggt_eval.study.votes import FloatArray, StudyVotes


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; NaN if undefined, and both ends are NaN if there is no interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MethodResult:
    """How one method fared.

    Attributes:
        name: The method.
        strength: Log odds; they sum to 0.
        win_rate: Share of its votes that it won, ties as half; of choices, the share in which it was chosen.
        wins: Votes that preferred it.
        ties: Ties.
        votes: All votes on it.
        thurstone: Thurstone's scale (case V), in standard deviations of a difference; None for choices.
    """

    name: str
    strength: Estimate
    win_rate: Estimate
    wins: float
    ties: float
    votes: float
    thurstone: float | None


@dataclass(frozen=True, slots=True)
class PairResult:
    """How often one method was preferred to another where they were compared in a pair.

    Attributes:
        first: A method.
        second: Another.
        win_rate: Share of votes that preferred the first, ties as half.
        wins: Votes for the first.
        losses: Votes for the second.
        ties: Votes for neither.
    """

    first: str
    second: str
    win_rate: Estimate
    wins: float
    losses: float
    ties: float

    @property
    def votes(self) -> float:
        """All votes."""
        return self.wins + self.losses + self.ties


@dataclass(frozen=True, slots=True)
class Difference:
    """A method's strength minus that of the baseline.

    Attributes:
        method: The method.
        baseline: The method it is compared with.
        strength: Difference in log odds.
        p: Two-sided, from the bootstrap; None if there is none.
        p_holm: The same, corrected for all methods by Holm.
    """

    method: str
    baseline: str
    strength: Estimate
    p: float | None
    p_holm: float | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """The results under one question.

    Attributes:
        votes: The votes.
        methods: One entry per method.
        pairs: Each two methods that were compared in a pair, in both directions; empty for choices.
        baseline: The method that the others are compared with.
        differences: One entry for each other method.
        tie: Davidson's tie parameter; 0 without ties.
        side: Log odds by which the version shown first is preferred to an equal one; None if it is not estimated.
        separation: Indices of methods, see `Strengths`.
        consistency: How often people agree.
        components: Variance between pictures and people; None if it cannot be estimated.
        num_resamples: Draws of the bootstrap.
    """

    votes: StudyVotes
    methods: tuple[MethodResult, ...]
    pairs: tuple[PairResult, ...]
    baseline: str
    differences: tuple[Difference, ...]
    tie: float
    side: Estimate | None
    separation: Separation
    consistency: Consistency
    components: Components | None
    num_resamples: int

    @property
    def tie_share(self) -> float:
        """The share of votes that are ties."""
        return ratio(sum(method.ties for method in self.methods) / 2, self.votes.num_votes)

    def pair(self, first: str, second: str) -> PairResult | None:
        """How often `first` was preferred to `second`."""
        return next((pair for pair in self.pairs if (pair.first, pair.second) == (first, second)), None)

    def method(self, name: str) -> MethodResult:
        """The result of a method."""
        return next(method for method in self.methods if method.name == name)

    def difference(self, method: str) -> Difference | None:
        """Its difference from the baseline; None for the baseline."""
        return next((one for one in self.differences if one.method == method), None)


def analyse(
    votes: StudyVotes,
    baseline: str | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    *,
    with_p: bool = True,
) -> Analysis:
    """Analyse the votes under one question; there must be some.

    Args:
        votes: The votes.
        baseline: Method that the others are compared with.  [default: the weakest]
        num_resamples: Draws of the bootstrap.
        seed: Random seed of the bootstrap.
        with_p: Whether differences have p values.
    """
    model = make_model(votes)
    counts = model.count(votes.weight)
    parameters = model.fit(counts[None])[0]
    num = len(votes.methods)
    strengths = parameters[:num]
    base = int(np.argmin(strengths)) if baseline is None else votes.methods.index(baseline)
    pairs = _compared_pairs(model, counts)
    contrasts = _Contrasts(model, num, base, pairs)
    crossed = Crossed(votes.picture, votes.person if (votes.num_people or 0) > 1 else None)
    blocks = []
    for drawn in draw_counts(crossed, model.cell, votes.weight, model.num_cells, num_resamples, seed):
        blocks.append(contrasts.values(drawn, model.fit(drawn, parameters, 1e-5)))
    draws = np.concatenate(blocks)
    values = contrasts.values(counts[None], parameters[None])[0]
    scale = find_scale(contrasts.influence(counts, parameters, votes.weight), crossed)
    low, high = intervals(values, draws, scale) if votes.num_pictures > 1 else np.full((2, len(values)), np.nan)
    low, high = contrasts.within_range(low, high)
    parts, separation, comparable = contrasts.parts, model.separation(counts), model.comparable(counts)
    only_bounded = np.zeros(len(values), dtype=bool)  # finite because of the prior alone
    judged = [k for part in separation.parts for k in part]
    only_bounded[:num] = not comparable[np.ix_(judged, judged)].all()
    only_bounded[parts["difference"]] = ~comparable[base]
    low[only_bounded] = high[only_bounded] = np.nan
    found = [Estimate(*map(float, numbers)) for numbers in zip(values, low, high, strict=True)]
    others = [k for k in range(num) if k != base]
    connected = next((part for part in separation.parts if base in part), ())
    tested = [k for k in others if k in connected] if with_p and votes.num_pictures > 1 else []
    of_method: dict[int, tuple[float, float]] = {}
    if tested:
        p = p_values(values, draws, scale, np.isfinite(low))[parts["difference"]][tested].tolist()
        of_method = dict(zip(tested, zip(p, holm(p), strict=True), strict=True))
    differences = tuple(
        Difference(
            votes.methods[k], votes.methods[base], found[parts["difference"]][k], *of_method.get(k, (None, None))
        )
        for k in others
    )
    wins, ties = _wins_and_ties(model, counts)
    against = np.einsum("c,cij->ij", counts, np.floor(model.won_against))
    tied = np.einsum("c,cij->ij", counts, (model.won_against == 0.5).astype(float))
    on = counts @ model.compared
    thurstone = _thurstone(votes, against + tied / 2)
    return Analysis(
        votes=votes,
        methods=tuple(
            MethodResult(name, found[k], found[num + k], wins[k], ties[k], float(on[k]), thurstone[k])
            for k, name in enumerate(votes.methods)
        ),
        pairs=tuple(
            PairResult(
                votes.methods[i], votes.methods[j], estimate, *map(float, (against[i, j], against[j, i], tied[i, j]))
            )
            for (i, j), estimate in zip(pairs, found[parts["pairs"]], strict=True)
        ),
        baseline=votes.methods[base],
        differences=differences,
        tie=float(np.exp(parameters[num])) if model.with_ties else 0.0,
        side=found[-1] if model.with_side else None,
        separation=separation,
        consistency=find_consistency(votes, model),
        components=find_components(votes, model),
        num_resamples=num_resamples,
    )


class _Contrasts:
    """The statistics: strengths, win rates, differences from the baseline, win rates in pairs, and the side effect."""

    def __init__(self, model: Model, num: int, base: int, pairs: Sequence[tuple[int, int]]) -> None:
        self._model, self._num, self._base = model, num, base
        i, j = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        in_pair = model.won_against[:, i, j] + model.won_against[:, j, i]
        self._won = np.concatenate([model.won, model.won_against[:, i, j]], axis=1)  # (cells, rates)
        self._on = np.concatenate([model.compared, in_pair], axis=1)
        self.parts = {
            "difference": slice(2 * num, 3 * num),
            "pairs": slice(3 * num, 3 * num + len(pairs)),
        }

    def values(self, counts: FloatArray, parameters: FloatArray) -> FloatArray:
        """(sets, statistics) from counts (sets, cells) and parameters (sets, parameters)."""
        on = counts @ self._on
        rates = np.divide(counts @ self._won, on, out=np.full_like(on, np.nan), where=on > 0)
        return self._arrange(parameters, rates)

    def within_range(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Ends of intervals, (statistics,), those of win rates from 0 to 1."""
        is_rate = np.zeros(len(low), dtype=bool)
        is_rate[self._num : 2 * self._num] = is_rate[self.parts["pairs"]] = True
        return np.where(is_rate, np.maximum(low, 0), low), np.where(is_rate, np.minimum(high, 1), high)

    def influence(self, counts: FloatArray, parameters: FloatArray, weight: FloatArray) -> FloatArray:
        """(votes, statistics)."""
        on = counts @ self._on
        rates = counts @ self._won / on
        moved = (self._won - rates * self._on)[self._model.cell] * weight[:, None] / on
        return self._arrange(self._model.influence(parameters, weight), moved)

    def _arrange(self, parameters: FloatArray, rates: FloatArray) -> FloatArray:
        strengths = parameters[:, : self._num]
        differences = strengths - strengths[:, self._base, None]
        side = parameters[:, -1:] if self._model.with_side else parameters[:, :0]
        return np.concatenate([strengths, rates[:, : self._num], differences, rates[:, self._num :], side], axis=1)


def _compared_pairs(model: Model, counts: FloatArray) -> list[tuple[int, int]]:
    """Each two methods that were compared in a pair, in both directions."""
    compared = np.einsum("c,cij->ij", counts, model.won_against + model.won_against.swapaxes(1, 2)) > 0
    both = [(i, j) for i, j in combinations(range(len(compared)), 2) if compared[i, j]]
    return [*both, *((j, i) for i, j in both)]


def _wins_and_ties(model: Model, counts: FloatArray) -> tuple[list[float], list[float]]:
    won = np.floor(model.won)
    return (counts @ won).tolist(), (counts @ (2 * (model.won - won))).tolist()


def _thurstone(votes: StudyVotes, wins: FloatArray) -> list[float | None]:
    if votes.design == "best-of":
        return [None] * len(votes.methods)
    return list(thurstone_scores(PairCounts.of_wins(wins)).values.tolist())
