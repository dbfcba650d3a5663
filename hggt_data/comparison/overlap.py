"""Pictures that a training set shares with test pictures, which makes scores on these meaningless.

A group is represented by its original, or without one by its first candidate. This finds equal pixels, patches cut out
of larger pictures, pictures that look alike, and equal names of source pictures. It does not find pictures that were
cropped and then changed, turned or mirrored, nor different patches of one picture whose names do not say so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from hggt_data.comparison.crops import Landmark, Place, find_landmark, find_places, is_at
from hggt_data.comparison.perceptual_hash import NUM_BITS, find_alike, perceptual_hash
from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.dataset.overlap import shared_pictures
from hggt_data.errors import ImageError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.files import csv_file
from hggt_data.io.images import Pixels, hash_pixels, is_flat_digest
from hggt_data.io.pictures import is_picture_name, read_picture
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import advance, default_workers, run_tasks
from hggt_data.loading import open_version
from hggt_data.ranges import Count
from hggt_data.schema import ORIGINAL, source_picture
from hggt_data.tree.layouts import is_tree

COLUMNS = ("kind", "training", "test", "detail")
_PER_TASK = 128
Kind = Literal["equal", "crop", "alike", "name"]
_PHRASES: dict[Kind, str] = {
    "equal": "with the same pixels",
    "crop": "cut out of the other",
    "alike": "that look alike (compare them by eye)",
}


class SharedPicture(NamedTuple):
    """Two pictures that are the same, in the columns of the CSV file; of kind `name` they are source pictures."""

    kind: Kind
    training: str
    test: str
    detail: str


@dataclass(frozen=True)
class OverlapReport:
    """What a training set shares with test pictures.

    Attributes:
        training: The training set, as given.
        test: The test pictures.
        num_pictures: How many pictures of each were compared.
        shared: All shared pictures.
        flat: How many pictures of each are too flat for a perceptual hash.
        faults: Pictures that could not be read, and why.
    """

    training: str
    test: str
    num_pictures: tuple[int, int]
    shared: tuple[SharedPicture, ...]
    flat: tuple[int, int]
    faults: tuple[str, ...]

    def describe(self) -> list[str]:
        """A line for each kind, with examples."""
        ours, theirs = self.num_pictures
        lines = [f"{plural(ours, 'picture')} of {self.training}, {plural(theirs, 'picture')} of {self.test}"]
        for kind, phrase in _PHRASES.items():
            found = [one for one in self.shared if one.kind == kind]
            pairs = [f"{one.training} and {one.test}{one.detail and f' ({one.detail})'}" for one in found]
            if pairs:
                lines.append(f"{plural(len(pairs), 'pair')} of pictures {phrase}: {format_examples(pairs)}")
        names = [one.detail for one in self.shared if one.kind == "name"]
        if names:
            lines.append(f"{plural(len(names), 'source picture')} with the same name: {format_examples(names)}")
        if not self.shared:
            lines.append("no shared pictures found")
        if any(self.flat):
            first, second = self.flat
            lines.append(f"flat pictures, compared by pixels, or if of one colour not at all: {first:,} and {second:,}")
        if self.faults:
            lines.append(f"{plural(len(self.faults), 'file')} could not be read: {format_examples(self.faults)}")
        return lines

    def write_csv(self, path: Path) -> None:
        """Write all shared pictures."""
        with csv_file(path, COLUMNS) as write_line:
            for shared in self.shared:
                write_line(shared)


def find_shared_pictures(
    training: str | Path, test: str | Path, *, split: str | None = None, workers: Count | None = None
) -> OverlapReport:
    """Find pictures that a training set shares with test pictures.

    Args:
        training: Tree, built dataset, folder of pictures, or `ORG/NAME` or `ORG/NAME@REVISION` on the Hub.
        test: The test pictures, given in the same ways; subfolders of a folder are searched.
        split: Split of the training set, if it has several.  [default: all]
        workers: Worker processes.  [default: one per core, at most 8]

    Returns:
        The shared pictures, and what could not be compared.

    Raises:
        SettingsError: As for `open_groups`.
        DatasetError: As for `open_groups`.
        HubError: As for `open_groups`.
        TreeError: As for `open_groups`, or a folder has no pictures.

    Example:
        >>> import tempfile
        >>> from hggt_data import find_shared_pictures, write_demo_tree
        >>> demo = write_demo_tree(tempfile.mkdtemp())
        >>> find_shared_pictures(demo.train, demo.test, workers=1).shared
        ()
    """
    sets = _open_pictures(training, split), _open_pictures(test)
    every = [*sets[0], *sets[1]]
    tasks = [every[start : start + _PER_TASK] for start in range(0, len(every), _PER_TASK)]
    workers = workers or default_workers()
    prints = list(
        chain.from_iterable(run_tasks(_examine, tasks, workers, total=len(every), label="reading", unit="picture"))
    )
    edge = len(sets[0])
    faults = [found for found in prints if isinstance(found, str)]
    ours, theirs = (
        [(picture, found) for picture, found in zip(pictures, part, strict=True) if isinstance(found, _Fingerprint)]
        for pictures, part in ((sets[0], prints[:edge]), (sets[1], prints[edge:]))
    )
    found = dict[tuple[str, str], SharedPicture]()
    for shared in (
        *_find_equal(ours, theirs),
        *_find_crops(ours, theirs, workers, is_swapped=False),
        *_find_crops(theirs, ours, workers, is_swapped=True),
        *_find_alike(ours, theirs),
    ):
        found.setdefault((shared.training, shared.test), shared)
    names = shared_pictures({"training": {p.image_name for p in sets[0]}, "test": {p.image_name for p in sets[1]}})
    by_name = [SharedPicture("name", "", "", name) for name in names["source_pictures"]]
    num_flat = [sum(one.hash is None for _, one in pictures) for pictures in (ours, theirs)]
    return OverlapReport(
        str(training),
        str(test),
        (len(ours), len(theirs)),
        (*found.values(), *by_name),
        (num_flat[0], num_flat[1]),
        tuple(faults),
    )


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture that is compared: its name in the report, its source picture, and how its pixels are read."""

    name: str
    image_name: str
    read: Callable[[], Pixels]


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """What is kept of a picture; `hash` and `landmark` are None if it is too flat."""

    size: tuple[int, int]
    digest: str
    hash: np.uint64 | None
    landmark: Landmark | None


_Examined = list[tuple[_Picture, _Fingerprint]]


def _open_pictures(source: str | Path, split: str | None = None) -> list[_Picture]:
    folder = Path(source)
    if not folder.is_dir() or is_built_dataset(folder) or is_tree(folder):
        return [picture for groups in open_version(source, split).values() for picture in _pictures_of(groups)]
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and is_picture_name(path.name))
    if not paths:
        raise TreeError(f"{source}: expected a tree, a built dataset or a folder of pictures; found no pictures")
    return [
        _Picture(
            path.relative_to(folder).as_posix(),
            source_picture(path.stem, path.parent.name),
            partial(read_picture, path),
        )
        for path in paths
    ]


def _pictures_of(groups: GroupSource) -> Iterator[_Picture]:
    image_names = groups.image_names
    for index, group in enumerate(groups.ids):
        name = next((name for name in (ORIGINAL, *groups.candidates) if groups.has_picture(index, name)), None)
        if name is not None:
            shown = group if name == ORIGINAL else f"{group} {name}"
            yield _Picture(shown, image_names[index], partial(groups.read, index, name))


def _examine(pictures: Sequence[_Picture]) -> list[_Fingerprint | str]:
    """The fingerprints of pictures, or why one cannot be read."""
    found: list[_Fingerprint | str] = []
    for picture in pictures:
        try:
            pixels = picture.read()
        except (ImageError, OSError) as error:
            found.append(str(error))
        else:
            size = (pixels.shape[0], pixels.shape[1])
            found.append(_Fingerprint(size, hash_pixels(pixels), perceptual_hash(pixels), find_landmark(pixels)))
        advance()
    return found


def _find_equal(ours: _Examined, theirs: _Examined) -> Iterator[SharedPicture]:
    by_digest: dict[str, list[str]] = {}
    for picture, found in ours:
        if not is_flat_digest(found.digest):
            by_digest.setdefault(found.digest, []).append(picture.name)
    for picture, found in theirs:
        for name in by_digest.get(found.digest, ()):
            yield SharedPicture("equal", name, picture.name, "")


def _find_alike(ours: _Examined, theirs: _Examined) -> Iterator[SharedPicture]:
    one, two = ([(picture, found.hash) for picture, found in part if found.hash is not None] for part in (ours, theirs))
    hashes = [np.array([value for _, value in part], np.uint64) for part in (one, two)]
    for k, j, distance in find_alike(*hashes):
        yield SharedPicture("alike", one[k][0].name, two[j][0].name, f"{distance} of {NUM_BITS} bits differ")


def _find_crops(patches: _Examined, pictures: _Examined, workers: int, *, is_swapped: bool) -> Iterator[SharedPicture]:
    """Patches that were cut out of larger pictures; `is_swapped` if the pictures are those of the training set."""
    marked = [(picture, found.size, found.landmark) for picture, found in patches if found.landmark is not None]
    if not marked:
        return
    landmarks = [landmark for _, _, landmark in marked]
    sizes = {size for _, size, _ in marked}
    larger = [picture for picture, found in pictures if any(_is_larger(found.size, size) for size in sizes)]
    tasks = [_CropTask(picture, landmarks) for picture in larger]
    searched = run_tasks(_search, tasks, workers, total=len(tasks), label="searching", unit="picture")
    for picture, places in zip(larger, searched, strict=True):
        pixels = picture.read() if places else None
        for place in places:
            patch = marked[place.patch][0]
            if pixels is not None and is_at(patch.read(), pixels, place.top, place.left):
                one, two = (picture, patch) if is_swapped else (patch, picture)
                yield SharedPicture("crop", one.name, two.name, f"at row {place.top}, column {place.left}")


def _is_larger(size: tuple[int, int], other: tuple[int, int]) -> bool:
    return size != other and size[0] >= other[0] and size[1] >= other[1]


@dataclass(frozen=True, slots=True)
class _CropTask:
    picture: _Picture
    landmarks: list[Landmark]


def _search(task: _CropTask) -> list[Place]:
    places = find_places(task.picture.read(), task.landmarks)
    advance()
    return places
