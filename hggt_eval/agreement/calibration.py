"""Accuracy with human ties: a metric says that two versions are equal if its scores differ by little enough.

Source: Deutsch, Foster and Freitag, Ties Matter: Meta-Evaluating Modern Metrics with Pairwise Accuracy and Tie
Calibration, EMNLP 2023. There the threshold is chosen on the pairs that it is tested on; here on other source pictures.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hggt_eval.agreement.pairs import Pair

NUM_FOLDS = 10


def best_threshold(margins: NDArray[np.float64], answers: NDArray[np.float64]) -> float:
    """The smallest threshold that gives the most right answers, out of 0 and the sizes of the margins.

    `margins` and `answers` are both (n,): how much better the metric finds the first version, and 1, 0 or -1 for people
    who prefer the first, neither or the second. A margin no larger than the threshold is a tie.

    Example:
        >>> best_threshold(np.array([0.1, -0.2, 0.5, 0.9]), np.array([0.0, 0.0, 1.0, 1.0]))
        0.2
    """
    sizes = np.abs(margins)
    order = np.argsort(sizes, kind="stable")
    # Right answers if the k smallest margins are ties, for k = 0..n.
    tied = np.concatenate([[0], np.cumsum(answers[order] == 0)])
    decided = np.concatenate([[0], np.cumsum((np.sign(margins) == answers)[order])])
    right = tied + decided[-1] - decided
    thresholds = np.concatenate([[0.0], np.unique(sizes)])
    numbers = np.searchsorted(sizes[order], thresholds, side="right")
    return float(thresholds[np.argmax(right[numbers])])


def calibrated_answers(margins: Mapping[Pair, float]) -> dict[Pair, float]:
    """1 for each pair that the metric answers as people do, ties included, else 0.

    The threshold for a pair is chosen on the source pictures of other folds, of which there are ten or, with fewer
    source pictures, as many as these. The result is empty without human ties, as among inferred pairs, or with a single
    source picture. Votes of which only the share is known do not say what is a tie, and are left out.
    """
    pairs = [pair for pair in margins if not pair.is_share]
    pictures = {name: number for number, name in enumerate(sorted({pair.picture for pair in pairs}))}
    if len(pictures) < 2 or not any(pair.is_tie for pair in pairs):
        return {}
    own = np.array([margins[pair] for pair in pairs])
    answers = np.array([np.sign(pair.share - 0.5) for pair in pairs])
    folds = np.array([pictures[pair.picture] for pair in pairs]) % NUM_FOLDS
    right = np.zeros(len(pairs))
    for fold in np.unique(folds):
        is_here = folds == fold
        threshold = best_threshold(own[~is_here], answers[~is_here])
        said = np.where(np.abs(own[is_here]) <= threshold, 0, np.sign(own[is_here]))
        right[is_here] = said == answers[is_here]
    return dict(zip(pairs, right.tolist(), strict=True))
