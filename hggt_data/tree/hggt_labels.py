"""One annotator's JSON file for one group, read, checked and written. Only this module knows its format.

The official file has `Picture_1` (the original, without a label), `Picture_2`, ... (the candidates in order), each with
`Name`, `File` and `Label`, and `Time_cost` with `Start`, `End` (local time) and `Total` (seconds).
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from hggt_data.errors import AnnotationError
from hggt_data.problems import Problem
from hggt_data.schema import ORIGINAL, Annotation, Label
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.label_json import MOST_SHOWN, TIME_FORMAT, Fault, label_faults, name_faults, read_label_json, shown


def format_annotation(annotation: Annotation, group_id: str, candidates: tuple[str, ...]) -> str:
    """The official JSON text of one annotation."""
    names: list[tuple[str, Label | None]] = [(ORIGINAL, None), *zip(candidates, annotation.labels, strict=True)]
    content: dict[str, dict[str, Any]] = {
        f"Picture_{k}": {"Name": picture_name(group_id, name), "File": name, "Label": label and label.value}
        for k, (name, label) in enumerate(names, start=1)
    }
    seconds = annotation.seconds
    content["Time_cost"] = {
        "Start": annotation.start and annotation.start.strftime(TIME_FORMAT),
        "End": annotation.end and annotation.end.strftime(TIME_FORMAT),
        "Total": int(seconds) if seconds is not None and seconds == int(seconds) else seconds,
    }
    return json.dumps(content, indent=4)


def parse_annotation(
    data: bytes, group_id: str, slot: str, candidates: tuple[str, ...], annotator: str | None = None
) -> Annotation:
    """Read one annotator's JSON; an AnnotationError lists all its errors.

    Example:
        >>> text = format_annotation(Annotation("A", (Label.NEGATIVE,)), "cat-0-8", ("01",))
        >>> parse_annotation(text.encode(), "cat-0-8", "A", ("01",)).labels
        (<Label.NEGATIVE: 'Negative'>,)
    """
    annotation, problems = check_annotation(data, "", group_id, slot, candidates, annotator)
    if annotation is None:
        raise AnnotationError("; ".join(problem.message for problem in problems if problem.severity == "error"))
    return annotation


def check_annotation(
    data: bytes,
    path: str,
    group_id: str,
    slot: str,
    candidates: tuple[str, ...],
    annotator: str | None = None,
) -> tuple[Annotation | None, list[Problem]]:
    """Read one annotator's JSON and collect every problem; the annotation is None if one of them is an error.

    `candidates` are in the order of `Picture_2`, ...; `path` is the file's name in problems.
    """

    read = read_label_json(data, path, group_id, partial(_picture_faults, group_id=group_id, candidates=candidates))
    if read.content is None:
        return None, read.problems
    content, (start, end, seconds) = read.content, read.times
    labels = tuple(Label(content[f"Picture_{k}"]["Label"]) for k in range(2, len(candidates) + 2))
    return Annotation(slot, labels, start, end, seconds, annotator), read.problems


def _picture_faults(content: dict[str, Any], group_id: str, candidates: tuple[str, ...]) -> Iterator[Fault]:
    """(kind, message, hint) of each error in the `Picture_k` entries."""
    expected = {f"Picture_{k}": name for k, name in enumerate((ORIGINAL, *candidates), start=1)}
    span = f"expected Picture_1 to Picture_{len(expected)}"
    for key in content:
        if key not in expected and key != "Time_cost":
            yield "extra-picture", f"unknown key {shown(key)}; {span}", _hint_of(content[key], expected)
    for key, name in expected.items():
        if key not in content:
            yield "missing-picture", f"{key!r} ({name}) is missing; {span}", "Annotate the group again."
        elif not isinstance(content[key], dict):
            message = f"{key!r} is {shown(content[key])}; expected an object with Name, File and Label"
            yield "broken-json", message, "Restore the file from a copy."
        else:
            wanted = {"Name": picture_name(group_id, name), "File": name}
            yield from name_faults(key, content[key], wanted, _hint_of(content[key], expected))
            yield from label_faults(key, name, content[key].get("Label"))


def _hint_of(picture: object, expected: dict[str, str]) -> str:
    """A likely reason why an entry does not fit: a candidate's folder is missing, or the file is another group's."""
    name = picture.get("File") if isinstance(picture, dict) else None
    if isinstance(name, str) and name not in expected.values() and len(name) <= MOST_SHOWN:
        return f"Is the picture folder {name}/ missing? Restore it; otherwise correct the entry."
    return "Does the file belong to another group?"
