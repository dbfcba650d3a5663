"""Exports all votes as tables: one CSV file for each kind of vote, and one of the groups."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from typing import Any

from hggt_data.errors import DatasetError
from hggt_data.exports.source import OpenedSource, as_opened
from hggt_data.groups import Group
from hggt_data.io.files import csv_file
from hggt_data.io.folders import new_folder
from hggt_data.io.text import plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import LICENSE_FILE
from hggt_data.schema import LR, ORIGINAL, Annotation, PatchGroup, Protocol, Vote, group_order
from hggt_data.study_plan import write_plan
from hggt_data.tree.protocol import write_protocol
from hggt_data.tree.table_groups import COLUMNS as GROUP_COLUMNS
from hggt_data.tree.table_groups import GROUPS_FILE
from hggt_data.tree.table_votes import COLUMNS, DEFAULTS, KINDS, VOTES_FILE, Kind, columns_of

Row = dict[str, Any]


def export_votes(source: OpenedSource | str | Path, output: str | Path) -> list[str]:
    """Write `votes.csv` and `groups.csv`, without pictures.

    A row of `votes.csv` is a person's label for one candidate: group, candidate, annotator (empty if unknown), label;
    then count, annotator_kind, question, slot, start, end, seconds and kind, as far as they are known. Votes on pairs
    have group, first, second, annotator, preferred, or for totals preferred_share and votes; choices have group, shown,
    annotator, preferred; scores have group, candidate, score, std, votes. If a source has several kinds of vote, the
    others are in `pairs.csv`, `choices.csv` and `scores.csv`. `groups.csv` has group, image and split, and the
    files of LR images and originals in a tree that a table does not find by their names. The votes of a study keep its
    plan, `plan.json`.

    Args:
        source: Data to export: see `open_source`.
        output: New or empty folder outside the source.

    Returns:
        What was written, one line each.

    Raises:
        DatasetError: There are no votes.
        OutputError: The output is not empty, or is inside the source.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import export_votes, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> lines = export_votes(write_demo_tree(folder).train, folder / "votes")
        >>> (folder / "votes/votes.csv").read_text().splitlines()[0]
        'group,candidate,annotator,label,slot,start,end,seconds'
    """
    source, output = as_opened(source), Path(output)
    source.require_outside(output)
    columns, of_groups = _find_columns(source)
    if not columns:
        raise DatasetError(f"{source.location} has no votes")
    names = {table: f"{table}.csv" for table in columns} | {next(iter(columns)): VOTES_FILE}
    counts: Counter[Kind] = Counter()
    with new_folder(output) as staging:
        with ExitStack() as stack:
            writers = {
                table: stack.enter_context(csv_file(staging / names[table], columns[table])) for table in columns
            }
            write_group = stack.enter_context(csv_file(staging / GROUPS_FILE, of_groups))
            for group in _groups(source, "exporting"):
                facts = {**vars(group), "group": group.id, "image": group.image_name, "split": group.source.split}
                facts |= _files(group)
                write_group(facts[column] for column in of_groups)
                for table, row in _rows(group):
                    writers[table](row.get(column, DEFAULTS.get(column)) for column in columns[table])
                    counts[table] += 1
        splits = source.splits.values()
        rules = [groups.consensus_rule for groups in splits]  # one, as they are of one dataset
        write_protocol(staging, reduce(Protocol.shared, [groups.protocol for groups in splits]), rules[0])
        if (plan := next(iter(splits)).read_plan()) is not None:
            write_plan(staging, plan)
        source.write_licence(staging / LICENSE_FILE)
    return [
        *(f"{output / names[table]}: {plural(number, 'row')} of {table}" for table, number in counts.items()),
        str(output / GROUPS_FILE),
    ]


def _groups(source: OpenedSource, label: str) -> Iterator[Group]:
    for split, groups in source.splits.items():
        yield from show_progress(groups, len(groups), f"{label} {split}")


def _find_columns(source: OpenedSource) -> tuple[dict[Kind, list[str]], list[str]]:
    """The columns of each table that is not empty, in the order of `KINDS`, and those of `groups.csv`."""
    used: dict[Kind, set[str]] = {}
    of_groups = {"group", "image", "split"}
    for group in _groups(source, "reading votes of"):
        if group.caption is not None:
            of_groups.add("caption")
        if group.top is not None and group_order(group.id) != group_order(group.id, *_place(group)):
            of_groups |= {"top", "left"}  # the name does not say it
        of_groups |= _files(group).keys()
        for table, row in _rows(group):
            found = used.setdefault(table, set())
            found.update(name for name, value in row.items() if name in COLUMNS[table] or value != DEFAULTS.get(name))
    columns = {table: [name for name in columns_of(table) if name in used[table]] for table in KINDS if table in used}
    return columns, [name for name in GROUP_COLUMNS if name in of_groups]


def _files(group: Group) -> dict[str, str]:
    """The files in a tree that a table does not find by their names, as LR images in most layouts."""
    found = {name: group.source.find_file(group.index, name) for name in (ORIGINAL, LR) if group.has_picture(name)}
    return {name: file for name, file in found.items() if file and not _is_named(Path(file), name)}


def _is_named(path: Path, name: str) -> bool:
    """Whether a table finds a picture; one outside the tree has no path in it."""
    return path.is_absolute() or name in (path.parent.name.lower(), path.stem.lower())


def _place(group: PatchGroup) -> tuple[str, int | None, int | None]:
    return group.image_name, group.top, group.left


def _rows(group: PatchGroup) -> Iterator[tuple[Kind, Row]]:
    """The votes on a group: the table of each, and its values."""
    for annotation in group.annotations:
        for name, label in zip(group.candidates, annotation.labels, strict=True):
            if label:
                yield "labels", {"group": group.id, "candidate": name, "label": label.value, **_facts(annotation)}
    for pair in group.pairs:
        row = {"group": group.id, "first": pair.first, "second": pair.second, **_facts(pair)}
        if pair.share is None:
            yield "pairs", {**row, "preferred": pair.preferred}
        else:
            del row["annotator"], row["count"]
            yield "pairs", {**row, "preferred_share": pair.share, "votes": pair.count}
    for choice in group.choices:
        shown = ";".join(choice.shown)
        yield "choices", {"group": group.id, "shown": shown, "preferred": choice.preferred, **_facts(choice)}
    for score in group.scores:
        values = {"candidate": score.candidate, "score": score.score, "std": score.std, "votes": score.votes}
        yield "scores", {"group": group.id, **values, **_facts(score)}


def _facts(vote: Annotation | Vote) -> Row:
    """What is known about a vote of any kind."""
    return {
        "annotator": vote.annotator,
        "count": vote.count if isinstance(vote, Vote) else 1,
        "annotator_kind": vote.annotator_kind,
        "question": vote.question,
        "slot": vote.slot,
        "start": vote.start and vote.start.isoformat(),
        "end": vote.end and vote.end.isoformat(),
        "seconds": vote.seconds,
        "kind": vote.kind,
    }
