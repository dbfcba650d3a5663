"""Groups without votes: pictures in one or several folders that restored images are compared with, or no pictures."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hggt_data.errors import NameFormatError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.pictures import looks_like_picture
from hggt_data.io.text import format_examples
from hggt_data.schema import ORIGINAL, PatchGroup, group_order, require_group_id, source_picture
from hggt_data.tree.reader import FileSource


class PictureFolders(FileSource):
    """Ground truths in folders: a group per picture of the first folder, named by the file without its ending.

    The first folder's picture is `original`; the others, `gt2`, `gt3`, ..., may lack pictures. An underscored ending
    that all names of a folder share (`0001_HR`, `0002_HR`) does not belong to the ids.

    Args:
        folders: Folders of PNG files.

    Raises:
        TreeError: A folder has no pictures, or pictures that the first one lacks.
    """

    split = "test"
    layout = "folders"
    has_labels = False

    def __init__(self, folders: Sequence[Path]) -> None:
        self.location = ", ".join(map(str, folders))
        versions = [ORIGINAL, *(f"gt{number}" for number in range(2, len(folders) + 1))]
        self._files = {name: find_pictures(folder) for name, folder in zip(versions, folders, strict=True)}
        known = self._files[ORIGINAL]
        for folder, files in zip(folders[1:], list(self._files.values())[1:], strict=True):
            if extra := [path.name for group, path in files.items() if group not in known]:
                first = format_examples([path.name for path in known.values()])
                raise TreeError(
                    f"{folder}: {len(extra)} of {len(files)} names are not in {folders[0]}: {format_examples(extra)}; "
                    f"expected the names there ({first}), with or without one ending for all"
                )
        self.ids = sorted(known, key=lambda group: group_order(group, source_picture(group)))
        self.candidates = tuple(versions[1:])
        self.unjudged_ground_truths = tuple(versions)

    def _read_labels(self, index: int) -> PatchGroup:
        return _group_without_votes(self.ids[index], self.candidates)

    def _path(self, index: int, name: str) -> Path:
        names = [version for version, files in self._files.items() if self.ids[index] in files]
        if name not in names:
            raise self._no_picture(index, name, names)
        return self._files[name][self.ids[index]]

    def has_picture(self, index: int, name: str) -> bool:
        return self.ids[index] in self._files.get(name, {})


class NamesOnly(GroupSource):
    """Groups without pictures and votes, for no-reference metrics of restored images.

    Args:
        ids: Their names.
    """

    location = "the restored images"
    split = "test"
    layout = "names"
    candidates = ()
    has_labels = False
    unjudged_ground_truths = ()

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = sorted(ids, key=lambda group: group_order(group, source_picture(group)))

    def _read_labels(self, index: int) -> PatchGroup:
        return _group_without_votes(self.ids[index], ())

    def read_bytes(self, index: int, name: str) -> bytes:
        raise self._no_picture(index, name, ("none",))


def find_pictures(folder: Path, suffix: str | None = None) -> Mapping[str, Path]:
    """Group id -> picture of a folder: its name without file ending, and without what all names end with.

    Args:
        folder: Folder of pictures.
        suffix: Only `ID_SUFFIX` and `IDSUFFIX` are pictures of a group.  [default: what all names end with]

    Raises:
        TreeError: The folder has no pictures, or two with one name.
    """
    if not folder.is_dir():
        raise TreeError(f"{folder}: no such folder; expected pictures in it")
    paths = sorted(
        folder / entry.name
        for entry in os.scandir(folder)
        if looks_like_picture(entry.name) and not entry.name.startswith(".") and entry.is_file()
    )
    if not paths:
        inner = sorted(path.name for path in folder.iterdir() if path.is_dir())
        advice = f"it has the folders {format_examples(inner)}" if inner else "check the path"
        raise TreeError(f"{folder} contains no pictures; {advice}")
    ending = suffix or _shared_ending([path.stem for path in paths])
    found: dict[str, Path] = {}
    for path in paths:
        if suffix and not path.stem.endswith(suffix):
            continue
        try:
            group = require_group_id(path.stem.removesuffix(ending).rstrip("_" if suffix else ""))
        except NameFormatError as error:
            raise TreeError(f"{path}: {error}") from error
        if group in found:
            raise TreeError(f"{path} and {found[group].name} are one picture by name; expected one file for each")
        found[group] = path
    return found


def _shared_ending(stems: Sequence[str]) -> str:
    """The last part, with its underscore, that all names have in common; empty if they have none."""
    endings = {"".join(stem.rpartition("_")[1:]) for stem in stems}
    shared = endings.pop() if len(endings) == 1 and len(stems) > 1 else ""
    return shared if shared.startswith("_") and all(len(stem) > len(shared) for stem in stems) else ""


def _group_without_votes(group: str, candidates: tuple[str, ...]) -> PatchGroup:
    image_name, top, left, _ = group_order(group)
    placed = image_name != group
    nothing = (0,) * len(candidates)
    return PatchGroup(
        id=group,
        image_name=source_picture(group),
        top=top if placed else None,
        left=left if placed else None,
        candidates=candidates,
        annotations=(),
        consensus=(None,) * len(candidates),
        agreement=nothing,
        num_votes=nothing,
    )
