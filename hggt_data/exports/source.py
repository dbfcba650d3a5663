"""What exports read, and how they write one picture and the licence."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.errors import DatasetError, ImageError, SettingsError
from hggt_data.groups import Group, GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.files import write_text
from hggt_data.io.folders import require_outside
from hggt_data.io.images import parse_png
from hggt_data.io.text import format_examples
from hggt_data.licence import format_licence_note, require_license_id
from hggt_data.loading import open_splits
from hggt_data.schema import LR, is_candidate
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions


@dataclass(frozen=True)
class OpenedSource:
    """A tree or dataset that was opened to be exported, see `open_source`.

    Attributes:
        location: The path or the name on the Hub, as given.
        splits: The groups of each split.
        license: Licence id of the data.
    """

    location: str
    splits: Mapping[str, GroupSource]
    license: str

    @property
    def only_split(self) -> GroupSource:
        """The groups, if there is one split."""
        if len(self.splits) > 1:
            raise DatasetError(f"{self.location} has the splits {', '.join(self.splits)}; choose one with `split`")
        return next(iter(self.splits.values()))

    @property
    def training_split(self) -> GroupSource:
        """The groups of the training split, or of the only split."""
        return self.splits.get("train") or self.only_split  # no split is empty

    def require_outside(self, output: Path) -> None:
        """OutputError if the output is inside the source."""
        if Path(self.location).is_dir():
            require_outside(output, Path(self.location), "the source")

    def write_licence(self, path: Path) -> None:
        """Write the file that states the licence of an export."""
        write_text(path, format_licence_note(self.license))


def open_source(
    source: str | Path,
    split: Literal["train", "validation", "test"] | None = None,
    *,
    revision: str | None = None,
    license: str | None = None,
    table: TableOptions = NO_TABLE_OPTIONS,
) -> OpenedSource:
    """Open the data to export.

    Args:
        source: Tree, built dataset, or ORG/NAME on the Hub.
        split: Split to export, if `source` has several.  [default: all]
        revision: Tag, branch or commit on the Hub.  [default: main]
        license: Licence id of the data, if `source` is a tree.  [default: the terms of the layout, if they are
            known]
        table: Where a table of votes and its pictures are, and what its words mean.

    Returns:
        What `export_positives`, `export_pairs` and `export_tree` take.

    Raises:
        SettingsError: `license` is not a licence id, or it, `split` or `revision` does not fit the kind of source.
        DatasetError: It cannot be opened, or has candidates with unexpected names.
        HubError: It cannot be downloaded.
        TreeError: It is not a tree, or names in it have errors.

    Example:
        >>> import tempfile
        >>> from hggt_data import open_source, write_demo_tree
        >>> open_source(write_demo_tree(tempfile.mkdtemp()).train, license="cc0-1.0").license
        'cc0-1.0'
    """
    if license is not None and (is_hub_id(source) or is_built_dataset(Path(source))):
        raise SettingsError(f"{source} is a dataset, whose licence is read from it; omit `license`")
    if license is not None:
        require_license_id(license)
    splits = open_splits(source, split, revision=revision, table=table)
    first = next(iter(splits.values()))
    unusable = [name for name in first.candidates if not is_candidate(name)]
    if unusable:  # they become names of folders, and a dataset may come from anywhere
        raise DatasetError(
            f"{source} has candidates named {format_examples(unusable)}; expected letters, digits and ._+-"
        )
    return OpenedSource(str(source), splits, license or first.license)


def as_opened(source: OpenedSource | str | Path) -> OpenedSource:
    """An opened source, of a path or name too."""
    return source if isinstance(source, OpenedSource) else open_source(source)


def file_name(group: Group, name: str) -> str:
    """File name of a picture in an export."""
    return f"{group.id}.png" if name == LR else picture_name(group.id, name)


def picture_file(groups: GroupSource, index: int, name: str) -> Path | None:
    """The file of a picture; None for a dataset."""
    relative = groups.find_file(index, name)
    path = Path(groups.location, relative) if relative else None
    return path if path and path.is_file() else None


def write_png(path: Path, group: Group, name: str) -> None:
    """Write a picture, decoded once to check it; its folder is created if missing."""
    data = read_checked(group, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def read_checked(group: Group, name: str) -> bytes:
    """The PNG file of a picture; ImageError if it is damaged."""
    data = group.read_bytes(name)
    try:
        parse_png(data)
    except ImageError as error:
        raise ImageError(f"{group.name_picture(name)}: {error}") from error
    return data
