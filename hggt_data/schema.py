"""The nouns of HGGT as frozen values: PatchId, Label, Annotation, Consensus, PatchGroup.

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
SLOTS = string.ascii_uppercase  # the folders of votes in a tree: A, B, C, ...


class Label(Enum):
    """An annotator's verdict on a candidate compared with the original. The value is the word in the official JSON."""

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
    """The label of a `ClassLabel` integer; None stays None."""
    return None if class_id is None else list(Label)[class_id]


# No path separators, control characters or undecodable bytes: CSV and JSON do not allow them. Numbers fit int32.
_PATCH_ID = re.compile(
    r"(?P<image>[^/\\\x00-\x1f\x7f\ud800-\udfff]+)-(?P<top>0|[1-9][0-9]{0,8})-(?P<left>0|[1-9][0-9]{0,8})"
)


@dataclass(frozen=True, order=True, slots=True)
class PatchId:
    """The id of a patch: the name of its source picture, and its top row and left column there, in pixels.

    Written `IMAGE-TOP-LEFT`; IMAGE may contain dashes. Ids sort by picture, then row, then column.

    Attributes:
        image: Name of the source picture.
        top: First row of the patch.
        left: First column of the patch.

    Example:
        >>> from hggt_data import PatchId
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
            NameFormatError: The text has another form. Leading zeros are refused, because they would be lost when the
                id is written again.
        """
        match = _PATCH_ID.fullmatch(text)
        if match is None:
            raise NameFormatError(
                f"{text!r} is not a patch name; expected IMAGE-TOP-LEFT with integers below 10^9 and no leading zeros, "
                "such as 0001-586-1469"
            )
        return cls(match["image"], int(match["top"]), int(match["left"]))

    def __str__(self) -> str:
        return f"{self.image}-{self.top}-{self.left}"


# Suffixes of the versions of a picture: DF2K's scaled ones (`T0`), sub-images (`_s001`), and LR ones (`x4`, `x4m`).
# Those of a patch are also its candidates (`0001-586-1469_01`).
_VERSION = r"(?:T[0-9]{1,2}|_s[0-9]+|_?[xX][0-9]{1,2}(?:[dm]|w[0-9])?)"
_PLACE = r"(?:-(?:0|[1-9][0-9]{0,4})){2}"
_VERSION_OF = re.compile(f"(?P<image>.+?){_VERSION}*(?:{_PLACE}{_VERSION}*(?:_[0-9]{{2}})?)?{_VERSION}*", re.DOTALL)


def source_picture(stem: str, folder: str = "") -> str:
    """The name of the picture that a file with this stem is a version or a patch of, as far as the name tells.

    `folder` is the name of the file's folder: in `01/` the suffix `_01` belongs to a candidate. Two pictures with names
    such as `scene-1-2` and `scene-3-4` look like patches of one.

    Example:
        >>> [source_picture(stem) for stem in ("0001", "0001-586-1469", "0001T0_s001", "0001x4", "0001T1_s002-0-96")]
        ['0001', '0001', '0001', '0001', '0001']
        >>> source_picture("0001-586-1469_01", folder="01"), source_picture("holiday_01", folder="photos")
        ('0001', 'holiday_01')
    """
    if len(folder) > 1 and folder.isdecimal():  # also of a version of a candidate, `0001_01_s001`
        stem = re.sub(rf"(?<=.)_{folder}(?={_VERSION}*\Z)", "", stem, flags=re.DOTALL)
    match = _VERSION_OF.fullmatch(stem)
    return match["image"] if match else stem


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's labels for one group.

    Attributes:
        slot: The folder of the JSON file (`A`, `B`, `C`). Several people filled each official slot.
        labels: One label per candidate, in the order of the group's candidates.
        start: Local time at which the annotator opened the group; None if it could not be read.
        end: Local time at which the annotator finished; None if it could not be read.
        seconds: The recorded time for the group. The official tool's value need not equal `end - start`.
        annotator: Pseudonym of the person behind the slot; None if unknown.
        full_zoom: Whether this person saw every candidate at 100 %; None if unknown, as in a built dataset.
    """

    slot: str
    labels: tuple[Label, ...]
    start: datetime | None = None
    end: datetime | None = None
    seconds: float | None = None
    annotator: str | None = None
    full_zoom: bool | None = None


@dataclass(frozen=True, slots=True)
class Consensus:
    """The label that a group of annotators gives to one candidate.

    Attributes:
        label: The label; None with fewer than two votes.
        agreement: How many annotators gave it; 1 if no two agreed (the label is then Similar), 0 without a label.
        num_votes: How many annotators voted.
    """

    label: Label | None
    agreement: int
    num_votes: int


@dataclass(frozen=True)
class PatchGroup:
    """One original patch, its candidates' names, and the annotators' labels for them.

    Attributes:
        id: Source picture and place of the patch.
        candidates: Names of the enhanced versions, sorted (`01`..`04` in the official data).
        annotations: One per slot, sorted by slot.
        consensus: One label per candidate, see `Consensus.label`.
        agreement: One count per candidate, see `Consensus.agreement`.
        num_votes: One count per candidate, see `Consensus.num_votes`.
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
