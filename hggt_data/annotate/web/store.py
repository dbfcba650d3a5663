"""Reads and saves the answers of a round; each answer is one file, written atomically.

A page knows an item by an id that reveals neither the group nor its kind, and candidates by their position in an order
that differs between annotators. An answer names the version that it replaces, so that two windows cannot overwrite each
other; the same answer sent twice is saved once. Answers are in the official format; `shown/` holds the rest.
"""

import errno
import hashlib
import hmac
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from hggt_data.annotate.answers import BROKEN, FULL_ZOOM_S, is_full_zoom, read_answers, read_full_zoom
from hggt_data.annotate.round import SUBFOLDERS, Annotator, Item, Round
from hggt_data.errors import AnnotationError, OutputError
from hggt_data.io.files import read_regular_file, write_json, write_text
from hggt_data.io.parsing import parse_json
from hggt_data.io.text import plural
from hggt_data.schema import ORIGINAL, Annotation, Label
from hggt_data.tree.hggt_labels import format_annotation
from hggt_data.tree.label_json import LABEL_WORDS, YEARS

_LONGEST_S = 1e7
_MOST_PAUSES = 1000
_DISPLAY = ("device_pixel_ratio", "zoom", "width", "height", "screen_width", "screen_height", "flips")
_LONGEST_REASON = 500


class ConflictError(OutputError):
    """The group has another answer by now, from another window; that answer stays."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the page sends it.

    Attributes:
        labels: In the order in which the candidates were shown; of a pair, one that compares the first with the second.
        seconds: Viewing time without pauses, by a monotonic clock.
        pauses: (seconds before it, seconds) of each pause.
        end: The annotator's local time at the end; None if that clock is clearly wrong.
        full_zoom_s: Seconds for which the least seen part of each version was in view at 100 % or more, in the same
            order; empty if unknown.
        display: Device pixel ratio, last zoom, window and screen size, number of flips.
    """

    labels: tuple[Label, ...]
    seconds: float
    pauses: tuple[tuple[float, float], ...] = ()
    end: datetime | None = None
    full_zoom_s: tuple[float, ...] = ()
    display: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: object, num_labels: int, num_versions: int | None = None) -> "Answer":
        """Check and convert what the page sent; AnnotationError says what was expected.

        `num_versions` are the versions that must be seen at 100 %, by default one per label.
        """
        num_versions = num_labels if num_versions is None else num_versions
        if not isinstance(content, dict):
            raise AnnotationError(f"expected a JSON object, got {type(content).__name__}")
        labels = content.get("labels")
        if not isinstance(labels, list) or len(labels) != num_labels:
            raise AnnotationError(f"labels is {labels!r}; expected {plural(num_labels, 'label')}")
        for label in labels:
            if label not in LABEL_WORDS:
                raise AnnotationError(f"labels contains {label!r}; expected one of {', '.join(LABEL_WORDS)}")
        pauses = content.get("pauses", [])
        if not isinstance(pauses, list) or len(pauses) > _MOST_PAUSES:
            raise AnnotationError(f"pauses is not a list of at most {_MOST_PAUSES:,} pauses")
        full_zoom_s = content.get("full_zoom_s", [])
        if not isinstance(full_zoom_s, list) or len(full_zoom_s) not in (0, num_versions):
            raise AnnotationError(f"full_zoom_s is not a list of {num_versions} numbers of seconds")
        display = content.get("display", {})
        if not isinstance(display, dict):
            raise AnnotationError("display is not a JSON object")
        return cls(
            labels=tuple(Label(label) for label in labels),
            seconds=_number(content.get("seconds"), "seconds", _LONGEST_S),
            pauses=tuple(_parse_pause(pause) for pause in pauses),
            end=_parse_moment(content.get("end_ms"), content.get("utc_offset_min")),
            full_zoom_s=tuple(_number(seconds, "full_zoom_s", _LONGEST_S) for seconds in full_zoom_s),
            display={key: _number(display[key], f"display.{key}", 1e9) for key in _DISPLAY if key in display},
        )


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """An answer on disk: its labels in the order shown, and a version that changes with the answer."""

    labels: tuple[Label | None, ...]
    version: str


class AnswerStore:
    """All answers of a round, in memory and on disk.

    Args:
        round_: The round; no other object may write its answers meanwhile (`serve.py` locks the folder).
        clock: Current time in UTC.

    Attributes:
        unreadable: Files that do not count as answers, and why; a new answer to the same group renames the old file.
    """

    def __init__(self, round_: Round, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.round = round_
        self._clock = clock
        folders = (round_.folder, *(round_.folder / name for name in SUBFOLDERS))
        self._places = {folder: _identify(folder) for folder in folders}  # None: not there yet
        self.unreadable: dict[Path, str] = {}
        self._items: dict[str, dict[str, Item]] = {}
        self._answers: dict[str, dict[Item, Annotation]] = {}
        self._full_zoom: dict[str, dict[Item, bool | None]] = {}
        self._skips: dict[str, dict[Item, str]] = {}
        self._pairs: dict[str, dict[Item, Annotation]] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        for annotator in round_.annotators:
            pages = (page for batch in annotator.batches for page in self.pages(annotator, batch))
            self._items[annotator.pseudonym] = {self.item_id(annotator, page): page for page in pages}
            found = read_answers(round_, annotator)
            self._answers[annotator.pseudonym] = found.annotations
            self._full_zoom[annotator.pseudonym] = {}
            self._skips[annotator.pseudonym] = found.skips
            self._pairs[annotator.pseudonym] = found.pairs
            self.unreadable |= found.faults

    def item_id(self, annotator: Annotator, item: Item) -> str:
        """The page's id of an item; without the round's secret it reveals neither group nor kind."""
        return self._digest(annotator, item)[:20]

    def annotator_id(self, annotator: Annotator) -> str:
        """The page's id of an annotator; it does not change with the personal URL."""
        return self._digest(annotator)[:20]

    def find(self, annotator: Annotator, item_id: str) -> Item | None:
        """The item with this id; None if it is not assigned to the annotator."""
        return self._items[annotator.pseudonym].get(item_id)

    @property
    def num_candidates(self) -> int:
        """How many pictures a page shows beside the first."""
        return len(self.round.candidates)

    def page_facts(self) -> dict[str, Any]:
        """What the page needs to know of a study; empty in other rounds."""
        return {}

    def item_facts(self, annotator: Annotator, item: Item) -> dict[str, Any]:
        """What the page needs to know of an item of a study; empty in other rounds."""
        return {}

    def pages(self, annotator: Annotator, batch: Sequence[Item]) -> Sequence[Item]:
        """What the annotator judges one page after the other."""
        return batch

    def order(self, annotator: Annotator, item: Item) -> tuple[str, ...]:
        """The candidates in the order in which this annotator sees them."""
        return tuple(sorted(self.round.candidates, key=lambda name: self._digest(annotator, item, name)))

    def shown(self, annotator: Annotator, item: Item) -> tuple[str, ...]:
        """The names of the pictures on a page, in their order there."""
        return (ORIGINAL, *self.order(annotator, item))

    def picture(self, annotator: Annotator, item: Item, position: int) -> Path | None:
        """The path of the picture at a position of a page; None beyond."""
        shown = self.shown(annotator, item)
        return self.round.picture(item.group, shown[position]) if position in range(len(shown)) else None

    def correct(self, annotator: Annotator, item: Item) -> tuple[Label | None, ...]:
        """The correct labels of a practice or gold page, as the page would send them; None if any label is correct."""
        correct = dict(zip(self.round.candidates, self.round.known[item.group].labels, strict=True))
        return tuple(correct[name] for name in self.order(annotator, item))

    def state(self, annotator: Annotator, item: Item) -> Literal["saved", "skipped", "open"]:
        """Whether a page is answered or skipped."""
        if item in self._page_answers(annotator):
            return "saved"
        return "skipped" if item.whole in self.skips(annotator) else "open"

    def parse(self, content: object) -> Answer:
        """The answer to a page as it was sent; AnnotationError says what was expected."""
        return Answer.parse(content, len(self.round.candidates))

    def answers(self, annotator: Annotator) -> Mapping[Item, Annotation]:
        """The annotator's answers; labels in the order of the round's candidates."""
        return self._answers[annotator.pseudonym]

    def full_zoom(self, annotator: Annotator) -> Mapping[Item, bool | None]:
        """Of each answer, whether every version was seen at 100 %; None if this is not recorded.

        Read from disk when it is first asked for, to start quickly.
        """
        known = self._full_zoom[annotator.pseudonym]
        for item in list(self.answers(annotator)):  # a copy: an answer may arrive meanwhile
            if item not in known:
                known.setdefault(item, read_full_zoom(self.round, annotator, item))
        return known

    def skips(self, annotator: Annotator) -> Mapping[Item, str]:
        """The groups that the annotator skipped, and why."""
        return self._skips[annotator.pseudonym]

    def read(self, annotator: Annotator, item: Item) -> SavedAnswer | None:
        """The annotator's answer to a page; None if there is none yet."""
        annotation = self._page_answers(annotator).get(item)
        return None if annotation is None else self._saved(annotator, item, annotation)

    def save(self, annotator: Annotator, item: Item, answer: Answer, replaces: str | None) -> SavedAnswer:
        """Save an answer; when this returns, it is on disk.

        `replaces` is the version that the annotator has seen, None if there was no answer; ConflictError if the answer
        on disk has another version. If writing fails, the earlier answer stays; OSError also if the round was moved.
        """
        if self.round.protocol.full_zoom and not is_full_zoom(answer.full_zoom_s):
            raise AnnotationError(
                f"full_zoom_s is {list(answer.full_zoom_s)}; this round requires each part of every version to be in "
                f"view at 100 % for {FULL_ZOOM_S:g} s"
            )
        received = self._clock()
        annotation = self._annotation(annotator, item, answer, received)
        with self._locks[annotator.pseudonym]:
            earlier = self._page_answers(annotator).get(item)
            if earlier is not None and _is_repeated(earlier, annotation, answer):
                return self._saved(annotator, item, earlier)
            if earlier is not None and self._saved(annotator, item, earlier).version != replaces:
                raise ConflictError(f"{item.group} already has another answer, which is kept")
            self._require_in_place()
            self._write(annotator, item, annotation, self._record(annotator, item, answer, received, earlier))
        return self._saved(annotator, item, annotation)

    def skip(self, annotator: Annotator, item: Item, reason: object) -> list[str]:
        """Save why the annotator cannot judge the group of a page, and return the ids of its pages without an answer.

        ConflictError if the page has an answer.
        """
        if not isinstance(reason, str) or not 0 < len(reason.strip()) <= _LONGEST_REASON:
            raise AnnotationError(f"expected a reason of 1 to {_LONGEST_REASON} characters")
        if not reason.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in reason):
            raise AnnotationError("expected a reason without incomplete characters")
        with self._locks[annotator.pseudonym]:
            if item in self._page_answers(annotator):
                raise ConflictError(f"{item.group} already has an answer, which is kept")
            content = {"reason": reason.strip(), "received": _format_instant(self._clock())}
            self._require_in_place()
            write_json(self.round.skip_path(annotator, item), content)
            self._require_in_place()
            self._skips[annotator.pseudonym][item.whole] = content["reason"]
        pages = self._items[annotator.pseudonym].items()
        answered = self._page_answers(annotator)
        return [id_ for id_, page in pages if page.whole == item.whole and page not in answered]

    def _page_answers(self, annotator: Annotator) -> Mapping[Item, Annotation]:
        """The answers to pages; labels in the order of the candidates."""
        return self.answers(annotator)

    def _require_in_place(self) -> None:
        """OSError if the round, or a folder in it, is not where it was: writing would make a new, incomplete one."""
        for folder, identity in self._places.items():
            found = _identify(folder)
            if identity is None:
                self._places[folder] = found
            elif found != identity:
                reason = "the round was moved, replaced or unmounted; put it back, or serve it from its new place"
                raise OSError(errno.ESTALE, reason, str(folder))

    def _annotation(self, annotator: Annotator, item: Item, answer: Answer, received: datetime) -> Annotation:
        labels = self._labels(annotator, item, answer.labels)
        end = answer.end or received.astimezone().replace(tzinfo=None)
        end = end.replace(microsecond=0)
        took = answer.seconds + sum(seconds for _, seconds in answer.pauses)
        start = (end - timedelta(seconds=took)).replace(microsecond=0)
        return Annotation(annotator.pseudonym, labels, start, end, float(round(answer.seconds)), annotator.name)

    def _saved(self, annotator: Annotator, item: Item, annotation: Annotation) -> SavedAnswer:
        shown = self._labels_sent(annotator, item, annotation.labels)
        text = format_annotation(annotation, item.group, self.round.versions(item)[: len(annotation.labels)])
        return SavedAnswer(shown, hashlib.sha256(text.encode()).hexdigest()[:20])

    def _labels(self, annotator: Annotator, item: Item, sent: Sequence[Label]) -> tuple[Label, ...]:
        """The labels of candidates, in their order, from those that a page sent."""
        of_name = dict(zip(self.order(annotator, item), sent, strict=True))
        return tuple(of_name[name] for name in self.round.versions(item))

    def _labels_sent(
        self, annotator: Annotator, item: Item, labels: Sequence[Label | None]
    ) -> tuple[Label | None, ...]:
        """The labels as a page sends them; the inverse of `_labels`."""
        of_name = dict(zip(self.round.versions(item), labels, strict=True))
        return tuple(of_name[name] for name in self.order(annotator, item))

    def _write(self, annotator: Annotator, item: Item, annotation: Annotation, record: dict[str, Any]) -> None:
        """Write the answer to a page and the record of how it was shown."""
        write_json(self.round.shown_path(annotator, item), record)
        self._write_answer(annotator, item, annotation)
        self._full_zoom[annotator.pseudonym][item] = is_full_zoom(record["full_zoom_s"].values())

    def _write_answer(self, annotator: Annotator, item: Item, annotation: Annotation) -> None:
        """Write the labels of a group."""
        path = self.round.answer_path(annotator, item)
        if item not in self.answers(annotator) and path.exists():
            path.replace(path.with_suffix(BROKEN))
        write_text(path, format_annotation(annotation, item.group, self.round.versions(item)))
        self._require_in_place()
        self._answers[annotator.pseudonym][item] = annotation
        if self._skips[annotator.pseudonym].pop(item, None) is not None:
            self.round.skip_path(annotator, item).unlink(missing_ok=True)

    def _record(
        self, annotator: Annotator, item: Item, answer: Answer, received: datetime, earlier: Annotation | None
    ) -> dict[str, Any]:
        """How a page was shown."""
        history = []
        if earlier is not None:
            labels = [label and label.value for label in earlier.labels]
            history = [*self._history(annotator, item), {"labels": labels, "seconds": earlier.seconds}]
        return {
            "order": self.order(annotator, item),
            "seconds": answer.seconds,
            "pauses": [{"after_s": after, "seconds": seconds} for after, seconds in answer.pauses],
            "clock": "annotator's" if answer.end else "server's",
            "received": _format_instant(received),
            "full_zoom_s": dict(zip(self.order(annotator, item), answer.full_zoom_s, strict=False)),
            "display": answer.display,
            "earlier": history,
        }

    def _history(self, annotator: Annotator, item: Item) -> list[Any]:
        """Earlier answers to a page, as far as they are recorded."""
        return _history_of(self.round.shown_path(annotator, item))

    def _digest(self, *parts: object) -> str:
        words = [part.pseudonym if isinstance(part, Annotator) else str(part) for part in parts]
        return hmac.new(self.round.secret.encode(), "\0".join(words).encode(), "sha256").hexdigest()


def _identify(folder: Path) -> tuple[int, int] | None:
    """What stays the same when a folder is renamed; None if it is missing."""
    try:
        status = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _is_repeated(earlier: Annotation, annotation: Annotation, answer: Answer) -> bool:
    """Whether the same answer was sent twice; without its own time it is compared by its labels and seconds."""
    return earlier == (annotation if answer.end else replace(annotation, start=earlier.start, end=earlier.end))


def _history_of(path: Path) -> list[Any]:
    """Earlier answers, if the file records them."""
    try:
        return list(parse_json(read_regular_file(path))["earlier"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _parse_pause(pause: object) -> tuple[float, float]:
    if not isinstance(pause, list) or len(pause) != 2:
        raise AnnotationError(f"pauses contains {pause!r}; expected [seconds before it, seconds]")
    after, seconds = (_number(value, "pauses", _LONGEST_S) for value in pause)
    return after, seconds


def _parse_moment(end_ms: object, utc_offset_min: object) -> datetime | None:
    """The annotator's local time; None if its year is impossible."""
    milliseconds = _number(end_ms, "end_ms", 1e15)
    offset = _number(utc_offset_min, "utc_offset_min", 1440, least=-1440)
    try:
        moment = datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds, minutes=offset)
    except OverflowError:
        return None
    return moment if moment.year in YEARS else None


def _number(value: object, name: str, most: float, least: float = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise AnnotationError(f"{name} is {value!r}; expected a number from {least:g} to {most:g}")
    return float(value)


def _format_instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
