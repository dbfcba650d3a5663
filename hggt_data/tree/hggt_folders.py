"""The official folder layout: the folders of pictures and labels in a tree, and the names of their files.

`Train/images/0-20193/{original,01..}/`, `Train/labels/0-20193/{A,B,C}/`; `Test/GT/Test-100/{images,labels}/` with
its LR in `Test/Blind_Degradation_Benchmark_LQ/Test-100/Blind_LR/`. A tree may have several levels such as `0-20193`.
`listing.py` lists the files in these folders.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import TreeError
from hggt_data.schema import LR, ORIGINAL
from hggt_data.tree.folders import describe_entries, folder_names, scan

_CANDIDATE = re.compile(r"[0-9]{2,}")
_LR = "Blind_LR"


@dataclass(frozen=True, slots=True)
class Section:
    """One pair of picture and label folders: a whole tree, or one range level of it.

    Attributes:
        images: the folder that contains `original/`, `01/`, ...
        labels: the folder that contains `A/`, `B/`, ...
        lr: the folder of low-resolution images, None if there is none.
        level: name of the range level, such as `0-20193`; empty for a whole tree.
    """

    images: Path
    labels: Path
    lr: Path | None = None
    level: str = ""

    def picture(self, group_id: str, name: str) -> Path:
        """The path of a group's picture `original`, `01`, ... or, if the section has an LR folder, `lr`."""
        if name == LR:
            assert self.lr is not None
            return self.lr / f"{group_id}.png"
        return self.images / name / picture_name(group_id, name)

    def annotation(self, group_id: str, slot: str) -> Path:
        """The path of a slot's JSON for a group."""
        return self.labels / slot / f"{group_id}.json"


@dataclass(frozen=True)
class Tree:
    """An HGGT tree found on disk; see `open_tree`.

    Attributes:
        root: problems name paths relative to it.
        candidates: names of the enhanced versions in any section, sorted.
        given: the folders that the user named. Links must not point outside of them.
    """

    root: Path
    sections: tuple[Section, ...]
    candidates: tuple[str, ...]
    given: tuple[Path, ...]

    @property
    def lr_folders(self) -> tuple[Path, ...]:
        """The folders of low-resolution images, one per section that has one."""
        return tuple(section.lr for section in self.sections if section.lr)


def open_tree(root: Path, lr: Path | None = None) -> Tree:
    """Find the picture and label folders of `Train/`, `Test/`, or any folder that contains `images/` and `labels/`.

    `lr` is the folder of low-resolution images, if it is not in its official place. TreeError if nothing fits.
    """
    homes = [home for home in possible_homes(root) if is_home(home)]
    sections = tuple(section for home in homes for section in _sections_of(home, _lr_of(root, home, lr)))
    if not sections:
        raise TreeError(f"{root} is not an HGGT tree")
    return Tree(root, sections, _require_candidates(root, sections), (root,) if lr is None else (root, lr))


def tree_of_folders(images: Path, labels: Path) -> Tree:
    """A tree given by its folder of pictures (`original/`, `01/`, ...) and its folder of labels (`A/`, `B/`, ...)."""
    pictures = tree_of_pictures(images)
    if not labels.is_dir():
        raise TreeError(f"{labels}: no such folder; expected one that contains A/, B/, C/")
    root = Path(os.path.commonpath([images.absolute(), labels.absolute()]))
    return Tree(root, (Section(images, labels),), pictures.candidates, (images, labels))


def tree_of_pictures(images: Path) -> Tree:
    """A folder of pictures (`original/`, `01/`, ...) that have no labels yet."""
    if images.is_file():
        raise TreeError(f"{images} is a file; expected a folder. Unpack a zip file first.")
    if not (images / ORIGINAL).is_dir():
        raise TreeError(
            f"{images}: expected a folder that contains original/, 01/, 02/, ...; found {describe_entries(images)}"
        )
    sections = (Section(images, images / "labels"),)
    return Tree(images, sections, _require_candidates(images, sections), (images,))


def official_train(root: Path, num_groups: int) -> Section:
    """The official layout of a training tree with this many groups: `images/0-20193/`; LR, if any, in `Blind_LR/`."""
    level = f"0-{num_groups}"
    return Section(root / "images" / level, root / "labels" / level, root / "Blind_LR", level)


def official_test(root: Path, num_groups: int) -> Section:
    """The official layout of a test tree with this many groups: `GT/Test-100/images/`, and its `Blind_LR/`."""
    name = f"Test-{num_groups}"
    home = root / "GT" / name
    return Section(home / "images", home / "labels", root / "Blind_Degradation_Benchmark_LQ" / name / "Blind_LR")


def picture_name(stem: str, name: str) -> str:
    """The file name of a picture: `STEM.png` for the original, `STEM_01.png` for candidate 01."""
    return f"{stem}.png" if name == ORIGINAL else f"{stem}_{name}.png"


def is_candidate_name(name: str) -> bool:
    """Whether a folder of this name holds a candidate: two or more digits."""
    return _CANDIDATE.fullmatch(name) is not None


def possible_homes(root: Path) -> list[Path]:
    """The folders that may contain `images/` and `labels/`: the tree itself, `GT/`, and each folder of `GT/`."""
    return [root, root / "GT", *(root / "GT" / name for name in folder_names(root / "GT"))]


def has_sections(home: Path) -> bool:
    """Whether `images/` contains `original/`, `01/`, ..., or levels that do."""
    return any(_sections_of(home, None))


def has_annotations(home: Path) -> bool:
    """Whether a folder in `labels/` contains annotations."""
    return any(entry.name.endswith(".json") for slot in _slot_folders(home) for entry in scan(slot))


def slots_by_candidate(home: Path) -> list[str]:
    """The folders in `labels/` that contain a folder for each candidate, as in DiffIQA."""
    pictures = {name for name in folder_names(home / "images") if is_candidate_name(name)}
    return [slot.name for slot in _slot_folders(home) if not pictures.isdisjoint(folder_names(slot))]


def _slot_folders(home: Path) -> list[Path]:
    return [home / "labels" / name for name in folder_names(home / "labels")]


def describe_half(folder: Path) -> str:
    """Which of `images/` and `labels/` is in the folder without the other; empty if both or none are."""
    images, labels = (folder / "images").is_dir(), (folder / "labels").is_dir()
    if images == labels:
        return ""
    return "contains images/ but no labels/" if images else "contains labels/ but no images/"


def is_home(folder: Path) -> bool:
    """Whether it contains pictures and labels."""
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _sections_of(home: Path, lr: Path | None) -> Iterator[Section]:
    images, labels = home / "images", home / "labels"
    if _holds_pictures(images):
        yield Section(images, labels, lr)
        return
    levels = {level for level in folder_names(images) if _holds_pictures(images / level)}
    if levels:  # levels that have labels only are listed too, so that their missing pictures are noticed
        levels |= {level for level in folder_names(labels) if folder_names(labels / level)}
    for level in sorted(levels):
        yield Section(images / level, labels / level, lr, level)


def _holds_pictures(folder: Path) -> bool:
    names = folder_names(folder)
    # A level may be called 2023: a candidate's folder contains pictures, a level's contains folders.
    return ORIGINAL in names or any(is_candidate_name(name) and not folder_names(folder / name) for name in names)


def _lr_of(root: Path, home: Path, given: Path | None) -> Path | None:
    """The LR folder of one home: the given one, or the `Blind_LR` in the tree that belongs to this home."""
    if given is not None:
        if not given.is_dir():
            raise TreeError(f"{given}: no such folder; expected low-resolution images named PATCHID.png in it")
        return given
    above = [root, *(root / name for name in folder_names(root))]
    above += [folder / name for folder in above[1:] for name in folder_names(folder)]
    found = sorted(folder / _LR for folder in above if (folder / _LR).is_dir())
    parts = folder_names(root / "GT")
    of_this_home = [path for path in found if path.parent.name == home.name]
    of_this_home = of_this_home or [path for path in found if path.parent.name not in parts]
    if len(of_this_home) > 1:
        shown = ", ".join(map(str, of_this_home))
        raise TreeError(f"{home}: found several folders of low-resolution images: {shown}; pass one of them as `lr`")
    return of_this_home[0] if of_this_home else None


def _require_candidates(root: Path, sections: tuple[Section, ...]) -> tuple[str, ...]:
    names = {name for section in sections for name in folder_names(section.images)}
    candidates = tuple(sorted(name for name in names if is_candidate_name(name)))
    if not candidates:
        raise TreeError(
            f"{root} has no candidates; expected folders 01/, 02/, ... beside {sections[0].images}/original/"
        )
    return candidates
