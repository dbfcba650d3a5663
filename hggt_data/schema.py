"""The nouns of HGGT as frozen values: PatchId, Label, Annotation, Consensus, PatchGroup, Problem.

No I/O, no third-party imports. The words are those of the paper (CVPR 2023): a *patch group* is one original patch and
its enhanced *candidates*, which *annotators* judged; the *consensus* is the label that enough of them gave.
"""

import re
import string
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from hggt_data.errors import NameFormatError

ORIGINAL = "original"
LR = "lr"
SLOTS = string.ascii_uppercase  # what a tree calls the votes of a group: A, B, C and so on


class Label(Enum):
    """What an annotator says of a candidate, compared with the original. The value is the word in the official JSON."""

    POSITIVE = "Positive"
    SIMILAR = "Similar"
    NEGATIVE = "Negative"

    @property
    def class_name(self) -> str:
        """The name in a `ClassLabel` column: `positive`, `similar`, `negative`."""
        return self.value.lower()

    @property
    def class_id(self) -> int:
        """The position among the names of a `ClassLabel` column: 0 positive, 1 similar, 2 negative."""
        return list(Label).index(self)


def label_from_class_id(class_id: int | None) -> Label | None:
    """The label of a `ClassLabel` integer; null stays null."""
    return None if class_id is None else list(Label)[class_id]


# No separators, control characters or stray bytes in a name (CSV and JSON take none); numbers fit int32.
_PATCH_ID = re.compile(
    r"(?P<image>[^/\\\x00-\x1f\x7f\ud800-\udfff]+)-(?P<top>0|[1-9][0-9]{0,8})-(?P<left>0|[1-9][0-9]{0,8})"
)


@dataclass(frozen=True, order=True, slots=True)
class PatchId:
    """Which patch: the name of the source picture and the patch's top row and left column in it, in pixels.

    Written `IMAGE-TOP-LEFT`; IMAGE itself may hold dashes. Sorted by picture, then row, then column.

    Example:
        >>> PatchId.parse("0001-586-1469")
        PatchId(image='0001', top=586, left=1469)
        >>> str(PatchId("my-photo", 0, 96))
        'my-photo-0-96'

    Source: official README and `patch_select.py`, where the first number runs over the rows.
    """

    image: str
    top: int
    left: int

    @classmethod
    def parse(cls, text: str) -> "PatchId":
        """Read `IMAGE-TOP-LEFT`.

        Raises:
            NameFormatError: the text has another form. Numbers with leading zeros are refused, because they
                would not be written back the same.
        """
        match = _PATCH_ID.fullmatch(text)
        if match is None:
            raise NameFormatError(
                f"{text!r} is no patch name; expected IMAGE-TOP-LEFT with whole numbers below 10^9 without "
                "leading zeros, such as 0001-586-1469"
            )
        return cls(match["image"], int(match["top"]), int(match["left"]))

    def __str__(self) -> str:
        return f"{self.image}-{self.top}-{self.left}"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's labels for one group.

    Attributes:
        slot: the folder the JSON lies in (`A`, `B`, `C`). Several people filled each official slot.
        labels: one label per candidate, in the order of the group's candidates.
        start, end: local wall-clock times as the annotation tool wrote them; null where they could not be read.
        seconds: the recorded time for the group. The official tool's value need not equal `end - start`.
        annotator: the person behind the slot (a pseudonym), null where the tree does not tell.
    """

    slot: str
    labels: tuple[Label, ...]
    start: datetime | None = None
    end: datetime | None = None
    seconds: float | None = None
    annotator: str | None = None


@dataclass(frozen=True, slots=True)
class Consensus:
    """The label that a group of annotators gives to one candidate.

    Attributes:
        label: null with fewer than two votes.
        agreement: how many annotators gave that label; 1 when they disagreed and it fell to Similar, 0 when null.
        num_votes: how many annotators voted.
    """

    label: Label | None
    agreement: int
    num_votes: int


@dataclass(frozen=True)
class PatchGroup:
    """One original patch, its candidates' names, and what the annotators said of them.

    Attributes:
        candidates: names of the enhanced versions, sorted (`01`..`04` in the official data).
        annotations: one per slot, sorted by slot.
        consensus, agreement, num_votes: one value per candidate, in their order; see `Consensus`.
    """

    id: PatchId
    candidates: tuple[str, ...]
    annotations: tuple[Annotation, ...]
    consensus: tuple[Label | None, ...]
    agreement: tuple[int, ...]
    num_votes: tuple[int, ...]

    @property
    def positives(self) -> tuple[str, ...]:
        """Candidates whose consensus is Positive."""
        return self._with_label(Label.POSITIVE)

    @property
    def negatives(self) -> tuple[str, ...]:
        """Candidates whose consensus is Negative."""
        return self._with_label(Label.NEGATIVE)

    def _with_label(self, wanted: Label) -> tuple[str, ...]:
        return tuple(name for name, label in zip(self.candidates, self.consensus, strict=True) if label is wanted)
