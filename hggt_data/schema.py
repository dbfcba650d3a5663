"""The nouns of judged pictures as frozen values: Label, Annotation, PairVote, Consensus, PatchGroup, PatchId.

No I/O, no third-party imports. The words are those of HGGT (CVPR 2023): a *patch group* is one original picture or
patch and its enhanced *candidates*, which *annotators* judged; the *consensus* is the label that enough of them gave.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Literal

from hggt_data.errors import NameFormatError

ORIGINAL = "original"
SPLITS = ("train", "validation", "test")
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


# No path separators, control characters or undecodable bytes: CSV, JSON and file names do not allow them.
_NAME = r"[^/\\\x00-\x1f\x7f\ud800-\udfff]+"
_GROUP_ID = re.compile(_NAME)
_PATCH_ID = re.compile(rf"(?P<image>{_NAME})-(?P<top>0|[1-9][0-9]{{0,8}})-(?P<left>0|[1-9][0-9]{{0,8}})")  # int32
_CANDIDATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def require_group_id(text: str) -> str:
    """The text, if it can be the id of a group: one line without slashes and control characters.

    Raises:
        NameFormatError: It cannot.
    """
    if not _GROUP_ID.fullmatch(text) or text.strip(".") == "":
        raise NameFormatError(
            f"{text!r} is not a group id; expected one line of text without slashes and control characters"
        )
    return text


def is_candidate(name: str) -> bool:
    """Whether a candidate may have this name: letters, digits and `._+-`, at most 64, and not `original` or `lr`."""
    return _CANDIDATE.fullmatch(name) is not None and name.lower() not in (ORIGINAL, LR)


GroupOrder = tuple[str, int, int, str]


def group_order(
    group_id: str, image_name: str | None = None, top: int | None = None, left: int | None = None
) -> GroupOrder:
    """The key that sorts groups: by source picture, then row and column (those without a place first), then id.

    Without `image_name` an id of the form `IMAGE-TOP-LEFT` names the picture and its place.

    Example:
        >>> sorted(["cat-163-0", "cat-27-0", "bird"], key=group_order)
        ['bird', 'cat-27-0', 'cat-163-0']
    """
    if image_name is None:
        try:
            patch = PatchId.parse(group_id)
            image_name, top, left = patch.image, patch.top, patch.left
        except NameFormatError:
            image_name = group_id
    return image_name, -1 if top is None else top, -1 if left is None else left, group_id


@dataclass(frozen=True, order=True, slots=True)
class PatchId:
    """HGGT's name of a patch: the name of its source picture, and its top row and left column there, in pixels.

    Written `IMAGE-TOP-LEFT`; IMAGE may contain dashes. They sort by picture, then row, then column.

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


AnnotatorKind = Literal["person", "model"]
VoteKind = Literal["vote", "gold", "repeat", "practice"]
# What votes without a majority give: by `hggt` Similar with agreement 1, by `majority` no label.
ConsensusRule = Literal["hggt", "majority"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How annotators were asked; labels of two protocols are not the same measurement. None if unknown.

    Attributes:
        blind: Whether the original was hidden: each candidate was compared with it in a pair, in random order.
        question: What the page asked.
        versions_at_once: How many pictures were compared at once, counting the original.
        full_zoom: Whether an answer required every version to have been seen at 100 %.
    """

    blind: bool | None = None
    question: str | None = None
    versions_at_once: int | None = None
    full_zoom: bool | None = None

    def differences(self, other: "Protocol") -> list[str]:
        """What both know and differ in, such as `blind is True and False`."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return [f"{name} is {one!r} and {two!r}" for name, one, two in pairs if None not in (one, two) and one != two]

    def shared(self, other: "Protocol") -> "Protocol":
        """What both agree on; None where they differ, or one does not know it."""
        pairs = [(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return Protocol(*(one if one == two else None for one, two in pairs))

    def describe(self, mark: Callable[[str], str] = str) -> str:
        """What is known, in sentences; empty if nothing is. `mark` formats the question."""
        sentences = []
        if self.question is not None:
            sentences.append(f"The annotators were asked: {mark(self.question)}")
            if self.question not in (QUESTION, BLIND_QUESTION):
                sentences.append("Positive is the answer for the candidate, Negative for the original.")
        if self.blind is not None:
            shown = "hidden: it was one of two versions in random order" if self.blind else "shown and named"
            sentences.append(f"The original was {shown}.")
        if self.versions_at_once is not None:
            sentences.append(f"{self.versions_at_once} pictures were compared at once.")
        if self.full_zoom:
            sentences.append("An answer required every version to have been seen at 100 %.")
        return " ".join(sentences)


# The official data, and rounds that ask nothing else.
QUESTION = "Which versions look better than the original?"
BLIND_QUESTION = "Which version looks better?"
HGGT_PROTOCOL = Protocol(blind=False, question=QUESTION)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's labels for one group.

    Attributes:
        slot: The folder of the JSON file (`A`, `B`, `C`). Several people filled each official slot.
        labels: One label per candidate, in the order of the group's candidates; None where this annotator gave none.
        start: Local time at which the annotator opened the group; None if it could not be read.
        end: Local time at which the annotator finished; None if it could not be read.
        seconds: The recorded time for the group. The official tool's value need not equal `end - start`.
        annotator: Pseudonym of the person behind the slot; None if unknown.
        full_zoom: Whether this person saw every candidate at 100 %; None if unknown.
        annotator_kind: Whether a person or a model gave the labels.
        question: What was asked, where groups were judged under several questions.
        kind: Only a `vote` counts for the consensus; gold and practice have known answers, a repeat is a second look.
    """

    slot: str
    labels: tuple[Label | None, ...]
    start: datetime | None = None
    end: datetime | None = None
    seconds: float | None = None
    annotator: str | None = None
    full_zoom: bool | None = None
    annotator_kind: AnnotatorKind = "person"
    question: str | None = None
    kind: VoteKind = "vote"

    @property
    def counts(self) -> bool:
        """Whether it is a person's vote, which counts for consensus and agreement."""
        return is_vote_of_person(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What is known about any vote but an annotation; everything is optional.

    Attributes:
        slot: Folder or position of the vote in its source; not a person.
        annotator: Pseudonym of the person, or name of the model.
        annotator_kind: Whether a person or a model voted.
        question: What was asked.
        kind: As for `Annotation`.
        start: Local time at which the versions were shown.
        end: Local time of the answer.
        seconds: The recorded time.
        count: How many votes this one stands for.
    """

    slot: str | None = None
    annotator: str | None = None
    annotator_kind: AnnotatorKind = "person"
    question: str | None = None
    kind: VoteKind = "vote"
    start: datetime | None = None
    end: datetime | None = None
    seconds: float | None = None
    count: int = 1

    @property
    def counts(self) -> bool:
        """Whether it is a person's vote, which counts for agreement."""
        return is_vote_of_person(self)


@dataclass(frozen=True, slots=True)
class PairVote(Vote):
    """A vote between two versions of a group, one of which may be `original`.

    Attributes:
        first: The version shown first, or left.
        second: The other version.
        preferred: Which was preferred, or `tie`; None for several votes of which only the share is known.
        share: Of `count` votes, the share that preferred the first, ties as half; None for a single vote.
    """

    first: str
    second: str
    preferred: Literal["first", "second", "tie"] | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class ChoiceVote(Vote):
    """A choice of the best among several versions of a group.

    Attributes:
        shown: The versions in the order shown; one may be `original`.
        preferred: The version that was chosen.
    """

    shown: tuple[str, ...]
    preferred: str


@dataclass(frozen=True, slots=True)
class Score(Vote):
    """An opinion score of one version of a group, on a scale that the data defines.

    Attributes:
        candidate: The version; may be `original`.
        score: The score, or the mean of `votes` scores.
        std: Standard deviation of these scores, if known.
        votes: How many scores it is the mean of, if known.
    """

    candidate: str
    score: float
    std: float | None = None
    votes: int | None = None


def is_vote_of_person(vote: Annotation | Vote) -> bool:
    """Whether a vote counts as a person's: not by a model, and neither gold, practice nor a repeat."""
    return vote.kind == "vote" and vote.annotator_kind == "person"


@dataclass(frozen=True, slots=True)
class Consensus:
    """The label that a group of annotators gives to one candidate.

    Attributes:
        label: The label; None with fewer than two votes, or where the layout's rule finds no majority.
        agreement: How many annotators gave it; 1 if no two agreed (the label is then Similar), 0 without a label.
        num_votes: How many annotators voted.
    """

    label: Label | None
    agreement: int
    num_votes: int


@dataclass(frozen=True)
class PatchGroup:
    """One original picture or patch, its candidates' names, and the annotators' votes on them.

    Attributes:
        id: The group's name: one line without slashes, `IMAGE-TOP-LEFT` in HGGT.
        image_name: The source picture.
        top: First row of the patch in the source picture; None if there is no place.
        left: First column; None if there is no place.
        candidates: Names of the enhanced versions, in the order of their source (`01`..`04` in the official data).
        annotations: The label votes, sorted by slot.
        consensus: One label per candidate, see `Consensus.label`.
        agreement: One count per candidate, see `Consensus.agreement`.
        num_votes: One count per candidate, see `Consensus.num_votes`.
        pairs: Votes between two versions.
        choices: Choices among several versions.
        scores: Opinion scores of versions.
        caption: What the pictures show, or the prompt they were made from; None if there is none.
    """

    id: str
    image_name: str
    top: int | None
    left: int | None
    candidates: tuple[str, ...]
    annotations: tuple[Annotation, ...]
    consensus: tuple[Label | None, ...]
    agreement: tuple[int, ...]
    num_votes: tuple[int, ...]
    pairs: tuple[PairVote, ...] = ()
    choices: tuple[ChoiceVote, ...] = ()
    scores: tuple[Score, ...] = ()
    caption: str | None = None

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
