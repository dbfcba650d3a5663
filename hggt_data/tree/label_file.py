"""One annotator's JSON file for one group, read, checked and written. Only this module knows its format.

The official file has `Picture_1` (the original, without a label), `Picture_2`, ... (the candidates in order), each with
`Name`, `File` and `Label`, and `Time_cost` with `Start`, `End` (local time) and `Total` (seconds).
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hggt_data.errors import AnnotationError
from hggt_data.io.names import compare_names, look
from hggt_data.io.parsing import unique_keys
from hggt_data.problems import Problem
from hggt_data.schema import ORIGINAL, Annotation, Label
from hggt_data.tree.layout import picture_name

_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
# Start and End are local times: the clock may have been set back by an hour in between.
_MOST_BEYOND_SPAN_S = 3660
_MOST_SHOWN = 80  # characters of a wrong value in a message
LABEL_WORDS = tuple(label.value for label in Label)
YEARS = range(2000, 2100)  # a clock that shows another year is not trusted


def format_annotation(annotation: Annotation, group_id: str, candidates: tuple[str, ...]) -> str:
    """The official JSON text of one annotation."""
    names: list[tuple[str, Label | None]] = [(ORIGINAL, None), *zip(candidates, annotation.labels, strict=True)]
    content: dict[str, dict[str, Any]] = {
        f"Picture_{k}": {"Name": picture_name(group_id, name), "File": name, "Label": label and label.value}
        for k, (name, label) in enumerate(names, start=1)
    }
    seconds = annotation.seconds
    content["Time_cost"] = {
        "Start": annotation.start and annotation.start.strftime(_TIME_FORMAT),
        "End": annotation.end and annotation.end.strftime(_TIME_FORMAT),
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

    def problem(kind: str, message: str, hint: str) -> Problem:
        return Problem(kind, "error", path, message, hint, group_id)

    try:
        content = _parse_json(data)
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte {data[error.start]:#04x} at position {error.start:,}"
        return None, [problem("wrong-encoding", message, "Save it as UTF-8.")]
    except AnnotationError as error:
        return None, [problem("broken-json", str(error), "Restore the file from a copy.")]
    problems = [problem(*fault) for fault in _picture_faults(content, group_id, candidates)]
    has_errors = bool(problems)
    start, end, seconds, time_faults = _parse_times(content.get("Time_cost"))
    hint = "The labels are used; the time is treated as unknown."
    problems += [Problem("impossible-time", "warning", path, message, hint) for message in time_faults]
    if has_errors:
        return None, problems
    labels = tuple(Label(content[f"Picture_{k}"]["Label"]) for k in range(2, len(candidates) + 2))
    return Annotation(slot, labels, start, end, seconds, annotator), problems


def _parse_json(data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8").removeprefix("\ufeff")  # the byte order mark that Windows editors write
    try:
        content = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:  # Python's limit of digits raises ValueError
        raise AnnotationError(f"broken JSON: {error}") from error
    if not isinstance(content, dict):
        raise AnnotationError(f"expected a JSON object, got {type(content).__name__}")
    return content


def _picture_faults(
    content: dict[str, Any], group_id: str, candidates: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    """(kind, message, hint) of each error in the `Picture_k` entries."""
    expected = {f"Picture_{k}": name for k, name in enumerate((ORIGINAL, *candidates), start=1)}
    span = f"expected Picture_1 to Picture_{len(expected)}"
    for key in content:
        if key not in expected and key != "Time_cost":
            yield "extra-picture", f"unknown key {_shown(key)}; {span}", _hint_of(content[key], expected)
    for key, name in expected.items():
        if key not in content:
            yield "missing-picture", f"{key!r} ({name}) is missing; {span}", "Annotate the group again."
        elif not isinstance(content[key], dict):
            message = f"{key!r} is {_shown(content[key])}; expected an object with Name, File and Label"
            yield "broken-json", message, "Restore the file from a copy."
        else:
            for field, wanted in (("Name", picture_name(group_id, name)), ("File", name)):
                found = content[key].get(field)
                if isinstance(found, str) and found != wanted and look(found) == look(wanted):
                    message = f"{key!r} has another {field}: {compare_names(found, wanted)}"
                    yield f"wrong-{field.lower()}", message, "Write it as in the name of the picture."
                elif found != wanted:
                    message = f"{key!r} has {field} {_shown(found)}; expected {wanted!r}"
                    yield f"wrong-{field.lower()}", message, _hint_of(content[key], expected)
            yield from _label_faults(key, name, content[key].get("Label"))


def _label_faults(key: str, name: str, label: object) -> Iterator[tuple[str, str, str]]:
    words = ", ".join(LABEL_WORDS)
    if name == ORIGINAL:
        if label is not None:
            message = f"{key!r} has label {_shown(label)}; expected null, because it is the original"
            yield "label-on-original", message, "Set the label to null."
    elif label is None or label == "":
        yield "empty-label", f"{key!r} ({name}) has no label; expected one of {words}", "Annotate the group again."
    elif not isinstance(label, str) or label not in LABEL_WORDS:
        yield "unknown-label", f"{key!r} has label {_shown(label)}; expected one of {words}", "Correct the spelling."


def _hint_of(picture: object, expected: dict[str, str]) -> str:
    """A likely reason why an entry does not fit: a candidate's folder is missing, or the file is another group's."""
    name = picture.get("File") if isinstance(picture, dict) else None
    if isinstance(name, str) and name not in expected.values() and len(name) <= _MOST_SHOWN:
        return f"Is the picture folder {name}/ missing? Restore it; otherwise correct the entry."
    return "Does the file belong to another group?"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _parse_times(cost: object) -> tuple[datetime | None, datetime | None, float | None, list[str]]:
    """(start, end, seconds, faults) of `Time_cost`; a value with a fault is None."""
    if not isinstance(cost, dict):
        return None, None, None, [f"'Time_cost' is {'missing' if cost is None else _shown(cost)}"]
    faults: list[str] = []

    def moment(key: str) -> datetime | None:
        try:
            return datetime.strptime(cost[key], _TIME_FORMAT)
        except (KeyError, TypeError, ValueError):
            faults.append(f"'Time_cost' has {key} {_shown(cost.get(key))}; expected a time such as 2022-08-05 17:01:12")
            return None

    start, end = moment("Start"), moment("End")
    for time in (start, end):
        if time and time.year not in YEARS:
            faults.append(f"'Time_cost' has the year {time.year}; expected 2000 to 2099")
            start = end = None
    if start and end and end < start:
        faults.append(f"'Time_cost' ends ({end}) before it starts ({start})")
        start = end = None
    total = cost.get("Total")
    # True is an int in Python; infinity and NaN are not JSON, but Python's parser accepts them.
    if isinstance(total, bool) or not isinstance(total, int | float) or not 0 <= total < 1e9:
        faults.append(f"'Time_cost' has Total {_shown(total)}; expected seconds, 0 or more")
        return start, end, None, faults
    if start and end and total > (end - start).total_seconds() + _MOST_BEYOND_SPAN_S:
        faults.append(f"'Time_cost' has Total {total} s, but only {end - start} passed from Start to End")
        return start, end, None, faults
    return start, end, float(total), faults
