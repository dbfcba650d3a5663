"""Reads an annotator's answers; used for reassigning, merging and serving.

A file counts if it is complete, in the official format, and answers an item assigned to the annotator of its folder.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, TypedDict

from hggt_data.annotate.round import Annotator, Item, Kind, Round
from hggt_data.errors import NameFormatError
from hggt_data.io.files import is_leftover, is_system_file, read_regular_file
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.schema import Annotation, Label, require_group_id
from hggt_data.tree.hggt_labels import check_annotation

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
        pairs: In a blind round, the label of each pair that was judged.
    """

    annotations: dict[Item, Annotation] = field(default_factory=dict)
    skips: dict[Item, str] = field(default_factory=dict)
    faults: dict[Path, str] = field(default_factory=dict)
    pairs: dict[Item, Annotation] = field(default_factory=dict)

    @property
    def begun(self) -> set[Item]:
        """Groups of which pairs, but not all, were judged."""
        return {pair.whole for pair in self.pairs} - self.annotations.keys()


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
            if item not in assigned:
                answers.faults[path] = "not assigned to this annotator"
                continue
            annotation, problems = check_annotation(
                data, "", item.group, annotator.pseudonym, round_.versions(item), annotator.name
            )
            if annotation is None:
                errors = [problem.message for problem in problems if problem.severity == "error"]
                answers.faults[path] = "; ".join(errors)
            elif round_.study and not round_.study.by_id[item.group].allows(
                annotation.labels, ties=round_.study.plan.ties
            ):
                answers.faults[path] = "its labels are not an answer of this study"
            else:
                answers.annotations[item] = annotation
        for path, _ in _list_files(round_.folder / "skips" / kind.folder / annotator.pseudonym):
            item = _parse_item(kind, path)
            if item is not None and item not in answers.annotations:
                answers.skips[item] = _read_reason(path)
    if round_.protocol.blind:
        for item in annotator.items:
            answers.pairs |= _read_pairs(round_, annotator, item, answers.annotations.get(item))
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


class _Pair(TypedDict):
    label: Literal["Positive", "Similar", "Negative"]
    start: str
    end: str
    received: str
    seconds: float


class _Pairs(TypedDict):
    pairs: dict[str, _Pair]


def _read_pairs(round_: Round, annotator: Annotator, item: Item, answer: Annotation | None) -> dict[Item, Annotation]:
    """The judged pairs of a group: those of its answer; without one, those that were recorded before it."""
    try:
        data = read_regular_file(round_.shown_path(annotator, item), _MOST_BYTES)
        recorded = read_value(_Pairs, parse_json(data))["pairs"]
        found = {name: _parse_pair(annotator, recorded[name]) for name in round_.candidates if name in recorded}
    except (OSError, ValueError):
        found = {}
    if answer is None:
        if len(found) == len(round_.candidates):  # the server was killed before it wrote the answer, or it is damaged
            del found[max(found, key=lambda name: recorded[name]["received"])]  # the page sends this pair again
    else:
        seconds = None if answer.seconds is None else answer.seconds / len(round_.candidates)
        for name, label in zip(round_.candidates, answer.labels, strict=True):
            if name not in found or found[name].labels != (label,):
                found[name] = replace(answer, labels=(label,), seconds=seconds)
    return {Item(item.kind, item.group, name): pair for name, pair in found.items()}


def _parse_pair(annotator: Annotator, pair: _Pair) -> Annotation:
    start, end = (datetime.fromisoformat(pair[key]) for key in ("start", "end"))
    return Annotation(
        annotator.pseudonym, (Label(pair["label"]),), start, end, float(round(pair["seconds"])), annotator.name
    )


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
