"""Counts people's choices among versions, and averages their opinion scores. No I/O.

Questions are never pooled. Votes by models, and gold, repeated and practice votes, are counted apart.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hggt_data.schema import ChoiceVote, PatchGroup, Score, Vote


@dataclass(frozen=True, slots=True)
class ChoiceStatistics:
    """People's choices of the best version under one question.

    Attributes:
        question: What was asked; None if unknown.
        num_votes: Number of choices.
        num_other: Choices that do not count, by kind: `by models`, `gold`, `repeat`, `practice`.
        shown: Version to how often it was shown.
        chosen: Version to how often it was chosen.
    """

    question: str | None
    num_votes: int
    num_other: dict[str, int]
    shown: dict[str, int]
    chosen: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The values for a JSON file."""
        versions = {name: {"shown": self.shown[name], "chosen": self.chosen[name]} for name in self.shown}
        return {
            "question": self.question,
            "num_votes": self.num_votes,
            "num_other": self.num_other,
            "versions": versions,
        }


@dataclass(frozen=True, slots=True)
class ScoreStatistics:
    """Opinion scores under one question.

    Attributes:
        question: What was asked; None if unknown.
        num_scores: Number of scores.
        num_other: Scores that do not count, by kind, as for choices.
        groups: Version to the number of groups with a score of it.
        means: Version to the mean over these groups of its mean score there.
    """

    question: str | None
    num_scores: int
    num_other: dict[str, int]
    groups: dict[str, int]
    means: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The values for a JSON file, unrounded."""
        versions = {name: {"groups": self.groups[name], "mean": self.means[name]} for name in self.groups}
        return {
            "question": self.question,
            "num_scores": self.num_scores,
            "num_other": self.num_other,
            "versions": versions,
        }


def count_other(votes: Iterable[Vote]) -> Counter[str]:
    """The votes that do not count as people's, by kind."""
    numbers: Counter[str] = Counter()
    for vote in votes:
        if not vote.counts:
            numbers["by models" if vote.annotator_kind == "model" else vote.kind] += vote.count
    return numbers


class OtherTally:
    """Collects choices and scores in one pass over the groups; results have the versions in the given order."""

    def __init__(self, versions: Sequence[str]) -> None:
        self._versions = versions
        self._num_other: dict[tuple[type[Vote], str | None], Counter[str]] = {}
        self._shown: dict[str | None, Counter[str]] = {}
        self._chosen: dict[str | None, Counter[str]] = {}
        self._num_scores: Counter[str | None] = Counter()
        self._means: dict[str | None, dict[str, list[float]]] = {}

    def add(self, group: PatchGroup) -> None:
        """Count the votes of one group."""
        for vote in (*group.choices, *group.scores):
            self._num_other.setdefault((type(vote), vote.question), Counter()).update(count_other([vote]))
        for choice in group.choices:
            if choice.counts:
                self._shown.setdefault(choice.question, Counter()).update(dict.fromkeys(choice.shown, choice.count))
                self._chosen.setdefault(choice.question, Counter())[choice.preferred] += choice.count
        of_group: dict[tuple[str | None, str], list[Score]] = {}
        for score in group.scores:
            if score.counts:
                self._num_scores[score.question] += score.votes or score.count
                of_group.setdefault((score.question, score.candidate), []).append(score)
        for (question, version), scores in of_group.items():
            mean = sum(one.score * (one.votes or one.count) for one in scores)
            mean /= sum(one.votes or one.count for one in scores)
            self._means.setdefault(question, {}).setdefault(version, []).append(mean)

    def choices(self) -> tuple[ChoiceStatistics, ...]:
        """One entry per question, in the order in which they occurred."""
        return tuple(
            ChoiceStatistics(
                question,
                num_votes=self._chosen.get(question, Counter()).total(),
                num_other=dict(sorted(other.items())),
                shown={name: shown[name] for name in self._versions if name in shown},
                chosen={name: self._chosen[question][name] for name in self._versions if name in shown},
            )
            for (kind, question), other in self._num_other.items()
            if kind is ChoiceVote
            for shown in [self._shown.get(question, Counter())]
        )

    def scores(self) -> tuple[ScoreStatistics, ...]:
        """One entry per question, in the order in which they occurred."""
        return tuple(
            ScoreStatistics(
                question,
                num_scores=self._num_scores[question],
                num_other=dict(sorted(other.items())),
                groups={name: len(means[name]) for name in self._versions if name in means},
                means={name: sum(means[name]) / len(means[name]) for name in self._versions if name in means},
            )
            for (kind, question), other in self._num_other.items()
            if kind is Score
            for means in [self._means.get(question, {})]
        )
