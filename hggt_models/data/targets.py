"""The image that the losses compare an output with, in which the published experiments differ.

| target | learns from | compares the output with |
|---|---|---|
| `picture` | a folder of pictures | the picture itself |
| `original` | all groups | the original |
| `positive` | groups with a positive | one of its positives |
| `positive_negative` | also groups with a negative | one of its positives, and away from one of its negatives |
| `preference` | groups with a preference pair | the chosen picture of a pair, and away from the rejected one |

The LR is always made from the picture or the original, never from a positive.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hggt_data.exports.preferences import PairKind, preference_pairs
from hggt_data.schema import ORIGINAL, PatchGroup
from hggt_models.config.sections import WHOLE_GROUP, PositiveRule, TargetKind

Agreed = tuple[str, int]  # a candidate, and how many annotators gave it its consensus


@dataclass(frozen=True, slots=True)
class Preference:
    """Two pictures of a group, the first of which people prefer.

    Attributes:
        chosen: The preferred one.
        rejected: The other one.
        chosen_share: Share of the annotators who gave the chosen picture its label; of votes on the pair itself, the
            share of those for it, in which a tie counts half.
        rejected_share: The same share for the label of the rejected picture; of votes on the pair again the share of
            those for the chosen one.
    """

    chosen: str
    rejected: str
    chosen_share: float
    rejected_share: float


@dataclass(frozen=True, slots=True)
class GroupLabels:
    """The labels of a group that targets need, small enough to hold for all groups.

    Attributes:
        positives: Candidates with the consensus Positive, each with its agreement.
        negatives: Candidates with the consensus Negative, each with its agreement.
        num_annotators: Number of annotators of the group.
        preferences: Pairs for the target `preference`, otherwise none.
    """

    positives: tuple[Agreed, ...]
    negatives: tuple[Agreed, ...]
    num_annotators: int
    preferences: tuple[Preference, ...] = ()

    @classmethod
    def of(cls, group: PatchGroup, target: TargetKind = "positive_negative") -> "GroupLabels":
        """The labels of this group that a run with this target needs."""
        agreement = dict(zip(group.candidates, group.agreement, strict=True))

        def with_agreement(names: Sequence[str]) -> tuple[Agreed, ...]:
            return tuple((name, agreement[name]) for name in names)

        return cls(
            with_agreement(group.positives),
            with_agreement(group.negatives),
            max(group.num_votes),
            _preferences(group, agreement) if target == "preference" else (),
        )

    def names(self, target: TargetKind) -> list[str]:
        """All pictures of the group that a run with this target may read."""
        if target == "preference":
            return list(dict.fromkeys([ORIGINAL, *(name for one in self.preferences for name in _pictures(one))]))
        wanted = {"positive": self.positives, "positive_negative": self.positives + self.negatives}
        return [ORIGINAL, *(name for name, _ in wanted.get(target, ()))]

    def serves(self, target: TargetKind) -> bool:
        """Whether a run with this target learns from the group."""
        if target == "original":
            return True
        if target == "preference":
            return bool(self.preferences)
        return bool(self.positives) or (target == "positive_negative" and bool(self.negatives))

    @property
    def rejected(self) -> list[str]:
        """The candidates that people rejected, by label or in a pair."""
        return [
            *(name for name, _ in self.negatives),
            *(p.rejected for p in self.preferences if p.rejected != ORIGINAL),
        ]

    @property
    def best(self) -> list[str]:
        """What a result is compared with: the positives, or without labels what is preferred and never rejected."""
        rejected = {one.rejected for one in self.preferences}
        preferred = dict.fromkeys(one.chosen for one in self.preferences if one.chosen not in rejected)
        return [name for name, _ in self.positives] or list(preferred)


def _preferences(group: PatchGroup, agreement: Mapping[str, int]) -> tuple[Preference, ...]:
    """The pairs of positives and negatives, in which the original replaces what is missing; and those voted on.

    As in the published runs, similar candidates are not used, and the original only where one of the two is missing.
    """
    has_both = bool(group.positives and group.negatives)
    of_labels = {PairKind.POSITIVE_NEGATIVE} if has_both else {PairKind.POSITIVE_ORIGINAL, PairKind.ORIGINAL_NEGATIVE}
    agreed = {ORIGINAL: 1.0, **{name: number / max(group.num_votes) for name, number in agreement.items() if number}}
    found = []
    for pair in preference_pairs(group, {*of_labels, PairKind.VOTES}):
        if pair.kind is PairKind.VOTES:
            share = (1 + pair.margin) / 2
            found.append(Preference(pair.chosen, pair.rejected, share, share))
        else:
            found.append(Preference(pair.chosen, pair.rejected, agreed[pair.chosen], agreed[pair.rejected]))
    return tuple(found)


def _pictures(preference: Preference) -> tuple[str, str]:
    return preference.chosen, preference.rejected


def most_positives(labelled: Iterable[GroupLabels]) -> int:
    """The number of positives of the group that has most of them, at least 1."""
    return max((len(one.positives) for one in labelled), default=1) or 1


@dataclass(frozen=True, slots=True)
class Choice:
    """The pictures of one group that one sample uses.

    Attributes:
        names: Pictures to read: the original; except for the target `original` then the one to compare with; for
            `positive_negative` and `preference` then the positive and the negative of the negative map. The original
            replaces what the group does not have.
        positive_agreement: Agreement on the positive of the negative map; for `preference` its share.
        negative_agreement: Agreement on the negative; for `preference` its share.
        num_annotators: Number of annotators of the group; for `preference` 1.
        has_positive: Whether the group has a positive.
        has_negative: Whether the group has a negative.
        others: The other positives, for the rules that compare with all of them.
    """

    names: tuple[str, ...]
    positive_agreement: float = 0
    negative_agreement: float = 0
    num_annotators: int = 1
    has_positive: bool = False
    has_negative: bool = False
    others: tuple[str, ...] = ()


def choose(group: GroupLabels, target: TargetKind, rng: random.Random, rule: PositiveRule = "uniform") -> Choice:
    """Draw the pictures of one sample.

    The positive of the negative map is drawn again, not the one that the losses compare with.

    Source: official `data/posneggt_posneg_dataset.py` and `models/ours_posneggt_model.py`.
    """
    if target in ("picture", "original"):
        return Choice((ORIGINAL,))
    if target == "preference":
        pair = rng.choice(group.preferences)
        return Choice(
            (ORIGINAL, pair.chosen, pair.chosen, pair.rejected),
            positive_agreement=pair.chosen_share,
            negative_agreement=pair.rejected_share,
            has_positive=True,
            has_negative=True,
        )
    positive = _draw(group.positives, rule, rng)[0] if group.positives else ORIGINAL
    others = tuple(name for name, _ in group.positives if name != positive) if rule in WHOLE_GROUP else ()
    if target == "positive":
        return Choice((ORIGINAL, positive), others=others)
    # In the official code an original that replaces a positive has full agreement.
    map_positive, positive_agreement = (
        _draw(group.positives, rule, rng) if group.positives else (ORIGINAL, group.num_annotators)
    )
    negative, negative_agreement = rng.choice(group.negatives) if group.negatives else (ORIGINAL, 0)
    return Choice(
        (ORIGINAL, positive, map_positive, negative),
        positive_agreement,
        negative_agreement,
        group.num_annotators,
        bool(group.positives),
        bool(group.negatives),
        others,
    )


def _draw(positives: Sequence[Agreed], rule: PositiveRule, rng: random.Random) -> Agreed:
    """A positive by the rule; the rules that compare with all positives begin with any of them."""
    if rule == "agreement":
        return rng.choices(positives, [agreement for _, agreement in positives])[0]
    if rule == "best":
        most = max(agreement for _, agreement in positives)
        return rng.choice([one for one in positives if one[1] == most])
    return rng.choice(positives)
