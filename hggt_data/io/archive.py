"""Zip files as they were downloaded, read as the folder that they would unpack to.

An `ArchivePath` has those methods of `pathlib.Path` that reading a tree needs; a `Place` is a path of either kind.
`zip_members.py` checks and reads the zip files. Nothing is unpacked to disk.
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from pathlib import Path, PurePosixPath

from hggt_data.errors import TreeError
from hggt_data.io.zip_members import ZipMembers, ZipPart, join_advice

_ENDING = ".zip"
_SPLIT = re.compile(r"(?P<last>.+)\.z[0-9]{2,}|(?P<whole>.+\.zip)\.[0-9]{3,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Archive:
    """One or several complete zip files, read as one folder.

    It holds names only, so that it can be pickled; each process reads the directories of the zip files once.

    Attributes:
        location: the zip file, or the folder that contains several.
    """

    location: Path
    parts: tuple[ZipPart, ...]

    @property
    def members(self) -> ZipMembers:
        """The checked members; TreeError if one cannot be used."""
        return _read_members(self.parts)


@lru_cache(maxsize=4)
def _read_members(parts: tuple[ZipPart, ...]) -> ZipMembers:
    return ZipMembers(parts)


@total_ordering
@dataclass(frozen=True, slots=True)
class ArchivePath:
    """A file or folder in an `Archive`; as text, `Train.zip/Train/images`.

    Attributes:
        inner: its name in the zip files, with forward slashes; empty for the whole.
    """

    archive: Archive
    inner: str = ""

    def __str__(self) -> str:
        return str(self.archive.location / self.inner)

    def __lt__(self, other: "ArchivePath") -> bool:
        return self.inner.split("/") < other.inner.split("/")

    def __truediv__(self, name: str | PurePosixPath) -> "ArchivePath":
        return ArchivePath(self.archive, f"{self.inner}/{name}".lstrip("/"))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.inner.rpartition("/")[2] or self.archive.location.name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "ArchivePath":
        """The folder that contains it; the whole for itself."""
        return ArchivePath(self.archive, self.inner.rpartition("/")[0])

    @property
    def parents(self) -> list["ArchivePath"]:
        """The folders that contain it, from the nearest to the whole."""
        found = [self]
        while found[-1].inner:
            found.append(found[-1].parent)
        return found[1:]

    def relative_to(self, folder: "ArchivePath") -> PurePosixPath:
        """The path below a folder of the same archive."""
        return PurePosixPath(self.inner).relative_to(folder.inner)

    def is_relative_to(self, folder: "Place") -> bool:
        """Whether it is below a folder, or that folder."""
        if not isinstance(folder, ArchivePath) or folder.archive != self.archive:
            return False
        return PurePosixPath(self.inner).is_relative_to(folder.inner)

    def absolute(self) -> "ArchivePath":
        """Itself: it does not depend on the current folder."""
        return self

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.archive.members.folder(self.inner) is not None

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.archive.members.is_file(self.inner)

    def exists(self) -> bool:
        """Whether it is a file or folder."""
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        """Never: zip files with links are refused."""
        return False

    def iterdir(self) -> Iterator["ArchivePath"]:
        """What is in the folder; nothing if there is no such folder."""
        for name in self.archive.members.folder(self.inner) or ():
            yield self / name

    def read(self, most_bytes: int) -> bytes:
        """The bytes, compared with their checksum; an OSError if there are more than `most_bytes`, or it is damaged."""
        try:
            return self.archive.members.read(self.inner, most_bytes)
        except OSError as error:
            raise self._named(error) from None

    def read_start(self, size_bytes: int) -> bytes:
        """The first bytes, without comparing a checksum."""
        try:
            return self.archive.members.read_start(self.inner, size_bytes)
        except OSError as error:
            raise self._named(error) from None

    def _named(self, error: OSError) -> OSError:
        """The error with the whole path of a member."""
        if error.filename == self.inner:
            error.filename = str(self)
        return error

    def only_folders(self) -> Iterator["ArchivePath"]:
        """Itself, the only folder in it if there is one, the only folder in that, and so on."""
        folder = self
        while True:
            yield folder
            inside = [path for path in folder.iterdir() if path.is_dir()]
            if len(inside) != 1:
                return
            folder = inside[0]


Place = Path | ArchivePath


def open_place(path: Path) -> Place:
    """A path, which may be or be in a zip file, or in a folder that contains zip files and no folders.

    TreeError for the parts of a split zip file, and for damaged or unsafe zip files.
    """
    for home in (path, *path.parents):
        if os.path.lexists(home):
            parts = _find_zips(home)
            if not parts:
                return path
            archive = Archive(home, tuple(map(ZipPart.of, parts)))
            _ = archive.members
            return ArchivePath(archive, "/".join(path.relative_to(home).parts))
    return path


def on_disk(place: Place) -> Path:
    """The file or folder on disk that contains a place."""
    return place if isinstance(place, Path) else place.archive.location


def _find_zips(path: Path) -> list[Path]:
    """The file itself if it is a zip file, or those in a folder without folders; TreeError for a split one."""
    if path.is_file():
        _require_whole(path.name, path.parent)
        return [path] if path.suffix.lower() == _ENDING else []
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".")]
    if any(entry.is_dir() for entry in found):
        return []
    for name in sorted(entry.name for entry in found):
        _require_whole(name, path)
    return sorted(path / entry.name for entry in found if entry.name.lower().endswith(_ENDING))


def _require_whole(name: str, folder: Path) -> None:
    """Refuse a part of a split zip file with the command that joins it; one that was joined already is whole."""
    path = folder / name
    if path.suffix.lower() == _ENDING and path.with_suffix(".z01").exists():
        raise TreeError(join_advice(path))
    if not (split := _SPLIT.fullmatch(name)):
        return
    if split["last"]:
        raise TreeError(join_advice(folder / f"{split['last']}.zip"))
    whole = folder / split["whole"]
    if not whole.exists():
        command = f"cat {shlex.quote(str(whole))}.[0-9]* > {shlex.quote(str(whole))}"
        raise TreeError(f"{path} is a part of a split zip file; join the parts with `{command}`, and pass {whole}")
