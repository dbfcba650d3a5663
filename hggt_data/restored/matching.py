"""Which restored file belongs to which patch group, and whether all of them can be used.

All faults of all methods and of the groups' own files are collected before anything is done with them. A restored image
is decoded here to find damage and again when it is used: 3 ms per image keeps memory constant. For the groups' own
files, only size, mode and checksums are checked, which is 20 times as fast.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hggt_data.errors import HggtError, ImageError, MatchError, TableError
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import read_csv, read_regular_file
from hggt_data.io.images import PngInfo, decode_png, parse_png
from hggt_data.io.names import by_look, look, note_lookalike
from hggt_data.io.pictures import looks_like_picture
from hggt_data.io.portability import require_upright
from hggt_data.io.text import join_lines, plural
from hggt_data.io.workers import cores_per_process
from hggt_data.loading import as_groups
from hggt_data.ranges import require_kind
from hggt_data.restored.methods import ID_FIELD, Fault, FaultKind, Method, absolute
from hggt_data.schema import ORIGINAL, group_order

# Names examined to propose settings, and settings proposed at most.
_NAMES_EXAMINED, _PROPOSED = 50, 3


@dataclass(frozen=True, slots=True)
class RestoredFiles:
    """One method's files, one per group.

    Attributes:
        files: group to file, for groups with a usable file.
        sizes: group to (height, width) of its pictures, or of the part to compare, for the same groups.
        faults: what is missing or was left out.
    """

    method: Method
    files: Mapping[str, Path]
    sizes: Mapping[str, tuple[int, int]]
    faults: tuple[Fault, ...] = ()


def match_restored(
    methods: Sequence[Method],
    source: GroupSource | str | Path,
    *,
    suffix: str | None = None,
    allow_missing: bool = False,
    negatives: bool = False,
    common_size: bool = False,
) -> list[RestoredFiles]:
    """Find and check every method's file for every group.

    Args:
        methods: Methods with distinct names.
        source: Tree, dataset of one split, or groups that `open_groups` has opened.
        suffix: Only `ID_SUFFIX.png` and `IDSUFFIX.png` are files of a method without a pattern.  [default: any suffix]
        allow_missing: Leave out files with faults, and record the faults, instead of failing.
        negatives: Also check the groups' negatives, because they will be compared with.
        common_size: Accept images of another size than their group's, unless one is twice as large as the other or
            more; their size is then what both have.

    Returns:
        One entry per method, in their order.

    Raises:
        MatchError: files are missing, ambiguous, unusable, or belong to no group (all are listed). Even with
            `allow_missing`, each method needs a usable file, and the groups' own files must have no errors.

    Example:
        >>> import tempfile
        >>> from hggt_data import match_restored, name_methods, write_demo_tree
        >>> demo = write_demo_tree(tempfile.mkdtemp())
        >>> methods = name_methods([("originals", demo.test / "GT/Test-demo/images/original")])
        >>> [restored] = match_restored(methods, demo.test)
        >>> len(restored.files), restored.faults
        (6, ())
    """
    for method in methods:
        require_kind(Method, "make them with `name_methods` or `read_methods`", methods=method)
    groups = as_groups(source)
    _require_places(methods)
    found = [_find(method, groups.ids, suffix) for method in methods]
    sizes, needless, own_faults = _check_groups(found, groups, negatives=negatives)
    matched = [_check_files(files, sizes, needless, common_size=common_size) for files in found]
    messages = [_format_own_faults(own_faults)] if own_faults else []
    empty = [files for files in matched if not files.files]
    faulty = [files for files in (empty if allow_missing else matched) if files.faults]
    if faulty:
        messages.append(_format_faults(faulty, groups.ids))
        if not empty:
            messages.append("Pass `allow_missing` to use the rest.")
    if messages:
        raise MatchError(join_lines(messages))
    return matched


def _require_places(methods: Sequence[Method]) -> None:
    """Check that the folders and map files exist."""
    missing = [str(method.folder) for method in methods if not method.folder.is_dir()]
    if missing:
        raise MatchError(f"no such folder of restored images: {'; '.join(missing)}")
    missing = [f"{m.name}: {m.map_file}" for m in methods if m.map_file is not None and not m.map_file.is_file()]
    if missing:
        raise MatchError(
            f"no such file: {'; '.join(missing)}; expected a CSV file with the columns id and file as `map` of a "
            "methods file. Relative paths start at the methods file."
        )


def _find(method: Method, ids: Sequence[str], suffix: str | None) -> RestoredFiles:
    """One method's files, by name only."""
    if method.map_file is not None:
        named, extra = _by_map(method, method.map_file, ids)
    elif method.pattern is not None:
        named, extra = _by_pattern(method.folder, method.pattern, ids)
    else:
        named, extra = _by_name(method.folder, ids, suffix)
    users: dict[Path, set[str]] = defaultdict(set)
    for group_id, paths in named.items():
        for path in paths:
            users[absolute(path)].add(group_id)
    files: dict[str, Path] = {}
    faults = [Fault("extra", method.name, None, text) for text in sorted(extra)]
    for group_id in ids:
        paths = sorted(named.get(group_id, []))
        names = " and ".join(method.file_name(path) for path in paths)
        others = {other for path in paths for other in users[absolute(path)]} - {group_id}
        if not paths:
            faults.append(Fault("missing", method.name, group_id, f"{group_id}: no restored image"))
        elif len(paths) > 1:
            faults.append(Fault("ambiguous", method.name, group_id, f"{group_id}: {names}"))
        elif not paths[0].is_file():
            faults.append(
                Fault("missing", method.name, group_id, f"{group_id}: the map names {names}, which does not exist")
            )
        elif others:
            shared = f"{group_id}: {names} is also the image of {', '.join(sorted(others, key=group_order))}"
            faults.append(Fault("ambiguous", method.name, group_id, shared))
        else:
            files[group_id] = paths[0]
    return RestoredFiles(method, files, {}, tuple(faults))


_Named = tuple[dict[str, list[Path]], list[str]]


def _by_name(folder: Path, ids: Collection[str], suffix: str | None) -> _Named:
    """Files named `ID.png` or `ID_anything.png`, and the names of images that belong to no group."""
    known = by_look(ids)
    ids = frozenset(ids)
    named: dict[str, list[Path]] = defaultdict(list)
    extra = []
    for path in _pictures(folder.iterdir()):
        group_id = _id_with_suffix(path.stem, suffix, ids) if suffix else _longest(path.stem, ids)
        if suffix and not path.stem.endswith(suffix):
            continue  # the suffix selects files
        if group_id:
            named[group_id].append(path)
        elif near := _longest(path.stem, ids):  # only with a suffix
            extra.append(f"{path.name} ({near} has the suffix {path.stem.removeprefix(near)}, not {suffix})")
        else:
            near = _longest(path.stem, known, look)
            extra.append(f"{path.name}{note_lookalike(near, known)}")
    return named, extra


def _id_with_suffix(stem: str, suffix: str, ids: Container[str]) -> str:
    """The id, followed by the suffix with or without an underscore; empty if there is no such group."""
    return next((text for ending in (suffix, f"_{suffix}") if (text := stem.removesuffix(ending)) in ids), "")


def _longest(stem: str, known: Container[str], key: Callable[[str], str] = str) -> str:
    """The stem, or its longest beginning up to an underscore, whose key is known; empty if there is none.

    Ids may contain underscores, too.
    """
    while stem and key(stem) not in known:
        stem = stem.rpartition("_")[0]
    return stem


def _by_pattern(folder: Path, pattern: str, ids: Sequence[str]) -> _Named:
    """Files that fit the pattern, and images that fit it with an id of no group."""
    named = {group_id: [path] for group_id in ids if (path := folder / pattern.replace(ID_FIELD, group_id)).is_file()}
    first, *others = (re.escape(part) for part in pattern.split(ID_FIELD))
    fits = re.compile(first + r"(?P<id>[^/]+)" + r"(?P=id)".join(others) if others else first)
    known = {path for paths in named.values() for path in paths}
    depth = "/".join("*" for _ in Path(pattern).parts)
    looks = by_look(ids)
    extra = []
    for path in _pictures(folder.glob(depth)):
        name = path.relative_to(folder).as_posix()
        if path not in known and (match := fits.fullmatch(name)):
            extra.append(f"{name}{note_lookalike(match['id'], looks)}")
    return named, extra


def _by_map(method: Method, map_file: Path, ids: Collection[str]) -> _Named:
    """Files listed in a CSV file, and its lines with an id of no group."""
    try:
        _, rows = read_csv(map_file)
    except TableError as error:
        raise MatchError(f"{method.name}: {error}") from error
    known = by_look(ids)
    ids = frozenset(ids)
    named: dict[str, list[Path]] = defaultdict(list)
    extra = []
    for number, row in enumerate(rows, start=2):
        group_id, file_text = row.get("id"), row.get("file")
        if not group_id or not file_text:
            raise MatchError(
                f"{method.name}: {map_file}, line {number}: expected values in the columns id and file, got {row}"
            )
        group_id = group_id.strip()
        path = method.folder / file_text.strip()
        if group_id not in ids:
            note = note_lookalike(group_id, known)
            extra.append(f"{file_text} (line {number} of {map_file.name}: there is no group {group_id}{note})")
        else:
            named[group_id].append(path)
    return named, extra


def _pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """Picture files, without hidden ones such as macOS' `._x.png`."""
    for path in paths:
        if looks_like_picture(path.name) and not path.name.startswith(".") and path.is_file():
            yield path


def _check_groups(
    found: Sequence[RestoredFiles], source: GroupSource, *, negatives: bool
) -> tuple[dict[str, tuple[int, int]], set[str], list[str]]:
    """(height, width) of groups with restored images, groups that need none, and faults of the groups' own files."""
    wanted = {group_id for files in found for group_id in files.files}
    sizes: dict[str, tuple[int, int]] = {}
    needless: set[str] = set()
    faults = []
    for index, group_id in enumerate(source.ids):
        try:
            group = source[index]
        except (HggtError, OSError) as error:
            faults.append(_reason(error, f"{source.location}: annotation of {group_id}"))
            continue
        if not source.has_ground_truths:
            sizes[group_id] = _first_size(files.files[group_id] for files in found if group_id in files.files)
            continue
        if not group.ground_truths:  # nothing to compare a restored image with
            needless.add(group_id)
        if group_id in wanted and group.has_picture(ORIGINAL):  # without it there are no ground truths
            names = dict.fromkeys((ORIGINAL, *group.ground_truths, *(group.negatives if negatives else ())))
            size, of_group = _check_group(group, names)
            faults += of_group
            if size is not None:
                sizes[group_id] = size
    return sizes, needless, faults


def _first_size(paths: Iterable[Path]) -> tuple[int, int]:
    """(height, width) of the first file that can be read; (0, 0) if there is none."""
    for path in paths:
        with suppress(ImageError, OSError):
            return parse_png(read_regular_file(path)).size
    return 0, 0


def _check_group(group: Group, names: Iterable[str]) -> tuple[tuple[int, int] | None, list[str]]:
    """(height, width) of the group's original, and the faults of its pictures; `names` starts with it."""
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
                word = _factor(info.size, original.size)
                hint = f" ({word}: an LR folder?)" if word.endswith("smaller") else ""
                expected = f"expected {_size_and_mode(original)}, as its original"
                faults.append(f"{what}: {_size_and_mode(info)}{hint}; {expected}")
    return None if original is None else original.size, faults


def _size_and_mode(info: PngInfo) -> str:
    return f"{info.height} x {info.width} {info.mode}"


def _reason(error: HggtError | OSError, what: str) -> str:
    """An error as text; errors of the system may not name the file."""
    if isinstance(error, HggtError):
        return str(error)
    place = f": {error.filename}" if error.filename and str(error.filename) not in what else ""
    return f"{what} cannot be read: {error.strerror}{place}"


def _check_files(
    found: RestoredFiles, sizes: Mapping[str, tuple[int, int]], needless: Container[str], *, common_size: bool
) -> RestoredFiles:
    """The usable ones of a method's files. Images of a group of unknown size are not judged."""
    method = found.method
    faults = [fault for fault in found.faults if fault.kind != "missing" or fault.id not in needless]
    files: dict[str, Path] = {}
    common: dict[str, tuple[int, int]] = {}
    known = {group_id: path for group_id, path in found.files.items() if group_id in sizes}
    check = partial(_check_picture, common_size=common_size)
    with ThreadPoolExecutor(cores_per_process()) as threads:
        checked = list(threads.map(check, known.values(), map(sizes.__getitem__, known)))
    for (group_id, path), (size, reason) in zip(known.items(), checked, strict=True):
        if reason:
            faults.append(Fault("unusable", method.name, group_id, f"{method.file_name(path)}: {reason}"))
        else:
            files[group_id], common[group_id] = path, size
    if not files and (scaled := _scaled_alike(found, sizes)):
        faults = [Fault("unusable", method.name, None, scaled)]
    return RestoredFiles(method, files, common, tuple(faults))


def _scaled_alike(found: RestoredFiles, sizes: Mapping[str, tuple[int, int]]) -> str | None:
    """The one reason why a method has no usable image, if all images differ from their groups' by the same factor."""
    words = set()
    for group_id, path in found.files.items():
        size = _first_size([path])
        words.add(_factor(size, sizes[group_id]) if group_id in sizes else "")
    if len(words) != 1 or not (word := words.pop()):
        return None
    group_id, path = next(iter(found.files.items()))
    sides = [f"{height} x {width}" for height, width in (_first_size([path]), sizes[group_id])]
    which = "the images" if word.endswith("smaller") else "the ground truths"
    return (
        f"all {len(found.files)} images are {word} than the ground truths (first: {path.name} is {sides[0]}, expected "
        f"{sides[1]}); are {which} a folder of LR images?"
    )


def _factor(size: tuple[int, int], expected: tuple[int, int]) -> str:
    """How many times larger or smaller a picture is than expected, in words; empty if by no whole factor."""
    for one, other, word in ((size, expected, "larger"), (expected, size, "smaller")):
        factor = one[0] // max(other[0], 1)
        if factor > 1 and (other[0] * factor, other[1] * factor) == one:
            return f"{factor} times {word}"
    return ""


def _check_picture(path: Path, size: tuple[int, int], *, common_size: bool) -> tuple[tuple[int, int], str]:
    """The size in which a restored image can be compared with pictures of this size, and why it cannot, or nothing."""
    try:
        data = read_regular_file(path)
        info = parse_png(data)
        decode_png(data, info)
        require_upright(data)
    except ImageError as error:
        return size, str(error)
    except OSError as error:
        return size, f"cannot be read: {error.strerror}"
    sides = list(zip(info.size, size, strict=True))
    if info.size == size or (common_size and all(max(pair) < 2 * min(pair) for pair in sides)):
        return (min(sides[0]), min(sides[1])), ""
    return size, f"{info.height} x {info.width}; expected {size[0]} x {size[1]}, the size of its group's pictures"


def _format_own_faults(faults: Sequence[str]) -> str:
    lines = ["the groups' own files have errors:", *(f"  {fault}" for fault in faults)]
    return join_lines([*lines, "Restore these files; `hggt-data validate` checks a whole tree."])


_HEADINGS: dict[FaultKind, str] = {
    "missing": "groups without a restored image: {count} of {groups}",
    "extra": "restored images without a group: {count}",
    "ambiguous": "groups with several restored images, or with another group's image: {count} of {groups}",
    "unusable": "unusable restored images: {count}",
}


def _format_faults(matched: Sequence[RestoredFiles], ids: Sequence[str]) -> str:
    """All faults as text, by method and kind."""
    lines = ["the restored images do not match the groups:"]
    for files in matched:
        method = files.method
        by_kind: dict[FaultKind, list[Fault]] = defaultdict(list)
        for fault in files.faults:
            by_kind[fault.kind].append(fault)
        # An unusable image was found by its name.
        advice = _propose_names(method, ids, len(files.files) + len(by_kind.get("unusable", ())))
        # One line instead of one for each image.
        unknown = [fault.message for fault in by_kind.get("extra", ())]
        shares_none = (
            not files.files and by_kind.keys() == {"missing", "extra"} and all(map(looks_like_picture, unknown))
        )
        if shares_none and not advice and method.map_file is None:
            lines.append(f"{method.name}: {_explain_none(method, ids)}")
            continue
        if [fault.id for fault in by_kind.get("unusable", ())] == [None]:
            lines.append(f"{method.name}: {by_kind['unusable'][0].message}")
            continue
        for kind, own in by_kind.items():
            lines.append(f"{method.name}: " + _HEADINGS[kind].format(count=len(own), groups=len(ids)))
            if kind != "missing" or files.files or by_kind.keys() - {"missing", "extra"} or method.map_file:
                lines += [f"  {fault.message}" for fault in own]
            elif not advice:
                lines.append("  " + _explain_none(method, ids))
        if advice:
            lines.append("  " + advice)
        elif "extra" in by_kind and method.map_file is None and method.pattern is None:
            lines.append(
                "  Expected names are PATCHID.png or PATCHID_ANYTHING.png. Pass `suffix` to select files by suffix, or "
                "`methods` (a methods file) for other names."
            )
    return ": ".join([lines[0].rstrip(":"), lines[1]]) if len(lines) == 2 else join_lines(lines)


def _propose_names(method: Method, ids: Sequence[str], num_found: int) -> str | None:
    """The setting that finds the files of most groups, judged by the first names in the folder; None if none helps."""
    if method.map_file is not None:
        return None
    texts = sorted(ids, key=len, reverse=True)
    names = [path.relative_to(method.folder).as_posix() for path in sorted(_pictures(method.folder.rglob("*")))]
    patterns = {
        name.replace(found[0], ID_FIELD)
        for name in names[:_NAMES_EXAMINED]
        if (found := [text for text in texts if text in name])
    }
    known = set(names)
    counts = {pattern: sum(pattern.replace(ID_FIELD, text) in known for text in texts) for pattern in patterns}
    most = max(counts.values(), default=0)
    if most <= num_found:
        return None
    best = sorted(pattern for pattern, count in counts.items() if count == most)[:_PROPOSED]
    settings = " or ".join(_setting_for(method, pattern) for pattern in best)
    return f"Names like {' and '.join(best)} exist for {most} of {plural(len(ids), 'group')}; pass {settings}."


def _setting_for(method: Method, pattern: str) -> str:
    """What to pass so that files with such names are found."""
    folder, _, name = pattern.rpartition("/")
    ending = name.removeprefix(ID_FIELD)
    if method.pattern is not None or ID_FIELD in folder + ending or not ending.endswith(".png"):
        return f'a methods file (`methods`) with pattern = "{pattern}"'
    return f"the folder {method.folder / folder}" if folder else f"`suffix` {ending[: -len('.png')].removeprefix('_')}"


def _explain_none(method: Method, ids: Sequence[str]) -> str:
    """What a folder contains if no name in it has the id of a group."""
    pictures = sorted(_pictures(method.folder.rglob("*")))
    if not pictures:
        return f"{method.folder} contains no images, not even in its subfolders; check the path"
    own = [path for path in pictures if path.parent == method.folder]
    return (
        f"{method.folder} contains {plural(len(own), 'image')}, its subfolders {len(pictures) - len(own)} "
        f"(first: {method.file_name((own or pictures)[0])}); no name contains the id of a group (first: {ids[0]}); are "
        "these the results for other groups?"
    )
