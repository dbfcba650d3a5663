"""Exports the official folder tree."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hggt_data.dataset.features import SOURCE_COLUMNS
from hggt_data.errors import DatasetError, NameFormatError
from hggt_data.exports.source import OpenedSource, as_opened, write_png
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import csv_file
from hggt_data.io.folders import new_folder
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import LICENSE_FILE
from hggt_data.schema import HGGT_PROTOCOL, LR, ORIGINAL, Annotation, PatchId
from hggt_data.tree.annotators import ANNOTATORS_COLUMNS, ANNOTATORS_FILE, FULL_ZOOM_COLUMN, FULL_ZOOM_WORDS
from hggt_data.tree.hggt_folders import Section, is_candidate_name, official_test, official_train
from hggt_data.tree.hggt_labels import format_annotation
from hggt_data.tree.layouts.hggt import LAYOUT as HGGT_LAYOUT
from hggt_data.tree.protocol import write_protocol

# Times of a published dataset begin in 1970, which the official format treats as a reset clock.
_RELATIVE_TIMES_SHIFT = datetime(2000, 1, 1) - datetime(1970, 1, 1)


def export_tree(source: OpenedSource | str | Path, output: str | Path) -> list[str]:
    """Write the official tree: `Train/` and `Test/` with pictures, one JSON per annotator, `annotators.csv`, and LR.

    A dataset built from it has the same rows. In a tree, every slot contains every group; so groups with other slots
    than most (as after several rounds of annotation), or without LR where most have it, become a tree of their own
    (`Train-2/`). `protocol.json` says how annotators were asked, if not as for the official data. Origin, author and
    licence of source pictures go to `sources.csv`, for `BuildSettings.sources`. The relative times of a published
    dataset begin at 2000-01-01 instead of 1970-01-01, which the format does not allow.

    Args:
        source: Data to export: see `open_source`.
        output: New or empty folder outside the source.

    Returns:
        What was written, one line each.

    Raises:
        DatasetError: A slot's name cannot be the name of a folder.
        ImageError: An image is damaged.
        OutputError: The output is not empty, or is inside the source.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import export_tree, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> export_tree(write_demo_tree(folder).train, folder / "out")[0].removeprefix(str(folder))
        '/out/Train: 6 groups, slots A, B, C'
    """
    source, output = as_opened(source), Path(output)
    source.require_outside(output)
    lines = []
    with new_folder(output) as staging:
        pictures: dict[str, dict[str, str | None]] = {}
        for split, groups in source.splits.items():
            plans = _plan_trees(groups, split)
            with ExitStack() as stack:
                trees = {plan.kind: stack.enter_context(_open_tree(staging, plan, groups)) for plan in plans}
                for group in show_progress(groups, len(groups), f"exporting {split}"):
                    trees[_kind_of(group)](group)
            lines += [plan.describe(output) for plan in plans]
            pictures |= groups.read_sources()
        if pictures:
            columns = [column for column in SOURCE_COLUMNS if any(column in line for line in pictures.values())]
            with csv_file(staging / "sources.csv", ["image", *columns]) as write_line:
                for name, values in sorted(pictures.items()):
                    write_line([name, *(values.get(column) or "" for column in columns)])
            lines.append(f"{output / 'sources.csv'}: {plural(len(pictures), 'source picture')}")
        source.write_licence(staging / LICENSE_FILE)
    return lines


@dataclass(frozen=True)
class _GroupKind:
    """What all groups of a tree have in common."""

    slots: tuple[str, ...]
    has_lr: bool


def _kind_of(group: Group) -> _GroupKind:
    return _GroupKind(tuple(annotation.slot for annotation in group.annotations), group.has_picture(LR))


@dataclass(frozen=True)
class _TreePlan:
    """A tree for the groups of one kind; `columns` are those of annotators.csv, empty if no annotator is known."""

    name: str
    kind: _GroupKind
    num_groups: int
    columns: tuple[str, ...]
    is_test: bool

    def section(self, root: Path) -> Section:
        return official_test(root, self.num_groups) if self.is_test else official_train(root, self.num_groups)

    def describe(self, output: Path) -> str:
        lr = ", with LR" if self.kind.has_lr else ""
        return f"{output / self.name}: {plural(self.num_groups, 'group')}, slots {', '.join(self.kind.slots)}{lr}"


def _plan_trees(groups: GroupSource, split: str) -> list[_TreePlan]:
    """One tree per kind of group, the largest first."""
    counts: Counter[_GroupKind] = Counter()
    named: set[_GroupKind] = set()
    zoomed: set[_GroupKind] = set()
    for group in show_progress(groups, len(groups), f"reading labels of {split}"):
        _require_hggt(group)
        kind = _kind_of(group)
        counts[kind] += 1
        if any(annotation.annotator is not None for annotation in group.annotations):
            named.add(kind)
        if any(annotation.full_zoom is not None for annotation in group.annotations):
            zoomed.add(kind)
    unusable = sorted({slot for kind in counts for slot in kind.slots if not _is_folder_name(slot)})
    if unusable:  # a dataset may come from anywhere
        raise DatasetError(f"{groups.location} has slots named {format_examples(unusable)}; expected folder names")
    title = split.capitalize()

    def columns(kind: _GroupKind) -> tuple[str, ...]:
        return (*ANNOTATORS_COLUMNS, *([FULL_ZOOM_COLUMN] if kind in zoomed else [])) if kind in named else ()

    return [
        _TreePlan(title if number == 1 else f"{title}-{number}", kind, count, columns(kind), split == "test")
        for number, (kind, count) in enumerate(counts.most_common(), start=1)
    ]


def _require_hggt(group: Group) -> None:
    """Check that HGGT's layout can hold the group."""
    try:
        PatchId.parse(group.id)
        fits = all(map(is_candidate_name, group.candidates)) and all(one.counts for one in group.annotations)
    except NameFormatError:
        fits = False
    labels = [label for annotation in group.annotations for label in annotation.labels]
    if not fits or not labels or None in labels or not all(map(group.has_picture, (ORIGINAL, *group.candidates))):
        raise DatasetError(
            f"{group.source.location}: {group.id} does not fit HGGT's layout, which has groups IMAGE-TOP-LEFT with an "
            "original, candidates 01, 02, ... and a label of each annotator for each candidate, all of them votes of "
            "people"
        )


def _is_folder_name(name: str) -> bool:
    return name not in ("", "..") and "\0" not in name and Path(name).name == name


@contextmanager
def _open_tree(staging: Path, plan: _TreePlan, groups: GroupSource) -> Iterator[Callable[[Group], None]]:
    """Create the folders of a tree and yield the function that writes a group to it."""
    root = staging / plan.name
    section = plan.section(root)
    names = (ORIGINAL, *groups.candidates, *([LR] if plan.kind.has_lr else []))
    for slot in plan.kind.slots:
        (section.labels / slot).mkdir(parents=True)
    rule = None if groups.consensus_rule == HGGT_LAYOUT.consensus else groups.consensus_rule
    if rule or groups.protocol != HGGT_PROTOCOL:
        write_protocol(root, groups.protocol, rule)
    with ExitStack() as stack:
        write_line = None
        if plan.columns:
            write_line = stack.enter_context(csv_file(root / ANNOTATORS_FILE, plan.columns))

        def write_group(group: Group) -> None:
            for name in names:
                write_png(section.picture(group.id, name), group, name)
            for annotation in group.annotations:
                text = format_annotation(_with_late_times(annotation), group.id, group.candidates)
                section.annotation(group.id, annotation.slot).write_text(text, "utf-8")
                if write_line and annotation.annotator is not None:
                    seen = FULL_ZOOM_WORDS[annotation.full_zoom]
                    write_line([group.id, annotation.slot, annotation.annotator, seen][: len(plan.columns)])

        yield write_group


def _with_late_times(annotation: Annotation) -> Annotation:
    """The annotation with relative times moved to a date that the official format allows."""

    def late(time: datetime | None) -> datetime | None:
        return time + _RELATIVE_TIMES_SHIFT if time and time.year < 2000 else time

    return replace(annotation, start=late(annotation.start), end=late(annotation.end))
