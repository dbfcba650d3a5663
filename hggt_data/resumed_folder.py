"""A folder of results that the next run goes on with: a record of what made them, and nothing half-written.

The record is a JSON file beside the results. A run with other settings is refused, so that no folder holds a mixture.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hggt_data.errors import OutputError
from hggt_data.files import is_leftover, read_json, write_json


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
