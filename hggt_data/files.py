"""Writing files so that a kill or a full disk never leaves half a file under a real name; hashing; small CSV files."""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hggt_data.errors import OutputError, TreeError

_BLOCK_BYTES = 1 << 22
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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

    Once this returns the file is on disk under its name, and is there after a power cut too.
    """
    _make_folder(path.parent)
    with atomic_file(path, private=private) as file:
        file.write(text.encode("utf-8"))
    _sync_names(path.parent)


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


def link_or_copy(source: Path, target: Path) -> bool:
    """Give a file a second name (a hard link), or copy it where that cannot be; `target` must not be there.

    Returns:
        Whether it is a link.

    Raises:
        OSError: neither can be done.
    """
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another disk, or a file system without hard links
        shutil.copyfile(source, target)
        return False
    return True


def changed_ns(path: Path) -> int:
    """When a file came to be what it is in its place, in ns: moving it there or setting its time back counts too.

    Raises:
        OSError: it is not there.
    """
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
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            if twice := [name for name in columns if name and columns.count(name) > 1]:
                raise TreeError(f"{path}: {columns.count(twice[0])} columns are called {twice[0]!r}; expected one")
            lines = []
            for values in reader:
                if values and len(values) != len(columns):
                    where = f"{path}, line {reader.line_num}"
                    raise TreeError(f"{where}: {len(values)} values; expected {len(columns)}: {', '.join(columns)}")
                if values:
                    lines.append(dict(zip(columns, values, strict=True)))
    except UnicodeDecodeError as error:
        raise TreeError(f"{path} is not UTF-8 ({error.reason} at byte {error.start:,}); save it as UTF-8") from error
    except csv.Error as error:
        raise TreeError(f"{path}, line {reader.line_num}: {error}; expected CSV") from error
    return columns, lines


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON object that an earlier run has left beside its results; null where there is none.

    Raises:
        OutputError: the file is damaged.
        OSError: it cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OutputError(f"{path} is damaged ({error}); choose a new folder") from error
    if not isinstance(found, dict):
        raise OutputError(f"{path} is damaged: no JSON object; choose a new folder")
    return found
