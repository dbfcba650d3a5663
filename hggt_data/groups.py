"""Patch groups of any source, with single pictures read on demand: the base of trees and datasets."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import overload

from hggt_data.errors import ImageError
from hggt_data.io.images import PNG_HEADER_BYTES, Pixels, PngInfo, decode_png, parse_png_header
from hggt_data.schema import PatchGroup, PatchId


class GroupSource(ABC, Sequence["Group"]):
    """Patch groups in the order of their ids; `source[i]` reads labels only, `source[i].read(name)` one picture.

    Attributes:
        location: where it was opened from, for messages.
        candidates: names of the enhanced versions, sorted.
        ids: one per group.
        split: `train` or `test`; of a tree, `test` where its pictures lie under `GT/`.
        license: licence id of the data; null where none is named, which stands for the HGGT terms.
        revision: commit of a published dataset; null for a folder.
    """

    location: str
    candidates: tuple[str, ...]
    ids: Sequence[PatchId]
    split: str
    license: str | None = None
    revision: str | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> "Group": ...
    @overload
    def __getitem__(self, index: slice) -> "list[Group]": ...
    def __getitem__(self, index: int | slice) -> "Group | list[Group]":
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"group {index} of {len(self)} in {self.location}")
        index %= len(self)
        labels = self._read_labels(index)
        return Group(**vars(labels), source=self, index=index)

    @abstractmethod
    def _read_labels(self, index: int) -> PatchGroup:
        """The group's annotations and consensus."""

    @abstractmethod
    def read_bytes(self, index: int, name: str) -> bytes:
        """The PNG file of picture `name` (`original`, `01`.., `lr`) of group `index`.

        Raises:
            KeyError: the group has no picture of that name.
            OSError: it cannot be read.
        """

    def read(self, index: int, name: str) -> Pixels:
        """The pixels of picture `name` of group `index`: uint8 (H, W, 3) RGB.

        Raises:
            KeyError: the group has no picture of that name.
            ImageError: the picture is damaged or not 8-bit RGB.
            OSError: it cannot be read.
        """
        try:
            return decode_png(self.read_bytes(index, name))
        except ImageError as error:
            raise ImageError(f"{self.name_picture(index, name)}: {error}") from error

    def read_header(self, index: int, name: str) -> PngInfo:
        """Size and mode of picture `name` of group `index`, from the beginning of its file.

        Raises:
            KeyError: the group has no picture of that name.
            ImageError: it is no PNG.
            OSError: it cannot be read.
        """
        try:
            return parse_png_header(self._read_beginning(index, name, PNG_HEADER_BYTES))
        except ImageError as error:
            raise ImageError(f"{self.name_picture(index, name)}: {error}") from error

    def _read_beginning(self, index: int, name: str, size_bytes: int) -> bytes:
        """The first bytes of a picture; cheaper where a source can do better than this."""
        return self.read_bytes(index, name)[:size_bytes]

    def name_picture(self, index: int, name: str) -> str:
        """A picture as messages call it: by its file, or where that holds many, by its group."""
        return f"{self.location}: picture {name} of {self.ids[index]}"

    def has_picture(self, index: int, name: str) -> bool:
        """Whether group `index` has a picture of that name; cheaper where a source can do better than this."""
        try:
            self.read_bytes(index, name)
        except KeyError:
            return False
        return True

    def find_file(self, index: int, name: str) -> str | None:
        """The file of picture `name` of group `index`, relative to the tree; null in a dataset.

        Raises:
            KeyError: the group has no picture of that name.
        """
        return None

    def read_sources(self) -> dict[str, dict[str, str | None]]:
        """What a dataset tells of the source pictures: their names to origin, author, licence, as far as known."""
        return {}

    def labels_sha256(self) -> str:
        """See `hash_labels`."""
        return hash_labels(self)


@dataclass(frozen=True)
class Group(PatchGroup):
    """A patch group whose pictures can be read."""

    source: GroupSource = field(repr=False, compare=False)
    index: int = field(repr=False, compare=False)

    def has_picture(self, name: str) -> bool:
        """Whether it has `original`, a candidate (`01`..) or `lr`."""
        return self.source.has_picture(self.index, name)

    def name_picture(self, name: str) -> str:
        """A picture as messages call it, see `GroupSource.name_picture`."""
        return self.source.name_picture(self.index, name)

    def read_bytes(self, name: str) -> bytes:
        """The PNG file of `original`, a candidate (`01`..) or `lr`; raises as `GroupSource.read_bytes`."""
        return self.source.read_bytes(self.index, name)

    def read(self, name: str) -> Pixels:
        """The pixels of `original`, a candidate (`01`..) or `lr`; as `GroupSource.read`."""
        return self.source.read(self.index, name)


def hash_labels(groups: Iterable[PatchGroup]) -> str:
    """One SHA-256 over all labels; the same for a tree and for the dataset that was built from it or published.

    Who gave a label and when has no part in it: each group counts with the labels of its annotators, sorted.
    """
    digest = hashlib.sha256()
    for group in groups:
        votes = sorted(",".join(label.value for label in annotation.labels) for annotation in group.annotations)
        digest.update(f"{group.id} {' '.join(group.candidates)} {' '.join(votes)}\n".encode())
    return digest.hexdigest()


def no_picture(name: str, group_id: PatchId, names: list[str]) -> str:
    """Message for a picture that a group does not have."""
    return f"group {group_id} has no picture {name!r}; it has {', '.join(names)}"
