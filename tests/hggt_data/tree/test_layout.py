"""Finding the folders of a tree, and what its names say."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hggt_data.errors import HggtError, TreeError
from hggt_data.problems import Problem
from hggt_data.schema import PatchId
from hggt_data.tree.annotators import read_annotators
from hggt_data.tree.layout import Section, official_test, official_train, open_tree, tree_of_folders
from hggt_data.tree.listing import Listing
from tests.hggt_data.trees import contents, write_bytes, write_tree

IDS = ("a-0-0", "a-16-0", "b-0-32")


def names(root: Path, lr: Path | None = None) -> list[str]:
    return [str(group_id) for group_id in Listing(open_tree(root, lr)).ids]


def problems(root: Path, lr: Path | None = None) -> list[Problem]:
    return Listing(open_tree(root, lr)).problems


def kinds(root: Path, lr: Path | None = None) -> list[tuple[str, str, str]]:
    return sorted((problem.kind, problem.severity, problem.path) for problem in problems(root, lr))


def test_the_official_train_tree_is_found(train_tree: Path) -> None:
    tree = open_tree(train_tree)
    assert [section.images for section in tree.sections] == [train_tree / "images" / "0-6"]
    assert tree.candidates == ("01", "02", "03", "04")
    assert tree.lr_folders == ()
    assert names(train_tree) == [
        "astronaut-165-77",
        "astronaut-322-321",
        "chelsea-80-174",
        "coffee-96-190",
        "coffee-153-268",
        "rocket-197-355",
    ]


def test_the_official_test_tree_is_found_with_its_lr(test_tree: Path) -> None:
    listing = Listing(open_tree(test_tree))
    assert listing.problems == []
    files = listing.files(PatchId("chelsea", 22, 159))
    assert files.candidates == ("01", "02", "03", "04")
    assert [files.relative(path) for path in (*files.images.values(), *files.annotations.values())] == [
        "GT/Test-mini/images/original/chelsea-22-159.png",
        *(f"GT/Test-mini/images/0{k}/chelsea-22-159_0{k}.png" for k in (1, 2, 3, 4)),
        "Blind_Degradation_Benchmark_LQ/Test-mini/Blind_LR/chelsea-22-159.png",
        *(f"GT/Test-mini/labels/{slot}/chelsea-22-159.json" for slot in "ABC"),
    ]
    assert all(path.is_file() for path in (*files.images.values(), *files.annotations.values()))


def test_a_part_of_the_test_tree_is_a_tree_too(test_tree: Path) -> None:
    assert len(names(test_tree / "GT" / "Test-mini")) == 6


def test_gt_may_hold_images_and_labels_directly(fixtures: Path) -> None:
    root = fixtures / "TestLarge"
    assert names(root) == ["coffee-0-120"]
    assert open_tree(root).lr_folders == ()  # its LR lies elsewhere than in the official tree
    assert open_tree(root, root / "LR").lr_folders == (root / "LR",)


def test_a_folder_without_a_range_level_is_a_tree(tmp_path: Path) -> None:
    assert names(write_tree(tmp_path, IDS, level="")) == list(IDS)
    assert kinds(tmp_path) == []


def test_several_range_levels_side_by_side_are_one_tree(tmp_path: Path) -> None:
    write_tree(tmp_path, IDS[:2], level="0-2")
    write_tree(tmp_path, IDS[2:], level="2-3")
    assert names(tmp_path) == list(IDS)
    assert kinds(tmp_path) == []


def test_a_slot_of_one_level_is_expected_in_all(tmp_path: Path) -> None:
    write_tree(tmp_path, IDS[:2], level="0-2")
    write_tree(tmp_path, IDS[2:], level="2-3", slots="AB")
    listing = Listing(open_tree(tmp_path))
    assert listing.slots == ("A", "B", "C")
    assert [list(files.annotations) for files in listing] == [["A", "B", "C"]] * 3


def test_an_empty_slot_is_warned_of(tmp_path: Path) -> None:
    (write_tree(tmp_path, IDS) / "labels/0-9/D").mkdir()
    assert kinds(tmp_path) == [("empty-slot", "warning", "labels/0-9/D")]
    assert Listing(open_tree(tmp_path)).slots == ("A", "B", "C")


def test_folders_whose_names_differ_only_in_case_are_warned_of(tmp_path: Path) -> None:
    shutil.copytree(write_tree(tmp_path, IDS) / "labels/0-9/A", tmp_path / "labels/0-9/a")
    assert ("case-clash", "warning", "labels/0-9/a") in kinds(tmp_path)


def test_a_tree_without_candidates_is_none(tmp_path: Path) -> None:
    write_tree(tmp_path, IDS)
    for folder in (tmp_path / "images/0-9").iterdir():
        if folder.name != "original":
            shutil.rmtree(folder)
    with pytest.raises(TreeError, match="has no candidates; expected folders 01/"):
        open_tree(tmp_path)


def test_an_unreadable_folder_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tree(tmp_path, IDS) / "labels/0-9/B"
    scandir = os.scandir

    def guarded(path: Path) -> Any:
        if path == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("hggt_data.tree.layout.os.scandir", guarded)
    assert kinds(tmp_path) == [("unreadable-folder", "error", "labels/0-9/B")]


def test_a_group_in_two_levels_is_an_error(tmp_path: Path) -> None:
    write_tree(tmp_path, IDS, level="0-3")
    write_tree(tmp_path, IDS[1:2], level="3-4")
    assert kinds(tmp_path) == [("duplicate-group", "error", "images/3-4")]
    assert "group a-16-0 is also in images/0-3" in problems(tmp_path)[0].message


def test_the_order_is_that_of_the_ids_whatever_the_listing_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path, ("b-0-0", "a-10-0", "a-9-0", "a-1-5-5"))
    before = (names(tmp_path), kinds(tmp_path))
    listed = os.scandir

    class Backwards:
        def __init__(self, path: Path) -> None:
            with listed(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("hggt_data.tree.layout.os.scandir", Backwards)
    assert (names(tmp_path), kinds(tmp_path)) == before
    assert before[0] == ["a-9-0", "a-10-0", "a-1-5-5", "b-0-0"]


@pytest.mark.parametrize(("count", "slots"), [(1, "A"), (2, "AB"), (5, "ABCDE"), (12, "A")])
def test_any_number_of_candidates_and_annotators(tmp_path: Path, count: int, slots: str) -> None:
    candidates = tuple(f"{k:02}" for k in range(1, count + 1))
    write_tree(tmp_path, IDS, candidates=candidates, slots=slots)
    listing = Listing(open_tree(tmp_path))
    assert listing.tree.candidates == candidates
    assert listing.problems == []
    assert list(listing.files(listing.ids[0]).annotations) == list(slots)


def test_a_level_may_be_called_by_digits_only(tmp_path: Path) -> None:
    assert names(write_tree(tmp_path, IDS, level="2023")) == list(IDS)
    assert kinds(tmp_path) == []


def test_pictures_without_originals_are_a_tree_all_the_same(tmp_path: Path) -> None:
    shutil.rmtree(write_tree(tmp_path, IDS) / "images/0-9/original")
    assert names(tmp_path) == list(IDS)


@pytest.mark.parametrize(("gone", "left"), [("labels", "images"), ("images", "labels")])
def test_a_part_of_a_test_tree_with_one_of_its_two_folders_is_an_error(tmp_path: Path, gone: str, left: str) -> None:
    for name in ("one", "two"):
        write_tree(tmp_path / "GT" / name, [f"{name}-0-0"], level="")
    shutil.rmtree(tmp_path / "GT/one" / gone)
    (problem,) = problems(tmp_path)
    assert (problem.kind, problem.severity, problem.path) == ("incomplete-part", "error", "GT/one")
    assert f"contains {left}/ but no {gone}/" in problem.message
    shutil.rmtree(tmp_path / "GT/two")
    with pytest.raises(TreeError, match=f"GT/one contains {left}/ but no {gone}/"):
        open_tree(tmp_path)


class TestNothingFits:
    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TreeError, match=r"absent: no such folder"):
            open_tree(tmp_path / "absent")

    def test_an_empty_folder_lists_what_was_looked_for(self, tmp_path: Path) -> None:
        with pytest.raises(TreeError) as error:
            open_tree(tmp_path)
        message = str(error.value)
        for part in ("images/ and labels/", "GT/*/", "original/, 01/", "0-20193/", "found nothing"):
            assert part in message

    def test_the_folder_above_train_and_test_points_at_them(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "Train", IDS)
        (tmp_path / "Test").mkdir()
        with pytest.raises(TreeError, match=f"Pass {tmp_path / 'Train'} or {tmp_path / 'Test'} instead"):
            open_tree(tmp_path)

    def test_images_without_labels_is_no_tree_and_says_what_is_there(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        shutil.rmtree(tmp_path / "labels")
        with pytest.raises(TreeError, match="found images/"):
            open_tree(tmp_path)

    def test_a_long_folder_is_shown_in_part(self, tmp_path: Path) -> None:
        for k in range(30):
            (tmp_path / f"{k:02}.txt").touch()
        with pytest.raises(TreeError, match="and 22 more"):
            open_tree(tmp_path)


class TestLr:
    def test_a_tree_without_lr_has_none(self, tmp_path: Path) -> None:
        listing = Listing(open_tree(write_tree(tmp_path, IDS)))
        assert "lr" not in listing.files(listing.ids[0]).images
        assert listing.problems == []

    def test_lr_may_lie_anywhere_when_it_is_given(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "T", IDS, lr=True)
        (tmp_path / "T" / "Blind_LR").rename(tmp_path / "elsewhere")
        assert kinds(tmp_path / "T", tmp_path / "elsewhere") == []
        listing = Listing(open_tree(tmp_path / "T", tmp_path / "elsewhere"))
        files = listing.files(listing.ids[0])
        assert files.relative(files.images["lr"]) == "lr/a-0-0.png"

    def test_a_given_folder_that_is_absent_is_named(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        with pytest.raises(TreeError, match="nowhere: no such folder; expected low-resolution pictures"):
            open_tree(tmp_path, tmp_path / "nowhere")

    def test_the_folder_of_the_same_test_set_is_chosen(self, test_tree: Path) -> None:
        other = test_tree / "Blind_Degradation_Benchmark_LQ" / "Test-other" / "Blind_LR"
        other.mkdir(parents=True)
        (found,) = open_tree(test_tree).lr_folders
        assert found.parent.name == "Test-mini"

    def test_levels_may_share_a_folder(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS[:2], level="0-2", lr=True)
        write_tree(tmp_path, IDS[2:], level="2-3", lr=True)
        (tmp_path / "Blind_LR/z-0-0.png").touch()
        assert kinds(tmp_path) == [("extra-file", "warning", "Blind_LR/z-0-0.png")]

    def test_the_folder_of_another_test_set_is_not_taken(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            write_tree(tmp_path / "GT" / name, [f"{name}-0-0"], level="")
        write_bytes(tmp_path / "LQ/one/Blind_LR/one-0-0.png", b"x")
        assert kinds(tmp_path) == []
        assert [section.lr for section in open_tree(tmp_path).sections] == [tmp_path / "LQ/one/Blind_LR", None]
        shutil.rmtree(tmp_path / "GT/one/labels")
        assert open_tree(tmp_path).lr_folders == ()

    def test_two_folders_that_fit_are_refused_with_the_way_out(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        for name in ("x", "y"):
            (tmp_path / name / "Blind_LR").mkdir(parents=True)
        with pytest.raises(TreeError, match=r"several folders .* pass one of them as `lr`"):
            open_tree(tmp_path)
        assert open_tree(tmp_path, tmp_path / "y" / "Blind_LR").lr_folders == (tmp_path / "y" / "Blind_LR",)

    def test_an_lr_picture_without_a_group_is_an_extra_file(self, test_tree: Path) -> None:
        folder = test_tree / "Blind_Degradation_Benchmark_LQ" / "Test-mini" / "Blind_LR"
        shutil.copy(folder / "chelsea-22-159.png", folder / "chelsea-22-160.png")
        path = "Blind_Degradation_Benchmark_LQ/Test-mini/Blind_LR/chelsea-22-160.png"
        assert kinds(test_tree) == [("extra-file", "warning", path)]


class TestNames:
    @pytest.mark.parametrize("name", ["a_0_0.png", "-0-0.png", "a-00-0.png", "a-0.png", ".png"])
    def test_a_name_that_is_no_patch_id_is_an_error(self, tmp_path: Path, name: str) -> None:
        write_tree(tmp_path, IDS)
        (tmp_path / "images" / "0-9" / "original" / name).write_bytes(b"x")
        assert kinds(tmp_path) == [("bad-patch-id", "error", f"images/0-9/original/{name}")]

    def test_a_name_that_is_no_text_is_an_error_that_can_be_printed(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        folder = os.fsencode(tmp_path / "images" / "0-9" / "original")
        with open(folder + b"/caf\xe9-0-0.png", "wb"):
            pass
        (problem,) = problems(tmp_path)
        assert problem.kind == "bad-patch-id"
        assert problem.path.encode("utf-8").endswith(b"caf\\udce9-0-0.png")

    def test_names_of_all_kinds_that_are_no_text_can_be_printed(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        for path in ("images/0-9/\udcffA", "images/0-9/\udcffa", "labels/\udcff", "labels/0-9/\udcff.txt"):
            (tmp_path / path).mkdir()
        found = problems(tmp_path)
        assert len(found) == 5
        for problem in found:
            f"{problem}{problem.hint}".encode()

    @pytest.mark.parametrize("path", ["labels/0-9/\udcff", "images/\udcff", "GT/\udcff"])
    def test_a_folder_whose_name_is_no_text_is_an_error(self, tmp_path: Path, path: str) -> None:
        write_tree(tmp_path, IDS)
        if path.startswith("labels"):
            shutil.copytree(tmp_path / "labels/0-9/C", tmp_path / path)
        elif path.startswith("GT"):
            write_tree(tmp_path / path, ["z-0-0"])
        else:
            write_tree(tmp_path, ["z-0-0"], level="\udcff")
        assert ("bad-folder-name", "error", path.replace("\udcff", "\\udcff")) in kinds(tmp_path)
        assert Listing(open_tree(tmp_path)).slots == ("A", "B", "C")

    def test_a_hidden_folder_is_no_slot(self, tmp_path: Path) -> None:
        shutil.copytree(write_tree(tmp_path, IDS) / "labels/0-9/A", tmp_path / "labels/0-9/.ipynb_checkpoints")
        (problem,) = problems(tmp_path)
        assert (problem.kind, problem.path) == ("extra-file", "labels/0-9/.ipynb_checkpoints")
        assert problem.message == "expected only A, B, C"

    @pytest.mark.parametrize(
        "path",
        [
            "images/0-9/original/notes.txt",
            "images/0-9/original/sub/a-0-0.png",
            "images/0-9/01/a-0-0.jpg",
            "images/0-9/01/a-0-0.png",  # a candidate's name ends in _01
            "images/0-9/05-bad/a.png",
            "images/0-9/notes.txt",
            "images/notes.txt",
            "labels/0-9/notes.txt",
            "labels/0-9/A/a-0-0.txt",
            "labels/notes.txt",
        ],
    )
    def test_an_extra_file_or_folder_is_a_warning(self, tmp_path: Path, path: str) -> None:
        write_tree(tmp_path, IDS)
        write_bytes(tmp_path / path, b"x")
        place = path.replace("/sub/a-0-0.png", "/sub").replace("/05-bad/a.png", "/05-bad")
        assert kinds(tmp_path) == [("extra-file", "warning", place)]
        assert names(tmp_path) == list(IDS)

    @pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._a-0-0.png"])
    def test_files_of_the_system_are_ignored_everywhere(self, tmp_path: Path, name: str) -> None:
        write_tree(tmp_path, IDS, lr=True)
        before = contents(tmp_path)
        for folder in [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]:
            (folder / name).write_bytes(b"x")
        assert kinds(tmp_path) == []
        assert names(tmp_path) == list(IDS)
        assert len(contents(tmp_path)) > len(before)

    def test_names_that_differ_only_in_case_are_a_warning(self, tmp_path: Path) -> None:
        write_tree(tmp_path, ["a-0-0", "A-0-0"], candidates=("01",), slots="A")
        assert kinds(tmp_path) == [
            ("case-clash", "warning", "images/0-9/01/a-0-0_01.png"),
            ("case-clash", "warning", "images/0-9/original/a-0-0.png"),
            ("case-clash", "warning", "labels/0-9/A/a-0-0.json"),
        ]
        assert names(tmp_path) == ["A-0-0", "a-0-0"]

    def test_an_annotation_without_a_group_is_an_error(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        shutil.copy(tmp_path / "labels/0-9/A/a-0-0.json", tmp_path / "labels/0-9/A/a-1-0.json")
        assert kinds(tmp_path) == [("annotation-without-group", "error", "labels/0-9/A/a-1-0.json")]

    def test_a_level_of_labels_without_pictures_is_not_passed_over(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        write_tree(tmp_path / "other", ["z-0-0"], level="9-10", slots="A")
        shutil.copytree(tmp_path / "other" / "labels" / "9-10", tmp_path / "labels" / "9-10")
        assert kinds(tmp_path) == [("annotation-without-group", "error", "labels/9-10/A/z-0-0.json")]

    def test_a_group_known_only_by_a_candidate_is_a_group(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        (tmp_path / "images/0-9/original/a-0-0.png").unlink()
        assert names(tmp_path) == list(IDS)


class TestLinks:
    def test_links_inside_the_tree_are_followed(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        (tmp_path / "images").rename(tmp_path / "store")
        (tmp_path / "images").symlink_to("store")
        moved = tmp_path / "store/0-9/01/a-0-0_01.png"
        moved.rename(tmp_path / "kept.png")
        moved.symlink_to(tmp_path / "kept.png")
        assert kinds(tmp_path) == []
        assert names(tmp_path) == list(IDS)

    @pytest.mark.parametrize("path", ["images/0-9/01/a-0-0_01.png", "labels/0-9/B/a-0-0.json"])
    def test_a_file_that_is_a_link_out_of_the_tree_is_an_error_of_its_group(self, tmp_path: Path, path: str) -> None:
        root = write_tree(tmp_path / "T", IDS)
        (root / path).rename(tmp_path / "outside")
        (root / path).symlink_to(tmp_path / "outside")
        assert kinds(root) == [("link-leaves-tree", "error", path)]
        assert problems(root)[0].group == "a-0-0"

    @pytest.mark.parametrize(
        "path", ["images", "labels", "images/0-9", "labels/0-9", "images/0-9/01", "images/0-9/original", "labels/0-9/B"]
    )
    def test_a_folder_that_is_a_link_out_of_the_tree_is_one_error(self, tmp_path: Path, path: str) -> None:
        root = write_tree(tmp_path / "T", IDS)
        (root / path).rename(tmp_path / "outside")
        (root / path).symlink_to(tmp_path / "outside")
        assert kinds(root) == [("link-leaves-tree", "error", path)]

    def test_the_tree_itself_may_be_a_link(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "T", IDS)
        (tmp_path / "link").symlink_to("T")
        assert kinds(tmp_path / "link") == []

    def test_a_link_to_nothing_or_to_itself_is_reported(self, tmp_path: Path) -> None:
        root = write_tree(tmp_path / "T", IDS)
        for number, target in enumerate(["a-0-0_01.png", "gone.png", str(tmp_path / "gone.png")]):
            path = root / "images/0-9/01" / f"{IDS[number]}_01.png"
            path.unlink()
            path.symlink_to(target)
        assert {problem.kind for problem in problems(root)} == {"link-leaves-tree"}

    def test_an_lr_folder_that_leads_out_of_the_tree_unasked_is_one_error(self, tmp_path: Path) -> None:
        root = write_tree(tmp_path / "T", IDS, lr=True)
        (root / "Blind_LR").rename(tmp_path / "LR")
        (root / "Blind_LR").symlink_to(tmp_path / "LR")
        assert kinds(root) == [("link-leaves-tree", "error", "Blind_LR")]
        assert kinds(root, root / "Blind_LR") == []  # named by the user

    def test_given_folders_of_pictures_and_labels_may_be_links(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "T", IDS, level="")
        (tmp_path / "in").mkdir()
        for name in ("images", "labels"):
            (tmp_path / "in" / name).symlink_to(tmp_path / "T" / name)
        assert Listing(tree_of_folders(tmp_path / "in" / "images", tmp_path / "in" / "labels")).problems == []

    def test_folders_that_link_to_themselves_hold_nothing(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        for path in ("images/0-9/05", "labels/0-9/D", "images/9-10", "loop"):
            (tmp_path / path).symlink_to(Path(path).name)
        assert kinds(tmp_path) == [
            ("extra-file", "warning", "images/0-9/05"),
            ("extra-file", "warning", "images/9-10"),
            ("extra-file", "warning", "labels/0-9/D"),
        ]

    def test_a_given_lr_folder_outside_is_no_fault(self, tmp_path: Path) -> None:
        root = write_tree(tmp_path / "T", IDS, lr=True)
        (root / "Blind_LR").rename(tmp_path / "LR")
        kept = tmp_path / "LR" / "a-0-0.png"
        kept.rename(tmp_path / "LR" / "kept.dat")
        kept.symlink_to("kept.dat")
        assert [kind for kind, *_ in kinds(root, tmp_path / "LR")] == ["extra-file"]  # kept.dat


class TestAnnotators:
    def test_a_slot_with_two_lines_is_an_error(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        (tmp_path / "annotators.csv").write_text(f"group,slot,pseudonym\n{IDS[0]},A,owl\n{IDS[0]},A,fox\n")
        with pytest.raises(TreeError, match=f"group {IDS[0]}, slot A is listed twice"):
            read_annotators(tmp_path)

    def test_a_faulty_file_does_not_hide_other_faults(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        (tmp_path / "annotators.csv").write_text("group,slot\n")
        (tmp_path / "images/0-9/01/notes.txt").touch()
        assert kinds(tmp_path) == [
            ("bad-annotators", "error", "annotators.csv"),
            ("extra-file", "warning", "images/0-9/01/notes.txt"),
        ]

    def test_an_empty_pseudonym_is_nobody_and_an_unknown_group_is_warned_of(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        (tmp_path / "annotators.csv").write_text(f"group,slot,pseudonym\n{IDS[0]},A,\nz-1-1,A,fox\n")
        assert kinds(tmp_path) == [("unknown-annotation", "warning", "annotators.csv")]
        assert next(iter(Listing(open_tree(tmp_path)))).annotators == {}

    def test_a_link_out_of_the_tree_is_not_followed(self, tmp_path: Path) -> None:
        root = write_tree(tmp_path / "T", IDS)
        (tmp_path / "names.csv").write_text(f"group,slot,pseudonym\n{IDS[0]},A,owl\n")
        (root / "annotators.csv").symlink_to(tmp_path / "names.csv")
        assert kinds(root) == [("link-leaves-tree", "error", "annotators.csv")]
        assert next(iter(Listing(open_tree(root)))).annotators == {}

    def test_the_file_tells_who_is_behind_a_slot(self, tmp_path: Path) -> None:
        write_tree(tmp_path, IDS)
        (tmp_path / "annotators.csv").write_text(
            "\ufeffgroup,slot,pseudonym\na-0-0,A,owl\na-0-0,C,fox\nb-0-32,A,hen\n", "utf-8"
        )
        listing = Listing(open_tree(tmp_path))
        assert [dict(files.annotators) for files in listing] == [{"A": "owl", "C": "fox"}, {}, {"A": "hen"}]
        assert listing.problems == []

    def test_a_tree_without_the_file_does_not_know(self, tmp_path: Path) -> None:
        assert read_annotators(tmp_path) == {}

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"group,slot\na-0-0,A\n", "columns pseudonym are missing"),
            (b"", "columns group, pseudonym, slot are missing"),
            (b"group,slot,pseudonym\na-0-0,A,\xff\n", "not UTF-8"),
            (b"group,slot,pseudonym\na-0-0,A\n", "line 2"),
        ],
    )
    def test_a_file_in_another_form_is_refused(self, tmp_path: Path, data: bytes, message: str) -> None:
        (tmp_path / "annotators.csv").write_bytes(data)
        with pytest.raises(HggtError, match=message):
            read_annotators(tmp_path)


class TestTwoFolders:
    def test_pictures_and_labels_may_be_given_one_by_one(self, test_tree: Path) -> None:
        home = test_tree / "GT" / "Test-mini"
        tree = tree_of_folders(home / "images", home / "labels")
        assert tree.candidates == ("01", "02", "03", "04")
        assert len(Listing(tree)) == 6

    def test_the_wrong_folder_is_named(self, test_tree: Path) -> None:
        home = test_tree / "GT" / "Test-mini"
        with pytest.raises(TreeError, match="expected a folder that contains original/"):
            tree_of_folders(home, home / "labels")
        with pytest.raises(TreeError, match="expected one that contains A/, B/, C/"):
            tree_of_folders(home / "images", home / "absent")


@pytest.mark.parametrize("official", [official_train, official_test])
def test_the_official_layout_is_found_again(tmp_path: Path, official: Callable[[Path, int], Section]) -> None:
    section, group_id = official(tmp_path, 1), PatchId("a", 0, 0)
    for name in ("original", "01", "lr"):
        write_bytes(section.picture(group_id, name), b"")
    write_bytes(section.annotation(group_id, "A"), b"")
    tree = open_tree(tmp_path)
    assert tree.sections == (section,)
    assert Listing(tree).problems == []


def test_what_degrade_leaves_beside_lr_is_no_stranger(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "T", ["a-0-0"], lr=True)
    write_bytes(tree / "Blind_LR/degrade.json", b"{}")
    write_bytes(tree / "Blind_LR/other.json", b"{}")
    write_bytes(tree / "images/0-9/01/degrade.json", b"{}")
    strangers = [problem.path for problem in Listing(open_tree(tree)).problems]
    assert strangers == ["images/0-9/01/degrade.json", "Blind_LR/other.json"]
