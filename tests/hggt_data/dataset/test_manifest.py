"""manifest.json is read back as it was written, and refused when it is damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from hggt_data.dataset.manifest import MANIFEST_FILE, Manifest, parse_manifest, read_manifest
from hggt_data.errors import DatasetError
from hggt_data.io.images import hash_pixels
from hggt_data.loading import open_groups


def test_a_manifest_is_read_back_as_it_was_written(real_dataset: Path) -> None:
    text = (real_dataset / MANIFEST_FILE).read_text("utf-8")
    assert read_manifest(real_dataset).to_text() == text


@pytest.fixture
def content(real_dataset: Path) -> Any:
    """What a manifest contains."""
    return json.loads((real_dataset / MANIFEST_FILE).read_text("utf-8"))


def parse(content: Any) -> Manifest:
    return parse_manifest(json.dumps(content).encode(), "m")


def test_problems_may_be_missing(real_dataset: Path, content: Any) -> None:
    assert content.pop("problems") == []
    assert parse(content) == read_manifest(real_dataset)


def test_a_folder_without_a_manifest_is_not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no manifest\.json; expected a dataset built by hggt"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(schema_version=4), "schema_version 4; this hggt reads 1 to 3"),
        (lambda content: content.update(schema_version=0), "schema_version 0; this hggt reads 1 to 3"),
        (lambda content: content.pop("shards"), "is damaged"),
        (lambda content: content.update(more=1), "is damaged"),
        (lambda content: content.update(splits={"val": 6}), "is damaged"),
        (lambda content: content["shards"][0].update(ids=[3]), "is damaged"),
        (lambda content: content["settings"].pop("license"), "is damaged"),
        (
            lambda content: content.update(candidates=["../evil"]),
            "a candidate is '../evil'; expected letters, digits",
        ),
        (lambda content: content["shards"][0]["ids"].pop(), "split train has 6 groups, but its shards list 5"),
        (lambda content: content["shards"][0]["pixels"].pop(), "not one digest per picture"),
        (lambda content: content["shards"][0]["pixels"].__setitem__(0, "-"), "not one digest per picture"),
        (lambda content: content["files"].pop(), "it does not list the labels of split"),
        (lambda content: content["shards"][0].update(size_bytes=10**30), "a whole number has more than 64 bits"),
    ],
)
def test_a_damaged_manifest_is_named(content: Any, change: Any, message: str) -> None:
    change(content)
    with pytest.raises(DatasetError, match=f"^m.*{message}"):
        parse(content)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_earlier_manifest_has_digests_of_the_originals(datasets: Path, version: str) -> None:
    manifest = read_manifest(datasets / version)
    groups = [(group, digests) for shard in manifest.shards for group, digests in shard.digests(manifest.candidates)]
    assert all(digests.keys() == {"original"} for _, digests in groups)
    for group in open_groups(datasets / version, "train"):
        assert dict(groups)[str(group.id)]["original"] == hash_pixels(group.read("original"))[:20]


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff\xfe"])
def test_a_file_that_is_not_a_manifest_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / MANIFEST_FILE).write_bytes(data)
    with pytest.raises(DatasetError, match=MANIFEST_FILE):
        read_manifest(tmp_path)


@pytest.mark.parametrize("where", ["shards", "files"])
def test_paths_that_no_build_writes_are_refused(content: Any, where: str) -> None:
    for path in ("../data/train-00000-of-00001.parquet", "data/train-00000-of-00001.parquet\n", ".git/config", ""):
        content[where][-1]["path"] = path
        with pytest.raises(DatasetError, match="which no build writes") as error:
            parse(content)
        assert str(error.value).startswith(f"m is damaged (it lists {path!r}")
