"""Reads an annotator's answers; used for reassigning, merging and serving.

A file counts if it is complete, in the official format, and answers an item assigned to the annotator of its folder.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from hggt_data.annotate.round import Annotator, Item, Kind, Round
from hggt_data.errors import NameFormatError
from hggt_data.io.files import is_leftover, is_system_file, read_regular_file
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.schema import Annotation, require_group_id
from hggt_data.tree.label_file import check_annotation

_MOST_BYTES = 1 << 20
BROKEN = ".broken"  # suffix of an unreadable answer that a new one replaced
# A version was seen at 100 % if each part of it was in view for so long with at least one screen pixel per image pixel.
FULL_ZOOM_S = 1.0


@dataclass
class Answers:
    """The answers of one annotator.

    Attributes:
        annotations: Labels in the order of the round's candidates; `slot` is the pseudonym.
        skips: Reasons for skipped items without an answer, including items since assigned to others.
        faults: Files that do not count, and why.
    """

    annotations: dict[Item, Annotation] = field(default_factory=dict)
    skips: dict[Item, str] = field(default_factory=dict)
    faults: dict[Path, str] = field(default_factory=dict)


def read_answers(round_: Round, annotator: Annotator) -> Answers:
    """Read all answers and skips of an annotator."""
    answers = Answers()
    assigned = set(annotator.items)
    for kind in Kind:
        for path, is_link in _list_files(round_.folder / kind.folder / annotator.pseudonym):
            item = _parse_item(kind, path)
            if item is None or is_link:
                reason = "the name is not GROUP.json" if item is None else "a symbolic link; expected the file itself"
                answers.faults[path] = reason
                continue
            try:
                data = read_regular_file(path, _MOST_BYTES)
            except OSError as error:
                answers.faults[path] = error.strerror or str(error)
                continue
            annotation, problems = check_annotation(
                data, "", item.group, annotator.pseudonym, round_.candidates, annotator.name
            )
            if annotation is None:
                errors = [problem.message for problem in problems if problem.severity == "error"]
                answers.faults[path] = "; ".join(errors)
            elif item not in assigned:
                answers.faults[path] = "not assigned to this annotator"
            else:
                answers.annotations[item] = annotation
        for path, _ in _list_files(round_.folder / "skips" / kind.folder / annotator.pseudonym):
            item = _parse_item(kind, path)
            if item is not None and item not in answers.annotations:
                answers.skips[item] = _read_reason(path)
    return answers


def find_unknown_folders(round_: Round) -> list[Path]:
    """Vote folders (and files beside them) that belong to no annotator of this round."""
    known = {annotator.pseudonym for annotator in round_.annotators}
    return [path for path, _ in _list_files(round_.folder / Kind.VOTE.folder) if path.name not in known]


def remove_leftovers(round_: Round) -> None:
    """Remove temporary files of a killed server; the caller has locked the round."""
    for place in ("", "shown", "skips"):
        for kind in Kind:
            for path in (round_.folder / place / kind.folder).glob("*/.*.tmp"):
                if is_leftover(path.name):
                    path.unlink()


def is_full_zoom(seconds: Collection[float]) -> bool | None:
    """Whether every version was seen at 100 %, from the seconds for which each was; None if these are not recorded."""
    return all(value >= FULL_ZOOM_S for value in seconds) if seconds else None


class _Shown(TypedDict):
    full_zoom_s: dict[str, float]


def read_full_zoom(round_: Round, annotator: Annotator, item: Item) -> bool | None:
    """Whether every version was seen at 100 %, from the record of how the group was shown."""
    try:
        shown = parse_json(read_regular_file(round_.shown_path(annotator, item), _MOST_BYTES))
        return is_full_zoom(read_value(_Shown, shown)["full_zoom_s"].values())
    except (OSError, ValueError):
        return None


def _list_files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """The files that may be answers, sorted, and whether each is a symbolic link."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = sorted((entry.name, entry.is_symlink()) for entry in entries)
    for name, is_link in names:
        if not is_leftover(name) and not name.endswith(BROKEN) and not is_system_file(name):
            yield folder / name, is_link


def _parse_item(kind: Kind, path: Path) -> Item | None:
    try:
        return Item(kind, require_group_id(path.stem)) if path.suffix == ".json" else None
    except NameFormatError:
        return None


class _Skip(TypedDict):
    reason: str


def _read_reason(path: Path) -> str:
    try:
        return read_value(_Skip, parse_json(read_regular_file(path, _MOST_BYTES)))["reason"]
    except (OSError, ValueError):
        return f"{path} is damaged and has no reason"
