"""Exports the candidates whose consensus is Positive, as a list or as images."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from hggt_data.errors import DatasetError, OutputError
from hggt_data.exports.source import OpenedSource, as_opened, picture_file, write_png
from hggt_data.groups import GroupSource
from hggt_data.io.files import atomic_file, csv_file
from hggt_data.io.folders import new_folder
from hggt_data.io.text import plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import LICENSE_FILE, licence_file_of
from hggt_data.ranges import Range, require_arguments
from hggt_data.schema import Label
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.reader import TreeSource

LIST_ENDINGS = (".csv", ".txt")


def export_positives(
    source: OpenedSource | str | Path,
    output: str | Path,
    *,
    files: bool = False,
    min_agreement: Annotated[int, Range(2)] = 2,
) -> list[str]:
    """List the candidates whose consensus is Positive, or write their images.

    A CSV list has the columns group, candidate, agreement, num_votes and path (relative to the tree, or with `files` to
    the output) or split and row (of a dataset). A text list has the absolute path of a picture per line.
    `OUTPUT.LICENSE.txt` beside it, with `files` `LICENSE.txt` in it, states the licence of the data.

    Args:
        source: Data to export, of one split: see `open_source`.
        output: List to write: NAME.csv, or NAME.txt with one path per line. With `files`, a new or empty folder.
        files: Write the pictures to gt/ and the list to positives.csv.
        min_agreement: Minimum number of annotators who chose Positive.

    Returns:
        What was written, one line each.

    Raises:
        DatasetError: There are several splits, or no such candidates; or NAME.txt is to list pictures that are not
            files of their own.
        ImageError: An image is damaged; nothing was written.
        OutputError: The output has another ending, is inside the source or, with `files`, is not empty.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import export_positives, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> lines = export_positives(write_demo_tree(folder).train, folder / "positives.csv")
        >>> (folder / "positives.csv").read_text().splitlines()[1]
        'astronaut-0-0,01,3,3,images/0-6/01/astronaut-0-0_01.png'
    """
    require_arguments(export_positives, min_agreement=min_agreement)
    source, output = as_opened(source), Path(output)
    groups = source.only_split
    source.require_outside(output)
    if files:
        with new_folder(output) as staging:
            count = _write_positives(staging / "positives.csv", groups, min_agreement, folder="gt")
            source.write_licence(staging / LICENSE_FILE)
        return [f"{output}: {plural(count, 'positive')} in gt/, listed in positives.csv"]
    if output.suffix.lower() not in LIST_ENDINGS:
        raise OutputError(
            f"{output}: expected a name that ends in {' or '.join(LIST_ENDINGS)}; to write pictures, pass `files`"
        )
    count = _write_positives(output, groups, min_agreement)
    note = licence_file_of(output)
    source.write_licence(note)
    is_relative = isinstance(groups, TreeSource) and output.suffix.lower() == ".csv"
    relative = f"; paths are relative to {groups.location}" if is_relative else ""
    return [f"{output}: {plural(count, 'positive')} of {plural(len(groups), 'group')}{relative}", str(note)]


def _write_positives(path: Path, groups: GroupSource, min_agreement: int, folder: str | None = None) -> int:
    """Write the list and, with `folder`, the images into that folder beside it; return how many there are."""
    where = ("path",) if folder or isinstance(groups, TreeSource) else ("split", "row")
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_list(path, ("group", "candidate", "agreement", "num_votes", *where)) as write_line:
        for group in show_progress(groups, len(groups), "exporting"):
            for k, name in enumerate(group.candidates):
                if group.consensus[k] is not Label.POSITIVE or group.agreement[k] < min_agreement:
                    continue
                picture = groups.find_file(group.index, name) or picture_name(group.id, name)
                if folder:
                    picture = f"{folder}/{picture_name(group.id, name)}"
                    write_png(path.parent / picture, group, name)
                place = (picture,) if where == ("path",) else (groups.split, group.index)
                values = (group.id, name, group.agreement[k], group.num_votes[k], *place)
                write_line(values, picture_file(groups, group.index, name))
                count += 1
        if not count:
            raise DatasetError(f"{groups.location} has no positives with an agreement of {min_agreement} or more")
    return count


@contextmanager
def _open_list(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Iterable[object], Path | None], object]]:
    """Open a list and yield the function that writes a line: all values of a CSV, or only the file of a text."""
    if path.suffix.lower() == ".csv":
        with csv_file(path, columns) as write_values:
            yield lambda values, _: write_values(values)
    else:
        with atomic_file(path) as file:

            def write_path(_: Iterable[object], picture: Path | None) -> None:
                if picture is None:
                    raise DatasetError(
                        f"the pictures are not files of their own, so {path} cannot list them; write NAME.csv, or pass "
                        "`files`"
                    )
                file.write(f"{picture}\n".encode())

            yield write_path
