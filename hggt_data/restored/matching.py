"""Which restored file belongs to which patch group, and whether all of them can be scored.

Every fault of every method, and of the ground truth, is collected before anything is scored. A restored image's pixels
are decoded here to find damage and again when it is scored, rather than held in memory in between: 3 ms a picture buys
memory that does not grow. Of the ground truth only size, mode and checksums are looked at, which is 20 times as fast.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import HggtError, ImageError, MatchError, TableError
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import read_csv
from hggt_data.io.images import PngInfo, decode_png, looks_like_picture, parse_png
from hggt_data.restored.methods import ID_FIELD, Fault, FaultKind, Method, absolute
from hggt_data.schema import ORIGINAL, PatchId


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


def match_restored(
    methods: Sequence[Method],
    source: GroupSource,
    *,
    suffix: str | None = None,
    allow_missing: bool = False,
    negatives: bool = False,
) -> list[RestoredFiles]:
    """Find and check every method's file of every group.

    Args:
        methods: of distinct names.
        source: the groups they are scored against.
        suffix: where a method has no pattern, only `ID_SUFFIX.png` and `IDSUFFIX.png` are its files.
        allow_missing: leave out what has faults and record it instead of failing.
        negatives: whether negatives will be compared with, and so are checked too.

    Returns:
        One entry per method, in their order.

    Raises:
        MatchError: files are missing, extra, ambiguous or unusable (all of them are listed), or, whatever is allowed, a
            method has no usable file at all, or the ground truth has faults.
    """
    _require_places(methods)
    found = [_find(method, source.ids, suffix) for method in methods]
    matched, ground_truth = _check_pictures(found, source, negatives=negatives)
    messages = [_format_ground_truth(ground_truth)] if ground_truth else []
    empty = [files for files in matched if not files.files]
    faulty = [files for files in (empty if allow_missing else matched) if files.faults]
    if faulty:
        messages.append(_format_faults(faulty, len(source), suffix))
        if not empty:
            messages.append("Pass --allow-missing to score the rest.")
    if messages:
        raise MatchError("\n".join(messages))
    return matched


def _require_places(methods: Sequence[Method]) -> None:
    """Check that the methods' folders and maps are there, before anything is looked for in them."""
    absent = [f"{method.name}: {method.folder}" for method in methods if not method.folder.is_dir()]
    if absent:
        raise MatchError(
            f"expected a folder of restored images for each method, but there is none at {'; '.join(absent)}"
        )
    absent = [f"{m.name}: {m.map_file}" for m in methods if m.map_file is not None and not m.map_file.is_file()]
    if absent:
        raise MatchError(
            "expected a CSV file with the columns id and file where a methods file says map, but there is none at "
            f"{'; '.join(absent)}; relative paths start at the methods file"
        )


def _find(method: Method, ids: Sequence[PatchId], suffix: str | None) -> RestoredFiles:
    """One method's files by their names alone."""
    if method.map_file is not None:
        named, extra = _by_map(method, method.map_file, ids)
    elif method.pattern is not None:
        named, extra = _by_pattern(method.folder, method.pattern, ids)
    else:
        named, extra = _by_name(method.folder, ids, suffix)
    users: dict[Path, set[PatchId]] = defaultdict(set)
    for group_id, paths in named.items():
        for path in paths:
            users[absolute(path)].add(group_id)
    files: dict[PatchId, Path] = {}
    faults = [Fault("extra", method.name, None, text) for text in sorted(extra)]
    for group_id in ids:
        paths = sorted(named.get(group_id, []))
        names = " and ".join(method.file_name(path) for path in paths)
        others = sorted({other for path in paths for other in users[absolute(path)]} - {group_id})
        if not paths:
            faults.append(Fault("missing", method.name, group_id, f"{group_id}: no restored image"))
        elif len(paths) > 1:
            faults.append(Fault("ambiguous", method.name, group_id, f"{group_id}: {names}"))
        elif not absolute(paths[0]).is_file():
            faults.append(Fault("missing", method.name, group_id, f"{group_id}: no file {names}, which the map names"))
        elif others:
            shared = f"{group_id}: {names}, which is also that of {', '.join(map(str, others))}"
            faults.append(Fault("ambiguous", method.name, group_id, shared))
        else:
            files[group_id] = paths[0]
    return RestoredFiles(method, files, {}, tuple(faults))


_Named = tuple[dict[PatchId, list[Path]], list[str]]


def _by_name(folder: Path, ids: Iterable[PatchId], suffix: str | None) -> _Named:
    """Files named `ID.png` or `ID_anything.png`, and the names of pictures that belong to no group."""
    by_text = {str(group_id): group_id for group_id in ids}
    by_folded = {text.casefold(): group_id for text, group_id in by_text.items()}
    named: dict[PatchId, list[Path]] = defaultdict(list)
    extra = []
    for path in _pictures(folder.iterdir()):
        group_id = _id_with_suffix(path.stem, suffix, by_text) if suffix else _longest_id(path.stem, by_text)
        if suffix and not path.stem.endswith(suffix):
            continue  # the suffix says which files are meant
        if group_id is not None:
            named[group_id].append(path)
        elif near := _longest_id(path.stem, by_text):  # there is a suffix
            extra.append(f"{path.name} ({near} is followed by {path.stem.removeprefix(str(near))}, not by {suffix})")
        elif near := _longest_id(path.stem.casefold(), by_folded):
            extra.append(f"{path.name} (but for upper and lower case, it would be {near})")
        else:
            extra.append(path.name)
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
        group_id: [path] for group_id in ids if (path := folder / pattern.replace(ID_FIELD, str(group_id))).is_file()
    }
    first, *others = (re.escape(part) for part in pattern.split(ID_FIELD))
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
        _, rows = read_csv(map_file)
    except TableError as error:
        raise MatchError(f"{method.name}: {error}") from error
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
            named[group_id].append(path)
    return named, extra


def _pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """Files that are pictures by their ending; what systems leave behind (`._x.png`, `.DS_Store`) is not."""
    for path in paths:
        if looks_like_picture(path.name) and not path.name.startswith(".") and path.is_file():
            yield path


def _check_pictures(
    found: Sequence[RestoredFiles], source: GroupSource, *, negatives: bool
) -> tuple[list[RestoredFiles], list[str]]:
    """The same without unusable pictures and with sizes, and what is wrong with the ground truth.

    Each group is read once for all methods; one with faults of its own says nothing about restored images.
    """
    sizes: list[dict[PatchId, tuple[int, int]]] = [{} for _ in found]
    faults = [list(files.faults) for files in found]
    ground_truth = []
    for index, group_id in enumerate(source.ids):
        try:
            group = source[index]
        except (HggtError, OSError) as error:
            ground_truth.append(_reason(error, f"{source.location}: annotation of {group_id}"))
            continue
        if not group.positives:  # such a group is not scored
            faults = [[f for f in own if (f.kind, f.id) != ("missing", group_id)] for own in faults]
        if not any(group_id in files.files for files in found):
            continue
        names = (ORIGINAL, *group.positives, *(group.negatives if negatives else ()))
        size, own_ground_truth = _check_group(group, names)
        ground_truth += own_ground_truth
        for files, own_sizes, own_faults in zip(found, sizes, faults, strict=True):
            path = files.files.get(group_id)
            if path is None or size is None:
                continue
            if reason := _picture_fault(path, size):
                text = f"{files.method.file_name(path)}: {reason}"
                own_faults.append(Fault("unusable", files.method.name, group_id, text))
            else:
                own_sizes[group_id] = size
    matched = [
        RestoredFiles(
            files.method, {group_id: files.files[group_id] for group_id in own_sizes}, own_sizes, tuple(own_faults)
        )
        for files, own_sizes, own_faults in zip(found, sizes, faults, strict=True)
    ]
    return matched, ground_truth


def _check_group(group: Group, names: Iterable[str]) -> tuple[tuple[int, int] | None, list[str]]:
    """A group's (height, width), which its original has, and what is wrong with its pictures, the original first."""
    original: PngInfo | None = None
    faults = []
    for name in names:
        what = group.name_picture(name)
        try:
            info = parse_png(group.read_bytes(name))
        except ImageError as error:
            faults.append(f"{what}: {error}")
        except OSError as error:
            faults.append(_reason(error, what))
        else:
            if name == ORIGINAL:
                original = info
            elif original is not None and (info.size, info.mode) != (original.size, original.mode):
                faults.append(f"{what}: {_size_and_mode(info)}; expected {_size_and_mode(original)}, as its original")
    return None if original is None else original.size, faults


def _size_and_mode(info: PngInfo) -> str:
    return f"{info.height} x {info.width} {info.mode}"


def _reason(error: HggtError | OSError, what: str) -> str:
    """hggt's own errors say which file they are about; the system's may not."""
    if isinstance(error, HggtError):
        return str(error)
    place = f": {error.filename}" if error.filename and str(error.filename) not in what else ""
    return f"{what} cannot be read: {error.strerror}{place}"


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


def _format_ground_truth(faults: Sequence[str]) -> str:
    lines = ["the ground truth cannot be scored against:", *(f"  {fault}" for fault in faults)]
    return "\n".join([*lines, "Put whole files in their place; hggt-data validate checks all of a tree."])


_HEADINGS: dict[FaultKind, str] = {
    "missing": "groups without a restored image: {count} of {groups}",
    "extra": "pictures without a group: {count}",
    "ambiguous": "groups with several restored images, or with one that is another group's too: {count} of {groups}",
    "unusable": "restored images that cannot be scored: {count}",
}


def _format_faults(matched: Sequence[RestoredFiles], num_groups: int, suffix: str | None) -> str:
    """All faults, by method and kind."""
    lines = ["restored images and groups do not fit together:"]
    for files in matched:
        method = files.method
        by_kind: dict[FaultKind, list[Fault]] = defaultdict(list)
        for fault in files.faults:
            by_kind[fault.kind].append(fault)
        for kind, own in by_kind.items():
            lines.append(f"{method.name}: " + _HEADINGS[kind].format(count=len(own), groups=num_groups))
            if kind == "missing" and not files.files and by_kind.keys() <= {"missing", "extra"} and not method.map_file:
                lines.append("  " + _explain_none(method, suffix))
            else:
                lines += [f"  {fault.message}" for fault in own]
        if "extra" in by_kind and method.map_file is None and method.pattern is None:
            lines.append(
                "  A name is PATCHID.png or PATCHID_ANYTHING.png; pass --suffix if only some files of a folder are "
                "meant, --methods for other patterns."
            )
    return "\n".join(lines)


def _explain_none(method: Method, suffix: str | None) -> str:
    """What lies in a folder in which no group's restored image was found, and what to do."""
    pictures = sorted(_pictures(method.folder.rglob("*")))
    if not pictures:
        return f"there is no picture in {method.folder} or below it; check the path"
    own = [path for path in pictures if path.parent == method.folder]
    seen = (
        f"pictures in {method.folder}: {len(own)}, in folders below it: {len(pictures) - len(own)} "
        f"(first: {method.file_name((own or pictures)[0])}); "
    )
    if method.pattern is not None:
        return seen + f"none has the id of a group at pattern {method.pattern!r} of the methods file; correct that"
    if not own:
        return seen + "name the folder that holds them, or give a pattern such as {id}/{id}_x4.png with --methods"
    if suffix:
        return seen + f"none is PATCHID{suffix}.png or PATCHID_{suffix}.png; pass another --suffix or none"
    return seen + "none begins with the id of a group; is this the output for these groups?"
