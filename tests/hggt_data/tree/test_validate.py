"""Every problem of a tree is found, alone and among others."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hggt_data.io.images import encode_png, read_pixels
from hggt_data.problems import Problem, summarise
from hggt_data.tree.aliases import find_aliases
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.validate import hash_inputs, validate_tree
from tests.hggt_data.trees import edit_text, noise, with_chunk, with_rows, write_tree

GT = "GT/Test-mini/images/"
LABELS = "GT/Test-mini/labels/"
LR = "Blind_Degradation_Benchmark_LQ/Test-mini/Blind_LR/"
GROUP = "coffee-27-433"
PICTURE = f"{GT}02/{GROUP}_02.png"
ORIGINAL = f"{GT}original/{GROUP}.png"
JSON = f"{LABELS}B/{GROUP}.json"

Change = Callable[[Path], object]


def kinds(root: Path, lr: Path | None = None, **options: Any) -> list[tuple[str, str, str]]:
    report = validate_tree(root, lr, workers=1, **options)
    return [(problem.kind, problem.severity, problem.path) for problem in report.problems]


def rewrite(change: Callable[[bytes], bytes]) -> Change:
    def apply(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return apply


def resave(change: Callable[[Image.Image], Image.Image], **options: object) -> Change:
    def apply(path: Path) -> None:
        with Image.open(path) as image:
            changed = change(image)
        changed.save(path, "PNG", **options)

    return apply


def flip_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def exif() -> Image.Exif:
    data = Image.Exif()
    data[0x8825] = {1: "N", 2: (47.0, 22.0, 0.0)}
    return data


def turn(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def link_out(path: Path) -> None:
    outside = Path(str(path).split("/Test/")[0]) / "outside"
    path.rename(outside)
    path.symlink_to(outside)


def relabel(old: str, new: str) -> Change:
    return lambda path: edit_text(path, old, new)


CROP = (0, 0, 156, 160)

# One change to one file of an intact tree, and the one problem that it causes.
FAULTS: dict[str, tuple[str, Change, str, str]] = {
    "candidate missing": (PICTURE, Path.unlink, "missing-image", "error"),
    "original missing": (ORIGINAL, Path.unlink, "missing-image", "error"),
    "lr missing": (f"{LR}{GROUP}.png", Path.unlink, "missing-image", "error"),
    "truncated": (PICTURE, rewrite(lambda data: data[:-1000]), "unreadable-image", "error"),
    "one bit flipped in lr": (f"{LR}{GROUP}.png", rewrite(flip_bit), "unreadable-image", "error"),
    "short of rows": (PICTURE, rewrite(lambda data: with_rows(data, 60)), "unreadable-image", "error"),
    "jpeg": (PICTURE, lambda path: Image.open(path).save(path, "JPEG"), "unreadable-image", "error"),
    "grey": (PICTURE, resave(lambda image: image.convert("L")), "wrong-mode", "error"),
    "lr with alpha": (f"{LR}{GROUP}.png", resave(lambda image: image.convert("RGBA")), "wrong-mode", "error"),
    "another size": (PICTURE, resave(lambda image: image.crop(CROP)), "size-mismatch", "error"),
    "lr of another size": (f"{LR}{GROUP}.png", resave(lambda i: i.crop((0, 0, 40, 39))), "wrong-lr-size", "error"),
    "annotation missing": (JSON, Path.unlink, "missing-annotation", "error"),
    "json cut": (JSON, rewrite(lambda data: data[:-5]), "broken-json", "error"),
    "unknown label": (JSON, relabel('"Positive"', '"positve"'), "unknown-label", "error"),
    "negative time": (JSON, relabel('"Total": ', '"Total": -'), "impossible-time", "warning"),
    "turned": (PICTURE, resave(Image.Image.copy, exif=turn(6)), "unportable-image", "error"),
    "turn of 1": (PICTURE, resave(Image.Image.copy, exif=turn(1)), "picture-metadata", "warning"),
    "exif": (PICTURE, resave(Image.Image.copy, exif=exif()), "picture-metadata", "warning"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_gives_one_problem(test_tree: Path, fault: str) -> None:
    path, change, kind, severity = FAULTS[fault]
    change(test_tree / path)
    assert kinds(test_tree) == [(kind, severity, path)]


def test_an_intact_tree_has_no_problem(fixtures: Path) -> None:
    for name in ("Train", "Test"):
        report = validate_tree(fixtures / name, workers=1)
        assert (report.num_groups, report.problems) == (6, ())


def test_a_folder_in_place_of_a_picture_or_annotation(test_tree: Path) -> None:
    for path in (PICTURE, JSON):
        (test_tree / path).unlink()
        (test_tree / path).mkdir()
    assert kinds(test_tree) == [
        ("unreadable-annotation", "error", JSON),
        ("unreadable-image", "error", PICTURE),
        ("extra-file", "warning", PICTURE),
        ("extra-file", "warning", JSON),
    ]


def test_a_pipe_in_place_of_a_picture_does_not_hang(test_tree: Path) -> None:
    (test_tree / PICTURE).unlink()
    os.mkfifo(test_tree / PICTURE)
    for fast in (True, False):
        assert ("unreadable-image", "error", PICTURE) in kinds(test_tree, fast=fast)


def test_a_copied_annotation_is_a_warning(test_tree: Path) -> None:
    copy = JSON.replace("/B/", "/C/")
    shutil.copyfile(test_tree / JSON, test_tree / copy)
    assert kinds(test_tree) == [("duplicate-annotation", "warning", copy)]


def test_a_missing_picture_folder_is_inferred_from_the_labels(test_tree: Path) -> None:
    shutil.rmtree(test_tree / "GT/Test-mini/images/04")
    hints = {problem.hint for problem in validate_tree(test_tree, workers=1).problems}
    assert hints == {"Is the picture folder 04/ missing? Restore it; otherwise correct the entry."}


def test_a_slot_that_is_missing_everywhere_is_not_a_problem(test_tree: Path) -> None:
    shutil.rmtree(test_tree / LABELS / "C")
    assert kinds(test_tree) == []


def test_a_slot_with_one_group_misses_all_others(test_tree: Path) -> None:
    for path in (test_tree / LABELS / "C").iterdir():
        if path.stem != GROUP:
            path.unlink()
    found = kinds(test_tree)
    assert len(found) == 5
    assert {kind for kind, *_ in found} == {"missing-annotation"}


def test_a_group_without_annotations_is_an_error(tmp_path: Path) -> None:
    write_tree(tmp_path, ["a-0-0"], slots="")
    (tmp_path / "labels").mkdir()
    assert kinds(tmp_path) == [("missing-annotation", "error", "images/0-9/original/a-0-0.png")]


@pytest.mark.parametrize("part", ["images/0-9/01", "labels/0-9/B", "Blind_LR"])
def test_files_in_another_unicode_form_are_explained(tmp_path: Path, part: str) -> None:
    write_tree(tmp_path, ["caf\u00e9-0-0", "b-0-0"], lr=True)
    (path,) = (tmp_path / part).glob("caf*")
    path.rename(path.with_name(path.name.replace("\u00e9", "e\u0301")))
    reason = r"'cafe\u0301-0-0' differs from 'caf\xe9-0-0' only in Unicode form"
    missing = [p.message for p in validate_tree(tmp_path, workers=1).problems if p.kind.startswith("missing")]
    assert any(message.endswith(f"; {reason}") for message in missing)


@pytest.mark.parametrize("same_bytes", [True, False])
def test_the_same_pixels_in_two_groups_are_a_warning_at_the_later(test_tree: Path, same_bytes: bool) -> None:
    later = f"{GT}03/rocket-214-329_03.png"
    data = (test_tree / PICTURE).read_bytes()
    (test_tree / later).write_bytes(data if same_bytes else encode_png(read_pixels(test_tree / PICTURE), 1))
    assert kinds(test_tree) == [("duplicate-picture", "warning", later)]
    assert PICTURE in validate_tree(test_tree, workers=1).problems[0].message


def test_a_picture_of_another_format_is_explained(tmp_path: Path) -> None:
    path = write_tree(tmp_path, ["a-0-0"]) / "images/0-9/original/a-0-0.png"
    path.rename(path.with_suffix(".tif"))
    found = {problem.kind: problem for problem in validate_tree(tmp_path, workers=1).problems}
    assert found.keys() == {"missing-image", "extra-file"}
    assert found["extra-file"].hint.startswith("Convert it to 8-bit RGB PNG")


def test_two_equal_groups_are_one_warning(tmp_path: Path) -> None:
    write_tree(tmp_path, ["a-0-0", "b-0-0"])
    for path in sorted(tmp_path.glob("images/0-9/*/a-0-0*")):
        path.with_name(path.name.replace("a-", "b-")).write_bytes(path.read_bytes())
    (problem,) = validate_tree(tmp_path, workers=1).problems
    same = "images/0-9/original/b-0-0.png: has the same pixels as images/0-9/original/a-0-0.png"
    assert str(problem) == f"{same}; so have 4 more pictures of groups b-0-0 and a-0-0"


def test_equal_pictures_inside_groups_are_a_warning_for_each_folder(test_tree: Path) -> None:
    for path in (test_tree / GT / "02").iterdir():  # a copy, encoded otherwise
        (test_tree / GT / "03" / path.name.replace("_02", "_03")).write_bytes(encode_png(read_pixels(path), 1))
    shutil.copy(test_tree / ORIGINAL, test_tree / f"{GT}01/{GROUP}_01.png")
    found = validate_tree(test_tree, workers=1).problems
    assert [(problem.kind, problem.severity, str(problem)) for problem in found] == [
        (
            "equal-pictures",
            "warning",
            f"{GT}01: 1 picture has the same pixels as in original/ (first: {GROUP}_01.png)",
        ),
        (
            "equal-pictures",
            "warning",
            f"{GT}03: 6 pictures have the same pixels as in 02/ (first: astronaut-231-286_03.png)",
        ),
    ]


def test_pictures_of_a_single_colour_are_equal_inside_a_group_only(tmp_path: Path) -> None:
    write_tree(tmp_path, ["a-0-0", "b-0-0"], candidates=("01", "02"))
    for name in ("a-0-0_01", "b-0-0_01", "b-0-0_02"):
        path = tmp_path / f"images/0-9/{name[-2:]}/{name}.png"
        path.write_bytes(encode_png(np.full(read_pixels(path).shape, 9, np.uint8)))
    found = validate_tree(tmp_path, workers=1).problems
    assert [(one.kind, one.path) for one in found] == [("equal-pictures", "images/0-9/02")]
    assert find_aliases(list_tree(tmp_path)) == []


def test_pictures_of_one_colour_but_other_shapes_are_no_duplicates(tmp_path: Path) -> None:
    write_tree(tmp_path, ["a-0-0", "b-0-0"], candidates=("01",))
    for name, size in (("a", (8, 32)), ("b", (32, 8))):
        for end in ("original/{}-0-0.png", "01/{}-0-0_01.png"):
            pixels = np.full((*size, 3), 7 if "orig" in end else 9, np.uint8)
            (tmp_path / "images/0-9" / end.format(name)).write_bytes(encode_png(pixels))
    assert kinds(tmp_path) == []


def test_all_problems_are_found_in_one_run(test_tree: Path) -> None:
    (test_tree / PICTURE).unlink()
    (test_tree / JSON).write_bytes(b"{")
    (test_tree / LR / "rocket-214-329.png").write_bytes(encode_png(noise((8, 8), "lr")))
    (test_tree / GT / "01/chelsea-22-159_01.png").write_bytes(b"")
    edit_text(test_tree / LABELS / "A/chelsea-22-159.json", '"Total": ', '"Total": -')
    (test_tree / GT / "original/not-a-name.png").write_bytes(b"x")
    (test_tree / GT / "01/notes.txt").write_bytes(b"x")
    report = validate_tree(test_tree, workers=1)
    assert [(problem.kind, problem.severity, problem.path) for problem in report.problems] == [
        ("bad-patch-id", "error", f"{GT}original/not-a-name.png"),
        ("broken-json", "error", JSON),
        ("missing-image", "error", PICTURE),
        ("unreadable-image", "error", f"{GT}01/chelsea-22-159_01.png"),
        ("wrong-lr-size", "error", f"{LR}rocket-214-329.png"),
        ("extra-file", "warning", f"{GT}01/notes.txt"),
        ("impossible-time", "warning", f"{LABELS}A/chelsea-22-159.json"),
    ]
    for problem in report.problems:  # each says what is wrong and what to do
        assert problem.message
        assert problem.hint.endswith((".", "?"))
        assert str(test_tree) not in problem.message


def test_a_folder_that_is_not_a_tree_is_one_problem(tmp_path: Path) -> None:
    report = validate_tree(tmp_path, workers=1)
    assert report.num_groups == 0
    assert [(p.kind, p.severity, p.path) for p in report.problems] == [("no-tree", "error", ".")]
    assert "The layout hggt needs images/ in it" in report.problems[0].message


@pytest.mark.parametrize(("expected", "found"), [(6, []), (7, ["wrong-count"])])
def test_the_number_of_groups_can_be_checked(fixtures: Path, expected: int, found: list[str]) -> None:
    assert [kind for kind, *_ in kinds(fixtures / "Train", expect_groups=expected)] == found


def test_a_tree_without_groups_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "images" / "original").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    assert kinds(tmp_path) == [("no-tree", "error", ".")]
    (tmp_path / "images" / "01").mkdir()
    assert kinds(tmp_path) == [("wrong-count", "error", ".")]


class TestLr:
    def test_lr_is_optional(self, test_tree: Path) -> None:
        shutil.rmtree(test_tree / "Blind_Degradation_Benchmark_LQ")
        assert kinds(test_tree) == []

    def test_a_given_folder_is_checked(self, fixtures: Path) -> None:
        root = fixtures / "TestLarge"
        assert kinds(root) == []
        assert kinds(root, root / "LR") == []
        wrong = fixtures / "TestLarge" / "restored" / "bicubic"
        assert "missing-image" in {kind for kind, *_ in kinds(root, wrong)}

    def test_another_scale_is_another_size(self, test_tree: Path) -> None:
        found = kinds(test_tree, scale=2)
        assert [kind for kind, *_ in found] == ["wrong-lr-size"] * 6

    @pytest.mark.parametrize(("size", "found"), [((2, 4), []), ((4, 2), ["wrong-lr-size"])])
    def test_height_and_width_are_not_swapped(self, tmp_path: Path, size: tuple[int, int], found: list[str]) -> None:
        write_tree(tmp_path, ["a-0-0"], size=(8, 16), lr=True)
        (tmp_path / "Blind_LR/a-0-0.png").write_bytes(encode_png(noise(size, "lr")))
        assert [kind for kind, *_ in kinds(tmp_path)] == found

    def test_a_size_that_is_not_divisible_by_the_scale(self, tmp_path: Path) -> None:
        write_tree(tmp_path, ["a-0-0"], size=(18, 16), lr=True)
        assert kinds(tmp_path) == [("wrong-lr-size", "error", "Blind_LR/a-0-0.png")]
        assert "expected 4.5 x 4, 1/4" in validate_tree(tmp_path, workers=1).problems[0].message


class TestFast:
    @pytest.mark.parametrize("fault", ["truncated", "short of rows", "exif"])
    def test_damage_and_metadata_are_not_detected(self, test_tree: Path, fault: str) -> None:
        path, change, *_ = FAULTS[fault]
        change(test_tree / path)
        assert kinds(test_tree, fast=True) == []

    @pytest.mark.parametrize("fault", ["grey", "another size", "jpeg", "candidate missing", "json cut"])
    def test_errors_of_headers_and_labels_are_detected(self, test_tree: Path, fault: str) -> None:
        path, change, kind, severity = FAULTS[fault]
        change(test_tree / path)
        assert kinds(test_tree, fast=True) == [(kind, severity, path)]

    def test_no_picture_is_read_beyond_its_header(self, test_tree: Path) -> None:
        for path in test_tree.rglob("*.png"):
            path.write_bytes(path.read_bytes()[:33])
        assert kinds(test_tree, fast=True) == []


def test_several_workers_report_the_same(tmp_path: Path) -> None:
    ids = [f"p{k}-{16 * k}-0" for k in range(40)]  # more than two tasks
    write_tree(tmp_path, ids, candidates=("01", "02"), size=(8, 8), level="")
    images, labels = tmp_path / "images", tmp_path / "labels"
    (images / "01" / f"{ids[3]}_01.png").unlink()
    (images / "02" / f"{ids[20]}_02.png").write_bytes(b"")
    shutil.copy(images / "02" / f"{ids[1]}_02.png", images / "02" / f"{ids[39]}_02.png")
    (labels / "B" / f"{ids[30]}.json").write_bytes(b"{")
    alone = validate_tree(tmp_path, workers=1)
    assert len(alone.problems) == 4
    assert validate_tree(tmp_path, workers=2) == alone


def test_links_that_point_outside_the_tree_are_not_followed(test_tree: Path, tmp_path: Path) -> None:
    link_out(test_tree / PICTURE)
    (tmp_path / "outside").write_bytes(b"broken")
    assert kinds(test_tree) == [("link-leaves-tree", "error", PICTURE)]
    listing = list_tree(test_tree)
    files = next(files for files in listing if str(files.id) == GROUP)
    assert hash_inputs(files) == []


def test_the_json_report(test_tree: Path) -> None:
    (test_tree / PICTURE).unlink()
    edit_text(test_tree / JSON, '"Total": ', '"Total": -')
    content = validate_tree(test_tree, workers=1).to_json()
    assert list(content) == ["layout", "num_groups", "problems"]
    assert content["num_groups"] == 6
    problems = content["problems"]
    assert isinstance(problems, list)
    assert [list(problem) for problem in problems] == [["kind", "severity", "path", "message", "hint"]] * 2
    assert [problem["severity"] for problem in problems] == ["error", "warning"]
    assert problems[0]["path"] == PICTURE
    json.dumps(content)


def test_the_summary_groups_by_kind_with_counts_and_first_examples() -> None:
    problems = [Problem("missing-image", "error", f"{k}.png", "is missing", "Restore it.") for k in range(1234)]
    problems.append(Problem("extra-file", "warning", "x", "is extra", "Remove it."))
    assert summarise(problems).splitlines() == [
        "error: missing-image (1,234)",
        *(f"  {k}.png: is missing" for k in range(3)),
        "  ... and 1,231 more",
        "  -> Restore it.",
        "warning: extra-file (1)",
        "  x: is extra",
        "  -> Remove it.",
    ]


def test_harmless_metadata_is_not_a_problem(test_tree: Path) -> None:
    path = test_tree / PICTURE
    path.write_bytes(with_chunk(path.read_bytes(), b"tEXt", b"Software\0gimp"))
    assert kinds(test_tree) == []
