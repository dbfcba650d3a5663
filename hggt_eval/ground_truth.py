"""What restored images are scored against: given as a dataset, folders or nothing, opened as groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.errors import SettingsError
from hggt_data.groups import GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.loading import open_groups, open_tree_folders, split_or_default
from hggt_data.restored.methods import Method
from hggt_data.tree.picture_folders import NamesOnly, PictureFolders, find_pictures
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundTruth:
    """What restored images are scored against: a dataset, the two folders of a tree, folders of pictures, or nothing.

    Attributes:
        dataset: Built dataset or official tree to score against, or ORG/NAME on the Hub.
        gts: Folder with original/, 01/ to 04/, instead of `dataset`.
        labels: Folder with A/, B/, C/, for `gts`.
        gt: Folder of ground truths without labels, instead of `dataset`; repeatable, for several ground truths per
            picture. Their names without the ending, and without an underscored part that all share, are those of the
            restored images.
        no_gt: Compare with nothing, and compute no-reference metrics only.
        split: Split of the dataset. [default: test]
        revision: Tag, branch or commit of a dataset on the Hub.
        table: Where a table of votes and its pictures are, and what its words mean, for a tree as `dataset`.

    Raises:
        SettingsError: The parameters contradict each other.

    Example:
        >>> from hggt_eval import GroundTruth
        >>> GroundTruth(gts="Test/images", labels="Test/labels").split is None
        True
    """

    dataset: str | Path | None = None
    gts: str | Path | None = None
    labels: str | Path | None = None
    split: str | None = None
    revision: str | None = None
    table: TableOptions = NO_TABLE_OPTIONS
    gt: Sequence[str | Path] = ()
    no_gt: bool = False

    def __post_init__(self) -> None:
        ways = {
            "`dataset`": self.dataset is not None,
            "`gts` and `labels`": self.gts is not None or self.labels is not None,
            "`gt`": bool(self.gt),
            "`no_gt`": self.no_gt,
        }
        chosen = [way for way, is_chosen in ways.items() if is_chosen]
        if len(chosen) > 1:
            raise SettingsError(f"{chosen[0]} cannot be combined with {chosen[1]}; pass one or the other")
        if not chosen:
            raise SettingsError(f"no ground truths; pass one of {', '.join(ways)}")
        if isinstance(self.gt, str | Path):
            raise SettingsError(f"`gt` is {str(self.gt)!r}; expected a list of folders, such as [{str(self.gt)!r}]")
        if ways["`gts` and `labels`"] and (self.gts is None or self.labels is None):
            given, absent = ("gts", "labels") if self.labels is None else ("labels", "gts")
            raise SettingsError(f"`{given}` requires `{absent}`")
        if not self.table.is_default and self.dataset is None:
            raise SettingsError("the options of tables of votes require `dataset`")
        if self.split is not None and self.dataset is None:
            raise SettingsError("`split` requires `dataset`; a tree has no splits")
        if self.revision is not None and (self.dataset is None or not is_hub_id(str(self.dataset))):
            raise SettingsError("`revision` requires a `dataset` on the Hub (ORG/NAME)")

    def require_apart(self, **folders: str | Path | None) -> None:
        """Check that nothing is written among the data, where the next build would report it as unknown files."""
        inputs = [Path(place) for place in (self.dataset, self.gts, self.labels, *self.gt) if place is not None]
        for name, folder in folders.items():
            if folder is None:
                continue
            around = [place for place in inputs if Path(folder).resolve().is_relative_to(place.resolve())]
            if around or is_built_dataset(Path(folder)):
                place = around[0] if around else "a built dataset"
                raise SettingsError(f"`{name}` {folder} is inside {place}; choose another folder")

    @property
    def opened_split(self) -> str | None:
        """The split that is opened; None for a tree."""
        return None if self.dataset is None else split_or_default(str(self.dataset), self.split, "test", self.table)

    def open(self, methods: Sequence[Method] = (), suffix: str | None = None) -> GroupSource:
        """Open the groups; raises the errors of `open_groups`.

        Without ground truths, the pictures of the first method with a plain folder are the groups.
        """
        if self.gt:
            return PictureFolders([Path(folder).absolute() for folder in self.gt])
        if self.no_gt:
            plain = next((one for one in methods if one.pattern is None and one.map_file is None), None)
            if plain is None:
                raise SettingsError(
                    "`no_gt` requires a method without pattern and map, whose names are those of the groups"
                )
            return NamesOnly(find_pictures(plain.folder, suffix))
        if self.dataset is not None:
            return open_groups(self.dataset, self.opened_split, revision=self.revision, table=self.table)
        assert self.gts is not None
        assert self.labels is not None
        return open_tree_folders(Path(self.gts), Path(self.labels))

    def describe(self, source: GroupSource) -> str:
        """The name to record: as the user gave it, with the commit if it is on the Hub."""
        if self.gt or self.no_gt:
            return ", ".join(map(str, self.gt)) or "none"
        return (
            source.location
            if self.dataset is not None and is_hub_id(str(self.dataset))
            else str(self.dataset or self.gts)
        )
