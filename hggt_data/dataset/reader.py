"""Reads the groups of a built dataset: labels from its small table, pictures by position from its shards."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hggt_data.dataset.features import SOURCE_COLUMNS, group_from_row, image_column, image_columns, picture_of_column
from hggt_data.dataset.manifest import Manifest, read_manifest
from hggt_data.errors import DatasetError, ImageError
from hggt_data.groups import GroupSource
from hggt_data.io.files import LFS_POINTER, FileDigest, is_lfs_pointer, open_regular_file, read_regular_file, sha256_of
from hggt_data.io.images import Pixels, is_flat_digest
from hggt_data.io.parsing import read_value
from hggt_data.schema import PatchGroup
from hggt_data.study_plan import PLAN_FILE, StudyPlan, read_plan

if TYPE_CHECKING:
    import pyarrow as pa

# Marks a snapshot in the Hub's cache whose files have all been hashed; it is removed with the snapshot.
CHECKED_FILE = ".hggt-checked"


class DatasetSource(GroupSource):
    """The groups of one split of a built dataset; files that are not as its manifest says are noticed when opened."""

    def __init__(self, folder: Path, split: str | None, location: str, revision: str | None = None) -> None:
        manifest = read_manifest(folder)
        self.location = location
        self.revision = revision
        self.candidates = tuple(manifest.candidates)
        self.license = manifest.license
        self.split = _choose_split(location, manifest, split)
        self.layout, self.consensus_rule = manifest.layout, manifest.consensus_rule
        self.protocol = manifest.protocol(self.split)
        self._folder = folder
        shards = [shard for shard in manifest.shards if shard.split == self.split]
        self._shards = [FileDigest(shard.path, shard.size_bytes, shard.sha256) for shard in shards]
        self._table = next(file for file in manifest.files if file.path == f"labels/{self.split}.parquet")
        self._plan = next((file for file in manifest.files if file.path == PLAN_FILE), None)
        for file in (self._table, *self._shards):
            self._open(file).close()
        self.ids = [group for shard in shards for group in shard.ids]
        self._places = [(s, row) for s, shard in enumerate(shards) for row in range(len(shard.ids))]
        self._start_process()

    def find_equal_pictures(self) -> Iterator[tuple[str, str]]:
        image_of, first = dict(zip(self.ids, self.image_names, strict=True)), dict[str, str]()
        shards = [shard for shard in read_manifest(self._folder).shards if shard.split == self.split]
        for group, digests in (found for shard in shards for found in shard.digests(self.candidates)):
            for digest in digests.values() if group in image_of else ():  # it may have been rebuilt meanwhile
                if is_flat_digest(digest):
                    continue
                twin = first.setdefault(digest, image_of[group])
                if twin != image_of[group]:
                    yield image_of[group], twin

    def _start_process(self) -> None:
        """What each process reads for itself."""
        self._digests: dict[str, dict[str, str]] = {}
        self._offsets: dict[int, dict[str, list[tuple[int, int] | None]]] = {}
        self._labels: pa.Table | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_digests", "_offsets", "_labels")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start_process()

    def digest_pixels(self, index: int, name: str) -> str:
        if not self._digests:
            shards = [shard for shard in read_manifest(self._folder).shards if shard.split == self.split]
            self._digests = dict(found for shard in shards for found in shard.digests(self.candidates))
        return self._digests.get(self.ids[index], {}).get(name) or super().digest_pixels(index, name)

    def groups_by_shard(self) -> dict[str, list[str]]:
        """The groups of each shard, by the SHA-256 of its file."""
        found: dict[str, list[str]] = {shard.sha256: [] for shard in self._shards}
        for group, (shard, _) in zip(self.ids, self._places, strict=True):
            found[self._shards[shard].sha256].append(group)
        return found

    def _read_labels(self, index: int) -> PatchGroup:
        table = self.label_table()
        try:
            group = group_from_row(table.slice(index, 1).to_pylist()[0], self.candidates)
            if group.id != self.ids[index]:
                raise ValueError(f"the group is {group.id}; expected {self.ids[index]}")
        except (ArithmeticError, ValueError) as error:
            raise self._not_labels(f"row {index}: {error}") from error
        return group

    def label_table(self) -> "pa.Table":
        """The table of labels; a row is checked when its group is read."""
        if self._labels is None:
            from hggt_data.dataset.shards import read_table_bytes

            self._open(self._table).close()
            path = self._folder / self._table.path
            data = read_regular_file(path)
            if sha256_of(data) != self._table.sha256:  # one flipped bit can change a label
                raise self._not_as_built(self._table, "has other content")
            self._labels = read_table_bytes(data, str(path), len(self.ids))
        return self._labels

    def read_plan(self) -> StudyPlan | None:
        if self._plan is None:
            return None
        self._open(self._plan).close()
        if sha256_of(read_regular_file(self._folder / PLAN_FILE)) != self._plan.sha256:
            raise self._not_as_built(self._plan, "has other content")
        return read_plan(self._folder)

    def _not_labels(self, fault: str) -> DatasetError:
        return DatasetError(f"{self._folder / self._table.path}, {fault}; {self._remedy()}")

    @property
    def image_names(self) -> Sequence[str]:
        try:
            return read_value(list[str], self.label_table()["image_name"].to_pylist())
        except (LookupError, ValueError) as error:
            raise self._not_labels(str(error)) from error

    def read_sources(self) -> dict[str, dict[str, str | None]]:
        table = self.label_table()
        columns = [column for column in SOURCE_COLUMNS if column in table.column_names]
        try:
            lines = read_value(list[dict[str, str | None]], table.select(columns).to_pylist()) if columns else []
        except ValueError as error:
            raise self._not_labels(str(error)) from error
        return dict(zip(self.image_names, lines, strict=True)) if columns else {}

    def has_picture(self, index: int, name: str) -> bool:
        return self._find_picture(index, name) is not None

    def _find_picture(self, index: int, name: str) -> tuple[int, int] | None:
        """Offset and size of a picture in its shard; None if the group does not have it."""
        shard, row = self._places[index]
        places = self._offsets_of(shard).get(image_column(name))
        return None if places is None else places[row]

    def _offsets_of(self, shard: int) -> dict[str, list[tuple[int, int] | None]]:
        if shard not in self._offsets:
            from hggt_data.dataset.shards import read_offsets

            num_rows = sum(place[0] == shard for place in self._places)
            columns = image_columns(self.candidates, has_lr=False)
            self._offsets[shard] = read_offsets(self._folder / self._shards[shard].path, num_rows, columns)
        return self._offsets[shard]

    def read(self, index: int, name: str) -> Pixels:
        try:
            return super().read(index, name)
        except ImageError as error:
            raise ImageError(f"{error}; {self._remedy()}") from error

    def read_bytes(self, index: int, name: str) -> bytes:
        return self._read_beginning(index, name)

    def _read_beginning(self, index: int, name: str, size_bytes: int = sys.maxsize) -> bytes:
        shard, row = self._places[index]
        place = self._find_picture(index, name)
        if place is None:
            columns = self._offsets_of(shard).items()
            raise self._no_picture(index, name, [picture_of_column(c) for c, places in columns if places[row]])
        offset, size = place
        wanted = min(size, size_bytes)
        # Opened for each picture: processes and threads share nothing, and a file that has changed is noticed.
        with self._open(self._shards[shard]) as file:
            data = os.pread(file.fileno(), wanted, offset)
        if len(data) != wanted:
            raise self._not_as_built(self._shards[shard], "ends in the middle of a picture")
        return data

    def _open(self, record: FileDigest) -> BinaryIO:
        """A file of the dataset; DatasetError if it is missing or has another size than when built."""
        try:
            file = open_regular_file(self._folder / record.path)
        except FileNotFoundError as error:
            raise self._not_as_built(record, "is missing") from error
        found = os.fstat(file.fileno()).st_size
        if found != record.size_bytes:
            file.close()
            if is_lfs_pointer(self._folder / record.path):
                raise DatasetError(f"{self._folder / record.path} is {LFS_POINTER}")
            raise self._not_as_built(record, f"has {found:,} bytes")
        return file

    def _not_as_built(self, record: FileDigest, found: str) -> DatasetError:
        return DatasetError(
            f"{self._folder / record.path} {found}; its manifest says {record.size_bytes:,} bytes, SHA-256 "
            f"{record.sha256[:12]}. If the dataset was rebuilt while it was in use, open it again; otherwise "
            f"{self._remedy()}."
        )

    def _remedy(self) -> str:
        """What to do about a damaged file."""
        if self.revision is None:
            return "build or download the dataset again"
        return f"remove {self._folder / CHECKED_FILE} and run again, to check all files and download damaged ones again"


def _choose_split(location: str, manifest: Manifest, split: str | None) -> str:
    splits = list(manifest.splits)
    if split is None and len(splits) == 1:
        return splits[0]
    if split is None:
        raise DatasetError(f"{location} has the splits {', '.join(splits)}; choose one with `split`")
    if split not in splits:
        raise DatasetError(f"{location} has no split {split!r}; it has {', '.join(splits)}")
    return split
