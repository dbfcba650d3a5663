"""Reads the rows of vote tables on one group as votes, and collects what is wrong with them."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count as count_from
from string import ascii_uppercase
from typing import Any, NamedTuple, get_args

from hggt_data.io.text import format_examples
from hggt_data.schema import (
    ORIGINAL,
    Annotation,
    AnnotatorKind,
    ChoiceVote,
    Label,
    PairVote,
    Score,
    VoteKind,
)
from hggt_data.tree.table_votes import GroupRows, Kind, version_name, versions_in

_MOST_COUNT = 1_000  # of equal labels in one row: each becomes an annotation
_INT32 = 2**31 - 1
Row = Mapping[str, str]


class RowFault(NamedTuple):
    """What is wrong with a row.

    Attributes:
        kind: as of a `Problem`.
        rows: the table.
        message: with the number of the line.
        hint: what to do.
    """

    kind: str
    rows: GroupRows
    message: str
    hint: str


class _Occasion(NamedTuple):
    """Who voted, and on what occasion: rows of labels that share it are one annotation."""

    slot: str
    annotator: str
    annotator_kind: AnnotatorKind
    question: str
    kind: VoteKind
    number: int = 0  # among those whose annotator and slot are unknown


@dataclass(slots=True)
class RowReader:
    """Collects the votes of one group's rows.

    Args:
        pictures: the versions of which the group has a picture.
        candidates: the candidates of the tree, in order.
        words: words of the column `label`, in small letters, and what they mean.
    """

    pictures: Collection[str]
    candidates: tuple[str, ...]
    words: Mapping[str, Label]
    faults: list[RowFault] = field(default_factory=list)
    pairs: list[PairVote] = field(default_factory=list)
    choices: list[ChoiceVote] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    _labels: dict[_Occasion, dict[str, tuple[Label, Row]]] = field(default_factory=dict)
    _unnamed: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    _first_lines: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def read(self, rows: GroupRows) -> None:
        """Read the rows of one table."""
        add = {"labels": self._add_label, "pairs": self._add_pair, "choices": self._add_choice}.get(
            rows.kind, self._add_score
        )
        for line, row in rows:
            try:
                self._check(rows, line, row)
                add(row)
            except _RowError as error:
                self.faults.append(RowFault(error.kind, rows, f"line {line}: {error}", error.hint))

    def annotations(self) -> Iterator[Annotation]:
        """The labels of each annotator as one annotation."""
        taken = {occasion.slot for occasion in self._labels}
        free = (slot for slot in map(_slot_name, count_from()) if slot not in taken)
        for occasion in sorted(self._labels, key=_order):
            labels = self._labels[occasion]
            start, end, seconds = _join_times([row for _, row in labels.values()])
            yield Annotation(
                slot=occasion.slot or next(free),
                labels=tuple(labels[name][0] if name in labels else None for name in self.candidates),
                start=start,
                end=end,
                seconds=seconds,
                annotator=occasion.annotator or None,
                annotator_kind=occasion.annotator_kind,
                question=occasion.question or None,
                kind=occasion.kind,
            )

    def _check(self, rows: GroupRows, line: str, row: Row) -> None:
        """Check what all kinds have: versions with pictures, and that no other row is the same vote."""
        versions = versions_in(row)
        if twice := [name for name, number in Counter(versions).items() if number > 1]:
            raise _RowError(f"compares {twice[0]} with itself", "Remove the line, or correct a version.")
        if absent := [name for name in versions if name not in self.pictures]:
            have = format_examples(sorted(self.pictures), 8) or "none"
            message = f"a vote on {absent[0]}, of which group {row['group']} has no picture; it has {have}"
            raise _RowError(message, "Restore the picture, or remove the vote.", "vote-without-picture")
        identity = _identity(rows.kind, row)
        first = line if identity is None else self._first_lines.setdefault(identity, line)
        if first != line:
            message = f"the same vote as line {first}"
            raise _RowError(message, "Remove one of the two; a second look has the kind repeat.", "duplicate-vote")

    def _add_label(self, row: Row) -> None:
        candidate = version_name(row["candidate"])
        if candidate == ORIGINAL:
            raise _RowError("a label for the original, with which candidates are compared", "Remove the line.")
        label = self.words.get(row["label"].lower())
        if label is None:  # the words are reported for the whole table
            return
        occasion = _Occasion(
            row.get("slot", ""),
            row.get("annotator", ""),
            _word(row, "annotator_kind", get_args(AnnotatorKind)),
            row.get("question", ""),
            _word(row, "kind", get_args(VoteKind)),
        )
        for name in ("start", "end"):
            _time(row, name)
        _seconds(row)
        number = _whole(row, "count") or 1
        known = occasion.slot or occasion.annotator
        if number > (1 if known else _MOST_COUNT):
            most = (
                f"1, as the {'slot' if occasion.slot else 'annotator'} is one" if known else f"at most {_MOST_COUNT:,}"
            )
            raise _RowError(f"count is {number:,}; expected {most}", "Write a line for each vote.")
        if occasion.slot:
            self._require_one_voter(occasion)
        if known:
            self._labels.setdefault(occasion, {})[candidate] = label, row
            return
        for _ in range(number):
            self._unnamed[occasion, candidate] += 1
            one = occasion._replace(number=self._unnamed[occasion, candidate])
            self._labels.setdefault(one, {})[candidate] = label, row

    def _require_one_voter(self, occasion: _Occasion) -> None:
        others = [other for other in self._labels if other.slot == occasion.slot and other != occasion]
        if others:
            differences = [
                f"{name} {old or 'unknown'} and {new or 'unknown'}"
                for name, old, new in zip(occasion._fields, others[0], occasion, strict=True)
                if old != new
            ]
            message = f"slot {occasion.slot} of the group has {'; '.join(differences)}; expected one of them"
            raise _RowError(message, "Give each a slot of its own, or leave out the column slot.")

    def _add_pair(self, row: Row) -> None:
        first, second = versions_in(row)
        preferred, share = row.get("preferred", ""), _number(row, "preferred_share", 0, 1)
        if (not preferred) == (share is None):
            raise _RowError("expected either preferred, or preferred_share and votes", "Fill one of the two.")
        facts = _facts(row)
        if share is not None:
            number = _whole(row, "votes")
            if number is None or row.get("count"):
                message = "a preferred_share needs the number of votes in the column votes, and no count"
                raise _RowError(message, "Fill the column votes, and leave count empty.")
            facts["count"] = number
            self.pairs.append(PairVote(first, second, share=share, **facts))
            return
        if row.get("votes"):
            raise _RowError("votes belongs to preferred_share; a vote has a count", "Leave it empty.")
        self.pairs.append(PairVote(first, second, _word(row, "preferred", ("first", "second", "tie")), **facts))

    def _add_choice(self, row: Row) -> None:
        shown, preferred = tuple(versions_in(row)), version_name(row["preferred"])
        if len(shown) < 2:
            raise _RowError(f"shown is {row['shown']!r}; expected two versions or more, joined by ;", "Correct it.")
        if preferred not in shown:
            raise _RowError(f"preferred is {preferred!r}, which was not shown", "Correct it.")
        self.choices.append(ChoiceVote(shown, preferred, **_facts(row)))

    def _add_score(self, row: Row) -> None:
        score = _number(row, "score")
        if score is None:
            raise _RowError("no score", "Fill the column, or remove the line.")
        std, votes = _number(row, "std", 0), _whole(row, "votes")
        self.scores.append(Score(version_name(row["candidate"]), score, std, votes, **_facts(row)))


class _RowError(ValueError):
    """A row cannot be used."""

    def __init__(self, message: str, hint: str, kind: str = "bad-vote") -> None:
        super().__init__(message)
        self.hint, self.kind = hint, kind


def _identity(kind: Kind, row: Row) -> tuple[Any, ...] | None:
    """What no other row may have; None where equal rows may be votes of different people."""
    who = row.get("annotator", ""), row.get("slot", "")
    what = *(row.get(name, "") for name in ("annotator_kind", "question", "kind")), *versions_in(row)
    if any(who) or row.get("preferred_share") or (kind == "scores" and row.get("votes")):
        return kind, who, what
    return (kind, *row.values()) if row.get("start") else None


def _facts(row: Row) -> dict[str, Any]:
    """What is known about a vote of any kind but a label."""
    return {
        "slot": row.get("slot") or None,
        "annotator": row.get("annotator") or None,
        "annotator_kind": _word(row, "annotator_kind", get_args(AnnotatorKind)),
        "question": row.get("question") or None,
        "kind": _word(row, "kind", get_args(VoteKind)),
        "start": _time(row, "start"),
        "end": _time(row, "end"),
        "seconds": _seconds(row),
        "count": _whole(row, "count") or 1,
    }


def _word(row: Row, name: str, words: tuple[str, ...]) -> Any:
    """One of the words; the first if the cell is empty."""
    if row.get(name) and row[name] not in words:
        raise _RowError(f"{name} is {row[name]!r}; expected {', '.join(words)}", "Correct the word.")
    return row.get(name) or words[0]


def _time(row: Row, name: str) -> datetime | None:
    if not row.get(name):
        return None
    time: datetime = _parse(row, name, _local_time, "a local time such as 2022-08-05T17:01:12")
    return time


def _local_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is not None:
        raise ValueError
    return time


def _seconds(row: Row) -> float | None:
    return _number(row, "seconds", 0)


def _number(row: Row, name: str, least: float = -math.inf, most: float = math.inf) -> float | None:
    def read(text: str) -> float:
        number = float(text)
        if not (math.isfinite(number) and least <= number <= most):
            raise ValueError
        return number

    expected = "a number" if math.isinf(least) else f"a number of {least:g} or more"
    if not math.isinf(most):
        expected = f"a number from {least:g} to {most:g}"
    return _parse(row, name, read, expected) if row.get(name) else None


def _whole(row: Row, name: str) -> int | None:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 11 and 1 <= int(text) <= _INT32):
            raise ValueError
        return int(text)

    return _parse(row, name, read, "a whole number of 1 or more") if row.get(name) else None


def _parse(row: Row, name: str, read: Callable[[str], Any], expected: str) -> Any:
    try:
        return read(row[name])
    except ValueError:
        raise _RowError(f"{name} is {row[name]!r}; expected {expected}", "Correct the value.") from None


def _join_times(rows: list[Row]) -> tuple[datetime | None, datetime | None, float | None]:
    """Start, end and seconds of an annotation.

    Rows with equal start, end and seconds are one look at all candidates, as `export votes` writes them; otherwise it
    lasts from the first start to the last end, and the seconds are summed.
    """
    times = [(_time(row, "start"), _time(row, "end"), _seconds(row)) for row in rows]
    if len(set(times)) == 1 and times[0][:2] != (None, None):
        return times[0]
    starts, ends, seconds = ([value for value in values if value is not None] for values in zip(*times, strict=True))
    total = sum(seconds) if len(seconds) == len(times) else None
    return min(starts, default=None), max(ends, default=None), total


def _order(occasion: _Occasion) -> tuple[Any, ...]:
    """People's votes come first, and of those the ones whose annotator is known."""
    return occasion.kind != "vote", occasion.annotator_kind != "person", not occasion.annotator, occasion


def _slot_name(number: int) -> str:
    """A, B, ..., Z, AA, AB, ... ."""
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, len(ascii_uppercase))
        name = ascii_uppercase[letter] + name
    return name
