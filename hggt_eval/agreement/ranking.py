"""How often each metric agrees with people, with intervals and tests by source picture. No I/O.

Pairs that people judged, pairs inferred from labels, and votes under different questions are ranked apart.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hggt_data.schema import ORIGINAL
from hggt_eval.agreement.answers import Answers
from hggt_eval.agreement.measures import kendall_tau_b, spearman
from hggt_eval.agreement.pairs import Content, Evidence, Pair
from hggt_eval.scores.resampling import holm, mean_interval, sign_flip_p_value

CHANCE = "chance"
ALWAYS_ORIGINAL = "always the original"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A mean over pairs, with its 95 % interval by source picture.

    Attributes:
        value: The mean; NaN without pairs.
        low: Lower end; None with fewer than two source pictures.
        high: Upper end; None likewise.
        pairs: Number of pairs.
        pictures: Source pictures of these pairs.
    """

    value: float
    low: float | None
    high: float | None
    pairs: int
    pictures: int


@dataclass(frozen=True, slots=True)
class Correlation:
    """Rank correlations within each content, averaged.

    Attributes:
        spearman: Mean of Spearman's coefficients; NaN without contents.
        kendall: Mean of Kendall's tau-b.
        groups: Contents that count. If the metric's own scores are all equal there, both are 0.
        left_out: Contents in which people's values are all equal, or fewer than two are known.
    """

    spearman: float
    kendall: float
    groups: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Row:
    """How one metric agrees with people.

    Attributes:
        name: Name of the metric, `CHANCE` or `ALWAYS_ORIGINAL`.
        direction: `higher` or `lower` is better; `pairs` for verdicts on pairs; None for the two that are no metric.
        accuracy: Share of people who agree with it, over all pairs that it answers and that are not human ties; equal
            scores earn half.
        ties: Human ties among the pairs that it answers.
        equal: Other pairs on which its scores are equal.
        by_kind: Kind -> its accuracy on these pairs.
        ceiling: What a person earns on the same pairs; NaN if unknown.
        correlation: Rank correlations within contents.
        p_chance: p of the hypothesis that it is as good as chance; None with fewer than two source pictures.
        p_chance_holm: The same, corrected for the number of metrics.
        difference: Accuracy minus that of the best metric, on pairs that both answer; None for the best itself.
        p: p of no difference.
        p_holm: The same, corrected for the number of metrics.
    """

    name: str
    direction: str | None
    accuracy: Accuracy
    ties: int
    equal: int
    by_kind: dict[str, Accuracy]
    ceiling: float
    correlation: Correlation
    p_chance: float | None = None
    p_chance_holm: float | None = None
    difference: Accuracy | None = None
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """All metrics on pairs of one sort, the best first; then chance and, if it applies, always the original.

    Attributes:
        evidence: Whether people judged the pairs, or labels imply the answers.
        question: What was asked; None for labels or if unknown.
        rows: One per metric that answers any of the pairs.
        pictures: Source pictures of the pairs.
    """

    evidence: Evidence
    question: str | None
    rows: tuple[Row, ...]
    pictures: int

    @property
    def metrics(self) -> list[Row]:
        """The rows of metrics."""
        return [row for row in self.rows if row.direction is not None]


@dataclass(frozen=True, slots=True)
class _Answered:
    """Pairs that are not human ties, with what a metric earns on each."""

    pairs: list[Pair]
    credits: list[float]
    ties: int
    equal: int

    def by_pair(self) -> dict[Pair, float]:
        return dict(zip(self.pairs, self.credits, strict=True))


def rank_metrics(pairs: Sequence[Pair], contents: Sequence[Content], answers: Sequence[Answers]) -> list[Ranking]:
    """One ranking for each evidence and question that has pairs, judged ones first."""
    sorts: dict[tuple[Evidence, str | None], list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: pair.evidence != "judged"):
        sorts[pair.evidence, pair.question].append(pair)
    return [
        _rank(
            evidence, question, own, [c for c in contents if (c.evidence, c.question) == (evidence, question)], answers
        )
        for (evidence, question), own in sorts.items()
    ]


def _rank(
    evidence: Evidence,
    question: str | None,
    pairs: Sequence[Pair],
    contents: Sequence[Content],
    answers: Sequence[Answers],
) -> Ranking:
    answered = {one.name: _answer(pairs, one.preference) for one in answers}
    answered = {name: found for name, found in answered.items() if found.pairs}
    rows = {
        one.name: _row(one.name, _direction(one), answered[one.name], pairs, one.preference, correlate(one, contents))
        for one in answers
        if one.name in answered
    }
    names = sorted(rows, key=lambda name: -rows[name].accuracy.value)
    tested = _with_tests([rows[name] for name in names], answered)
    plain: list[tuple[str, Callable[[Pair], float | None]]] = [(CHANCE, lambda _: 0.5)]
    if any(pair.has_original for pair in pairs):
        plain.append((ALWAYS_ORIGINAL, _prefer_original))
    nothing = Correlation(math.nan, math.nan, 0, 0)
    others = [_row(name, None, _answer(pairs, prefer), pairs, prefer, nothing) for name, prefer in plain]
    return Ranking(evidence, question, (*tested, *others), len({pair.picture for pair in pairs}))


def _direction(answers: Answers) -> str:
    return "pairs" if answers.higher_is_better is None else "higher" if answers.higher_is_better else "lower"


def _prefer_original(pair: Pair) -> float:
    return 0.0 if pair.second == ORIGINAL else 1.0 if pair.first == ORIGINAL else 0.5


def _answer(pairs: Iterable[Pair], prefer: Callable[[Pair], float | None]) -> _Answered:
    found = _Answered([], [], 0, 0)
    ties = equal = 0
    for pair in pairs:
        preference = prefer(pair)
        if preference is None:
            continue
        if pair.is_tie:
            ties += 1
            continue
        equal += preference == 0.5
        found.pairs.append(pair)
        found.credits.append(preference * pair.share + (1 - preference) * (1 - pair.share))
    return _Answered(found.pairs, found.credits, ties, equal)


def _row(
    name: str,
    direction: str | None,
    found: _Answered,
    pairs: Sequence[Pair],
    prefer: Callable[[Pair], float | None],
    correlation: Correlation,
) -> Row:
    kinds: dict[str, list[int]] = defaultdict(list)
    for index, pair in enumerate(found.pairs):
        kinds[pair.kind].append(index)
    ceilings = [pair.ceiling for pair in pairs if not math.isnan(pair.ceiling) and prefer(pair) is not None]
    return Row(
        name=name,
        direction=direction,
        accuracy=mean_by_picture(found.pairs, found.credits),
        ties=found.ties,
        equal=found.equal,
        by_kind={
            kind: mean_by_picture([found.pairs[k] for k in own], [found.credits[k] for k in own])
            for kind, own in sorted(kinds.items())
        },
        ceiling=math.fsum(ceilings) / len(ceilings) if ceilings else math.nan,
        correlation=correlation,
    )


def mean_by_picture(pairs: Sequence[Pair], values: Sequence[float], bounds: tuple[float, float] = (0, 1)) -> Accuracy:
    """The mean of the pairs' values, with an interval by source picture that is cut at the bounds."""
    sums, counts = _by_picture(pairs, values)
    mean = math.fsum(values) / len(values) if values else math.nan
    if len(sums) < 2:
        return Accuracy(mean, None, None, len(values), len(sums))
    low, high = (float(end) for end in mean_interval(sums, counts))
    return Accuracy(mean, max(low, bounds[0]), min(high, bounds[1]), len(values), len(sums))


def _by_picture(pairs: Sequence[Pair], values: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    own: dict[str, list[float]] = defaultdict(list)
    for pair, value in zip(pairs, values, strict=True):
        own[pair.picture].append(value)
    return np.array([math.fsum(v) for v in own.values()]), np.array([float(len(v)) for v in own.values()])


def _p_value(pairs: Sequence[Pair], values: Sequence[float]) -> float | None:
    sums, _ = _by_picture(pairs, values)
    return sign_flip_p_value(sums) if len(sums) > 1 else None


def _with_tests(rows: Sequence[Row], answered: dict[str, _Answered]) -> list[Row]:
    """The rows, best first, with p-values against chance and against the best."""
    against_chance = _corrected(
        {row.name: _p_value(answered[row.name].pairs, [c - 0.5 for c in answered[row.name].credits]) for row in rows}
    )
    best = answered[rows[0].name].by_pair() if rows else {}
    differences = {
        row.name: {pair: own - best[pair] for pair, own in answered[row.name].by_pair().items() if pair in best}
        for row in rows[1:]
    }
    against_best = _corrected({name: _p_value(list(own), list(own.values())) for name, own in differences.items()})
    tested = []
    for row in rows:
        p_chance, p_chance_holm = against_chance[row.name]
        p, p_holm = against_best.get(row.name, (None, None))
        own = differences.get(row.name)
        difference = mean_by_picture(list(own), list(own.values()), (-1, 1)) if own else None
        tested.append(
            replace(row, p_chance=p_chance, p_chance_holm=p_chance_holm, difference=difference, p=p, p_holm=p_holm)
        )
    return tested


def _corrected(p_values: dict[str, float | None]) -> dict[str, tuple[float | None, float | None]]:
    """Name -> p and p by Holm."""
    known = {name: p for name, p in p_values.items() if p is not None}
    by_holm = dict(zip(known, holm(list(known.values())), strict=True))
    return {name: (p, by_holm.get(name)) for name, p in p_values.items()}


def correlate(answers: Answers, contents: Iterable[Content]) -> Correlation:
    """Rank correlations of a metric's scores with people's values in each content, averaged; positive is agreement.

    Verdicts on pairs have no correlations.
    """
    found: list[tuple[float, float]] = []
    left_out = 0
    for content in () if answers.higher_is_better is None else contents:
        rated = {name: answers.quality(content.group, name) for name in content.values}
        both = [(own, content.values[name]) for name, own in rated.items() if own is not None]
        if len({value for _, value in both}) < 2:
            left_out += 1
            continue
        scores, values = np.array(both).T
        # Equal scores say nothing about the order.
        found.append((0.0, 0.0) if len(set(scores)) < 2 else (spearman(scores, values), kendall_tau_b(scores, values)))
    if not found:
        return Correlation(math.nan, math.nan, 0, left_out)
    means = np.mean(found, axis=0)
    return Correlation(float(means[0]), float(means[1]), len(found), left_out)
