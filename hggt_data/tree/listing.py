"""The content of a tree: its groups, the files of each, and every file or folder that does not belong.

Only names are read. `label_file.py`, `hggt_data.io.images` and `validate.py` check what is inside the files.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hggt_data.errors import HggtError, NameFormatError
from hggt_data.io.names import by_look, compare_names, find_lookalikes, look, note_lookalike
from hggt_data.io.pictures import CONVERT_HINT, looks_like_picture
from hggt_data.io.text import encodable
from hggt_data.problems import Problem, Severity
from hggt_data.schema import LR, ORIGINAL, GroupOrder, PatchId, Protocol, group_order
from hggt_data.tree.annotators import ANNOTATORS_FILE, ListedAnnotator, read_annotators
from hggt_data.tree.layout import Entry, Section, Tree, describe_half, picture_name, possible_homes, scan
from hggt_data.tree.protocol import PROTOCOL_FILE, read_protocol

_Content = TypeVar("_Content")
_LR_RECORD = "degrade.json"  # hggt-models degrade writes it beside its pictures
# hggt-data select-patches writes these beside its folders of pictures
_SELECTION_FILE = re.compile(r"patches\.(json|csv)|crop_area_info\.txt|contact_sheet(_[0-9]{3,})?\.png")
_EXTRA_HINT = "It is ignored; remove it if you do not need it."


@dataclass(frozen=True, slots=True)
class GroupFiles:
    """The files that a group should have; whether they exist and are intact has not been checked.

    Attributes:
        image_name: the source picture.
        top: first row of the patch in it; None if there is no place.
        left: first column; None if there is no place.
        root: the tree; problems name paths relative to it.
        images: picture name (`original`, `01`, ..., `lr`) to file.
        annotations: slot to file, for each slot of the tree.
        annotators: slot to annotator, as far as `annotators.csv` names them.
        full_zoom: slot to whether its annotator saw every candidate at 100 %, as far as `annotators.csv` says it.
        lookalikes: names of files in the tree that look the same as the group's id.
        problems: problems with the names of these files.
    """

    id: str
    image_name: str
    top: int | None
    left: int | None
    root: Path
    images: Mapping[str, Path]
    annotations: Mapping[str, Path]
    annotators: Mapping[str, str]
    full_zoom: Mapping[str, bool]
    lookalikes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def order(self) -> GroupOrder:
        """The key that sorts groups."""
        return group_order(self.id, self.image_name, self.top, self.left)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the enhanced versions, sorted."""
        return tuple(name for name in self.images if name not in (ORIGINAL, LR))

    def note_lookalikes(self) -> str:
        """The end of a message about a missing file, if files have names that look the same."""
        return "".join(f"; {compare_names(other, self.id)}" for other in self.lookalikes)

    def relative(self, path: Path) -> str:
        """A path as problems and manifests name it: relative to the tree, with forward slashes."""
        return _relative(path, self.root)


class Listing:
    """All groups of a tree, and the problems of its file and folder names.

    Attributes:
        ids: the groups, sorted.
        image_names: the source picture of each group.
        slots: folders that contain annotations in any section, sorted; each must have an annotation of every group.
        votes: votes besides annotations: any of `pairs`, `choices`, `scores`.
        protocol: how the annotators were asked.
        problems: misplaced files, links that point outside the tree, clashing names.
    """

    votes: tuple[str, ...] = ()

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._folders = _CheckedFolders(tree)
        self.problems = self._folders.problems
        self._section_of: dict[str, Section] = {}
        self._unmatched: list[str] = []  # ids of annotations and LR images without pictures
        no_annotators: dict[tuple[str, str], ListedAnnotator] = {}
        self._annotators = self._read_beside(ANNOTATORS_FILE, read_annotators, no_annotators)
        self.protocol = self._read_beside(PROTOCOL_FILE, read_protocol, Protocol())
        self._check_folders()
        slots = {slot for section in tree.sections for slot in self._list_section(section)}
        for folder in dict.fromkeys(tree.lr_folders):
            self._list_lr(folder)
        patches = sorted(map(PatchId.parse, self._section_of))
        self._patches = {str(patch): patch for patch in patches}
        self.ids = list(self._patches)
        self.image_names = [patch.image for patch in patches]
        self.slots = tuple(sorted(slots))
        self._lookalikes: dict[str, set[str]] = {}
        for name, other in find_lookalikes([*self.ids, *self._unmatched]):
            self._lookalikes.setdefault(look(name), {other}).add(name)
        self._check_annotators()
        self._check_pictures()
        self._problems_of: dict[str | None, list[Problem]] = {}
        for problem in self.problems:
            self._problems_of.setdefault(problem.group, []).append(problem)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[GroupFiles]:
        return map(self.files, self.ids)

    def files(self, group_id: str) -> GroupFiles:
        """The files that one group should have."""
        section, patch = self._section_of[group_id], self._patches[group_id]
        names = (ORIGINAL, *self.tree.candidates, *([LR] if section.lr else []))
        listed = {
            slot: self._annotators[place] for slot in self.slots if (place := (group_id, slot)) in self._annotators
        }
        return GroupFiles(
            group_id,
            patch.image,
            patch.top,
            patch.left,
            self.tree.root,
            images={name: section.picture(group_id, name) for name in names},
            annotations={slot: section.annotation(group_id, slot) for slot in self.slots},
            annotators={slot: annotator.pseudonym for slot, annotator in listed.items()},
            full_zoom={slot: seen for slot, (_, seen) in listed.items() if seen is not None},
            lookalikes=self._find_lookalikes(group_id),
            problems=tuple(self._problems_of.get(group_id, ())),
        )

    def _find_lookalikes(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(self._lookalikes.get(look(name), {name}) - {name})) if self._lookalikes else ()

    def _read_beside(self, name: str, read: Callable[[Path], _Content], without: _Content) -> _Content:
        """The content of annotators.csv or protocol.json; a faulty file is reported and otherwise ignored."""
        path = self.tree.root / name
        if not self._folders.check_link(path, "file"):
            return without
        try:
            return read(self.tree.root)
        except (HggtError, OSError) as error:
            message = str(error) if isinstance(error, HggtError) else f"cannot be read: {error.strerror}"
            message = message.removeprefix(f"{path}: ")
            self._folders.report(f"bad-{path.stem}", "error", path, message, "Correct the file, or remove it.")
            return without

    def _check_annotators(self) -> None:
        """Report lines of annotators.csv without a group or slot in the tree, and annotators that look the same."""
        path, ids = self.tree.root / ANNOTATORS_FILE, dict.fromkeys(self.ids)
        unknown = [place for place in self._annotators if place[0] not in ids or place[1] not in self.slots]
        groups, slots = by_look(ids if unknown else ()), by_look(self.slots)
        for group, slot in unknown:
            message = f"lists group {group}, slot {slot}, which is not in the tree"
            message += note_lookalike(group, groups) + note_lookalike(slot, slots)
            hint = "Does the file belong to another tree?"
            self._folders.report("unknown-annotation", "warning", path, message, hint)
        for name, other in find_lookalikes(sorted({annotator.pseudonym for annotator in self._annotators.values()})):
            message, hint = compare_names(name, other), "If they are one person, write the same name for both."
            self._folders.report("lookalike-annotator", "warning", path, message, hint)

    def _check_pictures(self) -> None:
        """Report source pictures whose names look the same."""
        first = dict(zip(reversed(self.image_names), reversed(self.ids), strict=True))
        for name, other in find_lookalikes(sorted(first)):
            message = f"the source picture {compare_names(name, other)}"
            hint = "If they are one picture, rename the files of one."
            path = self._section_of[first[name]].picture(first[name], ORIGINAL)
            self._folders.report("lookalike-picture", "warning", path, message, hint)

    def _check_folders(self) -> None:
        """Check the folders above and beside the sections: their links and names, and that none is missing."""
        tree, folders = self.tree, self._folders
        ends = {end for section in tree.sections for end in (section.images, section.labels, section.lr) if end}
        for folder in sorted({folder for end in ends for folder in (end, *end.parents)} - set(tree.given)):
            if any(folder.is_relative_to(place) for place in tree.given):
                folders.check_link(folder, "folder")
                folders.check_name(folder)
        for home in possible_homes(tree.root)[1:] if tree.root in tree.given else ():
            if half := describe_half(home):
                message = f"{half}; none of its groups can be used"
                hint = "Restore the missing folder, or remove the other one."
                folders.report("incomplete-part", "error", home, message, hint)
        levels: dict[Path, set[str]] = {}
        for section in tree.sections:
            if section.level:
                for end in (section.images, section.labels):
                    levels.setdefault(end.parent, set()).add(section.level)
        for folder, expected in levels.items():
            folders.report_unknown(folder, expected)

    def _list_section(self, section: Section) -> set[str]:
        """List the groups of one section, and return its slots."""
        names = (ORIGINAL, *self.tree.candidates)
        ids = {
            group_id
            for name in names
            for group_id, _ in self._folders.named_files(section.images / name, picture_name("", name), "image")
        }
        for group_id in sorted(ids, key=group_order):
            first = self._section_of.setdefault(group_id, section)
            if first is not section:
                message = (
                    f"group {group_id} is also in {_relative(first.images, self.tree.root)}; expected each group once"
                )
                self._folders.report(
                    "duplicate-group", "error", section.images, message, "Remove one of the two.", group_id
                )
        self._folders.report_unknown(section.images, names, beside=_SELECTION_FILE)
        self._folders.check_links(section.images)
        return self._list_labels(section.labels, ids)

    def _list_labels(self, folder: Path, ids: Collection[str]) -> set[str]:
        """Check the slots of one section, and return those that contain annotations."""
        folders = self._folders
        # Jupyter leaves hidden copies.
        names = [entry.name for entry in folders.scan(folder) if (folder / entry.name).is_dir()]
        names = [name for name in names if not name.startswith(".")]
        slots = {name for name in names if folders.check_name(folder / name) and self._list_slot(folder / name, ids)}
        folders.report_unknown(folder, names)
        folders.check_links(folder)
        return slots

    def _list_slot(self, folder: Path, ids: Collection[str]) -> bool:
        """Check the annotations of one slot in one section, and return whether there are any."""
        annotated = list(self._folders.named_files(folder, ".json", "annotation"))
        unmatched = [(group, path) for group, path in annotated if group not in ids]
        known = by_look(ids if unmatched else ())
        for group, path in unmatched:
            message = f"group {group} has no pictures{note_lookalike(group, known)}"
            hint = "Restore the pictures, or rename or remove the annotation."
            self._folders.report("annotation-without-group", "error", path, message, hint)
        self._unmatched += [group for group, _ in unmatched]
        if not annotated and folder not in self._folders.unreadable:
            message = f"contains no annotations; slot {folder.name} is used only if another part of the tree has some"
            hint = "Restore the annotations, or remove the folder."
            self._folders.report("empty-slot", "warning", folder, message, hint)
        return bool(annotated)

    def _list_lr(self, folder: Path) -> None:
        """Check a folder of low-resolution images, which several sections may share."""
        for group_id, path in self._folders.named_files(folder, ".png", "image", beside=_LR_RECORD):
            section = self._section_of.get(group_id)
            if section is None or section.lr != folder:
                self._folders.report_extra(path, "a low-resolution image without a group")
                self._unmatched.append(group_id)


class _CheckedFolders:
    """Reads the folders of a tree, and collects the problems of names and links on the way."""

    def __init__(self, tree: Tree) -> None:
        self._root = tree.root
        self._allowed = [os.path.realpath(place) for place in tree.given]
        self.problems: list[Problem] = []
        self.unreadable: set[Path] = set()
        self._scanned: set[Path] = set()

    def scan(self, folder: Path) -> list[Entry]:
        """The entries of a folder, sorted by name. Problems of the folder are reported the first time only."""
        is_first = folder not in self._scanned
        self._scanned.add(folder)
        try:
            entries = sorted(scan(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable.add(folder)
            if is_first:
                message = f"the folder cannot be read: {error.strerror}"
                self.report("unreadable-folder", "error", folder, message, "Change its permissions.")
            return []
        if is_first:
            self._check_look(folder, [entry.name for entry in entries])
        return entries

    def named_files(
        self, folder: Path, ending: str, what: str, beside: str | None = None
    ) -> Iterator[tuple[str, Path]]:
        """(group, file) of each file `PATCHID + ending`; other files are reported, except `beside`."""
        for entry in self.scan(folder):
            path = folder / entry.name
            if entry.name == beside:
                continue
            if not (entry.is_symlink() or entry.is_file()) or not entry.name.endswith(ending):
                hint = f"{CONVERT_HINT} Now it is ignored." if looks_like_picture(entry.name) else _EXTRA_HINT
                self.report_extra(path, f"expected only files named PATCHID{ending}", hint)
                continue
            group_id = entry.name.removesuffix(ending)
            try:
                PatchId.parse(group_id)
            except NameFormatError as error:
                self.report("bad-patch-id", "error", path, str(error), f"Rename or remove the {what}.")
                continue
            if entry.is_symlink():
                self.check_link(path, "file", group_id)
            yield group_id, path

    def report_unknown(self, folder: Path, expected: Iterable[str], beside: re.Pattern[str] | None = None) -> None:
        """Report every entry whose name is not expected and does not match `beside`."""
        expected = sorted(expected)
        message = f"expected only {', '.join(expected)}" if expected else "expected nothing here"
        for entry in self.scan(folder):
            if entry.name not in expected and not (beside and beside.fullmatch(entry.name)):
                self.report_extra(folder / entry.name, message)

    def check_links(self, folder: Path) -> None:
        """Report links to folders outside the tree."""
        for entry in self.scan(folder):
            if entry.is_symlink():
                self.check_link(folder / entry.name, "folder")

    def check_link(self, path: Path, what: str, group_id: str | None = None) -> bool:
        """Whether a path may be followed; a symbolic link that points outside the tree is reported."""
        target = Path(os.path.realpath(path))  # Path.resolve raises for a link that points to itself
        if not path.is_symlink() or any(target.is_relative_to(place) for place in self._allowed):
            return True
        message, hint = "a symbolic link that points outside the tree", f"Replace it with a copy of the {what}."
        self.report("link-leaves-tree", "error", path, message, hint, group_id)
        return False

    def check_name(self, folder: Path) -> bool:
        """Whether a dataset and its manifest can hold the name; a name that is not UTF-8 is reported."""
        if encodable(folder.name) == folder.name:
            return True
        self.report("bad-folder-name", "error", folder, "the name is not UTF-8", "Rename the folder.")
        return False

    def _check_look(self, folder: Path, names: Iterable[str]) -> None:
        for name, other in find_lookalikes(names):
            message = f"{compare_names(name, other)}; on other systems both are the same file"
            self.report("lookalike-name", "warning", folder / name, message, "Rename one of them.")

    def report_extra(self, path: Path, message: str, hint: str = _EXTRA_HINT) -> None:
        """Report a file or folder that is ignored."""
        self.report("extra-file", "warning", path, message, hint)

    def report(
        self, kind: str, severity: Severity, path: Path, message: str, hint: str, group_id: str | None = None
    ) -> None:
        """Add a problem; with a group, that group cannot be used."""
        self.problems.append(Problem(kind, severity, _relative(path, self._root), message, hint, group_id))


def _relative(path: Path, root: Path) -> str:
    relative = Path(os.path.relpath(path, root)).as_posix()
    if relative.startswith("../"):  # LR images may be elsewhere, and a manifest must not reveal where
        relative = f"lr/{path.name}"
    return encodable(relative)
