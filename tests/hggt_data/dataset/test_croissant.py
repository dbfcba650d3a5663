"""`croissant.json`, read by MLCommons' own package."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hggt_data.counting import count_labels
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.dataset.croissant import format_croissant
from hggt_data.dataset.folder import manifest_features
from hggt_data.dataset.manifest import CROISSANT_FILE, read_manifest
from hggt_data.io.files import sha256_of_file
from hggt_data.licence import HGGT_TERMS
from hggt_data.loading import open_groups
from tests.hggt_data.named_tree import build_named, write_named_tree
from tests.hggt_data.sriqa_tree import write_sriqa_tree

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pandas.errors.Pandas4Warning")
RAI = "rai:"
Change = Callable[[dict[str, Any]], None]


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CROISSANT_FILE).read_text("utf-8"))
    return found


def open_croissant(folder: Path) -> Any:
    """The dataset, after checking that the package finds no fault; it only misses what hggt does not know."""
    dataset = mlcroissant.Dataset(jsonld=str(folder / CROISSANT_FILE))
    issues = dataset.metadata.ctx.issues
    assert issues.errors == set()
    missing = {text.partition('Property "')[2].partition('" is recommended')[0] for text in issues.warnings}
    assert missing <= {"https://schema.org/datePublished", "http://mlcommons.org/croissant/citeAs"}
    return dataset


def plain(value: Any) -> Any:
    """A value as in the tables: text instead of bytes, names without the path of the field."""
    if isinstance(value, dict):
        return {name.rpartition("/")[2]: plain(part) for name, part in value.items()}
    if isinstance(value, list | np.ndarray):
        return [plain(part) for part in value]
    if isinstance(value, float | np.floating) and np.isnan(value):
        return None
    return value.decode() if isinstance(value, bytes) else value


def records(folder: Path, config: str) -> list[dict[str, Any]]:
    return [plain(record) for record in open_croissant(folder).records(config)]


@pytest.fixture(scope="module")
def pairs_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Votes on pairs and opinion scores, no labels."""
    folder = tmp_path_factory.mktemp("sriqa")
    tree = write_sriqa_tree(folder / "tree")
    return build_dataset(BuildSettings([], folder / "hggt", test_tree=tree, license="cc0-1.0", workers=1)).output


def changed(folder: Path, change: Change) -> dict[str, Any]:
    """The content after a change of every annotation in the label tables."""
    manifest = read_manifest(folder)
    tables = {}
    for split in manifest.splits:
        table = pq.read_table(folder / f"labels/{split}.parquet")
        rows = table.to_pylist()
        for row in rows:
            for annotation in row["annotations"]:
                change(annotation)
        tables[split] = pa.Table.from_pylist(rows, table.schema)
    features, label_features = manifest_features(manifest), manifest_features(manifest, with_images=False)
    text = format_croissant(manifest, tables, features=features, label_features=label_features)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("name", ["real_dataset", "pairs_dataset", "v3"])
def test_records_are_the_rows_of_the_label_tables(name: str, datasets: Path, request: pytest.FixtureRequest) -> None:
    folder: Path = datasets / name if name == "v3" else request.getfixturevalue(name)
    expected = [
        {"split": split, **row}
        for split in sorted(read_manifest(folder).splits)
        for row in pq.read_table(folder / f"labels/{split}.parquet").to_pylist()
    ]
    found = records(folder, "labels")
    assert len(found) == len(expected) > 0
    for record, row in zip(found, expected, strict=True):
        assert record == row


def test_records_have_the_pictures_of_all_shards(real_dataset: Path) -> None:
    found = records(real_dataset, "default")
    assert [record["split"] for record in found] == ["test"] * 6 + ["train"] * 6
    groups = {split: open_groups(real_dataset, split) for split in ("train", "test")}
    for record in found:
        group = groups[record["split"]][record["id"]]
        for column, name in (("original", "original"), ("enhanced_03", "03")):
            np.testing.assert_array_equal(np.asarray(record[column]), group.read(name))
        assert (record["lr"] is None) == (record["split"] == "train")


def test_every_parquet_file_is_listed_with_its_hash(real_dataset: Path) -> None:
    files = {part["contentUrl"]: part["sha256"] for part in content(real_dataset)["distribution"] if "sha256" in part}
    paths = [path.relative_to(real_dataset).as_posix() for path in real_dataset.rglob("*.parquet")]
    assert files == {path: sha256_of_file(real_dataset / path) for path in paths}
    assert len(files) == 8


def test_terms_and_citation_are_those_of_the_card(real_dataset: Path, datasets: Path) -> None:
    official, own = content(real_dataset), content(datasets / "v3")
    assert HGGT_TERMS in official["license"]
    assert official["citeAs"].startswith("@inproceedings{chen2023human")
    assert own["license"] == "cc0-1.0"
    assert "citeAs" not in own


def test_slots_are_not_counted_as_people(real_dataset: Path) -> None:
    found = content(real_dataset)
    protocol = found[RAI + "dataAnnotationProtocol"]
    assert "Vote records: 36. By people who are not known: 36; a slot is a place in the source" in protocol
    assert "Attributed" not in protocol
    assert "Which versions look better than the original?" in protocol
    assert found[RAI + "annotationsPerItem"] == "3 label votes of people on each candidate that has any"
    assert RAI + "annotatorDemographics" not in found


def test_agreement_is_that_of_the_statistics(real_dataset: Path, pairs_dataset: Path) -> None:
    analysis = " ".join(content(real_dataset)[RAI + "dataAnnotationAnalysis"])
    for split in ("train", "test"):
        found = count_labels(real_dataset, split)
        assert f"Split {split}: Krippendorff's alpha of the label votes is {found.alpha_nominal:.3f} (" in analysis
    [pairs] = count_labels(pairs_dataset).pairs
    assert f"agree with probability {pairs.agreement:.3f}" in content(pairs_dataset)[RAI + "dataAnnotationAnalysis"][-1]


def test_models_are_apart_from_people(real_dataset: Path) -> None:
    def judge_by_model(annotation: dict[str, Any]) -> None:
        if annotation["slot"] == "C":
            annotation |= {"annotator": "gpt-6", "annotator_kind": "model"}

    found = changed(real_dataset, judge_by_model)
    assert found[RAI + "machineAnnotationTools"] == ["gpt-6"]
    protocol = found[RAI + "dataAnnotationProtocol"]
    assert "By people who are not known: 24;" in protocol
    assert "By models: 12; they never count as votes of people." in protocol
    assert RAI + "machineAnnotationTools" not in content(real_dataset)


def test_it_says_what_is_known_about_annotators_and_names_none(tmp_path: Path) -> None:
    folder = build_named(write_named_tree(tmp_path / "T"), tmp_path / "hggt")
    found = content(folder)
    protocol = found[RAI + "dataAnnotationProtocol"]
    assert "Vote records: 9. Attributed to 2 annotators: 5. By people who are not known: 4;" in protocol
    personal = " ".join(found[RAI + "personalSensitiveInformation"])
    assert "Names or pseudonyms of annotators. The local dates and times" in personal
    names = {
        annotation[key]
        for row in pq.read_table(folder / "labels/train.parquet")["annotations"].to_pylist()
        for annotation in row
        for key in ("annotator", "slot", "start", "end")
    } - {None, "A", "B", "C"}
    assert len(names) > 3
    text = (folder / CROISSANT_FILE).read_text("utf-8")
    assert not [name for name in names if name in text]
