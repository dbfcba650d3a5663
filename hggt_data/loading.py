"""Open an HGGT tree or a dataset, local or on the Hub, to read single groups and pictures for training and scoring.

Nothing is copied: labels are read once, a picture's bytes when asked for, from its PNG file or from its place in a
Parquet shard.
"""

from difflib import get_close_matches
from pathlib import Path

from hggt_data.dataset.manifest import MANIFEST_FILE, is_built_dataset, read_manifest
from hggt_data.dataset.reader import DatasetSource
from hggt_data.errors import RUN_AGAIN, DatasetError, HubError, SettingsError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.archive import place_exists
from hggt_data.tree.layouts import has_splits, list_tree
from hggt_data.tree.layouts.hggt import list_folders
from hggt_data.tree.listing import ListOptions
from hggt_data.tree.reader import TreeSource
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions


def open_groups(
    source: str | Path,
    split: str | None = None,
    *,
    revision: str | None = None,
    table: TableOptions = NO_TABLE_OPTIONS,
) -> GroupSource:
    """Open the groups of a tree, of a built dataset, or of a dataset on the Hub.

    A dataset on the Hub is downloaded to the Hub's cache first. Only this call uses the network: worker processes that
    receive the source read local files.

    Args:
        source: A tree (`Train/`, `Test/`, or a folder with `images/` and `labels/`) or its zip file, the folder of a
            built dataset, or `ORG/NAME` on the Hub.
        split: Split to read, if `source` is a dataset.  [default: the only one]
        revision: Tag, branch or commit on the Hub.  [default: main]
        table: Where a table of votes and its pictures are, and what its words mean.

    Returns:
        The groups, sorted by id.

    Raises:
        SettingsError: A tree does not have the split, or has several; or `revision` is given for a folder.
        DatasetError: The dataset is incomplete, does not have the split, or has several and `split` is None.
        HubError: `source` is not a folder, and cannot be downloaded.
        TreeError: The folder is neither a dataset nor a tree, or names in the tree have errors.

    Example:
        >>> import tempfile
        >>> from hggt_data import open_groups, write_demo_tree
        >>> groups = open_groups(write_demo_tree(tempfile.mkdtemp()).train)
        >>> groups[0].positives, groups[0].read("original").shape
        (('01', '04'), (192, 192, 3))
    """
    if not table.is_default and (is_hub_id(source) or is_built_dataset(Path(source))):
        raise SettingsError(f"{source} is a dataset; the options of tables of votes are for trees")
    if is_hub_id(source):
        snapshot = _fetch(source, revision)
        return DatasetSource(snapshot, split, f"{source}@{snapshot.name}", snapshot.name)
    folder = Path(source).absolute()  # valid even after a later chdir
    if revision is not None:
        raise SettingsError(f"{folder} is a local folder and has no revisions; leave out `revision` ({revision!r})")
    if not place_exists(folder):
        raise TreeError(f"{source}: no such folder; expected a tree, a built dataset, or a name on the Hub (ORG/NAME)")
    if is_built_dataset(folder):
        return DatasetSource(folder, split, str(folder))
    if any(folder.glob("data/*.parquet")):
        raise DatasetError(
            f"{folder} has shards but no {MANIFEST_FILE}: the build has not finished, or the file is lost; build it "
            "again"
        )
    return TreeSource(list_tree(folder, ListOptions(table=table)), split)


def as_groups(
    source: GroupSource | str | Path,
    split: str | None = None,
    *,
    revision: str | None = None,
    table: TableOptions = NO_TABLE_OPTIONS,
) -> GroupSource:
    """Groups that are already open, or those of a path or name, see `open_groups`."""
    if not isinstance(source, GroupSource):
        return open_groups(source, split, revision=revision, table=table)
    if split is not None or revision is not None or not table.is_default:
        raise SettingsError(f"{source.location} is already open; pass `split` and `revision` when you open it")
    return source


def open_splits(
    source: str | Path,
    split: str | None = None,
    *,
    revision: str | None = None,
    table: TableOptions = NO_TABLE_OPTIONS,
) -> dict[str, GroupSource]:
    """Open all splits of a dataset, or one of them; a tree is one split.

    Args:
        source: As for `open_groups`.
        split: The only split to open [default: all].
        revision: Tag, branch or commit on the Hub.
        table: As for `open_groups`.

    Returns:
        The splits by name, `train` before `test`.

    Raises:
        SettingsError: As for `open_groups`.
        DatasetError: As for `open_groups`.
        HubError: As for `open_groups`.
        TreeError: As for `open_groups`.

    Example:
        >>> import tempfile
        >>> from hggt_data import open_splits, write_demo_tree
        >>> {name: len(groups) for name, groups in open_splits(write_demo_tree(tempfile.mkdtemp()).test).items()}
        {'test': 6}
    """
    if split is None:
        folder = Path(source)
        if is_hub_id(source):
            folder = _fetch(source, revision)
            revision = folder.name  # all splits of one version
        if is_built_dataset(folder):
            return {
                name: open_groups(source, name, revision=revision, table=table) for name in read_manifest(folder).splits
            }
        if revision is None and place_exists(folder) and not any(folder.glob("data/*.parquet")):
            listing = list_tree(folder.absolute(), ListOptions(table=table))
            return {name: TreeSource(listing, name) for name in listing.split_names}
    groups = open_groups(source, split, revision=revision, table=table)
    return {groups.split: groups}


def open_version(source: str | Path, split: str | None = None) -> dict[str, GroupSource]:
    """As `open_splits`; a name on the Hub may say its revision: `ORG/NAME@REVISION`."""
    repo_id, _, revision = str(source).rpartition("@")
    if repo_id and revision and is_hub_id(repo_id) and not place_exists(Path(source)):
        return open_splits(repo_id, split, revision=revision)
    return open_splits(source, split)


def open_cached_groups(repo_id: str, commit: str, split: str | None = None) -> GroupSource:
    """Open a dataset of the Hub that is already in the Hub's cache, without asking the Hub."""
    from hggt_data.hub.download import find_cached_dataset

    return DatasetSource(find_cached_dataset(repo_id, commit), split, f"{repo_id}@{commit}", commit)


def _fetch(source: str | Path, revision: str | None) -> Path:
    """A dataset of the Hub in the Hub's cache; the folder is named after the commit."""
    from hggt_data.hub.download import fetch_dataset

    try:
        return fetch_dataset(str(source), revision)
    except HubError as error:
        beside, name = Path(source).parent, Path(source).name
        near = get_close_matches(name, [path.name for path in beside.iterdir()] if beside.is_dir() else [], n=1)
        path = f"{source} is not a local folder{f' (did you mean {beside / near[0]}?)' if near else ''}"
        if error.is_unreachable:
            reason = str(error).removesuffix(RUN_AGAIN).rstrip()
            raise HubError(f"{path}, and the Hub cannot be reached: {reason}") from None
        raise HubError(f"{path}. On the Hub: {error}") from None


def open_tree_folders(images: Path, labels: Path) -> GroupSource:
    """Open a tree by its two folders: `images` contains `original/`, `01/`.., `labels` contains `A/`, `B/`.. ."""
    return TreeSource(list_folders(images.absolute(), labels.absolute()))


def split_or_default(
    source: str | Path, split: str | None, default: str, table: TableOptions = NO_TABLE_OPTIONS
) -> str | None:
    """The split to open: `split` if given, else the default of what has several; None for a tree of one."""
    may_choose = is_hub_id(source) or is_built_dataset(Path(source)) or has_splits(Path(source), table)
    return default if split is None and may_choose else split


def opened(groups: GroupSource | str | Path, split: str) -> GroupSource:
    """Groups that are open, or those of a path or a name on the Hub: of a dataset this split."""
    if isinstance(groups, str | Path):
        return open_groups(groups, split_or_default(groups, None, split))
    return groups


def require_source(source: str) -> str:
    """Check that this is a folder, a zip file, or a name on the Hub."""
    if not place_exists(Path(source)) and not is_hub_id(source):
        raise SettingsError(f"{source!r} is neither a folder or zip file nor a name on the Hub (ORG/NAME)")
    return source
