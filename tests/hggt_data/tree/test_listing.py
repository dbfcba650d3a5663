"""The groups and files of a tree by name, and every file and folder that does not belong."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from hggt_data.problems import Problem
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.layouts.hggt import list_folders
from hggt_data.tree.listing import ListOptions
from tests.hggt_data.trees import write_bytes, write_tree

IDS = ("a-0-0", "a-16-0", "b-0-32")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three groups, with LR images; nothing is wrong with it."""
    return write_tree(tmp_path / "T", IDS, candidates=("01", "02"), lr=True)


def names(root: Path) -> list[str]:
    return [str(group_id) for group_id in list_tree(root).ids]


def problems(root: Path, lr: Path | None = None) -> list[Problem]:
    return list_tree(root, ListOptions(lr=lr)).problems


def kinds(root: Path, lr: Path | None = None) -> list[tuple[str, str, str]]:
    return sorted((problem.kind, problem.severity, problem.path) for problem in problems(root, lr))


def test_the_files_of_a_group(test_tree: Path) -> None:
    listing = list_tree(test_tree)
    assert listing.problems == []
    files = listing.files("chelsea-22-159")
    assert files.candidates == ("01", "02", "03", "04")
    paths = [*files.images.values(), *files.vote_files]
    assert all(path.is_file() for path in paths)
    assert [files.relative(path) for path in paths] == [
        "GT/Test-mini/images/original/chelsea-22-159.png",
        *(f"GT/Test-mini/images/0{k}/chelsea-22-159_0{k}.png" for k in (1, 2, 3, 4)),
        "Blind_Degradation_Benchmark_LQ/Test-mini/Blind_LR/chelsea-22-159.png",
        *(f"GT/Test-mini/labels/{slot}/chelsea-22-159.json" for slot in "ABC"),
    ]


def test_groups_are_sorted_by_id(tmp_path: Path) -> None:
    write_tree(tmp_path, ("b-0-0", "a-10-0", "a-9-0", "a-1-5-5"), candidates=("01",), slots="A")
    assert names(tmp_path) == ["a-9-0", "a-10-0", "a-1-5-5", "b-0-0"]


def test_a_group_may_be_known_by_a_candidate_only(tree: Path) -> None:
    (tree / "images/0-9/original/a-0-0.png").unlink()
    assert names(tree) == list(IDS)


def test_a_slot_of_one_level_is_expected_in_all(tmp_path: Path) -> None:
    write_tree(tmp_path, IDS[:2], level="0-2")
    write_tree(tmp_path, IDS[2:], level="2-3", slots="AB")
    listing = list_tree(tmp_path)
    assert listing.slots == ("A", "B", "C")
    assert [[path.parent.name for path in files.vote_files] for files in listing] == [["A", "B", "C"]] * 3


def test_a_group_in_two_levels_is_an_error(tmp_path: Path) -> None:
    write_tree(tmp_path, IDS, level="0-3")
    write_tree(tmp_path, IDS[1:2], level="3-4")
    (problem,) = problems(tmp_path)
    assert (problem.kind, problem.severity, problem.path) == ("duplicate-group", "error", "images/3-4")
    assert problem.message == "group a-16-0 is also in images/0-3; expected each group once"


def test_half_a_part_of_a_test_tree_is_an_error(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_tree(tmp_path / "GT" / name, [f"{name}-0-0"], level="")
    shutil.rmtree(tmp_path / "GT/one/labels")
    (problem,) = problems(tmp_path)
    assert (problem.kind, problem.severity, problem.path) == ("incomplete-part", "error", "GT/one")
    assert "contains images/ but no labels/" in problem.message


class TestNames:
    def test_a_name_that_is_not_a_patch_id_is_an_error(self, tree: Path) -> None:
        (tree / "images/0-9/original/a-00-0.png").write_bytes(b"x")
        assert kinds(tree) == [("bad-patch-id", "error", "images/0-9/original/a-00-0.png")]

    def test_names_that_are_not_utf8_are_problems_that_can_be_printed(self, tree: Path) -> None:
        for path in ("images/0-9/original/caf\udce9-0-0.png", "images/0-9/\udcffA/x", "labels/\udcff/x"):
            write_bytes(tree / path, b"x")
        shutil.copytree(tree / "labels/0-9/B", tree / "labels/0-9/\udcff")
        write_tree(tree / "GT/\udcff", ["z-0-0"])
        found = problems(tree)
        assert {problem.kind for problem in found} == {"bad-patch-id", "bad-folder-name", "extra-file"}
        for problem in found:
            f"{problem}{problem.hint}".encode()
        assert list_tree(tree).slots == ("A", "B", "C")

    @pytest.mark.parametrize(
        "path",
        [
            "images/0-9/original/sub/a-0-0.png",
            "images/0-9/01/a-0-0.png",  # a candidate's name ends in _01
            "images/0-9/05-bad/a.png",
            "labels/0-9/.ipynb_checkpoints/a-0-0.json",
            "labels/0-9/A/a-0-0.txt",
            "labels/notes.txt",
            "Blind_LR/z-0-0.png",
        ],
    )
    def test_an_extra_file_or_folder_is_a_warning(self, tree: Path, path: str) -> None:
        write_bytes(tree / path, b"x")
        ((kind, severity, place),) = kinds(tree)
        assert (kind, severity) == ("extra-file", "warning")
        assert path.startswith(place)
        assert names(tree) == list(IDS)

    def test_files_of_systems_and_of_hggt_are_ignored(self, tree: Path) -> None:
        for folder in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
            for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._a-0-0.png"):
                (folder / name).write_bytes(b"x")
        for path in ("Blind_LR/degrade.json", "images/0-9/patches.csv", "images/0-9/contact_sheet_001.png"):
            write_bytes(tree / path, b"x")
        assert kinds(tree) == []
        assert names(tree) == list(IDS)

    def test_names_that_differ_only_in_case_are_a_warning(self, tmp_path: Path) -> None:
        write_tree(tmp_path, ["a-0-0", "A-0-0"], candidates=("01",), slots="A")
        shutil.copytree(tmp_path / "labels/0-9/A", tmp_path / "labels/0-9/a")
        found = kinds(tmp_path)
        assert [(kind, path) for kind, _, path in found] == [
            ("lookalike-name", "images/0-9/01/a-0-0_01.png"),
            ("lookalike-name", "images/0-9/original/a-0-0.png"),
            ("lookalike-name", "labels/0-9/A/a-0-0.json"),
            ("lookalike-name", "labels/0-9/a"),
            ("lookalike-name", "labels/0-9/a/a-0-0.json"),
            ("lookalike-picture", "images/0-9/original/a-0-0.png"),
        ]
        assert names(tmp_path) == ["A-0-0", "a-0-0"]

    def test_source_pictures_whose_names_look_the_same_are_a_warning(self, tmp_path: Path) -> None:
        write_tree(tmp_path, ["caf\u00e9-0-0", "cafe\u0301-16-0", "CAF\u00c9-32-0", "cafe-0-0"], candidates=("01",))
        found = problems(tmp_path)
        assert {(problem.kind, problem.severity) for problem in found} == {("lookalike-picture", "warning")}
        assert [problem.message for problem in found] == [
            r"the source picture 'cafe\u0301' differs from 'CAF\xc9' only in case and Unicode form",
            "the source picture 'caf\u00e9' differs from 'CAF\u00c9' only in case",
        ]

    def test_an_annotation_without_pictures_is_an_error(self, tree: Path) -> None:
        shutil.copy(tree / "labels/0-9/A/a-0-0.json", tree / "labels/0-9/A/a-1-0.json")
        write_bytes(tree / "labels/9-10/A/z-0-0.json", b"{}")
        assert kinds(tree) == [
            ("annotation-without-group", "error", "labels/0-9/A/a-1-0.json"),
            ("annotation-without-group", "error", "labels/9-10/A/z-0-0.json"),
        ]

    def test_an_empty_slot_is_a_warning(self, tree: Path) -> None:
        (tree / "labels/0-9/D").mkdir()
        assert kinds(tree) == [("empty-slot", "warning", "labels/0-9/D")]

    def test_an_unreadable_folder_is_an_error(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder, scandir = tree / "labels/0-9/B", os.scandir

        def refuse(path: Path) -> Any:
            if path == folder:
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        assert kinds(tree) == [("unreadable-folder", "error", "labels/0-9/B")]


class TestLinks:
    def test_links_inside_the_tree_are_followed(self, tree: Path, tmp_path: Path) -> None:
        (tree / "images").rename(tree / "store")
        (tree / "images").symlink_to("store")
        moved = tree / "store/0-9/01/a-0-0_01.png"
        moved.rename(tree / "kept.png")
        moved.symlink_to(tree / "kept.png")
        (tmp_path / "link").symlink_to("T")
        for root in (tree, tmp_path / "link"):
            assert kinds(root) == []
            assert names(root) == list(IDS)

    @pytest.mark.parametrize(
        ("path", "group"),
        [
            ("images/0-9/01/a-0-0_01.png", "a-0-0"),
            ("labels/0-9/B/a-0-0.json", "a-0-0"),
            ("images", None),
            ("labels/0-9/B", None),
            ("Blind_LR", None),
        ],
    )
    def test_a_link_that_points_outside_the_tree_is_one_error(
        self, tree: Path, tmp_path: Path, path: str, group: str | None
    ) -> None:
        (tree / path).rename(tmp_path / "outside")
        (tree / path).symlink_to(tmp_path / "outside")
        assert kinds(tree) == [("link-leaves-tree", "error", path)]
        assert problems(tree)[0].group == group

    def test_a_broken_link_is_an_error(self, tree: Path, tmp_path: Path) -> None:
        for group, target in zip(IDS, ["a-0-0_01.png", "gone.png", str(tmp_path / "gone.png")], strict=True):
            path = tree / "images/0-9/01" / f"{group}_01.png"
            path.unlink()
            path.symlink_to(target)
        assert {problem.kind for problem in problems(tree)} == {"link-leaves-tree"}

    def test_folders_that_link_to_themselves_are_extra_files(self, tree: Path) -> None:
        for path in ("images/0-9/05", "labels/0-9/D", "images/9-10", "loop"):
            (tree / path).symlink_to(Path(path).name)
        assert [(kind, path) for kind, _, path in kinds(tree)] == [
            ("extra-file", "images/0-9/05"),
            ("extra-file", "images/9-10"),
            ("extra-file", "labels/0-9/D"),
        ]

    def test_folders_that_the_user_names_may_be_links_and_elsewhere(self, tree: Path, tmp_path: Path) -> None:
        (tree / "Blind_LR").rename(tmp_path / "LR")
        (tree / "Blind_LR").symlink_to(tmp_path / "LR")
        assert kinds(tree, tree / "Blind_LR") == []
        assert kinds(tree, tmp_path / "LR") == []
        listing = list_tree(tree, ListOptions(lr=tmp_path / "LR"))
        files = listing.files(listing.ids[0])
        assert files.relative(files.images["lr"]) == "lr/a-0-0.png"
        (tmp_path / "in").mkdir()
        for name in ("images", "labels"):
            (tmp_path / "in" / name).symlink_to(tree / name / "0-9")
        assert list_folders(tmp_path / "in" / "images", tmp_path / "in" / "labels").problems == []
