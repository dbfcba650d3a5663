"""The models of a study's votes: Davidson's for pairs, with Davidson and Beaver's side effect; Luce's for choices."""

from dataclasses import dataclass

import numpy as np

from hggt_data.statistics.choice_model import Trials, fit_choices
from hggt_data.statistics.strengths import Separation, find_comparable, find_separation
from hggt_eval.study.votes import TIE, BoolArray, FloatArray, IntArray, StudyVotes


@dataclass(frozen=True, slots=True)
class Model:
    """A model of votes; a *cell* is an outcome of a kind of trial. Its parameters begin with one strength per method.

    Attributes:
        trials: The model. Strengths are followed by the log of Davidson's tie parameter and the side effect, if used.
        cell: (votes,) the cell of each vote, `trial * outcomes + outcome`.
        won: (cells, methods) votes that a vote in this cell gives a method, ties as half.
        compared: (cells, methods) whether such a vote is on the method.
        won_against: (cells, methods, methods) as `won`, against each other method; of choices nothing.
        with_ties: Whether ties occurred.
        with_side: Whether the side effect is estimated: all pairs of methods were shown in both orders.
    """

    trials: Trials
    cell: IntArray
    won: FloatArray
    compared: FloatArray
    won_against: FloatArray
    with_ties: bool
    with_side: bool

    @property
    def num_cells(self) -> int:
        """Outcomes of all kinds of trials."""
        return self.trials.possible.size

    def count(self, weight: FloatArray) -> FloatArray:
        """(cells,) number of votes in each cell; `weight` is (votes,)."""
        return np.bincount(self.cell, weight, self.num_cells).astype(np.float64)

    def fit(self, counts: FloatArray, start: FloatArray | None = None, tolerance: float = 1e-8) -> FloatArray:
        """(sets, parameters) for the number of votes in each cell, (sets, cells)."""
        return fit_choices(self.trials, counts.reshape(-1, *self.trials.possible.shape), start, tolerance)

    def influence(self, parameters: FloatArray, weight: FloatArray) -> FloatArray:
        """(votes, parameters): by how much each vote moves the parameters, to first order; `weight` is (votes,)."""
        shape = self.trials.possible.shape
        chances = np.exp(self.trials.log_probabilities(parameters))
        expected = np.einsum("to,top->tp", chances, self.trials.design)
        counts = self.count(weight).reshape(shape)
        scores = (self.trials.design - expected[:, None]).reshape(self.num_cells, -1)
        curvature = self.trials.curvature(parameters, counts)
        moved: FloatArray = np.linalg.solve(curvature, scores.T).T  # (cells, parameters)
        return np.asarray(moved[self.cell] * weight[:, None])

    def separation(self, counts: FloatArray) -> Separation:
        """Where these votes only bound strengths, or do not compare them; `counts` is (cells,)."""
        return find_separation(self._not_lost(counts), self.compared[counts > 0].sum(axis=0) > 0)

    def comparable(self, counts: FloatArray) -> BoolArray:
        """(methods, methods) whether these votes give a finite difference of two strengths without a prior."""
        return find_comparable(self._not_lost(counts))

    def _not_lost(self, counts: FloatArray) -> BoolArray:
        given = counts > 0
        not_lost: FloatArray = self.won_against[given].sum(axis=0)
        if not self.won_against.any():
            not_lost = self.won[given].T @ self.compared[given]
        np.fill_diagonal(not_lost, 0)
        return np.greater(not_lost, 0)


def make_model(votes: StudyVotes) -> Model:
    """The model of these votes."""
    return _of_pairs(votes) if votes.design == "pairs" else _of_choices(votes)


def _of_pairs(votes: StudyVotes) -> Model:
    num = len(votes.methods)
    orders = np.zeros((num, num), dtype=bool)
    orders[votes.shown[:, 0], votes.shown[:, 1]] = True
    with_side = bool(orders.any() and (orders == orders.T).all())
    with_ties = bool((votes.outcome == TIE).any())
    turned = (votes.shown[:, 0] > votes.shown[:, 1]) & (not with_side)
    shown = np.where(turned[:, None], votes.shown[:, ::-1], votes.shown)
    outcome = np.where(turned & (votes.outcome != TIE), 1 - votes.outcome, votes.outcome)
    pairs, trial = np.unique(shown, axis=0, return_inverse=True)
    i, j = pairs.T
    at = np.arange(len(pairs))
    outcomes = 3 if with_ties else 2
    design = np.zeros((len(pairs), outcomes, num + with_ties + with_side))
    design[at, 0, i] = design[at, 1, j] = 1
    if with_ties:
        design[at, TIE, i] = design[at, TIE, j] = 0.5
        design[:, TIE, num] = 1
    if with_side:
        design[:, 0, -1], design[:, 1, -1] = 0.5, -0.5
    won_against = np.zeros((len(pairs), outcomes, num, num))
    won_against[at, 0, i, j] = won_against[at, 1, j, i] = 1
    if with_ties:
        won_against[at, TIE, i, j] = won_against[at, TIE, j, i] = 0.5
    compared = np.zeros((len(pairs), outcomes, num))
    compared[at, :, i] = compared[at, :, j] = 1
    return Model(
        Trials(design, np.ones((len(pairs), outcomes), dtype=bool)),
        cell=trial.reshape(-1) * outcomes + outcome,
        won=won_against.sum(axis=3).reshape(-1, num),
        compared=compared.reshape(-1, num),
        won_against=won_against.reshape(-1, num, num),
        with_ties=with_ties,
        with_side=with_side,
    )


def _of_choices(votes: StudyVotes) -> Model:
    """Each set of methods is a kind of trial, whatever the order in which they were shown."""
    num = len(votes.methods)
    order = np.argsort(np.where(votes.shown < 0, num, votes.shown), axis=1, kind="stable")
    shown = np.take_along_axis(votes.shown, order, axis=1)
    outcome = (order == votes.outcome[:, None]).argmax(axis=1)
    sets, trial = np.unique(shown, axis=0, return_inverse=True)
    outcomes = sets.shape[1]
    possible = sets >= 0
    design = np.zeros((len(sets), outcomes, num))
    at, place = np.nonzero(possible)
    design[at, place, sets[at, place]] = 1
    present = design.sum(axis=1)  # (sets, methods)
    return Model(
        Trials(design, possible),
        cell=trial.reshape(-1) * outcomes + outcome,
        won=design.reshape(-1, num),
        compared=np.repeat(present, outcomes, axis=0),
        won_against=np.zeros((len(sets) * outcomes, num, num)),
        with_ties=False,
        with_side=False,
    )
