"""A job that makes pictures from other pictures in a folder, which the next run can resume after an interruption.

A JSON record beside the results keeps what decides them, so that a folder never mixes results of different settings.
Results are written atomically, and those that are up to date are not made again. A picture that cannot be read is
listed, and the others are processed. What is read, computed and written is the caller's business.
"""

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hggt_data.errors import OutputError
from hggt_data.io.files import is_leftover, is_system_file, is_up_to_date, read_record, write_json
from hggt_data.io.folders import lock_folder, require_outside, share_folder
from hggt_data.io.pictures import Picture, PictureNote, PictureNotes, describe_notes
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import Processes, default_workers, print_line, run_tasks, show_progress

Task = TypeVar("Task")


@dataclass(frozen=True)
class PictureResult:
    """Result for one picture: an error, or whether its files of an earlier run were kept; notes on what was read."""

    fault: str = ""
    kept: bool = False
    notes: PictureNotes = frozenset()


Result = TypeVar("Result", bound=PictureResult)


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        made: Number of pictures that were processed.
        kept: Number of pictures whose results of an earlier run were kept.
        faults: Pictures that could not be processed, one line each; if there are any, commands exit with 1.
        notes: What was changed or ignored in the pictures that were read.
    """

    made: int = 0
    kept: int = 0
    faults: list[str] = field(default_factory=list)
    notes: set[PictureNote] = field(default_factory=set)

    def describe(self) -> list[str]:
        """What was done, a line each."""
        kept = f", {self.kept:,} already up to date" if self.kept else ""
        return [f"{plural(self.made, 'picture')} made{kept}", *self.describe_pictures()]

    def describe_pictures(self) -> list[str]:
        """Notes on pictures, a line for each kind; then the pictures that could not be processed, under a heading."""
        heading = [f"{plural(len(self.faults), 'picture')} could not be processed:"] if self.faults else []
        return [*describe_notes(self.notes), *heading, *(f"  {fault}" for fault in self.faults)]

    def add(self, result: PictureResult) -> None:
        """Count the result for one picture."""
        self.notes |= result.notes
        if result.fault:
            self.faults.append(result.fault)
        else:
            self.kept += result.kept
            self.made += not result.kept


@dataclass(frozen=True)
class Source:
    """A picture to process: the name of its results, what reads it, and its file if it has one."""

    name: str
    read: Callable[[], Picture]
    path: Path | None = None


@dataclass(frozen=True)
class PictureJob:
    """Results of certain inputs and settings in a folder.

    Attributes:
        output: The folder.
        record: Name of the JSON file in it.
        results: Plural noun for the results, such as `crops`.
        content: Inputs and settings that decide the results; a run may add results only to those of the same content.
        made_with: Versions, for the record only.
        outcome: Counts what this run does.
        growing: Keys of lists in `content` that a later run may extend.
        derived: Files and folders in `output` made from all results; removed when the content changes.
    """

    output: Path
    record: str
    results: str
    content: Mapping[str, Any]
    made_with: Mapping[str, str]
    outcome: Outcome
    growing: Collection[str] = ()
    derived: Collection[str] = ()

    @contextmanager
    def open(
        self, picture_of: Callable[[str], str | None], pictures: Collection[str]
    ) -> Iterator[Mapping[str, set[str]]]:
        """Lock the folder and yield the existing results of each picture, as paths in the folder.

        `picture_of` gives the picture that a file is a result of, from its path in the folder, or None if it is not a
        result. OutputError if this run may not resume here, or if results belong to none of the `pictures`.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.output):
            existing: dict[str, set[str]] = {}
            unknown_files, has_others = [], False
            for name in _files_in(self.output):
                picture = picture_of(name)
                if picture in pictures:
                    existing.setdefault(str(picture), set()).add(name)
                elif picture is not None:
                    unknown_files.append(name)
                else:
                    has_others = has_others or name != self.record
            has_results = bool(existing or unknown_files)
            is_current = self._compare(is_filled=has_results or has_others, has_results=has_results)
            if unknown_files:
                raise OutputError(
                    f"{self.output} contains files that do not belong to this input "
                    f"({format_examples(sorted(unknown_files))}); remove them, or choose a new folder"
                )
            if not is_current:
                for path in [self.output / name for name in self.derived]:
                    _remove(path)
                self._write_record()
            _remove_leftovers(self.output)
            try:
                with self._reporting_faults():
                    yield existing
            finally:
                _remove_leftovers(self.output)  # workers may have been terminated

    @contextmanager
    def open_shared(self, sources: Sequence[Source], targets: Callable[[Source], list[Path]]) -> Iterator[list[Source]]:
        """Open the folder for several processes at once and yield the sources that this process still has to process.

        `targets` gives the results of a source. OutputError if this run may not resume here, or if results would be
        written among the sources.
        """
        results = [path for source in sources for path in targets(source)]
        for place in sorted({path.parent for path in results}):
            for folder in {source.path.parent for source in sources if source.path}:
                require_outside(place, folder, "the folder of the pictures,")
        first = next((path for path in results if path.exists()), None)
        if first is not None and not (self.output / self.record).exists():
            raise OutputError(f"{first} already exists, but {self.record} is missing; choose a new folder")
        self.output.mkdir(parents=True, exist_ok=True)
        with share_folder(self.output, lambda: _remove_leftovers(self.output)):
            if not self._compare(is_filled=first is not None, has_results=first is not None):
                self._write_record()
                self._compare(is_filled=True, has_results=True)  # another process may have started with other settings
            mine = Processes.from_environment().share(sources)
            missing = [
                source for source in mine if not is_up_to_date(targets(source), [source.path] if source.path else [])
            ]
            self.outcome.kept += len(mine) - len(missing)
            for folder in sorted({path.parent for source in missing for path in targets(source)}):
                folder.mkdir(parents=True, exist_ok=True)
            with self._reporting_faults():
                yield missing

    def run(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int | None, label: str
    ) -> Iterator[tuple[Task, Result]]:
        """Process each task in worker processes (default: one per core, at most 8); `function` calls `advance`."""
        workers = workers or default_workers()
        results = run_tasks(function, tasks, workers, total=len(tasks), label=label, unit="picture")
        for task, result in zip(tasks, results, strict=True):
            self.outcome.add(result)
            yield task, result

    def run_here(self, function: Callable[[Source], PictureResult], sources: Sequence[Source], *, label: str) -> None:
        """Process each source in this process, while a thread reads the next one."""
        with ThreadPoolExecutor(1) as reader:
            for source in show_progress(_read_ahead(reader, sources), len(sources), label, "picture"):
                self.outcome.add(function(source))

    def read_record(self) -> dict[str, Any] | None:
        """The record of an earlier run; None if there is none."""
        return read_record(self.output / self.record)

    def note(self, **more: Any) -> None:
        """Add values to the record that later runs do not compare."""
        write_json(self.output / self.record, (self.read_record() or {}) | more)

    def _compare(self, *, is_filled: bool, has_results: bool) -> bool:
        """Whether the record of an earlier run has this content; OutputError if this run may not resume here."""
        found = self.read_record()
        if found is None:
            if is_filled:
                raise OutputError(
                    f"{self.output} is not empty and does not contain {self.record}; choose a new or empty folder"
                )
            return False
        wanted = json.loads(json.dumps(self._compared()))  # as it is read back from a file
        changed = [key for key, value in wanted.items() if found.get(key) != value]
        other = [key for key in changed if not (key in self.growing and _has_grown(found.get(key), wanted[key]))]
        if other and has_results:
            raise OutputError(
                f"{self.output} contains {self.results} made with different {' and '.join(other)} (see {self.record}); "
                "choose a new folder, or use the same options to resume"
            )
        return not changed

    def _write_record(self) -> None:
        write_json(self.output / self.record, {**self._compared(), "made_with": dict(self.made_with)})

    def _compared(self) -> dict[str, Any]:
        return {"schema_version": 1, **self.content}

    @contextmanager
    def _reporting_faults(self) -> Iterator[None]:
        """If the block fails, `describe` is not called, so print the pictures that could not be processed."""
        try:
            yield
        except BaseException:
            for fault in self.outcome.faults:
                print_line(f"could not be processed: {fault}")
            raise


def _read_ahead(reader: Executor, sources: Iterable[Source]) -> Iterator[Source]:
    waiting: deque[Source] = deque()
    for source in sources:
        waiting.append(replace(source, read=reader.submit(source.read).result))
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


def _files_in(output: Path) -> Iterator[str]:
    """Paths of the files in a folder and its subfolders, without system files and leftovers; there may be a million."""
    for name in _names_in(output):
        if not (is_system_file(name.rpartition("/")[2]) or is_leftover(name.rpartition("/")[2])):
            yield name


def _names_in(folder: Path, prefix: str = "") -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if prefix or not (entry.is_dir() and os.access(entry.path, os.R_OK)):  # `lost+found` cannot be read
                yield prefix + entry.name
            else:
                yield from _names_in(folder / entry.name, f"{entry.name}/")


def _remove_leftovers(output: Path) -> None:
    for name in _names_in(output):
        if is_leftover(name.rpartition("/")[2]):
            (output / name).unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _has_grown(before: Any, now: list[Any]) -> bool:
    return isinstance(before, list) and all(value in now for value in before)
