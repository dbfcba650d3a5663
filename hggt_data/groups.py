"""Patch groups of any source, with single pictures read on demand: the base of trees and datasets."""

import hashlib
import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cached_property, partial
from typing import SupportsIndex, overload

from hggt_data.errors import ImageError
from hggt_data.io.images import DIGEST_DIGITS, Pixels, PngInfo, decode_png, hash_pixels, parse_png_beginning
from hggt_data.io.names import by_look, note_lookalike
from hggt_data.io.text import plural
from hggt_data.licence import UNKNOWN_LICENSE
from hggt_data.schema import ORIGINAL, ConsensusRule, PatchGroup, Protocol, Vote
from hggt_data.study_plan import StudyPlan

# Of a vote; a published dataset has other names and times.
_FACTS_OF_PEOPLE = ("slot", "annotator", "start", "end", "seconds")


class GroupSource(ABC, Sequence["Group"]):
    """The patch groups of a tree or a dataset, sorted by `group_order`: a sequence of `Group`.

    `groups[3]`, `groups["coffee-0-0"]` and `groups[2:5]` read labels only; `groups[3].read("01")` reads one picture.
    A source can be pickled and shared by processes and threads.

    Attributes:
        location: Where it was opened from, for messages.
        candidates: Names of the enhanced versions; a group may lack the picture of some.
        ids: One per group, in the order of `group_order`.
        split: `train`, `validation` or `test`; an HGGT tree is `test` if its pictures are under `GT/`.
        layout: Layout of the tree, or of the trees that a dataset was built from.
        consensus_rule: Rule for the consensus: votes without a majority give Similar by `hggt`, none by `majority`.
        license: Licence id of the data; `hggt-terms` or `unknown` if it must not be passed on.
        revision: Commit of a dataset on the Hub; None for a folder.
        protocol: How the annotators were asked.
        unjudged_ground_truths: What restored images are compared with in data without labels; empty for nothing.
    """

    location: str
    candidates: tuple[str, ...]
    ids: Sequence[str]
    split: str
    layout: str = "hggt"
    consensus_rule: ConsensusRule = "hggt"
    license: str = UNKNOWN_LICENSE
    revision: str | None = None
    protocol: Protocol = Protocol()
    unjudged_ground_truths: tuple[str, ...] = (ORIGINAL,)

    def __repr__(self) -> str:
        return f"<{plural(len(self), 'group')}, split {self.split!r}, of {self.location}>"

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int | str) -> "Group": ...
    @overload
    def __getitem__(self, index: slice) -> "list[Group]": ...
    def __getitem__(self, index: int | str | slice) -> "Group | list[Group]":
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if isinstance(index, str):
            index = self._find(index)
        if not isinstance(index, SupportsIndex):
            raise TypeError(f"index {index!r} of {self.location}; expected a number, the id of a group, or a slice")
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"group {index} of {len(self)} in {self.location}")
        index %= len(self)
        return Group(**vars(self._read_labels(index)), source=self, index=index)

    def __contains__(self, group: object) -> bool:
        """Whether it has this group, given as a `Group` or an id."""
        return super().__contains__(group) if isinstance(group, PatchGroup) else group in self._index_of

    def _find(self, group: str) -> int:
        """The index of a group by its id."""
        if group not in self._index_of:
            raise KeyError(f"{self.location} has no group {group!r}{self.suggest(group)}")
        return self._index_of[group]

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {group: index for index, group in enumerate(self.ids)}

    @cached_property
    def has_labels(self) -> bool:
        """Whether candidates were labelled; data may have votes of other kinds only."""
        return any(group.annotations for group in self)

    @property
    def has_ground_truths(self) -> bool:
        """Whether restored images can be compared with anything."""
        return self.has_labels or bool(self.unjudged_ground_truths)

    def read_plan(self) -> StudyPlan | None:
        """The plan of the study that the votes are from; None if there is none."""
        return None

    @property
    def image_names(self) -> Sequence[str]:
        """The source picture of each group; sources override it where that needs no labels."""
        return [self[index].image_name for index in range(len(self))]

    def find_equal_pictures(self) -> Iterable[tuple[str, str]]:
        """Pairs of source pictures with equal pixels in an original or candidate, as far as the source can tell."""
        return ()

    def suggest(self, group: str) -> str:
        """The end of a message about an unknown group: known ones that look the same or similar, if there are any."""
        near = get_close_matches(group, self.ids)
        return note_lookalike(group, by_look(self.ids)) or (f"; did you mean {' or '.join(near)}?" if near else "")

    @abstractmethod
    def _read_labels(self, index: int) -> PatchGroup:
        """The group's annotations and consensus."""

    @abstractmethod
    def read_bytes(self, index: int, name: str) -> bytes:
        """The PNG file of picture `name` (`original`, `01`.., `lr`) of group `index`; KeyError if it has none."""

    def read(self, index: int, name: str) -> Pixels:
        """The pixels of picture `name` of group `index`: uint8 (H, W, 3) RGB."""
        try:
            return decode_png(self.read_bytes(index, name))
        except ImageError as error:
            raise ImageError(f"{self.name_picture(index, name)}: {error}") from error

    def digest_pixels(self, index: int, name: str) -> str:
        """A digest of the pixels of picture `name` of group `index`; sources override it where they know it."""
        return hash_pixels(self.read(index, name))[:DIGEST_DIGITS]

    def read_header(self, index: int, name: str) -> PngInfo:
        """Size and mode of picture `name` of group `index`, from what precedes the pixels in its file."""
        try:
            return parse_png_beginning(partial(self._read_beginning, index, name))
        except ImageError as error:
            raise ImageError(f"{self.name_picture(index, name)}: {error}") from error

    def _read_beginning(self, index: int, name: str, size_bytes: int) -> bytes:
        """The first bytes of a picture; sources override it where reading less is cheaper."""
        return self.read_bytes(index, name)[:size_bytes]

    def name_picture(self, index: int, name: str) -> str:
        """How messages refer to a picture: its file, or the group in a file that holds many."""
        return f"{self.location}: picture {name} of {self.ids[index]}"

    def has_picture(self, index: int, name: str) -> bool:
        """Whether group `index` has a picture of that name; sources override it where that needs no reading."""
        try:
            self.read_bytes(index, name)
        except KeyError:
            return False
        return True

    def find_file(self, index: int, name: str) -> str | None:
        """The file of picture `name` of group `index`; None for a dataset.

        It is relative to the tree, or absolute if it is elsewhere.
        """
        return None

    def read_sources(self) -> dict[str, dict[str, str | None]]:
        """Origin, author and licence of each source picture, where known; empty for a tree."""
        return {}

    def labels_sha256(self) -> str:
        """One hash over all labels, see `hash_labels`."""
        return hash_labels(self)

    def _no_picture(self, index: int, name: str, names: Iterable[str]) -> KeyError:
        return KeyError(f"group {self.ids[index]} has no picture {name!r}; it has {', '.join(names)}")


@dataclass(frozen=True)
class Group(PatchGroup):
    """One patch group of an opened tree or dataset: its labels, and methods that read its pictures.

    A picture is named `original`, like a candidate (`01`, `02`, ...), or `lr` for the low-resolution input.

    Attributes:
        id: Name of the group; `IMAGE-TOP-LEFT` in HGGT.
        image_name: The source picture.
        top: First row of the patch in the source picture; None if there is no place.
        left: First column; None if there is no place.
        candidates: Names of the enhanced versions; `has_picture` says whether this group has one.
        annotations: One `Annotation` per slot, sorted by slot; its labels are in the order of `candidates`.
        consensus: One `Label` per candidate; None with fewer than two votes, or where the rule finds no majority.
        agreement: Per candidate, how many annotators gave the consensus label; 1 if no two agreed, 0 if there is none.
        num_votes: Per candidate, how many annotators voted.
        positives: Candidates whose consensus is Positive.
        negatives: Candidates whose consensus is Negative.
        source: The tree or dataset that it belongs to.
        index: Its position there.

    Example:
        >>> import tempfile
        >>> from hggt_data import open_groups, write_demo_tree
        >>> group = open_groups(write_demo_tree(tempfile.mkdtemp()).test)["coffee-0-0"]
        >>> [(name, label.value) for name, label in zip(group.candidates, group.consensus)]
        [('01', 'Similar'), ('02', 'Similar'), ('03', 'Negative'), ('04', 'Positive')]
        >>> group.agreement, group.positives, group.read("04").shape
        ((2, 2, 2, 2), ('04',), (192, 192, 3))
    """

    source: GroupSource = field(repr=False, compare=False, kw_only=True)
    index: int = field(repr=False, compare=False, kw_only=True)

    @property
    def ground_truths(self) -> tuple[str, ...]:
        """What restored images are compared with: the positives; without labels the original or given pictures."""
        if self.source.has_labels:
            return self.positives
        return tuple(filter(self.has_picture, self.source.unjudged_ground_truths))

    def has_picture(self, name: str) -> bool:
        """Whether the group has this picture; in a dataset this reads no pixels."""
        return self.source.has_picture(self.index, name)

    def name_picture(self, name: str) -> str:
        """How messages refer to this picture."""
        return self.source.name_picture(self.index, name)

    def read_bytes(self, name: str) -> bytes:
        """The PNG file of this picture; KeyError if the group has none of that name."""
        return self.source.read_bytes(self.index, name)

    def read(self, name: str) -> Pixels:
        """The pixels of this picture, uint8 (H, W, 3) RGB; ImageError if it is damaged."""
        return self.source.read(self.index, name)


def hash_labels(groups: Iterable[PatchGroup]) -> str:
    """One SHA-256 over all votes; the same for a tree, the dataset built from it, and its published version.

    It does not depend on who gave a label and when: each group counts with its annotators' labels, sorted.
    """
    digest = hashlib.sha256()
    for group in groups:
        digest.update(f"{group.id} {' '.join(group.candidates)} {' '.join(anonymous_votes(group))}\n".encode())
    return digest.hexdigest()


def anonymous_votes(group: PatchGroup) -> list[str]:
    """All votes on a group as text, sorted, without who gave them and when."""
    votes = sorted(",".join(label.value if label else "" for label in one.labels) for one in group.annotations)
    return votes + sorted(map(_anonymous, (*group.pairs, *group.choices, *group.scores)))


def _anonymous(vote: Vote) -> str:
    facts = {name: value for name, value in asdict(vote).items() if name not in _FACTS_OF_PEOPLE}
    return json.dumps([type(vote).__name__, facts], sort_keys=True)
