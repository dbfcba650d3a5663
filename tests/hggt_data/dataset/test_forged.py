"""A dataset that somebody made to do harm: hashes agree, but labels or footers are not what a build writes."""

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hggt_data.dataset.manifest import MANIFEST_FILE
from hggt_data.errors import DatasetError
from hggt_data.hub.push import PushSettings, open_push
from hggt_data.io.files import sha256_of
from hggt_data.loading import open_groups

LABELS, SHARD = "labels/train.parquet", "data/train-00000-of-00003.parquet"  # with 2 of the 6 groups


@pytest.fixture
def dataset(real_dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(real_dataset, tmp_path / "hggt"))


def forge(dataset: Path, path: str, data: bytes) -> None:
    """Replace a file, and its size and hash in the manifest."""
    (dataset / path).write_bytes(data)
    manifest = json.loads((dataset / MANIFEST_FILE).read_text("utf-8"))
    for record in (*manifest["shards"], *manifest["files"]):
        if record["path"] == path:
            record |= {"size_bytes": len(data), "sha256": sha256_of(data)}
    (dataset / MANIFEST_FILE).write_text(json.dumps(manifest))


def forge_labels(dataset: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rows = pq.read_table(dataset / LABELS).to_pylist()
    change(rows)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    forge(dataset, LABELS, buffer.getvalue())


def forge_offsets(dataset: Path, change: Callable[[dict[str, Any]], object]) -> None:
    table, buffer = pq.read_table(dataset / SHARD), io.BytesIO()
    offsets = json.loads(pq.read_metadata(dataset / SHARD).metadata[b"hggt.offsets"])
    change(offsets)
    with pq.ParquetWriter(buffer, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"hggt.offsets": json.dumps(offsets)})
    forge(dataset, SHARD, buffer.getvalue())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(), "5 rows; expected 6"),
        (lambda rows: rows[0].update(id="other-0-0"), "row 0: the group is other-0-0; expected astronaut"),
        (
            lambda rows: rows[0]["consensus"].__setitem__(0, -1),
            r"row 0: consensus\[0\] is -1; expected 0 or 1 or 2 or null",
        ),
        (lambda rows: rows[0]["consensus"].pop(), "does not have one label for each of 4 candidates"),
        (lambda rows: rows[0].update(annotations=None), "row 0: annotations is None; expected a list"),
        (lambda rows: rows[0]["agreement"].__setitem__(0, 10**9), "counts more agreement than votes"),
        (lambda rows: [row.pop("annotations") for row in rows], "row 0: the content lacks 'annotations'"),
        (lambda rows: rows[0]["annotations"][0].update(seconds=float("inf")), r"seconds is inf; expected a number"),
        (lambda rows: rows[0]["annotations"][0].update(start="yesterday"), "a time is 'yesterday'"),
        (lambda rows: rows[0]["annotations"].append(rows[0]["annotations"][0]), "has two annotations of one slot"),
    ],
)
def test_forged_labels_are_one_error(dataset: Path, change: Any, message: str) -> None:
    forge_labels(dataset, change)
    with pytest.raises(DatasetError, match=message):
        list(open_groups(dataset, "train"))


def test_labels_that_would_fill_the_memory_are_not_read(dataset: Path) -> None:
    same = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 300_000), ["x" * 1000])
    table = pa.table({"id": pa.ListArray.from_arrays([0, 300_000, *[300_000] * 5], same)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    assert len(buffer.getvalue()) < 5000
    forge(dataset, LABELS, buffer.getvalue().replace(b"ARROW:schema", b"xRROW:schema"))
    with pytest.raises(DatasetError, match="it is too large for labels"):
        list(open_groups(dataset, "train"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda offsets: offsets["enhanced_01"].__setitem__(0, [0, 2**60]),
            "a picture of enhanced_01 lies outside the file",
        ),
        (
            lambda offsets: offsets["enhanced_01"].__setitem__(0, [-1, 5]),
            "a picture of enhanced_01 lies outside the file",
        ),
        (lambda offsets: offsets["enhanced_01"].pop(), "enhanced_01 has 1 pictures for 2 rows"),
        (lambda offsets: offsets.pop("enhanced_01"), "it lacks pictures of enhanced_01"),
        (lambda offsets: offsets.update(lr=7), "lr is 7; expected a list"),
    ],
)
def test_forged_offsets_are_one_error(dataset: Path, change: Any, message: str) -> None:
    forge_offsets(dataset, change)
    with pytest.raises(DatasetError, match=message):
        open_groups(dataset, "train")[0].read("01")


@pytest.mark.parametrize("path", [LABELS, SHARD, MANIFEST_FILE])
def test_pipes_are_not_read(dataset: Path, path: str) -> None:
    (dataset / path).unlink()
    os.mkfifo(dataset / path)
    with pytest.raises((OSError, DatasetError)):
        open_groups(dataset, "train")


def test_a_damaged_record_of_a_column_does_not_end_the_process(dataset: Path) -> None:
    data = (dataset / LABELS).read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    rng, refused = random.Random(5), 0
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 8))):
            changed[rng.randrange(start, len(data))] = rng.randrange(256)
        forge(dataset, LABELS, bytes(changed))
        try:
            list(open_groups(dataset, "train"))
        except DatasetError as error:
            refused += "\n" not in str(error)
    assert refused > 100


def test_pictures_that_overlap_are_refused(dataset: Path) -> None:
    size = (dataset / SHARD).stat().st_size
    forge_offsets(dataset, lambda offsets: offsets.update(lr=[[0, size], [0, size]]))
    with pytest.raises(DatasetError, match="its pictures overlap"):
        open_groups(dataset, "train")[0].read("original")


def test_no_page_of_a_shard_is_decoded_for_a_push(dataset: Path) -> None:
    data = bytearray((dataset / SHARD).read_bytes())
    data[4:24] = b"\xff" * 20  # the first page
    forge(dataset, SHARD, bytes(data))
    with open_push(PushSettings(dataset=dataset, repo_id="lab/hggt", dry_run=True)) as push:
        assert any("data/train-00000" in line for line in push.describe())
