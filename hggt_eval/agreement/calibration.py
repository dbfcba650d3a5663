"""Accuracy with human ties: a metric says that two versions are equal if its scores differ by little enough.

Source: Deutsch, Foster and Freitag, Ties Matter: Meta-Evaluating Modern Metrics with Pairwise Accuracy and Tie
Calibration, EMNLP 2023. There the threshold is chosen on the pairs that it is tested on; here on other source pictures.
"""

import math
from collections.abc import Sequence

import numpy as np

from hggt_eval.agreement.means import Floats, Keys
from hggt_eval.agreement.pairs import Pair

NUM_FOLDS = 10


def best_threshold(margins: Floats, answers: Floats) -> float:
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


def calibrated_answers(margins: Floats, pairs: Sequence[Pair], pictures: Keys) -> Floats:
    """1 for each pair that the metric answers as people do, ties included, else 0; NaN where that is unknown.

    The threshold for a pair is chosen on the source pictures of other folds, of which there are ten or, with fewer
    source pictures, as many as these. All are NaN without human ties, as among inferred pairs, or with a single source
    picture. Votes of which only the share is known do not say what is a tie, and are left out. `margins` are (n,), NaN
    without an answer.
    """
    right = np.full(len(pairs), math.nan)
    used = ~np.isnan(margins) & ~np.array([pair.is_share for pair in pairs])
    answers = np.sign(np.array([pair.share for pair in pairs]) - 0.5)
    present, numbers = np.unique(pictures.numbers[used], return_inverse=True)
    if len(present) < 2 or not any(pair.is_tie for pair, is_used in zip(pairs, used, strict=True) if is_used):
        return right
    folds = np.full(len(pairs), -1)
    folds[used] = numbers % NUM_FOLDS
    for fold in range(min(NUM_FOLDS, len(present))):
        is_here = folds == fold
        others = used & ~is_here
        threshold = best_threshold(margins[others], answers[others])
        said = np.where(np.abs(margins[is_here]) <= threshold, 0, np.sign(margins[is_here]))
        right[is_here] = said == answers[is_here]
    return right
