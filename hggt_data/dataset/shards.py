"""Parquet shards: written directly with pyarrow, and read by position.

Pictures are stored plain (no compression, no dictionary: PNG does not shrink), so every PNG is one run of bytes in the
file. The footer's key-value metadata says where (`hggt.offsets`): one picture takes one read of its own size, whatever
the row groups. Other Parquet readers ignore it.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hggt_data.errors import DatasetError
from hggt_data.io.files import atomic_file

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


def read_offsets(path: Path) -> Offsets:
    """The (offset, size) in bytes of each picture in a shard: column to one per row, None if the row has none."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        return {
            column: [None if place is None else (place[0], place[1]) for place in places]
            for column, places in json.loads(metadata[_OFFSETS_KEY]).items()
        }
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise DatasetError(f"{path} is not a shard of a built dataset ({error}); build the dataset again") from error


def write_table_file(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write small columns as one compressed Parquet file, atomically."""
    with atomic_file(path) as file, pq.ParquetWriter(file, schema, compression="snappy") as writer:
        for table in tables:
            if table.num_rows:  # `datasets` fails on a row group without rows
                writer.write_table(table)


def read_table_bytes(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file held in memory, in the calling thread only.

    Arrow's threads may release `data` while the interpreter shuts down, which aborts the process (exit code 134).
    """
    # Not `pq.read_table`: even with `use_threads=False, pre_buffer=False` its scanner uses Arrow's I/O threads.
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        return file.read(columns, use_threads=False)


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
