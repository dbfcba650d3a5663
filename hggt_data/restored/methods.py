"""Restoration methods: their names, and the folders or files of their restored images.

A method's name is also the name of its folder of results.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from hggt_data.errors import MatchError, SettingsError
from hggt_data.io.files import read_toml
from hggt_data.io.names import compare_names, look
from hggt_data.io.text import nearest, printable

FaultKind = Literal["missing", "extra", "ambiguous", "unusable"]

ID_FIELD = "{id}"
SCORES_FILE, PAGE_FILE, AGREEMENT_FILE = "scores.json", "report.html", "agree.json"
REPORT_FILES = (SCORES_FILE, "scores.csv", "comparison.csv", "table.md", "table.tex", PAGE_FILE)
# Not allowed in folder names on some system.
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


@dataclass(frozen=True, slots=True, init=False)
class Method:
    """A restoration method and the place of its restored images.

    Attributes:
        name: Name in reports and of its folder of results.
        folder: Folder of its restored images.
        pattern: Path of a file in `folder` with `{id}` in it; None means `ID.png` and `ID_anything.png`.
        map_file: CSV file with the columns `id` and `file` (absolute, or relative to `folder`), instead of a pattern.

    Example:
        >>> from hggt_data import Method
        >>> Method("swinir", "results/swinir", pattern="{id}_x4.png").name
        'swinir'
    """

    name: str
    folder: Path
    pattern: str | None = None
    map_file: Path | None = None

    def __init__(
        self, name: str, folder: str | Path, pattern: str | None = None, map_file: str | Path | None = None
    ) -> None:
        require_method_name(name)
        map_file = None if map_file is None else Path(map_file)
        for field, value in (("name", name), ("folder", Path(folder)), ("pattern", pattern), ("map_file", map_file)):
            object.__setattr__(self, field, value)

    def file_name(self, path: Path) -> str:
        """How reports name one of its files, so that `folder / name` is the file: relative to `folder`, or absolute."""
        whole, folder = absolute(path), absolute(self.folder)
        if ".." not in path.parts and whole.is_relative_to(folder):
            return whole.relative_to(folder).as_posix()
        # `..` stays: after a link, the file is not where the names alone lead.
        return (path.relative_to(self.folder) if path.is_relative_to(self.folder) else whole).as_posix()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with one method's restored images.

    Attributes:
        kind: `missing`: a group without a file; `extra`: a file without a group; `ambiguous`: several files for one
            group, or one file for several; `unusable`: damaged, of the wrong size, or not an 8-bit RGB PNG.
        method: name of the method.
        id: the group, None for `extra`.
        message: what was found.
    """

    kind: FaultKind
    method: str
    id: str | None
    message: str


def require_method_name(name: str) -> None:
    """Check that a method's name can be the name of its folder of results."""
    if not name or name != name.strip(". ") or name != printable(name) or _UNSAFE.search(name):
        raise MatchError(
            f"method name {name!r} cannot be the name of a report folder; choose another one with NAME=DIR, without "
            'any of < > : " / \\ | ? * and without dots or spaces at its ends'
        )
    if name.lower() in REPORT_FILES:
        raise MatchError(f"method name {name!r} is the name of a report; choose another one with NAME=DIR")


def name_methods(folders: Sequence[tuple[str | None, Path | str]]) -> list[Method]:
    """Methods of folders of restored images; a missing name is derived from the path.

    The name is the last part of the path that distinguishes it from the others, or as many parts as needed, joined by
    dashes. Official outputs all end in `Test-100`, so parts at the end that start with `Test-` are ignored if possible.

    Args:
        folders: (name, folder) of each method; the name may be None.

    Returns:
        One method per folder, in their order.

    Raises:
        MatchError: two methods have the same name, or a name cannot be a folder name.

    Example:
        >>> from hggt_data import name_methods
        >>> [method.name for method in name_methods([(None, "out/swinir/Test-100"), (None, "out/rrdb/Test-100")])]
        ['swinir', 'rrdb']
    """
    derived = iter(_distinct_names([absolute(Path(folder)) for name, folder in folders if name is None]))
    methods = [Method(next(derived) if name is None else name, Path(folder)) for name, folder in folders]
    require_distinct(methods)
    return methods


def require_distinct(methods: Sequence[Method]) -> None:
    """Check that all methods have different names."""
    require_distinct_names([(method.name, str(method.folder)) for method in methods])


def require_distinct_names(methods: Sequence[tuple[str, str]], advice: str = "name them with NAME=DIR") -> None:
    """Check that the names of (name, origin) do not look the same: some file systems do not tell them apart."""
    first: dict[str, tuple[str, str]] = {}
    for name, place in methods:
        if look(name) in first:
            other, other_place = first[look(name)]
            reason = f"two methods have the name {name!r}" if name == other else compare_names(name, other)
            raise MatchError(f"{reason}: {other_place} and {place}; {advice}")
        first[look(name)] = name, place


def read_methods(path: Path | str) -> list[Method]:
    """The methods of a TOML file with one table each: `dir`, and optionally `pattern` or `map`.

    Relative paths start at the TOML file; the files in a map start at `dir`, or, without it, at the TOML file.

    Args:
        path: TOML file.

    Returns:
        One method per table.

    Raises:
        MatchError: The file is missing or not TOML, or a table has errors (all are listed).

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import read_methods
        >>> path = Path(tempfile.mkdtemp(), "methods.toml")
        >>> _ = path.write_text('rrdb = {dir = "results/rrdb", pattern = "{id}x4.png"}')
        >>> [(method.name, method.pattern) for method in read_methods(path)]
        [('rrdb', '{id}x4.png')]
    """
    path = Path(path)
    tables = read_toml(path, MatchError)
    faults = [f"[{name}] {fault}" for name, table in tables.items() for fault in _table_faults(table)]
    if faults or not tables:
        reason = "; ".join(faults) or "no methods"
        raise MatchError(f'{path}: {reason}. Expected [NAME], dir = "...", pattern = "{{id}}x4.png" for each method.')
    return [
        Method(
            name,
            path.parent / table.get("dir", "."),
            table.get("pattern"),
            path.parent / table["map"] if "map" in table else None,
        )
        for name, table in tables.items()
    ]


def find_methods(restored: Sequence[str] = (), methods: Path | None = None) -> list[Method]:
    """The methods of folders and of a TOML file, all with different names.

    Args:
        restored: Folder of a method's restored images, named ID.png or ID_ANYTHING.png; repeatable. Without NAME, the
            method's name is the part of the path that distinguishes it. NAME@SEED is one of several training runs.
        methods: TOML file for methods with other file names: one table per method, with dir and either pattern
            ({id}x4.png) or map (a CSV file with the columns id and file).
    """
    if not restored and methods is None:
        raise SettingsError("nothing to score; pass `restored` or `methods`")
    found = name_methods([_name_and_folder(text) for text in restored])
    if methods is not None:
        found += read_methods(methods)
    require_distinct(found)
    return found


def _name_and_folder(text: str) -> tuple[str | None, Path]:
    """Parse `NAME=DIR` or `DIR`; `=` may be part of the name of an existing folder."""
    name, equals, folder = text.partition("=")
    if not equals or Path(text).is_dir():
        return None, Path(text)
    return name, Path(folder)


def absolute(path: Path) -> Path:
    """An absolute path without `..`; unlike `resolve()`, it keeps the names of links."""
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
        if len({look(name) for name in names}) == len(names):
            return names
    return [parts[-1] for parts in full]  # a folder is given twice


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
            yield f"unknown key {key!r}; {nearest(key, known)}"
        elif not isinstance(value, str):
            yield f"{key!r} is {value!r}; expected text"
    if "dir" not in table and "map" not in table:
        yield "needs 'dir'"
    if "pattern" in table and "map" in table:
        yield "has both 'pattern' and 'map'; expected one of them"
    pattern = table.get("pattern")
    if isinstance(pattern, str) and (ID_FIELD not in pattern or set("{}") & set(pattern.replace(ID_FIELD, ""))):
        yield f"pattern {pattern!r} must contain {ID_FIELD} and no other braces"
