"""Writing files so that a kill or a full disk never leaves half a file under a real name; hashing; small CSV files."""

import csv
import errno
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hggt_data.errors import HggtError, TreeError

_BLOCK_BYTES = 1 << 22
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_NAME = 255  # bytes
_HIGHEST_PROCESS = 1 << 22  # of Linux
_TEMPORARY = re.compile(r"\..+\.[0-9]+\.tmp", re.DOTALL)


@contextmanager
def atomic_file(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its name once it is closed without an error and on disk.

    Args:
        path: the file's final name.
        private: for the eyes of its owner only.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; it names `path`. Whatever was there is
            untouched.
        Whatever the block raises.
    """
    # The process number keeps two writers of the same file apart; the leading dot keeps it out of globs.
    temporary = path.with_name(_temporary_name(path.name, os.getpid()))
    of_block: OSError | None = None
    try:
        with open(temporary, "wb") as file:
            if private:
                temporary.chmod(0o600)
            try:
                yield file
            except OSError as error:
                of_block = error
                raise
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # The block may also fail to read something else; only writing can meet a full disk.
        if error.filename in (None, str(temporary)) and (error is not of_block or error.errno in _NO_ROOM):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(name: str) -> bool:
    """Whether a name is one of `atomic_file`'s temporary ones, which a killed process leaves behind."""
    return _TEMPORARY.fullmatch(name) is not None


def excess_bytes(name: str) -> int:
    """By how many bytes a name is too long for `atomic_file`, which needs some for itself; 0 or less where it fits."""
    return len(os.fsencode(_temporary_name(name, _HIGHEST_PROCESS))) - _LONGEST_NAME


def _temporary_name(name: str, process: int) -> str:
    return f".{name}.{process}.tmp"


def require_regular_file(path: Path) -> None:
    """Refuse pipes, devices and folders; reading from a pipe would wait for ever.

    Raises:
        OSError: it is there and something else than a file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_regular_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: it is missing, unreadable or no regular file.
    """
    require_regular_file(path)
    return path.read_bytes()


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write UTF-8 text atomically, making the folder if need be; `private` as in `atomic_file`.

    A file's name may be no text; its strange bytes are written as `\\udcff`, which JSON reads back as they were.
    Once this returns the file is on disk under its name, and is there after a power cut too.
    """
    _make_folder(path.parent)
    with atomic_file(path, private=private) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
    _sync_names(path.parent)


def write_json(path: Path, content: Any, *, private: bool = False) -> None:
    """Write JSON as `write_text` writes text."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", private=private)


def read_json(path: Path, error_class: type[HggtError], advice: str) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        error_class: what to raise if it is damaged.
        advice: what to do then.

    Raises:
        HggtError: `error_class`.
        OSError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise error_class(f"{path} is damaged ({error}); {advice}") from error


def read_utf8(path: Path, error_class: type[HggtError]) -> str:
    """The text of a UTF-8 file, without the byte order mark that some programs put before it; line ends stay.

    Raises:
        HggtError: `error_class`, if it is not UTF-8.
        OSError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise error_class(f"{path} is not UTF-8 ({error.reason} at byte {error.start:,}); save it as UTF-8") from error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_names(folder.parent)


def _sync_names(folder: Path) -> None:
    """A rename or a new folder is on disk only once the folder around it is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has no such thing
            raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        os.close(handle)


@contextmanager
def csv_file(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Iterable[object]], object]]:
    """Open a CSV file that is whole or not there, and yield what writes one line of it; `read_csv` reads it.

    Args:
        path: the file's final name; its folder is made if need be.
        columns: the first line.

    Raises:
        OSError: as `atomic_file`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        yield writer.writerow
        text.flush()
        text.detach()  # `atomic_file` closes it


def link_or_copy(source: Path, target: Path, *, copy: bool = False) -> bool:
    """Give a file a second name (a hard link), or copy it where that cannot be; `target` must not be there.

    Args:
        source: the file.
        target: its second name.
        copy: never link.

    Returns:
        Whether it is a link.

    Raises:
        OSError: neither can be done.
    """
    if not copy:
        try:
            os.link(os.path.realpath(source), target)
        except OSError:  # another disk, or a file system without hard links
            pass
        else:
            return True
    shutil.copyfile(source, target)
    return False


def is_done(results: Iterable[Path], sources: Iterable[Path]) -> bool:
    """Whether all results are there and none is older than what they are made of.

    A result counts from when it was written: a hard link or `chmod` makes it no newer. A source counts from when it
    came to be what it is in its place: one that an older file has replaced is new.

    Raises:
        OSError: all results are there, but a source is not.
    """
    try:
        oldest_ns = min(path.stat().st_mtime_ns for path in results)
    except FileNotFoundError:
        return False
    return all(oldest_ns >= _changed_ns(path) for path in sources)


def _changed_ns(path: Path) -> int:
    status, link = path.stat(), path.lstat()
    return max(status.st_mtime_ns, status.st_ctime_ns, link.st_ctime_ns)


def sha256_of(data: bytes) -> str:
    """The SHA-256 of bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the lines of a UTF-8 CSV file whose first line names the columns.

    Raises:
        TreeError: it is not UTF-8, no CSV, two columns have one name, or a line has more or fewer values than there are
            columns.
        OSError: it cannot be read.
    """
    require_regular_file(path)
    reader = csv.reader(io.StringIO(read_utf8(path, TreeError), newline=""), strict=True)
    lines = []
    try:
        columns = next(reader, [])
        if twice := [name for name in columns if name and columns.count(name) > 1]:
            raise TreeError(f"{path}: {columns.count(twice[0])} columns are called {twice[0]!r}; expected one")
        for values in reader:
            if values and len(values) != len(columns):
                where = f"{path}, line {reader.line_num}"
                raise TreeError(f"{where}: {len(values)} values; expected {len(columns)}: {', '.join(columns)}")
            if values:
                lines.append(dict(zip(columns, values, strict=True)))
    except csv.Error as error:
        raise TreeError(f"{path}, line {reader.line_num}: {error}; expected CSV") from error
    return columns, lines


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file by its path, size and SHA-256.

    In a manifest: a file of the light `labels` config, the card, or an input that belongs to no single group. The
    inputs of a group are listed so too until their shard is written.
    """

    path: str
    size_bytes: int
    sha256: str


def describe_file(folder: Path, path: str) -> FileRecord:
    """The record of a file of the dataset in `folder`."""
    return FileRecord(path, (folder / path).stat().st_size, sha256_of_file(folder / path))


def find_damage(folder: Path, contents: Sequence[FileRecord]) -> dict[str, str]:
    """Compare files with their records, by size and hash: path to what is wrong with it.

    Raises:
        OSError: one cannot be read.
    """

    def fault(record: FileRecord) -> str | None:
        path = folder / record.path
        if not path.is_file():
            return "is missing"
        if path.stat().st_size != record.size_bytes:
            return f"has {path.stat().st_size:,} bytes, not {record.size_bytes:,}"
        return None if sha256_of_file(path) == record.sha256 else "has other content"

    with ThreadPoolExecutor(max_workers=4) as pool:
        faults = pool.map(fault, contents)
    return {record.path: text for record, text in zip(contents, faults, strict=True) if text}


_SYSTEM_FILES = {".DS_Store", "Thumbs.db", "desktop.ini", ".gitkeep"}


def is_system_file(name: str) -> bool:
    """Whether operating systems leave files of this name in folders without being asked."""
    return name in _SYSTEM_FILES or name.startswith("._")
