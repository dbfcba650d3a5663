"""The answers of a round: what a person is shown, and saving what they say, one whole file at a time.

A page knows an item by an id that tells neither the group nor its kind, and candidates by their place in an order of
the person's own. An answer names the version that it replaces, so that of two windows none overwrites the other; the
same answer sent twice is saved once. Answers are in the official format, `shown/` has what does not fit into it.
"""

import hashlib
import hmac
import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hggt_data.annotate.answers import BROKEN, read_answers
from hggt_data.annotate.round import Annotator, Item, Round
from hggt_data.errors import AnnotationError, OutputError
from hggt_data.io.files import write_json, write_text
from hggt_data.schema import ORIGINAL, Annotation, Label
from hggt_data.tree.label_file import LABEL_WORDS, YEARS, format_annotation

_LONGEST_S = 1e7
_MOST_PAUSES = 1000
_DISPLAY = ("device_pixel_ratio", "zoom", "width", "height", "screen_width", "screen_height", "flips")
_LONGEST_REASON = 500


class ConflictError(OutputError):
    """The group was answered otherwise meanwhile, in another window; the answer that is there stays."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says of a group, as the page sends it.

    Attributes:
        labels: in the order in which the candidates were shown.
        seconds: how long the pictures were looked at, by a clock that nobody can set; pauses are not in it.
        pauses: (seconds before it, seconds) of each pause.
        end: when the person was done, by their own clock and time zone; null where that clock must be wrong.
        display: how it was shown: pixels of the screen per CSS pixel, last zoom, window, screen, how often flipped.
    """

    labels: tuple[Label, ...]
    seconds: float
    pauses: tuple[tuple[float, float], ...] = ()
    end: datetime | None = None
    display: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: object, num_candidates: int) -> "Answer":
        """Read what the page has sent.

        Raises:
            AnnotationError: it is no answer; the message says what was expected.
        """
        if not isinstance(content, dict):
            raise AnnotationError(f"expected a JSON object, got {type(content).__name__}")
        labels = content.get("labels")
        if not isinstance(labels, list) or len(labels) != num_candidates:
            raise AnnotationError(f"labels is {labels!r}; expected {num_candidates}")
        for label in labels:
            if label not in LABEL_WORDS:
                raise AnnotationError(f"labels holds {label!r}; expected one of {', '.join(LABEL_WORDS)}")
        pauses = content.get("pauses", [])
        if not isinstance(pauses, list) or len(pauses) > _MOST_PAUSES:
            raise AnnotationError(f"pauses is no list of at most {_MOST_PAUSES:,}")
        display = content.get("display", {})
        if not isinstance(display, dict):
            raise AnnotationError("display is no JSON object")
        return cls(
            labels=tuple(Label(label) for label in labels),
            seconds=_number(content.get("seconds"), "seconds", _LONGEST_S),
            pauses=tuple(_parse_pause(pause) for pause in pauses),
            end=_parse_moment(content.get("end_ms"), content.get("utc_offset_min")),
            display={key: _number(display[key], f"display.{key}", 1e9) for key in _DISPLAY if key in display},
        )


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """An answer that is on disk.

    Attributes:
        labels: in the order in which the candidates are shown.
        version: changes whenever the answer does.
    """

    labels: tuple[Label, ...]
    version: str


class AnswerStore:
    """All answers of a round, in memory and on disk.

    Args:
        dealt: the round. Only this object may write its answers while it lives (`server.py` locks the folder).

    Attributes:
        unreadable: files that are no answers to what was dealt; they count as not there, and a new answer to the same
            group keeps them under another name.

    Raises:
        OSError: answers cannot be read.
    """

    def __init__(self, dealt: Round) -> None:
        self.round = dealt
        self.unreadable: list[Path] = []
        self._items: dict[str, dict[str, Item]] = {}
        self._answers: dict[str, dict[Item, Annotation]] = {}
        self._skips: dict[str, dict[Item, str]] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        for annotator in dealt.annotators:
            self._items[annotator.pseudonym] = {self.item_id(annotator, item): item for item in annotator.items}
            found = read_answers(dealt, annotator)
            self._answers[annotator.pseudonym] = found.given
            self._skips[annotator.pseudonym] = found.skips
            self.unreadable += found.faults

    def item_id(self, annotator: Annotator, item: Item) -> str:
        """What the page calls an item; without the round's secret nobody can tell the group or its kind from it."""
        return self._digest(annotator, item)[:20]

    def person_id(self, annotator: Annotator) -> str:
        """What the page calls a person of this round, whatever their URL."""
        return self._digest(annotator)[:20]

    def find(self, annotator: Annotator, item_id: str) -> Item | None:
        """The item of an id; null if it is not the person's."""
        return self._items[annotator.pseudonym].get(item_id)

    def order(self, annotator: Annotator, item: Item) -> tuple[str, ...]:
        """The candidates as this person sees them: always the same for an item, unrelated between items."""
        return tuple(sorted(self.round.candidates, key=lambda name: self._digest(annotator, item, name)))

    def picture(self, annotator: Annotator, item: Item, position: int) -> Path | None:
        """The file of what is shown: the original at 0, the candidates from 1 on in their order; null beyond."""
        shown = (ORIGINAL, *self.order(annotator, item))
        return self.round.picture(item.group, shown[position]) if position in range(len(shown)) else None

    def answers(self, annotator: Annotator) -> Mapping[Item, Annotation]:
        """What the person has answered; labels in the order of the round's candidates."""
        return self._answers[annotator.pseudonym]

    def skips(self, annotator: Annotator) -> Mapping[Item, str]:
        """What the person could not judge, and why."""
        return self._skips[annotator.pseudonym]

    def read(self, annotator: Annotator, item: Item) -> SavedAnswer | None:
        """The person's answer to an item; null if there is none yet."""
        annotation = self.answers(annotator).get(item)
        return None if annotation is None else self._saved(annotator, item, annotation)

    def save(self, annotator: Annotator, item: Item, answer: Answer, replaces: str | None) -> SavedAnswer:
        """Write an answer; once this returns it is on disk.

        Args:
            annotator, item: who and what.
            answer: what they say.
            replaces: the version of the answer that the person has seen; null if there was none.

        Raises:
            ConflictError: there is another answer than that.
            OSError: it cannot be written; what was there stays.
        """
        received = datetime.now(UTC)
        annotation = self._annotation(annotator, item, answer, received)
        with self._locks[annotator.pseudonym]:
            earlier = self.answers(annotator).get(item)
            if earlier is not None and _say_the_same(earlier, annotation, answer):
                return self._saved(annotator, item, earlier)
            if earlier is not None and self._saved(annotator, item, earlier).version != replaces:
                raise ConflictError(f"{item.group} has another answer by now; that one stays")
            self._write_shown(annotator, item, answer, received, earlier)
            path = self.round.answer_path(annotator, item)
            if earlier is None and path.exists():
                path.replace(path.with_suffix(BROKEN))
            write_text(path, format_annotation(annotation, item.group, self.round.candidates))
            self._answers[annotator.pseudonym][item] = annotation
            if self._skips[annotator.pseudonym].pop(item, None) is not None:
                self.round.skip_path(annotator, item).unlink(missing_ok=True)
        return self._saved(annotator, item, annotation)

    def skip(self, annotator: Annotator, item: Item, reason: object) -> None:
        """Write down why a person cannot judge a group.

        Raises:
            AnnotationError: the reason is no text, or too long.
            ConflictError: the person has answered it.
            OSError: it cannot be written.
        """
        if not isinstance(reason, str) or not 0 < len(reason.strip()) <= _LONGEST_REASON:
            raise AnnotationError(f"expected a reason of at most {_LONGEST_REASON} letters")
        if not reason.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in reason):
            raise AnnotationError("expected a reason that is text; it holds half a character")
        with self._locks[annotator.pseudonym]:
            if item in self.answers(annotator):
                raise ConflictError(f"{item.group} has an answer; that one stays")
            content = {"reason": reason.strip(), "received": _format_instant(datetime.now(UTC))}
            write_json(self.round.skip_path(annotator, item), content)
            self._skips[annotator.pseudonym][item] = content["reason"]

    def _annotation(self, annotator: Annotator, item: Item, answer: Answer, received: datetime) -> Annotation:
        of_name = dict(zip(self.order(annotator, item), answer.labels, strict=True))
        labels = tuple(of_name[name] for name in self.round.candidates)
        end = answer.end or received.astimezone().replace(tzinfo=None)
        end = end.replace(microsecond=0)
        took = answer.seconds + sum(seconds for _, seconds in answer.pauses)
        start = (end - timedelta(seconds=took)).replace(microsecond=0)
        return Annotation(annotator.pseudonym, labels, start, end, float(round(answer.seconds)), annotator.name)

    def _saved(self, annotator: Annotator, item: Item, annotation: Annotation) -> SavedAnswer:
        of_name = dict(zip(self.round.candidates, annotation.labels, strict=True))
        shown = tuple(of_name[name] for name in self.order(annotator, item))
        text = format_annotation(annotation, item.group, self.round.candidates)
        return SavedAnswer(shown, hashlib.sha256(text.encode()).hexdigest()[:20])

    def _write_shown(
        self, annotator: Annotator, item: Item, answer: Answer, received: datetime, earlier: Annotation | None
    ) -> None:
        path = self.round.shown_path(annotator, item)
        history = []
        if earlier is not None:
            labels = [label.value for label in earlier.labels]
            history = [*_history_of(path), {"labels": labels, "seconds": earlier.seconds}]
        content = {
            "order": self.order(annotator, item),
            "seconds": answer.seconds,
            "pauses": [{"after_s": after, "seconds": seconds} for after, seconds in answer.pauses],
            "clock": "annotator's" if answer.end else "server's",
            "received": _format_instant(received),
            "display": answer.display,
            "earlier": history,
        }
        write_json(path, content)

    def _digest(self, *parts: object) -> str:
        words = [part.pseudonym if isinstance(part, Annotator) else str(part) for part in parts]
        return hmac.new(self.round.secret.encode(), "\0".join(words).encode(), "sha256").hexdigest()


def _say_the_same(earlier: Annotation, annotation: Annotation, answer: Answer) -> bool:
    """Whether an answer has come twice; where its own clock tells no time, that of the first counts."""
    return earlier == (annotation if answer.end else replace(annotation, start=earlier.start, end=earlier.end))


def _history_of(path: Path) -> list[Any]:
    """Answers before the last, where the file tells."""
    try:
        return list(json.loads(path.read_bytes())["earlier"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _parse_pause(pause: object) -> tuple[float, float]:
    if not isinstance(pause, list) or len(pause) != 2:
        raise AnnotationError(f"pauses holds {pause!r}; expected [seconds before it, seconds]")
    after, seconds = (_number(value, "pauses", _LONGEST_S) for value in pause)
    return after, seconds


def _parse_moment(end_ms: object, utc_offset_min: object) -> datetime | None:
    """A person's wall clock; null where it shows a year that cannot be."""
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
