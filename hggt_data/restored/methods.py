"""Restoration methods: what they are called, where their files lie, what may be wrong with these.

A method's name is also that of its folder of reports, beside the files of the report.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from hggt_data.errors import MatchError
from hggt_data.io.text import nearest
from hggt_data.schema import PatchId

FaultKind = Literal["missing", "extra", "ambiguous", "unusable"]

ID_FIELD = "{id}"
SCORES_FILE, PAGE_FILE = "scores.json", "report.html"
REPORT_FILES = (SCORES_FILE, "scores.csv", "comparison.csv", "table.md", "table.tex", PAGE_FILE)
# A method's name becomes a folder; these characters are refused by one system or another.
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


@dataclass(frozen=True, slots=True)
class Method:
    """A restoration method, by where its files lie.

    Attributes:
        name: as reports call it; also the name of its folder of reports.
        folder: where its restored images lie.
        pattern: path of a file below `folder` with `{id}` in it; null stands for `ID.png` and `ID_anything.png`.
        map_file: CSV with the columns `id` and `file` (absolute or below `folder`), instead of a pattern.
    """

    name: str
    folder: Path
    pattern: str | None = None
    map_file: Path | None = None

    def __post_init__(self) -> None:
        require_method_name(self.name)

    def file_name(self, path: Path) -> str:
        """One of its files as reports name it: below `folder`, or in full where a map leads out of it."""
        whole, folder = absolute(path), absolute(self.folder)
        return (whole.relative_to(folder) if whole.is_relative_to(folder) else path).as_posix()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with one method's restored images.

    Attributes:
        kind: `missing`: a group without a file; `extra`: a file without a group; `ambiguous`: several files for one
            group, or one file for several; `unusable`: damaged, of the wrong size, or not an 8-bit RGB PNG.
        method: name of the method.
        id: the group it concerns; null for extra files.
        message: what was found.
    """

    kind: FaultKind
    method: str
    id: PatchId | None
    message: str


def require_method_name(name: str) -> None:
    """Check that a method's name can be that of its folder of reports.

    Raises:
        MatchError: it cannot.
    """
    if not name or name != name.strip(". ") or _UNSAFE.search(name):
        raise MatchError(
            f"method name {name!r} cannot name a folder of reports; give another with NAME=DIR, without "
            'any of < > : " / \\ | ? * and without dots or spaces at its ends'
        )
    if name.lower() in REPORT_FILES:
        raise MatchError(f"method name {name!r} is the name of a report; give another with NAME=DIR")


def name_methods(folders: Sequence[tuple[str | None, Path]]) -> list[Method]:
    """Methods from (name, folder), where null names are made from what tells a path from the others.

    Official outputs all end in `Test-100`, so parts at the end that start with `Test-` do not count unless nothing else
    tells the paths apart, nor does what all paths end in. A name is the last part of what is left, or as many as it
    takes to tell all apart.

    Raises:
        MatchError: two methods would have one name, or a name cannot name a folder.

    Example:
        >>> paths = [Path("out/swinir/x4/Test-100"), Path("out/rrdb/x4/Test-100")]
        >>> [method.name for method in name_methods([(None, path) for path in paths])]
        ['swinir', 'rrdb']
        >>> [method.name for method in name_methods([(None, Path("out/bicubic/Test-100"))])]
        ['bicubic']
    """
    unnamed = [absolute(folder) for name, folder in folders if name is None]
    made = iter(_distinct_names(unnamed))
    methods = [Method(next(made) if name is None else name, folder) for name, folder in folders]
    require_distinct(methods)
    return methods


def require_distinct(methods: Sequence[Method]) -> None:
    """Check that no two methods have one name, as `require_distinct_names`.

    Raises:
        MatchError: two have.
    """
    require_distinct_names([(method.name, str(method.folder)) for method in methods])


def require_distinct_names(methods: Sequence[tuple[str, str]], advice: str = "name them with NAME=DIR") -> None:
    """Check that no two methods have one name; upper and lower case do not tell names apart, as on some disks.

    Args:
        methods: (name, where it comes from).
        advice: how to mend it.

    Raises:
        MatchError: two have.
    """
    first: dict[str, str] = {}
    for name, place in methods:
        if name.casefold() in first:
            raise MatchError(f"two methods have the name {name!r}: {first[name.casefold()]} and {place}; {advice}")
        first[name.casefold()] = place


def read_methods(path: Path) -> list[Method]:
    """The methods of a TOML file: one table each, with `dir` and one of `pattern` and `map`, or neither.

    Relative paths start at the TOML file; a map's files start at `dir`, or where it is absent at the TOML file.

    Raises:
        MatchError: the file is not TOML, or a table has faults (all are named).
        OSError: it cannot be read.
    """
    try:
        tables = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MatchError(f"{path}: not TOML: {error}") from error
    faults = [f"[{name}] {fault}" for name, table in tables.items() for fault in _table_faults(table)]
    if faults or not tables:
        reason = "; ".join(faults) or "no methods"
        raise MatchError(f'{path}: {reason}. A method is written [NAME], dir = "...", pattern = "{{id}}x4.png".')
    return [
        Method(
            name,
            path.parent / table.get("dir", "."),
            table.get("pattern"),
            path.parent / table["map"] if "map" in table else None,
        )
        for name, table in tables.items()
    ]


def absolute(path: Path) -> Path:
    """Without `..`, but not `resolve()`: a link keeps the name that the user typed."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _distinct_names(folders: Sequence[Path]) -> list[str]:
    full = [folder.parts for folder in folders]
    short = [_without_test_set(parts) for parts in full]
    paths = short if len(set(short)) == len(short) else full
    if len(paths) > 1:
        backwards = zip(*(parts[::-1] for parts in paths), strict=False)
        num_shared = sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, backwards))
        paths = [parts[: max(2, len(parts) - num_shared)] for parts in paths]
    for num in range(1, max(map(len, paths), default=0) + 1):
        names = ["-".join(parts[-num:]) for parts in paths]
        if len({name.casefold() for name in names}) == len(names):
            return names
    return [parts[-1] for parts in full]  # one of them is there twice


def _without_test_set(parts: tuple[str, ...]) -> tuple[str, ...]:
    kept = parts
    while len(kept) > 2 and kept[-1].startswith("Test-"):
        kept = kept[:-1]
    return kept


def _table_faults(table: Any) -> Iterator[str]:
    known = ("dir", "pattern", "map")
    if not isinstance(table, dict):
        yield "is not a table"
        return
    for key, value in table.items():
        if key not in known:
            yield f"key {key!r} is not known; {nearest(key, known)}"
        elif not isinstance(value, str):
            yield f"{key!r} is {value!r}; expected text"
    if "dir" not in table and "map" not in table:
        yield "has no 'dir'"
    if "pattern" in table and "map" in table:
        yield "has both 'pattern' and 'map'; give one"
    pattern = table.get("pattern")
    if isinstance(pattern, str) and (ID_FIELD not in pattern or set("{}") & set(pattern.replace(ID_FIELD, ""))):
        yield f"pattern {pattern!r} must hold {ID_FIELD} and no other braces"
