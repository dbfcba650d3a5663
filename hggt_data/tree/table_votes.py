"""A table of votes, `votes.csv`: which of four kinds it is, and its rows by group.

The rows stay text until a group is read, so that a million of them take about 200 MB.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from hggt_data.errors import TableError
from hggt_data.io.files import iterate_csv
from hggt_data.io.text import nearest
from hggt_data.schema import LR, ORIGINAL

Kind = Literal["labels", "pairs", "choices", "scores"]
KINDS: tuple[Kind, ...] = get_args(Kind)
VOTES_FILE = "votes.csv"

GROUP = "group"
COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "labels": (GROUP, "candidate", "annotator", "label"),
    "pairs": (GROUP, "first", "second", "annotator", "preferred"),
    "choices": (GROUP, "shown", "annotator", "preferred"),
    "scores": (GROUP, "candidate", "score"),
}
_TOTALS = ("preferred_share", "votes")  # in place of the preferred version, and of who voted
_OPTIONAL: Mapping[Kind, tuple[str, ...]] = {"labels": (), "pairs": _TOTALS, "choices": (), "scores": ("std", "votes")}
# What a vote has that does not say otherwise.
DEFAULTS: Mapping[str, Any] = {
    "annotator": None,
    "count": 1,
    "annotator_kind": "person",
    "question": None,
    "slot": None,
    "start": None,
    "end": None,
    "seconds": None,
    "kind": "vote",
}
# Columns that only one kind has; they show which kind a table is.
_OWN: Mapping[str, Kind] = {
    "label": "labels",
    "first": "pairs",
    "second": "pairs",
    "preferred_share": "pairs",
    "shown": "choices",
    "score": "scores",
    "std": "scores",
}
_VERSIONS = ("candidate", "first", "second", "shown")
_WATCHED = (*_VERSIONS, "label", "annotator", "slot")
_CELL, _ROW = "\x1f", "\x1e"  # separate cells and rows that are kept as one text


@dataclass(frozen=True, slots=True)
class GroupRows:
    """The rows of a table on one group.

    Attributes:
        packed: the number of the line and the cells of each row, as one text.
    """

    path: Path
    kind: Kind
    columns: tuple[str, ...]
    packed: str

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        """The number of the line of each row, and its cells by column."""
        for row in self.packed.split(_ROW):
            line, *cells = row.split(_CELL)
            yield line, dict(zip(self.columns, cells, strict=True))

    def content(self) -> list[object]:
        """What the rows say, without the numbers of their lines."""
        return [self.kind, self.columns, [row.partition(_CELL)[2] for row in self.packed.split(_ROW)]]


class VoteTable:
    """All rows of a table.

    Args:
        columns: the names of the columns.
    """

    def __init__(self, path: Path, kind: Kind, columns: Sequence[str]) -> None:
        self.path, self.kind, self.columns = path, kind, tuple(columns)
        self._rows: dict[str, list[str]] = {}
        self._first_lines: dict[str, dict[str, int]] = {name: {} for name in _WATCHED if name in columns}
        self._watched = [(columns.index(name), found) for name, found in self._first_lines.items()]
        self._group_at = columns.index(GROUP)

    @property
    def groups(self) -> Mapping[str, object]:
        """The groups that have rows, in the order of the table."""
        return self._rows

    @property
    def labels(self) -> Mapping[str, int]:
        """Each word in the column `label`, and its first line."""
        return self._first_lines.get("label", {})

    @property
    def annotators(self) -> set[str]:
        """The names of the people and models."""
        return {*self._first_lines.get("annotator", {})} - {""}

    @property
    def slots(self) -> set[str]:
        """The slots that are given."""
        return {*self._first_lines.get("slot", {})} - {""}

    @property
    def versions(self) -> set[str]:
        """The versions that the rows name."""
        found = ((name, text) for name in _VERSIONS for text in self._first_lines.get(name, ()))
        return {version for name, text in found for version in versions_in({name: text})}

    def rows_of(self, group_id: str) -> GroupRows | None:
        """The rows on a group; None if there are none."""
        found = self._rows.get(group_id)
        return None if found is None else GroupRows(self.path, self.kind, self.columns, _ROW.join(found))

    def add(self, line: int, cells: list[str]) -> None:
        """Add a row."""
        packed = _CELL.join([str(line), *cells])
        if packed.count(_CELL) != len(cells) or _ROW in packed:
            raise TableError(f"{self.path}, line {line}: a value contains a control character; expected text")
        self._rows.setdefault(cells[self._group_at], []).append(packed)
        for place, found in self._watched:
            found.setdefault(cells[place], line)


def read_vote_table(path: Path) -> VoteTable:
    """The rows of a table. TableError if its columns are not those of one kind, or it is not CSV."""
    columns, lines = iterate_csv(path)
    table = VoteTable(path, _require_kind(path, columns), columns)
    for line, cells in lines:
        table.add(line, cells)
    if not table.groups:
        raise TableError(f"{path} has no rows")
    return table


def versions_in(row: Mapping[str, str]) -> list[str]:
    """The versions that a row is about, `original` in small letters."""
    names = [row[name] for name in ("candidate", "first", "second") if name in row]
    names += row["shown"].split(";") if "shown" in row else []
    return list(map(version_name, names))


def version_name(text: str) -> str:
    """The name of a version: `original` and `lr` in small letters, others as they are."""
    return text.lower() if text.lower() in (ORIGINAL, LR) else text


def _require_kind(path: Path, columns: list[str]) -> Kind:
    found = list(dict.fromkeys(_OWN[name] for name in columns if name in _OWN))
    if len(found) > 1:
        raise TableError(
            f"{path} mixes tables of {' and '.join(found)}; expected one kind of vote: {_describe_kinds()}. Write a "
            "file for each"
        )
    if not found:
        shown = ", ".join(columns) or "none"
        raise TableError(f"{path} has the columns {shown}; expected those of one kind of vote: {_describe_kinds()}")
    kind = found[0]
    known = columns_of(kind)
    faults = [f"column {name} is missing" for name in _required(kind) if name not in columns]
    if kind == "pairs" and "preferred" not in columns and not set(_TOTALS) <= set(columns):
        faults.append("column preferred is missing (or preferred_share and votes, for totals)")
    faults += [f"unknown column {name!r}, {nearest(name, known)}" for name in columns if name not in known]
    if faults:
        raise TableError(f"{path} is a table of {kind}: {'; '.join(faults)}. Rename or remove columns")
    return kind


def _describe_kinds() -> str:
    return "; ".join(f"{kind} ({', '.join(_required(kind))})" for kind in KINDS)


def _required(kind: Kind) -> list[str]:
    return [name for name in COLUMNS[kind] if name != "annotator" and (kind, name) != ("pairs", "preferred")]


def columns_of(kind: Kind) -> list[str]:
    """All columns that a table of this kind may have, in the order in which exports write them."""
    return list(dict.fromkeys((*COLUMNS[kind], *_OPTIONAL[kind], *DEFAULTS)))
