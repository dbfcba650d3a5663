"""The memory that a table of labels takes is known before Arrow reads it."""

import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hggt_data.dataset.parquet_pages import estimate_bytes

MOST = 1 << 20


def written(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **{"compression": "snappy", **options})
    return buffer.getvalue()


def estimate(data: bytes) -> int:
    return estimate_bytes(data, MOST)


def repeated(value: Any, number: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), number), [value])


@pytest.mark.parametrize("name", ["train", "test"])
def test_what_a_build_writes_takes_no_more_than_estimated(datasets: Path, name: str) -> None:
    data = (datasets / f"v2/labels/{name}.parquet").read_bytes()
    assert pq.read_table(pa.BufferReader(data)).nbytes <= estimate(data) < 10_000


@pytest.mark.parametrize(
    "column",
    [
        pa.ListArray.from_arrays(pa.array([0, 10**6], pa.int32()), pa.nulls(10**6, pa.int64())),
        pa.ListArray.from_arrays([0, 10**6], repeated(7, 10**6)),
        repeated("x" * 1000, 2000),
        pa.array(["x" * 2_000_000]),
    ],
    ids=["nulls", "numbers", "texts", "one text"],
)
def test_a_small_file_that_would_fill_the_memory_is_refused(column: pa.Array) -> None:
    data = written(pa.table({"id": column}))
    assert len(data) < 200_000
    with pytest.raises(ValueError, match=r"^it is too large for labels$"):
        estimate(data)


def test_the_footer_is_not_believed() -> None:
    data = bytearray(written(pa.table({"id": ["x" * 1000]}), use_dictionary=False))
    assert estimate_bytes(bytes(data), 6000) < 2000
    assert data[4:7] == b"\x15\0\x15"  # kind of the page; then its size, 7 bits a byte, twice the number
    data[7:9] = b"\x80\x7d"
    with pytest.raises(ValueError, match=r"^it is too large for labels$"):
        estimate_bytes(bytes(data), 6000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": "zstd"}, "type 6 and compression 6"),
        ({"use_dictionary": False, "column_encoding": {"id": "DELTA_BYTE_ARRAY"}}, "unknown encoding"),
        ({"data_page_version": "2.0"}, "damaged record or header"),
    ],
)
def test_forms_that_no_build_writes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate(written(pa.table({"id": ["a", "b"]}), **options))


def test_files_of_other_writers_are_refused() -> None:
    data = written(pa.table({"id": ["a"]})).replace(b"parquet-cpp-arrow version", b"parquet-mr version 1.2.8 ")
    with pytest.raises(ValueError, match="Arrow did not write it"):
        estimate(data)


def test_damage_is_no_other_error(datasets: Path) -> None:
    data = (datasets / "v2/labels/train.parquet").read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(2000):
        changed = bytearray(data)
        changed[rng.randrange(4, len(data))] = rng.randrange(256)
        try:
            estimate(bytes(changed))
        except (ValueError, OSError):  # Arrow's own errors are among them
            refused += 1
    assert refused > 400


def test_a_field_given_twice_or_of_another_type_is_refused() -> None:
    data = written(pa.table({"id": ["x" * 1000]}), use_dictionary=False)
    assert data[4:7] == b"\x15\0\x15"  # kind of the page, then its size: 32-bit numbers
    for header in (b"\x15\0\x05\2", b"\x15\0\x16"):
        with pytest.raises(ValueError, match="damaged record or header"):
            estimate(data[:4] + header + data[4 + len(header) :])
