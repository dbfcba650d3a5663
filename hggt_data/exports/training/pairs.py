"""Which pictures of which groups become training pairs. Nothing is written here.

The LR of a pair is always that of the original, never of a positive. Only the headers of pictures are read.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hggt_data.errors import DatasetError, ImageError
from hggt_data.exports.preferences import count_votes
from hggt_data.groups import Group, GroupSource
from hggt_data.io.text import format_examples, format_size, plural
from hggt_data.io.workers import show_progress
from hggt_data.schema import LR, ORIGINAL, Label, PatchGroup

Target = Literal["original", "positive", "positive-negative"]
PositiveRule = Literal["uniform", "agreement", "best", "all"]
Size = tuple[int, int]
# Trainers take what follows a dot for the file's ending, and what follows a space for the picture's size.
_UNSAFE = re.compile(r"[\s.%]")


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """One pair of an export.

    Attributes:
        name: Name of its files, without the ending.
        index: Position of its group in the source.
        target: Picture that the output is compared with: `original`, or a candidate.
        negative: Picture that the output should differ from.
        agreement: How many annotators called the target positive; 0 for the original.
        negative_agreement: How many annotators called the negative negative; 0 without one.
    """

    name: str
    index: int
    target: str
    negative: str | None
    agreement: int
    negative_agreement: int


@dataclass(frozen=True, slots=True)
class PairPlan:
    """All pairs of an export.

    Attributes:
        pairs: The pairs, in the order of the groups.
        sizes: (height, width) of each group's original, by the group's position.
        given_lr: Positions of the groups that have an LR image.
        scale: Side of the original divided by side of the LR; None if it is not known from given LR images.
    """

    pairs: Sequence[TrainingPair]
    sizes: dict[int, Size]
    given_lr: frozenset[int]
    scale: int | None

    @property
    def missing_lr(self) -> list[int]:
        """Positions of the groups without LR."""
        return [index for index in self.sizes if index not in self.given_lr]


def serves(group: PatchGroup, target: Target) -> bool:
    """Whether a run with this target learns from the group."""
    return (
        target == "original"
        or bool(group.positives)
        or (target == "positive-negative" and bool(group.negatives))  # the original replaces the positive
    )


def choose_pairs(group: PatchGroup, index: int, target: Target, rule: PositiveRule, seed: int) -> list[TrainingPair]:
    """The pairs of a group that serves the target; random choices follow from the seed and the group's name."""
    rng = random.Random(f"{seed}/{group.id}")
    agreement = dict(zip(group.candidates, group.agreement, strict=True))

    def choose(names: Sequence[str], opposite: Label) -> str:
        if rule == "agreement":
            return rng.choices(names, [agreement[name] for name in names])[0]
        if rule == "best":
            return max(names, key=lambda name: (agreement[name], -count_votes(group, name)[opposite]))
        return rng.choice(names)

    positives = group.positives if target != "original" else ()
    negatives = group.negatives if target == "positive-negative" else ()
    targets = positives if rule == "all" else [choose(positives, Label.NEGATIVE)] if positives else []
    stem = file_stem(group.id)
    pairs = []
    for name in targets or [ORIGINAL]:
        negative = choose(negatives, Label.POSITIVE) if negatives else None
        pairs.append(
            TrainingPair(
                name=f"{stem}_{file_stem(name)}" if rule == "all" and name != ORIGINAL else stem,
                index=index,
                target=name,
                negative=negative,
                agreement=agreement.get(name, 0),
                negative_agreement=agreement[negative] if negative else 0,
            )
        )
    return pairs


def file_stem(name: str) -> str:
    """A name in which spaces, dots and percent signs are written as `%20`: no two names become equal."""
    return _UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), name)


def plan_pairs(groups: GroupSource, target: Target, rule: PositiveRule, seed: int, *, with_lr: bool) -> PairPlan:
    """Choose the pairs of all groups, and check that their pictures fit each other.

    Raises:
        DatasetError: No group serves the target, or LR images have several scales.
        ImageError: Pictures are not 8-bit RGB, or differ in size.
    """
    pairs: list[TrainingPair] = []
    sizes: dict[int, Size] = {}
    scales: dict[int, int] = {}
    faults: list[str] = []
    for group in show_progress(groups, len(groups), "checking"):
        if not serves(group, target):
            continue
        found = choose_pairs(group, group.index, target, rule, seed)
        names = [ORIGINAL, *(name for pair in found for name in (pair.target, pair.negative) if name)]
        try:
            sizes[group.index] = _common_size(group, names)
            found = [_without_equal_negative(group, pair) for pair in found]
            if with_lr and group.has_picture(LR):
                scales[group.index] = _read_scale(group, sizes[group.index])
        except ImageError as error:
            faults.append(str(error))
        pairs += found
    if not pairs:
        raise DatasetError(f"{groups.location} has no groups with a positive; choose the target original")
    if faults:
        raise ImageError(
            f"{plural(len(faults), 'group')} of {groups.location} cannot be exported: {format_examples(faults)}; "
            "repair or remove them"
        )
    if twice := [name for name, count in Counter(pair.name for pair in pairs).items() if count > 1]:
        raise DatasetError(
            f"{groups.location}: several pairs would be called {format_examples(twice)}; rename a group, or choose "
            "another rule for `positives`"
        )
    if len(set(scales.values())) > 1:
        raise DatasetError(
            f"{groups.location} has LR images of the scales {', '.join(map(str, sorted(set(scales.values()))))}; "
            "expected one scale"
        )
    return PairPlan(pairs, sizes, frozenset(scales), next(iter(scales.values()), None))


def _without_equal_negative(group: Group, pair: TrainingPair) -> TrainingPair:
    """The pair without a negative that equals its target, as in training."""
    if pair.negative and np.array_equal(group.read(pair.target), group.read(pair.negative)):
        return replace(pair, negative=None, negative_agreement=0)
    return pair


def _common_size(group: Group, names: Sequence[str]) -> Size:
    """The size of these pictures of a group."""
    first: Size | None = None
    for name in dict.fromkeys(names):
        if not group.has_picture(name):
            raise ImageError(f"group {group.id} has no picture {name!r}")
        info = group.source.read_header(group.index, name)
        if info.mode != "8-bit RGB":
            raise ImageError(f"{group.name_picture(name)}: {info.mode}; expected 8-bit RGB")
        if info.size != (first := first or info.size):
            raise ImageError(
                f"{group.name_picture(name)}: {format_size(info.size)} px; its original has {format_size(first)} px"
            )
    assert first
    return first


def _read_scale(group: Group, size: Size) -> int:
    """The scale of a group's LR: its sides are those of the original divided by it, rounded down."""
    lr = group.source.read_header(group.index, LR).size
    scale = size[0] // lr[0] if lr[0] else 0
    if scale < 1 or lr != (size[0] // scale, size[1] // scale):
        raise ImageError(
            f"{group.name_picture(LR)}: {format_size(lr)} px; expected a whole fraction of its original, "
            f"{format_size(size)} px"
        )
    return scale
