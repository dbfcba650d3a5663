"""The official folder layout: the folders of pictures and labels in a tree, and the names of their files.

`Train/images/0-20193/{original,01..}/`, `Train/labels/0-20193/{A,B,C}/`; `Test/GT/Test-100/{images,labels}/` with
its LR in `Test/Blind_Degradation_Benchmark_LQ/Test-100/Blind_LR/`. A tree may have several levels such as `0-20193`.
`listing.py` lists the files in these folders.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import TreeError
from hggt_data.io.archive import ArchivePath, open_place
from hggt_data.io.files import is_system_file
from hggt_data.schema import LR, ORIGINAL

Entry = os.DirEntry[str] | ArchivePath

_CANDIDATE = re.compile(r"[0-9]{2,}")
_LR = "Blind_LR"
_MOST_ENTRIES = 8  # of a folder, in a message


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

    `lr` is the folder of low-resolution images, if it is not in its official place. Both may be zip files, or folders
    of zip files, see `enter`. TreeError if nothing fits.
    """
    root, lr = enter(root, _is_tree), None if lr is None else enter(lr, _has_pictures)
    if not root.is_dir():
        raise TreeError(f"{root}: no such folder or zip file; expected an HGGT tree")
    homes = [home for home in possible_homes(root) if _is_home(home)]
    sections = tuple(section for home in homes for section in _sections_of(home, _lr_of(root, home, lr)))
    if not sections:
        raise TreeError(_nothing_fits(root))
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
            f"{images}: expected a folder that contains original/, 01/, 02/, ...; found {_describe_entries(images)}"
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
    return [root, root / "GT", *(root / "GT" / name for name in _folders(root / "GT"))]


def describe_half(folder: Path) -> str:
    """Which of `images/` and `labels/` is in the folder without the other; empty if both or none are."""
    images, labels = (folder / "images").is_dir(), (folder / "labels").is_dir()
    if images == labels:
        return ""
    return "contains images/ but no labels/" if images else "contains labels/ but no images/"


def enter(path: Path, fits: Callable[[Path], bool]) -> Path:
    """The folder that fits: `path` itself, or the first of nested ones in a zip file, or in a folder of zip files.

    If none fits, it is the whole content of the zip files, or `path` where there are none.
    """
    if path.is_dir() and fits(path):
        return path
    place = open_place(path)
    return next(filter(fits, place.only_folders()), place) if isinstance(place, ArchivePath) else path


def scan(folder: Path) -> list[Entry]:
    """The entries of a folder except operating systems' own files; none if the folder is missing."""
    if not folder.is_dir():
        return []
    if isinstance(folder, ArchivePath):
        return [path for path in folder.iterdir() if not is_system_file(path.name)]
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_system_file(entry.name)]


def _is_tree(root: Path) -> bool:
    return any(map(_is_home, possible_homes(root)))


def _has_pictures(folder: Path) -> bool:
    return any(entry.name.endswith(".png") for entry in scan(folder))


def _is_home(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _sections_of(home: Path, lr: Path | None) -> Iterator[Section]:
    images, labels = home / "images", home / "labels"
    if _holds_pictures(images):
        yield Section(images, labels, lr)
        return
    levels = {level for level in _folders(images) if _holds_pictures(images / level)}
    if levels:  # levels that have labels only are listed too, so that their missing pictures are noticed
        levels |= {level for level in _folders(labels) if _folders(labels / level)}
    for level in sorted(levels):
        yield Section(images / level, labels / level, lr, level)


def _holds_pictures(folder: Path) -> bool:
    names = _folders(folder)
    # A level may be called 2023: a candidate's folder contains pictures, a level's contains folders.
    return ORIGINAL in names or any(is_candidate_name(name) and not _folders(folder / name) for name in names)


def _lr_of(root: Path, home: Path, given: Path | None) -> Path | None:
    """The LR folder of one home: the given one, or the `Blind_LR` in the tree that belongs to this home."""
    if given is not None:
        if not given.is_dir():
            raise TreeError(f"{given}: no such folder; expected low-resolution images named PATCHID.png in it")
        return given
    above = [root, *(root / name for name in _folders(root))]
    above += [folder / name for folder in above[1:] for name in _folders(folder)]
    found = sorted(folder / _LR for folder in above if (folder / _LR).is_dir())
    parts = _folders(root / "GT")
    of_this_home = [path for path in found if path.parent.name == home.name]
    of_this_home = of_this_home or [path for path in found if path.parent.name not in parts]
    if len(of_this_home) > 1:
        shown = ", ".join(map(str, of_this_home))
        raise TreeError(f"{home}: found several folders of low-resolution images: {shown}; pass one of them as `lr`")
    return of_this_home[0] if of_this_home else None


def _require_candidates(root: Path, sections: tuple[Section, ...]) -> tuple[str, ...]:
    names = {name for section in sections for name in _folders(section.images)}
    candidates = tuple(sorted(name for name in names if is_candidate_name(name)))
    if not candidates:
        raise TreeError(
            f"{root} has no candidates; expected folders 01/, 02/, ... beside {sections[0].images}/original/"
        )
    return candidates


def _nothing_fits(root: Path) -> str:
    if (root / "manifest.json").is_file() and (root / "data").is_dir():
        advice = "Unpack it" if isinstance(root, ArchivePath) else "Convert it with `hggt-data export tree`"
        return f"{root} is a built dataset; expected a tree. {advice}."
    message = (
        f"{root} is not an HGGT tree. Expected images/ and labels/ in it, in GT/ or in GT/*/, and original/, 01/, 02/, "
        f"... in images/ or in its levels (such as 0-20193/); found {_describe_entries(root)}."
    )
    for home in possible_homes(root):
        if half := describe_half(home):
            message += f" {home} {half}."
    whole = [folder for folder in root.absolute().parents[:3] if _is_tree(folder)]
    if whole:
        return f"{root} is a part of the tree {whole[0]}; pass that."
    parts = [str(root / name) for name in ("Train", "Test") if (root / name).is_dir()]
    if parts:
        message += f" Pass {' or '.join(parts)} instead."
    return message


def _describe_entries(folder: Path) -> str:
    folders = _folders(folder)
    names = sorted(entry.name + "/" * (entry.name in folders) for entry in scan(folder))
    if not names:
        return "nothing"
    more = f" and {len(names) - _MOST_ENTRIES} more" if len(names) > _MOST_ENTRIES else ""
    return ", ".join(names[:_MOST_ENTRIES]) + more


def _folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted, including links to folders."""
    return sorted(entry.name for entry in scan(folder) if (folder / entry.name).is_dir())
