"""Finding the folders of a tree."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hggt_data.errors import TreeError
from hggt_data.tree.hggt_folders import Section, official_test, official_train, open_tree, picture_name, tree_of_folders
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.layouts.hggt import list_folders
from tests.hggt_data.trees import write_bytes, write_tree

IDS = ("a-0-0", "a-16-0", "b-0-32")


def names(root: Path) -> list[str]:
    """The groups of a tree that must have no problems."""
    listing = list_tree(root)
    assert listing.problems == []
    return listing.ids


@pytest.mark.parametrize("official", [official_train, official_test])
def test_the_official_layout_is_found_again(tmp_path: Path, official: Callable[[Path, int], Section]) -> None:
    section, group_id = official(tmp_path, 1), "a-0-0"
    for name in ("original", "01", "lr"):
        write_bytes(section.picture(group_id, name), b"")
    write_bytes(section.annotation(group_id, "A"), b"")
    assert open_tree(tmp_path).sections == (section,)
    assert names(tmp_path) == ["a-0-0"]


def test_the_official_trees_of_the_fixtures(train_tree: Path, test_tree: Path, fixtures: Path) -> None:
    tree = open_tree(train_tree)
    assert [section.images for section in tree.sections] == [train_tree / "images" / "0-6"]
    assert (tree.candidates, tree.lr_folders) == (("01", "02", "03", "04"), ())
    assert len(names(train_tree)) == len(names(test_tree)) == len(names(test_tree / "GT" / "Test-mini")) == 6
    assert names(fixtures / "TestLarge") == ["coffee-0-120"]  # images/ and labels/ directly in GT/


def test_names_of_pictures() -> None:
    group_id = "0001-586-1469"
    assert (picture_name(group_id, "original"), picture_name(group_id, "03")) == (
        "0001-586-1469.png",
        "0001-586-1469_03.png",
    )


@pytest.mark.parametrize("level", ["", "2023"])
def test_levels_are_optional_and_may_have_any_name(tmp_path: Path, level: str) -> None:
    assert names(write_tree(tmp_path, IDS, level=level)) == list(IDS)


@pytest.mark.parametrize(("count", "slots"), [(1, "A"), (12, "ABCDE")])
def test_any_number_of_candidates_and_slots(tmp_path: Path, count: int, slots: str) -> None:
    candidates = tuple(f"{k:02}" for k in range(1, count + 1))
    listing = list_tree(write_tree(tmp_path, IDS, candidates=candidates, slots=slots))
    assert (listing.candidates, listing.slots, listing.problems) == (candidates, tuple(slots), [])


def test_pictures_without_originals_are_a_tree(tmp_path: Path) -> None:
    shutil.rmtree(write_tree(tmp_path, IDS) / "images/0-9/original")
    assert names(tmp_path) == list(IDS)


def test_pictures_and_labels_may_be_given_separately(test_tree: Path) -> None:
    home = test_tree / "GT" / "Test-mini"
    tree = tree_of_folders(home / "images", home / "labels")
    assert (len(list_folders(home / "images", home / "labels")), tree.candidates) == (6, ("01", "02", "03", "04"))
    with pytest.raises(TreeError, match="expected a folder that contains original/"):
        tree_of_folders(home, home / "labels")
    with pytest.raises(TreeError, match="expected one that contains A/, B/, C/"):
        tree_of_folders(home / "images", home / "absent")


class TestRefusals:
    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(TreeError, match=r"absent: no such folder or zip file; expected a tree"):
            list_tree(tmp_path / "absent")

    def test_other_archives_must_be_unpacked(self, tmp_path: Path) -> None:
        (tmp_path / "Train.rar").touch()
        with pytest.raises(TreeError, match=r"found Train\.rar\. Unpack Train\.rar; only zip files are read"):
            list_tree(tmp_path)
        with pytest.raises(TreeError, match=r"Train\.rar is neither a folder nor a zip file.* Unpack it"):
            list_tree(tmp_path / "Train.rar")

    def test_another_folder_is_described_in_part(self, tmp_path: Path) -> None:
        for k in range(30):
            (tmp_path / f"{k:02}.txt").touch()
        with pytest.raises(
            TreeError,
            match=r"not a tree of a known layout; found 00\.txt.* 22 more\. The layout hggt needs images/",
        ):
            list_tree(tmp_path)

    def test_a_folder_inside_a_tree(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "Train", IDS)
        with pytest.raises(TreeError, match=f"images is a part of the tree {tmp_path / 'Train'}; pass that"):
            list_tree(tmp_path / "Train/images")

    def test_the_folder_above_train_and_test(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "Train", IDS)
        write_tree(tmp_path / "Test/GT/one", IDS)
        with pytest.raises(TreeError, match=f"Pass {tmp_path / 'Test'} or {tmp_path / 'Train'} instead"):
            list_tree(tmp_path)

    @pytest.mark.parametrize(
        ("gone", "missing"), [("labels", "labels/ beside images/"), ("images", "images/ in it, in GT/ or in GT/*/")]
    )
    def test_one_of_the_two_folders_alone(self, tmp_path: Path, gone: str, missing: str) -> None:
        shutil.rmtree(write_tree(tmp_path / "GT/one", IDS) / gone)
        with pytest.raises(TreeError, match=re.escape(f"The layout hggt needs {missing}")):
            list_tree(tmp_path)

    def test_a_tree_without_candidates_is_refused(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS, candidates=())
        with pytest.raises(TreeError, match="has no candidates; expected folders 01/"):
            list_tree(tmp_path)


class TestLr:
    def test_the_official_place_is_found_and_any_other_can_be_given(self, fixtures: Path, test_tree: Path) -> None:
        place = test_tree / "Blind_Degradation_Benchmark_LQ"
        (place / "Test-other" / "Blind_LR").mkdir(parents=True)
        assert open_tree(test_tree).lr_folders == (place / "Test-mini" / "Blind_LR",)
        large = fixtures / "TestLarge"
        assert open_tree(large).lr_folders == ()
        assert open_tree(large, large / "LR").lr_folders == (large / "LR",)

    def test_the_folder_of_another_test_set_is_not_used(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            write_tree(tmp_path / "GT" / name, [f"{name}-0-0"], level="")
        write_bytes(tmp_path / "LQ/one/Blind_LR/one-0-0.png", b"x")
        assert [section.lr for section in open_tree(tmp_path).sections] == [tmp_path / "LQ/one/Blind_LR", None]
        shutil.rmtree(tmp_path / "GT/one/labels")
        assert open_tree(tmp_path).lr_folders == ()

    def test_a_missing_or_ambiguous_folder_is_an_error(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        with pytest.raises(TreeError, match="nowhere: no such folder; expected low-resolution images"):
            open_tree(tmp_path, tmp_path / "nowhere")
        for name in ("x", "y"):
            (tmp_path / name / "Blind_LR").mkdir(parents=True)
        with pytest.raises(TreeError, match=r"several folders .* pass one of them as `lr`"):
            open_tree(tmp_path)
        assert open_tree(tmp_path, tmp_path / "y" / "Blind_LR").lr_folders == (tmp_path / "y" / "Blind_LR",)
