"""Trees in zip files as they were downloaded: the same as unpacked, or refused in one report."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from hggt_data.cli.main import main
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import TreeError
from hggt_data.hub.repository import is_hub_id
from hggt_data.loading import open_groups, open_splits
from hggt_data.tree.hggt_folders import tree_of_pictures
from hggt_data.tree.split import SplitSettings, split_tree
from hggt_data.tree.table_options import TableOptions
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.diffiqa_tree import write_splits
from tests.hggt_data.sriqa_tree import write_sriqa_tree
from tests.hggt_data.table_tree import copy_tables, write_pictures
from tests.hggt_data.trees import contents, zip_folder


@pytest.fixture
def zips(fixtures: Path, tmp_path: Path) -> dict[str, Path]:
    """The real training tree: unpacked, in a zip file, below folders in one, and in two in one folder."""
    train = fixtures / "Train"
    for name in ("labels", "images"):
        zip_folder(train / name, tmp_path / "parts" / f"{name}.zip", f"Train/{name}")
    return {
        "unpacked": train,
        "zip file": zip_folder(train, tmp_path / "plain.zip"),
        "nested": zip_folder(train, tmp_path / "nested.zip", "download/HGGT/Train", zipfile.ZIP_DEFLATED),
        "two zip files": tmp_path / "parts",
    }


@pytest.mark.parametrize("kind", ["zip file", "nested", "two zip files"])
def test_a_zipped_tree_gives_the_same_dataset(zips: dict[str, Path], fixtures: Path, tmp_path: Path, kind: str) -> None:
    assert validate_tree(zips[kind], workers=1) == validate_tree(zips["unpacked"], workers=1)
    assert validate_tree(zips[kind], workers=1, fast=True).errors == ()
    groups = open_groups(zips[kind])
    assert groups.labels_sha256() == open_groups(zips["unpacked"]).labels_sha256()
    assert groups[0].read_bytes("01") == open_groups(zips["unpacked"])[0].read_bytes("01")
    assert groups.read_header(0, "01").size == (128, 128)
    test = zip_folder(fixtures / "Test", tmp_path / "Test.zip")
    for name, train_tree, test_tree in (("a", zips["unpacked"], fixtures / "Test"), ("b", zips[kind], test)):
        settings = BuildSettings([train_tree], tmp_path / name, test_tree, allow_overlap=True, groups_per_shard=2)
        build_dataset(replace(settings, workers=2))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_zipped_tree_is_split_as_a_copy(zips: dict[str, Path], tmp_path: Path) -> None:
    for name in ("unpacked", "nested"):
        result = split_tree(zips[name], tmp_path / name, SplitSettings(test_groups=1, min_positives=0, copy=True))
        assert not result.linked
    assert contents(tmp_path / "unpacked") == contents(tmp_path / "nested")


def test_low_resolution_images_may_be_zipped(fixtures: Path, tmp_path: Path) -> None:
    lr = next((fixtures / "Test").glob("*/*/Blind_LR"))
    home = fixtures / "Test" / "GT" / "Test-mini"
    report = validate_tree(home, zip_folder(lr, tmp_path / "lr.zip", "Blind_LR"), workers=1)
    assert report == validate_tree(home, lr, workers=1)
    assert open_groups(zip_folder(fixtures / "Test", tmp_path / "Test.zip")).has_picture(0, "lr")


def test_a_damaged_member_is_reported_like_a_damaged_file(zips: dict[str, Path], tmp_path: Path) -> None:
    path = zips["zip file"]
    with zipfile.ZipFile(path) as file:
        member = next(info for info in file.infolist() if info.filename.endswith("_02.png"))
    data = bytearray(path.read_bytes())
    data[member.header_offset + 2000] ^= 1
    path.write_bytes(data)
    (problem,) = validate_tree(path, workers=1).problems
    assert (problem.kind, problem.path) == ("unreadable-image", member.filename)
    assert problem.message == "damaged in plain.zip: its checksum is wrong"
    with pytest.raises(TreeError, match=rf"{path}/{member.filename}: damaged in plain\.zip"):
        build_dataset(BuildSettings([path], tmp_path / "out", workers=1))
    assert not (tmp_path / "out").exists()


def test_an_unsafe_zip_file_is_one_report_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("images/original/a-0-0.png", "labels/A/a-0-0.json", "../../a", "/b"):
            file.writestr(name, b"")
    (problem,) = validate_tree(path).problems
    assert "the name may lead outside the folder (2): ../../a, /b" in problem.message
    with pytest.raises(TreeError, match="may lead outside"):
        build_dataset(BuildSettings([path], tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_of_several_trees_in_zip_files_one_must_be_chosen(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zip_folder(fixtures, tmp_path / "fixtures.zip")
    with pytest.raises(TreeError, match=rf"Pass .*{path}/Train instead"):
        open_groups(path)
    assert len(open_groups(path / "Train")) == 6
    monkeypatch.chdir(tmp_path)
    assert not is_hub_id("fixtures.zip/Train")
    with pytest.raises(TreeError, match="Put the zip files of one tree into a folder of their own"):
        open_groups(tmp_path)


def write_table(folder: Path) -> Path:
    groups = ("cnn-000000", "cnn-000001", "traditional-000000")
    return write_pictures(copy_tables("bapps", folder), dict.fromkeys(groups, ("p0", "p1")))


@pytest.mark.parametrize("write", [write_splits, write_sriqa_tree, write_table])
def test_every_layout_is_read_from_zip_files(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    tree = write(tmp_path / "tree")
    zip_folder(tree, tmp_path / "zips" / "a.zip", "folder/tree")
    unpacked, zipped = validate_tree(tree, workers=1), validate_tree(tmp_path / "zips", workers=1)
    assert unpacked == zipped
    assert zipped.errors == ()


@pytest.mark.parametrize("is_votes_zipped", [True, False])
def test_a_table_and_its_pictures_may_be_in_different_places(tmp_path: Path, is_votes_zipped: bool) -> None:
    tree = write_table(tmp_path / "tree")
    pictures = zip_folder(tree, tmp_path / "zips" / "pictures.zip")
    votes = tree / "votes.csv"
    if is_votes_zipped:
        votes = zip_folder(tree, tmp_path / "zips" / "tables" / "votes.zip") / "votes.csv"
    for table in (TableOptions(votes=votes), TableOptions(votes=votes, pictures=pictures)):
        groups = open_groups(pictures, table=table)
        assert [group.pairs for group in groups] == [group.pairs for group in open_groups(tree)]
        assert groups[0].read_bytes("p0") == open_groups(tree)[0].read_bytes("p0")


def test_the_splits_of_a_zipped_tree(tmp_path: Path) -> None:
    tree = write_splits(tmp_path / "DiffIQA")
    path = zip_folder(tree, tmp_path / "DiffIQA.zip", "DiffIQA")
    assert list(open_splits(path)) == ["train", "validation", "test"]
    assert open_groups(path, "test").labels_sha256() == open_groups(tree, "test").labels_sha256()


def test_commands_take_zipped_trees_or_say_that_they_need_a_folder(zips: dict[str, Path], tmp_path: Path) -> None:
    run = CliRunner()
    nested = str(zips["nested"] / "download")
    for command in (["validate", nested], ["build", "--tree", nested, "--output", str(tmp_path / "out")]):
        result = run.invoke(main, [*command, "--workers", "1"])
        assert (result.exit_code, "6 groups" in result.output) == (0, True)
    path = zips["zip file"]
    for place in (f"{path}/none", tmp_path / "none.zip"):
        result = run.invoke(main, ["validate", str(place)])
        assert result.exit_code == 2
        assert f"{place} does not exist; expected a folder or a zip file" in result.output
    (tmp_path / "names.txt").write_text("Ann\n")
    options = ["--annotators", tmp_path / "names.txt", "--output", tmp_path / "round"]
    result = run.invoke(main, ["deal", "--input", str(path), *map(str, options)])
    assert f"{path} is a zip file; expected a folder, unpack it first." in result.output
    with pytest.raises(TreeError, match=r"is a file; expected a folder\. Unpack a zip file first"):
        tree_of_pictures(path)
