"""What exports read from, and how they write one picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.errors import DatasetError, ImageError
from hggt_data.groups import Group, GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.folders import require_outside
from hggt_data.io.images import parse_png
from hggt_data.io.text import format_examples
from hggt_data.loading import open_splits
from hggt_data.schema import LR
from hggt_data.tree.layout import is_candidate_name, picture_name


@dataclass(frozen=True)
class ExportSource:
    """What is exported.

    Attributes:
        location: as the user named it.
        splits: name to groups.
        license: licence id of the data; null for the HGGT terms.
    """

    location: str
    splits: Mapping[str, GroupSource]
    license: str | None

    @property
    def only_split(self) -> GroupSource:
        """The groups, where one split is exported.

        Raises:
            DatasetError: there are several.
        """
        if len(self.splits) > 1:
            raise DatasetError(f"{self.location} has the splits {', '.join(self.splits)}; choose one with `split`")
        return next(iter(self.splits.values()))

    def require_outside(self, output: Path) -> None:
        """Refuse to write into what is being read.

        Raises:
            OutputError: the output lies inside.
        """
        if Path(self.location).is_dir():
            require_outside(output, Path(self.location), "the source")


def open_source(
    source: str, split: str | None = None, *, revision: str | None = None, license_id: str | None = None
) -> ExportSource:
    """Open what is to be exported.

    Args:
        source, split, revision: as for `loading.open_splits`.
        license_id: the licence of a tree's data, which no file of it tells; null for the HGGT terms.

    Raises:
        DatasetError: it cannot be opened, names strange candidates, or is a dataset, which tells its licence itself.
        HubError, TreeError: it cannot be opened.
    """
    if license_id is not None and (is_hub_id(source) or is_built_dataset(Path(source))):
        raise DatasetError(f"{source} is a dataset and tells its licence itself; --license is for a tree")
    splits = open_splits(source, split, revision=revision)
    first = next(iter(splits.values()))
    strange = [name for name in first.candidates if not is_candidate_name(name)]
    if strange:  # they become names of folders, and a dataset may come from anywhere
        raise DatasetError(f"{source} has candidates named {format_examples(strange)}; expected 01, 02 ..")
    return ExportSource(source, splits, first.license or license_id)


def file_name(group: Group, name: str) -> str:
    """File name of a picture in an export."""
    return f"{group.id}.png" if name == LR else picture_name(group.id, name)


def write_png(path: Path, group: Group, name: str) -> None:
    """Write a picture, decoded once to check it, into a folder that is created if missing."""
    data = read_checked(group, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def read_checked(group: Group, name: str) -> bytes:
    """The PNG file of a picture, whole.

    Raises:
        ImageError: it is cut or damaged.
    """
    data = group.read_bytes(name)
    try:
        parse_png(data)
    except ImageError as error:
        raise ImageError(f"{group.name_picture(name)}: {error}") from error
    return data
