"""Overlapping crops of one size from large pictures, also at smaller scales, for pretraining.

A run can be interrupted and repeated, see `io/picture_job.py`; `subimages.json` beside the crops is its record.

Source: the published enhancers and PSNR runs read DF2K_OST "multiscale" in crops of 400.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hggt_data.errors import ImageError, SettingsError, TreeError
from hggt_data.io.files import is_up_to_date
from hggt_data.io.folders import require_outside
from hggt_data.io.images import Pixels, write_png
from hggt_data.io.names import look
from hggt_data.io.picture_job import Outcome, PictureJob, PictureResult
from hggt_data.io.pictures import is_picture_name, list_folder, read_picture_size, read_picture_with_notes
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import advance
from hggt_data.ranges import Count, CountOrNone, require_arguments, require_lists, require_ranges
from hggt_data.tree.aliases import find_equal, join_pairs

RECORD = "subimages.json"

# On photographs, level 4 makes files 1% larger than zlib's usual 6 in 0.4 of the time; 1 is twice as fast again, but
# its files are 10% larger and slower to read, and a training reads each of them many times.
_COMPRESSION = 4
_SCALE = re.compile(r"[0-9]{1,9}/[1-9][0-9]{0,8}|[0-9]{0,9}\.?[0-9]{1,9}")
_CROP = re.compile(r"(?P<version>.+)_s(?P<number>[0-9]{3,})\.png", re.DOTALL)


@dataclass(frozen=True)
class SubimageSettings:
    """How pictures are cut.

    A *version* of a picture is the picture itself or a scaled one. Sides of scaled versions are rounded down.

    Attributes:
        scales: Scales of the extra versions T0, T1, ...; `none` for no extra versions.
        short_side: Short side of one more, smaller version; 0 to skip it.
        crop: Side of a crop.
        step: Distance between crops.
        threshold: Leave this many pixels uncut at the right and bottom edge; if more remain, one more crop ends there.
        choose: Number of crops to choose at random from those of all pictures; 0 for all.
        seed: Random seed for the choice. The same seed and names of crops give the same choice.

    Raises:
        SettingsError: A value is out of range.

    Source: the names of scaled versions, the sizes and the places of the crops are those of the official data. Scales,
        short side and crop are in the official options (the official README gives crops of 512). The step is not
        known with certainty; 200 is that of the preparation for Real-ESRGAN, which the official code builds on.
    """

    scales: tuple[Fraction, ...] = (Fraction(3, 4), Fraction(1, 2), Fraction(1, 3))
    short_side: CountOrNone = 400
    crop: Count = 400
    step: Count = 200
    threshold: CountOrNone = 0
    choose: CountOrNone = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require_ranges(self)
        faults = [f"{scale}; expected more than 0 and less than 1" for scale in self.scales if not 0 < scale < 1]
        faults += [f"{scale} twice" for scale in sorted(set(self.scales)) if self.scales.count(scale) > 1]
        if faults:
            raise SettingsError(f"`scales` has {'; '.join(faults)}")

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffix of each version's name: empty for the picture itself, then T0, T1, and so on."""
        return ("", *(f"T{number}" for number in range(len(self.scales) + bool(self.short_side))))

    def sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """(height, width) of each version of a picture of that size.

        Example:
            >>> from hggt_data import SubimageSettings
            >>> SubimageSettings().sizes((1356, 2040))
            [(1356, 2040), (1017, 1530), (678, 1020), (452, 680), (400, 601)]
        """
        factors = [Fraction(1), *self.scales]
        if self.short_side:
            factors.append(Fraction(self.short_side, min(size)))
        height, width = size
        return [(int(height * factor), int(width * factor)) for factor in factors]

    def corners(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """(top, left) of each crop of a version of that size, row by row; empty if it is smaller than a crop.

        Example:
            >>> from hggt_data import SubimageSettings
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
        """The settings as the record keeps them."""
        return {
            "scales": [str(scale) for scale in self.scales],
            "short_side": self.short_side,
            "crop": self.crop,
            "step": self.step,
            "threshold": self.threshold,
            **({"choose": self.choose, "seed": self.seed} if self.choose else {}),
        }

    def choice(self, names: Iterable[str]) -> frozenset[str]:
        """The crops to write: all, or `choose` of them, whatever the order of their names.

        SettingsError if there are fewer.
        """
        known = frozenset(names)
        if not self.choose:
            return known
        if len(known) < self.choose:
            raise SettingsError(
                f"`choose` is {self.choose:,}, but the pictures have {plural(len(known), 'crop')}; choose fewer"
            )
        # Ranked by hashes, so that the choice depends neither on the order of files nor on Python's version.
        return frozenset(sorted(known, key=lambda name: sha256(f"{self.seed}/{name}".encode()).digest())[: self.choose])


def parse_scales(text: str) -> tuple[Fraction, ...]:
    """Scales from text such as `0.75,0.5,1/3`, or `none`; SettingsError for anything else."""
    if text.strip() == "none":
        return ()
    parts = [part.strip() for part in text.split(",")]
    wrong = [part for part in parts if not (_SCALE.fullmatch(part) and 0 < Fraction(part) < 1)]
    if wrong:
        raise SettingsError(
            f"{', '.join(map(repr, wrong))}: expected numbers between 0 and 1 separated by commas, such as "
            "0.75,0.5,1/3, or none"
        )
    return SubimageSettings(scales=tuple(Fraction(part) for part in parts)).scales


@dataclass
class SubimageOutcome(Outcome):
    """What a run did.

    Attributes:
        crops_made: Number of crops that were written.
        crops_kept: Number of crops of an earlier run that were kept.
        small: Pictures smaller than a crop; they count as made.
        small_versions: Number of scaled versions smaller than a crop.
        enlarged_versions: Number of scaled versions left out because they would be larger than the picture.
        left_out: Files of the input folders that are not pictures.
        folders: Folders in the input folders, which are not searched.
        aliases: Names of 8-bit RGB PNG files with equal pixels.
    """

    crops_made: int = 0
    crops_kept: int = 0
    small: list[Path] = field(default_factory=list)
    small_versions: int = 0
    enlarged_versions: int = 0
    left_out: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    aliases: list[list[str]] = field(default_factory=list)

    def describe(self) -> list[str]:
        """What was done and what was left out, a line each."""
        kept = f", {self.kept:,} already up to date ({plural(self.crops_kept, 'crop')})" if self.kept else ""
        cut = self.made - len(self.small)
        lines = [f"{plural(cut, 'picture')} cut into {plural(self.crops_made, 'crop')}{kept}"]
        if self.small:
            lines.append(f"Skipped {plural(len(self.small), 'picture')} smaller than a crop: {_names(self.small)}")
        if self.small_versions:
            lines.append(f"Skipped {plural(self.small_versions, 'scaled version')} smaller than a crop")
        if self.enlarged_versions:
            lines.append(f"Skipped {plural(self.enlarged_versions, 'scaled version')} larger than the picture")
        if self.aliases:
            shown = format_examples([" = ".join(names) for names in self.aliases])
            lines.append(
                f"Warning: pictures with equal pixels: {shown}. Remove all but one: a training may hold one out and "
                "learn from another."
            )
        if self.left_out:
            lines.append(f"Skipped {plural(len(self.left_out), 'non-picture file')}: {_names(self.left_out)}")
        if self.folders:
            lines.append(f"{plural(len(self.folders), 'folder')} not searched: {_names(self.folders)}")
        return [*lines, *self.describe_pictures()]


def extract_subimages(
    inputs: Sequence[str | Path], output: str | Path, settings: SubimageSettings, *, workers: Count | None = None
) -> SubimageOutcome:
    """Cut the pictures of folders into crops: `NAME_s001.png` of the picture, `NAMET0_s001.png` of a scaled version.

    Crops are 8-bit RGB PNG without metadata, numbered row by row; their bytes do not depend on the number of workers.
    A picture that cannot be read is reported and keeps its earlier crops; the others are cut.

    Args:
        inputs: Folder of pictures, without its subfolders; repeatable.
        output: New or empty folder, or the output of an interrupted run with the same options.
        settings: How to cut.
        workers: Worker processes.  [default: one per core, at most 8]

    Returns:
        The numbers of pictures and crops, and the pictures that could not be read.

    Raises:
        TreeError: There is no picture, or crops of two pictures would have the same name; nothing is written.
        SettingsError: There are fewer crops than `choose`; nothing is written.
        ImageError: Crops are to be chosen, and the sizes of some pictures cannot be read; nothing is written.
        OutputError: `output` contains other files or crops made with different settings, is inside an input, or
            another process is writing to it.

    Source: see `SubimageSettings`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from hggt_data import SubimageSettings, extract_subimages
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new("RGB", (288, 192)).save(folder / "picture.png")
        >>> settings = SubimageSettings(scales=(), short_side=0, crop=96, step=96)
        >>> extract_subimages([folder], Path(tempfile.mkdtemp()), settings, workers=1).crops_made
        6
    """
    require_lists(inputs=inputs)
    require_arguments(extract_subimages, workers=workers)
    output = Path(output)
    folders = [Path(folder) for folder in inputs]
    outcome = SubimageOutcome()
    pictures = _list_pictures(folders, output, outcome)
    owners = _name_versions(pictures, settings)
    chosen = _choose(pictures, settings)
    content = {"inputs": [str(folder.resolve()) for folder in folders], "settings": settings.to_json()}
    made_with = {"hggt": installed_version("hggt"), "pillow": installed_version("pillow")}
    growing = () if settings.choose else ("inputs",)  # more inputs would change the choice
    job = PictureJob(output, RECORD, "crops", content, made_with, outcome, growing=growing)

    def picture_of(name: str) -> str | None:
        match = _CROP.fullmatch(name)
        if match and match["number"] == f"{int(match['number']):03d}" != "000" and match["version"] in owners:
            return owners[match["version"]]
        return name if is_picture_name(name) else None

    with job.open(picture_of, set(owners.values())) as existing:
        tasks = [
            _Task(path, output, settings, frozenset(existing.get(str(path), ())), wanted)
            for path, wanted in ((path, chosen.get(path, frozenset()) if chosen else None) for path in pictures)
            if wanted or wanted is None or str(path) in existing
        ]
        for task, result in job.run(_process, tasks, workers=workers, label="cutting"):
            if result.kept:
                outcome.crops_kept += result.num_crops
            else:
                outcome.crops_made += result.num_crops
            if not result.num_crops and not result.fault and chosen is None:
                outcome.small.append(task.path)
            outcome.small_versions += result.small_versions
            outcome.enlarged_versions += result.enlarged_versions
    outcome.aliases = join_pairs(find_equal(((path.name, path) for path in pictures), skip_faulty=True))
    return outcome


@dataclass(frozen=True)
class _Task:
    """One picture, the names of its crops that an earlier run has written, and of those to write; None for all."""

    path: Path
    output: Path
    settings: SubimageSettings
    existing: frozenset[str]
    chosen: frozenset[str] | None

    def crops(self, version: "_Version") -> dict[str, tuple[int, int]]:
        """Name and (top, left) of each crop to write."""
        named = zip(version.crop_names(self.path.stem), version.corners, strict=True)
        return {name: corner for name, corner in named if self.chosen is None or name in self.chosen}


@dataclass(frozen=True)
class _Version:
    suffix: str
    size: tuple[int, int]
    corners: list[tuple[int, int]]

    def crop_names(self, stem: str) -> list[str]:
        return [f"{stem}{self.suffix}_s{number:03d}.png" for number in range(1, len(self.corners) + 1)]


@dataclass(frozen=True)
class _Result(PictureResult):
    """Also the number of crops, and of scaled versions without crops."""

    num_crops: int = 0
    small_versions: int = 0
    enlarged_versions: int = 0


def _process(task: _Task) -> _Result:
    try:
        versions = _find_done(task)
        kept = versions is not None
        if versions is None:
            picture = read_picture_with_notes(task.path)
            versions = _plan(picture.pixels.shape[:2], task.settings)
    except (ImageError, OSError) as error:
        return _Result(fault=str(error))
    else:
        if not kept:
            _cut(task, picture.pixels, versions)
        return _Result(
            kept=kept,
            notes=frozenset() if kept else picture.notes,
            num_crops=sum(len(task.crops(version)) for version in versions),
            small_versions=sum(not version.corners for version in versions if version.suffix),
            enlarged_versions=len(task.settings.suffixes) - len(versions),
        )
    finally:
        advance()


def _find_done(task: _Task) -> list[_Version] | None:
    """The picture's versions if exactly their crops exist and are up to date."""
    if not task.existing:
        return None
    try:
        size = read_picture_size(task.path)
    except ImageError:
        return None  # decoding the file will show what is wrong
    # If EXIF turns the picture, the names of the crops are the same before and after the turn.
    versions = _plan(size, task.settings)
    if task.existing != {name for version in versions for name in task.crops(version)}:
        return None
    return versions if is_up_to_date((task.output / name for name in task.existing), [task.path]) else None


def _plan(size: tuple[int, int], settings: SubimageSettings) -> list[_Version]:
    """The picture itself and its scaled versions, leaving out those larger than the picture."""
    return [
        _Version(suffix, scaled, settings.corners(scaled))
        for suffix, scaled in zip(settings.suffixes, settings.sizes(size), strict=True)
        if scaled[0] <= size[0] and scaled[1] <= size[1]
    ]


def _choose(pictures: Sequence[Path], settings: SubimageSettings) -> dict[Path, frozenset[str]] | None:
    """The chosen crops of each picture that has any; None for all crops.

    ImageError names all pictures whose size cannot be read: without them, the choice would be another one.
    """
    if not settings.choose:
        return None
    available: dict[str, Path] = {}
    faults = []
    for path in pictures:
        try:
            versions = _plan(read_picture_size(path), settings)
        except (ImageError, OSError) as error:
            faults.append(str(error))
        else:
            available |= {name: path for version in versions for name in version.crop_names(path.stem)}
    if faults:
        raise ImageError(
            f"{plural(len(faults), 'picture')} cannot be read, so `choose` does not know all crops: "
            f"{format_examples(faults)}; mend or remove them"
        )
    chosen: dict[Path, set[str]] = {}
    for name in settings.choice(available):
        chosen.setdefault(available[name], set()).add(name)
    return {path: frozenset(names) for path, names in chosen.items()}


def _cut(task: _Task, pixels: Pixels, versions: Sequence[_Version]) -> None:
    """Write all crops. Those of an earlier form of the picture are removed first: a kill would leave them."""
    crops = [task.crops(version) for version in versions]
    for name in task.existing.difference(*crops):
        (task.output / name).unlink(missing_ok=True)
    side = task.settings.crop
    for version, corners in zip(versions, crops, strict=True):
        if corners:
            scaled = _scale(pixels, version.size)
            for name, (top, left) in corners.items():
                write_png(task.output / name, scaled[top : top + side, left : left + side], _COMPRESSION)


def _scale(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if pixels.shape[:2] == size:
        return pixels
    height, width = size
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _list_pictures(inputs: Sequence[Path], output: Path, outcome: SubimageOutcome) -> list[Path]:
    """The pictures of all folders; other files and folders are added to `outcome`."""
    pictures: list[Path] = []
    seen: set[Path] = set()
    for folder in inputs:
        if folder.resolve() in seen:
            raise TreeError(f"{folder} is given twice as an input")
        require_outside(output, folder, "the input")
        seen.add(folder.resolve())
        found = list_folder(folder)
        pictures += found.pictures
        outcome.left_out += [folder / name for name in found.others]
        outcome.folders += [folder / name for name in found.folders]
    return pictures


def _name_versions(pictures: Sequence[Path], settings: SubimageSettings) -> dict[str, str]:
    """Name of each version to its picture. No two names may look the same."""
    owners: dict[str, str] = {}
    first: dict[str, tuple[Path, str]] = {}
    clashes, scaled = [], False
    for path in pictures:
        for suffix in settings.suffixes:
            owners[path.stem + suffix] = str(path)
            other, other_suffix = first.setdefault(look(path.stem + suffix), (path, suffix))
            if other is not path:
                clashes.append(f"{other} and {path}")
                scaled = scaled or suffix != other_suffix
                break
    if clashes:
        hint = (
            "; if the input already contains scaled versions, pass empty `scales` and `short_side` 0" if scaled else ""
        )
        raise TreeError(f"crops of {format_examples(clashes)} would have the same names; rename one{hint}")
    return owners


def _names(paths: Sequence[Path]) -> str:
    return format_examples([path.name for path in paths])
