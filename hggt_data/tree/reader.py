"""Reads the groups of a folder tree: pictures and votes, whenever a group is asked for."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from hggt_data.errors import AnnotationError, SettingsError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.files import read_regular_file, read_start
from hggt_data.io.text import join_lines
from hggt_data.problems import summarise
from hggt_data.schema import PatchGroup
from hggt_data.study_plan import StudyPlan
from hggt_data.tree.aliases import find_equal, list_pictures
from hggt_data.tree.folders import relative_path
from hggt_data.tree.listing import GroupFiles, Listing


class FileSource(GroupSource):
    """Groups whose pictures are files."""

    @abstractmethod
    def _path(self, index: int, name: str) -> Path:
        """The file of picture `name` of group `index`; KeyError if it has none."""

    def read_bytes(self, index: int, name: str) -> bytes:
        return read_regular_file(self._path(index, name))

    def _read_beginning(self, index: int, name: str, size_bytes: int) -> bytes:
        return read_start(self._path(index, name), size_bytes)

    def name_picture(self, index: int, name: str) -> str:
        return str(self._path(index, name))


class TreeSource(FileSource):
    """The groups of a tree, or of one of its splits, whose names have no errors.

    A damaged file is noticed when it is read.
    """

    def __init__(self, listing: Listing, split: str | None = None) -> None:
        self.location = str(listing.root)
        self.candidates = listing.candidates
        self.protocol = listing.protocol
        self.layout, self.consensus_rule = listing.layout.name, listing.consensus
        self.license = listing.layout.license
        self.has_labels = listing.has_labels
        self._listing = listing
        errors = [problem for problem in listing.problems if problem.severity == "error"]
        if errors or not len(listing):
            found = summarise(errors) or "It has no groups."
            raise TreeError(join_lines([f"{listing.root} cannot be opened; check it with hggt-data validate.", found]))
        if not (listing.has_labels or listing.votes):
            raise TreeError(
                f"{listing.root}: no annotations; expected those of the layout {self.layout}. Check it with hggt-data "
                "validate."
            )
        self.split = _choose_split(listing, split)
        chosen = [listing.split_of(group) == self.split for group in listing.ids]
        self.ids = [group for group, is_chosen in zip(listing.ids, chosen, strict=True) if is_chosen]
        self._image_names = [name for name, is_chosen in zip(listing.image_names, chosen, strict=True) if is_chosen]

    @property
    def image_names(self) -> Sequence[str]:
        return self._image_names

    def find_equal_pictures(self) -> Iterator[tuple[str, str]]:
        return find_equal(list_pictures(map(self._listing.files, self.ids)), skip_faulty=True)

    def read_plan(self) -> StudyPlan | None:
        return self._listing.read_plan()

    def _files(self, index: int) -> GroupFiles:
        return self._listing.files(self.ids[index])

    def _path(self, index: int, name: str) -> Path:
        images = self._files(index).images
        if name not in images:
            raise self._no_picture(index, name, images)
        return images[name]

    def _read_labels(self, index: int) -> PatchGroup:
        files = self._files(index)
        votes = files.read_votes(read_regular_file)
        if votes.errors:
            found = "; ".join(f"{self._listing.root / problem.path}: {problem.message}" for problem in votes.errors)
            raise AnnotationError(f"{found}. Check the tree with hggt-data validate.")
        return files.judge(votes)

    def has_picture(self, index: int, name: str) -> bool:
        return name in self._files(index).images

    def find_file(self, index: int, name: str) -> str:
        path, root = self._path(index, name), self._listing.root
        return relative_path(path, root) if path.is_relative_to(root) else str(path.absolute())


def _choose_split(listing: Listing, split: str | None) -> str:
    splits = listing.split_names
    if split is None and len(splits) > 1:
        raise SettingsError(f"{listing.root} has the splits {', '.join(splits)}; choose one with `split`")
    if split is not None and split not in splits:
        raise SettingsError(f"{listing.root} has no split {split!r}; it has {', '.join(splits)}")
    return split or splits[0]
