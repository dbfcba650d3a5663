"""One annotator's JSON for one group, to and from an `Annotation`. The `Picture_k` format lives here and nowhere else.

The official file holds `Picture_1` (the original, without a label), `Picture_2`.. (the candidates in order), each with
`Name`, `File` and `Label`, and `Time_cost` with `Start`, `End` (local time) and `Total` (seconds).
"""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hggt_data.errors import AnnotationError
from hggt_data.problems import Problem
from hggt_data.schema import ORIGINAL, Annotation, Label, PatchId
from hggt_data.tree.layout import picture_name

_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
# Start and End are local times: the clocks may have been set back by an hour in between.
_MOST_BEYOND_SPAN_S = 3660
_MOST_SHOWN = 80  # characters of a value that is no annotation's
LABEL_WORDS = tuple(label.value for label in Label)
YEARS = range(2000, 2100)  # of clocks that are believed


def format_annotation(annotation: Annotation, group_id: PatchId, candidates: tuple[str, ...]) -> str:
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
    data: bytes, group_id: PatchId, slot: str, candidates: tuple[str, ...], annotator: str | None = None
) -> Annotation:
    """Read one annotator's JSON.

    Args:
        data: the file's bytes.
        group_id, slot: which group and annotator it must belong to.
        candidates: the group's candidates, in the order of `Picture_2`..
        annotator: the person behind the slot, where known.

    Raises:
        AnnotationError: the file has faults; the message lists them all.

    Example:
        >>> text = format_annotation(Annotation("A", (Label.NEGATIVE,)), PatchId("cat", 0, 8), ("01",))
        >>> parse_annotation(text.encode(), PatchId("cat", 0, 8), "A", ("01",)).labels
        (<Label.NEGATIVE: 'Negative'>,)
    """
    annotation, problems = check_annotation(data, "", group_id, slot, candidates, annotator)
    if annotation is None:
        raise AnnotationError("; ".join(problem.message for problem in problems if problem.severity == "error"))
    return annotation


def check_annotation(
    data: bytes,
    path: str,
    group_id: PatchId,
    slot: str,
    candidates: tuple[str, ...],
    annotator: str | None = None,
) -> tuple[Annotation | None, list[Problem]]:
    """Read one annotator's JSON and collect every fault; the annotation is null if one of them is an error.

    Args:
        data, group_id, slot, candidates, annotator: as for `parse_annotation`.
        path: what problems name as their place.
    """
    try:
        content = _parse_json(data)
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte {data[error.start]:#04x} at position {error.start:,}"
        return None, [Problem("wrong-encoding", "error", path, message, "Save it as UTF-8.", str(group_id))]
    except AnnotationError as error:
        return None, [Problem("broken-json", "error", path, str(error), "Restore it from a copy.", str(group_id))]
    problems = [
        Problem(kind, "error", path, message, hint, str(group_id))
        for kind, message, hint in _picture_faults(content, group_id, candidates)
    ]
    start, end, seconds, time_faults = _parse_times(content.get("Time_cost"))
    problems += [
        Problem("impossible-time", "warning", path, message, "The labels are used; the time counts as unknown.")
        for message in time_faults
    ]
    if any(problem.severity == "error" for problem in problems):
        return None, problems
    labels = tuple(Label(content[f"Picture_{k}"]["Label"]) for k in range(2, len(candidates) + 2))
    return Annotation(slot, labels, start, end, seconds, annotator), problems


def _parse_json(data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8").removeprefix("\ufeff")  # a mark that Windows editors write; the content is the same

    def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            ((repeated, _),) = Counter(key for key, _ in pairs).most_common(1)
            raise AnnotationError(f"key {_shown(repeated)} occurs twice")
        return content

    try:
        content = json.loads(text, object_pairs_hook=refuse_repeated_keys)
    except AnnotationError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError also for a number with more digits than Python reads
        raise AnnotationError(f"broken JSON: {error}") from error
    if not isinstance(content, dict):
        raise AnnotationError(f"expected a JSON object, got {type(content).__name__}")
    return content


def _picture_faults(
    content: dict[str, Any], group_id: PatchId, candidates: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    """(kind, message, hint) of each fault in the `Picture_k` entries."""
    expected = {f"Picture_{k}": name for k, name in enumerate((ORIGINAL, *candidates), start=1)}
    words = ", ".join(LABEL_WORDS)
    for key in content:
        if key not in expected and key != "Time_cost":
            yield (
                "extra-picture",
                f"{_shown(key)} is not expected; expected {_span(expected)}",
                _hint_of(content[key], expected),
            )
    for key, name in expected.items():
        if key not in content:
            yield "missing-picture", f"{key!r} ({name}) is missing; expected {_span(expected)}", "Annotate it again."
            continue
        picture = content[key]
        if not isinstance(picture, dict):
            message = f"{key!r} is {_shown(picture)}; expected Name, File and Label"
            yield "broken-json", message, "Restore it from a copy."
            continue
        for field, wanted in (("Name", picture_name(group_id, name)), ("File", name)):
            if picture.get(field) != wanted:
                found = _shown(picture.get(field))
                kind = f"wrong-{field.lower()}"
                yield kind, f"{key!r} has {field} {found}; expected {wanted!r}", _hint_of(picture, expected)
        label = picture.get("Label")
        if name == ORIGINAL:
            if label is not None:
                message = f"{key!r} is the original but has label {_shown(label)}"
                yield "label-on-original", message, "Set it to null."
        elif label is None or label == "":
            yield "empty-label", f"{key!r} ({name}) has no label; expected one of {words}", "Annotate it again."
        elif not isinstance(label, str) or label not in LABEL_WORDS:
            message = f"{key!r} has label {_shown(label)}; expected one of {words}"
            yield "unknown-label", message, "Correct the spelling."


def _hint_of(picture: object, expected: dict[str, str]) -> str:
    """What may be behind an entry that does not fit: a label for pictures that are gone, or another group's file."""
    name = picture.get("File") if isinstance(picture, dict) else None
    if isinstance(name, str) and name not in expected.values() and len(name) <= _MOST_SHOWN:
        return f"Is the folder {name}/ of pictures missing? Restore it; otherwise correct the entry."
    return "Is it another group's file?"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _span(keys: dict[str, str]) -> str:
    return f"Picture_1 to Picture_{len(keys)}"


def _parse_times(cost: object) -> tuple[datetime | None, datetime | None, float | None, list[str]]:
    """(start, end, seconds, faults) of `Time_cost`; what cannot be read is null and named among the faults."""
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
            faults.append(f"'Time_cost' names the year {time.year}; expected 2000 to 2099")
            start = end = None
    if start and end and end < start:
        faults.append(f"'Time_cost' ends ({end}) before it starts ({start})")
        start = end = None
    total = cost.get("Total")
    seconds: float | None = None
    # True is an int in Python; infinities and NaN are not in JSON but Python's parser lets them through.
    if isinstance(total, bool) or not isinstance(total, int | float) or not 0 <= total < 1e9:
        faults.append(f"'Time_cost' has Total {_shown(total)}; expected seconds, 0 or more")
    elif start and end and total > (end - start).total_seconds() + _MOST_BEYOND_SPAN_S:
        faults.append(f"'Time_cost' has Total {total} s, but from Start to End it is {end - start}")
    else:
        seconds = float(total)
    return start, end, seconds, faults
