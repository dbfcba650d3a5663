"""Open an HGGT tree or a dataset, local or from the Hub, and read single groups and pictures, for training and scoring.

Nothing is copied: labels are read once, a picture's bytes when asked for, straight from its PNG file or from
its place inside a Parquet shard, which the shard's footer names. A source can be pickled and forked: pictures are read
by position, and each process opens the files for itself.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from hggt_data.dataset.manifest import MANIFEST_FILE, is_built_dataset, read_manifest
from hggt_data.dataset.reader import DatasetSource
from hggt_data.errors import DatasetError, HubError
from hggt_data.groups import GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.tree.layout import open_tree, tree_of_folders
from hggt_data.tree.reader import TreeSource

if TYPE_CHECKING:
    pass


def open_groups(source: str | Path, split: str | None = None, *, revision: str | None = None) -> GroupSource:
    """Open the groups of a tree, of a built dataset or of a published one.

    A dataset of the Hub is brought to the Hub's cache first, here and only here: worker processes that get the source
    read files and never use the network.

    Args:
        source: Tree, built dataset, or ORG/NAME on the Hub.
        split: Split to read, if `source` is a dataset: train or test.
        revision: Tag, branch or commit on the Hub.  [default: main]

    Returns:
        The groups, sorted by id.

    Raises:
        DatasetError: the dataset is incomplete, has no such split, or several and none was named.
        HubError: it is no folder, and cannot be had from the Hub.
        TreeError: the folder is neither a dataset nor a tree, or the tree's names have faults.

    Example:
        >>> from hggt_data.tree.demo import write_demo_tree
        >>> tree = write_demo_tree(getfixture("tmp_path")).train
        >>> group = open_groups(tree)[0]
        >>> group.positives, group.read("original").shape
        (('01', '04'), (192, 192, 3))
    """
    folder = Path(source).absolute()  # a later change of folder does not matter
    if is_hub_id(source):
        snapshot = _fetch(source, revision)
        return DatasetSource(snapshot, split, f"{source}@{snapshot.name}", snapshot.name)
    if revision is not None:
        raise DatasetError(f"{folder} is a folder and has no revisions; got revision {revision!r}")
    if is_built_dataset(folder):
        return DatasetSource(folder, split, str(folder))
    if any(folder.glob("data/*.parquet")):
        raise DatasetError(f"{folder} has shards but no {MANIFEST_FILE}: its build has not ended, or the file is lost")
    if split is not None:
        raise DatasetError(f"{folder} is no built dataset and has no splits; got split {split!r}")
    return TreeSource(open_tree(folder))


def open_splits(source: str | Path, split: str | None = None, *, revision: str | None = None) -> dict[str, GroupSource]:
    """Open all splits of a dataset, or the one that is named; a tree is one split.

    Args:
        source, revision: as for `open_groups`.
        split: null for all.

    Returns:
        The splits by their names, `train` before `test`.

    Raises:
        DatasetError, HubError, TreeError: as `open_groups`.
    """
    if split is None:
        folder = Path(source)
        if is_hub_id(source):
            folder = _fetch(source, revision)
            revision = folder.name  # all splits of one version
        if is_built_dataset(folder):
            return {name: open_groups(source, name, revision=revision) for name in read_manifest(folder).splits}
    groups = open_groups(source, split, revision=revision)
    return {groups.split: groups}


def _fetch(source: str | Path, revision: str | None) -> Path:
    """A published dataset in the Hub's cache; the folder is named after the commit."""
    from hggt_data.hub.download import fetch_dataset

    try:
        return fetch_dataset(str(source), revision)
    except HubError as error:
        raise HubError(f"{source} is no folder here. On the Hub: {error}") from None


def open_tree_folders(images: Path, labels: Path) -> GroupSource:
    """Open a tree by its two folders: `images` holds `original/`, `01/`.., `labels` holds `A/`, `B/`..

    Raises:
        TreeError: a folder is missing, or names in it have faults.
    """
    return TreeSource(tree_of_folders(images.absolute(), labels.absolute()))


def split_or_default(source: str | Path, split: str | None, default: str) -> str | None:
    """The split to open of what has splits: the one that is named, else the default. A tree has none."""
    has_splits = is_hub_id(source) or is_built_dataset(Path(source))
    return default if split is None and has_splits else split
