"""What JSON files of label votes have in common: pictures with a name, folder and label, and the time taken."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hggt_data.errors import AnnotationError
from hggt_data.io.names import compare_names, look
from hggt_data.io.parsing import unique_keys
from hggt_data.problems import Problem
from hggt_data.schema import ORIGINAL, Label

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
# Start and End are local times: the clock may have been set back by an hour in between.
_MOST_BEYOND_SPAN_S = 3660
MOST_SHOWN = 80  # characters of a wrong value in a message
LABEL_WORDS = tuple(label.value for label in Label)
YEARS = range(2000, 2100)  # a clock that shows another year is not trusted

Fault = tuple[str, str, str]  # kind, message, hint
Times = tuple[datetime | None, datetime | None, float | None]  # start, end, seconds


@dataclass(frozen=True, slots=True)
class LabelJson:
    """A file of votes: its content, None if it has an error; the times in it; and all its problems."""

    content: dict[str, Any] | None
    times: Times
    problems: list[Problem]


def read_label_json(
    data: bytes, path: str, group_id: str, find_faults: Callable[[dict[str, Any]], Iterable[Fault]]
) -> LabelJson:
    """Read a file and collect every problem.

    `path` is the file's name in problems; `find_faults` yields each error of the content beside its times.
    """

    def problem(kind: str, message: str, hint: str) -> Problem:
        return Problem(kind, "error", path, message, hint, group_id)

    nothing: Times = (None, None, None)
    try:
        content = _parse_json(data)
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte {data[error.start]:#04x} at position {error.start:,}"
        return LabelJson(None, nothing, [problem("wrong-encoding", message, "Save it as UTF-8.")])
    except AnnotationError as error:
        return LabelJson(None, nothing, [problem("broken-json", str(error), "Restore the file from a copy.")])
    problems = [problem(*fault) for fault in find_faults(content)]
    has_errors = bool(problems)
    start, end, seconds, time_faults = _parse_times(content.get("Time_cost"))
    hint = "The labels are used; the time is treated as unknown."
    problems += [Problem("impossible-time", "warning", path, message, hint) for message in time_faults]
    return LabelJson(None if has_errors else content, (start, end, seconds), problems)


def name_faults(key: str, picture: Mapping[str, Any], wanted: Mapping[str, str], hint: str) -> Iterator[Fault]:
    """The errors in the fields `Name` and `File` of a picture."""
    for field, name in wanted.items():
        found = picture.get(field)
        if isinstance(found, str) and found != name and look(found) == look(name):
            message = f"{key!r} has another {field}: {compare_names(found, name)}"
            yield f"wrong-{field.lower()}", message, "Write it as in the name of the picture."
        elif found != name:
            yield f"wrong-{field.lower()}", f"{key!r} has {field} {shown(found)}; expected {name!r}", hint


def label_faults(key: str, name: str, label: object) -> Iterator[Fault]:
    """The error in the label of a picture, if it has one."""
    words = ", ".join(LABEL_WORDS)
    if name == ORIGINAL:
        if label is not None:
            message = f"{key!r} has label {shown(label)}; expected null, because it is the original"
            yield "label-on-original", message, "Set the label to null."
    elif label is None or label == "":
        yield "empty-label", f"{key!r} ({name}) has no label; expected one of {words}", "Annotate the group again."
    elif not isinstance(label, str) or label not in LABEL_WORDS:
        yield "unknown-label", f"{key!r} has label {shown(label)}; expected one of {words}", "Correct the spelling."


def shown(value: object) -> str:
    """A wrong value in a message."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _parse_json(data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8").removeprefix("\ufeff")  # the byte order mark that Windows editors write
    try:
        content = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:  # Python's limit of digits raises ValueError
        raise AnnotationError(f"broken JSON: {error}") from error
    if not isinstance(content, dict):
        raise AnnotationError(f"expected a JSON object, got {type(content).__name__}")
    return content


def _parse_times(cost: object) -> tuple[datetime | None, datetime | None, float | None, list[str]]:
    """(start, end, seconds, faults) of `Time_cost`; a value with a fault is None."""
    if not isinstance(cost, dict):
        return None, None, None, [f"'Time_cost' is {'missing' if cost is None else shown(cost)}"]
    faults: list[str] = []

    def moment(key: str) -> datetime | None:
        try:
            return datetime.strptime(cost[key], TIME_FORMAT)
        except (KeyError, TypeError, ValueError):
            faults.append(f"'Time_cost' has {key} {shown(cost.get(key))}; expected a time such as 2022-08-05 17:01:12")
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
        faults.append(f"'Time_cost' has Total {shown(total)}; expected seconds, 0 or more")
        return start, end, None, faults
    if start and end and total > (end - start).total_seconds() + _MOST_BEYOND_SPAN_S:
        faults.append(f"'Time_cost' has Total {total} s, but only {end - start} passed from Start to End")
        return start, end, None, faults
    return start, end, float(total), faults
