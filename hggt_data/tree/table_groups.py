"""`groups.csv` beside a table of votes: what overrules the names of groups, their split, and captions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hggt_data.errors import NameFormatError, TableError
from hggt_data.io.files import read_csv
from hggt_data.io.text import format_examples, nearest
from hggt_data.schema import LR, ORIGINAL, SPLITS, require_group_id

GROUPS_FILE = "groups.csv"
COLUMNS = ("group", "image", "top", "left", "split", ORIGINAL, LR, "caption")
_MOST_DIGITS = 9  # of a place, which a dataset stores in 32 bits


@dataclass(frozen=True)
class GroupTable:
    """The lines of `groups.csv`.

    Attributes:
        columns: the columns that it has.
        lines: group to its cells; empty ones are left out.
    """

    columns: tuple[str, ...] = ()
    lines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def values(self, column: str) -> dict[str, str]:
        """The group's cells of a column, without the empty ones."""
        return {group: line[column] for group, line in self.lines.items() if column in line}


def read_group_table(path: Path) -> GroupTable:
    """The lines of a `groups.csv`; none if there is no file. TableError with all that is wrong."""
    if not path.exists():
        return GroupTable()
    columns, rows = read_csv(path)
    faults = [] if "group" in columns else ["column group is missing"]
    faults += [f"unknown column {name!r}, {nearest(name, COLUMNS)}" for name in columns if name not in COLUMNS]
    lines: dict[str, dict[str, str]] = {}
    for row in rows if not faults else ():
        if row["group"] in lines:
            faults.append(f"group {row['group']} has two lines; expected one")
        lines[row["group"]] = {name: value for name, value in row.items() if value}
        faults += _find_faults(row)
    if faults:
        raise TableError(f"{path}: {format_examples(faults, 5)}")
    return GroupTable(tuple(columns), lines)


def _find_faults(row: Mapping[str, str]) -> Iterator[str]:
    group = row["group"]
    for name in ("group", "image"):
        if row.get(name) or name == "group":
            try:
                require_group_id(row[name])
            except NameFormatError as error:
                yield f"group {group}: {name}: {error}"
    if row.get("split") and row["split"] not in SPLITS:
        yield f"group {group} has the split {row['split']!r}; expected {', '.join(SPLITS)}"
    for name in ("top", "left"):
        text = row.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
            yield f"group {group} has the {name} {text!r}; expected a whole number of pixels"
    for name in (ORIGINAL, LR):
        path = PurePosixPath(row.get(name, ""))
        if path.is_absolute() or ".." in path.parts or "\\" in str(path):
            yield f"group {group} has the {name} {row[name]!r}; expected a path in the folder of pictures"
