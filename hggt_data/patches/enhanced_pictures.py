"""Originals and their enhanced versions, as `hggt-models enhance` writes them, checked before any is cut."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import ImageError, NameFormatError, TreeError
from hggt_data.io.files import excess_bytes
from hggt_data.io.names import by_look, compare_names, find_lookalikes, note_lookalike
from hggt_data.io.pictures import CONVERT_HINT, looks_like_picture, read_picture_size, read_picture_with_notes
from hggt_data.io.text import format_examples, format_size, join_lines, plural
from hggt_data.schema import ORIGINAL, PatchId
from hggt_data.tree.folders import scan
from hggt_data.tree.hggt_folders import is_candidate_name, picture_name


@dataclass(frozen=True)
class EnhancedPictures:
    """Originals and candidates in a folder, by name only.

    Attributes:
        folder: Contains `original/NAME.png`, `01/NAME_01.png` and so on.
        candidates: Names of the enhanced versions, sorted.
        sizes: Name of each original, sorted, to its (height, width) in pixels; None if its header cannot be read.
        left_out: Other files and folders.
    """

    folder: Path
    candidates: tuple[str, ...]
    sizes: Mapping[str, tuple[int, int] | None]
    left_out: list[str]

    @property
    def versions(self) -> tuple[str, ...]:
        """The original, then the candidates."""
        return (ORIGINAL, *self.candidates)


def list_enhanced(folder: Path) -> EnhancedPictures:
    """Find the originals and candidates in a folder and compare them.

    TreeError lists all errors: missing folders and pictures, different sizes, names that no patch can have.
    """
    if not folder.is_dir():
        raise TreeError(f"{folder}: no such folder; expected the output of `hggt-models enhance`")
    entries = {entry.name: entry.is_dir() for entry in scan(folder)}
    candidates = tuple(sorted(name for name, is_folder in entries.items() if is_folder and is_candidate_name(name)))
    if not (entries.get(ORIGINAL) and candidates):
        found = ", ".join(sorted(name + "/" * is_folder for name, is_folder in entries.items())) or "nothing"
        raise TreeError(
            f"{folder}: expected original/NAME.png, 01/NAME_01.png and so on, as `hggt-models enhance` writes them; "
            f"found {found}"
        )
    versions = (ORIGINAL, *candidates)
    left_out = sorted(name for name in entries if name not in versions and name != "enhance.json")
    stems: dict[str, set[str]] = {}
    for version in versions:
        stems[version] = set()
        for entry in scan(folder / version):
            ending = picture_name("", version)
            if entry.name.endswith(ending) and entry.name != ending:
                stems[version].add(entry.name.removesuffix(ending))
            else:
                left_out.append(f"{version}/{entry.name}")
    if not stems[ORIGINAL]:
        others = [name for name in left_out if name.startswith(f"{ORIGINAL}/")]
        advice = f" {CONVERT_HINT}" if any(map(looks_like_picture, others)) else ""
        shown = format_examples(others) or "nothing"
        raise TreeError(f"{folder / ORIGINAL}: no pictures; expected NAME.png, found {shown}.{advice}")
    faults = [*_check_names(stems[ORIGINAL], list(stems)), *_check_missing(stems)]
    sizes: dict[str, tuple[int, int] | None] = {}
    for name in sorted(stems[ORIGINAL]):
        found_sizes = _read_sizes(
            {version: folder / version / picture_name(name, version) for version in versions if name in stems[version]}
        )
        sizes[name] = found_sizes[ORIGINAL]
        faults += _check_sizes(name, found_sizes)
    if faults:
        heading = (
            f"{folder}: {plural(len(faults), 'error')}; every original needs candidates {', '.join(candidates)} of its "
            "size. Nothing was written; correct or remove these:"
        )
        raise TreeError(join_lines([heading, *(f"  {fault}" for fault in faults)]))
    return EnhancedPictures(folder, candidates, sizes, left_out)


def _check_names(names: Collection[str], versions: Sequence[str]) -> Iterator[str]:
    for name in sorted(names):
        try:
            PatchId.parse(str(PatchId(name, 0, 0)))
        except NameFormatError:
            yield f"original/{name}.png: a patch's name cannot contain control characters or undecodable bytes"
        longest = max((picture_name(str(PatchId(name, 99_999, 99_999)), version) for version in versions), key=len)
        if (excess := excess_bytes(longest)) > 0:
            yield f"original/{name}.png: its name is {plural(excess, 'byte')} too long for patches; shorten it"
    for name, other in find_lookalikes(sorted(names)):
        yield f"original/: {compare_names(name, other)}; rename one"


def _check_missing(stems: Mapping[str, set[str]]) -> Iterator[str]:
    originals = stems[ORIGINAL]
    candidates = [version for version in stems if version != ORIGINAL]
    known = by_look(originals)
    for name in sorted(originals):
        missing = [f"{version}/{picture_name(name, version)}" for version in candidates if name not in stems[version]]
        if missing:
            yield f"original/{name}.png: {', '.join(missing)} missing"
    for name in sorted(set[str]().union(*stems.values()) - originals):
        found = [f"{version}/{picture_name(name, version)}" for version in candidates if name in stems[version]]
        yield f"{', '.join(found)}: original/{name}.png missing{note_lookalike(name, known)}"


def _check_sizes(name: str, sizes: Mapping[str, tuple[int, int] | None]) -> Iterator[str]:
    expected = sizes[ORIGINAL]
    other = [
        f"{version}/{picture_name(name, version)} has {format_size(size)}"
        for version, size in sizes.items()
        if size is not None and expected is not None and size != expected
    ]
    if other and expected is not None:
        yield f"original/{name}.png: {format_size(expected)} pixels, but {', '.join(other)}"


def _read_sizes(paths: Mapping[str, Path]) -> dict[str, tuple[int, int] | None]:
    """(height, width) of each version; None if it cannot be read: decoding the file will show what is wrong."""

    def read(measure: Callable[[Path], tuple[int, int]]) -> dict[str, tuple[int, int] | None]:
        sizes: dict[str, tuple[int, int] | None] = {}
        for version, path in paths.items():
            try:
                sizes[version] = measure(path)
            except (ImageError, OSError):
                sizes[version] = None
        return sizes

    sizes = read(read_picture_size)
    known = {size for size in sizes.values() if size is not None}
    if len(known) == 2 and len(set(map(frozenset, known))) == 1:  # they may agree once turned by their EXIF
        return read(lambda path: read_picture_with_notes(path).size)
    return sizes
