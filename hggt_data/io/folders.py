"""A folder that is filled beside its final place and takes it by a rename, so that nobody ever sees it half full.

The staging folder of `hggt` is `.hggt.partial`; it outlives a failed or killed run, so the next one can go on.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hggt_data.errors import OutputError
from hggt_data.io.files import is_leftover, read_json, write_json
from hggt_data.io.text import printable


@contextmanager
def open_staging(output: Path, marker: str) -> Iterator[Path]:
    """Open, lock and yield the staging folder of `output`.

    Args:
        output: the final place: missing, empty, or filled by an earlier run.
        marker: the name of a file that an earlier run has left in `output`; without it the folder is somebody's own.

    Raises:
        OutputError: `output` is a file, a mount point, holds other things or is where this process runs, or another
            process is filling it.
        OSError: the parent folder is not writable.
    """
    output = _require_folder(output)
    if _is_filled(output) and not (output / marker).is_file():
        raise OutputError(f"{output} holds other things (no {marker} in it); choose a new or empty folder")
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


@dataclass(frozen=True)
class FolderRecord:
    """What decides the results in a folder, kept beside them.

    Attributes:
        path: the file.
        results: what to call the results, such as `crops`.
        content: what decides them.
        made_with: what is noted and not compared, such as versions.
        growing: the keys of lists that a later run may add to.
    """

    path: Path
    results: str
    content: Mapping[str, Any]
    made_with: Mapping[str, str]
    growing: Collection[str] = ()

    def require(self, *, is_filled: bool, has_results: bool) -> bool:
        """Compare with what an earlier run has left.

        Args:
            is_filled: whether the folder holds anything.
            has_results: whether it holds results, which only a run of the same settings may add to.

        Returns:
            Whether the file says the same; if not, `keep` is to be called.

        Raises:
            OutputError: the folder holds other things, or results that something else has decided; or the file is
                damaged.
            OSError: it cannot be read.
        """
        found = read_record(self.path)
        if found is None:
            if is_filled:
                raise OutputError(
                    f"{self.path.parent} holds other things (no {self.path.name} in it); choose a new or empty folder"
                )
            return False
        wanted = json.loads(json.dumps(self._said()))  # as it comes back from a file
        changed = [key for key, value in wanted.items() if found.get(key) != value]
        other = [key for key in changed if not (key in self.growing and _has_grown(found.get(key), wanted[key]))]
        if other and has_results:
            raise OutputError(
                f"{self.path.parent} holds {self.results} of other {' and '.join(other)}, see {self.path.name}; choose "
                "a new folder, or the same options to go on"
            )
        return not changed

    def keep(self) -> None:
        """Write the file."""
        write_json(self.path, {**self._said(), "made_with": dict(self.made_with)})

    def note(self, **more: Any) -> None:
        """Add to the file what is not compared."""
        write_json(self.path, (read_record(self.path) or {}) | more)

    def _said(self) -> dict[str, Any]:
        return {"schema_version": 1, **self.content}


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON object that an earlier run has left beside its results; null where there is none.

    Raises:
        OutputError: the file is damaged.
        OSError: it cannot be read.
    """
    try:
        found = read_json(path, OutputError, "choose a new folder")
    except FileNotFoundError:
        return None
    if not isinstance(found, dict):
        raise OutputError(f"{path} is damaged: no JSON object; choose a new folder")
    return found


@contextmanager
def without_leftovers(*folders: Path) -> Iterator[None]:
    """Remove half-written files of killed processes; after the block too, as workers may have been told to end."""
    _remove_leftovers(folders)
    try:
        yield
    finally:
        _remove_leftovers(folders)


def names_in(folder: Path) -> Iterator[str]:
    """One at a time: there may be a million."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name


def _remove_leftovers(folders: Collection[Path]) -> None:
    for folder in folders:
        for name in names_in(folder) if folder.is_dir() else ():
            if is_leftover(name):
                (folder / name).unlink(missing_ok=True)


def _has_grown(before: Any, now: list[Any]) -> bool:
    return isinstance(before, list) and all(value in now for value in before)
