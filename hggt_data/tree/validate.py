"""Check an HGGT tree and report every fault in one run.

`examine_group` reads one group and is also what a build calls, so both judge alike. Names and places of files are
checked by `tree.Listing`, one JSON by `annotation.check_annotation`, one picture by `images`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hggt_data.consensus import judge_group
from hggt_data.errors import ImageError, TreeError
from hggt_data.io.files import FileDigest, read_regular_file, sha256_of
from hggt_data.io.images import PngInfo, decode_png, parse_png, read_png_header
from hggt_data.io.text import plural
from hggt_data.io.workers import advance, default_workers, run_tasks
from hggt_data.problems import Problem, Severity
from hggt_data.schema import LR, ORIGINAL, Annotation, PatchGroup, PatchId
from hggt_data.tree.label_file import check_annotation
from hggt_data.tree.layout import GroupFiles, Listing, open_tree

DEFAULT_SCALE = 4
_GROUPS_PER_TASK = 16


@dataclass(slots=True)
class Examined:
    """What one group holds and what is wrong with it.

    Attributes:
        group: null if an annotation has an error.
        size: (height, width) of the original in pixels, null if it cannot be read.
        pngs: picture name to the bytes of its file, for those that can be read.
        digests: picture name to a digest of its pixels.
        inputs: every file that was read, its path relative to the tree.
    """

    files: GroupFiles
    group: PatchGroup | None = None
    size: tuple[int, int] | None = None
    pngs: dict[str, bytes] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    inputs: list[FileDigest] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a validation: how many groups there are, and every problem, errors first.

    Attributes:
        candidates, slots: what was found in the tree; a slot that is missing as a whole shows here only.
    """

    num_groups: int
    problems: tuple[Problem, ...]
    candidates: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()

    def describe(self) -> str:
        """What was checked and how it went, in one line."""
        errors, warnings = plural(len(self.errors), "error"), plural(len(self.warnings), "warning")
        found = f"{errors}, {warnings}"
        if not self.num_groups:
            return found
        names = f"candidates {', '.join(self.candidates)}, slots {', '.join(self.slots) or 'none'}"
        return f"{plural(self.num_groups, 'group')} ({names}): {found}"

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that block a build."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    def to_json(self) -> dict[str, object]:
        """`{"num_groups": N, "problems": [{"kind", "severity", "path", "message", "hint"}, ...]}`."""
        names = ("kind", "severity", "path", "message", "hint")
        return {
            "num_groups": self.num_groups,
            "problems": [{name: getattr(problem, name) for name in names} for problem in self.problems],
        }


def validate_tree(
    root: Path,
    lr: Path | None = None,
    *,
    workers: int | None = None,
    decode: bool = True,
    expect_groups: int | None = None,
    scale: int = DEFAULT_SCALE,
) -> Report:
    """Check a whole tree. Faults never raise, they are in the report.

    Args:
        root: the tree; see `tree.open_tree`.
        lr: the folder of low-resolution pictures, if it is not where the official Test has it.
        workers: processes; by default one per core, at most 8.
        decode: also decode every picture; without it only their headers are read, and damage and duplicates stay
            unseen.
        expect_groups: how many groups there must be.
        scale: how many times smaller LR pictures are.
    """
    try:
        listing = Listing(open_tree(root, lr))
    except (TreeError, OSError) as error:
        return Report(0, (Problem("no-tree", "error", ".", str(error), "Nothing else was checked."),))
    problems = [problem for problem in listing.problems if problem.group is None]
    if not listing.ids or (expect_groups is not None and len(listing) != expect_groups):
        wanted = "at least one" if expect_groups is None else f"{expect_groups:,}"
        message = f"the tree has {len(listing):,} groups; expected {wanted}"
        problems.append(Problem("wrong-count", "error", ".", message, "Is the download complete?"))
    paths_of: dict[str, str] = {}
    for found, digests in examine_groups(listing, workers=workers, decode=decode, scale=scale):
        problems += found
        problems += _duplicates(digests, paths_of)
    problems.sort(key=lambda problem: (problem.severity, problem.kind, problem.path, problem.message))
    return Report(len(listing), tuple(problems), listing.tree.candidates, listing.slots)


def examine_groups(
    listing: Listing,
    ids: Sequence[PatchId] | None = None,
    *,
    workers: int | None = None,
    decode: bool = True,
    scale: int = DEFAULT_SCALE,
    labelled: bool = True,
    label: str = "validating",
) -> Iterator[tuple[list[Problem], dict[str, str]]]:
    """(problems, path to pixel digest) of each group, in order.

    Args:
        listing: the groups.
        ids: those of them that are wanted; by default all.
        workers, decode, scale: as for `validate_tree`.
        labelled: whether there must be annotations; otherwise none are looked for.
        label: what the progress bar says.
    """
    ids = listing.ids if ids is None else ids
    tasks = [
        _Task(
            [listing.files(group_id) for group_id in ids[start : start + _GROUPS_PER_TASK]],
            {"decode": decode, "scale": scale, "labelled": labelled},
        )
        for start in range(0, len(ids), _GROUPS_PER_TASK)
    ]
    workers = workers or default_workers()
    for examined in run_tasks(_examine_task, tasks, workers, total=len(ids), label=label):
        yield from examined


def examine_group(
    files: GroupFiles, *, decode: bool = True, scale: int = DEFAULT_SCALE, labelled: bool = True
) -> Examined:
    """Read and check everything of one group.

    Args:
        files: where its files are expected.
        decode: decode the pictures; otherwise only their headers are looked at and no bytes are kept.
        scale: how many times smaller the LR picture is.
        labelled: whether there must be annotations; otherwise none are looked for.
    """
    examined = Examined(files, problems=list(files.problems))
    if not _may_be_read(files):
        return examined
    infos: dict[str, PngInfo] = {}
    for name in files.images:
        info = _examine_picture(examined, name, decode)
        if info is not None:
            infos[name] = info
    examined.problems += _check_sizes(files, infos, scale)
    if ORIGINAL in infos:
        examined.size = infos[ORIGINAL].size
    if labelled:
        _examine_annotations(examined)
    return examined


def hash_inputs(files: GroupFiles) -> list[FileDigest]:
    """Every file of a group that is there, as `examine_group` would list them, without looking inside.

    Raises:
        OSError: one is there and cannot be read.
    """
    inputs: list[FileDigest] = []
    if not _may_be_read(files):
        return inputs
    for path in (*files.images.values(), *files.annotations.values()):
        with suppress(FileNotFoundError):
            data = read_regular_file(path)
            inputs.append(FileDigest(files.relative(path), len(data), sha256_of(data)))
    return inputs


def _may_be_read(files: GroupFiles) -> bool:
    """Not if the group's names have an error, such as a link that leads out of the tree: it is not followed."""
    return not any(problem.severity == "error" for problem in files.problems)


@dataclass(frozen=True, slots=True)
class _Task:
    groups: list[GroupFiles]
    how: dict[str, Any]


def _examine_task(task: _Task) -> list[tuple[list[Problem], dict[str, str]]]:
    """(problems, path to pixel digest) of each group, without the pictures themselves."""
    results = []
    for files in task.groups:
        examined = examine_group(files, **task.how)
        digests = {files.relative(files.images[name]): digest for name, digest in examined.digests.items()}
        results.append((examined.problems, digests))
        advance()
    return results


def _examine_picture(examined: Examined, name: str, decode: bool) -> PngInfo | None:
    """Check one picture, note its bytes and digest, and return what it says of itself if it is a whole RGB PNG."""
    files = examined.files
    path = files.images[name]

    def report(kind: str, message: str, hint: str) -> None:
        severity: Severity = "warning" if kind == "picture-metadata" else "error"
        place = files.relative(path)
        examined.problems.append(Problem(kind, severity, place, message, hint, str(files.id)))

    try:
        if not decode:
            info = read_png_header(path)
        else:
            data = read_regular_file(path)
            examined.inputs.append(FileDigest(files.relative(path), len(data), sha256_of(data)))
            info = parse_png(data)
    except FileNotFoundError:
        report("missing-image", f"the picture {name} of group {files.id} is missing", "Restore it from the download.")
        return None
    except (ImageError, OSError) as error:
        reason = str(error) if isinstance(error, ImageError) else str(error.strerror)
        report("unreadable-image", reason, _way_to_read(error))
        return None
    if info.mode != "8-bit RGB":
        report("wrong-mode", f"{info.mode}; expected 8-bit RGB", "Convert it, or find out what wrote it.")
        return None
    if info.metadata:
        hint = "Remove it before you publish (for example with exiftool -all=)."
        report("picture-metadata", f"holds {', '.join(info.metadata)}, perhaps with a place or a name", hint)
    if decode:
        try:
            pixels = decode_png(data, info)
        except ImageError as error:
            report("unreadable-image", str(error), "Restore it from the download.")
            return None
        examined.pngs[name] = data
        examined.digests[name] = hashlib.sha256(repr(info.size).encode() + pixels.data).hexdigest()[:32]
    return info


def _check_sizes(files: GroupFiles, infos: dict[str, PngInfo], scale: int) -> Iterator[Problem]:
    sizes = {name: info.size for name, info in infos.items() if name != LR}
    if not sizes:
        return
    height, width = sizes.get(ORIGINAL) or Counter(sizes.values()).most_common(1)[0][0]
    for name, (h, w) in sizes.items():
        if (h, w) != (height, width):
            message = f"{h} x {w} px (height x width); the group's other pictures have {height} x {width}"
            path = files.relative(files.images[name])
            yield Problem("size-mismatch", "error", path, message, "Is it another patch's picture?", str(files.id))
    if LR in infos:
        h, w = infos[LR].size
        if (h * scale, w * scale) != (height, width):
            message = f"{h} x {w} px (height x width); expected {height / scale:g} x {width / scale:g}, 1/{scale}"
            hint = "Is it another patch's picture? For another scale pass --scale."
            path = files.relative(files.images[LR])
            yield Problem("wrong-lr-size", "error", path, message, hint, str(files.id))


def _examine_annotations(examined: Examined) -> None:
    """Read every annotation of the group; the group's consensus is drawn only if all are whole."""
    files = examined.files
    annotations: list[Annotation] = []
    places: dict[bytes, str] = {}
    if not files.annotations:
        message = f"nobody has labelled group {files.id}; expected labels/A/, B/, C/ with {files.id}.json"
        hint = "Restore the labels of this part of the tree."
        place = files.relative(files.images[ORIGINAL])
        examined.problems.append(Problem("missing-annotation", "error", place, message, hint, str(files.id)))
    for slot, path in files.annotations.items():
        place = files.relative(path)
        try:
            data = read_regular_file(path)
        except FileNotFoundError:
            message = f"annotator {slot} has labelled other groups, but not {files.id}"
            hint = "Restore the file, or annotate the group again."
            examined.problems.append(Problem("missing-annotation", "error", place, message, hint, str(files.id)))
            continue
        except OSError as error:
            kind, reason = "unreadable-annotation", str(error.strerror)
            examined.problems.append(Problem(kind, "error", place, reason, _way_to_read(error), str(files.id)))
            continue
        twin = places.setdefault(data, place)
        if twin != place:
            message, hint = f"is the same file as {twin}", "Was one annotator's folder copied?"
            examined.problems.append(Problem("duplicate-annotation", "warning", place, message, hint))
        examined.inputs.append(FileDigest(place, len(data), sha256_of(data)))
        annotation, problems = check_annotation(
            data, place, files.id, slot, files.candidates, files.annotators.get(slot)
        )
        examined.problems += problems
        if annotation is not None:
            annotations.append(annotation)
    if len(annotations) == len(files.annotations):
        examined.group = judge_group(files.id, files.candidates, annotations)


def _way_to_read(error: Exception) -> str:
    return "Change its rights." if isinstance(error, PermissionError) else "Restore it from the download."


def _duplicates(digests: dict[str, str], paths_of: dict[str, str]) -> Iterator[Problem]:
    """Pictures of one group whose pixels were seen in an earlier group; notes the group's own in `paths_of`."""
    for path, digest in digests.items():
        if digest in paths_of:
            message = f"has the same pixels as {paths_of[digest]}"
            yield Problem("duplicate-picture", "warning", path, message, "Is one of them under a wrong name?")
    for path, digest in digests.items():
        paths_of.setdefault(digest, path)
