"""Pairs of versions of which people say which is better: judged, inferred from labels, or by opinion scores. No I/O.

A candidate's label judges it against the original. Two candidates with different labels were never compared with each
other; that a Positive is better than a Negative is inferred. Opinion scores rate each version alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from hggt_data.schema import ORIGINAL, Label, PairVote, PatchGroup, Score
from hggt_data.statistics.pair_votes import count_pairs, versions_of
from hggt_data.statistics.strengths import pair_strengths
from hggt_eval.agreement.measures import chance_of_agreement, leave_one_out

Evidence = Literal["judged", "inferred", "scored"]
_ORDER = (Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE)
# A label that fewer people gave is not a majority, whatever rule the layout has.
_FEWEST_VOTES = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions of a group, and what people think of them.

    Attributes:
        group: Id of the group.
        picture: Its source picture.
        first: A candidate.
        second: Another candidate, or `original`.
        share: Share of people with whom a metric agrees that prefers the first: 1 or 0 for a majority, 0.5 for a human
            tie, and a share for votes of which only the share is known.
        kind: `positive-similar`, ...; `votes` or `votes-original` for votes on pairs, `scores` or `scores-original`.
        evidence: Whether people judged the pair, or labels or opinion scores imply the answer.
        question: What was asked, for votes on pairs and scores.
        is_tie: Whether people think that the versions are equal, or had no majority.
        is_share: Whether only the share of votes is known.
        ceiling: What a person earns on the pair if judged by the others; NaN if that is unknown.
    """

    group: str
    picture: str
    first: str
    second: str
    share: float
    kind: str
    evidence: Evidence
    question: str | None = None
    is_tie: bool = False
    is_share: bool = False
    ceiling: float = math.nan

    @property
    def has_original(self) -> bool:
        """Whether one of the versions is the original."""
        return ORIGINAL in (self.first, self.second)


@dataclass(frozen=True, slots=True)
class Content:
    """What people think of all versions of a group on one scale, for rank correlations.

    Attributes:
        group: Id of the group.
        picture: Its source picture.
        evidence: As for `Pair`.
        question: As for `Pair`.
        values: Version -> 1, 0, -1 for its label, its strength in votes on pairs, or its mean opinion score.
    """

    group: str
    picture: str
    evidence: Evidence
    question: str | None
    values: dict[str, float]


def list_pairs(group: PatchGroup, picture: str) -> list[Pair]:
    """All pairs of a group, which was cut from the source picture `picture`.

    Labels count only if two or more people gave them and the layout's rule found a majority.

    Example:
        >>> from hggt_data import Label
        >>> from hggt_data.consensus import judge_group
        >>> from hggt_data.schema import Annotation
        >>> votes = [Annotation(slot, (Label.POSITIVE, Label.NEGATIVE)) for slot in "ABC"]
        >>> for pair in list_pairs(judge_group("cat-0-0", ("01", "02"), votes), "cat"):
        ...     print(pair.first, pair.second, pair.share, pair.kind, pair.evidence)
        01 original 1.0 positive-original judged
        02 original 0.0 negative-original judged
        01 02 1.0 positive-negative inferred
    """
    return [
        *_judged_by_labels(group, picture),
        *_inferred_from_labels(group, picture),
        *(pair for question, votes in _by_question(group) for pair in _voted(group, picture, question, votes)),
        *(pair for question, means in _mean_scores(group).items() for pair in _scored(group, picture, question, means)),
    ]


def list_contents(group: PatchGroup, picture: str) -> list[Content]:
    """The group's candidates by label, and its versions by strength and by opinion score under each question.

    Versions that votes do not connect have no common scale; their group is left out.
    """
    found = []
    if labels := _majorities(group):
        values_of_labels = {name: _value(label) for name, label in labels.items()}
        found.append(Content(group.id, picture, "inferred", None, values_of_labels))
    for question, votes in _by_question(group):
        strengths = pair_strengths(count_pairs(votes, group.candidates))
        values = zip(versions_of(group.candidates), strengths.values.tolist(), strict=True)
        if len(strengths.parts) == 1:
            known = {name: value for name, value in values if not math.isnan(value)}
            found.append(Content(group.id, picture, "judged", question, known))
    found += [Content(group.id, picture, "scored", question, means) for question, means in _mean_scores(group).items()]
    return found


def _value(label: Label) -> float:
    return 1.0 - _ORDER.index(label)


def _majorities(group: PatchGroup) -> dict[str, Label]:
    """Candidate -> label, for labels that two or more people gave."""
    judged = zip(group.candidates, group.consensus, group.agreement, strict=True)
    return {name: label for name, label, agreement in judged if label is not None and agreement >= _FEWEST_VOTES}


def _judged_by_labels(group: PatchGroup, picture: str) -> Iterator[Pair]:
    for name, label in _majorities(group).items():
        index = group.candidates.index(name)
        votes = [annotation.labels[index] for annotation in group.annotations if annotation.counts]
        yield Pair(
            group.id,
            picture,
            name,
            ORIGINAL,
            share=(_value(label) + 1) / 2,
            kind=f"{label.class_name}-original",
            evidence="judged",
            is_tie=label is Label.SIMILAR,
            ceiling=leave_one_out(*(votes.count(one) for one in (Label.POSITIVE, Label.NEGATIVE, Label.SIMILAR))),
        )


def _inferred_from_labels(group: PatchGroup, picture: str) -> Iterator[Pair]:
    for pair in combinations(_majorities(group).items(), 2):
        (better, upper), (worse, lower) = sorted(pair, key=lambda item: _ORDER.index(item[1]))
        if upper is not lower:
            kind = f"{upper.class_name}-{lower.class_name}"
            yield Pair(group.id, picture, better, worse, share=1.0, kind=kind, evidence="inferred")


def _by_question(group: PatchGroup) -> Iterator[tuple[str | None, list[PairVote]]]:
    """People's votes on pairs; those under different questions are different measurements."""
    votes = [vote for vote in group.pairs if vote.counts]
    for question in dict.fromkeys(vote.question for vote in votes):
        yield question, [vote for vote in votes if vote.question == question]


def _voted(group: PatchGroup, picture: str, question: str | None, votes: Sequence[PairVote]) -> Iterator[Pair]:
    counts = count_pairs(votes, group.candidates)
    names = versions_of(group.candidates)
    in_shares = {frozenset((vote.first, vote.second)) for vote in votes if vote.preferred is None}
    for i, j in zip(*(axis.tolist() for axis in np.nonzero(np.triu(counts.votes))), strict=True):
        first, second, ties = float(counts.wins[i, j]), float(counts.wins[j, i]), float(counts.tied[i, j])
        number = first + second + ties
        is_share = frozenset((names[i], names[j])) in in_shares
        if is_share:
            share, is_tie = (first + ties / 2) / number, False
            ceiling = chance_of_agreement(number * share, number)
        else:
            is_tie = max(first, second) <= max(min(first, second), ties)
            share = 0.5 if is_tie else float(first > second)
            ceiling = leave_one_out(round(first), round(second), round(ties))
        kind = "votes-original" if names[j] == ORIGINAL else "votes"
        yield Pair(group.id, picture, names[i], names[j], share, kind, "judged", question, is_tie, is_share, ceiling)


def _mean_scores(group: PatchGroup) -> dict[str | None, dict[str, float]]:
    """Question -> version -> mean of people's opinion scores, of which higher is better."""
    scores: dict[str | None, dict[str, list[Score]]] = {}
    for score in group.scores:
        if score.counts:
            scores.setdefault(score.question, {}).setdefault(score.candidate, []).append(score)
    return {question: {name: _mean(own) for name, own in of.items()} for question, of in scores.items()}


def _mean(scores: Sequence[Score]) -> float:
    weights = [score.votes or score.count for score in scores]
    return math.fsum(s.score * weight for s, weight in zip(scores, weights, strict=True)) / sum(weights)


def _scored(group: PatchGroup, picture: str, question: str | None, means: dict[str, float]) -> Iterator[Pair]:
    """Every two versions with a score, candidates first."""
    names = sorted(means, key=[*group.candidates, ORIGINAL].index)
    for first, second in combinations(names, 2):
        is_tie = means[first] == means[second]
        share = 0.5 if is_tie else float(means[first] > means[second])
        kind = "scores-original" if second == ORIGINAL else "scores"
        yield Pair(group.id, picture, first, second, share, kind, "scored", question, is_tie)
