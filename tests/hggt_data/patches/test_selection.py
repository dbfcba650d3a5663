"""Patch groups cut from enhanced pictures: files and lists, refused input, and that an interrupted run resumes."""

import csv
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from hggt_data.cli.main import main
from hggt_data.errors import OutputError, TreeError
from hggt_data.io.images import encode_png, parse_png, read_pixels, write_png
from hggt_data.patches.enhanced_pictures import list_enhanced
from hggt_data.patches.grid import PatchSettings, seeded_draw, select_patches
from hggt_data.patches.selection import SelectionOutcome, cut_patches
from hggt_data.schema import PatchId
from hggt_data.tree.validate import validate_tree
from tests.full_disk import FullDisk
from tests.hggt_data.kills import FORKED, die_at_rename
from tests.hggt_data.trees import contents, noise, with_chunk, write_annotation, write_bytes

SMALL = PatchSettings(crop=24, step=34)
TWO = ("01", "02")
FORKED.set_forkserver_preload(["hggt_data.patches.selection", "tqdm", __name__])


def picture_file(folder: Path, name: str, version: str) -> Path:
    return folder / version / (f"{name}.png" if version == "original" else f"{name}_{version}.png")


def add_picture(
    folder: Path, name: str, size: tuple[int, int], candidates: Sequence[str] = TWO, seed: str = ""
) -> None:
    for version in ("original", *candidates):
        path = picture_file(folder, name, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = noise(size, f"{name} {version} {seed}")[..., :1]
        write_png(path, np.repeat(grey, 3, axis=2))


def write_enhanced(folder: Path, candidates: Sequence[str] = TWO, **sizes: tuple[int, int]) -> Path:
    for name, size in sizes.items():
        add_picture(folder, name, size, candidates)
    return folder


def write_turned(folder: Path, orientation: int, size: tuple[int, int], *, upright: bool) -> Path:
    """One picture whose original has an EXIF orientation, which its enhancers applied (`upright`) or ignored."""
    add_picture(folder, "a", size)
    original = picture_file(folder, "a", "original")
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(original) as image:
        image.load()
    image.save(original, exif=exif)
    with Image.open(original) as image:
        enhanced = np.asarray(ImageOps.exif_transpose(image) if upright else image)
    for version in TWO:
        write_png(picture_file(folder, "a", version), enhanced // 8 * 8)
    return folder


def select(folder: Path, output: Path, settings: PatchSettings = SMALL, workers: int = 1) -> SelectionOutcome:
    return cut_patches(folder, output, settings, workers=workers)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["select-patches", *map(str, arguments)])


def run_small(folder: Path, output: Path, *more: object) -> Result:
    return run("--input", folder, "--output", output, "--crop", 24, "--step", 34, "--workers", 1, *more)


def read_places(output: Path) -> list[dict[str, str]]:
    with open(output / "patches.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stems(output: Path, version: str) -> set[str]:
    ending = ".png" if version == "original" else f"_{version}.png"
    return {path.name.removesuffix(ending) for path in (output / version).iterdir()}


def make_newer(path: Path) -> None:
    later = time.time() + 10
    os.utime(path, (later, later))


class TestOutput:
    def test_real_pictures(self, fixtures: Path, tmp_path: Path) -> None:
        folder, output = fixtures / "EnhancedGT", tmp_path / "out"
        settings = PatchSettings(crop=96, step=64)
        outcome = select(folder, output, settings)
        places = read_places(output)
        kept = [place for place in places if place["verdict"] == "kept"]
        assert len(kept) == 24
        assert outcome.describe() == [
            "2 pictures: 24 patch groups (candidates 01, 02, 03, 04)",
            "59 grid positions, of which not used: 24 beyond the edge of the picture, 11 too smooth",
            f"See {output}/contact_sheet_001.png to {output}/contact_sheet_002.png",
        ]
        names = {f"{place['image']}-{place['top']}-{place['left']}" for place in kept}
        for version in ("original", "01", "02", "03", "04"):
            assert stems(output, version) == names
            for name in names:
                patch = PatchId.parse(name)
                whole = read_pixels(picture_file(folder, patch.image, version))
                path = picture_file(output, name, version)
                expected = whole[patch.top : patch.top + 96, patch.left : patch.left + 96]
                np.testing.assert_array_equal(read_pixels(path), expected)
        assert sorted(path.name for path in output.iterdir() if path.is_file()) == [
            "contact_sheet_001.png",
            "contact_sheet_002.png",
            "crop_area_info.txt",
            "patches.csv",
            "patches.json",
        ]

    def test_the_lists_agree_with_the_selection(self, fixtures: Path, tmp_path: Path) -> None:
        folder, settings = fixtures / "EnhancedGT", PatchSettings(96, 64, seed=7)
        select(folder, tmp_path / "out", settings)
        places = read_places(tmp_path / "out")
        lines = (tmp_path / "out/crop_area_info.txt").read_text().splitlines()
        index = 0
        for name in ("chelsea", "rocket"):
            versions = [read_pixels(picture_file(folder, name, v)) for v in ("original", "01", "02", "03", "04")]
            expected = select_patches(versions, settings, seeded_draw(7, name))
            found = [place for place in places if place["image"] == name]
            assert [(int(p["top"]), int(p["left"]), p["verdict"]) for p in found] == [
                (p.top, p.left, p.verdict.value) for p in expected
            ]
            for line, place in zip(found, expected, strict=True):
                scores = [line[f"score_0{number}"] for number in range(1, 5)]
                assert scores == ([f"{m.score:.4f}" for m in place.measures[1:]] or [""] * 4)
                if place.measures:
                    best = place.measures[["original", "01", "02", "03", "04"].index(line["version"])]
                    assert best == place.most_detailed
                    assert (line["std"], line["variance"]) == (f"{best.std:.4f}", f"{best.variance:.4f}")
                assert line["index"] == ("" if place.rank is None else str(index + place.rank))
            for place in sorted((p for p in expected if p.rank), key=lambda place: -place.score):
                index += 1
                assert lines[index - 1] == f"{name}-{place.top}-{place.left}-{place.score:.4f}-{index}.png"
        assert len(lines) == index > 10

    def test_the_result_is_part_of_a_tree(self, fixtures: Path, tmp_path: Path) -> None:
        root = tmp_path / "Train"
        select(fixtures / "EnhancedGT", root / "images/all", PatchSettings(96, 64))
        for name in stems(root / "images/all", "original"):
            for slot in "ABC":
                patch = PatchId.parse(name)
                candidates = ("01", "02", "03", "04")
                write_annotation(root / f"labels/all/{slot}/{name}.json", str(patch), slot, candidates)
        report = validate_tree(root, workers=1)
        assert not report.problems
        assert report.num_groups == 24

    def test_any_number_of_candidates(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", ("01", "02", "07"), a=(60, 60))
        outcome = select(folder, tmp_path / "out")
        assert "(candidates 01, 02, 07)" in outcome.describe()[0]
        assert stems(tmp_path / "out", "07") == stems(tmp_path / "out", "original") != set()
        assert "score_07" in read_places(tmp_path / "out")[0]

    def test_names_with_dashes_and_commas(self, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        for name in ("a", "a-1", "a-1-2", 'b,"c"', "照片", "d_01"):
            add_picture(folder, name, (60, 60))
        outcome = select(folder, tmp_path / "out")
        assert outcome.made == 6
        before = contents(tmp_path / "out")
        assert {PatchId.parse(name).image for name in stems(tmp_path / "out", "01")} == set(list_enhanced(folder).sizes)
        assert select(folder, tmp_path / "out").kept == 6
        assert contents(tmp_path / "out") == before

    def test_patches_have_no_metadata(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60))
        text = PngInfo()
        text.add_text("Author", "a photographer")
        path = picture_file(folder, "a", "original")
        with Image.open(path) as image:
            exif = image.getexif()
            exif[0x010F] = "a camera"
            image.save(path, pnginfo=text, exif=exif)
        select(folder, tmp_path / "out")
        for path in (tmp_path / "out").glob("*/*.png"):
            data = path.read_bytes()
            assert (parse_png(data).mode, parse_png(data).metadata) == ("8-bit RGB", ())
            assert b"tEXt" not in data

    def test_the_flags_are_the_settings(self, fixtures: Path, tmp_path: Path) -> None:
        arguments = ["--crop", 96, "--step", 64, "--seed", 7, "--detail", "signed", "--score", "official"]
        arguments += ["--min-difference", 3, "--max-per-image", 5, "--workers", 1]
        result = run("--input", fixtures / "EnhancedGT", "--output", tmp_path / "out", *arguments)
        assert result.exit_code == 0, result.output
        assert json.loads((tmp_path / "out/patches.json").read_text())["settings"] == {
            "crop": 96,
            "step": 64,
            "seed": 7,
            "detail": "signed",
            "score": "official",
            "min_difference": 3,
            "max_per_image": 5,
        }
        assert "9 too smooth, 2 changed too little, 12 over the limit of 5 per picture" in result.stdout
        verdicts = Counter((place["image"], place["verdict"]) for place in read_places(tmp_path / "out"))
        assert verdicts["chelsea", "kept"] + verdicts["rocket", "kept"] == 9

    def test_places_depend_on_seed_and_name_only(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(110, 90), b=(70, 130))
        alone = write_enhanced(tmp_path / "alone", b=(70, 130))
        select(folder, tmp_path / "both")
        select(alone, tmp_path / "one")
        select(folder, tmp_path / "other", PatchSettings(24, 34, seed=1))
        of_b = {name for name in stems(tmp_path / "both", "original") if name.startswith("b")}
        assert of_b == stems(tmp_path / "one", "original")
        assert stems(tmp_path / "both", "original") != stems(tmp_path / "other", "original")

    def test_the_same_bytes_whatever_the_workers(self, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        for number in range(3):
            add_picture(folder, f"p{number}", (70 + 10 * number, 60))
        select(folder, tmp_path / "one")
        select(folder, tmp_path / "two", workers=2)
        assert contents(tmp_path / "one") == contents(tmp_path / "two")

    def test_pictures_smaller_than_a_patch_are_counted(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(23, 200), b=(60, 60), c=(33, 33))
        flat = np.full((60, 60, 3), 9, np.uint8)
        for version in ("original", *TWO):
            write_png(picture_file(folder, "flat", version), flat)
        for _ in range(2):
            lines = select(folder, tmp_path / "out").describe()
            assert "1 picture smaller than a patch, not cut: a" in lines
            assert any(line.endswith("without a patch: c, flat") for line in lines)
        assert {place["image"] for place in read_places(tmp_path / "out")} == {"a", "b", "c", "flat"}

    def test_a_run_without_patches_does_not_fix_the_settings(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(20, 20))
        outcome = select(folder, tmp_path / "out")
        assert outcome.sheets == []
        assert (tmp_path / "out/crop_area_info.txt").read_text() == ""
        assert select(folder, tmp_path / "out", PatchSettings(crop=15, step=33)).describe()[0].startswith("1 picture: ")
        assert json.loads((tmp_path / "out/patches.json").read_text())["settings"]["crop"] == 15

    def test_a_single_contact_sheet_has_no_number(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60))
        outcome = select(folder, tmp_path / "out")
        assert outcome.sheets == [tmp_path / "out/contact_sheet.png"]
        assert parse_png(outcome.sheets[0].read_bytes()).width > 300


class TestInput:
    def test_originals_with_equal_pixels_are_a_warning(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60), b=(60, 60), c=(60, 60), d=(60, 60))
        pixels = read_pixels(picture_file(folder, "a", "original"))
        picture_file(folder, "c", "original").write_bytes(encode_png(pixels, 1))  # encoded otherwise
        picture_file(folder, "d", "original").write_bytes(b"")
        for _ in range(2):  # also if all patches were kept
            lines = select(folder, tmp_path / "out").describe()
            assert sum(line.startswith("Warning: originals with equal pixels: a = c. ") for line in lines) == 1

    def test_all_missing_and_differing_pictures_are_reported_at_once(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60), b=(60, 60), c=(60, 60), good=(60, 60))
        picture_file(folder, "a", "02").unlink()
        picture_file(folder, "b", "original").unlink()
        write_png(picture_file(folder, "c", "01"), noise((60, 61), "c"))
        result = run_small(folder, tmp_path / "out")
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            f"Error: {folder}: 3 errors; every original needs candidates 01, 02 of its size. Nothing was written; "
            "correct or remove these:",
            "  original/a.png: 02/a_02.png missing",
            "  01/b_01.png, 02/b_02.png: original/b.png missing",
            "  original/c.png: 60 x 60 pixels, but 01/c_01.png has 60 x 61",
        ]
        assert not (tmp_path / "out").exists()

    def test_names_that_differ_only_in_case_are_refused(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60), A=(60, 60))
        with pytest.raises(TreeError, match="original/: 'a' differs from 'A' only in case"):
            select(folder, tmp_path / "out")

    def test_a_name_with_undecodable_bytes_is_refused(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60))
        for version in ("original", *TWO):
            path = picture_file(folder, "a", version)
            os.rename(path, os.fsencode(path.parent) + b"/\xe9" + os.fsencode(path.name[1:]))  # noqa: PTH104
        result = run_small(folder, tmp_path / "out")
        assert result.exit_code == 1
        assert (
            "original/\\udce9.png: a patch's name cannot contain control characters or undecodable bytes"
            in result.stderr
        )

    @pytest.mark.parametrize("missing", ["original", "01 02"])
    def test_another_kind_of_folder_is_refused(self, tmp_path: Path, missing: str) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60))
        for version in missing.split():
            shutil.rmtree(folder / version)
        result = run_small(folder, tmp_path / "out")
        assert result.exit_code == 1
        assert "expected original/NAME.png, 01/NAME_01.png and so on, as `hggt-models enhance` writes them" in (
            result.stderr
        )
        assert not (tmp_path / "out").exists()

    def test_a_folder_without_originals_is_refused(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60))
        path = picture_file(folder, "a", "original")
        path.rename(path.with_suffix(".tif"))
        with pytest.raises(
            TreeError, match=r"no pictures; expected NAME.png, found original/a.tif. Convert it to 8-bit"
        ):
            select(folder, tmp_path / "out")
        path.with_suffix(".tif").unlink()
        with pytest.raises(TreeError, match=r"no pictures; expected NAME.png, found nothing.$"):
            select(folder, tmp_path / "out")

    def test_skipped_files_are_named(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60))
        for name in ("enhance.json", ".DS_Store", "01/.DS_Store", "notes.txt", "01/a.png", "original/b.jpg"):
            (folder / name).touch()
        (folder / "3").mkdir()
        line = select(folder, tmp_path / "out").describe()[-2]
        assert line == "Skipped in the input: 3, notes.txt, original/b.jpg and 1 more"

    def test_unreadable_pictures_are_listed_and_the_others_are_processed(self, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        for name in ("clear", "cut", "deep", "empty", "gone", "good", "grey", "opaque", "pipe", "turned"):
            add_picture(folder, name, (60, 61))
        cut = picture_file(folder, "cut", "02")
        cut.write_bytes(cut.read_bytes()[:-30])
        Image.fromarray(np.zeros((60, 61), np.uint16)).save(picture_file(folder, "deep", "01"))
        Image.fromarray(np.zeros((60, 61, 4), np.uint8)).save(picture_file(folder, "clear", "original"))
        picture_file(folder, "empty", "original").write_bytes(b"")
        for name, make in (("gone", lambda path: path.symlink_to("absent.png")), ("pipe", os.mkfifo)):
            path = picture_file(folder, name, "01")
            path.unlink()
            make(path)
        for name, mode in (("grey", "L"), ("opaque", "RGBA")):
            path = picture_file(folder, name, "01")
            with Image.open(path) as image:
                image.convert(mode).save(path)
        turned = picture_file(folder, "turned", "01")
        exif = Image.Exif()
        exif[0x0112] = 6
        turned.write_bytes(with_chunk(turned.read_bytes(), b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
        result = run_small(folder, tmp_path / "out")
        assert result.exit_code == 1
        lines = result.stdout.splitlines()
        expected = [
            "original/clear.png: partly transparent",
            "02/cut_02.png: cut off",
            "01/deep_01.png: 16-bit grey; expected 8 bits",
            "original/empty.png: empty file",
            "01/gone_01.png: No such file",
            "01/pipe_01.png: not a regular file",
            "01/turned_01.png: 61 x 60 pixels after its EXIF rotation; expected 60 x 61",
        ]
        faults = lines[lines.index("7 pictures could not be processed:") + 1 :]
        assert all(part in fault for part, fault in zip(expected, faults, strict=True))
        images = {PatchId.parse(name).image for name in stems(tmp_path / "out", "original")}
        assert images == {"good", "grey", "opaque"}
        assert {place["image"] for place in read_places(tmp_path / "out")} == images

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_sizes_are_compared_as_exif_turns_the_pictures(self, tmp_path: Path, orientation: int) -> None:
        folder = write_turned(tmp_path / "in", orientation, (60, 90), upright=True)
        outcome = select(folder, tmp_path / "out")
        assert (outcome.made, outcome.faults) == (1, [])
        with Image.open(folder / "original/a.png") as image:
            shown = np.asarray(ImageOps.exif_transpose(image))
        for name in stems(tmp_path / "out", "original"):
            patch = PatchId.parse(name)
            crop = shown[patch.top : patch.top + 24, patch.left : patch.left + 24]
            np.testing.assert_array_equal(read_pixels(picture_file(tmp_path / "out", name, "original")), crop)

    @pytest.mark.parametrize(
        ("orientation", "fault"),
        [
            *((o, "it fits original/a.png only without the EXIF rotation of one of them") for o in (2, 3, 4)),
            *((o, "60 x 90 pixels after its EXIF rotation; expected 90 x 60") for o in (5, 6, 7, 8)),
        ],
    )
    def test_candidates_of_an_enhancer_that_ignored_the_turn_are_refused(
        self, tmp_path: Path, orientation: int, fault: str
    ) -> None:
        folder = write_turned(tmp_path / "in", orientation, (60, 90), upright=False)
        [found] = select(folder, tmp_path / "out").faults
        assert f"01/a_01.png: {fault}" in found

    def test_an_output_inside_the_input_is_refused(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", a=(60, 60))
        before = contents(tmp_path)
        result = run_small(folder, folder / "out")
        assert result.exit_code == 1
        assert "is inside the enhanced pictures in" in result.stderr
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("flags", [["--step", 32], ["--score", "x"]])
    def test_wrong_flags_are_wrong_usage(self, tmp_path: Path, flags: list[object]) -> None:
        assert run("--input", tmp_path, "--output", tmp_path / "out", *flags).exit_code == 2


@pytest.fixture
def enhanced(tmp_path: Path) -> Path:
    """Two pictures that give some patches each."""
    return write_enhanced(tmp_path / "in", a=(70, 110), b=(70, 60))


class TestAnotherRun:
    def test_it_keeps_existing_patches(self, enhanced: Path, tmp_path: Path) -> None:
        select(enhanced, tmp_path / "out")
        times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
        outcome = select(enhanced, tmp_path / "out")
        assert (outcome.made, outcome.kept) == (0, 2)
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == times

    def test_it_adds_missing_files(self, enhanced: Path, tmp_path: Path) -> None:
        select(enhanced, tmp_path / "out")
        before = contents(tmp_path / "out")
        for lost in (
            "original",
            "02",
            "patches.csv",
            "crop_area_info.txt",
            "contact_sheet.png",
            "patches.csv original",
        ):
            for name in lost.split():
                path = tmp_path / "out" / name
                (sorted(path.iterdir())[0] if path.is_dir() else path).unlink()
            select(enhanced, tmp_path / "out")
            assert contents(tmp_path / "out") == before

    @pytest.mark.parametrize("data", [b"", b"image,top\n", b"\xff"])
    def test_a_damaged_list_is_written_again(self, enhanced: Path, tmp_path: Path, data: bytes) -> None:
        select(enhanced, tmp_path / "out")
        before = contents(tmp_path / "out")
        (tmp_path / "out/patches.csv").write_bytes(data)
        assert select(enhanced, tmp_path / "out").made == 2
        assert contents(tmp_path / "out") == before

    @pytest.mark.parametrize(
        ("size", "version"), [((110, 80), "original"), ((20, 20), "02"), ((70, 110), "original"), ((70, 110), "02")]
    )
    def test_a_picture_that_has_changed_is_processed_again(
        self, enhanced: Path, tmp_path: Path, size: tuple[int, int], version: str
    ) -> None:
        select(enhanced, tmp_path / "out")
        add_picture(enhanced, "a", size, seed="changed")
        for name in ("original", *TWO):
            os.utime(picture_file(enhanced, "a", name), (1, 1))
        make_newer(picture_file(enhanced, "a", version))
        assert select(enhanced, tmp_path / "out").kept == 1
        select(enhanced, tmp_path / "new")
        assert contents(tmp_path / "out") == contents(tmp_path / "new")

    def test_a_picture_replaced_by_an_older_one_is_processed_again(self, enhanced: Path, tmp_path: Path) -> None:
        """As by `mv`, `cp -p`, `rsync -t` and archives, which keep its time."""
        other = enhanced.with_name("other")
        shutil.copytree(enhanced, other)
        add_picture(other, "a", (110, 80), seed="changed")
        for name in ("original", *TWO):
            os.utime(picture_file(other, "a", name), (1, 1))
        select(enhanced, tmp_path / "out")
        for name in ("original", *TWO):
            picture_file(other, "a", name).replace(picture_file(enhanced, "a", name))
        assert select(enhanced, tmp_path / "out").kept == 1
        select(enhanced, tmp_path / "new")
        assert contents(tmp_path / "out") == contents(tmp_path / "new")

    def test_inputs_are_compared_by_absolute_path(
        self, enhanced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for place in ("one", "two"):
            shutil.copytree(enhanced, tmp_path / place / "in")
        monkeypatch.chdir(tmp_path / "one")
        select(Path("in"), tmp_path / "out")
        assert select(tmp_path / "one/in", tmp_path / "out").kept == 2
        monkeypatch.chdir(tmp_path / "two")
        with pytest.raises(OutputError, match="patches made with different input "):
            select(Path("in"), tmp_path / "out")

    def test_a_damaged_patch_is_an_error_that_says_what_to_do(self, enhanced: Path, tmp_path: Path) -> None:
        select(enhanced, tmp_path / "out")
        before = contents(tmp_path / "out")
        patch = sorted((tmp_path / "out/01").iterdir())[0]
        patch.write_bytes(b"")
        make_newer(patch)
        result = run_small(enhanced, tmp_path / "out")
        assert result.exit_code == 1
        assert f"{patch}: empty file. Remove it and run the command again to cut it again" in result.stderr
        patch.unlink()
        select(enhanced, tmp_path / "out")
        assert contents(tmp_path / "out") == before

    def test_a_name_too_long_for_its_patches_is_refused_before_anything_is_written(
        self, enhanced: Path, tmp_path: Path
    ) -> None:
        add_picture(enhanced, "n" * 215, (70, 60))
        assert select(enhanced, tmp_path / "fits").made == 3
        add_picture(enhanced, "n" * 230, (70, 60))
        result = run_small(enhanced, tmp_path / "out")
        assert result.exit_code == 1
        assert "its name is 7 bytes too long for patches; shorten it" in result.stderr
        assert not (tmp_path / "out").exists()

    def test_pictures_may_be_added(self, enhanced: Path, tmp_path: Path) -> None:
        select(enhanced, tmp_path / "out")
        add_picture(enhanced, "a0", (90, 90))
        outcome = select(enhanced, tmp_path / "out")
        assert (outcome.made, outcome.kept) == (1, 2)
        select(enhanced, tmp_path / "new")
        assert contents(tmp_path / "out") == contents(tmp_path / "new")

    def test_patches_of_a_removed_picture_are_refused(self, enhanced: Path, tmp_path: Path) -> None:
        select(enhanced, tmp_path / "out")
        for version in ("original", *TWO):
            picture_file(enhanced, "b", version).unlink()
        with pytest.raises(OutputError, match=r"files that do not belong to this input \(01/b-"):
            select(enhanced, tmp_path / "out")

    def test_patches_stay_if_their_picture_is_damaged_later(self, enhanced: Path, tmp_path: Path) -> None:
        select(enhanced, tmp_path / "out")
        before = contents(tmp_path / "out")
        picture_file(enhanced, "a", "01").write_bytes(b"")
        make_newer(picture_file(enhanced, "a", "01"))
        for _ in range(2):
            outcome = select(enhanced, tmp_path / "out")
            assert (len(outcome.faults), outcome.kept) == (1, 1)
            assert contents(tmp_path / "out") == before

    def test_an_incomplete_group_of_a_damaged_picture_is_removed(self, enhanced: Path, tmp_path: Path) -> None:
        select(enhanced, tmp_path / "out")
        sorted((tmp_path / "out/02").glob("a-*"))[0].unlink()
        picture_file(enhanced, "a", "01").write_bytes(b"")
        select(enhanced, tmp_path / "out")
        assert {PatchId.parse(name).image for name in stems(tmp_path / "out", "original")} == {"b"}
        assert stems(tmp_path / "out", "01") == stems(tmp_path / "out", "02") == stems(tmp_path / "out", "original")

    def test_patches_of_other_settings_inputs_and_candidates_are_not_mixed(
        self, enhanced: Path, tmp_path: Path
    ) -> None:
        select(enhanced, tmp_path / "out")
        before = contents(tmp_path / "out")
        with pytest.raises(OutputError, match=r"patches made with different settings \(see patches\.json\)"):
            select(enhanced, tmp_path / "out", PatchSettings(24, 34, seed=1))
        copy = Path(shutil.copytree(enhanced, tmp_path / "copy"))
        with pytest.raises(OutputError, match="patches made with different input "):
            select(copy, tmp_path / "out")
        add_picture(enhanced, "a", (70, 110), ("01", "02", "03"))
        add_picture(enhanced, "b", (70, 60), ("01", "02", "03"))
        with pytest.raises(OutputError, match="patches made with different candidates"):
            select(enhanced, tmp_path / "out")
        assert contents(tmp_path / "out") == before

    @pytest.mark.parametrize("name", ["original/x.png", "patches.csv"])
    def test_a_folder_with_other_content_is_refused(self, enhanced: Path, tmp_path: Path, name: str) -> None:
        write_bytes(tmp_path / "out" / name, b"mine")
        with pytest.raises(OutputError, match=r"is not empty and does not contain patches\.json"):
            select(enhanced, tmp_path / "out")
        assert contents(tmp_path / "out") == {name: b"mine"}

    def test_pictures_that_are_not_patches_of_the_input_are_refused(self, enhanced: Path, tmp_path: Path) -> None:
        select(enhanced, tmp_path / "out")
        for name in ("original/x.png", "01/a-1-1.png", "02/a-01-1_02.png", "03/a-1-1_03.png"):
            write_bytes(tmp_path / "out" / name, b"")
            with pytest.raises(OutputError, match=rf"files that do not belong to this input \({name}\)"):
                select(enhanced, tmp_path / "out")
            (tmp_path / "out" / name).unlink()

    @pytest.mark.parametrize("number", [0, 5])
    def test_a_full_disk_is_one_line_and_finished_patches_stay(
        self, enhanced: Path, tmp_path: Path, full_disk: FullDisk, number: int
    ) -> None:
        picture_file(enhanced, "a", "02").write_bytes(b"")
        add_picture(enhanced, "c", (70, 60))
        with full_disk(number):
            result = run_small(enhanced, tmp_path / "out")
        assert result.exit_code == 1
        *faults, last = result.stderr.splitlines()
        assert faults == ([f"could not be processed: {enhanced}/02/a_02.png: empty file"] if number else [])
        assert last.startswith(f"Error: {tmp_path}/out/")
        assert last.endswith("No space left on device; free some space and run again")
        assert not list((tmp_path / "out").rglob(".*.tmp"))
        select(enhanced, tmp_path / "out")
        select(enhanced, tmp_path / "new")
        assert contents(tmp_path / "out") == contents(tmp_path / "new")


def select_and_die(number: int, folder: Path, output: Path) -> None:
    die_at_rename(number, lambda: select(folder, output))


def kill_and_resume(folder: Path, start: Path | None, output: Path, expected: dict[str, bytes]) -> int:
    """Kill a run before or after each of its renames, then resume it; return the number of kills."""
    for number in range(400):
        place = output / str(number)
        if start is not None:
            shutil.copytree(start, place)
        process = FORKED.Process(target=select_and_die, args=(number, folder, place))
        process.start()
        process.join()
        if process.exitcode == 0:
            return number
        select(folder, place)
        assert contents(place) == expected
        shutil.rmtree(place)
    raise AssertionError("no run finished")


class TestKilled:
    def test_a_run_killed_at_any_rename_is_resumed(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", ("01",), a=(60, 60), b=(70, 60), c=(20, 20))
        select(folder, tmp_path / "clean")
        expected = contents(tmp_path / "clean")
        (tmp_path / "runs").mkdir()
        kills = kill_and_resume(folder, None, tmp_path / "runs", expected)
        assert kills == 2 * (len(expected) + 2)  # the lines of a and b are temporary files

    def test_while_a_changed_picture_is_processed_again(self, tmp_path: Path) -> None:
        folder = write_enhanced(tmp_path / "in", ("01",), a=(70, 110), b=(60, 60))
        select(folder, tmp_path / "start")
        time.sleep(0.02)  # the file system's clock ticks
        add_picture(folder, "a", (60, 70), ("01",), seed="changed")
        select(folder, tmp_path / "clean")
        (tmp_path / "runs").mkdir()
        kills = kill_and_resume(folder, tmp_path / "start", tmp_path / "runs", contents(tmp_path / "clean"))
        assert kills >= 6

    def test_finished_pictures_are_not_processed_again(self, enhanced: Path, tmp_path: Path) -> None:
        """Killed before the list is written, when the lines of both pictures exist."""
        output, clean = tmp_path / "out", tmp_path / "clean"
        select(enhanced, clean)
        renames = 1 + sum(len(stems(clean, v)) for v in ("original", *TWO)) + 2
        process = FORKED.Process(target=select_and_die, args=(2 * renames, enhanced, output))
        process.start()
        process.join()
        assert not (output / "patches.csv").exists()
        assert select(enhanced, output).kept == 2
        assert contents(output) == contents(tmp_path / "clean")
