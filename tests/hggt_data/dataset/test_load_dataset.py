"""A built dataset read with the `datasets` library: every way of loading, and every way of losing data silently."""

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Image, load_dataset
from PIL import Image as PillowImage

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.dataset.features import dataset_features
from hggt_data.dataset.manifest import read_manifest
from hggt_data.io.images import read_pixels
from hggt_data.loading import open_groups
from hggt_data.schema import Annotation, ChoiceVote, Label, PairVote, Score
from tests.hggt_data.trees import FOUR
from tests.hub_client import ForkServer, HubClient

NAMES = ["positive", "similar", "negative"]
TEST_IDS = [
    "astronaut-231-286",
    "astronaut-304-202",
    "chelsea-22-159",
    "coffee-27-433",
    "coffee-163-150",
    "rocket-214-329",
]


def test_a_dataset_loads_by_its_name_in_the_current_folder(
    dataset: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    found = load("hggt")
    assert {split: len(part) for split, part in found.items()} == {"train": 6, "test": 6}
    assert found["test"]["id"][:] == TEST_IDS
    assert found["test"].features == dataset_features(FOUR, True, ())


def test_a_dataset_loads_by_its_path_with_the_pixels_of_the_tree(
    real_dataset: Path, load: Callable[..., Any], fixtures: Path
) -> None:
    home = fixtures / "Test/GT/Test-mini/images"
    for row in load(str(real_dataset), split="test"):
        for name in ("original", *FOUR):
            column, ending = ("original", "") if name == "original" else (f"enhanced_{name}", f"_{name}")
            expected = read_pixels(home / name / f"{row['id']}{ending}.png")
            np.testing.assert_array_equal(np.asarray(row[column]), expected)
        assert row["lr"].size == (40, 40)
        assert isinstance(row["lr"], PillowImage.Image)


def test_streaming_gives_the_same_rows(real_dataset: Path, load: Callable[..., Any]) -> None:
    whole = load(str(real_dataset), split="train")
    streamed = list(load(str(real_dataset), split="train", streaming=True))
    assert [row["id"] for row in streamed] == whole["id"][:]
    assert [row["consensus"] for row in streamed] == whole["consensus"][:]
    assert np.array_equal(np.asarray(streamed[4]["enhanced_03"]), np.asarray(whole[4]["enhanced_03"]))
    assert streamed[0]["lr"] is None


def test_only_some_columns(real_dataset: Path, load: Callable[..., Any]) -> None:
    found = load(str(real_dataset), split="test", columns=["id", "consensus", "enhanced_01"], streaming=True)
    row = next(iter(found))
    assert set(row) == {"id", "consensus", "enhanced_01"}
    assert row["id"] == TEST_IDS[0]
    assert row["enhanced_01"].size == (160, 160)


@pytest.mark.parametrize("streaming", [False, True])
def test_only_some_rows(real_dataset: Path, load: Callable[..., Any], streaming: bool) -> None:
    # `datasets` checks the number of rows in the card to notice a missing shard; a filter must turn that off.
    options = {} if streaming else {"verification_mode": "no_checks"}
    coffee = [("image_name", "==", "coffee")]
    found = load(str(real_dataset), split="test", filters=coffee, streaming=streaming, **options)
    assert [row["id"] for row in found] == ["coffee-27-433", "coffee-163-150"]


def test_the_labels_alone(real_dataset: Path, load: Callable[..., Any]) -> None:
    whole, labels = (load(str(real_dataset), config, split="test") for config in ("default", "labels"))
    pictures = [column for column, feature in whole.features.items() if isinstance(feature, Image)]
    assert pictures == ["original", *(f"enhanced_{k}" for k in FOUR), "lr"]
    assert labels.features == dataset_features(FOUR, True, (), with_images=False)
    assert labels[:] == whole.remove_columns(pictures)[:]


def test_shards_of_another_size_give_the_same_rows(
    fixtures: Path, tmp_path: Path, real_dataset: Path, load: Callable[..., Any]
) -> None:
    build_dataset(BuildSettings(trees=(fixtures / "Train",), output=tmp_path / "one", groups_per_shard=6, workers=1))
    assert (
        load(str(tmp_path / "one"), "labels", split="train")[:] == load(str(real_dataset), "labels", split="train")[:]
    )


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("config", ["default", "labels"])
def test_every_formatter_takes_every_split(
    datasets: Path, load: Callable[..., Any], config: str, streaming: bool
) -> None:
    found = load(str(datasets / "v2"), config, streaming=streaming)
    for name in ("torch", "numpy", "pandas", "arrow"):
        assert {split: len(list(part.with_format(name))) for split, part in found.items()} == {"train": 3, "test": 2}
    row = next(iter(found["train"].with_format("torch")))
    assert row["annotations"][0]["start"] == "2022-08-05T17:55:41"
    assert row["consensus"].tolist() == [0, 0]


def test_the_files_describe_their_columns_in_types_that_datasets_3_6_knows(real_dataset: Path) -> None:
    found = {
        name
        for path in real_dataset.rglob("*.parquet")
        for name in re.findall(r'"_type": "(\w+)"', pq.read_schema(path).metadata[b"huggingface"].decode())
    }
    assert found == {"Value", "ClassLabel", "Image", "Sequence"}


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_of_the_schema_open(datasets: Path, load: Callable[..., Any], version: int) -> None:
    folder = datasets / f"v{version}"
    assert read_manifest(folder).schema_version == version
    assert len(load(str(folder), split="train")) == 3
    groups = open_groups(folder, "train")
    assert groups["oak-8-0"].annotations[0] == Annotation(
        "A",
        (Label.POSITIVE, Label.NEGATIVE),
        datetime(2022, 8, 5, 17, 23, 38),
        datetime(2022, 8, 5, 17, 24, 8),
        30.0,
        "ann",
    )
    assert groups["oak-8-0"].annotations[2].start is None
    assert groups[0].read("02").shape == (8, 8, 3)
    assert open_groups(folder, "test")[0].read("lr").shape == (2, 2, 3)


def test_votes_of_all_kinds_open(datasets: Path, load: Callable[..., Any]) -> None:
    folder = datasets / "v3"
    assert read_manifest(folder).schema_version == 3
    ash, elm, oak = open_groups(folder, "train")
    [fir] = open_groups(folder, "test")
    assert [group.id for group in (ash, elm, oak, fir)] == ["ash", "elm", "oak-8-0", "fir"]
    assert (oak.image_name, oak.top, oak.left, fir.image_name, fir.top) == ("oak", 8, 0, "fir-tree", None)
    assert [ash.has_picture(name) for name in ("original", "01", "swin-ir")] == [False, True, True]
    assert [elm.has_picture(name) for name in ("original", "01", "swin-ir")] == [True, True, False]
    assert fir.read("lr").shape == (2, 2, 3)
    assert (elm.caption, oak.caption) == ("a bare elm", None)
    assert (oak.consensus, oak.num_votes) == ((Label.POSITIVE, Label.NEGATIVE), (2, 2))
    assert oak.annotations[0] == Annotation(
        "A",
        (Label.POSITIVE, Label.NEGATIVE),
        datetime(2026, 3, 1, 10),
        datetime(2026, 3, 1, 10, 0, 30),
        30.5,
        "ann",
    )
    assert oak.annotations[2:] == (
        Annotation("C", (Label.NEGATIVE, None), annotator="judge-1", annotator_kind="model"),
        Annotation("D", (Label.POSITIVE, None), annotator="ann", kind="repeat"),
    )
    question = "Which is sharper?"
    assert ash.pairs == (
        PairVote("01", "swin-ir", "second", annotator="ann", question=question),
        PairVote("swin-ir", "01", "tie", annotator="bea", question=question),
    )
    assert fir.pairs[1] == PairVote("01", "swin-ir", None, 0.75, question=question, count=4)
    assert oak.choices == (ChoiceVote(("original", "01", "swin-ir"), "01", annotator="ann"),)
    assert oak.scores == (Score("01", 4.25, 0.5, 4), Score("original", 3))
    assert load(str(folder), split="train")["scores"][2][0]["score"] == 4.25


def load_without_connections() -> tuple[int, str]:
    def refuse(*_: object) -> None:
        raise AssertionError("tried to reach the network")

    socket.socket.connect = socket.getaddrinfo = refuse  # type: ignore[assignment, method-assign]
    row = next(iter(load_dataset("hggt", split="test", streaming=True)))
    return len(load_dataset("hggt", split="test")), row["id"]


def test_offline_in_a_new_process_without_any_connection(dataset: Path, processes: ForkServer, tmp_path: Path) -> None:
    cache = {"HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_CACHE": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    environment = {**os.environ, **cache, "HF_TOKEN": ""}
    client = HubClient(processes, environment, folder=dataset.parent, records=tmp_path)
    assert client.call(load_without_connections) == (6, TEST_IDS[0])


class TestSilentCorruption:
    """Each way in which `datasets` has lost pictures, rows or names without an error."""

    def test_files_with_the_names_of_pictures_in_the_working_folder_change_nothing(
        self, dataset: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, fixtures: Path
    ) -> None:
        for path in (fixtures / "Test").rglob("*.png"):
            (dataset.parent / path.name).write_bytes(b"another picture")
        monkeypatch.chdir(dataset.parent)
        row = load("hggt", split="test")[0]
        expected = read_pixels(fixtures / f"Test/GT/Test-mini/images/01/{row['id']}_01.png")
        np.testing.assert_array_equal(np.asarray(row["enhanced_01"]), expected)

    @pytest.mark.parametrize("streaming", [False, True])
    def test_a_missing_shard_is_an_error(self, dataset: Path, load: Callable[..., Any], streaming: bool) -> None:
        shard = dataset / "data" / "test-00001-of-00003.parquet"
        shard.unlink()
        # With a pattern in the card instead of names, streaming would give 4 of 6 rows and no error (datasets 5.2).
        with pytest.raises(FileNotFoundError, match=r"test-00001-of-00003\.parquet"):
            load(str(dataset), split="test", streaming=streaming)

    @pytest.mark.parametrize("config", ["default", "labels"])
    def test_the_names_of_labels_and_the_pictures_survive_without_the_card(
        self, dataset: Path, load: Callable[..., Any], config: str
    ) -> None:
        (dataset / "README.md").unlink()
        found = load(str(dataset), data_dir={"default": "data", "labels": "labels"}[config], split="test")
        assert found.features["consensus"].feature == ClassLabel(names=NAMES)
        assert found.features["annotations"].feature["labels"].feature == ClassLabel(names=NAMES)
        assert found.features == dataset_features(FOUR, True, (), with_images=config == "default")
        assert found["id"][:] == TEST_IDS

    def test_a_rebuilt_dataset_is_not_read_from_the_cache_of_the_old(
        self, tmp_path: Path, fixtures: Path, load: Callable[..., Any]
    ) -> None:
        tree = Path(shutil.copytree(fixtures / "Train", tmp_path / "Train"))
        output = tmp_path / "hggt"

        def first_label() -> int:
            build_dataset(BuildSettings(trees=(tree,), output=output, workers=1))
            row = load(str(output), split="train")[0]
            return int(row["annotations"][1]["labels"][0])

        path = tree / "labels/0-6/B/astronaut-165-77.json"
        for word, class_id in (("Positive", 0), ("Negative", 2), ("Similar", 1)):
            content = json.loads(path.read_text())
            content["Picture_2"]["Label"] = word
            path.write_text(json.dumps(content))
            assert first_label() == class_id
