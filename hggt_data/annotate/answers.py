"""Which files of a round are answers, and what they say; `deal.py`, `merge.py` and the server ask here.

A file counts if it is whole, in the official format, and answers what was dealt to the person in whose folder it lies.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hggt_data.annotate.round import Annotator, Item, Kind, Round
from hggt_data.errors import NameFormatError
from hggt_data.io.files import is_leftover, is_system_file
from hggt_data.schema import Annotation, PatchId
from hggt_data.tree.label_file import check_annotation

BROKEN = ".broken"  # what could not be read when somebody answered anew


@dataclass
class Answers:
    """What one person has said.

    Attributes:
        given: the answer to each item, labels in the order of the round's candidates; `slot` is the pseudonym.
        skips: why the person could not judge an item, also of what was dealt to somebody else since; not for items
            that they have answered after all.
        faults: files that do not count, and why.
    """

    given: dict[Item, Annotation] = field(default_factory=dict)
    skips: dict[Item, str] = field(default_factory=dict)
    faults: dict[Path, str] = field(default_factory=dict)


def read_answers(dealt: Round, annotator: Annotator) -> Answers:
    """Read all that a person has said.

    Raises:
        OSError: a file or folder cannot be read.
    """
    found = Answers()
    theirs = set(annotator.items)
    for kind in Kind:
        for path in _files(dealt.folder / kind.folder / annotator.pseudonym):
            item = _item_of(kind, path)
            if item is None:
                found.faults[path] = "not named GROUP.json"
                continue
            annotation, problems = check_annotation(
                path.read_bytes(), "", item.group, annotator.pseudonym, dealt.candidates, annotator.name
            )
            if annotation is None:
                found.faults[path] = "; ".join(problem.message for problem in problems if problem.severity == "error")
            elif item not in theirs:
                found.faults[path] = "not dealt to this person"
            else:
                found.given[item] = annotation
        for path in _files(dealt.folder / "skips" / kind.folder / annotator.pseudonym):
            item = _item_of(kind, path)
            if item is not None and item not in found.given:
                found.skips[item] = _reason_of(path)
    return found


def find_strangers(dealt: Round) -> list[Path]:
    """What lies among the folders of votes and belongs to nobody who takes part."""
    home = dealt.folder / Kind.VOTE.folder
    known = {annotator.pseudonym for annotator in dealt.annotators}
    return [path for path in _files(home) if path.name not in known]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not is_leftover(path.name) and path.suffix != BROKEN and not is_system_file(path.name):
            yield path


def _item_of(kind: Kind, path: Path) -> Item | None:
    """What a file is named after."""
    try:
        return Item(kind, PatchId.parse(path.stem)) if path.suffix == ".json" else None
    except NameFormatError:
        return None


def _reason_of(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["reason"])
    except (ValueError, LookupError, TypeError):
        return f"{path} is damaged and gives no reason"
