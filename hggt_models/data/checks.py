"""Checks the headers of all pictures, so that unusable ones are found before training and not after a day."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hggt_data.errors import ImageError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.pictures import PictureNote, check_picture, read_picture_size
from hggt_data.io.text import format_examples
from hggt_models.config.sections import TargetKind
from hggt_models.config.train import TrainConfig
from hggt_models.data.targets import GroupLabels

Item = TypeVar("Item")
_Fault = tuple[str, str]  # kind, description with the name of the file
_UNREADABLE = "not readable as 8-bit RGB"
_READERS = 16  # threads, which mostly wait for the disk


def require_usable_pictures(paths: Sequence[Path], source_px: int) -> tuple[list[tuple[int, int]], set[PictureNote]]:
    """Check that every picture is readable and at least `source_px` x `source_px`.

    Returns (height, width) of each, and what reading will change or ignore in any. TreeError lists each kind of fault
    with the number of pictures and examples.
    """
    sizes: dict[Path, tuple[int, int]] = {}
    notes: set[PictureNote] = set()

    def fault(path: Path) -> _Fault | None:
        try:
            height, width = sizes[path] = read_picture_size(path)
            if min(height, width) < source_px:
                return _too_small(source_px), f"{path}: {height:,} x {width:,} px"
            notes.update(check_picture(path))
        except (ImageError, OSError) as error:
            return _UNREADABLE, str(error)
        return None

    _require_none(_in_threads(fault, paths), f"{len(paths):,} pictures")
    return [sizes[path] for path in paths], notes


def require_usable_groups(
    groups: GroupSource,
    numbers: Sequence[int],
    labelled: Sequence[GroupLabels],
    config: TrainConfig,
    *,
    target: TargetKind | None = None,
) -> None:
    """Check the pictures that a run may read of the groups in `numbers`; those of a group must have the same size.

    `groups` and `labelled` are all groups and their labels; `target` is another one than that of the run.
    """

    def fault(number: int) -> _Fault | None:
        first: tuple[int, int] | None = None
        for name in labelled[number].names(target or config.target):
            try:
                info = groups.read_header(number, name)
            except ImageError as error:
                return _UNREADABLE, str(error)
            except OSError as error:
                return "that cannot be read", f"{groups.name_picture(number, name)}: {error.strerror}"
            picture = groups.name_picture(number, name)
            text = f"{picture}: {info.height:,} x {info.width:,} px"
            if info.mode != "8-bit RGB":
                return _UNREADABLE, f"{picture}: {info.mode}"
            if min(info.size) < config.source_px:
                return _too_small(config.source_px), text
            if info.size != (first := first or info.size):
                return "that differ in size from their original", f"{text}, not {first[0]:,} x {first[1]:,}"
        return None

    _require_none(_in_threads(fault, sorted(set(numbers))), f"{len(set(numbers)):,} groups")


def _too_small(source_px: int) -> str:
    return f"smaller than source_px {source_px}"


def _in_threads(check: Callable[[Item], _Fault | None], items: Iterable[Item]) -> list[_Fault]:
    with ThreadPoolExecutor(_READERS) as pool:
        return [found for found in pool.map(check, items) if found]


def _require_none(faults: Sequence[_Fault], searched: str) -> None:
    kinds: dict[str, list[str]] = {}
    for kind, text in faults:
        kinds.setdefault(kind, []).append(text)
    if kinds:
        listed = "; ".join(f"{len(texts):,} {kind} ({format_examples(texts)})" for kind, texts in kinds.items())
        raise TreeError(
            f"{len(faults):,} of {searched} cannot be used: {listed}. Remove, repair or convert them; if they are "
            "too small, set a smaller source_px"
        )
