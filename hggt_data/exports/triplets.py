"""Exports the list of triplets that A-FINE is trained on: two versions, their original, and who is better."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from hggt_data.errors import DatasetError
from hggt_data.exports.preferences import majority_names
from hggt_data.exports.source import OpenedSource, as_opened
from hggt_data.io.files import atomic_file
from hggt_data.io.text import plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import licence_file_of
from hggt_data.schema import ORIGINAL, Label, PatchGroup
from hggt_data.tree.hggt_folders import picture_name

# Of a candidate against its original: 1 better, 0.5 equal, 0 worse.
_SCORES = {Label.POSITIVE: 1.0, Label.SIMILAR: 0.5, Label.NEGATIVE: 0.0}


def export_triplets(source: OpenedSource | str | Path, output: str | Path) -> list[str]:
    """List triplets of pictures with their scores, as A-FINE reads them.

    A line is `first,second,original,first_second,first_original,second_original`. Pictures are the names of their
    files. A score is 1 if the first of the two is better, 0 if it is worse, 0.5 if they are equal. Two candidates form
    a triplet if their consensus differs or is Similar; each also forms one with the original as the second picture.
    Candidates without a majority are left out.

    Args:
        source: Data to export, of one split: see `open_source`.
        output: List to write, such as Triplet.txt.

    Returns:
        What was written, one line each.

    Raises:
        DatasetError: There are several splits, no candidates with a majority, or a name contains a comma.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import export_triplets, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> lines = export_triplets(write_demo_tree(folder).train, folder / "Triplet.txt")
        >>> (folder / "Triplet.txt").read_text().splitlines()[0]
        'astronaut-0-0_01.png,astronaut-0-0_02.png,astronaut-0-0.png,1,1,0.5'

    Source: A-FINE, `TrainAFINE/datasets/README.md`, section 1.1.2.
    """
    source, output = as_opened(source), Path(output)
    groups = source.only_split
    source.require_outside(output)
    if unusable := next((group for group in groups.ids if "," in group), None):
        raise DatasetError(f"{source.location}: the group {unusable!r} has a comma in its name, which separates values")
    count = 0
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(output) as file:
        for group in show_progress(groups, len(groups), "exporting"):
            for line in _triplets(group):
                file.write(f"{line}\n".encode())
                count += 1
        if not count:
            raise DatasetError(f"{source.location} has no candidates with a majority")
    note = licence_file_of(output)
    source.write_licence(note)
    return [f"{output}: {plural(count, 'triplet')} of {plural(len(groups), 'group')}", str(note)]


def _triplets(group: PatchGroup) -> Iterator[str]:
    labels = dict(zip(group.candidates, group.consensus, strict=True))
    scores = {name: _SCORES[label] for name in majority_names(group) if (label := labels[name])}
    original = picture_name(group.id, ORIGINAL)
    for first, second in combinations(scores, 2):
        one, other = scores[first], scores[second]
        if one != other or one == 0.5:
            compared = 0.5 if one == other else float(one > other)
            names = f"{picture_name(group.id, first)},{picture_name(group.id, second)},{original}"
            yield f"{names},{compared:g},{one:g},{other:g}"
    for name, score in scores.items():
        yield f"{picture_name(group.id, name)},{original},{original},{score:g},{score:g},0.5"
