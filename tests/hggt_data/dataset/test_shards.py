"""Parquet shards: pictures unchanged, files complete or missing, each picture found by its position."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hggt_data.dataset import shards
from hggt_data.dataset.features import arrow_schema, dataset_features
from hggt_data.dataset.shards import read_offsets, write_shard, write_table_file
from hggt_data.errors import DatasetError

SCHEMA = pa.schema(
    [("id", pa.string())]
    + [(name, pa.struct([("bytes", pa.binary()), ("path", pa.string())])) for name in ("original", "lr")]
)
PICTURES = ["original", "lr"]


def rows(count: int, size_bytes: int = 1000) -> list[dict[str, Any]]:
    return [
        {
            "id": f"g{k}",
            "original": bytes([k % 251]) * size_bytes + bytes([k // 251]),
            "lr": None if k % 3 else b"small" * (k + 1),
        }
        for k in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 16, 17, 40])
def test_every_picture_is_where_the_footer_says(tmp_path: Path, count: int) -> None:
    path, written = tmp_path / "a.parquet", rows(count)
    write_shard(path, SCHEMA, iter(written), PICTURES)
    data, offsets = path.read_bytes(), read_offsets(path, count)
    for column in PICTURES:
        found = [None if place is None else data[place[0] : place[0] + place[1]] for place in offsets[column]]
        assert found == [row[column] for row in written]
    table = pq.read_table(path)
    assert table.schema == SCHEMA
    assert table["original"].to_pylist() == [{"bytes": row["original"], "path": None} for row in written]
    assert table["lr"].to_pylist() == [row["lr"] and {"bytes": row["lr"], "path": None} for row in written]


def test_identical_and_nested_pictures_are_distinguished(tmp_path: Path) -> None:
    inner = b"\x89PNG" + b"x" * 90
    outer = b"y" * 7 + len(inner).to_bytes(4, "little") + inner + b"z"
    written = [
        {"id": str(k), "original": picture, "lr": inner} for k, picture in enumerate([outer, inner, inner, b"q"])
    ]
    path = tmp_path / "a.parquet"
    write_shard(path, SCHEMA, written, PICTURES)
    data = path.read_bytes()
    places = [place for column in PICTURES for place in read_offsets(path, 4)[column] if place]
    assert len(set(places)) == 8
    assert [data[start : start + size] for start, size in places] == [outer, inner, inner, b"q", *[inner] * 4]


def test_a_row_group_is_cut_when_it_would_take_too_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_ROW_GROUP_BYTES", 2500)
    path = tmp_path / "a.parquet"
    write_shard(path, SCHEMA, rows(10), PICTURES)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)] == [3, 3, 3, 1]
    assert len(read_offsets(path, 10)["original"]) == 10


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shard(tmp_path / name, SCHEMA, rows(20), PICTURES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_pictures_are_neither_compressed_nor_kept_as_statistics(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_shard(path, SCHEMA, rows(20), PICTURES)
    group = pq.read_metadata(path).row_group(0)
    columns = {group.column(k).path_in_schema: group.column(k) for k in range(group.num_columns)}
    assert columns["original.bytes"].compression == "UNCOMPRESSED"
    assert columns["original.bytes"].statistics is None
    assert columns["id"].statistics.min == "g0"


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Any:
        yield from rows(20)
        raise RuntimeError("a picture is gone")

    with pytest.raises(RuntimeError, match="a picture is gone"):
        write_shard(tmp_path / "a.parquet", SCHEMA, broken(), PICTURES)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_writer_and_a_shard_cut_anywhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(DatasetError, match=r"a\.parquet is not a shard of a built dataset"):
        read_offsets(path, 1)
    write_shard(path, SCHEMA, rows(20), PICTURES)
    data = path.read_bytes()
    for size in (0, 4, 1000, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(DatasetError, match=r"a\.parquet"):
            read_offsets(path, 20)


def test_the_types_of_datasets_are_kept_in_the_file(tmp_path: Path) -> None:
    features = dataset_features(("01",), False, (), with_images=False)
    path = tmp_path / "labels.parquet"
    write_table_file(path, arrow_schema(features), [])
    metadata = json.loads(pq.read_schema(path).metadata[b"huggingface"])
    assert metadata["info"]["features"]["consensus"]["feature"]["names"] == ["positive", "similar", "negative"]
