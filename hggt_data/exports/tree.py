"""Exports the official folder tree."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hggt_data.dataset.features import SOURCE_COLUMNS
from hggt_data.errors import DatasetError
from hggt_data.exports.source import ExportSource, write_png
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import csv_file, write_text
from hggt_data.io.folders import new_folder
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import LICENSE_FILE, format_licence_note
from hggt_data.schema import LR, ORIGINAL, Annotation
from hggt_data.tree.annotators import ANNOTATORS_COLUMNS, ANNOTATORS_FILE
from hggt_data.tree.label_file import format_annotation
from hggt_data.tree.layout import Section, official_test, official_train

# A published dataset counts times from 1970, which the official format takes for a clock that was reset.
_RELATIVE_TIMES_SHIFT = datetime(2000, 1, 1) - datetime(1970, 1, 1)


def export_tree(source: ExportSource, output: Path) -> list[str]:
    """Write the official tree: `Train/` and `Test/` with pictures, one JSON per annotator, `annotators.csv`, and LR.

    A dataset that is built of it has the same rows. Where groups have other slots than the most, as after several
    rounds of annotation, or no LR where most have, they get a tree of their own (`Train-2/`): in a tree, every slot
    holds every group. What the dataset tells of source pictures goes to `sources.csv`, for `--sources`. The relative
    times of a published dataset count from 2000-01-01 instead of 1970-01-01, which the format does not take.

    Args:
        source: Data to export.
        output: New or empty folder outside the source.

    Returns:
        What was written, a line each.

    Raises:
        DatasetError: a slot's name cannot be a folder's.
        ImageError: a picture is damaged.
        OutputError: the output is not empty, or lies in the source.
        OSError: a file cannot be read, or the disk is full.
    """
    source.require_outside(output)
    told = []
    with new_folder(output) as staging:
        pictures: dict[str, dict[str, str | None]] = {}
        for split, groups in source.splits.items():
            plans = _plan_trees(groups, split)
            with ExitStack() as stack:
                trees = {plan.kind: stack.enter_context(_open_tree(staging, plan, groups)) for plan in plans}
                for group in show_progress(groups, len(groups), f"exporting {split}"):
                    trees[_kind_of(group)](group)
            told += [plan.describe(output) for plan in plans]
            pictures |= groups.read_sources()
        if pictures:
            columns = [column for column in SOURCE_COLUMNS if any(column in line for line in pictures.values())]
            with csv_file(staging / "sources.csv", ["image", *columns]) as write_line:
                for name, line in sorted(pictures.items()):
                    write_line([name, *(line.get(column) or "" for column in columns)])
            told.append(f"{output / 'sources.csv'}: {plural(len(pictures), 'source picture')}")
        write_text(staging / LICENSE_FILE, format_licence_note(source.license))
    return told


@dataclass(frozen=True)
class _GroupKind:
    """What all groups of a tree have in common."""

    slots: tuple[str, ...]
    has_lr: bool


def _kind_of(group: Group) -> _GroupKind:
    return _GroupKind(tuple(annotation.slot for annotation in group.annotations), group.has_picture(LR))


@dataclass(frozen=True)
class _TreePlan:
    """A tree for the groups of one kind.

    Attributes:
        name: of its folder.
        has_names: whether any annotator is known.
    """

    name: str
    kind: _GroupKind
    num_groups: int
    has_names: bool
    is_test: bool

    def section(self, root: Path) -> Section:
        return official_test(root, self.num_groups) if self.is_test else official_train(root, self.num_groups)

    def describe(self, output: Path) -> str:
        lr = ", with LR" if self.kind.has_lr else ""
        return f"{output / self.name}: {plural(self.num_groups, 'group')}, slots {', '.join(self.kind.slots)}{lr}"


def _plan_trees(groups: GroupSource, split: str) -> list[_TreePlan]:
    """One tree, or several if not all groups are of one kind, the largest first."""
    counts: Counter[_GroupKind] = Counter()
    named: set[_GroupKind] = set()
    for group in show_progress(groups, len(groups), f"reading labels of {split}"):
        kind = _kind_of(group)
        counts[kind] += 1
        if any(annotation.annotator is not None for annotation in group.annotations):
            named.add(kind)
    strange = sorted({slot for kind in counts for slot in kind.slots if not _is_folder_name(slot)})
    if strange:  # a dataset may come from anywhere
        raise DatasetError(f"{groups.location} has slots named {format_examples(strange)}; expected names of folders")
    title = split.capitalize()
    return [
        _TreePlan(title if number == 1 else f"{title}-{number}", kind, count, kind in named, split == "test")
        for number, (kind, count) in enumerate(counts.most_common(), start=1)
    ]


def _is_folder_name(name: str) -> bool:
    return name not in ("", "..") and "\0" not in name and Path(name).name == name


@contextmanager
def _open_tree(staging: Path, plan: _TreePlan, groups: GroupSource) -> Iterator[Callable[[Group], None]]:
    """Make the folders of a tree and yield what writes a group to it."""
    root = staging / plan.name
    section = plan.section(root)
    names = (ORIGINAL, *groups.candidates, *([LR] if plan.kind.has_lr else []))
    for slot in plan.kind.slots:
        (section.labels / slot).mkdir(parents=True)
    with ExitStack() as stack:
        write_line = None
        if plan.has_names:
            write_line = stack.enter_context(csv_file(root / ANNOTATORS_FILE, ANNOTATORS_COLUMNS))

        def write_group(group: Group) -> None:
            for name in names:
                write_png(section.picture(group.id, name), group, name)
            for annotation in group.annotations:
                text = format_annotation(_with_late_times(annotation), group.id, group.candidates)
                section.annotation(group.id, annotation.slot).write_text(text, "utf-8")
                if write_line and annotation.annotator is not None:
                    write_line([group.id, annotation.slot, annotation.annotator])

        yield write_group


def _with_late_times(annotation: Annotation) -> Annotation:
    """The annotation with relative times moved to where the official format takes them."""

    def late(time: datetime | None) -> datetime | None:
        return time + _RELATIVE_TIMES_SHIFT if time and time.year < 2000 else time

    return replace(annotation, start=late(annotation.start), end=late(annotation.end))
