"""The pairs of a group in which people prefer one picture to the other. No I/O.

Consensus labels determine the pairs of candidates that were labelled, and their votes how clear each preference is.
Where people compared two versions at a time, the votes on a pair determine both.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import combinations
from typing import Literal

import numpy as np

from hggt_data.ranges import require_kind
from hggt_data.schema import ORIGINAL, Label, PatchGroup
from hggt_data.statistics.pair_votes import count_pairs, versions_of, votes_to_pool

# The value of a vote for a candidate, compared with the original, which is 0.
_PREFERENCE = {Label.POSITIVE: 1, Label.SIMILAR: 0, Label.NEGATIVE: -1}
# Shares that differ by less are equal.
_ROUNDING = 1e-9


class PairKind(Enum):
    """Consensus of the preferred and the other one (P positive, S similar, N negative), or `votes` on this very pair.

    The value is column `kind`.
    """

    POSITIVE_SIMILAR = "P>S"
    POSITIVE_NEGATIVE = "P>N"
    SIMILAR_NEGATIVE = "S>N"
    POSITIVE_ORIGINAL = "P>original"
    ORIGINAL_NEGATIVE = "original>N"
    VOTES = "votes"

    @classmethod
    def _missing_(cls, value: object) -> "PairKind | None":
        """The name that a shell takes unquoted, such as `P-S`."""
        return next((kind for kind in cls if kind.value.replace(">", "-") == value), None)


PairName = Literal["P-S", "P-N", "S-N", "P-original", "original-N", "votes"]


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two pictures of a group, the first of which is preferred, or which are equally good.

    Attributes:
        chosen: The preferred one: a candidate, or `original`.
        rejected: The other one.
        kind: Consensus of both, or that they were compared; None if they are equally good.
        votes_chosen: How many annotators gave each label to the preferred one; 0 for the original. Of votes on the
            pair, Positive counts those for it, Negative those for the other, Similar ties; None where only shares are
            known.
        votes_rejected: The same of the other one.
        margin: How clear the preference is, see `preference_pairs`.
    """

    chosen: str
    rejected: str
    kind: PairKind | None
    votes_chosen: dict[Label, int] | None
    votes_rejected: dict[Label, int] | None
    margin: float


def preference_pairs(group: PatchGroup, kinds: Collection[PairKind] = tuple(PairKind)) -> list[PreferencePair]:
    """All pairs of a group, by kind, then by name.

    Positive candidates are preferred to similar and negative ones and to the original, similar ones to negative ones,
    and the original to negative ones. The original and a similar candidate do not form a pair, nor do two candidates
    with the same consensus; a candidate without consensus forms none. Of two versions that people compared with each
    other, that with more votes is preferred (`votes`); there are none if a group was judged under several questions.
    Pictures are not compared: `export_pairs` also leaves out pairs whose pictures are equal.

    `margin` is the difference of the mean votes, from -2 to 2, where a vote is 1 for Positive, 0 for Similar and -1 for
    Negative, and the original has 0:

        margin = (positive - negative votes of chosen) / votes  -  (positive - negative votes of rejected) / votes

    It is above 0 for P>N, P>original and original>N. For P>S and S>N it can be 0: two Positive and one Negative votes
    have the mean 1/3, as have two Similar and one Positive. With more than three annotators it can be negative. Of
    votes on the pair it is the share of those for the preferred one minus the share of those for the other one.

    Args:
        group: Group with its labels.
        kinds: Kinds of pairs to return.

    Returns:
        The pairs.

    Raises:
        SettingsError: `group` is something else, such as all groups of a source.

    Example:
        >>> import tempfile
        >>> from hggt_data import open_groups, preference_pairs, write_demo_tree
        >>> group = open_groups(write_demo_tree(tempfile.mkdtemp()).test)["coffee-0-0"]
        >>> pairs = preference_pairs(group)
        >>> [(pair.chosen, pair.rejected, pair.kind.value, round(pair.margin, 2)) for pair in pairs[:3]]
        [('04', '01', 'P>S', 0.33), ('04', '02', 'P>S', 0.33), ('04', '03', 'P>N', 1.0)]
    """
    require_kind(PatchGroup, "a group of `open_groups`", group=group)
    votes = {name: count_votes(group, name) for name in (ORIGINAL, *group.candidates)}
    names = {"original": [ORIGINAL], **{label.value[0]: _names_with(group, label) for label in Label}}
    pairs = []
    for kind in PairKind:
        if kind in kinds and kind is not PairKind.VOTES:
            better, worse = kind.value.split(">")
            pairs += [
                PreferencePair(
                    chosen, rejected, kind, votes[chosen], votes[rejected], _margin(votes[chosen], votes[rejected])
                )
                for chosen in names[better]
                for rejected in names[worse]
            ]
    if PairKind.VOTES in kinds:
        pairs += [pair for pair in _compared_pairs(group) if pair.kind]
    return pairs


def tied_pairs(group: PatchGroup) -> list[PreferencePair]:
    """The pairs of pictures that people call equally good: two Similar candidates, or one and the original.

    A Similar candidate without a majority, whose consensus is only HGGT's rule, is not one of them. Two versions that
    were compared with each other are equally good if each has as many votes as the other.
    """
    names = [name for name in _names_with(group, Label.SIMILAR) if name in majority_names(group)]
    votes = {name: count_votes(group, name) for name in (*names, ORIGINAL)}
    ties = [
        PreferencePair(first, second, None, votes[first], votes[second], _margin(votes[first], votes[second]))
        for first, second in combinations([*names, ORIGINAL], 2)
    ]
    return [*ties, *(pair for pair in _compared_pairs(group) if not pair.kind)]


def has_majority(group: PatchGroup, pair: PreferencePair) -> bool:
    """Whether the labels of both pictures, or the preference if they were compared, have a majority of the votes."""
    if pair.kind is PairKind.VOTES:
        votes = pair.votes_chosen  # without it, shares in which a tie is half a vote for each
        return votes is None or 2 * votes[Label.POSITIVE] > sum(votes.values())
    return {pair.chosen, pair.rejected} <= {ORIGINAL, *majority_names(group)}


def _compared_pairs(group: PatchGroup) -> list[PreferencePair]:
    """The pairs of versions with people's votes on them, in the order of `versions_of`; `kind` is None for equals."""
    if not group.pairs:
        return []
    votes, names = votes_to_pool(group), versions_of(group.candidates)
    counts = count_pairs(votes, group.candidates)
    in_shares = {frozenset((vote.first, vote.second)) for vote in votes if vote.preferred is None}
    pairs = []
    for i, j in zip(*np.nonzero(np.triu(counts.votes)), strict=True):
        margin = float((counts.wins[i, j] - counts.wins[j, i]) / counts.votes[i, j])
        if abs(margin) < _ROUNDING:
            margin = 0.0
        better, worse = (j, i) if margin < 0 else (i, j)
        won, lost, tied = (
            round(float(n)) for n in (counts.wins[better, worse], counts.wins[worse, better], counts.tied[i, j])
        )
        is_known = {names[i], names[j]} not in in_shares
        pairs.append(
            PreferencePair(
                names[better],
                names[worse],
                PairKind.VOTES if margin else None,
                {Label.POSITIVE: won, Label.SIMILAR: tied, Label.NEGATIVE: lost} if is_known else None,
                {Label.POSITIVE: lost, Label.SIMILAR: tied, Label.NEGATIVE: won} if is_known else None,
                abs(margin),
            )
        )
    return pairs


def majority_names(group: PatchGroup) -> list[str]:
    """The candidates whose consensus two or more annotators gave."""
    return [name for name, agreement in zip(group.candidates, group.agreement, strict=True) if agreement > 1]


def _names_with(group: PatchGroup, wanted: Label) -> list[str]:
    return [name for name, label in zip(group.candidates, group.consensus, strict=True) if label is wanted]


def count_votes(group: PatchGroup, name: str) -> dict[Label, int]:
    """How many annotators gave each label to a picture; 0 for the original."""
    given: Counter[Label] = Counter()
    if name != ORIGINAL:
        place = group.candidates.index(name)
        labels = (annotation.labels[place] for annotation in group.annotations if annotation.counts)
        given.update(label for label in labels if label is not None)
    return {label: given[label] for label in Label}


def _margin(chosen: dict[Label, int], rejected: dict[Label, int]) -> float:
    return float(_preference(chosen) - _preference(rejected))


def _preference(votes: dict[Label, int]) -> Fraction:
    """The mean vote, exactly, so that equal means differ by exactly 0; 0 for the original."""
    return Fraction(sum(_PREFERENCE[label] * count for label, count in votes.items()), sum(votes.values()) or 1)
