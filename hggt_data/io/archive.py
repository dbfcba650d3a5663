"""Zip files as they were downloaded, read as the folder that they would unpack to.

`zip_members.py` checks and reads the zip files. Nothing is unpacked to disk.
"""

import errno
import os
import re
import shlex
from collections.abc import Callable, Generator, Iterator
from functools import lru_cache
from pathlib import Path, PosixPath
from typing import Any, Self

from hggt_data.errors import SettingsError, TreeError
from hggt_data.io.zip_members import ZipMembers, ZipPart, join_advice

_ENDING = ".zip"
_SPLIT = re.compile(r"(?P<last>.+)\.z[0-9]{2,}|(?P<whole>.+\.zip)\.[0-9]{3,}", re.IGNORECASE)
_parts_at: dict[str, tuple[ZipPart, ...]] = {}  # a zip file, or a folder of zip files, to the opened files


class ArchivePath(PosixPath):
    """A path in a zip file (`Train.zip/Train/images`), or in a folder of zip files that are read as one folder.

    It is read by the methods below, `read_regular_file` and `read_start`; for all others, and for the system, it does
    not exist, and neither do the folders above the zip files. It can be pickled: each process reads the directories of
    the zip files once.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        home = self._home
        return _restore, (str(self), home, _parts_at.get(home))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file or folder."""
        return self.is_file() or self.is_dir()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder."""
        members, name = self._find()
        return members is not None and members.folder(name) is not None

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file."""
        members, name = self._find()
        return members is not None and members.is_file(name)

    def is_symlink(self) -> bool:
        """Never: zip files with links are refused."""
        return False

    def iterdir(self) -> Generator[Self, None, None]:
        """What is in the folder; nothing if there is no such folder."""
        members, name = self._find()
        for inside in (members and members.folder(name)) or ():
            yield self / inside

    def read(self, most_bytes: int) -> bytes:
        """The bytes, compared with their checksum; an OSError if there are more than `most_bytes`, or it is damaged."""
        return self._read(lambda members, name: members.read(name, most_bytes))

    def read_start(self, size_bytes: int) -> bytes:
        """The first bytes, without comparing a checksum."""
        return self._read(lambda members, name: members.read_start(name, size_bytes))

    def only_folders(self) -> Iterator[Self]:
        """Itself, the only folder in it if there is one, the only folder in that, and so on."""
        folders = [self]
        while len(folders) == 1:
            yield folders[0]
            folders = [path for path in folders[0].iterdir() if path.is_dir()]

    @property
    def _home(self) -> str:
        """The zip file, or the folder of zip files; empty for a folder above these."""
        home = str(self)
        while home and home not in _parts_at:
            home = home.rpartition("/")[0]
        return home or ("." if "." in _parts_at and not self.is_absolute() else "")

    def _find(self) -> tuple[ZipMembers | None, str]:
        """The zip files, and the name in them; no zip files for a folder above these."""
        home = self._home
        name = str(self) if home == "." else str(self)[len(home) + 1 :]
        return _read_members(_parts_at[home]) if home else None, "" if name == "." else name

    def _read(self, read: Callable[[ZipMembers, str], bytes]) -> bytes:
        members, name = self._find()
        if members is None:
            raise OSError(errno.EINVAL, "not a regular file", str(self))
        try:
            return read(members, name)
        except OSError as error:
            if error.filename == name:
                error.filename = str(self)
            raise


def _restore(text: str, home: str, parts: tuple[ZipPart, ...] | None) -> ArchivePath:
    if parts is not None:
        _parts_at.setdefault(home, parts)
    return ArchivePath(text)


@lru_cache(maxsize=32)
def _read_members(parts: tuple[ZipPart, ...]) -> ZipMembers:
    return ZipMembers(parts)


def open_place(path: Path) -> Path:
    """A path, as an `ArchivePath` if it is or is in a zip file, or is a folder that contains zip files.

    TreeError for the parts of a split zip file, and for damaged or unsafe zip files.
    """
    home = next((folder for folder in (path, *path.parents) if os.path.lexists(folder)), path)
    zips = _find_zips(home) if home == path or home.is_file() else []
    if not zips:
        return path
    parts = tuple(map(ZipPart.of, zips))
    _read_members(parts)
    _parts_at[str(home)] = parts
    return ArchivePath(path)


def place_exists(path: Path) -> bool:
    """Whether there is a file or folder of this path, on disk or in a zip file."""
    return path.exists() or open_place(path).exists()


def require_place(path: Path) -> Path:
    """Check that there is a file or folder of this path, on disk or in a zip file."""
    if not place_exists(path):
        raise SettingsError(f"{path} does not exist; expected a folder or a zip file")
    return path


def _find_zips(path: Path) -> list[Path]:
    """The file itself if it is a zip file, or the zip files in a folder; TreeError for a split one."""
    if path.is_file():
        _require_whole(path)
        return [path] if path.suffix.lower() == _ENDING else []
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in names:
        _require_whole(path / name)
    return [path / name for name in names if name.lower().endswith(_ENDING)]


def _require_whole(path: Path) -> None:
    """Refuse a part of a split zip file with the command that joins it; one that was joined already is whole."""
    if path.suffix.lower() == _ENDING and path.with_suffix(".z01").exists():
        raise TreeError(join_advice(path))
    if not (split := _SPLIT.fullmatch(path.name)):
        return
    if split["last"]:
        raise TreeError(join_advice(path.with_name(f"{split['last']}.zip")))
    whole = path.with_name(split["whole"])
    if not whole.exists():
        command = f"cat {shlex.quote(str(whole))}.[0-9]* > {shlex.quote(str(whole))}"
        raise TreeError(f"{path} is a part of a split zip file; join the parts with `{command}`, and pass {whole}")
