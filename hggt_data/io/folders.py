"""Output folders: filled beside their final place and renamed into it when complete; locks.

The staging folder of `hggt` is `.hggt.partial`. It outlives a failed or killed run, so that the next one can resume.
Folders that are filled in place and resumed picture by picture are in `picture_job.py`.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hggt_data.errors import OutputError
from hggt_data.io.files import is_leftover, read_record, write_json
from hggt_data.io.text import encodable


@contextmanager
def open_staging(output: Path, marker: str) -> Iterator[Path]:
    """Create, lock and yield the staging folder of `output`, for `put_in_place`.

    `marker` is the name of a file that a complete output contains. OutputError if `output` is a file, a mount point,
    the current folder, or has content without this file, or if another process is filling it.
    """
    output = _require_folder(output)
    if _is_filled(output) and not (output / marker).is_file():
        raise OutputError(f"{output} is not empty and does not contain {marker}; choose a new or empty folder")
    with open_beside(output, "partial") as staging:
        recover(output)
        yield staging


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Yield an empty folder that is renamed to `output` at the end of the block, or removed if an error ends it.

    OutputError as in `open_staging`, or if `output` is not empty.
    """
    output = _require_empty(output)
    with replaced_folder(output) as staging:
        yield staging


@contextmanager
def resumed_folder(output: Path, record: Mapping[str, Any], name: str) -> Iterator[Path]:
    """As `new_folder`, but the files of a run that failed or was killed stay for the next one, if there are any.

    `record` is written to the file `name` in the folder; files of a run with another record are removed first.
    """
    output = _require_empty(output)
    with open_beside(output, "unfinished") as staging:
        recover(output)
        if read_record(staging / name) != json.loads(json.dumps(record)):  # as it is read back from a file
            _empty(staging)
            write_json(staging / name, record)
        for path in staging.rglob(".*.tmp"):
            if is_leftover(path.name):
                path.unlink()
        try:
            yield staging
        except Exception:
            if not any(path.is_file() and path.name != name for path in staging.rglob("*")):
                shutil.rmtree(staging, ignore_errors=True)
            raise
        put_in_place(staging, output)


@contextmanager
def replaced_folder(output: Path) -> Iterator[Path]:
    """As `new_folder`, but an existing `output` is replaced at the end of the block."""
    with open_beside(output, "new") as staging:
        try:
            recover(output.resolve())
            _empty(staging)  # a killed run may have left files
            yield staging
            put_in_place(staging, output)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


def require_outside(output: Path, source: Path, what: str) -> None:
    """Refuse an output inside the folder that is read; `what` is the name of that folder, such as `the tree`."""
    if output.resolve().is_relative_to(source.resolve()):
        raise OutputError(f"{output} is inside {what} {source}; choose a folder outside")


@contextmanager
def open_beside(place: Path, what: str) -> Iterator[Path]:
    """Create, lock and yield the folder `.NAME.what` beside the folder NAME; the caller removes it."""
    folder = _beside(place.resolve(), what)
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder):
        yield folder


@contextmanager
def lock_folder(folder: Path, busy: str = "") -> Iterator[None]:
    """Exclude other processes that lock the same folder: they get an OutputError, with the message `busy` if given."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(busy or f"another process is writing to {folder}; wait for it to end") from error
        yield
    finally:
        os.close(handle)


@contextmanager
def share_folder(folder: Path, clean: Callable[[], object]) -> Iterator[None]:
    """Work in a folder together with other processes that do the same.

    `clean` is called at the beginning and at the end, if no other process is at work.
    """
    handle = os.open(folder, os.O_RDONLY)

    def clean_if_alone() -> None:
        with suppress(OSError):  # another process is at work, or the file system has no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clean()

    try:
        clean_if_alone()
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        clean_if_alone()
        os.close(handle)


def put_in_place(staging: Path, output: Path) -> None:
    """Rename the staging folder to `output`, then remove the previous content."""
    output = output.resolve()
    previous = _beside(output, "previous")
    if output.is_dir():
        output.replace(previous)
    try:
        staging.replace(output)
    except OSError:
        if previous.is_dir():
            previous.replace(output)
        raise
    shutil.rmtree(previous, ignore_errors=True)


def recover(output: Path) -> None:
    """Complete a `put_in_place` of an output that was killed between its two renames, or right after them."""
    previous = _beside(output, "previous")
    if previous.is_dir():
        if _is_filled(output):
            shutil.rmtree(previous)
        else:
            previous.replace(output)


def _require_folder(output: Path) -> Path:
    """The output without symbolic links: a link stays, and its target is filled on its own disk."""
    output = output.resolve()
    if encodable(str(output)) != str(output):
        raise OutputError(
            f"{encodable(str(output))} is not UTF-8, so other programs cannot open it; choose another name"
        )
    if Path.cwd().is_relative_to(output):
        raise OutputError(f"{output} is the current folder and would be replaced; run the command from another folder")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; expected a folder")
    if os.path.ismount(output):
        raise OutputError(f"{output} is a mount point, which cannot be replaced; choose a folder inside it")
    return output


def _require_empty(output: Path) -> Path:
    output = _require_folder(output)
    if _is_filled(output):
        raise OutputError(f"{output} is not empty; choose a new or empty folder")
    return output


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _beside(output: Path, what: str) -> Path:
    return output.with_name(f".{output.name}.{what}")
