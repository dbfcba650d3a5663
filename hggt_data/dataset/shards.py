"""Parquet shards: written directly with pyarrow, and read by position.

Pictures are stored plain (no compression, no dictionary: PNG does not shrink), so every PNG is one run of bytes in the
file. The footer's key-value metadata says where (`hggt.offsets`): one picture takes one read of its own size, whatever
the row groups. Other Parquet readers ignore it.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hggt_data.dataset.parquet_pages import estimate_bytes
from hggt_data.errors import DatasetError
from hggt_data.io.files import MOST_BYTES, atomic_file, open_regular_file
from hggt_data.io.parsing import parse_json, read_value

_MOST_LABEL_BYTES, _MOST_LABEL_BYTES_PER_ROW = 1 << 28, 1 << 14

Offsets = dict[str, list[tuple[int, int] | None]]

_OFFSETS_KEY = b"hggt.offsets"
# A row group is in memory while it is written, and streaming readers fetch it as a whole.
_ROW_GROUP_ROWS = 16
_ROW_GROUP_BYTES = 32 << 20
# Minimum and maximum are stored for the columns that users filter by; for pictures they would be whole pictures.
_STATISTICS = ["id", "image_name", "num_positive", "num_negative"]


def write_shard(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]], pictures: list[str]) -> None:
    """Write rows as one Parquet file, atomically.

    In a row, a picture is the bytes of its PNG file, or None; `pictures` are these columns in the order of the schema.
    The schema's metadata contains the types of `datasets`.
    """
    offsets: Offsets = {column: [] for column in pictures}
    with (
        atomic_file(path) as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="none",
            use_dictionary=False,
            write_statistics=_STATISTICS,
            write_page_index=True,
        ) as writer,
    ):
        for group in _row_groups(rows, pictures):
            start = file.tell()
            writer.write_table(_table(group, schema, pictures))
            file.flush()
            _note_offsets(path.parent / Path(file.name).name, start, group, offsets)
        writer.add_key_value_metadata({_OFFSETS_KEY: json.dumps(offsets, separators=(",", ":")).encode()})


def read_offsets(path: Path, num_rows: int, columns: Collection[str] = ()) -> Offsets:
    """The (offset, size) in bytes of each picture in a shard: column to one per row, None if the row has none.

    DatasetError if the file is damaged or lacks one of the `columns`.
    """
    try:
        size_bytes = path.stat().st_size
        metadata = pq.read_metadata(path).metadata or {}
        if _OFFSETS_KEY not in metadata:
            raise ValueError("it does not say where its pictures are")
        offsets: Offsets = read_value(Offsets, parse_json(metadata[_OFFSETS_KEY]))
        for column in columns:
            if column not in offsets:
                raise ValueError(f"it lacks pictures of {column}")
        for column, places in offsets.items():
            if len(places) != num_rows:
                raise ValueError(f"{column} has {len(places):,} pictures for {num_rows:,} rows")
            if not all(place is None or _lies_in(size_bytes, *place) for place in places):
                raise ValueError(f"a picture of {column} lies outside the file or is too large")
        if sum(place[1] for places in offsets.values() for place in places if place) > size_bytes:
            raise ValueError("its pictures overlap")
    except (pa.ArrowException, OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise DatasetError(f"{path} is not a shard of a built dataset ({why}); build the dataset again") from error
    return offsets


def read_pictures(path: Path, num_rows: int, columns: Collection[str]) -> Iterator[dict[str, bytes | None]]:
    """The PNG files of each row of a shard by column, None if a row has none; DatasetError as in `read_offsets`.

    No page of the file is decoded, so that it may come from anybody.
    """
    offsets = read_offsets(path, num_rows, columns)
    with open_regular_file(path) as file:
        for row in range(num_rows):
            yield {column: _read_place(file, offsets[column][row]) for column in columns}


def _read_place(file: BinaryIO, place: tuple[int, int] | None) -> bytes | None:
    return None if place is None else os.pread(file.fileno(), place[1], place[0])


def _lies_in(size_bytes: int, offset: int, length: int) -> bool:
    return 0 <= offset <= offset + length <= size_bytes and length <= MOST_BYTES


def write_table_file(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write small columns as one compressed Parquet file, atomically."""
    with atomic_file(path) as file, pq.ParquetWriter(file, schema, compression="snappy") as writer:
        for table in tables:
            if table.num_rows:  # `datasets` fails on a row group without rows
                writer.write_table(table)


def read_table_bytes(data: bytes, name: str, num_rows: int, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file of labels held in memory, in the calling thread only; `name` is its path, for messages.

    Arrow's threads may release `data` while the interpreter shuts down, which aborts the process (exit code 134).
    DatasetError if it is damaged, has another number of rows, or would need much more memory than labels do.
    """
    most_bytes = max(_MOST_LABEL_BYTES, num_rows * _MOST_LABEL_BYTES_PER_ROW)
    try:
        estimate_bytes(data, most_bytes)
        # Not `pq.read_table`: even with `use_threads=False, pre_buffer=False` its scanner uses Arrow's I/O threads.
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            if file.metadata.num_rows != num_rows or sum(group.num_rows for group in groups) != num_rows:
                raise ValueError(f"{file.metadata.num_rows:,} rows; expected {num_rows:,}")
            batches = list(file.iter_batches(columns=columns, use_threads=False))
            return pa.Table.from_batches(batches, file.schema_arrow if columns is None else None).combine_chunks()
    except (pa.ArrowException, LookupError, MemoryError, OSError, ValueError) as error:
        why = " ".join(str(error).split())  # Arrow's have several lines
        raise DatasetError(f"{name} is not a table of labels ({why}); build or download the dataset again") from error


def _row_groups(rows: Iterable[dict[str, Any]], pictures: list[str]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size_bytes = 0
    for row in rows:
        group.append(row)
        size_bytes += sum(len(row[column] or b"") for column in pictures)
        if len(group) == _ROW_GROUP_ROWS or size_bytes >= _ROW_GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _table(rows: list[dict[str, Any]], schema: pa.Schema, pictures: list[str]) -> pa.Table:
    # The struct of an Image column is built here: `datasets` drops the bytes of a picture whose path exists in the
    # working folder, and a path would reveal the builder's folders.
    structs = [
        {**row, **{column: row[column] and {"bytes": row[column], "path": None} for column in pictures}} for row in rows
    ]
    table = pa.Table.from_pylist(structs, schema=schema)
    for column in pictures:
        wanted = sum(row[column] is not None for row in rows)
        stored = len(rows) - pc.struct_field(table[column], "bytes").null_count
        if stored != wanted:
            raise DatasetError(
                f"{column}: only {stored} of {wanted} pictures reached the table; please report this bug"
            )
    return table


def _note_offsets(path: Path, start: int, rows: list[dict[str, Any]], offsets: Offsets) -> None:
    """Find the pictures of a row group that was just written from byte `start` on, column by column."""
    with open(path, "rb") as file:
        region = _read_from(file, start)
    position = 0
    for column, places in offsets.items():
        for row in rows:
            png = row[column]
            if png is None:
                places.append(None)
                continue
            # A plain byte array is its length, 4 bytes little-endian, and its bytes.
            position = region.index(len(png).to_bytes(4, "little") + png[:64], position) + 4
            if region[position : position + len(png)] != png:
                raise DatasetError(f"{path}: a picture of {column} is not stored plain; please report this bug")
            places.append((start + position, len(png)))
            position += len(png)


def _read_from(file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    return file.read()
