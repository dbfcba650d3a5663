"""How much win rates vary between pictures and between people, and the smallest difference that a study can detect.

A vote on two methods is 1 if the first is preferred, 0.5 for a tie, 0 otherwise. Its variance is the sum of the
variance between pictures, between people, and of single votes. Power is planned before a study and for the next one;
the power of a finished study says no more than its interval.

Source: Hoenig and Heisey, The Abuse of Power, The American Statistician 55(1), 2001 (why not afterwards).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hggt_eval.study.model import Model
from hggt_eval.study.votes import FloatArray, IntArray, StudyVotes

POWER = 0.8


@dataclass(frozen=True, slots=True)
class Components:
    """Where the variance of votes comes from, in win rates from 0 to 1.

    Attributes:
        picture_std: Standard deviation between source pictures.
        person_std: Standard deviation between people.
        vote_std: Standard deviation of single votes by the same person on the same picture.
    """

    picture_std: float
    person_std: float
    vote_std: float


@dataclass(frozen=True, slots=True)
class Size:
    """A study of a given size.

    Attributes:
        pictures: Source pictures.
        annotators: People.
        votes: Votes per comparison: how many people judge each picture.
        half_width: Half the expected width of the 95 % interval of a win rate.
        detectable: Smallest distance of a win rate from 50 % that is detected in 80 % of studies, at p below 0.05.
    """

    pictures: int
    annotators: int
    votes: int
    half_width: float
    detectable: float

    @property
    def log_odds(self) -> float:
        """The detectable difference of strengths, without ties; infinite if no win rate is that far from 50 %."""
        return math.log((0.5 + self.detectable) / (0.5 - self.detectable)) if self.detectable < 0.5 else math.inf


def plan_size(components: Components, pictures: int, annotators: int, votes: int) -> Size:
    """What a study of this size can detect between two methods; needs two pictures and two people."""
    from scipy.special import stdtrit

    numbers = np.array([pictures, annotators, pictures * votes], dtype=np.float64)
    stds = np.array([components.picture_std, components.person_std, components.vote_std])
    parts = stds**2 / numbers
    variance = parts.sum()
    freedom = variance**2 / (parts**2 / (numbers - 1)).sum() if variance else 1.0
    error = math.sqrt(variance)
    reach = float(stdtrit(freedom, 0.975))
    return Size(pictures, annotators, votes, reach * error, (reach + float(stdtrit(freedom, POWER))) * error)


def assume_components(picture_std: float, person_std: float, tie_share: float = 0.0) -> Components:
    """Components of votes on two equal methods; ties count half and lower the variance of single votes."""
    rest = (1 - tie_share) / 4 - picture_std**2 - person_std**2
    return Components(picture_std, person_std, math.sqrt(max(rest, 0.0)))


def find_components(votes: StudyVotes, model: Model) -> Components | None:
    """The components, pooled over pairs of methods (or methods, for choices); None if they cannot be estimated.

    Products of the deviations of two votes have the variance between pictures as their mean if only the picture is the
    same, and that between people if only the person is. Deviations from a mean are too small by the variance of the
    mean, which is added again. They need known people, several for each picture and several pictures for each person,
    and votes that do not all agree.
    """
    if votes.people is None:
        return None
    sums = np.zeros((3, 2))
    numbers = []
    for unit, value in _units(votes, model):
        weight, picture, person = votes.weight[unit], votes.picture[unit], votes.person[unit]
        deviation = (value - np.average(value, weights=weight)) * weight
        _, both = np.unique(picture * (person.max() + 1) + person, return_inverse=True)
        same_both = _squares(deviation, weight, both)
        sums[0] += _squares(deviation, weight, picture) - same_both
        sums[1] += _squares(deviation, weight, person) - same_both
        sums[2] += [(deviation**2 / weight).sum(), weight.sum()]
        numbers.append([len(np.unique(picture)), len(np.unique(person)), weight.sum()])
    if not numbers or (sums[:, 1] <= 0).any():
        return None
    same_picture, same_person, all_votes = sums[:, 0] / sums[:, 1]
    shares = 1 / np.mean(numbers, axis=0)
    rest = all_votes - same_picture - same_person
    left = 1 - shares[0] - shares[1] + shares[2]
    mean = float(shares @ [same_picture, same_person, rest]) / left if left > 0 else 0.0
    between = [max(value + mean, 0.0) for value in (same_picture, same_person)]
    found = Components(*(math.sqrt(value) for value in (*between, max(all_votes + mean - sum(between), 0.0))))
    return found if found.vote_std else None


def _units(votes: StudyVotes, model: Model) -> Iterator[tuple[IntArray, FloatArray]]:
    """Which votes are on each pair of methods (or each method, for choices), and their values from 0 to 1."""
    num = len(votes.methods)
    won = model.won[model.cell]
    if votes.design == "best-of":
        for method in range(num):
            unit = np.flatnonzero(model.compared[model.cell, method])
            if len(unit):
                yield unit, won[unit, method]
        return
    low, high = votes.shown.min(axis=1), votes.shown.max(axis=1)
    for pair in np.unique(low * num + high):
        unit = np.flatnonzero(low * num + high == pair)
        yield unit, won[unit, pair // num]


def _squares(deviation: FloatArray, weight: FloatArray, cluster: IntArray) -> FloatArray:
    """The sums of products of deviations of all two votes of one cluster, and of their weights; with themselves too."""
    return np.array([(np.bincount(cluster, values) ** 2).sum() for values in (deviation, weight)])
