"""How often each metric agrees with people, with intervals and tests by source picture. No I/O.

Pairs that people judged, pairs inferred from labels, and votes under different questions are ranked apart.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hggt_data.schema import ORIGINAL
from hggt_eval.agreement.answers import Answers
from hggt_eval.agreement.calibration import calibrated_answers
from hggt_eval.agreement.measures import kendall_tau_b, spearman
from hggt_eval.agreement.pairs import Content, Evidence, Pair
from hggt_eval.scores.resampling import holm, mean_interval, sign_flip_p_value

CHANCE = "chance"
ALWAYS_ORIGINAL = "always the original"
# 1 if the first version of a pair is better, 0 if the second, 0.5 if they are equal; None without an answer.
_Preference = Callable[[Pair], float | None]
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A mean over pairs, with its 95 % interval by source picture.

    Attributes:
        value: The mean; NaN without pairs.
        low: Lower end; None with fewer than two source pictures, or if all have the same mean, as that is no certainty.
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


_NO_CORRELATION = Correlation(math.nan, math.nan, 0, 0)


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
        calibrated: Accuracy with human ties, see `calibration`; None unless asked for, or without ties.
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
    calibrated: Accuracy | None = None
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
    """What a metric earns on each pair that is not a human tie; how many human ties and equal scores; the ceiling."""

    earned: dict[Pair, float]
    ties: int
    equal: int
    ceiling: float

    def by_kind(self) -> dict[str, dict[Pair, float]]:
        """The same for each kind of pair."""
        kinds: dict[str, dict[Pair, float]] = defaultdict(dict)
        for pair, value in self.earned.items():
            kinds[pair.kind][pair] = value
        return dict(sorted(kinds.items()))


def rank_metrics(
    pairs: Sequence[Pair], contents: Sequence[Content], answers: Sequence[Answers], *, calibrate: bool = False
) -> list[Ranking]:
    """One ranking for each evidence and question that has pairs, judged ones first."""
    sorts: dict[tuple[Evidence, str | None], list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: pair.evidence != "judged"):
        sorts[pair.evidence, pair.question].append(pair)
    of_sort: dict[tuple[Evidence, str | None], list[Content]] = defaultdict(list)
    for content in contents:
        of_sort[content.evidence, content.question].append(content)
    return [_rank(*sort, own, of_sort[sort], answers, calibrate) for sort, own in sorts.items()]


def _rank(
    evidence: Evidence,
    question: str | None,
    pairs: Sequence[Pair],
    contents: Sequence[Content],
    answers: Sequence[Answers],
    calibrate: bool,
) -> Ranking:
    metrics = {one.name: one for one in answers}
    plain: dict[str, _Preference] = {CHANCE: lambda _: 0.5}
    if any(pair.has_original for pair in pairs):
        plain[ALWAYS_ORIGINAL] = _prefer_original
    answered = {one.name: _answer(pairs, one.preference) for one in answers}
    best_first = sorted(
        (name for name, found in answered.items() if found.earned),
        key=lambda name: -math.fsum(answered[name].earned.values()) / len(answered[name].earned),
    )
    answered |= {name: _answer(pairs, prefer) for name, prefer in plain.items()}
    differences = {name: _difference(answered[name], answered[best_first[0]]) for name in best_first[1:]}
    asked = {(name, ""): answered[name].earned for name in (*best_first, *plain)}
    asked |= {(name, kind): own for name, _ in asked for kind, own in answered[name].by_kind().items()}
    means = means_by_picture(asked, 0.0)
    mean_differences = means_by_picture({name: own for name, own in differences.items() if own}, -1.0)
    calibrated = {name: calibrated_answers(_margins(metrics[name], pairs)) for name in best_first if calibrate}
    mean_calibrated = means_by_picture({name: own for name, own in calibrated.items() if own}, 0.0)
    against_chance = _p_values({n: {p: e - 0.5 for p, e in answered[n].earned.items()} for n in best_first})
    against_best = _p_values(differences)
    rows = []
    for name in (*best_first, *plain):
        own = metrics.get(name)
        p_chance, p_chance_holm = against_chance.get(name, (None, None))
        p, p_holm = against_best.get(name, (None, None))
        row = Row(
            name=name,
            direction=None if own is None else _direction(own),
            accuracy=means[name, ""],
            ties=answered[name].ties,
            equal=answered[name].equal,
            by_kind={kind: means[name, kind] for kind in answered[name].by_kind()},
            ceiling=answered[name].ceiling,
            correlation=_NO_CORRELATION if own is None else correlate(own, contents),
            calibrated=mean_calibrated.get(name),
            p_chance=p_chance,
            p_chance_holm=p_chance_holm,
            difference=mean_differences.get(name),
            p=p,
            p_holm=p_holm,
        )
        rows.append(row)
    return Ranking(evidence, question, tuple(rows), len({pair.picture for pair in pairs}))


def _margins(answers: Answers, pairs: Iterable[Pair]) -> dict[Pair, float]:
    return {pair: margin for pair in pairs if (margin := answers.margin(pair)) is not None}


def _direction(answers: Answers) -> str:
    return "pairs" if answers.higher_is_better is None else "higher" if answers.higher_is_better else "lower"


def _prefer_original(pair: Pair) -> float:
    return 0.0 if pair.second == ORIGINAL else 1.0 if pair.first == ORIGINAL else 0.5


def _answer(pairs: Iterable[Pair], prefer: _Preference) -> _Answered:
    """What a metric earns; a pair occurs once."""
    earned: dict[Pair, float] = {}
    ceilings = []
    ties = equal = 0
    for pair in pairs:
        if (preference := prefer(pair)) is None:
            continue
        if not math.isnan(pair.ceiling):
            ceilings.append(pair.ceiling)
        if pair.is_tie:
            ties += 1
        else:
            equal += preference == 0.5
            earned[pair] = preference * pair.share + (1 - preference) * (1 - pair.share)
    return _Answered(earned, ties, equal, math.fsum(ceilings) / len(ceilings) if ceilings else math.nan)


def _difference(own: _Answered, best: _Answered) -> dict[Pair, float]:
    return {pair: earned - best.earned[pair] for pair, earned in own.earned.items() if pair in best.earned}


def means_by_picture(asked: Mapping[_Key, Mapping[Pair, float]], lowest: float) -> dict[_Key, Accuracy]:
    """Means over pairs, with intervals by source picture that are cut off at `lowest` and 1.

    Intervals over the same source pictures are computed together, as drawing takes most of the time.
    """
    tables = {key: _by_picture(values) for key, values in asked.items()}
    of_pictures: dict[tuple[str, ...], list[_Key]] = defaultdict(list)
    for key, (pictures, _, _) in tables.items():
        of_pictures[pictures].append(key)
    found = {}
    for pictures, keys in of_pictures.items():
        sums, counts = (np.stack([tables[key][k] for key in keys]) for k in (1, 2))
        ends = [(None, None)] * len(keys)
        if len(pictures) > 1:
            ends = np.clip(mean_interval(sums, counts), lowest, 1).T.tolist()
        for key, (low, high) in zip(keys, ends, strict=True):
            if low is not None and math.isclose(low, high):
                low = high = None
            mean = math.fsum(asked[key].values()) / len(asked[key])
            found[key] = Accuracy(mean, low, high, len(asked[key]), len(pictures))
    return found


def _by_picture(
    values: Mapping[Pair, float],
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Source pictures, the sum over the pairs of each, and their number."""
    own: dict[str, list[float]] = defaultdict(list)
    for pair, value in values.items():
        own[pair.picture].append(value)
    pictures = tuple(sorted(own))
    sums, counts = ([size(own[name]) for name in pictures] for size in (math.fsum, len))
    return pictures, np.array(sums), np.array(counts, np.float64)


def _p_values(differences: Mapping[str, Mapping[Pair, float]]) -> dict[str, tuple[float, float]]:
    """Name -> p of a mean of 0, and p by Holm; without names that have fewer than two source pictures."""
    sums = {name: _by_picture(values)[1] for name, values in differences.items()}
    p_values = {name: sign_flip_p_value(own) for name, own in sums.items() if len(own) > 1}
    return dict(zip(p_values, zip(p_values.values(), holm(list(p_values.values())), strict=True), strict=True))


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
