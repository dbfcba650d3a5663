"""How often people agree about the same comparison."""

from typing import NamedTuple

import numpy as np

from hggt_data.statistics.numbers import ratio
from hggt_eval.study.model import Model
from hggt_eval.study.votes import StudyVotes


class Consistency(NamedTuple):
    """Agreement between people.

    Attributes:
        agreement: Probability that two votes on one comparison agree, averaged over comparisons with two or more; NaN
            without any.
        chance: The same if all votes were drawn at random, with this share of ties and all versions equally likely.
        num_comparisons: Comparisons with two or more votes: the same methods in the same group.
    """

    agreement: float
    chance: float
    num_comparisons: int

    @property
    def beyond_chance(self) -> float:
        """1 if all votes agree, 0 if they agree as often as by chance."""
        return ratio(self.agreement - self.chance, 1 - self.chance)


def find_consistency(votes: StudyVotes, model: Model) -> Consistency:
    """How often two votes agree. Votes of which only the share is known count as if they were single votes."""
    num = len(votes.methods)
    # What was preferred: a method, or a tie.
    won = model.won[model.cell]
    answer = np.where(won.max(axis=1) == 1, won.argmax(axis=1), num)
    compared, comparison = np.unique(
        np.column_stack([votes.group, model.compared[model.cell].astype(np.int64)]), axis=0, return_inverse=True
    )
    given = np.zeros((len(compared), num + 1))
    np.add.at(given, (comparison.reshape(-1), answer), votes.weight)
    total = given.sum(axis=1)
    several = total > 1
    equal = (given * (given - 1)).sum(axis=1)[several]
    agreement = float(np.mean(equal / (total * (total - 1))[several])) if several.any() else np.nan
    ties = float(given[:, num].sum() / total.sum())
    chance = (
        (1 - ties) ** 2 * float(np.mean(1 / compared[:, 1:].sum(axis=1)[several])) + ties**2
        if several.any()
        else np.nan
    )
    return Consistency(agreement, chance, int(several.sum()))
