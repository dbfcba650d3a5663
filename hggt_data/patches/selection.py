"""Cut patch groups from whole pictures and their enhanced versions, to be judged by people.

Reads what `hggt-models enhance` writes and writes the picture folders of a tree. A picture is selected from again
unless all its patches are there and none is older than it, and files are written whole or not at all: a run can be
killed and repeated. `patches.json` beside the patches keeps the settings, so that a folder never holds a mixture.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path

from hggt_data.errors import ImageError, NameFormatError, OutputError, TreeError
from hggt_data.io.files import excess_bytes, is_leftover, is_system_file, is_up_to_date, write_text
from hggt_data.io.folders import FolderRecord, lock_folder, names_in, require_outside, without_leftovers
from hggt_data.io.images import Pixels, read_picture, read_picture_size, read_pixels, write_png
from hggt_data.io.text import format_examples, format_size, plural
from hggt_data.io.workers import advance, default_workers, report_faults, run_tasks
from hggt_data.patches.contact_sheet import GROUPS_PER_PAGE, SheetGroup, draw_page
from hggt_data.patches.grid import PatchSettings, Verdict, cut, seeded_draw, select_patches
from hggt_data.patches.places import (
    CROP_AREA_INFO,
    PLACES,
    PlaceRow,
    by_rank,
    format_crop_area_info,
    format_places,
    kept_ids,
    make_row,
    read_places,
)
from hggt_data.schema import ORIGINAL, PatchId
from hggt_data.tree.layout import is_candidate_name, picture_name

RECORD = "patches.json"

_SHEET = re.compile(r"contact_sheet(_[0-9]{3,})?\.png")
_PARTS = ".selection"  # the lines of finished pictures, until all are in PLACES
_COMPRESSION = 4  # see subimages.py


@dataclass(frozen=True)
class EnhancedPictures:
    """Originals and candidates in a folder, by name only.

    Attributes:
        folder: holds `original/NAME.png`, `01/NAME_01.png` and so on.
        candidates: the names of the enhanced versions, sorted.
        sizes: name of each original, sorted, to its (height, width) in pixels; null where its head cannot be read.
        left_out: other files and folders.
    """

    folder: Path
    candidates: tuple[str, ...]
    sizes: Mapping[str, tuple[int, int] | None]
    left_out: list[str]


@dataclass
class SelectionOutcome:
    """What a run did.

    Attributes:
        output: where the patches are.
        made, kept: pictures that were selected from, and those whose patches were there already.
        candidates: the names of the enhanced versions.
        verdicts: how many places of the grids came to what.
        limit: the greatest number of patches per picture, where there is one.
        small: pictures smaller than a patch.
        empty: pictures at least as large as a patch that gave none.
        sheets: the pages to look at.
        left_out: files and folders of the input that were not looked at.
        faults: what is wrong with pictures that could not be read, a line each.
    """

    output: Path
    candidates: tuple[str, ...]
    limit: int | None
    made: int = 0
    kept: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    small: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def describe(self) -> list[str]:
        """What was done and what was not, a line each."""
        before = f", {self.kept:,} of them before" if self.kept else ""
        groups = plural(self.verdicts[Verdict.KEPT], "patch group")
        lines = [
            f"{plural(self.made + self.kept, 'picture')}{before}: {groups} (candidates {', '.join(self.candidates)})"
        ]
        reasons = {
            Verdict.OVERHANGS: "overhang the picture",
            Verdict.SMOOTH: "too smooth",
            Verdict.LITTLE_CHANGED: "changed too little",
            Verdict.OVER_LIMIT: f"more than {self.limit} of a picture",
        }
        dropped = [f"{self.verdicts[verdict]:,} {text}" for verdict, text in reasons.items() if self.verdicts[verdict]]
        if dropped:
            lines.append(f"{plural(self.verdicts.total(), 'place')} on the grids: {', '.join(dropped)}")
        if self.small:
            shown = format_examples(self.small)
            lines.append(f"{plural(len(self.small), 'picture')} smaller than a patch, none cut: {shown}")
        if self.empty:
            lines.append(f"{plural(len(self.empty), 'picture')} gave no patch: {format_examples(self.empty)}")
        if self.left_out:
            lines.append(f"Not looked at in the input: {format_examples(self.left_out)}")
        if self.sheets:
            lines.append(
                "Look at " + " to ".join(str(path) for path in dict.fromkeys((self.sheets[0], self.sheets[-1])))
            )
        if self.faults:
            lines.append(f"{plural(len(self.faults), 'picture')} could not be read:")
        return [*lines, *(f"  {fault}" for fault in self.faults)]


def list_enhanced(folder: Path) -> EnhancedPictures:
    """Find the originals and candidates in a folder and compare them.

    Raises:
        TreeError: a folder, a candidate or an original is missing, sizes differ, or names cannot be those of patches.
            All such faults are told at once.
        OSError: a folder cannot be read.
    """
    entries = {entry.name: entry.is_dir() for entry in _scan(folder) if not is_system_file(entry.name)}
    candidates = tuple(sorted(name for name, is_folder in entries.items() if is_folder and is_candidate_name(name)))
    if not (entries.get(ORIGINAL) and candidates):
        found = ", ".join(sorted(name + "/" * is_folder for name, is_folder in entries.items())) or "nothing"
        raise TreeError(
            f"{folder}: expected original/NAME.png, 01/NAME_01.png and so on, as hggt-models enhance writes them; "
            f"found {found}"
        )
    versions = (ORIGINAL, *candidates)
    left_out = sorted(name for name in entries if name not in versions and name != "enhance.json")
    stems: dict[str, set[str]] = {}
    for version in versions:
        stems[version] = set()
        for entry in _scan(folder / version):
            ending = picture_name("", version)
            if entry.name.endswith(ending) and entry.name != ending and not is_system_file(entry.name):
                stems[version].add(entry.name.removesuffix(ending))
            elif not is_system_file(entry.name):
                left_out.append(f"{version}/{entry.name}")
    if not stems[ORIGINAL]:
        raise TreeError(f"{folder / ORIGINAL}: no pictures; expected NAME.png")
    faults = [*_check_names(stems[ORIGINAL], list(stems)), *_check_missing(stems)]
    sizes: dict[str, tuple[int, int] | None] = {}
    for name in sorted(stems[ORIGINAL]):
        found_sizes = {
            version: _read_size(folder / version / picture_name(name, version))
            for version in versions
            if name in stems[version]
        }
        sizes[name] = found_sizes[ORIGINAL]
        faults += _check_sizes(name, found_sizes)
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise TreeError(
            f"{folder}: {plural(len(faults), 'fault')}; every original needs candidates {', '.join(candidates)} of its "
            f"size. Nothing was written; mend or remove these:\n{lines}"
        )
    return EnhancedPictures(folder, candidates, sizes, left_out)


def cut_patches(folder: Path, output: Path, settings: PatchSettings, *, workers: int | None = None) -> SelectionOutcome:
    """Choose patches of whole pictures and write them with all their versions, as the picture folders of a tree.

    Writes `original/IMAGE-TOP-LEFT.png`, `01/IMAGE-TOP-LEFT_01.png` and so on (8-bit RGB PNG without metadata),
    `patches.csv` with every place that was looked at, `crop_area_info.txt` with the kept ones, and contact sheets. The
    bytes depend on the pictures, their names and the settings only. A picture that cannot be read is listed, and the
    others are done; patches that it had before stay.

    Args:
        folder: what `hggt-models enhance` wrote, see `list_enhanced`.
        output: new or empty, or of an earlier run with the same settings, over the same pictures or fewer.
        settings: how to choose.
        workers: processes; null for one per core, at most 8. Each holds two whole pictures at a time.

    Raises:
        TreeError: see `list_enhanced`; nothing is written.
        OutputError: `output` holds other things or patches of other settings, lies in `folder`, or is being written to.
        WorkerError: the system killed a worker.
        OSError: the disk is full or `output` cannot be written to. What is finished stays.

    Source: official `patch_select.py`, see `patches.py`.
    """
    require_outside(output, folder, "the enhanced pictures in")
    pictures = list_enhanced(folder)
    outcome = SelectionOutcome(output, pictures.candidates, settings.max_per_image, left_out=pictures.left_out)
    output.mkdir(parents=True, exist_ok=True)
    with lock_folder(output):
        there = _survey(output, pictures)
        _require_record(output, pictures, settings, there)
        workers = workers or default_workers()
        folders = [output / name for name in ("", ORIGINAL, *pictures.candidates, _PARTS)]
        with without_leftovers(*folders), report_faults(outcome.faults):
            rows = _cut_all(output, pictures, settings, there, workers, outcome)
            # A list that is older than a picture says nothing of it, so it is written again after each change.
            changed = any(names_in(output / _PARTS))
            _write(output / PLACES, format_places(rows, pictures.candidates), again=changed)
            _write(output / CROP_AREA_INFO, format_crop_area_info(rows))
            _draw_sheets(output, pictures, settings, rows, workers, outcome)
            shutil.rmtree(output / _PARTS, ignore_errors=True)
    return outcome


@dataclass(frozen=True)
class _Task:
    """One picture.

    Attributes:
        there: patches of which at least one file is in `output`.
        before: the picture's lines in the `patches.csv` of an earlier run, null without any.
    """

    name: str
    folder: Path
    output: Path
    candidates: tuple[str, ...]
    settings: PatchSettings
    there: frozenset[PatchId]
    before: tuple[PlaceRow, ...] | None

    @property
    def versions(self) -> tuple[str, ...]:
        return (ORIGINAL, *self.candidates)

    @property
    def part(self) -> Path:
        return self.output / _PARTS / f"{self.name}.csv"

    def source(self, version: str) -> Path:
        return self.folder / version / picture_name(self.name, version)

    def patch_files(self, ids: Iterable[PatchId]) -> Iterator[Path]:
        return (self.output / version / picture_name(patch, version) for patch in ids for version in self.versions)


@dataclass(frozen=True)
class _Result:
    """What became of a picture: its lines, and whether they were there before; or a fault."""

    rows: tuple[PlaceRow, ...]
    kept: bool = False
    fault: str = ""


def _cut_all(
    output: Path,
    pictures: EnhancedPictures,
    settings: PatchSettings,
    there: "_There",
    workers: int,
    outcome: SelectionOutcome,
) -> list[tuple[PlaceRow, ...]]:
    """The lines of each picture, by name; pictures without any are left out."""
    for version in (ORIGINAL, *pictures.candidates, _PARTS):
        (output / version).mkdir(exist_ok=True)
    before = read_places(output / PLACES, pictures.candidates)
    tasks = [
        _Task(
            name,
            pictures.folder,
            output,
            pictures.candidates,
            settings,
            frozenset(there.patches.get(name, ())),
            before.get(name),
        )
        for name in pictures.sizes
    ]
    rows = []
    results = run_tasks(_cut_or_keep, tasks, workers, total=len(tasks), label="selecting", unit="picture")
    for task, result in zip(tasks, results, strict=True):
        if result.rows:
            rows.append(result.rows)
        _add(outcome, task, pictures.sizes[task.name], result)
    return rows


def _add(outcome: SelectionOutcome, task: _Task, size: tuple[int, int] | None, result: _Result) -> None:
    outcome.verdicts.update(row.verdict for row in result.rows)
    if result.fault:
        outcome.faults.append(result.fault)
        return
    outcome.kept += result.kept
    outcome.made += not result.kept
    if not kept_ids(result.rows):
        small = size is not None and min(size) < task.settings.crop
        (outcome.small if small else outcome.empty).append(task.name)


def _cut_or_keep(task: _Task) -> _Result:
    try:
        done = _find_done(task)
        return _Result(_cut(task)) if done is None else _Result(done, kept=True)
    except ImageError as error:
        return _Result(_keep_whole(task), fault=str(error))
    finally:
        advance()


def _find_done(task: _Task) -> tuple[PlaceRow, ...] | None:
    """The picture's lines of an earlier run, if exactly their patches are there, and none is older than the picture."""
    sources = [task.source(version) for version in task.versions]
    try:
        for rows, listed in _earlier(task):
            ids = kept_ids(rows)
            if ids == task.there and is_up_to_date([listed, *task.patch_files(ids)], sources):
                return rows
    except OSError:
        return None  # reading the picture will tell what is wrong
    return None


def _keep_whole(task: _Task) -> tuple[PlaceRow, ...]:
    """What stays of a picture that cannot be read: all its patches, if they are whole; else none."""
    for rows, _ in _earlier(task):
        ids = kept_ids(rows)
        if ids and ids == task.there and all(path.exists() for path in task.patch_files(ids)):
            return rows
    for path in task.patch_files(task.there):
        path.unlink(missing_ok=True)
    return ()


def _earlier(task: _Task) -> Iterator[tuple[tuple[PlaceRow, ...], Path]]:
    """(lines, the file they stand in): those of a run that was interrupted, then those of one that ended."""
    rows = read_places(task.part, task.candidates)
    if task.name in rows:
        yield rows[task.name], task.part
    if task.before is not None:
        yield task.before, task.output / PLACES


def _cut(task: _Task) -> tuple[PlaceRow, ...]:
    """Choose and write all patches; others of the picture go first, or a kill would leave them."""
    places = select_patches(_read_versions(task), task.settings, seeded_draw(task.settings.seed, task.name))
    rows = tuple(make_row(task.name, place, task.candidates) for place in places)
    ids = kept_ids(rows)
    for path in task.patch_files(task.there - ids):
        path.unlink(missing_ok=True)
    try:
        for version in task.versions:
            _cut_version(task, version, sorted(ids))
    except ImageError:  # it was whole a moment ago
        for path in task.patch_files(ids):
            path.unlink(missing_ok=True)
        raise
    if rows:
        write_text(task.part, format_places([rows], task.candidates))
    return rows


def _read_versions(task: _Task) -> Iterator[Pixels]:
    """The original and its candidates, one after the other; none is kept here."""
    sizes: list[tuple[int, ...]] = []

    def read(version: str) -> Pixels:
        pixels = _read(task.source(version))
        sizes.append(pixels.shape[:2])
        if sizes[0] != sizes[-1]:  # equal heads, but one has an EXIF turn
            raise ImageError(
                f"{task.source(version)}: {format_size(sizes[-1])} pixels once it is turned as its EXIF says; "
                f"expected {format_size(sizes[0])} as the original"
            )
        return pixels

    return (read(version) for version in task.versions)


def _cut_version(task: _Task, version: str, ids: Sequence[PatchId]) -> None:
    if ids:
        pixels = _read(task.source(version))
        for patch in ids:
            crop = cut(pixels, (patch.top, patch.left), task.settings.crop)
            write_png(task.output / version / picture_name(patch, version), crop, _COMPRESSION)


def _read(path: Path) -> Pixels:
    try:
        return read_picture(path)
    except OSError as error:  # of this picture alone, other than one in writing
        raise ImageError(f"{path}: {error.strerror or error}") from error


@dataclass(frozen=True)
class _Sheet:
    """One page; `rows` are its groups, each with its index."""

    path: Path
    output: Path
    candidates: tuple[str, ...]
    title: str
    subtitle: str
    rows: tuple[tuple[int, PlaceRow], ...]

    def files(self, row: PlaceRow) -> dict[str, Path]:
        return {name: self.output / name / picture_name(row.id, name) for name in (ORIGINAL, *self.candidates)}

    def shown(self) -> Iterator[Path]:
        return (path for _, row in self.rows for path in self.files(row).values())


def _draw_sheets(
    output: Path,
    pictures: EnhancedPictures,
    settings: PatchSettings,
    rows: Sequence[Sequence[PlaceRow]],
    workers: int,
    outcome: SelectionOutcome,
) -> None:
    """Draw the pages that are missing or older than what they show, and remove those that show nothing any more."""
    kept = sorted(enumerate(by_rank(rows), 1), key=lambda numbered: -float(numbered[1].scores[0]))
    num_pages = -(-len(kept) // GROUPS_PER_PAGE)
    rule = {"absolute": "mean |difference|", "official": "|mean difference|"}[settings.score]
    sheets = []
    for page in range(num_pages):
        first = page * GROUPS_PER_PAGE
        chosen = tuple(kept[first : first + GROUPS_PER_PAGE])
        path = output / (f"contact_sheet_{page + 1:03d}.png" if num_pages > 1 else "contact_sheet.png")
        where = f", page {page + 1} of {num_pages}" if num_pages > 1 else ""
        sheets.append(
            _Sheet(
                path,
                output,
                pictures.candidates,
                f"{plural(len(kept), 'patch group')}, the most changed first{where}",
                f"Pixel by pixel where candidates differ most. Below: {rule} from the original, of 255.",
                chosen,
            )
        )
    outcome.sheets = [sheet.path for sheet in sheets]
    for entry in _scan(output):
        if _SHEET.fullmatch(entry.name) and output / entry.name not in outcome.sheets:
            (output / entry.name).unlink()
    stale = [sheet for sheet in sheets if not is_up_to_date([sheet.path], [output / PLACES, *sheet.shown()])]
    for _ in run_tasks(_draw_sheet, stale, workers, total=len(stale), label="drawing contact sheets", unit="page"):
        pass


def _draw_sheet(sheet: _Sheet) -> None:
    groups = []
    for index, row in sheet.rows:
        score, *scores = row.scores
        captions = {name: f"{name}   {float(value):.2f}" for name, value in zip(sheet.candidates, scores, strict=True)}
        groups.append(
            SheetGroup(
                name=str(row.id),
                note=f"score {float(score):.2f}   no. {index}",
                versions={name: _read_patch(path) for name, path in sheet.files(row).items()},
                captions={ORIGINAL: ORIGINAL, **captions},
                marked=sheet.candidates[scores.index(score)],
            )
        )
    write_png(sheet.path, draw_page(groups, sheet.title, sheet.subtitle))
    advance()


def _read_patch(path: Path) -> Pixels:
    try:
        return read_pixels(path)
    except ImageError as error:
        raise OutputError(f"{error}. Remove it and run again: it is then cut anew") from error


@dataclass(frozen=True)
class _There:
    """What a run finds in its output.

    Attributes:
        patches: by picture, the patches of which at least one file is there.
        strangers: pictures that the input does not give.
        others: whether there is anything else.
    """

    patches: Mapping[str, set[PatchId]]
    strangers: list[str]
    others: bool


def _survey(output: Path, pictures: EnhancedPictures) -> _There:
    versions = (ORIGINAL, *pictures.candidates)
    patches: dict[str, set[PatchId]] = {}
    strangers, others = [], False
    for entry in _scan(output):
        if entry.is_dir() and (entry.name in versions or is_candidate_name(entry.name)):
            for name in names_in(output / entry.name):
                patch = _parse_picture_name(name, entry.name)
                if patch is not None and patch.image in pictures.sizes and entry.name in versions:
                    patches.setdefault(patch.image, set()).add(patch)
                elif not (is_system_file(name) or is_leftover(name)):
                    strangers.append(f"{entry.name}/{name}")
        else:
            others |= not (entry.name == RECORD or is_system_file(entry.name) or is_leftover(entry.name))
    return _There(patches, sorted(strangers), others)


def _parse_picture_name(name: str, version: str) -> PatchId | None:
    ending = picture_name("", version)
    try:
        return PatchId.parse(name.removesuffix(ending)) if name.endswith(ending) else None
    except NameFormatError:
        return None


def _require_record(output: Path, pictures: EnhancedPictures, settings: PatchSettings, there: _There) -> None:
    """Compare with what an earlier run has left, and keep the record where there was none."""
    content = {
        "input": str(pictures.folder.resolve()),
        "candidates": list(pictures.candidates),
        "settings": asdict(settings),
    }
    made_with = {"hggt": installed_version("hggt"), "pillow": installed_version("pillow")}
    record = FolderRecord(output / RECORD, "patches", content, made_with)
    has_results = bool(there.patches or there.strangers)
    is_kept = record.require(is_filled=has_results or there.others, has_results=has_results)
    if there.strangers:
        raise OutputError(
            f"{output} holds {plural(len(there.strangers), 'file')} that the input does not give "
            f"({format_examples(there.strangers)}); remove what should not be there, or choose a new folder"
        )
    if not is_kept:  # what was found out under other settings, which kept nothing, must not be taken for ours
        shutil.rmtree(output / _PARTS, ignore_errors=True)
        (output / PLACES).unlink(missing_ok=True)
        record.keep()


def _write(path: Path, text: str, *, again: bool = False) -> None:
    """Write a file, but leave one alone that has this text already unless it is to be written again."""
    if again or not (path.is_file() and path.read_bytes() == text.encode("utf-8")):
        write_text(path, text)


def _check_names(names: Iterable[str], versions: Sequence[str]) -> Iterator[str]:
    first: dict[str, str] = {}
    for name in sorted(names):
        try:
            PatchId.parse(str(PatchId(name, 0, 0)))
        except NameFormatError:
            yield f"original/{name}.png: a name with control characters, or no text; no patch can be called so"
        longest = max((picture_name(PatchId(name, 99_999, 99_999), version) for version in versions), key=len)
        if (excess := excess_bytes(longest)) > 0:
            yield f"original/{name}.png: a name {plural(excess, 'byte')} too long for its patches; shorten it"
        other = first.setdefault(name.casefold(), name)
        if other != name:
            yield f"original/{other}.png and original/{name}.png: names that differ only in case; rename one"


def _check_missing(stems: Mapping[str, set[str]]) -> Iterator[str]:
    originals = stems[ORIGINAL]
    candidates = [version for version in stems if version != ORIGINAL]
    for name in sorted(originals):
        missing = [f"{version}/{picture_name(name, version)}" for version in candidates if name not in stems[version]]
        if missing:
            yield f"original/{name}.png: no {', '.join(missing)}"
    for name in sorted(set[str]().union(*stems.values()) - originals):
        found = [f"{version}/{picture_name(name, version)}" for version in candidates if name in stems[version]]
        yield f"{', '.join(found)}: no original/{name}.png"


def _check_sizes(name: str, sizes: Mapping[str, tuple[int, int] | None]) -> Iterator[str]:
    expected = sizes[ORIGINAL]
    other = [
        f"{version}/{picture_name(name, version)} has {format_size(size)}"
        for version, size in sizes.items()
        if size is not None and expected is not None and size != expected
    ]
    if other and expected is not None:
        yield f"original/{name}.png: {format_size(expected)} pixels, but {', '.join(other)}"


def _read_size(path: Path) -> tuple[int, int] | None:
    try:
        return read_picture_size(path)
    except (ImageError, OSError):
        return None  # reading all of it will tell what is wrong


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)
