"""Cut large pictures, also at smaller scales, into overlapping crops of one size, to pretrain networks on.

A picture is cut again unless all its crops are there and none is older than it, and files are written whole or not at
all: a run can be killed and repeated. `subimages.json` beside the crops keeps the settings, so that a folder never
holds a mixture of two.

Source: the published enhancers and PSNR runs read DF2K_OST "multiscale" in crops of 400.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hggt_data.errors import HggtError, ImageError, OutputError, TreeError
from hggt_data.io.files import is_leftover, is_system_file, is_up_to_date
from hggt_data.io.folders import FolderRecord, lock_folder, names_in, require_outside, without_leftovers
from hggt_data.io.images import Pixels, is_picture_name, list_folder, read_picture, read_picture_size, write_png
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import advance, default_workers, report_faults, run_tasks

RECORD = "subimages.json"

# On photographs, level 4 makes files 1% larger than zlib's usual 6 in 0.4 of the time; 1 is twice as fast again, but
# its files are 10% larger and slower to read, and a training reads each of them many times.
_COMPRESSION = 4
_SCALE = re.compile(r"[0-9]{1,9}/[1-9][0-9]{0,8}|[0-9]{0,9}\.?[0-9]{1,9}")
_CROP = re.compile(r"(?P<version>.+)_s(?P<number>[0-9]{3,})\.png", re.DOTALL)


class SubimageError(HggtError, ValueError):
    """Settings that do not say how to cut."""


@dataclass(frozen=True)
class SubimageSettings:
    """What decides the crops of a picture.

    A *version* of a picture is the picture itself or a scaled one. Sides of scaled versions are rounded down.

    Attributes:
        scales: of the versions T0, T1, ... .
        short_side: of one version more, in pixels; 0 for none.
        crop: the side of a crop in pixels.
        step: from one crop to the next, in pixels.
        threshold: what may remain uncut at the right and lower border of a version, in pixels; where more remains, one
            more crop ends at the border.

    Raises:
        SubimageError: a value is out of range.

    Source: names of scaled versions, sizes and the place of the crops are those of the official data. Scales, short
        side and crop stand in the official options (the official README speaks of crops of 512). The step is not
        known with certainty; 200 is what the preparation of Real-ESRGAN, which the official code builds on, has.
    """

    scales: tuple[Fraction, ...] = (Fraction(3, 4), Fraction(1, 2), Fraction(1, 3))
    short_side: int = 400
    crop: int = 400
    step: int = 200
    threshold: int = 0

    def __post_init__(self) -> None:
        faults = [f"scale {scale}: expected more than 0 and less than 1" for scale in self.scales if not 0 < scale < 1]
        faults += [
            f"scale {scale} is given twice" for scale in sorted(set(self.scales)) if self.scales.count(scale) > 1
        ]
        least = {"short_side": 0, "crop": 1, "step": 1, "threshold": 0}
        faults += [
            f"{name} {getattr(self, name)}: expected {low} or more"
            for name, low in least.items()
            if getattr(self, name) < low
        ]
        if faults:
            raise SubimageError("; ".join(faults))

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What is appended to a picture's name, by version: nothing for the picture itself, then T0, T1, ... ."""
        return ("", *(f"T{number}" for number in range(len(self.scales) + bool(self.short_side))))

    def sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """(height, width) of each version of a picture of that size.

        Example:
            >>> SubimageSettings().sizes((1356, 2040))
            [(1356, 2040), (1017, 1530), (678, 1020), (452, 680), (400, 601)]
        """
        factors = [Fraction(1), *self.scales]
        if self.short_side:
            factors.append(Fraction(self.short_side, min(size)))
        height, width = size
        return [(int(height * factor), int(width * factor)) for factor in factors]

    def corners(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """(top, left) of each crop of a version of that size, row by row; none where it is smaller than a crop.

        Example:
            >>> SubimageSettings().corners((400, 601))
            [(0, 0), (0, 200), (0, 201)]
        """
        tops, lefts = (self._starts(side) for side in size)
        return [(top, left) for top in tops for left in lefts]

    def _starts(self, side: int) -> list[int]:
        starts = list(range(0, side - self.crop + 1, self.step))
        if starts and side - self.crop - starts[-1] > self.threshold:
            starts.append(side - self.crop)
        return starts

    def to_json(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {
            "scales": [str(scale) for scale in self.scales],
            "short_side": self.short_side,
            "crop": self.crop,
            "step": self.step,
            "threshold": self.threshold,
        }


def parse_scales(text: str) -> tuple[Fraction, ...]:
    """Scales from `0.75,0.5,1/3`, or `none`.

    Raises:
        SubimageError: that is something else.

    Example:
        >>> parse_scales("0.75,1/3")
        (Fraction(3, 4), Fraction(1, 3))
    """
    if text.strip() == "none":
        return ()
    parts = [part.strip() for part in text.split(",")]
    wrong = [part for part in parts if not (_SCALE.fullmatch(part) and 0 < Fraction(part) < 1)]
    if wrong:
        raise SubimageError(
            f"{', '.join(map(repr, wrong))}: expected numbers between 0 and 1 with commas between them, such as "
            "0.75,0.5,1/3, or none"
        )
    return SubimageSettings(scales=tuple(Fraction(part) for part in parts)).scales


@dataclass
class SubimageOutcome:
    """What a run did.

    Attributes:
        made, kept: pictures that were cut, and those whose crops were there already.
        crops_made, crops_kept: their crops.
        small: pictures smaller than a crop.
        small_versions: how many scaled versions are smaller than a crop.
        enlarged_versions: how many would be larger than their picture, and were left out.
        left_out: files of the input folders that are no pictures.
        folders: folders in the input folders.
        faults: what is wrong with pictures that could not be read, a line each.
    """

    made: int = 0
    kept: int = 0
    crops_made: int = 0
    crops_kept: int = 0
    small: list[Path] = field(default_factory=list)
    small_versions: int = 0
    enlarged_versions: int = 0
    left_out: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def describe(self) -> list[str]:
        """What was done and what was not, a line each."""
        kept = f", {self.kept:,} there already ({plural(self.crops_kept, 'crop')})" if self.kept else ""
        lines = [f"{plural(self.made, 'picture')} cut into {plural(self.crops_made, 'crop')}{kept}"]
        if self.small:
            lines.append(f"{plural(len(self.small), 'picture')} smaller than a crop, not cut: {_names(self.small)}")
        if self.small_versions:
            lines.append(f"{plural(self.small_versions, 'scaled version')} smaller than a crop, not cut")
        if self.enlarged_versions:
            lines.append(f"{plural(self.enlarged_versions, 'scaled version')} larger than the picture, left out")
        if self.left_out:
            lines.append(f"{plural(len(self.left_out), 'file')} left out, no pictures: {_names(self.left_out)}")
        if self.folders:
            lines.append(f"{plural(len(self.folders), 'folder')} not searched: {_names(self.folders)}")
        if self.faults:
            lines.append(f"{plural(len(self.faults), 'picture')} could not be read:")
        return [*lines, *(f"  {fault}" for fault in self.faults)]


def extract_subimages(
    inputs: Sequence[Path], output: Path, settings: SubimageSettings, *, workers: int | None = None
) -> SubimageOutcome:
    """Cut the pictures of folders into crops, `NAME_s001.png` of the picture and `NAMET0_s001.png` of a scaled one.

    Crops are 8-bit RGB PNG without metadata, numbered row by row. Their bytes do not depend on the workers. A picture
    that cannot be read is listed and the others are cut; crops that it had before stay.

    Args:
        inputs: folders; what lies in folders inside them is not looked at.
        output: new or empty, or filled by an earlier run with the same settings, over the same inputs or fewer.
        settings: how to cut.
        workers: processes; null for one per core, at most 8.

    Raises:
        TreeError: no pictures, or two whose crops would have the same names; nothing is written.
        OutputError: `output` holds other things or crops of other settings, lies in an input, or is being written to.
        WorkerError: the system killed a worker.
        OSError: the disk is full or `output` cannot be written to. What is finished stays.

    Source: see `SubimageSettings`.
    """
    outcome = SubimageOutcome()
    pictures = _list_pictures(inputs, output, outcome)
    _require_own_names(pictures, settings)
    output.mkdir(parents=True, exist_ok=True)
    with lock_folder(output):
        there = _survey(output, {path.stem + suffix for path in pictures for suffix in settings.suffixes})
        _require_record(output, inputs, settings, there)
        tasks = [
            _Task(
                path, output, settings, tuple(there.highest.get(path.stem + suffix, 0) for suffix in settings.suffixes)
            )
            for path in pictures
        ]
        results = run_tasks(
            _cut_and_count, tasks, workers or default_workers(), total=len(tasks), label="cutting", unit="picture"
        )
        with without_leftovers(output), report_faults(outcome.faults):
            for task, result in zip(tasks, results, strict=True):
                _add(outcome, task.path, result)
    return outcome


@dataclass(frozen=True)
class _Task:
    """One picture; `highest` is the greatest number that a crop of each version has in `output`, 0 without any."""

    path: Path
    output: Path
    settings: SubimageSettings
    highest: tuple[int, ...]

    def crop_path(self, suffix: str, number: int) -> Path:
        return self.output / f"{self.path.stem}{suffix}_s{number:03d}.png"


@dataclass(frozen=True)
class _Version:
    suffix: str
    size: tuple[int, int]
    corners: list[tuple[int, int]]


@dataclass(frozen=True)
class _Result:
    """What became of a picture: a fault, or its number of crops and of versions without any."""

    fault: str = ""
    kept: bool = False
    num_crops: int = 0
    small_versions: int = 0
    enlarged_versions: int = 0


def _cut_and_count(task: _Task) -> _Result:
    try:
        versions = _find_done(task) if any(task.highest) else None
        pixels = read_picture(task.path) if versions is None else None
    except (ImageError, OSError) as error:
        return _Result(fault=str(error))
    else:
        if pixels is not None:
            versions = _plan(pixels.shape[:2], task.settings)
            _cut(task, pixels, versions)
        assert versions is not None
        scaled = [version for version in versions if version.suffix]
        return _Result(
            kept=pixels is None,
            num_crops=sum(len(version.corners) for version in versions),
            small_versions=sum(not version.corners for version in scaled),
            enlarged_versions=len(task.settings.suffixes) - len(versions),
        )
    finally:
        advance()


def _find_done(task: _Task) -> list[_Version] | None:
    """The picture's versions, if exactly their crops are there and none is older than the picture."""
    try:
        size = read_picture_size(task.path)
    except ImageError:
        return None  # reading all of it will tell what is wrong
    # Where the EXIF turns a picture, the crops are as many before the turn as after it, and have the same names.
    versions = _plan(size, task.settings)
    counts = {version.suffix: len(version.corners) for version in versions}
    if tuple(counts.get(suffix, 0) for suffix in task.settings.suffixes) != task.highest:
        return None
    crops = (task.crop_path(suffix, number) for suffix, count in counts.items() for number in range(1, count + 1))
    return versions if is_up_to_date(crops, [task.path]) else None


def _plan(size: tuple[int, int], settings: SubimageSettings) -> list[_Version]:
    """The versions of a picture, but for what would be larger than it."""
    return [
        _Version(suffix, scaled, settings.corners(scaled))
        for suffix, scaled in zip(settings.suffixes, settings.sizes(size), strict=True)
        if scaled[0] <= size[0] and scaled[1] <= size[1]
    ]


def _cut(task: _Task, pixels: Pixels, versions: Sequence[_Version]) -> None:
    """Write all crops; those of an earlier form of the picture go first, or a kill would leave them."""
    counts = {version.suffix: len(version.corners) for version in versions}
    for suffix, highest in zip(task.settings.suffixes, task.highest, strict=True):
        for number in range(counts.get(suffix, 0) + 1, highest + 1):
            task.crop_path(suffix, number).unlink(missing_ok=True)
    side = task.settings.crop
    for version in versions:
        if version.corners:
            scaled = _scale(pixels, version.size)
            for number, (top, left) in enumerate(version.corners, 1):
                crop = scaled[top : top + side, left : left + side]
                write_png(task.crop_path(version.suffix, number), crop, _COMPRESSION)


def _scale(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if pixels.shape[:2] == size:
        return pixels
    height, width = size
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _add(outcome: SubimageOutcome, path: Path, result: _Result) -> None:
    if result.fault:
        outcome.faults.append(result.fault)
    elif result.kept:
        outcome.kept += 1
        outcome.crops_kept += result.num_crops
    elif result.num_crops:
        outcome.made += 1
        outcome.crops_made += result.num_crops
    else:
        outcome.small.append(path)
    outcome.small_versions += result.small_versions
    outcome.enlarged_versions += result.enlarged_versions


def _list_pictures(inputs: Sequence[Path], output: Path, outcome: SubimageOutcome) -> list[Path]:
    """The pictures of all folders; what is left out is noted in `outcome`."""
    pictures: list[Path] = []
    seen: set[Path] = set()
    for folder in inputs:
        place = folder.resolve()
        if place in seen:
            raise TreeError(f"{folder} is given twice as input")
        require_outside(output, folder, "the input")
        seen.add(place)
        found = list_folder(folder)
        pictures += found.pictures
        outcome.left_out += [folder / name for name in found.others]
        outcome.folders += [folder / name for name in found.folders]
    return pictures


def _require_own_names(pictures: Sequence[Path], settings: SubimageSettings) -> None:
    """No two pictures may give crops of the same name, on disks that do not tell upper from lower case either."""
    first: dict[str, tuple[Path, str]] = {}
    clashes, scaled = [], False
    for path in pictures:
        for suffix in settings.suffixes:
            other, other_suffix = first.setdefault((path.stem + suffix).casefold(), (path, suffix))
            if other is not path:
                clashes.append(f"{other} and {path}")
                scaled = scaled or suffix != other_suffix
                break
    if clashes:
        hint = "; where scaled versions are there already, pass --scales none --short-side 0" if scaled else ""
        raise TreeError(f"crops of the same names would come from {format_examples(clashes)}; rename one{hint}")


@dataclass(frozen=True)
class _There:
    """What a run finds in its output.

    Attributes:
        highest: the greatest number of a crop, by version.
        strangers: the names of pictures that no input gives.
        others: whether there is anything else.
    """

    highest: Mapping[str, int]
    strangers: list[str]
    others: bool


def _survey(output: Path, versions: set[str]) -> _There:
    highest: dict[str, int] = {}
    strangers, others = [], False
    for name in names_in(output):
        match = _CROP.fullmatch(name)
        if match and match["version"] in versions and match["number"] == f"{int(match['number']):03d}" != "000":
            highest[match["version"]] = max(highest.get(match["version"], 0), int(match["number"]))
        elif is_picture_name(name):
            strangers.append(name)
        else:
            others |= not (name == RECORD or is_system_file(name) or is_leftover(name))
    return _There(highest, sorted(strangers), others)


def _require_record(output: Path, inputs: Sequence[Path], settings: SubimageSettings, there: _There) -> None:
    """Compare with what an earlier run has left, and keep the record where there was none."""
    content = {"inputs": [str(folder.resolve()) for folder in inputs], "settings": settings.to_json()}
    made_with = {"hggt": installed_version("hggt"), "pillow": installed_version("pillow")}
    record = FolderRecord(output / RECORD, "crops", content, made_with, growing=("inputs",))
    has_results = bool(there.highest or there.strangers)
    is_kept = record.require(is_filled=has_results or there.others, has_results=has_results)
    if there.strangers:
        raise OutputError(
            f"{output} holds {plural(len(there.strangers), 'picture')} that the inputs do not give "
            f"({format_examples(there.strangers)}); remove what should not be trained on, or choose a new folder"
        )
    if not is_kept:
        record.keep()


def _names(paths: Sequence[Path]) -> str:
    return format_examples([path.name for path in paths])
