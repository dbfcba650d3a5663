"""Single groups and pictures from a tree or a built dataset."""

import dataclasses
import json
import multiprocessing
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hggt_data import Label, open_groups
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import AnnotationError, DatasetError, HubError, ImageError, SettingsError, TreeError
from hggt_data.groups import Group, GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.files import sha256_of
from hggt_data.io.images import read_pixels
from hggt_data.loading import open_splits, open_tree_folders, split_or_default
from hggt_data.schema import PatchGroup
from tests.hggt_data.named_tree import REPO, Published, remote_files, write_files
from tests.hggt_data.trees import LFS_POINTER_FILE, edit_text, write_tree
from tests.hub_client import ForkServer, HubClient, sign_in
from tests.hub_server import HubServer

ALL = ("original", "01", "02", "03", "04", "lr")


def judged(group: PatchGroup) -> tuple[object, ...]:
    """What the annotators say about a group, wherever it was read from."""
    return tuple(getattr(group, field.name) for field in dataclasses.fields(PatchGroup))


def digests(source: GroupSource) -> list[str]:
    names = ("original", "01", source.candidates[-1])
    return [sha256_of(source.read_bytes(k, name)) for k in range(len(source)) for name in names]


@pytest.fixture
def source(real_dataset: Path) -> GroupSource:
    return open_groups(real_dataset, "test")


@pytest.fixture
def client(processes: ForkServer, tmp_path: Path) -> HubClient:
    """Runs functions in another process."""
    return HubClient(processes, {**os.environ, "HF_TOKEN": ""}, folder=tmp_path, records=tmp_path)


def test_tree_and_dataset_give_the_same_groups_and_pixels(real_dataset: Path, fixtures: Path) -> None:
    for split, tree, names in (("train", fixtures / "Train", ALL[:-1]), ("test", fixtures / "Test", ALL)):
        ours, theirs = open_groups(tree), open_groups(real_dataset, split)
        assert list(ours.ids) == list(theirs.ids)
        assert ours.candidates == theirs.candidates == ("01", "02", "03", "04")
        assert len(ours) == len(theirs) == 6
        for mine, other in zip(ours, theirs, strict=True):
            assert judged(mine) == judged(other)
            assert mine == other
            for name in names:
                assert mine.read_bytes(name) == other.read_bytes(name)
                np.testing.assert_array_equal(mine.read(name), other.read(name))
        assert ours.labels_sha256() == theirs.labels_sha256()


def test_a_group_holds_what_its_files_say(source: GroupSource, fixtures: Path) -> None:
    group = source[3]
    assert group.id == "coffee-27-433"
    home = fixtures / "Test/GT/Test-mini"
    for annotation in group.annotations:
        content = json.loads((home / f"labels/{annotation.slot}/{group.id}.json").read_text())
        assert [label and label.value for label in annotation.labels] == [
            content[f"Picture_{k}"]["Label"] for k in range(2, 6)
        ]
        assert annotation.seconds == content["Time_cost"]["Total"]
        assert str(annotation.end) == content["Time_cost"]["End"]
    assert all(isinstance(label, Label) for label in group.consensus)
    np.testing.assert_array_equal(group.read("03"), read_pixels(home / f"images/03/{group.id}_03.png"))
    assert group.read("lr").shape == (40, 40, 3)
    assert group.read("lr").dtype == np.uint8


def test_it_behaves_like_a_list(source: GroupSource, real_dataset: Path) -> None:
    names = [str(group_id) for group_id in source.ids]
    assert [str(group.id) for group in source] == names
    assert str(source[-1].id) == names[-1]
    assert [str(group.id) for group in source[5:0:-2]] == names[5:0:-2]
    assert source[6:] == []
    for index in (6, -7):
        with pytest.raises(IndexError, match=f"group {index} of 6"):
            source[index]
    assert repr(source) == f"<6 groups, split 'test', of {real_dataset}>"


def test_a_group_is_found_by_its_id(source: GroupSource, fixtures: Path) -> None:
    for groups in (source, open_groups(fixtures / "Train")):
        assert [groups[str(patch)].index for patch in groups.ids] == list(range(6))
    with pytest.raises(KeyError, match="'Coffee-27-433' differs from 'coffee-27-433' only in case"):
        source["Coffee-27-433"]
    with pytest.raises(KeyError, match=r"has no group 'coffee-27-434'; did you mean coffee-27-433"):
        source["coffee-27-434"]
    with pytest.raises(KeyError, match="has no group 'x'\""):
        source["x"]


def test_the_pictures_of_a_group_are_known_and_others_are_a_key_error(real_dataset: Path, fixtures: Path) -> None:
    for split, expected in (("train", ALL[:-1]), ("test", ALL)):
        for source in (open_groups(fixtures / split.capitalize()), open_groups(real_dataset, split)):
            group = source[0]
            assert [name for name in (*ALL, "05", "") if group.has_picture(name)] == list(expected)
            assert source.split == split
            for name in {"05", "enhanced_01", "", "lr"} - {*expected}:
                with pytest.raises(KeyError, match=f"has no picture '{name}'.*original, 01, 02, 03, 04"):
                    group.read(name)


@pytest.mark.parametrize("split", ["test", None])
def test_a_source_opened_by_a_relative_path_outlives_a_change_of_folder(
    real_dataset: Path, fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str | None
) -> None:
    folder = real_dataset if split else fixtures / "Test"
    monkeypatch.chdir(folder.parent)
    source = open_groups(folder.name, split)
    monkeypatch.chdir(tmp_path)
    assert source[0].read("original").shape == (160, 160, 3)


def test_two_folders_are_a_tree_if_the_labels_have_slots(fixtures: Path) -> None:
    home = fixtures / "Test/GT/Test-mini"
    assert len(open_tree_folders(home / "images", home / "labels")) == 6
    with pytest.raises(TreeError, match="no annotations; expected those of the layout hggt"):
        open_tree_folders(home / "images", home / "labels/A")


def test_an_annotation_that_is_missing_is_named(test_tree: Path) -> None:
    path = test_tree / "GT/Test-mini/labels/B/coffee-27-433.json"
    path.unlink()
    with pytest.raises(
        AnnotationError, match=r"coffee-27-433\.json: slot B has annotations of other groups, but not of"
    ):
        list(open_groups(test_tree))


def test_a_picture_of_a_tree_is_a_file_and_one_of_a_dataset_is_not(real_dataset: Path, fixtures: Path) -> None:
    tree = open_groups(fixtures / "Test")
    for name in ALL:
        path = tree.find_file(0, name)
        assert path is not None
        assert (fixtures / "Test" / path).read_bytes() == tree.read_bytes(0, name)
        assert open_groups(real_dataset, "test").find_file(0, name) is None
    with pytest.raises(KeyError, match="has no picture '05'"):
        tree.find_file(0, "05")


def test_a_dataset_describes_its_source_pictures(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "T", ["a-0-0", "a-8-0", "b-0-0"])
    (tmp_path / "s.csv").write_text("image,author,origin\na,Ann,\n")
    build_dataset(BuildSettings(trees=(tree,), output=tmp_path / "hggt", sources=tmp_path / "s.csv", workers=1))
    assert open_groups(tmp_path / "hggt").read_sources() == {
        "a": {"origin": None, "author": "Ann"},
        "b": {"origin": None, "author": None},
    }
    assert open_groups(tree).read_sources() == {}


class TestOpening:
    def test_all_splits_at_once(self, real_dataset: Path, fixtures: Path) -> None:
        assert {name: len(groups) for name, groups in open_splits(real_dataset).items()} == {"train": 6, "test": 6}
        assert list(open_splits(real_dataset)) == ["train", "test"]
        assert list(open_splits(str(real_dataset), "test")) == ["test"]
        assert [*open_splits(fixtures / "Train"), *open_splits(fixtures / "Test")] == ["train", "test"]
        with pytest.raises(DatasetError, match="has no split 'val'"):
            open_splits(real_dataset, "val")
        with pytest.raises(SettingsError, match="has no revisions"):
            open_splits(real_dataset, revision="v1.0")

    def test_a_split_is_named_unless_there_is_only_one(
        self, real_dataset: Path, published: Published, fixtures: Path
    ) -> None:
        assert len(open_groups(published.dataset)) == len(open_groups(str(published.dataset), "train")) == 3
        with pytest.raises(DatasetError, match="has the splits train, test; choose one with"):
            open_groups(real_dataset)
        with pytest.raises(DatasetError, match="has no split 'val'; it has train, test"):
            open_groups(real_dataset, "val")
        assert len(open_groups(fixtures / "Test", "test")) == 6
        with pytest.raises(SettingsError, match="has no split 'train'; it has test"):
            open_groups(fixtures / "Test", "train")

    def test_only_what_has_splits_has_a_default(self, real_dataset: Path, fixtures: Path) -> None:
        assert [split_or_default(source, None, "test") for source in (real_dataset, "lab/hggt")] == ["test", "test"]
        assert split_or_default(real_dataset, "train", "test") == "train"
        assert split_or_default(fixtures / "Train", None, "test") is None

    def test_another_folder_is_an_error_that_says_what_was_expected(self, tmp_path: Path) -> None:
        with pytest.raises(TreeError, match="The layout hggt needs images/ in it"):
            open_groups(tmp_path)
        with pytest.raises(TreeError, match="no such folder"):
            open_groups(tmp_path / "absent")

    def test_a_tree_whose_names_have_errors_is_refused(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path, ["a-0-0"])
        (tree / "images/0-9/original/no-name.png").touch()
        with pytest.raises(TreeError, match=r"cannot be opened; check it with hggt-data validate(.|\n)*bad-patch-id"):
            open_groups(tree)


class TestDamage:
    def test_a_missing_shard_is_named(self, dataset: Path) -> None:
        (dataset / "data" / "test-00000-of-00003.parquet").unlink()
        with pytest.raises(DatasetError, match=r"test-00000-of-00003\.parquet is missing; its manifest says"):
            open_groups(dataset, "test")
        assert len(open_groups(dataset, "train")) == 6

    def test_a_shard_of_another_length_is_named(self, dataset: Path) -> None:
        shard = dataset / "data" / "test-00000-of-00003.parquet"
        size = shard.stat().st_size - 1
        os.truncate(shard, size)
        with pytest.raises(DatasetError, match=rf"test-00000-of-00003\.parquet has {size:,} bytes"):
            open_groups(dataset, "test")

    def test_a_shard_that_git_lfs_has_not_fetched_is_named(self, dataset: Path) -> None:
        (dataset / "data" / "test-00000-of-00003.parquet").write_bytes(LFS_POINTER_FILE)
        with pytest.raises(
            DatasetError, match=r"test-00000-of-00003\.parquet is a git-lfs pointer, .* run `git lfs pull`"
        ):
            open_groups(dataset, "test")

    def test_a_shard_cut_after_opening_is_an_error_when_it_is_read(self, dataset: Path) -> None:
        source = open_groups(dataset, "test")
        os.truncate(dataset / "data" / "test-00000-of-00003.parquet", 5000)
        with pytest.raises(DatasetError, match=r"test-00000-of-00003\.parquet"):
            source[0].read("01")

    def test_a_flipped_bit_in_a_picture_is_an_error_with_its_name(self, dataset: Path) -> None:
        shard = dataset / "data" / "test-00000-of-00003.parquet"
        whole = open_groups(dataset, "test")[1].read_bytes("02")
        data = bytearray(shard.read_bytes())
        data[data.index(whole) + len(whole) // 2] ^= 1
        shard.write_bytes(data)
        source = open_groups(dataset, "test")
        with pytest.raises(
            ImageError, match=r"picture 02 of astronaut-304-202: damaged.*; build or download the dataset"
        ):
            source[1].read("02")
        source[1].read("01")

    @pytest.mark.parametrize("how", ["missing", "cut", "another split"])
    def test_a_damaged_table_of_labels_is_a_dataset_error(self, dataset: Path, how: str) -> None:
        path = dataset / "labels" / "test.parquet"
        if how == "missing":
            path.unlink()
        elif how == "cut":
            os.truncate(path, path.stat().st_size // 2)
        else:
            shutil.copy(dataset / "labels" / "train.parquet", path)
        with pytest.raises(DatasetError, match=r"^[^\n]*labels/test\.parquet[^\n]*again\.?$"):
            open_groups(dataset, "test")[0]

    def test_no_flipped_bit_in_the_labels_goes_unnoticed(self, dataset: Path) -> None:
        path = dataset / "labels" / "test.parquet"
        whole = path.read_bytes()
        for place in range(4, len(whole), len(whole) // 10):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            with pytest.raises(DatasetError, match="has other content; its manifest says"):
                open_groups(dataset, "test")[0]

    def test_a_rebuilt_dataset_gives_no_picture_of_another_group(self, tmp_path: Path) -> None:
        tree: Any = write_tree(tmp_path / "T", [f"a{k}-0-0" for k in range(4)])
        settings = BuildSettings(trees=(tree,), output=tmp_path / "hggt", workers=1)
        build_dataset(settings)
        source, used = open_groups(settings.output), open_groups(settings.output)
        used[0].read("01")
        for path in list(tree.rglob("a0-0-0*")):
            path.unlink()
        build_dataset(settings)
        with pytest.raises(DatasetError, match="If the dataset was rebuilt while it was in use, open it again"):
            source[0]
        with pytest.raises(DatasetError, match="If the dataset was rebuilt while it was in use, open it again"):
            used.read(0, "01")

    def test_a_dataset_without_its_manifest_is_an_error(self, dataset: Path) -> None:
        (dataset / "manifest.json").unlink()
        with pytest.raises(DatasetError, match=r"has shards but no manifest\.json"):
            open_groups(dataset, "test")

    def test_an_error_in_an_annotation_of_a_tree_names_its_file(self, test_tree: Path) -> None:
        path = test_tree / "GT/Test-mini/labels/B/chelsea-22-159.json"
        edit_text(path, '"Positive"', '"positve"')
        source = open_groups(test_tree)
        with pytest.raises(AnnotationError, match=r"labels/B/chelsea-22-159\.json: 'Picture_\d' has label 'positve'"):
            source[2]
        source[1]


def bytes_read_per_byte(dataset: Path) -> float:
    """Bytes that this process reads from files for each byte of the pictures that it wants."""
    source = open_groups(dataset)
    source.read_bytes(0, "01")  # the footer is read once
    before = bytes_read()
    wanted = sum(len(source.read_bytes(k, name)) for k in range(31, 0, -3) for name in ("original", "02"))
    return (bytes_read() - before) / wanted


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


class TestReading:
    def test_a_new_process_reads_hardly_more_than_the_pictures(self, tmp_path: Path, client: HubClient) -> None:
        if not Path("/proc/self/io").exists():
            pytest.skip("only Linux counts what a process reads")
        tree = write_tree(tmp_path / "T", [f"p{k}-0-0" for k in range(32)], size=(192, 192), candidates=("01", "02"))
        build_dataset(BuildSettings(trees=(tree,), output=tmp_path / "hggt", workers=1))
        assert 1 <= client.call(bytes_read_per_byte, tmp_path / "hggt") < 1.2

    def test_nothing_is_written_anywhere(self, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "no-cache"))
        before = sorted(tmp_path.rglob("*"))
        for group in open_groups(dataset, "train"):
            group.read("original")
        assert sorted(tmp_path.rglob("*")) == before


class TestProcesses:
    def test_a_source_and_its_groups_can_be_pickled(self, real_dataset: Path, fixtures: Path) -> None:
        for source in (open_groups(real_dataset, "test"), open_groups(fixtures / "Test")):
            expected = digests(source)
            copy = pickle.loads(pickle.dumps(source))
            assert digests(copy) == expected
            assert list(copy.ids) == list(source.ids)
            group: Group = pickle.loads(pickle.dumps(source[2]))
            assert judged(group) == judged(source[2])
            np.testing.assert_array_equal(group.read("04"), source[2].read("04"))

    def test_a_pickle_contains_no_pictures(self, real_dataset: Path) -> None:
        assert len(pickle.dumps(open_groups(real_dataset, "test"))) < 5000

    def test_parent_and_forked_children_read_at_the_same_time(self, real_dataset: Path) -> None:
        source = open_groups(real_dataset, "test")
        expected = digests(source)
        labels = [judged(group) for group in source]
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                try:
                    rng = random.Random(number)
                    fine = all(digests(source) == expected for _ in range(5))
                    order = rng.sample(range(6), 6)
                    fine = fine and [judged(source[k]) for k in order] == [labels[k] for k in order]
                    os._exit(0 if fine else 1)
                finally:
                    os._exit(2)
            children.append(child)
        for _ in range(5):
            assert digests(source) == expected
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        assert digests(source) == expected  # no child has closed the parent's files

    def test_another_process_reads_what_this_one_opened(self, real_dataset: Path, client: HubClient) -> None:
        source = open_groups(real_dataset, "test")
        assert client.call(digests, source) == digests(source)

    def test_threads_share_a_source_and_no_shard_stays_open(self, real_dataset: Path) -> None:
        expected = digests(open_groups(real_dataset, "test"))
        source = open_groups(real_dataset, "test")
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(digests, [source] * 8)) == [expected] * 8
            assert len({judged(group) for group in pool.map(source.__getitem__, [2] * 16)}) == 1

        if Path("/proc/self/fd").exists():  # only Linux lists a process's open files
            places = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
            assert not [place for place in places if str(real_dataset / "data") in place]


def test_the_hash_of_the_labels_changes_with_a_label_and_not_with_a_picture(test_tree: Path) -> None:
    before = open_groups(test_tree).labels_sha256()
    (test_tree / "GT/Test-mini/images/01/chelsea-22-159_01.png").write_bytes(b"")
    assert open_groups(test_tree).labels_sha256() == before
    path = test_tree / "GT/Test-mini/labels/B/chelsea-22-159.json"
    edit_text(path, '"Positive"', '"Negative"')
    assert open_groups(test_tree).labels_sha256() != before


def test_other_candidates_and_annotators(tmp_path: Path) -> None:
    tree: Any = write_tree(tmp_path / "T", ["a-0-0", "b-0-0"], candidates=("01", "02", "03", "04", "05"), slots="AB")
    (tree / "annotators.csv").write_text("group,slot,pseudonym\na-0-0,B,owl\n")
    build_dataset(BuildSettings(trees=(tree,), output=tmp_path / "hggt", workers=1))
    ours, theirs = open_groups(tree), open_groups(tmp_path / "hggt")
    assert [judged(group) for group in ours] == [judged(group) for group in theirs]
    assert [annotation.annotator for annotation in theirs[0].annotations] == [None, "owl"]
    assert theirs[1].read("05").shape == (16, 16, 3)


def open_and_pickle(revision: str | None = None) -> tuple[bytes, str]:
    source = open_groups(REPO, revision=revision)
    return pickle.dumps(source), source.location


def read_in_workers(pickled: bytes) -> list[list[str]]:
    """What four workers read, as in a DataLoader."""
    source = pickle.loads(pickled)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        return pool.map(digests, [source] * 4, chunksize=1)


def open_and_read() -> list[str]:
    return digests(open_groups(REPO))


def open_error() -> str:
    with pytest.raises(HubError) as error:
        open_groups(REPO)
    return str(error.value)


def read_error() -> str:
    with pytest.raises(ImageError) as error:
        open_groups(REPO)[1].read("original")
    return str(error.value)


def split_error() -> str:
    with pytest.raises(DatasetError) as error:
        open_groups(REPO, "test")
    return str(error.value)


class TestHub:
    @pytest.fixture
    def reader(self, published: Published, processes: ForkServer, tmp_path: Path) -> HubClient:
        return sign_in(published.hub, processes, tmp_path)

    def test_one_process_downloads_and_workers_use_no_network(self, published: Published, reader: HubClient) -> None:
        expected = digests(open_groups(published.dataset))
        pickled, location = reader.call(open_and_pickle)
        assert location == f"{REPO}@{published.hub.repo('lab/hggt').find_commit('main').sha}"
        asked = len(published.hub.requests)
        assert reader.call(read_in_workers, pickled) == [expected] * 4
        assert len(published.hub.requests) == asked

    def test_cached_files_are_not_downloaded_again_and_need_no_hub(
        self, published: Published, processes: ForkServer, tmp_path: Path
    ) -> None:
        expected = digests(open_groups(published.dataset))
        with HubServer(published.hub.tokens) as hub:
            hub.repos = published.hub.repos
            reader = sign_in(hub, processes, tmp_path)
            assert reader.call(open_and_read) == expected
            asked = len(hub.requests)
            assert reader.call(open_and_read) == expected
            assert [request.method for request in hub.requests[asked:]] == ["GET", "HEAD"]  # is there a new version?
        assert reader.call(open_and_read) == expected
        assert "cannot reach the Hub; using commit" in (reader.records / "err").read_text()
        assert reader.having(HF_HUB_OFFLINE="1").call(open_and_read) == expected
        assert (reader.records / "err").read_text() == ""

    def test_an_incomplete_cache_is_an_error_in_offline_mode(self, published: Published, reader: HubClient) -> None:
        offline = reader.having(HF_HUB_OFFLINE="1")
        assert "Unset HF_HUB_OFFLINE" in offline.call(open_error)
        reader.call(open_and_read)
        [shard] = Path(reader.environment["HF_HOME"]).rglob("snapshots/*/data/train-00001-of-00003.parquet")
        shard.unlink()
        assert "Unset HF_HUB_OFFLINE" in offline.call(open_error)
        assert reader.call(open_and_read) == digests(open_groups(published.dataset))

    def test_a_cached_file_that_is_damaged_later_can_be_repaired(self, published: Published, reader: HubClient) -> None:
        reader.call(open_and_read)
        [shard] = Path(reader.environment["HF_HOME"]).rglob("snapshots/*/data/train-00001-of-00003.parquet")
        blob = shard.resolve()
        data = bytearray(blob.read_bytes())
        data[data.index(b"IDAT") + 8] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(data)
        found = re.search(
            r"damaged.*; remove (\S+/\.hggt-checked) and run again, to check all", reader.call(read_error)
        )
        assert found
        Path(found[1]).unlink()
        assert "arrived damaged" in reader.call(open_error)  # and is removed
        assert reader.call(open_and_read) == digests(open_groups(published.dataset))

    def test_an_unknown_split_is_an_error_that_names_the_dataset(self, published: Published, reader: HubClient) -> None:
        commit = published.hub.repo(REPO).find_commit("main").sha
        assert reader.call(split_error) == f"{REPO}@{commit} has no split 'test'; it has train"

    def test_a_tag(self, filled_hub: HubServer, member: HubClient) -> None:
        commit = filled_hub.repo(REPO).find_commit("v1.0").sha
        filled_hub.push(REPO, {"manifest.json": None})
        _, location = member.call(open_and_pickle, "v1.0")
        assert location == f"{REPO}@{commit}"

    def test_a_folder_of_that_name_comes_before_the_hub(
        self, published: Published, reader: HubClient, tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(published.dataset, reader.folder / "lab" / "hggt"))
        asked = len(published.hub.requests)
        assert reader.call(open_and_pickle)[1] == str(folder)
        assert len(published.hub.requests) == asked

    def test_names_of_repositories_on_the_hub(self) -> None:
        assert all(is_hub_id(source) for source in ("lab/hggt", "Lab-2/hggt-1.0_x"))
        others = ("hggt", "a/b/c", "./hggt", "/lab/hggt", "lab/..", "lab/", "lab/h t", "lab/hggt\n", "a/b--c")
        assert not any(is_hub_id(source) for source in others)

    @pytest.mark.parametrize(
        "address",
        ["https://huggingface.co/datasets/lab/hggt/tree/main", "https://hf.co/lab/hggt", "hf://datasets/lab/hggt"],
    )
    def test_an_address_gives_the_name(self, address: str) -> None:
        for source in (address, Path(address)):
            with pytest.raises(SettingsError, match=r"is an address; expected a folder or .*: lab/hggt$"):
                open_groups(source)


def test_the_hash_of_the_labels_is_the_same_for_tree_dataset_and_what_was_published(
    published: Published, tmp_path: Path
) -> None:
    folder = write_files(tmp_path, remote_files(published.hub))
    hashes = {open_groups(place).labels_sha256() for place in (published.tree, published.dataset, folder)}
    assert len(hashes) == 1


# Each child is a program of its own from the fork on: it reads, falls off the end, and its interpreter shuts down.
SHORT_PROGRAMS = """
import os, sys
import pandas, pyarrow.parquet, hggt_data.dataset.features, hggt_data.dataset.shards  # so that a child starts at once
from hggt_data import open_groups

codes = []
for _ in range(int(sys.argv[2])):
    if not (child := os.fork()):
        break
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
else:
    os._exit(sum(code != 0 for code in codes))
assert all(group.consensus for group in open_groups(sys.argv[1], "train"))
"""


def test_programs_that_read_labels_end_cleanly(real_dataset: Path) -> None:
    # Arrow's threads may release a Python buffer during shutdown: with `pq.read_table`, 76 of 100 programs aborted.
    both = [subprocess.Popen([sys.executable, "-c", SHORT_PROGRAMS, str(real_dataset), "50"]) for _ in range(2)]
    assert [program.wait(timeout=300) for program in both] == [0, 0]
