"""How often the 95 % intervals of `hggt-eval study` cover the truth, in simulated studies with random pictures and people.

    python benchmarks/study_coverage.py [STUDIES]

Each picture and each person favours each method by a normal random effect, in log odds, so that votes of one picture or
one person are not independent. The truth is what infinitely many pictures and people would vote.
"""

import sys
from dataclasses import dataclass

import numpy as np

from hggt_eval.study.analysis import Analysis, analyse
from hggt_eval.study.model import make_model
from hggt_eval.study.votes import FloatArray, StudyVotes


@dataclass(frozen=True, slots=True)
class Design:
    """A simulated study.

    Attributes:
        pictures: Number of source pictures.
        people: Number of people.
        votes: People who judge each comparison.
        picture_std: Standard deviation of a picture's effect on each method, in log odds.
        person_std: The same of a person.
        best_of: Methods shown at once; 0 for pairs.
        tie: Davidson's tie parameter.
    """

    pictures: int
    people: int
    votes: int
    picture_std: float
    person_std: float
    best_of: int = 0
    tie: float = 0.0


METHODS = ("a", "b", "c")
STRENGTHS = np.array([0.5, 0.0, -0.5])
SIDE = 0.2
DESIGNS = (
    Design(40, 20, 6, 0.5, 0.5),
    Design(40, 20, 20, 0.8, 0.8),
    Design(40, 20, 6, 0.0, 0.0),
    Design(40, 20, 6, 0.5, 0.5, tie=0.6),
    Design(40, 20, 6, 1.0, 0.2),
    Design(40, 20, 6, 0.2, 1.0),
    Design(100, 30, 5, 0.5, 0.5),
    Design(40, 20, 6, 0.5, 0.5, best_of=3),
    Design(20, 10, 5, 0.5, 0.5),
    Design(10, 5, 5, 0.5, 0.5),
)


def simulate(design: Design, seed: int) -> StudyVotes:
    """The votes of a study."""
    random = np.random.default_rng(seed)
    num = len(METHODS)
    of_picture = random.normal(0, design.picture_std, (design.pictures, num))
    of_person = random.normal(0, design.person_std, (design.people, num))
    sets = [tuple(range(num))] if design.best_of else [(i, j) for i in range(num) for j in range(i)]
    rows = [
        (picture, person, random.permutation(shown))
        for picture in range(design.pictures)
        for shown in sets
        for person in random.permutation(design.people)[: design.votes]
    ]
    picture, person = (np.array([row[k] for row in rows], dtype=np.int64) for k in (0, 1))
    shown = np.array([row[2] for row in rows], dtype=np.int64)
    appeal = STRENGTHS + of_picture[picture] + of_person[person]
    logits = np.take_along_axis(appeal, shown, axis=1)
    if not design.best_of:
        logits[:, 0] += SIDE
        if design.tie:
            logits = np.column_stack([logits, logits.mean(axis=1) + np.log(design.tie)])
    outcome = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    return StudyVotes(
        question=None,
        design="best-of" if design.best_of else "pairs",
        methods=METHODS,
        pictures=tuple(map(str, range(design.pictures))),
        people=tuple(map(str, range(design.people))),
        num_other={},
        num_unknown=0,
        group=picture,
        picture=picture,
        person=person,
        shown=shown,
        outcome=outcome,
        weight=np.ones(len(rows)),
    )


def statistics(found: Analysis) -> FloatArray:
    """(statistics, 3): value and interval of each strength, win rate, and difference from the baseline."""
    estimates = [method.strength for method in found.methods] + [method.win_rate for method in found.methods]
    estimates += [difference.strength for difference in found.differences]
    return np.array([(one.value, one.low, one.high) for one in estimates])


def find_truth(design: Design) -> FloatArray:
    """The statistics of a study of very many pictures and people, each of whom votes once."""
    large = Design(
        200_000, 200_000, 1, design.picture_std, design.person_std, design.best_of, design.tie
    )
    return statistics(analyse(_one_vote_each(large), METHODS[-1], num_resamples=1))[:, 0]


def _one_vote_each(design: Design) -> StudyVotes:
    random = np.random.default_rng(1)
    num = len(METHODS)
    size = design.pictures
    std = np.hypot(design.picture_std, design.person_std)
    appeal = STRENGTHS + random.normal(0, std, (size, num))
    order = random.permuted(np.tile(np.arange(num), (size, 1)), axis=1)
    shown = order if design.best_of else order[:, :2]
    logits = np.take_along_axis(appeal, shown, axis=1)
    if not design.best_of:
        logits[:, 0] += SIDE
        if design.tie:
            logits = np.column_stack([logits, logits.mean(axis=1) + np.log(design.tie)])
    outcome = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    number = np.arange(size)
    names = tuple(map(str, range(size)))
    return StudyVotes(
        None, "best-of" if design.best_of else "pairs", METHODS, names, names, {}, 0,
        number, number, number, shown, outcome, np.ones(size),
    )  # fmt: skip


def coverage(design: Design, num_studies: int, num_resamples: int = 1_000) -> tuple[FloatArray, FloatArray, float]:
    """Coverage of each statistic, the mean width relative to the spread, and the share of equal methods with p < 0.05."""
    truth = find_truth(design)
    found = []
    for seed in range(num_studies):
        found.append(statistics(analyse(simulate(design, seed), METHODS[-1], num_resamples, seed)))
    values, low, high = np.moveaxis(np.array(found), -1, 0)
    covered = ((low <= truth) & (truth <= high)).mean(axis=0)
    return covered, (high - low).mean(axis=0) / (2 * 1.96 * values.std(axis=0)), 0.0


if __name__ == "__main__":
    NUM = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    for one in DESIGNS:
        covered, width, _ = coverage(one, NUM)
        print(one, covered.round(3), width.round(2), flush=True)
