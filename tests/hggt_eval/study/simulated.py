"""Simulated studies in which pictures and people are random effects, and tables of votes on disk."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hggt_eval.study.analysis import Analysis, analyse
from hggt_eval.study.votes import FloatArray, IntArray, StudyVotes

METHODS = ("a", "b", "c")
STRENGTHS = np.array([0.5, 0.0, -0.5])
SIDE = 0.2


@dataclass(frozen=True, slots=True)
class Simulation:
    """A study of three methods.

    Attributes:
        pictures: Number of source pictures.
        people: Number of people.
        votes: People who judge each comparison.
        picture_std: Standard deviation of a picture's effect on each method, in log odds.
        person_std: The same of a person.
        best_of: Whether all methods are shown at once.
        tie: Davidson's tie parameter.
    """

    pictures: int
    people: int
    votes: int
    picture_std: float
    person_std: float
    best_of: bool = False
    tie: float = 0.0


def simulate(design: Simulation, seed: int) -> StudyVotes:
    """The votes of a study in which each comparison is judged by randomly chosen people."""
    random = np.random.default_rng(seed)
    num = len(METHODS)
    of_picture = random.normal(0, design.picture_std, (design.pictures, num))
    of_person = random.normal(0, design.person_std, (design.people, num))
    sets: list[tuple[int, ...]] = [tuple(range(num))]
    if not design.best_of:
        sets = [(i, j) for i in range(num) for j in range(i)]
    rows = [
        (picture, person, random.permutation(shown))
        for picture in range(design.pictures)
        for shown in sets
        for person in random.permutation(design.people)[: design.votes]
    ]
    picture, person = (np.array([row[k] for row in rows], dtype=np.int64) for k in (0, 1))
    shown = np.array([row[2] for row in rows], dtype=np.int64)
    appeal = STRENGTHS + of_picture[picture] + of_person[person]
    return _as_votes(design, picture, person, shown, _answer(design, appeal, shown, random))


def find_truth(design: Simulation, size: int = 200_000) -> FloatArray:
    """The statistics if very many pictures and people each gave one vote."""
    random = np.random.default_rng(1)
    std = np.hypot(design.picture_std, design.person_std)
    appeal = STRENGTHS + random.normal(0, std, (size, len(METHODS)))
    shown = random.permuted(np.tile(np.arange(len(METHODS)), (size, 1)), axis=1)
    shown = shown if design.best_of else shown[:, :2]
    number = np.arange(size, dtype=np.int64)
    votes = _as_votes(design, number, number, shown, _answer(design, appeal, shown, random))
    return statistics(analyse(votes, METHODS[-1], num_resamples=1))[:, 0]


def statistics(found: Analysis) -> FloatArray:
    """(8, 3): value and interval of each strength, win rate, and difference from the baseline."""
    estimates = [method.strength for method in found.methods] + [method.win_rate for method in found.methods]
    estimates += [difference.strength for difference in found.differences]
    return np.array([(one.value, one.low, one.high) for one in estimates])


def _answer(design: Simulation, appeal: FloatArray, shown: IntArray, random: np.random.Generator) -> IntArray:
    logits = np.take_along_axis(appeal, shown, axis=1)
    if not design.best_of:
        logits[:, 0] += SIDE
        if design.tie:
            logits = np.column_stack([logits, logits.mean(axis=1) + np.log(design.tie)])
    return np.asarray((logits + random.gumbel(size=logits.shape)).argmax(axis=1))


def _as_votes(
    design: Simulation, picture: IntArray, person: IntArray, shown: IntArray, outcome: IntArray
) -> StudyVotes:
    return StudyVotes(
        question=None,
        design="best-of" if design.best_of else "pairs",
        methods=METHODS,
        pictures=tuple(map(str, range(picture.max() + 1))),
        people=tuple(map(str, range(person.max() + 1))),
        num_other={},
        num_unknown=0,
        group=picture,
        picture=picture,
        person=person,
        shown=shown,
        outcome=outcome,
        weight=np.ones(len(picture)),
    )


PAIR_COLUMNS = ("group", "first", "second", "annotator", "preferred")


def write_csv(path: Path, rows: Iterable[Sequence[object]], columns: Sequence[str] = PAIR_COLUMNS) -> Path:
    """A table of votes."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def pair_rows(votes: StudyVotes) -> list[tuple[str, str, str, str, str]]:
    """Votes on pairs as rows of `PAIR_COLUMNS`."""
    return [
        (f"p{picture}", METHODS[i], METHODS[j], f"ann-{person}", ("first", "second", "tie")[outcome])
        for picture, person, (i, j), outcome in zip(
            votes.picture, votes.person, votes.shown, votes.outcome, strict=True
        )
    ]
