"""A folder that is filled beside its final place and takes it by a rename, so that nobody ever sees it half full.

The staging folder of `hggt` is `.hggt.partial`; it outlives a failed or killed run, so the next one can go on.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hggt_data.errors import OutputError
from hggt_data.wording import printable


@contextmanager
def open_staging(output: Path, known_by: str) -> Iterator[Path]:
    """Open, lock and yield the staging folder of `output`.

    Args:
        output: the final place: missing, empty, or filled by an earlier run.
        known_by: the name of a file that an earlier run has left in `output`; without it the folder is somebody's own.

    Raises:
        OutputError: `output` is a file, a mount point, holds other things or is where this process runs, or another
            process is filling it.
        OSError: the parent folder is not writable.
    """
    output = _require_folder(output)
    if _is_filled(output) and not (output / known_by).is_file():
        raise OutputError(f"{output} holds other things (no {known_by} in it); choose a new or empty folder")
    previous = _beside(output, "previous")
    with open_beside(output, "partial") as staging:
        if previous.is_dir():  # a run was killed between the two renames of put_in_place, or right after them
            if _is_filled(output):
                shutil.rmtree(previous)
            else:
                previous.replace(output)
        yield staging


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `output` at the end of the block, and goes if an error ends it.

    Args:
        output: the final place: missing or empty.

    Raises:
        OutputError: something is there, it is a mount point or where this process runs, or another process is
            filling it.
        OSError: the parent folder is not writable.
    """
    output = _require_folder(output)
    if _is_filled(output):
        raise OutputError(f"{output} is not empty; choose a new or empty folder")
    with replaced_folder(output) as staging:
        yield staging


@contextmanager
def replaced_folder(output: Path) -> Iterator[Path]:
    """As `new_folder`, but what is at `output` is replaced, whole, at the end of the block."""
    with open_beside(output, "new") as staging:
        try:
            _empty(staging)  # a run that was killed may have left some of it
            yield staging
            put_in_place(staging, output)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


def require_outside(output: Path, source: Path, what: str) -> None:
    """Refuse to write into what is being read.

    Args:
        output: the final place.
        source: the folder that is read.
        what: what to call it, such as `the tree`.

    Raises:
        OutputError: the output lies inside.
    """
    if output.resolve().is_relative_to(source.resolve()):
        raise OutputError(f"{output} lies inside {what} {source}; choose a place outside")


@contextmanager
def open_beside(place: Path, what: str) -> Iterator[Path]:
    """Make, lock and yield the folder `.NAME.what` beside the folder NAME; it stays until somebody removes it.

    Raises:
        OutputError: another process has it open.
        OSError: the parent folder is not writable.
    """
    folder = _beside(place.resolve(), what)
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder):
        yield folder


@contextmanager
def lock_folder(folder: Path, busy: str = "") -> Iterator[None]:
    """Keep other processes that ask for the same folder out of it.

    Args:
        folder: which.
        busy: what to say if another process has it.

    Raises:
        OutputError: another process has it.
        OSError: it is not there.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(busy or f"another process is writing to {folder}; wait for it to end") from error
        yield
    finally:
        os.close(handle)


def put_in_place(staging: Path, output: Path) -> None:
    """Let the staging folder take the place of `output`; what was there is removed afterwards."""
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


def _require_folder(output: Path) -> Path:
    """The final place without links: a link stays one, its target is filled, on its own disk."""
    output = output.resolve()
    if printable(str(output)) != str(output):
        raise OutputError(
            f"{printable(str(output))} is not UTF-8, so other programs cannot open it; choose another name"
        )
    if Path.cwd().is_relative_to(output):
        raise OutputError(f"{output} is the folder you are in, and would be replaced; run this from another folder")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; expected a folder")
    if os.path.ismount(output):
        raise OutputError(f"{output} is a mount point, which no finished folder can replace; choose a folder in it")
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
