"""Reads the groups of a folder tree: PNG and JSON files, whenever a group is asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hggt_data.consensus import judge_group
from hggt_data.errors import AnnotationError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.files import read_regular_file, read_start
from hggt_data.io.text import join_lines
from hggt_data.problems import summarise
from hggt_data.schema import PatchGroup
from hggt_data.tree.label_file import parse_annotation
from hggt_data.tree.layout import Tree
from hggt_data.tree.listing import GroupFiles, Listing
from hggt_data.tree.twins import find_equal, list_pictures


class TreeSource(GroupSource):
    """The groups of a tree whose names have no errors; a damaged file is noticed when it is read."""

    def __init__(self, tree: Tree) -> None:
        self.location = str(tree.root)
        self.candidates = tree.candidates
        self._listing = Listing(tree)
        errors = [problem for problem in self._listing.problems if problem.severity == "error"]
        if errors or not len(self._listing):
            found = summarise(errors) or "It has no groups."
            raise TreeError(join_lines([f"{tree.root} cannot be opened; check it with hggt-data validate.", found]))
        if not self._listing.slots:
            shown = ", ".join(str(section.labels) for section in tree.sections)
            raise TreeError(f"{shown}: no annotations; expected folders A/, B/, C/, each with one JSON per group")
        self.ids = self._listing.ids
        self.protocol = self._listing.protocol
        self.split = "test" if tree.sections[0].images.is_relative_to(tree.root / "GT") else "train"

    @property
    def image_names(self) -> Sequence[str]:
        return self._listing.image_names

    def find_equal_pictures(self) -> Iterator[tuple[str, str]]:
        return find_equal(list_pictures(self._listing), skip_faulty=True)

    def _files(self, index: int) -> GroupFiles:
        return self._listing.files(self.ids[index])

    def _path(self, index: int, name: str) -> Path:
        images = self._files(index).images
        if name not in images:
            raise self._no_picture(index, name, images)
        return images[name]

    def _read_labels(self, index: int) -> PatchGroup:
        files = self._files(index)
        annotations = []
        for slot, path in files.annotations.items():
            if not path.is_file():
                raise TreeError(
                    f"{path} is missing, but slot {slot} labelled other groups; check the tree with hggt-data validate"
                )
            try:
                annotation = parse_annotation(
                    read_regular_file(path), files.id, slot, files.candidates, files.annotators.get(slot)
                )
            except AnnotationError as error:
                raise AnnotationError(f"{path}: {error}") from error
            annotations.append(replace(annotation, full_zoom=files.full_zoom.get(slot)))
        return judge_group(
            files.id,
            files.candidates,
            annotations,
            image_name=files.image_name,
            top=files.top,
            left=files.left,
        )

    def read_bytes(self, index: int, name: str) -> bytes:
        return read_regular_file(self._path(index, name))

    def _read_beginning(self, index: int, name: str, size_bytes: int) -> bytes:
        return read_start(self._path(index, name), size_bytes)

    def name_picture(self, index: int, name: str) -> str:
        return str(self._path(index, name))

    def has_picture(self, index: int, name: str) -> bool:
        return name in self._files(index).images

    def find_file(self, index: int, name: str) -> str:
        return self._files(index).relative(self._path(index, name))
