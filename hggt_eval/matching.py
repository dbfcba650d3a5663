"""Which restored file belongs to which patch group, and whether all of them can be scored.

Every fault of every method is collected before anything is scored. A file's pixels are decoded here to find damage and
again when it is scored, rather than held in memory in between: 3 ms a picture buys memory that does not grow.
"""

import csv
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from hggt_data.errors import ImageError, MatchError
from hggt_data.images import decode_png, parse_png
from hggt_data.loading import GroupSource
from hggt_data.schema import PatchId

FaultKind = Literal["missing", "extra", "ambiguous", "unusable"]

_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".gif")
_ID_FIELD = "{id}"
# A method's name becomes a folder; these characters are refused by one system or another.
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_REPORT_FILES = ("scores.csv", "scores.json")


@dataclass(frozen=True, slots=True)
class Method:
    """A restoration method, by where its files lie.

    Attributes:
        name: as reports call it; also the name of its folder of reports.
        folder: where its restored images lie.
        pattern: path of a file below `folder` with `{id}` in it; null stands for `ID.png` and `ID_anything.png`.
        map_file: CSV with the columns `id` and `file` (below `folder`), instead of a pattern.
    """

    name: str
    folder: Path
    pattern: str | None = None
    map_file: Path | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip(". ") or _UNSAFE.search(self.name):
            raise MatchError(
                f"method name {self.name!r} cannot name a folder of reports; give another with NAME=DIR, without "
                'any of < > : " / \\ | ? * and without dots or spaces at its ends'
            )
        if self.name.lower() in _REPORT_FILES:
            raise MatchError(f"method name {self.name!r} is the name of a report; give another with NAME=DIR")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with one method's restored images.

    Attributes:
        kind: `missing`: a group without a file; `extra`: a file without a group; `ambiguous`: several files for one
            group; `unusable`: damaged, of the wrong size, or not an 8-bit RGB PNG.
        method: name of the method.
        id: the group it concerns; null for extra files.
        message: what was found.
    """

    kind: FaultKind
    method: str
    id: PatchId | None
    message: str


@dataclass(frozen=True, slots=True)
class RestoredFiles:
    """One method's files, one per group.

    Attributes:
        method: whose they are.
        files: group -> file; groups without a usable file are not in it.
        sizes: group -> (height, width) of its pictures, for the same groups.
        faults: what was left out.
    """

    method: Method
    files: Mapping[PatchId, Path]
    sizes: Mapping[PatchId, tuple[int, int]]
    faults: tuple[Fault, ...] = ()


def name_methods(folders: Sequence[tuple[str | None, Path]]) -> list[Method]:
    """Methods from (name, folder), where null names are made from what tells a path from the others.

    Official outputs all end in `Test-100`, so parts at the end that start with `Test-` do not count unless nothing else
    tells the paths apart. What is left loses the parts all paths share at both ends.

    Raises:
        MatchError: two methods would have one name, or a name cannot name a folder.

    Example:
        >>> paths = [Path("out/swinir/x4/Test-100"), Path("out/rrdb/x4/Test-100")]
        >>> [method.name for method in name_methods([(None, path) for path in paths])]
        ['swinir', 'rrdb']
        >>> [method.name for method in name_methods([(None, Path("out/bicubic/Test-100"))])]
        ['bicubic']
    """
    # Not resolve(): a link keeps the name that the user typed.
    unnamed = [Path(os.path.abspath(folder)) for name, folder in folders if name is None]  # noqa: PTH100
    made = iter(_distinct_names(unnamed))
    methods = [Method(next(made) if name is None else name, folder) for name, folder in folders]
    require_distinct(methods)
    return methods


def require_distinct(methods: Sequence[Method]) -> None:
    """Check that no two methods have one name; upper and lower case do not tell names apart, as on some disks.

    Raises:
        MatchError: two have.
    """
    first: dict[str, Method] = {}
    for method in methods:
        other = first.setdefault(method.name.casefold(), method)
        if other is not method:
            raise MatchError(
                f"two methods have the name {method.name!r}: {other.folder} and {method.folder}; "
                "name them with NAME=DIR"
            )


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


def match_restored(
    methods: Sequence[Method], source: GroupSource, *, suffix: str | None = None, allow_missing: bool = False
) -> list[RestoredFiles]:
    """Find and check every method's file of every group.

    Args:
        methods: of distinct names.
        source: the groups they are scored against.
        suffix: where a method has no pattern, only `ID_SUFFIX.png` and `IDSUFFIX.png` are its files.
        allow_missing: leave out what has faults and record it instead of failing.

    Returns:
        One entry per method, in their order.

    Raises:
        MatchError: files are missing, extra, ambiguous or unusable (all of them are listed), or, whatever is allowed, a
            method has no usable file at all.
    """
    absent = [f"{method.name}: {method.folder}" for method in methods if not method.folder.is_dir()]
    if absent:
        raise MatchError(
            f"expected a folder of restored images for each method, but there is none at {'; '.join(absent)}"
        )
    found = [_find(method, source.ids, suffix) for method in methods]
    matched = _check_pictures(found, source)
    faults = [fault for files in matched for fault in files.faults]
    if faults and not allow_missing:
        raise MatchError(_format_faults(faults, len(source)) + "\nPass --allow-missing to score the rest.")
    empty = [files for files in matched if not files.files]
    if empty:
        raise MatchError(_format_faults([fault for files in empty for fault in files.faults], len(source)))
    return matched


def _distinct_names(folders: Sequence[Path]) -> list[str]:
    full = [folder.parts for folder in folders]
    short = [_without_test_set(parts) for parts in full]
    paths = short if len(set(short)) == len(short) else full
    if len(paths) == 1:
        return [paths[0][-1]]
    start = _num_shared(paths)
    tails = [parts[start:] for parts in paths]
    end = _num_shared([parts[::-1] for parts in tails])
    # A path that is the beginning of another has no part of its own; its last one names it.
    return ["-".join(tail[: len(tail) - end]) or parts[-1] for tail, parts in zip(tails, paths, strict=True)]


def _num_shared(paths: Sequence[tuple[str, ...]]) -> int:
    """How many parts all paths begin with."""
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False)))


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
            near = get_close_matches(key, known, n=1)
            yield f"key {key!r} is not known; " + (f"did you mean {near[0]!r}?" if near else f"expected {known}")
        elif not isinstance(value, str):
            yield f"{key!r} is {value!r}; expected text"
    if "dir" not in table and "map" not in table:
        yield "has no 'dir'"
    if "pattern" in table and "map" in table:
        yield "has both 'pattern' and 'map'; give one"
    pattern = table.get("pattern")
    if isinstance(pattern, str) and (_ID_FIELD not in pattern or set("{}") & set(pattern.replace(_ID_FIELD, ""))):
        yield f"pattern {pattern!r} must hold {_ID_FIELD} and no other braces"


def _find(method: Method, ids: Sequence[PatchId], suffix: str | None) -> RestoredFiles:
    """One method's files by their names alone."""
    if method.map_file is not None:
        named, extra = _by_map(method, method.map_file, ids)
    elif method.pattern is not None:
        named, extra = _by_pattern(method.folder, method.pattern, ids)
    else:
        named, extra = _by_name(method.folder, ids, suffix)
    faults = [Fault("extra", method.name, None, text) for text in sorted(extra)]
    for group_id in ids:
        paths = sorted(named.get(group_id, []))
        if not paths:
            faults.append(Fault("missing", method.name, group_id, f"{group_id}: no restored image"))
        elif len(paths) > 1:
            names = " and ".join(str(path.relative_to(method.folder)) for path in paths)
            faults.append(Fault("ambiguous", method.name, group_id, f"{group_id}: {names}"))
    files = {group_id: named[group_id][0] for group_id in ids if len(named.get(group_id, [])) == 1}
    return RestoredFiles(method, files, {}, tuple(faults))


_Named = tuple[dict[PatchId, list[Path]], list[str]]


def _by_name(folder: Path, ids: Iterable[PatchId], suffix: str | None) -> _Named:
    """Files named `ID.png` or `ID_anything.png`, and the names of pictures that belong to no group."""
    by_text = {str(group_id): group_id for group_id in ids}
    named: dict[PatchId, list[Path]] = defaultdict(list)
    extra = []
    for path in _pictures(folder.iterdir()):
        group_id = _id_with_suffix(path.stem, suffix, by_text) if suffix else _longest_id(path.stem, by_text)
        if suffix and not path.stem.endswith(suffix):
            continue  # the suffix says which files are meant
        if group_id is None:
            extra.append(path.name)
        else:
            named[group_id].append(path)
    return named, extra


def _id_with_suffix(stem: str, suffix: str, by_text: Mapping[str, PatchId]) -> PatchId | None:
    return by_text.get(stem.removesuffix(suffix)) or by_text.get(stem.removesuffix("_" + suffix))


def _longest_id(stem: str, by_text: Mapping[str, PatchId]) -> PatchId | None:
    """The longest id that is the whole stem or its beginning up to an underscore; image names may hold underscores."""
    while stem not in by_text:
        stem, underscore, _ = stem.rpartition("_")
        if not underscore:
            return None
    return by_text[stem]


def _by_pattern(folder: Path, pattern: str, ids: Iterable[PatchId]) -> _Named:
    """Files at `pattern`, and pictures that fit it with an id that no group has."""
    named = {
        group_id: [path] for group_id in ids if (path := folder / pattern.replace(_ID_FIELD, str(group_id))).is_file()
    }
    first, *others = (re.escape(part) for part in pattern.split(_ID_FIELD))
    fits = re.compile(first + r"(?P<id>[^/]+)" + r"(?P=id)".join(others) if others else first)
    known = {path for paths in named.values() for path in paths}
    depth = "/".join("*" for _ in Path(pattern).parts)
    extra = [
        path.relative_to(folder).as_posix()
        for path in _pictures(folder.glob(depth))
        if path not in known and fits.fullmatch(path.relative_to(folder).as_posix())
    ]
    return named, extra


def _by_map(method: Method, map_file: Path, ids: Iterable[PatchId]) -> _Named:
    """Files that a CSV names, and its ids that no group has."""
    try:
        with open(map_file, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MatchError(f"{method.name}: {map_file}: not CSV: {error}") from error
    by_text = {str(group_id): group_id for group_id in ids}
    named: dict[PatchId, list[Path]] = defaultdict(list)
    extra = []
    for number, row in enumerate(rows, start=2):
        group_text, file_text = row.get("id"), row.get("file")
        if not group_text or not file_text:
            raise MatchError(f"{method.name}: {map_file}, line {number}: expected the columns id and file, got {row}")
        group_id = by_text.get(group_text.strip())
        path = method.folder / file_text.strip()
        if group_id is None:
            extra.append(f"{file_text} (line {number} of {map_file.name}: no group {group_text})")
        else:
            named[group_id].append(path)  # whether it is there shows when it is opened
    return named, extra


def _pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """Files that are pictures by their ending; what systems leave behind (`._x.png`, `.DS_Store`) is not."""
    for path in paths:
        if path.suffix.lower() in _PICTURE_ENDINGS and not path.name.startswith(".") and path.is_file():
            yield path


def _check_pictures(found: Sequence[RestoredFiles], source: GroupSource) -> list[RestoredFiles]:
    """The same without unusable pictures and with sizes; each group's size is read once for all methods."""
    sizes: list[dict[PatchId, tuple[int, int]]] = [{} for _ in found]
    faults = [list(files.faults) for files in found]
    for index, group_id in enumerate(source.ids):
        if not any(group_id in files.files for files in found):
            continue
        group = source[index]
        size = parse_png(group.read_bytes(group.candidates[0])).size
        for files, own_sizes, own_faults in zip(found, sizes, faults, strict=True):
            path = files.files.get(group_id)
            if path is None:
                continue
            if reason := _picture_fault(path, size):
                text = f"{path.relative_to(files.method.folder)}: {reason}"
                own_faults.append(Fault("unusable", files.method.name, group_id, text))
            else:
                own_sizes[group_id] = size
    return [
        RestoredFiles(
            files.method, {group_id: files.files[group_id] for group_id in own_sizes}, own_sizes, tuple(own_faults)
        )
        for files, own_sizes, own_faults in zip(found, sizes, faults, strict=True)
    ]


def _picture_fault(path: Path, size: tuple[int, int]) -> str | None:
    """Why a restored image cannot be scored against pictures of this size, null if it can."""
    try:
        data = path.read_bytes()
        info = parse_png(data)
        decode_png(data, info)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if info.size != size:
        return f"{info.height} x {info.width}; expected {size[0]} x {size[1]}, the size of its group"
    return None


_HEADINGS: dict[FaultKind, str] = {
    "missing": "{count} of {groups} groups have no restored image",
    "extra": "{count} pictures match no group",
    "ambiguous": "{count} groups have several restored images",
    "unusable": "{count} restored images cannot be scored",
}


def _format_faults(faults: Sequence[Fault], num_groups: int) -> str:
    """All faults, by method and kind."""
    lines = ["restored images and groups do not fit together:"]
    by_heading: dict[tuple[str, FaultKind], list[Fault]] = defaultdict(list)
    for fault in faults:
        by_heading[fault.method, fault.kind].append(fault)
    for (method, kind), own in by_heading.items():
        lines.append(f"{method}: " + _HEADINGS[kind].format(count=len(own), groups=num_groups))
        lines += [f"  {fault.message}" for fault in own]
    if any(fault.kind == "extra" for fault in faults):
        lines.append(
            "A name is PATCHID.png or PATCHID_ANYTHING.png; pass --suffix if only some files of a folder are meant, "
            "--methods for other patterns."
        )
    return "\n".join(lines)
