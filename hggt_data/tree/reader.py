"""Patch groups read from a folder tree."""

from pathlib import Path

from hggt_data.consensus import judge_group
from hggt_data.errors import AnnotationError, TreeError
from hggt_data.groups import GroupSource, no_picture
from hggt_data.problems import summarise
from hggt_data.schema import PatchGroup
from hggt_data.tree.label_file import parse_annotation
from hggt_data.tree.layout import Tree
from hggt_data.tree.listing import GroupFiles, Listing


class TreeSource(GroupSource):
    """The groups of a tree; their PNG and JSON files are read on demand."""

    def __init__(self, tree: Tree) -> None:
        self.location = str(tree.root)
        self.candidates = tree.candidates
        self._listing = Listing(tree)
        errors = [problem for problem in self._listing.problems if problem.severity == "error"]
        if errors or not len(self._listing):
            faults = summarise(errors) or "no groups"
            raise TreeError(f"{tree.root} cannot be opened; `hggt-data validate` lists every problem.\n{faults}")
        if not self._listing.slots:
            shown = ", ".join(str(section.labels) for section in tree.sections)
            raise TreeError(f"{shown}: no annotations; expected folders A/, B/, C/, each with one JSON per group")
        self.ids = self._listing.ids
        self.split = "test" if tree.sections[0].images.is_relative_to(tree.root / "GT") else "train"

    def _read_labels(self, index: int) -> PatchGroup:
        files = self._files(index)
        annotations = []
        for slot, path in files.annotations.items():
            if not path.is_file():
                raise TreeError(
                    f"{path} is missing, but slot {slot} has annotations of other groups; run `hggt-data validate`"
                )
            try:
                annotations.append(
                    parse_annotation(path.read_bytes(), files.id, slot, files.candidates, files.annotators.get(slot))
                )
            except AnnotationError as error:
                raise AnnotationError(f"{path}: {error}") from error
        return judge_group(files.id, files.candidates, annotations)

    def read_bytes(self, index: int, name: str) -> bytes:
        return self._path(self._files(index), name).read_bytes()

    def _read_beginning(self, index: int, name: str, size_bytes: int) -> bytes:
        with open(self._path(self._files(index), name), "rb") as file:
            return file.read(size_bytes)

    def name_picture(self, index: int, name: str) -> str:
        return str(self._path(self._files(index), name))

    def has_picture(self, index: int, name: str) -> bool:
        return name in self._files(index).images

    def find_file(self, index: int, name: str) -> str:
        files = self._files(index)
        return files.relative(self._path(files, name))

    def _path(self, files: GroupFiles, name: str) -> Path:
        if name not in files.images:
            raise KeyError(no_picture(name, files.id, list(files.images)))
        return files.images[name]

    def _files(self, index: int) -> GroupFiles:
        return self._listing.files(self.ids[index])
