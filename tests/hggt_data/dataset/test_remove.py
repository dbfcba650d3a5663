"""The next version of a dataset, without some groups or some people's votes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hggt_data.dataset.remove
from hggt_data.consensus import consensus_label
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.dataset.manifest import read_manifest, require_whole
from hggt_data.dataset.remove import find_in_dataset, remove_from_dataset
from hggt_data.errors import DatasetError
from hggt_data.io.images import encode_png
from hggt_data.loading import open_groups, open_splits
from hggt_data.unwanted import Unwanted
from tests.hggt_data.named_tree import ALICE, ANNOTATORS, BOB, CAROL, IDS, build_named, write_named_tree
from tests.hggt_data.trees import contents, noise, write_bytes


def remove(folder: Path, output: Path | None = None, **names: str) -> int:
    """Remove one name of each kind; how many shards were kept."""
    unwanted = Unwanted(**{kind: frozenset([name]) for kind, name in names.items()})
    found = find_in_dataset(folder, unwanted)
    assert found
    return remove_from_dataset(folder, output or folder, found, unwanted, workers=1).kept


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A dataset of three shards of one group, judged by Alice, Bob and carol."""
    return build_named(write_named_tree(tmp_path / "Train"), tmp_path / "named")


def test_a_group_is_removed_and_other_shards_are_kept_byte_for_byte(dataset: Path) -> None:
    before, first = contents(dataset), read_manifest(dataset).shards[0]
    others = {name: groups[name].read_bytes("04") for groups in open_splits(dataset).values() for name in groups.ids}
    assert remove(dataset, groups=first.ids[0]) == 5
    after = contents(dataset)
    changed = {path for path in before if before[path] != after.get(path)}
    assert changed == {first.path, "labels/train.parquet", "manifest.json", "README.md", "croissant.json"}
    assert after.keys() == before.keys()
    del others[first.ids[0]]
    read = {name: groups[name].read_bytes("04") for groups in open_splits(dataset).values() for name in groups.ids}
    assert read == others
    manifest = read_manifest(dataset)
    require_whole(dataset, manifest.contents())
    assert manifest.splits == {"train": 5, "test": 6}
    assert first.ids[0] not in json.dumps(contents(dataset)["manifest.json"].decode())


def test_the_result_loads_and_says_its_numbers(dataset: Path, load: Callable[..., Any]) -> None:
    removed = read_manifest(dataset).shards[0].ids[0]
    remove(dataset, groups=removed)
    for config in ("default", "labels"):
        loaded = load(str(dataset), config)
        assert {name: split.num_rows for name, split in loaded.items()} == {"train": 5, "test": 6}
        assert removed not in loaded["train"]["id"]


def test_all_groups_of_a_source_picture_go_and_with_them_empty_shards_and_splits(dataset: Path) -> None:
    *others, last = dict.fromkeys(open_groups(dataset, "train").image_names)  # the test has groups of the same four
    for name in others:
        remove(dataset, source_pictures=name)
        assert name not in contents(dataset)["manifest.json"].decode()
    assert read_manifest(dataset).overlap["source_pictures"] == [last]
    for group in open_groups(dataset, "train").ids:
        remove(dataset, groups=group)
    manifest = read_manifest(dataset)
    assert [*manifest.splits] == ["test"]
    assert len(manifest.shards) == 1
    assert not (dataset / "labels/train.parquet").exists()
    assert not any(manifest.overlap.values())


def test_an_annotators_votes_go_and_the_consensus_is_that_of_the_others(named: Path) -> None:
    before = {group.id: group for group in open_groups(named)}
    assert remove(named, annotators=BOB) == 1  # Bob has not judged p2-0-0
    for group in open_groups(named):
        slots = [one.slot for one in group.annotations]
        assert slots == [one.slot for one in before[group.id].annotations if one.annotator != BOB]
        for k, (label, agreement) in enumerate(zip(group.consensus, group.agreement, strict=True)):
            expected = consensus_label([one.labels[k] for one in group.annotations])
            assert (label, agreement) == (expected.label, expected.agreement)
    assert all(BOB.encode() not in data for data in contents(named).values())


def test_a_slot_with_a_persons_name_is_removed_but_a_letter_is_not_a_person(named: Path) -> None:
    assert not find_in_dataset(named, Unwanted(annotators=frozenset("A")))
    remove(named, annotators=CAROL)
    assert {one.slot for group in open_groups(named) for one in group.annotations} == {"A", "B"}
    assert all(CAROL.encode() not in data for data in contents(named).values())


def test_votes_on_pairs_and_the_strengths_made_of_them_are_computed_again(tmp_path: Path) -> None:
    for name in ("original", "01"):
        write_bytes(tmp_path / f"T/g/{name}.png", encode_png(noise((16, 16), name)))
    lines = ["group,first,second,annotator,preferred", "g,original,01,ann,first", "g,01,original,ben,first"]
    (tmp_path / "T/votes.csv").write_text("\n".join([*lines, ""]))
    output = tmp_path / "set"
    build_dataset(BuildSettings([tmp_path / "T"], output, license="cc0-1.0", workers=1))
    before = open_groups(output).label_table().to_pylist()[0]  # type: ignore[attr-defined]
    assert before["strengths"] == pytest.approx([0, 0], abs=1e-6)
    remove(output, annotators="ben")
    after = open_groups(output).label_table().to_pylist()[0]  # type: ignore[attr-defined]
    assert [vote["annotator"] for vote in after["pairs"]] == ["ann"]
    assert after["strengths"][1] > after["strengths"][0]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_older_versions_become_the_latest(datasets: Path, tmp_path: Path, version: str) -> None:
    folder = Path(shutil.copytree(datasets / version, tmp_path / version))
    (split, *_), first = read_manifest(folder).splits, read_manifest(folder).shards[0].ids[0]
    before = {group.id: group for group in open_groups(folder, split) if group.id != first}
    remove(folder, groups=first)
    assert read_manifest(folder).schema_version == 3
    assert {group.id: group for group in open_groups(folder, split)} == before


def test_the_dataset_may_be_kept(named: Path, tmp_path: Path) -> None:
    before = contents(named)
    remove(named, tmp_path / "next", groups=IDS[0])
    assert contents(named) == before
    assert open_groups(tmp_path / "next").ids == [*IDS[1:]]


def test_the_next_build_brings_it_back(named: Path, tmp_path: Path) -> None:
    before = contents(named)
    remove(named, annotators=ALICE)
    assert contents(named) != before
    build_named(tmp_path / "Train", named)
    assert contents(named) == before


def test_a_failure_leaves_the_dataset_as_it_was(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, beside = contents(named), sorted(named.parent.iterdir())

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hggt_data.dataset.remove, "complete_folder", fail)
    with pytest.raises(OSError, match="No space"):
        remove(named, groups=IDS[0])
    assert contents(named) == before
    assert sorted(named.parent.iterdir()) == beside


def test_a_damaged_shard_and_an_empty_result_are_refused(named: Path) -> None:
    everything = Unwanted(groups=frozenset(IDS))
    found = find_in_dataset(named, everything)
    with pytest.raises(DatasetError, match="no group would remain"):
        remove_from_dataset(named, named, found, everything, workers=1)
    shard = named / read_manifest(named).shards[2].path
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    before = contents(named)
    with pytest.raises(DatasetError, match="does not match"):
        remove(named, groups=IDS[0])
    assert contents(named) == before


def test_only_whole_names_are_mentions() -> None:
    unwanted = Unwanted(groups=frozenset(["p1-0-0"]), annotators=frozenset([CAROL]))
    assert unwanted.is_mentioned("images/01/p1-0-0_01.png")
    assert unwanted.is_mentioned("labels/carol/x.json")
    assert not unwanted.is_mentioned("images/01/p1-0-01_01.png: carolina")
    assert not Unwanted().is_mentioned("anything")
    assert set(ANNOTATORS.values()) == {ALICE, BOB}
