"""manifest.json is read back as it was written, and refused when it is damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from hggt_data.dataset.manifest import MANIFEST_FILE, parse_manifest, read_manifest
from hggt_data.errors import DatasetError


def test_a_manifest_is_read_back_as_it_was_written(real_dataset: Path) -> None:
    text = (real_dataset / MANIFEST_FILE).read_text("utf-8")
    assert read_manifest(real_dataset).to_text() == text


def test_problems_need_not_be_there(real_dataset: Path) -> None:
    content = json.loads((real_dataset / MANIFEST_FILE).read_text("utf-8"))
    assert content.pop("problems") == []
    assert parse_manifest(json.dumps(content).encode(), "m") == read_manifest(real_dataset)


def test_a_folder_without_one_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no manifest\.json; expected a dataset built by hggt"):
        read_manifest(tmp_path)


def without(key: str) -> Any:
    return lambda content: content.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(schema_version=2), "schema_version 2; this hggt reads 1"),
        (without("schema_version"), "schema_version None"),
        (without("shards"), "is damaged"),
        (without("splits"), "is damaged"),
        (lambda content: content["shards"][0].pop("sha256"), "is damaged"),
        (lambda content: content["shards"][0].update(inputs={"a": [1]}), "is damaged"),
        (lambda content: content.update(more=1), "is damaged"),
        (lambda content: content.update(splits=3), "is damaged"),
        (lambda content: content.update(splits={"val": 6}), "is damaged"),
        (lambda content: content["settings"].pop("license"), "is damaged"),
        (lambda content: content["shards"][0].update(size_bytes="many"), "is damaged"),
        (lambda content: content["shards"][0].update(ids=[3]), "is damaged"),
        (lambda content: content["files"][0].update(sha256=None), "is damaged"),
    ],
)
def test_a_damaged_manifest_is_named(dataset: Path, change: Any, message: str) -> None:
    path = dataset / MANIFEST_FILE
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(DatasetError, match=message) as error:
        read_manifest(dataset)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_no_manifest_is_named(dataset: Path, data: bytes) -> None:
    (dataset / MANIFEST_FILE).write_bytes(data)
    with pytest.raises(DatasetError, match=MANIFEST_FILE):
        read_manifest(dataset)


@pytest.mark.parametrize(
    "path",
    [
        "../data/train-00000-of-00001.parquet",
        "/data/train-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet\n",
        "data\\train-00000-of-00001.parquet",
        "labels/val.parquet",
        ".git/config",
        "",
    ],
)
@pytest.mark.parametrize("where", ["shards", "files"])
def test_paths_that_no_build_writes_are_refused(real_dataset: Path, where: str, path: str) -> None:
    content = json.loads((real_dataset / MANIFEST_FILE).read_text("utf-8"))
    content[where][-1]["path"] = path
    with pytest.raises(DatasetError, match="which no build writes") as error:
        parse_manifest(json.dumps(content).encode(), "manifest.json of lab/hggt")
    assert str(error.value).startswith(f"manifest.json of lab/hggt is damaged (it lists {path!r}")
