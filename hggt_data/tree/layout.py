"""The official folder tree: where the pictures and labels of each patch group lie.

`Train/images/0-20193/{original,01..}/`, `Train/labels/0-20193/{A,B,C}/`; `Test/GT/Test-100/{images,labels}/` with
its LR in `Test/Blind_Degradation_Benchmark_LQ/Test-100/Blind_LR/`. Range levels such as `0-20193` may be several.
This module lists and names files; what is inside them is for `annotation.py`, `images.py` and `validate.py`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import HggtError, NameFormatError, TreeError
from hggt_data.io.files import is_system_file
from hggt_data.io.text import printable
from hggt_data.problems import Problem, Severity
from hggt_data.schema import LR, ORIGINAL, PatchId
from hggt_data.tree.annotators import ANNOTATORS_FILE, read_annotators

_CANDIDATE = re.compile(r"[0-9]{2,}")
_LR_RECORD = "degrade.json"  # hggt-models degrade leaves it beside its pictures
# hggt-data select-patches leaves these beside its folders of pictures
_SELECTION_FILE = re.compile(r"patches\.(json|csv)|crop_area_info\.txt|contact_sheet(_[0-9]{3,})?\.png")


@dataclass(frozen=True, slots=True)
class Section:
    """One pair of picture and label folders: a whole tree, or one range level of it.

    Attributes:
        images: the folder that holds `original/`, `01/`..
        labels: the folder that holds `A/`, `B/`.. .
        lr: the folder of low-resolution pictures, where there is one.
        level: the name of the range level, such as `0-20193`; empty for a whole tree.
    """

    images: Path
    labels: Path
    lr: Path | None = None
    level: str = ""

    def picture(self, group_id: PatchId, name: str) -> Path:
        """Where a picture of a group is expected: `original`, `01`.., or `lr` where the section has any."""
        if name == LR:
            assert self.lr is not None
            return self.lr / f"{group_id}.png"
        return self.images / name / picture_name(group_id, name)

    def annotation(self, group_id: PatchId, slot: str) -> Path:
        """Where the JSON of a slot is expected."""
        return self.labels / slot / f"{group_id}.json"


def official_train(root: Path, num_groups: int) -> Section:
    """The official layout of a training tree with this many groups: `images/0-20193/`; LR, if any, in `Blind_LR/`."""
    level = f"0-{num_groups}"
    return Section(root / "images" / level, root / "labels" / level, root / "Blind_LR", level)


def official_test(root: Path, num_groups: int) -> Section:
    """The official layout of a test tree with this many groups: `GT/Test-100/images/`, and its `Blind_LR/`."""
    name = f"Test-{num_groups}"
    home = root / "GT" / name
    return Section(home / "images", home / "labels", root / "Blind_Degradation_Benchmark_LQ" / name / "Blind_LR")


@dataclass(frozen=True, slots=True)
class GroupFiles:
    """Where the files of one group are expected; whether they are there and whole is not known yet.

    Attributes:
        root: the tree; problems name paths relative to it.
        images: picture name (`original`, `01`.., `lr`) to file.
        annotations: slot to file, for each slot that holds annotations.
        annotators: slot to the person behind it, where `annotators.csv` tells.
        problems: what is wrong with the names of these files (`Listing.problems` of this group).
    """

    id: PatchId
    root: Path
    images: Mapping[str, Path]
    annotations: Mapping[str, Path]
    annotators: Mapping[str, str]
    problems: tuple[Problem, ...] = ()

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the enhanced versions, sorted."""
        return tuple(name for name in self.images if name not in (ORIGINAL, LR))

    def relative(self, path: Path) -> str:
        """A path as problems and manifests name it: relative to the tree, with forward slashes."""
        return _relative(path, self.root)


@dataclass(frozen=True)
class Tree:
    """An HGGT tree that was found on disk; see `open_tree`.

    Attributes:
        root: problems name paths relative to it.
        candidates: names of the enhanced versions in any section, sorted.
        given: the folders that the user named. Links must not lead out of them.
    """

    root: Path
    sections: tuple[Section, ...]
    candidates: tuple[str, ...]
    given: tuple[Path, ...]

    @property
    def lr_folders(self) -> tuple[Path, ...]:
        """The folders of low-resolution pictures, one per section that has any."""
        return tuple(section.lr for section in self.sections if section.lr)


def open_tree(root: Path, lr: Path | None = None) -> Tree:
    """Find the picture and label folders of a tree.

    Args:
        root: `Train/`, `Test/`, or any folder that holds `images/` and `labels/`.
        lr: the folder of low-resolution pictures, if it is not where the official Test has it.

    Raises:
        TreeError: nothing fits; the message says what was looked for.
    """
    if not root.is_dir():
        raise TreeError(f"{root}: no such folder; expected an HGGT tree")
    homes = [home for home in _possible_homes(root) if _is_home(home)]
    sections = tuple(section for home in homes for section in _sections_of(home, _lr_of(root, home, lr)))
    if not sections:
        raise TreeError(_nothing_fits(root))
    return Tree(root, sections, _require_candidates(root, sections), (root,) if lr is None else (root, lr))


def tree_of_folders(images: Path, labels: Path) -> Tree:
    """A tree given by its two folders, as the official scoring scripts take them.

    Args:
        images: the folder that holds `original/`, `01/`.. (`--gts`).
        labels: the folder that holds `A/`, `B/`.. (`--labels`).

    Raises:
        TreeError: a folder is missing or holds something else.
    """
    pictures = tree_of_pictures(images)
    if not labels.is_dir():
        raise TreeError(f"{labels}: no such folder; expected one with A/, B/, C/ inside")
    root = Path(os.path.commonpath([images.absolute(), labels.absolute()]))
    return Tree(root, (Section(images, labels),), pictures.candidates, (images, labels))


def tree_of_pictures(images: Path) -> Tree:
    """Picture folders that nobody has labelled yet, as `hggt-data select-patches` writes them.

    Args:
        images: the folder that holds `original/`, `01/`.. .

    Raises:
        TreeError: it holds something else.
    """
    if not (images / ORIGINAL).is_dir():
        raise TreeError(f"{images}: expected a folder with original/, 01/, 02/ ... inside; found {_entries(images)}")
    sections = (Section(images, images / "labels"),)
    return Tree(images, sections, _require_candidates(images, sections), (images,))


class Listing:
    """All groups of a tree, by name only, and what in its folders fits no group.

    Attributes:
        tree: what was listed.
        ids: the groups, sorted.
        slots: the folders with annotations in any section, sorted; each must hold one of every group.
        problems: files out of place, links that leave the tree, clashing names.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.problems: list[Problem] = []
        self._problems_of: dict[PatchId, list[Problem]] = {}
        self._section_of: dict[PatchId, int] = {}
        self._scanned: set[Path] = set()
        self._unreadable: set[Path] = set()
        self._annotators = self._read_annotators()
        slots: set[str] = set()
        self._list_folders()
        for index, section in enumerate(tree.sections):
            slots |= self._list_section(index, section)
        for folder in dict.fromkeys(tree.lr_folders):
            self._list_lr(folder)
        self.ids = sorted(self._section_of)
        self.slots = tuple(sorted(slots))
        self._list_unknown_annotators()

    def files(self, group_id: PatchId) -> GroupFiles:
        """Where the files of one group are expected."""
        index = self._section_of[group_id]
        section = self.tree.sections[index]
        names = (ORIGINAL, *self.tree.candidates)
        images = {name: section.picture(group_id, name) for name in (*names, *([LR] if section.lr else []))}
        annotations = {slot: section.annotation(group_id, slot) for slot in self.slots}
        people = {slot: self._annotators.get((str(group_id), slot)) for slot in annotations}
        known = {slot: person for slot, person in people.items() if person is not None}
        problems = tuple(self._problems_of.get(group_id, ()))
        return GroupFiles(group_id, self.tree.root, images, annotations, known, problems)

    def __iter__(self) -> Iterator[GroupFiles]:
        return (self.files(group_id) for group_id in self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def _list_folders(self) -> None:
        """Check the folders down to the sections: links, names, missing ones, what lies beside the range levels."""
        sections, given = self.tree.sections, self.tree.given
        ends = {end for section in sections for end in (section.images, section.labels, section.lr) if end}
        for folder in sorted({folder for end in ends for folder in (end, *end.parents)} - set(given)):
            if any(folder.is_relative_to(place) for place in given):
                self._check_link(folder, "folder")
                self._check_name(folder)
        for home in _possible_homes(self.tree.root)[1:] if self.tree.root in given else ():
            if half := _half_of(home):
                message = f"{half}, so that none of its groups is listed"
                self._report("incomplete-part", "error", home, message, "Restore the folder, or remove the other one.")
        levels: dict[Path, set[str]] = {}
        for section in sections:
            if section.level:
                for end in (section.images, section.labels):
                    levels.setdefault(end.parent, set()).add(section.level)
        for folder, expected in levels.items():
            self._list_strangers(folder, expected)

    def _list_section(self, index: int, section: Section) -> set[str]:
        """List one section and return the slots that hold annotations in it."""
        ids: set[PatchId] = set()
        for name in (ORIGINAL, *self.tree.candidates):
            ids.update(group for group, _ in self._named_files(section.images / name, picture_name("", name), "image"))
        for group_id in sorted(ids):
            if group_id in self._section_of:
                first = self.tree.sections[self._section_of[group_id]].images
                message = f"{group_id} is also in {_relative(first, self.tree.root)}; expected each group once"
                self._report("duplicate-group", "error", section.images, message, "Remove one of them.", group_id)
        self._section_of.update({group_id: index for group_id in ids if group_id not in self._section_of})
        self._list_strangers(section.images, {ORIGINAL, *self.tree.candidates}, beside=_SELECTION_FILE)
        self._list_links(section.images)
        return self._list_labels(section.labels, ids)

    def _list_lr(self, folder: Path) -> None:
        """List the low-resolution pictures of all sections that have theirs in one folder."""
        for group_id, path in self._named_files(folder, ".png", "image", beside=_LR_RECORD):
            index = self._section_of.get(group_id)
            if index is None or self.tree.sections[index].lr != folder:
                self._report_stray(path, "a low-resolution picture without a group")

    def _list_labels(self, folder: Path, ids: set[PatchId]) -> set[str]:
        slots = set()
        folders = [name for name in self._folders(folder) if not name.startswith(".")]  # Jupyter leaves hidden copies
        for slot in folders:
            if self._check_name(folder / slot):
                continue
            annotated = list(self._named_files(folder / slot, ".json", "annotation"))
            for group_id, path in annotated:
                if group_id not in ids:
                    message = f"there is no picture of group {group_id}"
                    hint = "Restore the pictures or remove the annotation."
                    self._report("annotation-without-group", "error", path, message, hint)
            if annotated:
                slots.add(slot)
            elif folder / slot not in self._unreadable:
                message = f"no annotations; slot {slot} counts only if another part of the tree has some"
                self._report("empty-slot", "warning", folder / slot, message, "Restore it, or remove the folder.")
        self._list_strangers(folder, set(folders))
        self._list_links(folder)
        return slots

    def _read_annotators(self) -> dict[tuple[str, str], str]:
        """Who is behind each slot; a faulty file is one problem among the others and names nobody."""
        path = self.tree.root / ANNOTATORS_FILE
        if self._check_link(path, "file"):
            return {}
        try:
            return read_annotators(self.tree.root)
        except (HggtError, OSError) as error:
            message = str(error) if isinstance(error, HggtError) else f"cannot be read: {error.strerror}"
            message = message.removeprefix(f"{path}: ")
            self._report("bad-annotators", "error", path, message, "Correct the file, or remove it.")
            return {}

    def _list_unknown_annotators(self) -> None:
        ids = {str(group_id) for group_id in self.ids}
        for group, slot in self._annotators:
            if group not in ids or slot not in self.slots:
                message = f"names group {group}, slot {slot}, which the tree does not have"
                hint = "Is it another tree's file?"
                self._report("unknown-annotation", "warning", self.tree.root / ANNOTATORS_FILE, message, hint)

    def _named_files(
        self, folder: Path, ending: str, what: str, beside: str | None = None
    ) -> Iterator[tuple[PatchId, Path]]:
        """(group, file) for each file `PATCHID + ending`; whatever else lies there, but for `beside`, is reported."""
        for entry in self._scan(folder):
            if entry.name == beside:
                continue
            path = folder / entry.name
            if not (entry.is_symlink() or entry.is_file()) or not entry.name.endswith(ending):
                self._report_stray(path, f"expected only files named PATCHID{ending}")
                continue
            try:
                group_id = PatchId.parse(entry.name.removesuffix(ending))
            except NameFormatError as error:
                hint = f"Rename or remove the {what}."
                self._report("bad-patch-id", "error", path, str(error), hint)
                continue
            if entry.is_symlink():
                self._check_link(path, "file", group_id)
            yield group_id, path

    def _list_links(self, folder: Path) -> None:
        for entry in self._scan(folder):
            if entry.is_symlink():
                self._check_link(folder / entry.name, "folder")

    def _check_name(self, folder: Path) -> bool:
        """Report a name that cannot stand in a dataset and its manifest, and return whether it is one."""
        if printable(folder.name) == folder.name:
            return False
        self._report("bad-folder-name", "error", folder, "the name is not UTF-8", "Rename the folder.")
        return True

    def _check_link(self, path: Path, what: str, group_id: PatchId | None = None) -> bool:
        """Report a link that leads out of the tree, and return whether it is one."""
        target = os.path.realpath(path)  # Path.resolve raises where a link leads to itself
        places = [os.path.realpath(place) for place in self.tree.given]
        if not path.is_symlink() or any(Path(target).is_relative_to(place) for place in places):
            return False
        message = "a link that leads out of the tree"
        self._report("link-leaves-tree", "error", path, message, f"Copy the {what} into the tree.", group_id)
        return True

    def _list_strangers(self, folder: Path, expected: set[str], beside: re.Pattern[str] | None = None) -> None:
        for entry in self._scan(folder):
            if entry.name not in expected and not (beside and beside.fullmatch(entry.name)):
                self._report_stray(folder / entry.name, f"expected only {', '.join(sorted(expected))}")

    def _folders(self, folder: Path) -> list[str]:
        return [entry.name for entry in self._scan(folder) if (folder / entry.name).is_dir()]

    def _scan(self, folder: Path) -> list[os.DirEntry[str]]:
        """The entries of a folder by name; the first time, faults of the folder and of names together are reported."""
        first_time = folder not in self._scanned
        self._scanned.add(folder)
        try:
            entries = sorted(_scan(folder), key=lambda entry: entry.name)
        except OSError as error:
            self._unreadable.add(folder)
            if first_time:
                message = f"the folder cannot be read: {error.strerror}"
                self._report("unreadable-folder", "error", folder, message, "Change its rights.")
            return []
        folded: dict[str, str] = {}
        for entry in entries if first_time else ():
            clash = folded.setdefault(entry.name.casefold(), entry.name)
            if clash != entry.name:
                message = f"differs from {clash} only in case, which other systems take for the same file"
                self._report("case-clash", "warning", folder / entry.name, message, "Rename one of them.")
        return entries

    def _report_stray(self, path: Path, message: str) -> None:
        self._report("extra-file", "warning", path, message, "It is left out; remove it if it is not needed.")

    def _report(
        self, kind: str, severity: Severity, path: Path, message: str, hint: str, group_id: PatchId | None = None
    ) -> None:
        group = None if group_id is None else str(group_id)
        where = _relative(path, self.tree.root)
        problem = Problem(kind, severity, where, message, hint, group)
        self.problems.append(problem)
        if group_id is not None:
            self._problems_of.setdefault(group_id, []).append(problem)


def _possible_homes(root: Path) -> list[Path]:
    """Where `images/` and `labels/` may lie: in the tree itself, in `GT/`, in each folder of `GT/`."""
    return [root, root / "GT", *sorted(root.glob("GT/*"))]


def _is_home(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _half_of(folder: Path) -> str:
    """Which of the two folders is there without the other; empty if that is not so."""
    images, labels = (folder / "images").is_dir(), (folder / "labels").is_dir()
    if images == labels:
        return ""
    return "has images/ but no labels/" if images else "has labels/ but no images/"


def _lr_of(root: Path, home: Path, given: Path | None) -> Path | None:
    """The LR folder of one home: given, or the `Blind_LR` under the tree that belongs to it and not to another."""
    if given is not None:
        if not given.is_dir():
            raise TreeError(f"{given}: no such folder; expected the low-resolution pictures PATCHID.png")
        return given
    found = sorted({*root.glob("Blind_LR"), *root.glob("*/Blind_LR"), *root.glob("*/*/Blind_LR")})
    parts = {part.name for part in root.glob("GT/*")}
    of_this_home = [path for path in found if path.parent.name == home.name]
    of_this_home = of_this_home or [path for path in found if path.parent.name not in parts]
    if len(of_this_home) > 1:
        shown = ", ".join(str(path) for path in of_this_home)
        raise TreeError(f"{home}: several folders of low-resolution pictures fit: {shown}; choose one with --lr")
    return of_this_home[0] if of_this_home else None


def _sections_of(home: Path, lr: Path | None) -> Iterator[Section]:
    images, labels = home / "images", home / "labels"
    if _holds_pictures(images):
        yield Section(images, labels, lr)
        return
    levels = {level for level in _folders(images) if _holds_pictures(images / level)}
    if levels:  # labels without pictures are listed too, so that they are noticed
        levels |= {level for level in _folders(labels) if _folders(labels / level)}
    for level in sorted(levels):
        yield Section(images / level, labels / level, lr, level)


def _holds_pictures(folder: Path) -> bool:
    names = _folders(folder)
    # A level may be called 2023: a candidate's folder holds pictures, a level's holds folders.
    return ORIGINAL in names or any(is_candidate_name(name) and not _folders(folder / name) for name in names)


def is_candidate_name(name: str) -> bool:
    """Whether a folder of this name holds a candidate: two or more digits."""
    return _CANDIDATE.fullmatch(name) is not None


def _require_candidates(root: Path, sections: tuple[Section, ...]) -> tuple[str, ...]:
    names = {name for section in sections for name in _folders(section.images)}
    candidates = tuple(sorted(name for name in names if is_candidate_name(name)))
    if not candidates:
        raise TreeError(f"{root} has no candidates; expected folders 01/, 02/ .. beside {sections[0].images}/original/")
    return candidates


def _nothing_fits(root: Path) -> str:
    if (root / "manifest.json").is_file() and (root / "data").is_dir():
        return f"{root} is a built dataset; expected a tree. hggt-data export tree makes one of it."
    message = (
        f"{root} is no HGGT tree. Looked for images/ and labels/ in it, in GT/ and in GT/*/, with original/, 01/, "
        f"02/ .. in images/ or one level (such as 0-20193/) below; found {_entries(root)}."
    )
    for home in _possible_homes(root):
        if half := _half_of(home):
            message += f" {home} {half}."
    parts = [name for name in ("Train", "Test") if (root / name).is_dir()]
    if parts:
        message += f" Pass {' or '.join(str(root / name) for name in parts)} instead."
    return message


def _entries(folder: Path) -> str:
    folders = _folders(folder)
    names = sorted(entry.name + "/" * (entry.name in folders) for entry in _scan(folder))
    if not names:
        return "nothing"
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder without the files that operating systems leave there; none if it is missing."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_system_file(entry.name)]


def _folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; links to folders among them."""
    return sorted(entry.name for entry in _scan(folder) if (folder / entry.name).is_dir())


def _relative(path: Path, root: Path) -> str:
    relative = Path(os.path.relpath(path, root)).as_posix()
    if relative.startswith("../"):  # LR pictures may lie elsewhere; a manifest must not tell where
        relative = f"lr/{path.name}"
    return printable(relative)


def picture_name(stem: PatchId | str, name: str) -> str:
    """The file name of a picture in the official tree: `STEM.png` for the original, `STEM_01.png` for candidate 01."""
    return f"{stem}.png" if name == ORIGINAL else f"{stem}_{name}.png"
