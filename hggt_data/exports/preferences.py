"""From the labels of a group to pairs of pictures of which people prefer one. No I/O.

The consensus decides which pairs there are; the votes tell by how much one is preferred.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from hggt_data.schema import ORIGINAL, Label, PatchGroup

# What one vote says of a candidate, compared with the original, which so stands at 0.
_PREFERENCE = {Label.POSITIVE: 1, Label.SIMILAR: 0, Label.NEGATIVE: -1}


class PairKind(Enum):
    """Of which consensus the two are: P positive, S similar, N negative. The value is the word in the column `kind`."""

    POSITIVE_SIMILAR = "P>S"
    POSITIVE_NEGATIVE = "P>N"
    SIMILAR_NEGATIVE = "S>N"
    POSITIVE_ORIGINAL = "P>original"
    ORIGINAL_NEGATIVE = "original>N"

    @classmethod
    def _missing_(cls, value: object) -> "PairKind | None":
        """The name that a shell takes unquoted, such as `P-S`."""
        return next((kind for kind in cls if kind.value.replace(">", "-") == value), None)


PairName = Literal["P-S", "P-N", "S-N", "P-original", "original-N"]


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two pictures of a group, the first of which is preferred.

    Attributes:
        chosen, rejected: their names: a candidate, or `original`.
        votes_chosen, votes_rejected: how many annotators gave each label; none for the original.
        margin: see `preference_pairs`.
    """

    chosen: str
    rejected: str
    kind: PairKind
    votes_chosen: dict[Label, int]
    votes_rejected: dict[Label, int]
    margin: float


def preference_pairs(group: PatchGroup, kinds: Collection[PairKind] = tuple(PairKind)) -> list[PreferencePair]:
    """All pairs of a group, by kind, then by name.

    Every positive is preferred to every similar and negative candidate and to the original, every similar candidate to
    every negative one, and the original to every negative one. Original and similar, and two of the same consensus,
    make no pair; nor does a candidate without consensus.

    `margin` is the difference of the mean preferences, from -2 to 2: a vote counts 1 for Positive, 0 for Similar, -1
    for Negative, and the original has 0:

        margin = (positive - negative votes of chosen) / votes  -  (positive - negative votes of rejected) / votes

    It is above 0 for P>N, P>original and original>N. For P>S and S>N it can be 0 or, with more than three annotators,
    less: two Positive and one Negative make a positive of mean 1/3, as two Similar and one Positive make a similar.

    Args:
        group: the labels.
        kinds: which pairs.

    Example:
        >>> from hggt_data.consensus import judge_group
        >>> from hggt_data.schema import Annotation, PatchId
        >>> votes = [Annotation(slot, (Label.POSITIVE, Label.NEGATIVE)) for slot in "ABC"]
        >>> pairs = preference_pairs(judge_group(PatchId("cat", 0, 0), ("01", "02"), votes))
        >>> [(pair.chosen, pair.rejected, pair.kind.value, pair.margin) for pair in pairs]
        [('01', '02', 'P>N', 2.0), ('01', 'original', 'P>original', 1.0), ('original', '02', 'original>N', 1.0)]
    """
    votes = {name: _count_votes(group, name) for name in (ORIGINAL, *group.candidates)}
    names = {
        "original": [ORIGINAL],
        **{
            label.value[0]: [n for n, drawn in zip(group.candidates, group.consensus, strict=True) if drawn is label]
            for label in Label
        },
    }
    pairs = []
    for kind in PairKind:
        if kind in kinds:
            better, worse = kind.value.split(">")
            pairs += [
                PreferencePair(
                    chosen, rejected, kind, votes[chosen], votes[rejected], _margin(votes[chosen], votes[rejected])
                )
                for chosen in names[better]
                for rejected in names[worse]
            ]
    return pairs


def _count_votes(group: PatchGroup, name: str) -> dict[Label, int]:
    given: Counter[Label] = Counter()
    if name != ORIGINAL:
        place = group.candidates.index(name)
        given.update(annotation.labels[place] for annotation in group.annotations)
    return {label: given[label] for label in Label}


def _margin(chosen: dict[Label, int], rejected: dict[Label, int]) -> float:
    # All candidates of a group have as many votes: one division, so that what is equal gives 0 exactly.
    num_votes = max(sum(chosen.values()), sum(rejected.values()))
    return (_preference(chosen) - _preference(rejected)) / num_votes


def _preference(votes: dict[Label, int]) -> int:
    return sum(_PREFERENCE[label] * count for label, count in votes.items())
