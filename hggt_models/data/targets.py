"""The image that the losses compare an output with, in which the published experiments differ.

| target | learns from | compares the output with |
|---|---|---|
| `picture` | a folder of pictures | the picture itself |
| `original` | all groups | the original |
| `positive` | groups with a positive | one of its positives |
| `positive_negative` | also groups with a negative | one of its positives, and away from one of its negatives |

The LR is always made from the picture or the original, never from a positive.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from hggt_data.schema import ORIGINAL, PatchGroup
from hggt_models.config.sections import TargetKind


@dataclass(frozen=True, slots=True)
class GroupLabels:
    """The labels of a group that targets need, small enough to hold for all groups.

    Attributes:
        positives: Candidates with the consensus Positive, each with its agreement.
        negatives: Candidates with the consensus Negative, each with its agreement.
        num_annotators: Number of annotators of the group.
    """

    positives: tuple[tuple[str, int], ...]
    negatives: tuple[tuple[str, int], ...]
    num_annotators: int

    @classmethod
    def of(cls, group: PatchGroup) -> "GroupLabels":
        """The labels of this group."""
        agreement = dict(zip(group.candidates, group.agreement, strict=True))

        def with_agreement(names: Sequence[str]) -> tuple[tuple[str, int], ...]:
            return tuple((name, agreement[name]) for name in names)

        return cls(with_agreement(group.positives), with_agreement(group.negatives), max(group.num_votes))

    def names(self, target: TargetKind) -> list[str]:
        """All pictures of the group that a run with this target may read."""
        wanted = {"positive": self.positives, "positive_negative": self.positives + self.negatives}
        return [ORIGINAL, *(name for name, _ in wanted.get(target, ()))]

    def serves(self, target: TargetKind) -> bool:
        """Whether a run with this target learns from the group."""
        if target == "original":
            return True
        return bool(self.positives) or (target == "positive_negative" and bool(self.negatives))


@dataclass(frozen=True, slots=True)
class Choice:
    """The pictures of one group that one sample uses.

    Attributes:
        names: Pictures to read: the original; for `positive` and `positive_negative` then the positive to compare
            with; for `positive_negative` then the positive and the negative of the negative map. The original replaces
            what the group does not have.
        positive_agreement: Agreement on the positive of the negative map.
        negative_agreement: Agreement on the negative.
        num_annotators: Number of annotators of the group.
        has_positive: Whether the group has a positive.
        has_negative: Whether the group has a negative.
    """

    names: tuple[str, ...]
    positive_agreement: int = 0
    negative_agreement: int = 0
    num_annotators: int = 1
    has_positive: bool = False
    has_negative: bool = False


def choose(group: GroupLabels, target: TargetKind, rng: random.Random) -> Choice:
    """Draw the pictures of one sample.

    The positive of the negative map is drawn again, not the one that the losses compare with.

    Source: official `data/posneggt_posneg_dataset.py` and `models/ours_posneggt_model.py`.
    """
    if target in ("picture", "original"):
        return Choice((ORIGINAL,))
    positive = rng.choice(group.positives)[0] if group.positives else ORIGINAL
    if target == "positive":
        return Choice((ORIGINAL, positive))
    # In the official code an original that replaces a positive has full agreement.
    map_positive, positive_agreement = (
        rng.choice(group.positives) if group.positives else (ORIGINAL, group.num_annotators)
    )
    negative, negative_agreement = rng.choice(group.negatives) if group.negatives else (ORIGINAL, 0)
    return Choice(
        (ORIGINAL, positive, map_positive, negative),
        positive_agreement,
        negative_agreement,
        group.num_annotators,
        bool(group.positives),
        bool(group.negatives),
    )
