"""How often each metric agrees with people, with intervals and tests by source picture. No I/O.

Pairs that people judged, pairs inferred from labels, pairs by opinion scores, and votes under different questions are
ranked apart; so are pairs with and without the original, which many metrics cannot answer.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hggt_data.schema import ORIGINAL
from hggt_eval.agreement.answers import Answers
from hggt_eval.agreement.calibration import calibrated_answers
from hggt_eval.agreement.correlations import NO_CORRELATION, Correlation, Pooled, correlate, pool, share_a_scale
from hggt_eval.agreement.means import Accuracy, Floats, Keys, means_by_picture, p_values
from hggt_eval.agreement.pairs import Content, Evidence, Pair

CHANCE = "chance"
ALWAYS_ORIGINAL = "always the original"
_RESCALED = (
    "These scores were rescaled within each content (all contents have the same extremes or mean), so they cannot be "
    "compared between contents, and nothing is pooled."
)


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
        by_family: Family of the versions -> its accuracy on these pairs; empty unless requested.
        pooled: Correlations over all contents together; None unless people gave scores on one scale.
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
    by_family: dict[str, Accuracy]
    pooled: Pooled | None = None
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
        evidence: Whether people judged the pairs, or labels or scores imply the answers.
        question: What was asked; None for labels or if unknown.
        original: Whether pairs with the original are left out (`without`) or not (`with`); None if this question has
            only pairs of one of the two kinds.
        rows: One per metric that answers any of the pairs; `with` has only metrics that rate the original.
        pictures: Source pictures of the pairs.
        note: What was not computed, and why; may be empty.
    """

    evidence: Evidence
    question: str | None
    original: Literal["with", "without"] | None
    rows: tuple[Row, ...]
    pictures: int
    note: str = ""

    @property
    def metrics(self) -> list[Row]:
        """The rows of metrics."""
        return [row for row in self.rows if row.direction is not None]


class _Sort(NamedTuple):
    """What is ranked together, and whether contents share a scale so that their scores can be pooled."""

    evidence: Evidence
    question: str | None
    original: Literal["with", "without"] | None
    is_pooled: bool


def rank_metrics(
    pairs: Sequence[Pair],
    contents: Sequence[Content],
    answers: Sequence[Answers],
    *,
    calibrate: bool = False,
    family: Callable[[Pair], str] | None = None,
) -> list[Ranking]:
    """One ranking for each evidence and question that has pairs: judged, inferred, then scored ones.

    Where only some of the pairs have the original, there are two, without and with it.
    """
    sorts: dict[tuple[Evidence, str | None], list[Pair]] = defaultdict(list)
    order: tuple[Evidence, ...] = ("judged", "inferred", "scored")
    for pair in sorted(pairs, key=lambda pair: order.index(pair.evidence)):
        sorts[pair.evidence, pair.question].append(pair)
    found = []
    for (evidence, question), own in sorts.items():
        of_sort = [one for one in contents if (one.evidence, one.question) == (evidence, question)]
        sort = _Sort(evidence, question, None, evidence == "scored" and share_a_scale(of_sort))
        without = [pair for pair in own if not pair.has_original]
        if len(without) in (0, len(own)):
            found.append(_rank(sort, own, of_sort, answers, calibrate, family))
            continue
        candidates = [replace(one, values=_without_original(one.values)) for one in of_sort]
        found.append(_rank(sort._replace(original="without"), without, candidates, answers, calibrate, family))
        with_it = [pair for pair in own if pair.has_original]
        rates_it = [one for one in answers if any(one.margin(pair) is not None for pair in with_it)]
        found.append(_rank(sort._replace(original="with"), own, of_sort, rates_it, calibrate, family))
    return found


def _without_original(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name != ORIGINAL}


@dataclass(frozen=True, slots=True)
class _Answered:
    """What a metric earns on each pair, NaN for human ties and pairs without an answer.

    Also how many human ties and equal scores there are among its answers, and the ceiling.
    """

    earned: Floats
    ties: int
    equal: int
    ceiling: float


def _rank(
    sort: _Sort,
    pairs: Sequence[Pair],
    contents: Sequence[Content],
    answers: Sequence[Answers],
    calibrate: bool,
    family: Callable[[Pair], str] | None,
) -> Ranking:
    pictures = Keys.of(pair.picture for pair in pairs)
    kinds = Keys.of(pair.kind for pair in pairs)
    families = None if family is None else Keys.of(map(family, pairs))
    metrics = {one.name: one for one in answers}
    margins = {one.name: _margins(one, pairs) for one in answers}
    answered = {name: _answer(pairs, own) for name, own in margins.items()}
    best_first = sorted(
        (name for name, own in answered.items() if not np.isnan(own.earned).all()),
        key=lambda name: -float(np.nanmean(answered[name].earned)),
    )
    plain = {CHANCE: np.zeros(len(pairs))}
    if any(pair.has_original for pair in pairs):
        plain[ALWAYS_ORIGINAL] = np.array([_towards_original(pair) for pair in pairs])
    answered |= {name: _answer(pairs, own) for name, own in plain.items()}
    names = (*best_first, *plain)
    parts = [("kind", kinds), *([] if families is None else [("family", families)])]
    asked = {(name, "", ""): answered[name].earned for name in names}
    for name in names:
        for what, keys in parts:
            asked |= {(name, what, key): own for key, own in keys.divide(answered[name].earned).items()}
    means = means_by_picture(asked, pictures, 0.0)
    differences = {name: answered[name].earned - answered[best_first[0]].earned for name in best_first[1:]}
    mean_differences = means_by_picture(differences, pictures, -1.0)
    calibrated = {name: calibrated_answers(margins[name], pairs, pictures) for name in best_first if calibrate}
    mean_calibrated = means_by_picture(calibrated, pictures, 0.0)
    against_chance = p_values({name: answered[name].earned - 0.5 for name in best_first}, pictures)
    against_best = p_values(differences, pictures)
    rows = []
    for name in names:
        one = metrics.get(name)
        p_chance, p_chance_holm = against_chance.get(name, (None, None))
        p, p_holm = against_best.get(name, (None, None))
        row = Row(
            name=name,
            direction=None if one is None else _direction(one),
            accuracy=means[name, "", ""],
            ties=answered[name].ties,
            equal=answered[name].equal,
            by_kind=_of_part(means, name, "kind"),
            ceiling=answered[name].ceiling,
            correlation=NO_CORRELATION if one is None else correlate(one, contents),
            by_family=_of_part(means, name, "family"),
            pooled=pool(one, contents) if one is not None and sort.is_pooled else None,
            calibrated=mean_calibrated.get(name),
            p_chance=p_chance,
            p_chance_holm=p_chance_holm,
            difference=mean_differences.get(name),
            p=p,
            p_holm=p_holm,
        )
        rows.append(row)
    note = _RESCALED if sort.evidence == "scored" and len(contents) > 1 and not sort.is_pooled else ""
    return Ranking(sort.evidence, sort.question, sort.original, tuple(rows), len(pictures.names), note)


def _of_part(means: Mapping[tuple[str, str, str], Accuracy], name: str, what: str) -> dict[str, Accuracy]:
    return {key: mean for (own, part, key), mean in means.items() if (own, part) == (name, what)}


def _direction(answers: Answers) -> str:
    return "pairs" if answers.higher_is_better is None else "higher" if answers.higher_is_better else "lower"


def _margins(answers: Answers, pairs: Sequence[Pair]) -> Floats:
    """How much better the metric finds the first version of each pair, NaN without an answer."""
    return np.array([math.nan if (margin := answers.margin(pair)) is None else margin for pair in pairs])


def _towards_original(pair: Pair) -> float:
    return -1.0 if pair.second == ORIGINAL else 1.0 if pair.first == ORIGINAL else 0.0


def _answer(pairs: Sequence[Pair], margins: Floats) -> _Answered:
    """What a metric earns: the share of people who prefer the same version, and half for equal scores."""
    shares, ceilings = (np.array([getattr(pair, name) for pair in pairs]) for name in ("share", "ceiling"))
    is_tie: NDArray[np.bool_] = np.array([pair.is_tie for pair in pairs])
    preferred = (np.sign(margins) + 1) / 2
    is_answered = ~np.isnan(preferred)
    earned = np.where(is_tie, math.nan, preferred * shares + (1 - preferred) * (1 - shares))
    known = ceilings[is_answered & ~np.isnan(ceilings)]
    return _Answered(
        earned,
        int((is_answered & is_tie).sum()),
        int(((margins == 0) & ~is_tie).sum()),
        float(known.mean()) if len(known) else math.nan,
    )
