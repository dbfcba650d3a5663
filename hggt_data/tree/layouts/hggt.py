"""HGGT's layout: `images/{original,01..}/NAME.png`, `labels/{A,B,C}/NAME.json`, a JSON per annotator and group.

`hggt_data.tree.hggt_folders` finds the folders of the official trees, `hggt_data.tree.hggt_labels` reads the JSON.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hggt_data.io.files import link_or_copy
from hggt_data.io.names import by_look, note_lookalike
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.schema import HGGT_PROTOCOL, LR, ORIGINAL, PatchId, group_order
from hggt_data.tree.folders import relative_path, way_to_read
from hggt_data.tree.hggt_folders import (
    Section,
    Tree,
    describe_half,
    has_annotations,
    has_sections,
    is_home,
    official_test,
    official_train,
    open_tree,
    picture_name,
    possible_homes,
    slots_by_candidate,
    tree_of_folders,
    tree_of_pictures,
)
from hggt_data.tree.hggt_labels import check_annotation
from hggt_data.tree.listing import GroupFiles, GroupName, Layout, Listing, ListOptions, Votes

_LR_RECORD = "degrade.json"  # hggt-models degrade writes it beside its pictures
# hggt-data select-patches writes these beside its folders of pictures
_SELECTION_FILE = re.compile(r"patches\.(json|csv)|crop_area_info\.txt|contact_sheet(_[0-9]{3,})?\.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class HggtFiles(GroupFiles):
    """The files of one group.

    Attributes:
        annotations: slot to file, for each slot of the tree.
    """

    annotations: Mapping[str, Path]

    @property
    def vote_files(self) -> tuple[Path, ...]:
        return tuple(self.annotations.values())

    def read_votes(self, read: Callable[[Path], bytes]) -> Votes:
        annotations, problems = [], []
        if not self.annotations:
            message = f"group {self.id} has no annotations; expected {self.id}.json in labels/A/, B/, C/"
            hint = "Restore the labels of this part of the tree."
            problems.append(self.problem("missing-annotation", self.images[ORIGINAL], message, hint))
        first_with: dict[bytes, str] = {}
        for slot, path in self.annotations.items():
            place = self.relative(path)
            try:
                data = read(path)
            except FileNotFoundError:
                message = f"slot {slot} has annotations of other groups, but not of {self.id}{self.note_lookalikes()}"
                hint = "Restore the file, or annotate the group again."
                problems.append(self.problem("missing-annotation", path, message, hint))
                continue
            except OSError as error:
                problems.append(self.problem("unreadable-annotation", path, str(error.strerror), way_to_read(error)))
                continue
            twin = first_with.setdefault(data, place)
            if twin != place:
                message, hint = f"identical to {twin}", "Was one annotator's folder copied?"
                problems.append(self.problem("duplicate-annotation", path, message, hint, "warning"))
            annotation, found = check_annotation(data, place, self.id, slot, self.candidates)
            problems += found
            if annotation is not None:
                annotations.append(self.with_annotator(annotation))
        return Votes(tuple(annotations), problems=tuple(problems))


class HggtListing(Listing):
    """The groups of an HGGT tree."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(LAYOUT, tree.root, tree.given)
        self.tree = tree
        self.candidates = tree.candidates
        self.has_lr = bool(tree.lr_folders)
        self.split = "test" if tree.sections[0].images.is_relative_to(tree.root / "GT") else "train"
        self._section_of: dict[str, Section] = {}
        self._unmatched: list[str] = []  # ids of annotations and LR images without pictures
        self._check_folders()
        slots = {slot for section in tree.sections for slot in self._list_section(section)}
        self.slots = tuple(sorted(slots))
        self.has_labels = bool(slots)
        for folder in dict.fromkeys(tree.lr_folders):
            self._list_lr(folder)
        patches = map(PatchId.parse, self._section_of)
        self.set_groups((GroupName(str(p), p.image, p.top, p.left) for p in patches), self._unmatched)

    def files(self, group_id: str) -> HggtFiles:
        section = self._section_of[group_id]
        names = (ORIGINAL, *self.candidates, *([LR] if section.lr else []))
        return HggtFiles(
            **self.common_facts(group_id),
            images={name: section.picture(group_id, name) for name in names},
            annotations={slot: section.annotation(group_id, slot) for slot in self.slots},
        )

    def picture_path(self, group_id: str) -> Path:
        return self._section_of[group_id].picture(group_id, ORIGINAL)

    def write_part(self, folder: Path, ids: Iterable[str], *, is_test: bool, copy: bool) -> Iterator[bool]:
        """As `Listing.write_part`, in the official layout of a training or test tree; LR images are left out."""
        ids = list(ids)
        section = (official_test if is_test else official_train)(folder, len(ids))
        for place in (section.images / name for name in (ORIGINAL, *self.candidates)):
            place.mkdir(parents=True)
        for slot in self.slots:
            (section.labels / slot).mkdir(parents=True)
        for files in map(self.files, ids):
            linked = not copy
            for name, path in files.images.items():
                if name != LR:
                    linked &= link_or_copy(path, section.picture(files.id, name), copy=copy)
            for slot, path in files.annotations.items():  # labels are corrected later, so they are never links
                link_or_copy(path, section.annotation(files.id, slot), copy=True)
            yield linked

    def _check_folders(self) -> None:
        """Check the folders above and beside the sections: their links and names, and that none is missing."""
        tree, folders = self.tree, self.folders
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
            for group_id, _ in self._named_files(section.images / name, picture_name("", name), "image")
        }
        for group_id in sorted(ids, key=group_order):
            first = self._section_of.setdefault(group_id, section)
            if first is not section:
                other = relative_path(first.images, self.root)
                message = f"group {group_id} is also in {other}; expected each group once"
                self.folders.report(
                    "duplicate-group", "error", section.images, message, "Remove one of the two.", group_id
                )
        self.folders.report_unknown(section.images, names, beside=_SELECTION_FILE)
        self.folders.check_links(section.images)
        return self._list_labels(section.labels, ids)

    def _list_labels(self, folder: Path, ids: Collection[str]) -> set[str]:
        """Check the slots of one section, and return those that contain annotations."""
        folders = self.folders
        # Jupyter leaves hidden copies.
        names = [entry.name for entry in folders.scan(folder) if (folder / entry.name).is_dir()]
        names = [name for name in names if not name.startswith(".")]
        slots = {name for name in names if folders.check_name(folder / name) and self._list_slot(folder / name, ids)}
        folders.report_unknown(folder, names)
        folders.check_links(folder)
        return slots

    def _list_slot(self, folder: Path, ids: Collection[str]) -> bool:
        """Check the annotations of one slot in one section, and return whether there are any."""
        annotated = list(self._named_files(folder, ".json", "annotation"))
        unmatched = [(group, path) for group, path in annotated if group not in ids]
        known = by_look(ids if unmatched else ())
        for group, path in unmatched:
            message = f"group {group} has no pictures{note_lookalike(group, known)}"
            hint = "Restore the pictures, or rename or remove the annotation."
            self.folders.report("annotation-without-group", "error", path, message, hint)
        self._unmatched += [group for group, _ in unmatched]
        if not annotated and folder not in self.folders.unreadable:
            message = f"contains no annotations; slot {folder.name} is used only if another part of the tree has some"
            hint = "Restore the annotations, or remove the folder."
            self.folders.report("empty-slot", "warning", folder, message, hint)
        return bool(annotated)

    def _list_lr(self, folder: Path) -> None:
        """Check a folder of low-resolution images, which several sections may share."""
        for group_id, path in self._named_files(folder, ".png", "image", _LR_RECORD):
            section = self._section_of.get(group_id)
            if section is None or section.lr != folder:
                self.folders.report_extra(path, "a low-resolution image without a group")
                self._unmatched.append(group_id)

    def _named_files(
        self, folder: Path, ending: str, what: str, beside: str | None = None
    ) -> Iterator[tuple[str, Path]]:
        return self.folders.named_files(folder, ending, what, beside, form="PATCHID", require=PatchId.parse)


def list_pictures(images: Path) -> HggtListing:
    """A folder of pictures (`original/`, `01/`, ...) that have no labels yet."""
    return HggtListing(tree_of_pictures(images))


def list_folders(images: Path, labels: Path) -> HggtListing:
    """A tree given by its folder of pictures (`original/`, `01/`, ...) and its folder of labels (`A/`, `B/`, ...)."""
    return HggtListing(tree_of_folders(images, labels))


def _marks(folder: Path) -> dict[str, bool]:
    homes = [home for home in possible_homes(folder) if (home / "images").is_dir()]
    of_candidates = any(map(slots_by_candidate, homes))
    return {
        "images/ in it, in GT/ or in GT/*/": bool(homes),
        "labels/ beside images/": any(map(is_home, homes)),
        "original/, 01/, 02/, ... in images/ or in its levels (such as 0-20193/)": any(map(has_sections, homes)),
        "one JSON per group in labels/A/, B/, C/": bool(homes)
        and (any(map(has_annotations, homes)) or not of_candidates),
    }


def _list(folder: Path, options: ListOptions) -> HggtListing:
    return HggtListing(open_tree(folder, options.lr))


LAYOUT = Layout("hggt", "hggt", HGGT_PROTOCOL, _marks, _list, HGGT_LICENSE_NAME)
