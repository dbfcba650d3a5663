"""Reads an annotator's answers; used for reassigning, merging and serving.

A file counts if it is complete, in the official format, and answers an item assigned to the annotator of its folder.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from hggt_data.annotate.round import Annotator, Item, Kind, Round
from hggt_data.errors import NameFormatError
from hggt_data.io.files import is_leftover, is_system_file, read_regular_file
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.schema import Annotation, PatchId
from hggt_data.tree.label_file import check_annotation

BROKEN = ".broken"  # suffix of an unreadable answer that a new one replaced


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
        for path in _files(round_.folder / kind.folder / annotator.pseudonym):
            item = _parse_item(kind, path)
            if item is None:
                answers.faults[path] = "the name is not GROUP.json"
                continue
            annotation, problems = check_annotation(
                read_regular_file(path), "", item.group, annotator.pseudonym, round_.candidates, annotator.name
            )
            if annotation is None:
                errors = [problem.message for problem in problems if problem.severity == "error"]
                answers.faults[path] = "; ".join(errors)
            elif item not in assigned:
                answers.faults[path] = "not assigned to this annotator"
            else:
                answers.annotations[item] = annotation
        for path in _files(round_.folder / "skips" / kind.folder / annotator.pseudonym):
            item = _parse_item(kind, path)
            if item is not None and item not in answers.annotations:
                answers.skips[item] = _read_reason(path)
    return answers


def find_unknown_folders(round_: Round) -> list[Path]:
    """Vote folders (and files beside them) that belong to no annotator of this round."""
    known = {annotator.pseudonym for annotator in round_.annotators}
    return [path for path in _files(round_.folder / Kind.VOTE.folder) if path.name not in known]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not is_leftover(path.name) and path.suffix != BROKEN and not is_system_file(path.name):
            yield path


def _parse_item(kind: Kind, path: Path) -> Item | None:
    try:
        return Item(kind, PatchId.parse(path.stem)) if path.suffix == ".json" else None
    except NameFormatError:
        return None


class _Skip(TypedDict):
    reason: str


def _read_reason(path: Path) -> str:
    try:
        return read_value(_Skip, parse_json(read_regular_file(path)))["reason"]
    except ValueError:
        return f"{path} is damaged and has no reason"
