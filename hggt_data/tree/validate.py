"""Check a tree and report every problem in one run.

`examine_group` reads one group; a build calls it too, so both apply the same checks. The layout checks names, places
and votes, `hggt_data.io.images` one picture.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hggt_data.errors import ImageError, TreeError
from hggt_data.io.files import FileDigest, read_regular_file, sha256_of
from hggt_data.io.images import PngInfo, decode_png, hash_pixels, parse_png, read_png_header
from hggt_data.io.portability import require_portable
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import advance, default_workers, run_tasks
from hggt_data.problems import Problem, Severity
from hggt_data.ranges import Count, CountOrNone, require_arguments
from hggt_data.schema import LR, ORIGINAL, PatchGroup
from hggt_data.tree.duplicates import DUPLICATE_HINT, EqualPictures, RepeatedPictures
from hggt_data.tree.folders import way_to_read
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.listing import GroupFiles, Listing, ListOptions
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions

DEFAULT_SCALE = 4
_GROUPS_PER_TASK = 16


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a validation.

    Attributes:
        num_groups: number of groups in the tree.
        problems: all problems, errors first.
        candidates: candidates found in the tree.
        slots: slots found in the tree; a slot that is missing as a whole shows here only.
        layout: name of the tree's layout; empty if it has none.
    """

    num_groups: int
    problems: tuple[Problem, ...]
    candidates: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    layout: str = ""

    def describe(self) -> str:
        """The result in one line."""
        errors, warnings = plural(len(self.errors), "error"), plural(len(self.warnings), "warning")
        found = f"{errors}, {warnings}"
        if not self.num_groups:
            return found
        names = (
            f"layout: {self.layout}, candidates {format_examples(self.candidates, 12)}, "
            f"slots {', '.join(self.slots) or 'none'}"
        )
        return f"{plural(self.num_groups, 'group')} ({names}): {found}"

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that block a build."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not block a build."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    def to_json(self) -> dict[str, object]:
        """`{"layout": L, "num_groups": N, "problems": [{"kind", "severity", "path", "message", "hint"}, ...]}`."""
        names = ("kind", "severity", "path", "message", "hint")
        return {
            "layout": self.layout or None,
            "num_groups": self.num_groups,
            "problems": [{name: getattr(problem, name) for name in names} for problem in self.problems],
        }


def validate_tree(
    tree: Path | str,
    lr: Path | str | None = None,
    *,
    workers: Count | None = None,
    fast: bool = False,
    expect_groups: CountOrNone | None = None,
    scale: Count = DEFAULT_SCALE,
    table: TableOptions = NO_TABLE_OPTIONS,
) -> Report:
    """Check a whole tree, in any known layout. Nothing is changed, and problems never raise: they are in the report.

    Args:
        tree: Folder `Train/`, `Test/`, or any other folder that contains `images/` and `labels/`; or its zip file.
        lr: Folder of low-resolution images, if it is not in its official place in TREE.
        workers: Worker processes.  [default: one per core, at most 8]
        fast: Check only the headers of the pictures; do not detect damaged or turned pictures or duplicates.
        expect_groups: Number of groups that the tree must have.
        scale: Scale factor between the low-resolution images and the originals.
        table: Where a table of votes and its pictures are, and what its words mean.

    Returns:
        The number of groups and all problems, each with kind, path, message and hint.

    Example:
        >>> import tempfile
        >>> from hggt_data import validate_tree, write_demo_tree
        >>> report = validate_tree(write_demo_tree(tempfile.mkdtemp()).train)
        >>> report.num_groups, report.problems
        (6, ())
    """
    require_arguments(validate_tree, workers=workers, expect_groups=expect_groups, scale=scale)
    try:
        listing = list_tree(Path(tree), ListOptions(None if lr is None else Path(lr), table))
    except (TreeError, OSError) as error:
        message = "; ".join(line.strip() for line in str(error).splitlines())
        return Report(0, (Problem("no-tree", "error", ".", message, "Nothing else was checked."),))
    problems = [problem for problem in listing.problems if problem.group is None]
    if not listing.ids or (expect_groups is not None and len(listing) != expect_groups):
        wanted = "at least one" if expect_groups is None else f"{expect_groups:,}"
        message = f"the tree has {plural(len(listing), 'group')}; expected {wanted}"
        problems.append(Problem("wrong-count", "error", ".", message, "Is the download complete?"))
    equal, repeated = EqualPictures(), RepeatedPictures()
    examined = examine_groups(listing, workers=workers, decode=not fast, scale=scale)
    for group_id, (found, digests) in zip(listing.ids, examined, strict=True):
        problems += found
        for path, message in repeated.add(group_id, digests):
            problems.append(Problem("duplicate-picture", "warning", path, message, DUPLICATE_HINT))
        equal.add(digests)
    problems += equal.problems()
    problems.sort(key=lambda problem: (problem.severity, problem.kind, problem.path, problem.message))
    return Report(len(listing), tuple(problems), listing.candidates, listing.slots, listing.layout.name)


def examine_groups(
    listing: Listing,
    ids: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    decode: bool = True,
    scale: int = DEFAULT_SCALE,
    labelled: bool = True,
    label: str = "validating",
) -> Iterator[tuple[list[Problem], dict[str, str]]]:
    """(problems, path to pixel digest) of each group in order; without `ids`, of all groups.

    Without `labelled`, no votes are expected or read. `label` is the text of the progress bar.
    """
    ids = listing.ids if ids is None else ids
    options = {"decode": decode, "scale": scale, "labelled": labelled}
    tasks = [
        _Task([listing.files(group_id) for group_id in ids[start : start + _GROUPS_PER_TASK]], options)
        for start in range(0, len(ids), _GROUPS_PER_TASK)
    ]
    workers = workers or default_workers()
    for examined in run_tasks(_examine_task, tasks, workers, total=len(ids), label=label):
        yield from examined


@dataclass(frozen=True, slots=True)
class _Task:
    groups: list[GroupFiles]
    options: dict[str, Any]


def _examine_task(task: _Task) -> list[tuple[list[Problem], dict[str, str]]]:
    """(problems, path to pixel digest) of each group; the pictures themselves stay in the worker."""
    results = []
    for files in task.groups:
        examined = examine_group(files, **task.options)
        results.append((examined.problems, examined.digests_by_path()))
        advance()
    return results


@dataclass(slots=True)
class Examined:
    """The content of one group, and its problems.

    Attributes:
        group: None if a vote has an error.
        size: (height, width) of the original in pixels, or of another picture of a group without an original; None if
            it cannot be read.
        pngs: picture name to the bytes of its file, for readable pictures.
        digests: picture name to a digest of its pixels.
        contents: path, relative to the tree, to the bytes of every file that was read.
    """

    files: GroupFiles
    group: PatchGroup | None = None
    size: tuple[int, int] | None = None
    pngs: dict[str, bytes] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def report(self, kind: str, path: Path, message: str, hint: str, severity: Severity = "error") -> None:
        """Add a problem of one of the files; the group cannot be used if it is an error."""
        self.problems.append(self.files.problem(kind, path, message, hint, severity))

    def digests_by_path(self) -> dict[str, str]:
        """`digests`, by the paths of the pictures relative to the tree."""
        return {self.files.relative(self.files.images[name]): digest for name, digest in self.digests.items()}

    def read(self, path: Path) -> bytes:
        """Read one of the files and keep its content."""
        data = self.contents[self.files.relative(path)] = read_regular_file(path)
        return data

    @property
    def inputs(self) -> list[FileDigest]:
        """Size and hash of every file that was read."""
        return [FileDigest(path, len(data), sha256_of(data)) for path, data in self.contents.items()]


def examine_group(
    files: GroupFiles, *, decode: bool = True, scale: int = DEFAULT_SCALE, labelled: bool = True
) -> Examined:
    """Read and check all files of one group.

    Without `decode`, only image headers are checked and no picture is kept; without `labelled`, no votes are
    expected or read.
    """
    examined = Examined(files, problems=list(files.problems))
    if not _may_be_read(files):
        return examined
    infos: dict[str, PngInfo] = {}
    for name in files.images:
        info = _examine_picture(examined, name, decode)
        if info is not None:
            infos[name] = info
    _check_sizes(examined, infos, scale)
    of_size = infos.get(ORIGINAL if ORIGINAL in files.images else next(iter(infos), ORIGINAL))
    examined.size = of_size.size if of_size else None
    if labelled:
        votes = files.read_votes(examined.read)
        examined.problems += votes.problems
        if not votes.errors:
            examined.group = files.judge(votes)
    return examined


def hash_inputs(files: GroupFiles) -> list[FileDigest]:
    """Every existing file of a group, as in `Examined.inputs`, without checking its content."""
    hashed = Examined(files)
    for path in (*files.images.values(), *files.vote_files) if _may_be_read(files) else ():
        with suppress(FileNotFoundError):
            hashed.read(path)
    return hashed.inputs


def _may_be_read(files: GroupFiles) -> bool:
    """No file is read if one of the group's names has an error: a link that points outside the tree is not followed."""
    return not any(problem.severity == "error" for problem in files.problems)


def _examine_picture(examined: Examined, name: str, decode: bool) -> PngInfo | None:
    """Check one picture, keep its bytes and digest, and return its header if it is an intact 8-bit RGB PNG."""
    path = examined.files.images[name]
    data = b""
    try:
        if decode:
            data = examined.read(path)
            info = parse_png(data)
        else:
            info = read_png_header(path)
        if info.mode != "8-bit RGB":
            hint = "Convert it to 8-bit RGB, or restore it from the download."
            examined.report("wrong-mode", path, f"{info.mode}; expected 8-bit RGB", hint)
            return None
        if decode:
            pixels = decode_png(data, info)
            try:
                require_portable(data, info)
            except ImageError as error:
                hint = "Save it again as a plain PNG without metadata, turned as it should be seen."
                examined.report("unportable-image", path, str(error), hint)
                return None
            examined.pngs[name] = data
            examined.digests[name] = hash_pixels(pixels)
        if info.metadata:
            message = f"contains {', '.join(info.metadata)}, which may reveal a place or a name"
            hint = "Remove it before publishing, for example with `exiftool -all=`."
            examined.report("picture-metadata", path, message, hint, "warning")
    except FileNotFoundError:
        files = examined.files
        message = f"picture {name} of group {files.id} is missing{files.note_lookalikes()}"
        examined.report("missing-image", path, message, "Restore it from the download.")
    except (ImageError, OSError) as error:
        reason = str(error) if isinstance(error, ImageError) else str(error.strerror)
        examined.report("unreadable-image", path, reason, way_to_read(error))
    else:
        return info
    return None


def _check_sizes(examined: Examined, infos: dict[str, PngInfo], scale: int) -> None:
    sizes = {name: info.size for name, info in infos.items() if name != LR}
    if not sizes:
        return
    files = examined.files
    height, width = sizes.get(ORIGINAL) or Counter(sizes.values()).most_common(1)[0][0]
    for name, (h, w) in sizes.items():
        if (h, w) != (height, width):
            message = f"{h} x {w} px (height x width); the group's other pictures have {height} x {width}"
            examined.report("size-mismatch", files.images[name], message, "Does the picture show another patch?")
    if LR in infos:
        h, w = infos[LR].size
        if (h * scale, w * scale) != (height, width):
            message = f"{h} x {w} px (height x width); expected {height / scale:g} x {width / scale:g}, 1/{scale}"
            hint = "Does the picture show another patch? If it has another scale, pass `scale`."
            examined.report("wrong-lr-size", files.images[LR], message, hint)
