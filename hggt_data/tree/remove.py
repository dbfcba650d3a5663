"""Removes groups from a tree, in place."""

from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import TreeError
from hggt_data.io.archive import ArchivePath
from hggt_data.io.files import csv_file, read_csv
from hggt_data.schema import ORIGINAL
from hggt_data.tree.annotators import ANNOTATORS_FILE
from hggt_data.tree.layouts import list_tree
from hggt_data.unwanted import Unwanted


@dataclass(frozen=True)
class TreeRemoval:
    """The groups that were removed from a tree, and the number of their files."""

    groups: tuple[str, ...]
    num_files: int


def remove_from_tree(root: Path, unwanted: Unwanted) -> TreeRemoval:
    """Delete the pictures, votes and lines in `annotators.csv` of groups; other files are not touched.

    A group's original is deleted last, so that after an interruption the same call finds the group again.

    TreeError if it is not a tree, is in a zip file, would have no groups left, keeps its votes in tables, or if votes
    of annotators are to be removed.
    """
    if not root.is_dir():
        raise TreeError(f"{root} is not a folder; expected a built dataset, a round, or an unpacked tree")
    if unwanted.annotators:
        raise TreeError(
            f"{root} is a tree, where every slot needs every group; remove the annotator from the dataset built from "
            "it, then run `hggt-data export tree`"
        )
    listing = list_tree(root)
    if isinstance(listing.root, ArchivePath):
        raise TreeError(f"{root} contains zip files; unpack them first")
    groups = [files for files in listing if unwanted.has_group(files.id, files.image_name)]
    if groups and len(groups) == len(listing):
        raise TreeError(f"{root}: no group would remain; delete the folder instead")
    if any(not files.vote_files for files in groups) and (listing.has_labels or listing.votes):
        raise TreeError(f"{root} keeps its votes in tables; delete their lines and the pictures of the groups yourself")
    removed = {files.id for files in groups}
    path = listing.root / ANNOTATORS_FILE
    if removed and path.is_file():
        columns, lines = read_csv(path)
        with csv_file(path, columns) as write_line:
            for line in lines:
                if line["group"] not in removed:
                    write_line(line[column] for column in columns)
    num_files = 0
    for files in groups:
        pictures = [place for name, place in files.images.items() if name != ORIGINAL]
        for place in (*files.vote_files, *pictures, *filter(None, [files.images.get(ORIGINAL)])):
            num_files += place.is_file()
            place.unlink(missing_ok=True)
    return TreeRemoval(tuple(sorted(removed)), num_files)
