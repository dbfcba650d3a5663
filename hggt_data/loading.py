"""Open an HGGT tree or a dataset, local or from the Hub, and read single groups and pictures, for training and scoring.

Nothing is copied: labels are read once, a picture's bytes when asked for, straight from its PNG file or from
its place inside a Parquet shard, which the shard's footer names. A source can be pickled and forked: pictures are read
by position, and each process opens the files for itself.
"""

import hashlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from hggt_data.annotation import parse_annotation
from hggt_data.consensus import judge_group
from hggt_data.errors import AnnotationError, DatasetError, HubError, ImageError, TreeError
from hggt_data.features import SOURCE_COLUMNS, group_from_row, image_column, picture_of_column
from hggt_data.files import sha256_of
from hggt_data.hub import is_hub_id
from hggt_data.images import PNG_HEADER_BYTES, Pixels, PngInfo, decode_png, parse_png_header
from hggt_data.manifest import MANIFEST_FILE, FileRecord, Manifest, read_manifest
from hggt_data.schema import PatchGroup, PatchId
from hggt_data.tree import GroupFiles, Listing, Tree, open_tree, tree_of_folders
from hggt_data.validate import summarise

if TYPE_CHECKING:
    from io import FileIO

    import pyarrow as pa


class GroupSource(ABC, Sequence["Group"]):
    """Patch groups in the order of their ids; `source[i]` reads labels only, `source[i].read(name)` one picture.

    Attributes:
        location: where it was opened from, for messages.
        candidates: names of the enhanced versions, sorted.
        ids: one per group.
        split: `train` or `test`; of a tree, `test` where its pictures lie under `GT/`.
        license: licence id of the data; null where none is named, which stands for the HGGT terms.
        revision: commit of a published dataset; null for a folder.
    """

    location: str
    candidates: tuple[str, ...]
    ids: Sequence[PatchId]
    split: str
    license: str | None = None
    revision: str | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> "Group": ...
    @overload
    def __getitem__(self, index: slice) -> "list[Group]": ...
    def __getitem__(self, index: int | slice) -> "Group | list[Group]":
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"group {index} of {len(self)} in {self.location}")
        index %= len(self)
        labels = self._read_labels(index)
        return Group(**vars(labels), source=self, index=index)

    @abstractmethod
    def _read_labels(self, index: int) -> PatchGroup:
        """The group's annotations and consensus."""

    @abstractmethod
    def read_bytes(self, index: int, name: str) -> bytes:
        """The PNG file of picture `name` (`original`, `01`.., `lr`) of group `index`.

        Raises:
            KeyError: the group has no picture of that name.
            OSError: it cannot be read.
        """

    def read(self, index: int, name: str) -> Pixels:
        """The pixels of picture `name` of group `index`: uint8 (H, W, 3) RGB.

        Raises:
            KeyError: the group has no picture of that name.
            ImageError: the picture is damaged or not 8-bit RGB.
            OSError: it cannot be read.
        """
        try:
            return decode_png(self.read_bytes(index, name))
        except ImageError as error:
            raise ImageError(f"{self.name_picture(index, name)}: {error}") from error

    def read_header(self, index: int, name: str) -> PngInfo:
        """Size and mode of picture `name` of group `index`, from the beginning of its file.

        Raises:
            KeyError: the group has no picture of that name.
            ImageError: it is no PNG.
            OSError: it cannot be read.
        """
        try:
            return parse_png_header(self._read_beginning(index, name, PNG_HEADER_BYTES))
        except ImageError as error:
            raise ImageError(f"{self.name_picture(index, name)}: {error}") from error

    def _read_beginning(self, index: int, name: str, size_bytes: int) -> bytes:
        """The first bytes of a picture; cheaper where a source can do better than this."""
        return self.read_bytes(index, name)[:size_bytes]

    def name_picture(self, index: int, name: str) -> str:
        """A picture as messages call it: by its file, or where that holds many, by its group."""
        return f"{self.location}: picture {name} of {self.ids[index]}"

    def has_picture(self, index: int, name: str) -> bool:
        """Whether group `index` has a picture of that name; cheaper where a source can do better than this."""
        try:
            self.read_bytes(index, name)
        except KeyError:
            return False
        return True

    def find_file(self, index: int, name: str) -> str | None:
        """The file of picture `name` of group `index`, relative to the tree; null in a dataset.

        Raises:
            KeyError: the group has no picture of that name.
        """
        return None

    def read_sources(self) -> dict[str, dict[str, str | None]]:
        """What a dataset tells of the source pictures: their names to origin, author, licence, as far as known."""
        return {}

    def labels_sha256(self) -> str:
        """See `hash_labels`."""
        return hash_labels(self)


@dataclass(frozen=True)
class Group(PatchGroup):
    """A patch group whose pictures can be read."""

    source: GroupSource = field(repr=False, compare=False)
    index: int = field(repr=False, compare=False)

    def has_picture(self, name: str) -> bool:
        """Whether it has `original`, a candidate (`01`..) or `lr`."""
        return self.source.has_picture(self.index, name)

    def name_picture(self, name: str) -> str:
        """A picture as messages call it, see `GroupSource.name_picture`."""
        return self.source.name_picture(self.index, name)

    def read_bytes(self, name: str) -> bytes:
        """The PNG file of `original`, a candidate (`01`..) or `lr`; raises as `GroupSource.read_bytes`."""
        return self.source.read_bytes(self.index, name)

    def read(self, name: str) -> Pixels:
        """The pixels of `original`, a candidate (`01`..) or `lr`; as `GroupSource.read`."""
        return self.source.read(self.index, name)


def open_groups(source: str | Path, split: str | None = None, *, revision: str | None = None) -> GroupSource:
    """Open the groups of a tree, of a built dataset or of a published one.

    A dataset of the Hub is brought to the Hub's cache first, here and only here: worker processes that get the source
    read files and never use the network.

    Args:
        source: a tree (see `tree.open_tree`), the folder that `hggt-build-dataset` wrote, or `ORG/NAME` on the Hub.
        split: `train` or `test` for a dataset that has both; a tree has no splits.
        revision: for the Hub: a tag, branch or commit.

    Returns:
        The groups, sorted by id.

    Raises:
        DatasetError: the dataset is incomplete, has no such split, or several and none was named.
        HubError: it is no folder, and cannot be had from the Hub.
        TreeError: the folder is neither a dataset nor a tree, or the tree's names have faults.

    Example:
        >>> from hggt_data.demo import write_demo_tree
        >>> tree = write_demo_tree(getfixture("tmp_path")).train
        >>> group = open_groups(tree)[0]
        >>> group.positives, group.read("original").shape
        (('01', '04'), (192, 192, 3))
    """
    folder = Path(source).absolute()  # a later change of folder does not matter
    if is_hub_id(source):
        snapshot = _fetch(source, revision)
        return _DatasetSource(snapshot, split, f"{source}@{snapshot.name}", snapshot.name)
    if revision is not None:
        raise DatasetError(f"{folder} is a folder and has no revisions; got revision {revision!r}")
    if is_built_dataset(folder):
        return _DatasetSource(folder, split, str(folder))
    if any(folder.glob("data/*.parquet")):
        raise DatasetError(f"{folder} has shards but no {MANIFEST_FILE}: its build has not ended, or the file is lost")
    if split is not None:
        raise DatasetError(f"{folder} is no built dataset and has no splits; got split {split!r}")
    return _TreeSource(open_tree(folder))


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
    from hggt_data.download import fetch_dataset

    try:
        return fetch_dataset(str(source), revision)
    except HubError as error:
        raise HubError(f"{source} is no folder here. On the Hub: {error}") from None


def hash_labels(groups: Iterable[PatchGroup]) -> str:
    """One SHA-256 over all labels; the same for a tree and for the dataset that was built from it or published.

    Who gave a label and when has no part in it: each group counts with the labels of its annotators, sorted.
    """
    digest = hashlib.sha256()
    for group in groups:
        votes = sorted(",".join(label.value for label in annotation.labels) for annotation in group.annotations)
        digest.update(f"{group.id} {' '.join(group.candidates)} {' '.join(votes)}\n".encode())
    return digest.hexdigest()


def open_tree_folders(images: Path, labels: Path) -> GroupSource:
    """Open a tree by its two folders: `images` holds `original/`, `01/`.., `labels` holds `A/`, `B/`..

    Raises:
        TreeError: a folder is missing, or names in it have faults.
    """
    return _TreeSource(tree_of_folders(images.absolute(), labels.absolute()))


def is_built_dataset(folder: Path) -> bool:
    """Whether a folder was written by `hggt-build-dataset`."""
    return (folder / MANIFEST_FILE).is_file()


def split_or_default(source: str | Path, split: str | None, default: str) -> str | None:
    """The split to open of what has splits: the one that is named, else the default. A tree has none."""
    has_splits = is_hub_id(source) or is_built_dataset(Path(source))
    return default if split is None and has_splits else split


class _TreeSource(GroupSource):
    """Reads the PNG and JSON files of a tree whenever a group is asked for."""

    def __init__(self, tree: Tree) -> None:
        self.location = str(tree.root)
        self.candidates = tree.candidates
        self._listing = Listing(tree)
        errors = [problem for problem in self._listing.problems if problem.severity == "error"]
        if errors or not len(self._listing):
            faults = summarise(errors) or "no groups"
            raise TreeError(f"{tree.root} cannot be opened; see hggt-data validate.\n{faults}")
        if not self._listing.slots:
            shown = ", ".join(str(section.labels) for section in tree.sections)
            raise TreeError(f"{shown}: no annotations; expected folders A/, B/, C/ with one JSON per group")
        self.ids = self._listing.ids
        self.split = "test" if tree.sections[0].images.is_relative_to(tree.root / "GT") else "train"

    def _read_labels(self, index: int) -> PatchGroup:
        files = self._files(index)
        annotations = []
        for slot, path in files.annotations.items():
            if not path.is_file():
                raise TreeError(f"{path} is missing, but slot {slot} labelled other groups; see hggt-data validate")
            try:
                annotations.append(
                    parse_annotation(path.read_bytes(), files.id, slot, files.candidates, files.annotators.get(slot))
                )
            except AnnotationError as error:
                raise AnnotationError(f"{path}: {error}") from error
        return judge_group(files.id, files.candidates, annotations)

    def read_bytes(self, index: int, name: str) -> bytes:
        return self._path(self._files(index), name).read_bytes()

    def _read_beginning(self, index: int, name: str, size_bytes: int) -> bytes:
        with open(self._path(self._files(index), name), "rb") as file:
            return file.read(size_bytes)

    def name_picture(self, index: int, name: str) -> str:
        return str(self._path(self._files(index), name))

    def has_picture(self, index: int, name: str) -> bool:
        return name in self._files(index).images

    def find_file(self, index: int, name: str) -> str:
        files = self._files(index)
        return files.relative(self._path(files, name))

    def _path(self, files: GroupFiles, name: str) -> Path:
        if name not in files.images:
            raise KeyError(_no_picture(name, files.id, list(files.images)))
        return files.images[name]

    def _files(self, index: int) -> GroupFiles:
        return self._listing.files(self.ids[index])


class _DatasetSource(GroupSource):
    """Reads labels from the light Parquet table and pictures from their places inside the shards."""

    def __init__(self, folder: Path, split: str | None, location: str, revision: str | None = None) -> None:
        manifest = read_manifest(folder)
        self.location = location
        self.revision = revision
        self.candidates = tuple(manifest.candidates)
        self.license = manifest.settings["license"]
        self.split = _choose_split(location, manifest, split)
        self._folder = folder
        shards = [shard for shard in manifest.shards if shard.split == self.split]
        self._shards = [FileRecord(shard.path, shard.size_bytes, shard.sha256) for shard in shards]
        self._table = next(file for file in manifest.files if file.path == f"labels/{self.split}.parquet")
        for record in (self._table, *self._shards):
            self._open(record).close()
        self.ids = [PatchId.parse(text) for shard in shards for text in shard.ids]
        self._places = [(s, row) for s, shard in enumerate(shards) for row in range(len(shard.ids))]
        self._start()

    def _start(self) -> None:
        """What each process has for itself."""
        self._offsets: dict[int, dict[str, list[tuple[int, int] | None]]] = {}
        self._labels: pa.Table | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_offsets", "_labels")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    def _open(self, record: FileRecord) -> "FileIO":
        """A file of the dataset, to be read by position.

        Raises:
            DatasetError: it is not as long as it was built, or is missing.
        """
        try:
            file = open(self._folder / record.path, "rb", buffering=0)  # noqa: SIM115
        except FileNotFoundError as error:
            raise self._not_as_built(record, "is missing") from error
        found = os.fstat(file.fileno()).st_size
        if found != record.size_bytes:
            file.close()
            raise self._not_as_built(record, f"has {found:,} bytes")
        return file

    def _not_as_built(self, record: FileRecord, what: str) -> DatasetError:
        return DatasetError(
            f"{self._folder / record.path} {what}; its manifest says {record.size_bytes:,} bytes, SHA-256 "
            f"{record.sha256[:12]}. If the dataset was built anew while it was in use, open it again; else "
            f"{self._way_out()}"
        )

    def _read_labels(self, index: int) -> PatchGroup:
        return group_from_row(self._label_table().slice(index, 1).to_pylist()[0], self.candidates)

    def read_sources(self) -> dict[str, dict[str, str | None]]:
        table = self._label_table()
        columns = [column for column in SOURCE_COLUMNS if column in table.column_names]
        if not columns:
            return {}
        rows = table.select(["image_name", *columns]).to_pylist()
        return {row["image_name"]: {column: row[column] for column in columns} for row in rows}

    def _label_table(self) -> "pa.Table":
        if self._labels is None:
            from hggt_data.shards import read_table_bytes

            with self._open(self._table) as file:
                data = file.readall()
            if sha256_of(data) != self._table.sha256:  # a flipped bit may be another label
                raise self._not_as_built(self._table, "has other content")
            self._labels = read_table_bytes(data)
        return self._labels

    def has_picture(self, index: int, name: str) -> bool:
        return self._find_picture(index, name) is not None

    def _find_picture(self, index: int, name: str) -> tuple[int, int] | None:
        """Offset and size of a picture in its shard; null where there is none."""
        shard, row = self._places[index]
        places = self._offsets_of(shard).get(image_column(name))
        return None if places is None else places[row]

    def _offsets_of(self, shard: int) -> dict[str, list[tuple[int, int] | None]]:
        if shard not in self._offsets:
            from hggt_data.shards import read_offsets

            self._offsets[shard] = read_offsets(self._folder / self._shards[shard].path)
        return self._offsets[shard]

    def read(self, index: int, name: str) -> Pixels:
        try:
            return super().read(index, name)
        except ImageError as error:
            raise ImageError(f"{error}; {self._way_out()}") from error

    def _way_out(self) -> str:
        """What to do about a damaged file."""
        if self.revision is None:
            return "build or download the dataset again"
        from hggt_data.download import CHECKED_FILE

        return f"remove {self._folder / CHECKED_FILE} and run again, to check all files and fetch damaged ones anew"

    def read_bytes(self, index: int, name: str) -> bytes:
        return self._read_beginning(index, name)

    def _read_beginning(self, index: int, name: str, size_bytes: int = sys.maxsize) -> bytes:
        shard, row = self._places[index]
        place = self._find_picture(index, name)
        if place is None:
            offsets = self._offsets_of(shard)
            names = [picture_of_column(column) for column, places in offsets.items() if places[row] is not None]
            raise KeyError(_no_picture(name, self.ids[index], names))
        offset, size = place
        wanted = min(size, size_bytes)
        # Opened for each picture: processes and threads share nothing, and a file that has changed is noticed.
        with self._open(self._shards[shard]) as file:
            data = os.pread(file.fileno(), wanted, offset)
        if len(data) != wanted:
            raise self._not_as_built(self._shards[shard], "ends in the middle of a picture")
        return data


def _choose_split(location: str, manifest: Manifest, split: str | None) -> str:
    splits = list(manifest.splits)
    if split is None and len(splits) == 1:
        return splits[0]
    if split is None:
        raise DatasetError(f"{location} has the splits {', '.join(splits)}; name one")
    if split not in splits:
        raise DatasetError(f"{location} has no split {split!r}; it has {', '.join(splits)}")
    return split


def _no_picture(name: str, group_id: PatchId, names: list[str]) -> str:
    return f"group {group_id} has no picture {name!r}; it has {', '.join(names)}"
