"""Removes groups from a tree, in place; from tables of votes also a person's votes."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import TreeError
from hggt_data.io.archive import ArchivePath
from hggt_data.io.files import csv_file, read_csv
from hggt_data.schema import ORIGINAL
from hggt_data.tree.annotators import ANNOTATORS_FILE
from hggt_data.tree.layouts import is_tree, list_tree
from hggt_data.tree.listing import GroupFiles
from hggt_data.tree.table_groups import GROUPS_FILE, read_group_table
from hggt_data.tree.table_votes import KINDS, VOTES_FILE
from hggt_data.unwanted import Unwanted

_VOTE_TABLES = (VOTES_FILE, *(f"{kind}.csv" for kind in KINDS))


@dataclass(frozen=True)
class TreeRemoval:
    """The groups that were removed from a tree, and the numbers of their files and of rows of tables."""

    groups: tuple[str, ...]
    num_files: int
    num_rows: int

    def __bool__(self) -> bool:
        return bool(self.groups or self.num_rows)


def remove_from_tree(root: Path, unwanted: Unwanted) -> TreeRemoval:
    """Delete the pictures, votes and lines of tables of groups; other files are not touched.

    `root` may also be what `export_votes` has written, which has no pictures. Tables are written first, and a group's
    original is deleted last, so that after an interruption the same call finds the group again.

    TreeError if it is neither, is in a zip file, no group or vote would remain, or if an annotator's votes are to be
    removed but are files.
    """
    if not root.is_dir():
        raise TreeError(f"{root} is not a folder; expected a built dataset, a round, or an unpacked tree")
    has_tables = (root / VOTES_FILE).is_file()
    if unwanted.annotators and not has_tables:
        raise TreeError(
            f"{root} is a tree, where every slot needs every group; remove the annotator from the dataset built from "
            "it, then run `hggt-data export tree`"
        )
    files = [] if has_tables and not is_tree(root) else _find_groups(root, unwanted)
    removed = {one.id for one in files}
    if has_tables and (root / GROUPS_FILE).is_file():
        images = read_group_table(root / GROUPS_FILE).values("image")
        removed |= {group for group, image in images.items() if unwanted.has_group(group, image)}
    if has_tables:
        removed |= unwanted.groups & {line.get("group", "") for line in _read_votes(root)}
        if all(_is_gone(line, removed, unwanted) for line in _read_votes(root)):
            raise TreeError(f"{root}: no vote would remain; delete the folder instead")
        _keep_unlabelled(root / GROUPS_FILE, _read_votes(root), removed, unwanted)
    tables = (*_VOTE_TABLES, GROUPS_FILE, ANNOTATORS_FILE) if has_tables else (ANNOTATORS_FILE,)
    num_rows = sum(_remove_rows(root / name, removed, unwanted) for name in tables)
    num_files = 0
    for one in files:
        others = [place for name, place in one.images.items() if name != ORIGINAL]
        for place in (*one.vote_files, *others, *filter(None, [one.images.get(ORIGINAL)])):
            num_files += place.is_file()
            place.unlink(missing_ok=True)
    return TreeRemoval(tuple(sorted(removed)), num_files, num_rows)


def _find_groups(root: Path, unwanted: Unwanted) -> list[GroupFiles]:
    """The files of the groups to remove."""
    listing = list_tree(root)
    if isinstance(listing.root, ArchivePath):
        raise TreeError(f"{root} contains zip files; unpack them first")
    groups = [files for files in listing if unwanted.has_group(files.id, files.image_name)]
    if groups and len(groups) == len(listing):
        raise TreeError(f"{root}: no group would remain; delete the folder instead")
    return groups


def _read_votes(root: Path) -> list[dict[str, str]]:
    return [line for name in _VOTE_TABLES if (root / name).is_file() for line in read_csv(root / name)[1]]


def _is_gone(line: dict[str, str], groups: Collection[str], unwanted: Unwanted) -> bool:
    person = line.get("annotator") or line.get("pseudonym") or None
    return line.get("group") in groups or unwanted.is_by(person, line.get("slot") or None)


def _keep_unlabelled(
    path: Path, votes: Collection[dict[str, str]], removed: Collection[str], unwanted: Unwanted
) -> None:
    """Name the groups that lose their last vote in `groups.csv`, without which they would be an error."""
    remaining = {line.get("group") for line in votes if not _is_gone(line, removed, unwanted)}
    emptied = {line.get("group", "") for line in votes} - remaining - {*removed}
    columns, lines = read_csv(path) if path.is_file() else (["group"], [])
    if new := sorted(emptied - {line["group"] for line in lines}):
        with csv_file(path, columns) as write_line:
            for line in (*lines, *({"group": group} for group in new)):
                write_line(line.get(column, "") for column in columns)


def _remove_rows(path: Path, groups: Collection[str], unwanted: Unwanted) -> int:
    """Remove lines from a table; how many."""
    if not path.is_file():
        return 0
    columns, lines = read_csv(path)
    kept = [line for line in lines if not _is_gone(line, groups, unwanted)]
    if len(kept) < len(lines):
        with csv_file(path, columns) as write_line:
            for line in kept:
                write_line(line[column] for column in columns)
    return len(lines) - len(kept)
