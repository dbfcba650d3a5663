"""Reads the folders of a tree: what is in them, and whether names and links can be used."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from hggt_data.errors import NameFormatError
from hggt_data.io.archive import ArchivePath, open_place
from hggt_data.io.files import is_system_file
from hggt_data.io.names import compare_names, find_lookalikes
from hggt_data.io.pictures import CONVERT_HINT, looks_like_picture
from hggt_data.io.text import encodable
from hggt_data.problems import Problem, Severity
from hggt_data.schema import require_group_id

Entry = os.DirEntry[str] | ArchivePath

_MOST_ENTRIES = 8  # of a folder, in a message
_EXTRA_HINT = "It is ignored; remove it if you do not need it."


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


def folder_names(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted, including links to folders."""
    return sorted(entry.name for entry in scan(folder) if (folder / entry.name).is_dir())


def has_folders(folder: Path) -> bool:
    """Whether there is a folder in a folder."""
    return any(entry.is_dir() for entry in scan(folder))


def has_pictures(folder: Path) -> bool:
    """Whether there is a PNG in a folder."""
    return any(entry.name.endswith(".png") for entry in scan(folder))


def describe_entries(folder: Path) -> str:
    """What is in a folder, for a message."""
    folders = folder_names(folder)
    names = sorted(entry.name + "/" * (entry.name in folders) for entry in scan(folder))
    if not names:
        return "nothing"
    more = f" and {len(names) - _MOST_ENTRIES} more" if len(names) > _MOST_ENTRIES else ""
    return ", ".join(names[:_MOST_ENTRIES]) + more


class CheckedFolders:
    """Reads the folders of a tree, and collects the problems of names and links on the way.

    Args:
        root: problems name paths relative to it.
        given: the folders that the user named. Links must not point outside of them.
        others: folders outside the root, by the names that they have in problems.

    Attributes:
        unreadable: the folders that could not be read.
    """

    def __init__(self, root: Path, given: Iterable[Path], others: Mapping[str, Path] = {}) -> None:
        self._root = root
        self._others = others
        self._allowed = [os.path.realpath(place) for place in given]
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
        self,
        folder: Path,
        ending: str,
        what: str,
        beside: str | None = None,
        *,
        form: str = "ID",
        require: Callable[[str], object] = require_group_id,
    ) -> Iterator[tuple[str, Path]]:
        """(group, file) of each file named after a group, `ID + ending`; other files are reported, except `beside`.

        `require` raises NameFormatError for a text that is not an id; `form` stands for the id in messages.
        """
        for entry in self.scan(folder):
            path = folder / entry.name
            if entry.name == beside:
                continue
            if not (entry.is_symlink() or entry.is_file()) or not entry.name.endswith(ending):
                hint = f"{CONVERT_HINT} Now it is ignored." if looks_like_picture(entry.name) else _EXTRA_HINT
                self.report_extra(path, f"expected only files named {form}{ending}", hint)
                continue
            group_id = entry.name.removesuffix(ending)
            try:
                require(group_id)
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
        self.problems.append(
            Problem(kind, severity, relative_path(path, self._root, self._others), message, hint, group_id)
        )


def relative_path(path: Path, root: Path, others: Mapping[str, Path] = {}) -> str:
    """A path as problems and manifests name it: relative to the tree, with forward slashes.

    What is elsewhere, in a folder of `others`, is named after its key there: a manifest must not reveal where it is.
    """
    relative = Path(os.path.relpath(path, root)).as_posix()
    if relative.startswith("../"):
        inside = (f"{name}/{Path(os.path.relpath(path, at))}" for name, at in others.items() if path.is_relative_to(at))
        relative = next(inside, f"lr/{path.name}")
    return encodable(relative)


def way_to_read(error: Exception) -> str:
    """What to do about a file that cannot be read."""
    return "Change its permissions." if isinstance(error, PermissionError) else "Restore it from the download."
