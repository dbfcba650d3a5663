"""Single files: atomic writing, JSON, CSV, checksums and modification times.

A killed process or a full disk never leaves an incomplete file under its final name. Whole folders are in
`folders.py`, pictures in `images.py`.
"""

import csv
import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from hggt_data.errors import HggtError, OutputError, TableError
from hggt_data.io.archive import ArchivePath
from hggt_data.io.parsing import parse_json, parse_toml

MOST_BYTES = 1 << 28  # of a file that is read as a whole; the records of the official data have 20 MB
_MOST_TOML_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 22
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_NAME = 255  # bytes
_HIGHEST_PROCESS = 1 << 22  # of Linux
LFS_POINTER = "a git-lfs pointer, not the file itself; run `git lfs pull` where it was cloned"
_LFS_START = b"version https://git-lfs.github.com/spec/"
_TEMPORARY = re.compile(r"\..+\.[0-9]+\.tmp", re.DOTALL)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?|inf)")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_SYSTEM_FILES = {".DS_Store", "Thumbs.db", "desktop.ini", ".gitkeep"}


@contextmanager
def atomic_file(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that is renamed to it once the block has ended and the bytes are on disk.

    If anything fails, an existing file stays as it was. An OSError in writing names `path`. A `private` file can be
    read by its owner only.
    """
    # The process number separates two writers of the same file; the leading dot hides it from globs.
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
        # The block may also fail to read another file; only writing can find the disk full.
        if error.filename in (None, str(temporary)) and (error is not of_block or error.errno in _DISK_FULL):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(name: str) -> bool:
    """Whether this is the name of a temporary file of `atomic_file`, which a killed process leaves behind."""
    return _TEMPORARY.fullmatch(name) is not None


def excess_bytes(name: str) -> int:
    """Bytes by which the name exceeds the limit, counting the temporary suffix; 0 or less if it fits."""
    return len(os.fsencode(_temporary_name(name, _HIGHEST_PROCESS))) - _LONGEST_NAME


def _temporary_name(name: str, process: int) -> str:
    return f".{name}.{process}.tmp"


def is_system_file(name: str) -> bool:
    """Whether operating systems put files of this name into folders."""
    return name in _SYSTEM_FILES or name.startswith("._")


def require_regular_file(path: Path) -> None:
    """Refuse pipes, devices and folders with an OSError: reading from a pipe would block."""
    if path.exists() and not path.is_file():
        raise _not_regular(path)


def open_regular_file(path: Path) -> BinaryIO:
    """Open a file to read; an OSError if it is a pipe, device or folder, even one that has just taken its place."""
    file = open(os.open(os.fspath(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _not_regular(path)
    return file


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))


def read_regular_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a file; an OSError if it is not a regular one or is larger than `most_bytes`."""
    if isinstance(path, ArchivePath):
        return path.read(most_bytes)
    with open_regular_file(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"larger than {most_bytes:,} bytes", str(path))
    return data


def read_start(path: Path, size_bytes: int) -> bytes:
    """The first bytes of a file; an OSError if it is not a regular one."""
    if isinstance(path, ArchivePath):
        return path.read_start(size_bytes)
    with open_regular_file(path) as file:
        return file.read(size_bytes)


def is_lfs_pointer(file: bytes | Path) -> bool:
    """Whether a file, given by its bytes or its path, is only the pointer that git-lfs leaves in its place."""
    if isinstance(file, Path):
        with open(file, "rb") as opened:
            file = opened.read(len(_LFS_START))
    return file.startswith(_LFS_START)


def read_utf8(path: Path, error_class: type[HggtError], most_bytes: int = MOST_BYTES) -> str:
    """The text of a UTF-8 file without its byte order mark, if any; line ends stay.

    A missing file and other encodings raise the error.
    """
    try:
        return read_regular_file(path, most_bytes).decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError as error:
        raise error_class(f"{path}: no such file; check the path") from error
    except UnicodeDecodeError as error:
        raise error_class(f"{path} is not UTF-8 ({error.reason} at byte {error.start:,}); save it as UTF-8") from error


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write UTF-8 text atomically, creating the folder if it is missing; `private` as in `atomic_file`.

    Undecodable bytes of file names are written as `\\udcff`, which JSON reads back. Once this returns, the file
    survives a power cut.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"), private=private)


def write_bytes(path: Path, data: bytes, *, private: bool = False) -> None:
    """The same for bytes."""
    _make_folder(path.parent)
    with atomic_file(path, private=private) as file:
        file.write(data)
    _sync_names(path.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_names(folder.parent)


def _sync_names(folder: Path) -> None:
    """Write the names in a folder to disk; without this a rename or a new folder may be lost in a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # the file system cannot sync folders
            raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        os.close(handle)


def read_json(path: Path, error_class: type[HggtError], advice: str) -> Any:
    """The content of a JSON file. A damaged one raises `error_class`, with `advice` at the end of the message."""
    try:
        return parse_json(read_regular_file(path))
    except ValueError as error:
        raise error_class(f"{path} is damaged ({error}); {advice}") from error


def read_toml(path: Path, error_class: type[HggtError]) -> dict[str, Any]:
    """The content of a TOML file, as written by hand; `error_class` if it is missing, damaged or far too large."""
    try:
        return parse_toml(read_utf8(path, error_class, _MOST_TOML_BYTES))
    except error_class:
        raise
    except ValueError as error:
        raise error_class(f"{path} is not a TOML file: {error}") from error


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON object that an earlier run left beside its results; None if there is none, OutputError if damaged."""
    try:
        found = read_json(path, OutputError, "choose a new folder")
    except FileNotFoundError:
        return None
    if not isinstance(found, dict):
        raise OutputError(f"{path} is damaged (not a JSON object); choose a new folder")
    return found


def write_json(path: Path, content: Any, *, private: bool = False) -> None:
    """Write JSON as `write_text` writes text."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", private=private)


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the lines of a UTF-8 CSV file whose first line names the columns; else TableError."""
    columns, lines = iterate_csv(path)
    return columns, [dict(zip(columns, cells, strict=True)) for _, cells in lines]


def iterate_csv(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The columns of a CSV file as for `read_csv`, and one by one (number, cells) of its lines."""
    text = read_utf8(path, TableError)
    reader = csv.reader((match[0] for match in _LINE.finditer(text)), strict=True)

    def lines() -> Iterator[tuple[int, list[str]]]:
        try:
            for values in reader:
                if not any(values):  # a spreadsheet may save empty rows as commas
                    continue
                if len(values) != len(columns):
                    where = f"{path}, line {reader.line_num}"
                    raise TableError(f"{where}: {len(values)} values; expected {len(columns)}: {', '.join(columns)}")
                yield reader.line_num, list(map(read_cell, values))
        except csv.Error as error:
            raise _not_csv(error) from error

    def _not_csv(error: csv.Error) -> TableError:
        return TableError(f"{path}, line {reader.line_num}: {error}; expected CSV")

    try:
        columns = next(reader, [])
    except csv.Error as error:
        raise _not_csv(error) from error
    if len(columns) == 1 and (separator := next((mark for mark in ";\t" if mark in columns[0]), None)):
        name = "tabs" if separator == "\t" else "semicolons"
        raise TableError(f"{path}: its columns are separated by {name}; save it as CSV with commas")
    if twice := [(name, count) for name, count in Counter(columns).items() if name and count > 1]:
        raise TableError(f"{path}: {twice[0][1]} columns are called {twice[0][0]!r}; expected one")
    return columns, lines()


def csv_writer(file: TextIO, *, quote_all: bool = False) -> Callable[[Iterable[object]], object]:
    """The function that writes one line of CSV.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, which `read_cell` removes.
    """
    minimal, full = (csv.writer(file, lineterminator="\n", quoting=way) for way in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))

    def write_line(values: Iterable[object]) -> None:
        cells = list(map(_safe_cell, values))
        # Python 3.11 would leave a carriage return unquoted, which ends a line when it is read.
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (full if quote_all or has_return else minimal).writerow(cells)

    return write_line


def _safe_cell(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def read_cell(text: str) -> str:
    """A cell as it was given to `csv_writer`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


@contextmanager
def csv_file(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Iterable[object]], object]]:
    """Write a CSV file atomically: yields the function that writes one line. A missing folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        write_line = csv_writer(text)
        write_line(columns)
        yield write_line
        text.flush()
        text.detach()  # `atomic_file` closes it


def link_or_copy(source: Path, target: Path, *, copy: bool = False) -> bool:
    """Hard-link a file to a new name, or copy it (if `copy`, or linking fails); return whether it is a link."""
    if isinstance(source, ArchivePath):
        target.write_bytes(read_regular_file(source))
        return False
    if not copy:
        try:
            os.link(os.path.realpath(source), target)
        except OSError:  # another disk, or a file system without hard links
            pass
        else:
            return True
    shutil.copyfile(source, target)
    return False


def is_up_to_date(results: Iterable[Path], sources: Iterable[Path]) -> bool:
    """Whether all results exist and none is older than the files it is made of.

    A result's age is that of its content: a hard link or `chmod` does not make it newer. A source's age is the time
    since it came to its place: one that was replaced by an older file counts as new. A missing source is an OSError.
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


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Path (relative to a folder), size and SHA-256 of a file, as a manifest lists it."""

    path: str
    size_bytes: int
    sha256: str


def digest_of_file(folder: Path, path: str) -> FileDigest:
    """Size and SHA-256 of `folder / path`."""
    return FileDigest(path, (folder / path).stat().st_size, sha256_of_file(folder / path))


def find_damaged(folder: Path, expected: Sequence[FileDigest]) -> dict[str, str]:
    """Compare files with their expected size and SHA-256: path to what is wrong with it."""

    def fault(digest: FileDigest) -> str | None:
        path = folder / digest.path
        if not path.is_file():
            return "is missing"
        if path.stat().st_size != digest.size_bytes:
            if is_lfs_pointer(path):
                return f"is {LFS_POINTER}"
            return f"has {path.stat().st_size:,} bytes, not {digest.size_bytes:,}"
        return None if sha256_of_file(path) == digest.sha256 else "has other content"

    with ThreadPoolExecutor(max_workers=4) as pool:
        faults = pool.map(fault, expected)
    return {digest.path: text for digest, text in zip(expected, faults, strict=True) if text}
