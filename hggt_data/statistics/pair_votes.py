"""Counts people's votes on pairs of versions: ties, agreement, the side, and strengths over all groups. No I/O.

Questions are never pooled. Votes by models, and gold, repeated and practice votes, are counted apart.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hggt_data.schema import ORIGINAL, PairVote, PatchGroup
from hggt_data.statistics.numbers import json_number, ratio
from hggt_data.statistics.other_votes import count_other
from hggt_data.statistics.strengths import PairCounts, pair_strengths, thurstone_scores


@dataclass(frozen=True, slots=True)
class VersionStrength:
    """How one version fared in all its pairs.

    Attributes:
        name: A candidate, or `original`.
        strength: Log odds, see `strengths.pair_strengths`; NaN without votes.
        wins: Votes for it; of votes of which only the share is known, that share of them, ties as half.
        losses: Votes for the other version.
        ties: Votes for neither.
    """

    name: str
    strength: float
    wins: float
    losses: float
    ties: float

    @property
    def votes(self) -> float:
        """All votes on it."""
        return self.wins + self.losses + self.ties

    @property
    def win_rate(self) -> float:
        """Share of its votes that it won, ties as half; NaN without votes."""
        return ratio(self.wins + self.ties / 2, self.votes)


@dataclass(frozen=True, slots=True)
class PairStatistics:
    """People's votes on pairs under one question. A *pair* is two versions of one group.

    Attributes:
        question: What was asked; None if unknown.
        num_votes: Number of votes.
        num_ties: How many of them are ties.
        num_in_shares: Votes of which only the share of each version is known, so that ties are unknown too.
        num_pairs: Pairs with a vote.
        fewest: Fewest votes on one of these pairs.
        most: Most votes on one of them.
        num_other: Votes that do not count, by kind: `by models`, `gold`, `repeat`, `practice`.
        agreement: Probability that two votes on a pair agree, averaged over pairs with two or more; NaN without any.
        chance: The same if all votes were drawn at random, with this share of ties and either version equally likely.
        first_share: Share of votes for the version shown first (left), ties left out, on versions that were shown in
            both orders; both orders weigh the same. NaN without any, as in data that do not record the order.
        side: Log odds by which the version shown first is preferred to an equal one; NaN like `first_share`.
        versions: Each version that took part, candidates first; strengths pool all groups.
        tie: Davidson's tie parameter of these strengths.
        won_all: Versions that won every vote on them.
        won_nothing: Versions that lost every vote on them.
        separated: Whether some versions won every vote against all others, so that the prior bounds the strengths.
        parts: Versions that votes connect; strengths of different parts cannot be compared.
    """

    question: str | None
    num_votes: int
    num_ties: int
    num_in_shares: int
    num_pairs: int
    fewest: int
    most: int
    num_other: dict[str, int]
    agreement: float
    chance: float
    first_share: float
    side: float
    versions: tuple[VersionStrength, ...]
    tie: float
    won_all: tuple[str, ...]
    won_nothing: tuple[str, ...]
    separated: bool
    parts: tuple[tuple[str, ...], ...]

    @property
    def beyond_chance(self) -> float:
        """1 if all votes on a pair agree, 0 if they agree as often as by chance."""
        return ratio(self.agreement - self.chance, 1 - self.chance)

    def to_json(self) -> dict[str, Any]:
        """The values for a JSON file, unrounded; None for undefined numbers."""
        numbers = ("agreement", "chance", "beyond_chance", "first_share", "side", "tie")
        counts = ("num_votes", "num_ties", "num_in_shares", "num_pairs", "fewest", "most", "num_other")
        return {
            "question": self.question,
            **{name: getattr(self, name) for name in counts},
            **{name: json_number(getattr(self, name)) for name in numbers},
            "versions": {
                version.name: {
                    "strength": json_number(version.strength),
                    "wins": version.wins,
                    "losses": version.losses,
                    "ties": version.ties,
                }
                for version in self.versions
            },
            "won_all": list(self.won_all),
            "won_nothing": list(self.won_nothing),
            "separated": self.separated,
            "parts": [list(part) for part in self.parts],
        }


def versions_of(candidates: Sequence[str]) -> tuple[str, ...]:
    """The versions of a group that votes on pairs compare, in the order of strengths: its candidates, the original."""
    return (*candidates, ORIGINAL)


def count_pairs(votes: Iterable[PairVote], candidates: Sequence[str]) -> PairCounts:
    """The votes on each pair of `versions_of(candidates)`; votes of people and models count alike."""
    index = {name: k for k, name in enumerate(versions_of(candidates))}
    counts = PairCounts(*np.zeros((3, len(index), len(index))))
    for vote in votes:
        place = index[vote.first], index[vote.second]
        for array, number in zip(counts, _outcome(vote), strict=True):
            array[place] += number
    return counts


def _outcome(vote: PairVote) -> tuple[float, float, float]:
    """How many votes a vote is for the first version, for the second, and for neither."""
    if vote.preferred is None:
        share = 0.5 if vote.share is None else vote.share
        return vote.count * share, vote.count * (1 - share), 0.0
    first, second, tie = (float(vote.count * (vote.preferred == answer)) for answer in ("first", "second", "tie"))
    return first, second, tie


def votes_to_pool(group: PatchGroup) -> list[PairVote]:
    """People's votes on the pairs of a group; none if they answer several questions."""
    votes = [vote for vote in group.pairs if vote.counts]
    return votes if len({vote.question for vote in votes}) == 1 else []


def group_strengths(group: PatchGroup) -> tuple[list[float | None], list[float | None]]:
    """Bradley-Terry strengths and SRIQA-Bench's MOS of `versions_of(group.candidates)`, from people's votes on pairs.

    None for a version without votes; for all if the votes answer several questions.
    """
    counts = count_pairs(votes_to_pool(group), group.candidates)
    found = (pair_strengths(counts).values, thurstone_scores(counts).mos)
    strengths, mos = ([json_number(value) for value in values.tolist()] for values in found)
    return strengths, mos


class PairTally:
    """Collects votes on pairs in one pass over the groups."""

    def __init__(self, candidates: tuple[str, ...]) -> None:
        self._candidates = candidates
        self._of_question: dict[str | None, _QuestionTally] = {}

    def add(self, group: PatchGroup) -> None:
        """Count the votes of one group."""
        votes: dict[str | None, list[PairVote]] = {}
        for vote in group.pairs:
            votes.setdefault(vote.question, []).append(vote)
        for question, answers in votes.items():
            if question not in self._of_question:
                self._of_question[question] = _QuestionTally(self._candidates)
            self._of_question[question].add(answers)

    def result(self) -> tuple[PairStatistics, ...]:
        """One entry per question, in the order in which they occurred."""
        return tuple(tally.result(question) for question, tally in self._of_question.items())


class _QuestionTally:
    def __init__(self, candidates: tuple[str, ...]) -> None:
        self._candidates = candidates
        self._counts = count_pairs((), candidates)
        self._num_in_shares = 0
        self._num_other: Counter[str] = Counter()
        self._votes_on_pairs: Counter[int] = Counter()
        self._agreements: list[float] = []

    def add(self, votes: Sequence[PairVote]) -> None:
        self._num_other.update(count_other(votes))
        counted = [vote for vote in votes if vote.counts]
        self._num_in_shares += sum(vote.count for vote in counted if vote.preferred is None)
        counts = count_pairs(counted, self._candidates)
        for total, added in zip(self._counts, counts, strict=True):
            total += added
        i, j = np.nonzero(np.triu(counts.votes))
        answers = np.stack([counts.wins[i, j], counts.wins[j, i], counts.tied[i, j]])  # (3, pairs)
        num_votes = np.rint(answers.sum(axis=0))
        self._votes_on_pairs.update(num_votes.astype(int).tolist())
        several = num_votes > 1
        equal = (answers * (answers - 1)).sum(axis=0)[several]
        self._agreements += (equal / (num_votes * (num_votes - 1))[several]).tolist()

    def result(self, question: str | None) -> PairStatistics:
        counts = self._counts
        shown = counts.first + counts.second > 0
        in_both_orders = PairCounts(*(array * (shown & shown.T) for array in counts))
        found, names = pair_strengths(counts), versions_of(self._candidates)
        wins, losses, ties = counts.wins.sum(axis=1), counts.wins.sum(axis=0), counts.tied.sum(axis=1)
        num_votes, num_ties = (round(float(array.sum())) for array in (counts.votes / 2, counts.ties))
        tie_share = num_ties / num_votes if num_votes else 0.0
        return PairStatistics(
            question,
            num_votes=num_votes,
            num_ties=num_ties,
            num_in_shares=self._num_in_shares,
            num_pairs=self._votes_on_pairs.total(),
            fewest=min(self._votes_on_pairs, default=0),
            most=max(self._votes_on_pairs, default=0),
            num_other=dict(sorted(self._num_other.items())),
            agreement=float(np.mean(self._agreements)) if self._agreements else math.nan,
            chance=(1 - tie_share) ** 2 / 2 + tie_share**2,
            first_share=_first_share(in_both_orders),
            side=pair_strengths(in_both_orders, side_effect=True).side if in_both_orders.votes.any() else math.nan,
            versions=tuple(
                VersionStrength(name, *numbers)
                for name, *numbers in zip(names, *(x.tolist() for x in (found.values, wins, losses, ties)), strict=True)
                if name != ORIGINAL or not math.isnan(numbers[0])
            ),
            tie=found.tie,
            won_all=tuple(names[k] for k in found.won_all),
            won_nothing=tuple(names[k] for k in found.won_nothing),
            separated=found.separated,
            parts=tuple(tuple(names[k] for k in part) for part in found.parts),
        )


def _first_share(counts: PairCounts) -> float:
    """The share of the version shown first, averaged over the two orders of each two versions."""
    decided = counts.first + counts.second
    i, j = np.nonzero(np.triu(decided * decided.T > 0))
    if not len(i):
        return math.nan
    share = counts.first / np.where(decided > 0, decided, 1)
    return float(np.average((share[i, j] + share[j, i]) / 2, weights=decided[i, j] + decided[j, i]))
