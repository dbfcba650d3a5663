"""Multinomial logit models of answers, in numpy, fitted to many sets of votes at once, as a bootstrap needs. No I/O.

Bradley-Terry strengths with ties and Luce's model of choices are both of this form.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Standard deviation of the normal prior of a strength, in log odds. It moves a strength of 2 with 100 votes by 0.001.
PRIOR_STD = 10.0
TOLERANCE = 1e-8
_MOST_STEPS = 200
_MOST_HALVINGS = 40

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Trials(NamedTuple):
    """What can be answered in each kind of trial, such as the comparison of two versions in one order.

    Attributes:
        design: (trials, outcomes, parameters) how the parameters add up to the logit of each outcome.
        possible: (trials, outcomes) whether a trial has this outcome.
    """

    design: FloatArray
    possible: BoolArray

    def log_probabilities(self, parameters: FloatArray) -> FloatArray:
        """(..., trials, outcomes) for parameters (..., parameters); outcomes that are not possible have about -1e30."""
        logits = np.where(self.possible, np.tensordot(parameters, self.design, (-1, -1)), -1e30)
        logits -= logits.max(axis=-1, keepdims=True)
        return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))

    def curvature(self, parameters: FloatArray, votes: FloatArray) -> FloatArray:
        """(parameters, parameters): minus the second derivatives of the log posterior, for one set of votes."""
        chances = np.exp(self.log_probabilities(parameters))[None]
        return np.asarray(_curvature(self.design, chances, votes.sum(axis=-1, keepdims=True)[None])[0])


def fit_choices(
    trials: Trials, votes: FloatArray, start: FloatArray | None = None, tolerance: float = TOLERANCE
) -> FloatArray:
    """The parameters of the largest posterior for each set of votes, (sets, parameters), by Newton's method.

    Each parameter has a normal prior of mean 0 and standard deviation 10, so that the maximum is unique and finite.

    Args:
        trials: The model.
        votes: (sets, trials, outcomes) number of answers; may be fractions.
        start: (parameters,) where to start for all sets.  [default: 0]
        tolerance: Largest last step.
    """
    num_sets, num_parameters = len(votes), trials.design.shape[-1]
    if not trials.design.size:
        return np.zeros((num_sets, num_parameters))
    found = np.zeros((num_sets, num_parameters)) if start is None else np.tile(start, (num_sets, 1))
    totals = votes.sum(axis=-1, keepdims=True)
    open_sets = np.arange(num_sets)
    for _ in range(_MOST_STEPS):
        if not len(open_sets):
            return found
        at, own, total = found[open_sets], votes[open_sets], totals[open_sets]
        logs = trials.log_probabilities(at)
        chances = np.exp(logs)
        gradient = np.tensordot(own - total * chances, trials.design, 2) - at / PRIOR_STD**2
        step = np.linalg.solve(_curvature(trials.design, chances, total), gradient[..., None])[..., 0]
        here = _log_posterior(logs, own, at)
        worse = np.arange(len(at))
        for _ in range(_MOST_HALVINGS):
            there = at[worse] + step[worse]
            value = _log_posterior(trials.log_probabilities(there), own[worse], there)
            worse = worse[(value < here[worse] - 1e-12 * abs(here[worse])) & (abs(step[worse]).max(axis=1) > tolerance)]
            if not len(worse):
                break
            step[worse] /= 2
        found[open_sets] = at + step
        open_sets = open_sets[abs(step).max(axis=1, initial=0) > tolerance]
    raise ArithmeticError(f"no maximum found in {_MOST_STEPS} steps")


def _log_posterior(logs: FloatArray, votes: FloatArray, parameters: FloatArray) -> FloatArray:
    return np.asarray((votes * logs).sum(axis=(1, 2)) - (parameters**2).sum(axis=1) / (2 * PRIOR_STD**2))


def _curvature(design: FloatArray, chances: FloatArray, totals: FloatArray) -> FloatArray:
    """(sets, parameters, parameters) for chances (sets, trials, outcomes) and totals (sets, trials, 1)."""
    size = design.shape[-1]
    flat = design.reshape(-1, size)
    squares = (flat[:, :, None] * flat[:, None, :]).reshape(len(flat), -1)
    expected = totals * chances
    second = (expected.reshape(len(expected), -1) @ squares).reshape(-1, size, size)
    means = np.einsum("sto,top->stp", chances, design, optimize=True)
    return np.asarray(second - (means * totals).swapaxes(1, 2) @ means + np.eye(size) / PRIOR_STD**2)
