"""Patch groups cut from whole pictures and their enhanced versions, for annotators to judge.

Reads what `hggt-models enhance` writes and writes the picture folders of a tree. A run can be interrupted and repeated,
see `io/picture_job.py`; `patches.json` beside the patches is its record.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path

import numpy as np

from hggt_data.errors import ImageError, NameFormatError, OutputError
from hggt_data.io.files import is_up_to_date, write_text
from hggt_data.io.folders import require_outside
from hggt_data.io.images import Pixels, read_pixels, write_png
from hggt_data.io.picture_job import Outcome, PictureJob, PictureResult
from hggt_data.io.pictures import (
    Picture,
    PictureNote,
    read_picture_with_notes,
)
from hggt_data.io.text import format_examples, format_size, plural
from hggt_data.io.workers import advance, default_workers, run_tasks
from hggt_data.patches.contact_sheet import GROUPS_PER_PAGE, SheetGroup, draw_page
from hggt_data.patches.enhanced_pictures import EnhancedPictures, list_enhanced
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
from hggt_data.ranges import Count, require_arguments
from hggt_data.schema import ORIGINAL, PatchId
from hggt_data.tree.aliases import find_equal, join_pairs
from hggt_data.tree.folders import scan
from hggt_data.tree.hggt_folders import is_candidate_name, picture_name

RECORD = "patches.json"

_SHEET = re.compile(r"contact_sheet(_[0-9]{3,})?\.png")
_PARTS = ".selection"  # the rows of finished pictures, until all are in PLACES
_COMPRESSION = 4  # see subimages.py


@dataclass
class SelectionOutcome(Outcome):
    """What a run did.

    Attributes:
        candidates: Names of the enhanced versions.
        limit: Highest number of patches per picture, if there is a limit.
        verdicts: Number of grid places by verdict.
        small: Pictures smaller than a patch.
        empty: Other pictures without a patch.
        sheets: Contact sheets.
        left_out: Files and folders of the input that were skipped.
        aliases: Names of originals with equal pixels.
    """

    candidates: tuple[str, ...] = ()
    limit: int | None = None
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    small: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    aliases: list[list[str]] = field(default_factory=list)

    def describe(self) -> list[str]:
        """What was done and what was left out, a line each."""
        kept = f" ({self.kept:,} already up to date)" if self.kept else ""
        groups = plural(self.verdicts[Verdict.KEPT], "patch group")
        lines = [
            f"{plural(self.made + self.kept, 'picture')}{kept}: {groups} (candidates {', '.join(self.candidates)})"
        ]
        reasons = {
            Verdict.OVERHANGS: "beyond the edge of the picture",
            Verdict.SMOOTH: "too smooth",
            Verdict.LITTLE_CHANGED: "changed too little",
            Verdict.OVER_LIMIT: f"over the limit of {self.limit} per picture",
        }
        dropped = [f"{self.verdicts[verdict]:,} {text}" for verdict, text in reasons.items() if self.verdicts[verdict]]
        if dropped:
            lines.append(f"{plural(self.verdicts.total(), 'grid position')}, of which not used: {', '.join(dropped)}")
        if self.small:
            lines.append(
                f"{plural(len(self.small), 'picture')} smaller than a patch, not cut: {format_examples(self.small)}"
            )
        if self.empty:
            lines.append(f"{plural(len(self.empty), 'picture')} without a patch: {format_examples(self.empty)}")
        if self.aliases:
            shown = format_examples([" = ".join(names) for names in self.aliases])
            lines.append(
                f"Warning: originals with equal pixels: {shown}. Remove all but one: their patches differ, so that "
                "`hggt-data split` cannot keep them on one side."
            )
        if self.left_out:
            lines.append(f"Skipped in the input: {format_examples(self.left_out)}")
        if self.sheets:
            ends = dict.fromkeys((self.sheets[0], self.sheets[-1]))
            lines.append("See " + " to ".join(str(path) for path in ends))
        return [*lines, *self.describe_pictures()]


def cut_patches(
    folder: str | Path, output: str | Path, settings: PatchSettings, *, workers: Count | None = None
) -> SelectionOutcome:
    """Select patches of whole pictures and write all their versions, as the picture folders of a tree.

    Writes `original/IMAGE-TOP-LEFT.png`, `01/IMAGE-TOP-LEFT_01.png` and so on (8-bit RGB PNG without metadata),
    `patches.csv` with every place that was examined, `crop_area_info.txt` with the selected ones, and contact sheets.
    Their bytes depend only on the pictures, their names and the settings. A picture that cannot be read is reported and
    keeps its earlier patches; the others are processed.

    Args:
        folder: Folder that hggt-models enhance wrote: original/, 01/, 02/ and so on.
        output: New or empty folder, or the output of an interrupted run with the same options. Choose
            Train/images/NAME to make it part of a tree.
        settings: How to choose.
        workers: Worker processes.  [default: one per core, at most 8]

    Returns:
        The numbers of pictures and patches, and the pictures that could not be read.

    Raises:
        TreeError: The input is not complete, see `list_enhanced`; nothing is written.
        OutputError: `output` contains other files or patches made with different settings, is inside `folder`, or
            another process is writing to it.

    Source: official `patch_select.py`, see `grid.py`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import PatchSettings, cut_patches, write_demo_tree
        >>> demo = write_demo_tree(tempfile.mkdtemp())
        >>> settings = PatchSettings(crop=64, step=64, max_per_image=1)
        >>> outcome = cut_patches(demo.train / "images/0-6", Path(tempfile.mkdtemp()), settings, workers=1)
        >>> outcome.made, outcome.candidates
        (6, ('01', '02', '03', '04'))
    """
    require_arguments(cut_patches, workers=workers)
    folder, output = Path(folder), Path(output)
    require_outside(output, folder, "the enhanced pictures in")
    pictures = list_enhanced(folder)
    outcome = SelectionOutcome(candidates=pictures.candidates, limit=settings.max_per_image, left_out=pictures.left_out)
    content = {
        "input": str(folder.resolve()),
        "candidates": list(pictures.candidates),
        "settings": asdict(settings),
    }
    made_with = {"hggt": installed_version("hggt"), "pillow": installed_version("pillow")}
    # The lists of a run that selected nothing must not be taken for those of other settings.
    job = PictureJob(output, RECORD, "patches", content, made_with, outcome, derived=(PLACES, _PARTS))

    def picture_of(path: str) -> str | None:
        version, slash, name = path.partition("/")
        if not slash or not (version == ORIGINAL or is_candidate_name(version)):
            return None
        patch = _parse_picture_name(name, version)
        return patch.image if patch and version in pictures.versions else ""

    with job.open(picture_of, pictures.sizes.keys()) as existing:
        rows = _cut_all(job, pictures, settings, existing, workers, outcome)
        # A list older than a picture would make the next run cut it anew, so it is rewritten after each change.
        changed = any((output / _PARTS).iterdir())
        _write(output / PLACES, format_places(rows, pictures.candidates), again=changed)
        _write(output / CROP_AREA_INFO, format_crop_area_info(rows))
        _draw_sheets(output, pictures, settings, rows, workers or default_workers(), outcome)
        shutil.rmtree(output / _PARTS, ignore_errors=True)
    originals = ((name, folder / ORIGINAL / picture_name(name, ORIGINAL)) for name in pictures.sizes)
    outcome.aliases = join_pairs(find_equal(originals, skip_faulty=True))
    return outcome


@dataclass(frozen=True)
class _Task:
    """One picture.

    Attributes:
        existing: Its patch files of an earlier run, as paths in `output`.
        before: Its rows in the `patches.csv` of an earlier run, None if there are none.
    """

    name: str
    folder: Path
    output: Path
    candidates: tuple[str, ...]
    settings: PatchSettings
    existing: frozenset[str]
    before: tuple[PlaceRow, ...] | None

    @property
    def versions(self) -> tuple[str, ...]:
        return (ORIGINAL, *self.candidates)

    @property
    def part(self) -> Path:
        return self.output / _PARTS / f"{self.name}.csv"

    def source(self, version: str) -> Path:
        return self.folder / version / picture_name(self.name, version)

    def patch_files(self, ids: Iterable[PatchId]) -> set[str]:
        return {f"{version}/{picture_name(str(patch), version)}" for patch in ids for version in self.versions}

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self.output / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Result(PictureResult):
    """Also the picture's rows in `patches.csv`."""

    rows: tuple[PlaceRow, ...] = ()


def _cut_all(
    job: PictureJob,
    pictures: EnhancedPictures,
    settings: PatchSettings,
    existing: Mapping[str, set[str]],
    workers: int | None,
    outcome: SelectionOutcome,
) -> list[tuple[PlaceRow, ...]]:
    """The rows of each picture, by name; pictures without any are left out."""
    for folder in (*pictures.versions, _PARTS):
        (job.output / folder).mkdir(exist_ok=True)
    before = read_places(job.output / PLACES, pictures.candidates)
    tasks = [
        _Task(
            name,
            pictures.folder,
            job.output,
            pictures.candidates,
            settings,
            frozenset(existing.get(name, ())),
            before.get(name),
        )
        for name in pictures.sizes
    ]
    rows = []
    for task, result in job.run(_process, tasks, workers=workers, label="selecting"):
        outcome.verdicts.update(row.verdict for row in result.rows)
        if result.rows:
            rows.append(result.rows)
        if not result.fault and not kept_ids(result.rows):
            size = pictures.sizes[task.name]
            is_small = size is not None and min(size) < settings.crop
            (outcome.small if is_small else outcome.empty).append(task.name)
    return rows


def _process(task: _Task) -> _Result:
    try:
        done = _find_done(task)
        return _cut(task) if done is None else _Result(kept=True, rows=done)
    except ImageError as error:
        return _Result(fault=str(error), rows=_keep_whole(task))
    finally:
        advance()


def _find_done(task: _Task) -> tuple[PlaceRow, ...] | None:
    """The picture's rows of an earlier run, if exactly their patches exist and are up to date."""
    sources = [task.source(version) for version in task.versions]
    try:
        for rows, listed in _earlier(task):
            if task.existing == task.patch_files(kept_ids(rows)):
                results = [listed, *(task.output / name for name in task.existing)]
                if is_up_to_date(results, sources):
                    return rows
    except OSError:
        return None  # decoding the picture will show what is wrong
    return None


def _keep_whole(task: _Task) -> tuple[PlaceRow, ...]:
    """The earlier rows of a picture that cannot be read, if all their patches exist; otherwise remove the patches."""
    for rows, _ in _earlier(task):
        if task.existing and task.existing == task.patch_files(kept_ids(rows)):
            return rows
    task.remove(task.existing)
    return ()


def _earlier(task: _Task) -> Iterator[tuple[tuple[PlaceRow, ...], Path]]:
    """(rows, the file they are in): those of an interrupted run, then those of a finished one."""
    rows = read_places(task.part, task.candidates)
    if task.name in rows:
        yield rows[task.name], task.part
    if task.before is not None:
        yield task.before, task.output / PLACES


def _cut(task: _Task) -> _Result:
    """Select and write all patches. Other patches of the picture are removed first: a kill would leave them."""
    notes: set[PictureNote] = set()
    places = select_patches(_read_versions(task, notes), task.settings, seeded_draw(task.settings.seed, task.name))
    rows = tuple(make_row(task.name, place, task.candidates) for place in places)
    ids = kept_ids(rows)
    task.remove(task.existing - task.patch_files(ids))
    try:
        for version in task.versions:
            _cut_version(task, version, sorted(ids))
    except ImageError:  # the file was changed after the first reading
        task.remove(task.patch_files(ids))
        raise
    if rows:
        write_text(task.part, format_places([rows], task.candidates))
    return _Result(rows=rows, notes=frozenset(notes))


def _read_versions(task: _Task, notes: set[PictureNote]) -> Iterator[Pixels]:
    """The original and its candidates, read one after the other to save memory; adds what there is to note."""
    original = _read(task.source(ORIGINAL))

    def read(version: str) -> Pixels:
        path = task.source(version)
        picture = original if version == ORIGINAL else _read(path)
        notes.update(picture.notes)
        if picture.size != original.size:  # equal headers, but one has an EXIF turn
            raise ImageError(
                f"{path}: {format_size(picture.size)} pixels after its EXIF rotation; "
                f"expected {format_size(original.size)}, as the original after its own"
            )
        if picture.orientation != original.orientation and _fits_as_stored(original, picture):
            raise ImageError(
                f"{path}: it fits {ORIGINAL}/{picture_name(task.name, ORIGINAL)} only without the EXIF rotation of one "
                "of them; remove that orientation, or enhance the original again"
            )
        return picture.pixels

    return (read(version) for version in task.versions)


def _fits_as_stored(original: Picture, candidate: Picture) -> bool:
    """Whether two pictures are much more alike without their EXIF turns: an enhancer ignored the turn."""
    stored = original.stored(), candidate.stored()
    if stored[0].shape != stored[1].shape:
        return False
    return 2 * _mean_difference(*stored) < _mean_difference(original.pixels, candidate.pixels)


def _mean_difference(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a[::7, ::7].astype(np.int16) - b[::7, ::7]).mean())


def _cut_version(task: _Task, version: str, ids: Sequence[PatchId]) -> None:
    if ids:
        pixels = _read(task.source(version)).pixels
        for patch in ids:
            crop = cut(pixels, (patch.top, patch.left), task.settings.crop)
            write_png(task.output / version / picture_name(str(patch), version), crop, _COMPRESSION)


def _read(path: Path) -> Picture:
    try:
        return read_picture_with_notes(path)
    except OSError as error:  # concerns this picture only, unlike an error in writing
        raise ImageError(f"{path}: {error.strerror or error}") from error


@dataclass(frozen=True)
class _Sheet:
    """One contact sheet; `rows` are its groups, each with its index."""

    path: Path
    output: Path
    candidates: tuple[str, ...]
    title: str
    subtitle: str
    rows: tuple[tuple[int, PlaceRow], ...]

    def files(self, row: PlaceRow) -> dict[str, Path]:
        return {name: self.output / name / picture_name(str(row.id), name) for name in (ORIGINAL, *self.candidates)}

    def pictures(self) -> Iterator[Path]:
        return (path for _, row in self.rows for path in self.files(row).values())


def _draw_sheets(
    output: Path,
    pictures: EnhancedPictures,
    settings: PatchSettings,
    rows: Sequence[Sequence[PlaceRow]],
    workers: int,
    outcome: SelectionOutcome,
) -> None:
    """Draw the contact sheets that are missing or outdated, and remove those that are no longer needed."""
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
    for entry in scan(output):
        if _SHEET.fullmatch(entry.name) and output / entry.name not in outcome.sheets:
            (output / entry.name).unlink()
    stale = [sheet for sheet in sheets if not is_up_to_date([sheet.path], [output / PLACES, *sheet.pictures()])]
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
        raise OutputError(f"{error}. Remove it and run the command again to cut it again") from error


def _parse_picture_name(name: str, version: str) -> PatchId | None:
    ending = picture_name("", version)
    try:
        return PatchId.parse(name.removesuffix(ending)) if name.endswith(ending) else None
    except NameFormatError:
        return None


def _write(path: Path, text: str, *, again: bool = False) -> None:
    """Write a text file; one that already has this text is rewritten only if `again`."""
    if again or not (path.is_file() and path.read_bytes() == text.encode("utf-8")):
        write_text(path, text)
