"""The official tree of a dataset, and the dataset of that tree."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import DatasetError
from hggt_data.exports.source import OpenedSource
from hggt_data.exports.tree import export_tree
from hggt_data.groups import GroupSource
from hggt_data.loading import open_groups
from hggt_data.schema import Annotation, Label, PatchGroup
from hggt_data.tree.hggt_labels import format_annotation
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.exports.commands import done, read_table, refused
from tests.hggt_data.named_tree import ANNOTATORS, write_named_tree
from tests.hggt_data.trees import contents, write_bytes, write_tree


def shards(dataset: Path) -> dict[str, bytes]:
    return {path: data for path, data in contents(dataset).items() if path.endswith(".parquet")}


class Changed(GroupSource):
    """Groups whose first annotation has other values, as in data of another origin."""

    def __init__(self, groups: GroupSource, **changes: Any) -> None:
        self.location, self.candidates, self.ids, self.split = "strange", groups.candidates, groups.ids, groups.split
        self._groups = groups
        self._changes = changes

    def _read_labels(self, index: int) -> PatchGroup:
        group = self._groups[index]
        first, *others = group.annotations
        fields = {name: value for name, value in vars(group).items() if name not in ("source", "index")}
        return PatchGroup(**fields | {"annotations": (replace(first, **self._changes), *others)})

    def read_bytes(self, index: int, name: str) -> bytes:
        return self._groups.read_bytes(index, name)


def build(output: Path, *trees: Path, test: Path | None = None, sources: Path | None = None) -> Path:
    options = {"allow_overlap": True, "groups_per_shard": 2, "workers": 1}
    build_dataset(BuildSettings(trees, output, test, sources=sources, **options))  # type: ignore[arg-type]
    return output


def test_the_tree_has_the_same_files_and_its_dataset_the_same_bytes(
    real_dataset: Path, fixtures: Path, tmp_path: Path
) -> None:
    output = done("tree", real_dataset, "--output", tmp_path / "out")
    assert output.splitlines() == [
        f"{tmp_path / 'out/Train'}: 6 groups, slots A, B, C",
        f"{tmp_path / 'out/Test'}: 6 groups, slots A, B, C, with LR",
    ]
    train, test = tmp_path / "out/Train", tmp_path / "out/Test"
    original = contents(fixtures / "Test")
    exported = {path.replace("Test-6", "Test-mini"): data for path, data in contents(test).items()}
    assert exported.keys() == original.keys()
    for path, data in exported.items():
        assert data == original[path] or (path.endswith(".json") and json.loads(data) == json.loads(original[path]))
    for tree in (train, test):
        report = validate_tree(tree, workers=1)
        assert report.problems == validate_tree(fixtures / tree.name, workers=1).problems
    again = build(tmp_path / "again", train, test=test)
    assert shards(again) == shards(real_dataset)
    assert (again / "README.md").read_bytes() == (real_dataset / "README.md").read_bytes()


def test_annotators_and_sources_come_back(tmp_path: Path) -> None:
    tree = write_named_tree(tmp_path / "T")
    sources = tmp_path / "sources.csv"
    sources.write_text('image,licence,origin\np0,CC0,"a, b"\np1,,\np2,,"x\ny"\n')
    dataset = build(tmp_path / "hggt", tree, sources=sources)
    done("tree", dataset, "--output", tmp_path / "out")
    lines = read_table(tmp_path / "out/Train/annotators.csv")
    assert {(line["group"], line["slot"]): line["pseudonym"] for line in lines} == ANNOTATORS
    again = build(tmp_path / "again", tmp_path / "out/Train", sources=tmp_path / "out/sources.csv")
    assert shards(again) == shards(dataset)


def test_unknown_times_stay_unknown(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "T", ["a-0-0", "b-0-0"], candidates=("01",), slots="AB")
    for start, end, seconds, name in (
        (None, datetime(2022, 8, 1), 3.5, "A/a-0-0"),
        (datetime(2022, 8, 1), None, None, "B/a-0-0"),
        (None, None, 0.0, "A/b-0-0"),
    ):
        annotation = Annotation("A", (Label.SIMILAR,), start, end, seconds)
        text = format_annotation(annotation, name[2:], ("01",))
        write_bytes(tree / f"labels/0-9/{name}.json", text.encode())
    dataset = build(tmp_path / "hggt", tree)
    done("tree", dataset, "--output", tmp_path / "out")
    assert shards(build(tmp_path / "again", tmp_path / "out/Train")) == shards(dataset)


def test_rounds_with_other_slots_become_separate_trees(tmp_path: Path) -> None:
    first = write_tree(tmp_path / "one", ["a-0-0", "a-8-0", "c-0-0"])
    second = write_tree(tmp_path / "two", ["b-0-0"], slots="DE")
    third = write_tree(tmp_path / "three", ["d-0-0", "e-0-0"], lr=True)
    dataset = build(tmp_path / "hggt", first, second, third)
    done("tree", dataset, "--output", tmp_path / "out")
    trees = sorted((tmp_path / "out").glob("Train*"))
    assert [tree.name for tree in trees] == ["Train", "Train-2", "Train-3"]
    for tree in trees:
        assert validate_tree(tree, workers=1).problems == ()
    assert shards(build(tmp_path / "again", *trees)) == shards(dataset)


def test_a_tree_of_a_tree(fixtures: Path, tmp_path: Path) -> None:
    for name in ("Train", "Test"):
        done("tree", fixtures / name, "--output", tmp_path / name)
        assert {path.name for path in (tmp_path / name).iterdir()} == {name, "LICENSE.txt"}
        ours, theirs = open_groups(tmp_path / name / name), open_groups(fixtures / name)
        assert list(ours) == list(theirs)
        assert ours.labels_sha256() == theirs.labels_sha256()


def test_a_slot_whose_folder_would_be_elsewhere_is_refused(tree: Path, tmp_path: Path) -> None:
    for slot in ("../../evil", "/evil", "", "."):
        groups = Changed(open_groups(tree), slot=slot)
        with pytest.raises(DatasetError, match="has slots named"):
            export_tree(OpenedSource(str(tree), {"train": groups}, "cc0-1.0"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["T"]


def test_votes_by_models_do_not_become_votes_of_people(tree: Path, tmp_path: Path) -> None:
    groups = Changed(open_groups(tree), annotator_kind="model")
    with pytest.raises(DatasetError, match="all of them votes of people"):
        export_tree(OpenedSource(str(tree), {"train": groups}, "cc0-1.0"), tmp_path / "out")


def test_candidates_whose_folders_would_be_elsewhere_are_refused(dataset: Path, tmp_path: Path) -> None:
    path = dataset / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["candidates"] = ["../../evil"]
    path.write_text(json.dumps(manifest))
    refused("a candidate is '../../evil'; expected letters, digits", "tree", dataset, "--output", tmp_path / "out")
