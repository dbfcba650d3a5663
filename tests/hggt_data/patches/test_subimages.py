"""Crops of large pictures: positions, names, and that an interrupted run resumes."""

import json
import os
import shutil
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hggt_data.cli.main import main
from hggt_data.errors import OutputError, SettingsError, TreeError
from hggt_data.io.images import Pixels, parse_png, read_pixels, write_png
from hggt_data.patches.subimages import (
    SubimageOutcome,
    SubimageSettings,
    extract_subimages,
    parse_scales,
)
from tests.full_disk import FullDisk
from tests.hggt_data.kills import FORKED, die_at_rename
from tests.hggt_data.trees import contents, noise, write_bytes

PLAIN = SubimageSettings(scales=(), short_side=0, crop=20, step=10)
SMALL = SubimageSettings(short_side=25, crop=20, step=10)
DEMO_PICTURES = Path(__file__).parents[3] / "hggt_data" / "tree" / "demo_pictures"
FORKED.set_forkserver_preload(["hggt_data.patches.subimages", "tqdm", __name__])


def places(size: tuple[int, int]) -> Pixels:
    """Pixels whose values are their row, their column, and 7."""
    rows, columns = np.indices(size, np.uint8)
    return np.stack([rows, columns, np.full(size, 7, np.uint8)], axis=2)


def write_pictures(folder: Path, **sizes: tuple[int, int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in sizes.items():
        write_png(folder / f"{name}.png", noise(size, name))
    return folder


def cut(folder: Path, output: Path, settings: SubimageSettings = SMALL, workers: int = 1) -> SubimageOutcome:
    return extract_subimages([folder], output, settings, workers=workers)


def names(output: Path) -> list[str]:
    return sorted(path.name for path in output.iterdir() if path.name != "subimages.json")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["extract-subimages", *map(str, arguments)])


class TestGeometry:
    @pytest.mark.parametrize(
        ("side", "threshold", "starts"),
        [
            (399, 0, []),
            (400, 0, [0]),
            (601, 0, [0, 200, 201]),
            (799, 198, [0, 200, 399]),
            (799, 199, [0, 200]),
            (1000, 0, [0, 200, 400, 600]),
        ],
    )
    def test_crops_of_400_at_steps_of_200(self, side: int, threshold: int, starts: list[int]) -> None:
        settings = SubimageSettings(threshold=threshold)
        assert settings.corners((side, 400)) == [(start, 0) for start in starts]
        assert settings.corners((400, side)) == [(0, start) for start in starts]

    def test_crops_are_numbered_row_by_row(self) -> None:
        assert PLAIN.corners((30, 35)) == [(0, 0), (0, 10), (0, 15), (10, 0), (10, 10), (10, 15)]

    @settings(max_examples=50)
    @given(
        size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
        crop=st.integers(1, 40),
        step=st.integers(1, 50),
        threshold=st.integers(0, 30),
    )
    def test_crops_tile_the_picture(self, size: tuple[int, int], crop: int, step: int, threshold: int) -> None:
        corners = SubimageSettings(crop=crop, step=step, threshold=threshold).corners(size)
        assert bool(corners) == (min(size) >= crop)
        assert corners == sorted(set(corners))
        covered = np.zeros(size, bool)
        for top, left in corners:
            assert 0 <= top <= size[0] - crop
            assert 0 <= left <= size[1] - crop
            covered[top : top + crop, left : left + crop] = True
        if corners and step <= crop:  # at most `threshold` pixels may remain at the right and bottom edge
            assert covered[: max(size[0] - threshold, 0), : max(size[1] - threshold, 0)].all()

    def test_scaled_sizes_are_those_of_the_official_data(self) -> None:
        settings = SubimageSettings(short_side=0)
        for side in range(1, 5000, 7):
            found = [height for height, _ in settings.sizes((side, 1))]
            assert found == [side, int(side * 0.75), int(side * 0.5), int(side * (1 / 3))]

    @pytest.mark.parametrize(
        ("size", "scaled"), [((600, 900), (400, 600)), ((901, 600), (600, 400)), ((400, 401), (400, 401))]
    )
    def test_the_last_version_has_a_short_side_of_400(self, size: tuple[int, int], scaled: tuple[int, int]) -> None:
        assert SubimageSettings().sizes(size)[-1] == scaled


class TestSettings:
    def test_the_defaults_are_the_official_preparation(self) -> None:
        assert SubimageSettings().to_json() == {
            "scales": ["3/4", "1/2", "1/3"],
            "short_side": 400,
            "crop": 400,
            "step": 200,
            "threshold": 0,
        }
        assert SubimageSettings().suffixes == ("", "T0", "T1", "T2", "T3")
        assert PLAIN.suffixes == ("",)

    def test_scales_are_fractions_each_given_once(self) -> None:
        with pytest.raises(SettingsError) as caught:
            SubimageSettings((Fraction(3, 2), Fraction(1, 2), Fraction(1, 2)))
        assert str(caught.value) == "`scales` has 3/2; expected more than 0 and less than 1; 1/2 twice"

    @pytest.mark.parametrize(
        ("text", "scales"),
        [
            ("none", ()),
            ("0.75, .5,2/6", (Fraction(3, 4), Fraction(1, 2), Fraction(1, 3))),
        ],
    )
    def test_scales_are_numbers_or_fractions(self, text: str, scales: tuple[Fraction, ...]) -> None:
        assert parse_scales(text) == scales

    @pytest.mark.parametrize("wrong", ["", "x", "1", "1/0", "nan"])
    def test_other_scales_are_wrong_usage(self, tmp_path: Path, wrong: str) -> None:
        result = run("--input", tmp_path, "--output", tmp_path / "out", "--scales", f"0.5,{wrong}")
        assert result.exit_code == 2
        assert f"{wrong!r}: expected numbers between 0 and 1" in " ".join(result.stderr.split())


class TestCrops:
    def test_names_and_pixels(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        pixels = places((30, 35))
        write_png(tmp_path / "in" / "0001.png", pixels)
        outcome = cut(tmp_path / "in", tmp_path / "out", PLAIN)
        assert outcome.describe() == ["1 picture cut into 6 crops"]
        corners = {1: (0, 0), 2: (0, 10), 3: (0, 15), 4: (10, 0), 5: (10, 10), 6: (10, 15)}
        assert names(tmp_path / "out") == [f"0001_s00{number}.png" for number in corners]
        for number, (top, left) in corners.items():
            path = tmp_path / "out" / f"0001_s00{number}.png"
            np.testing.assert_array_equal(read_pixels(path), pixels[top : top + 20, left : left + 20])
            info = parse_png(path.read_bytes())
            assert (info.mode, info.metadata) == ("8-bit RGB", ())

    def test_scaled_versions(self, tmp_path: Path) -> None:
        """60 x 90 gives 45 x 67, 30 x 45, 20 x 30 and, with a short side of 25, 25 x 37."""
        folder = write_pictures(tmp_path / "in", a=(60, 90))
        outcome = cut(folder, tmp_path / "out")
        counts = {"a": 5 * 8, "aT0": 4 * 6, "aT1": 2 * 4, "aT2": 1 * 2, "aT3": 2 * 3}
        assert outcome.crops_made == sum(counts.values())
        expected = [f"{version}_s{n:03d}.png" for version, count in counts.items() for n in range(1, count + 1)]
        assert names(tmp_path / "out") == sorted(expected)
        picture = Image.open(folder / "a.png")
        for version, (width, height) in {"aT0": (67, 45), "aT1": (45, 30), "aT2": (30, 20), "aT3": (37, 25)}.items():
            scaled = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
            first, last = (tmp_path / "out" / f"{version}_s{n:03d}.png" for n in (1, counts[version]))
            np.testing.assert_array_equal(read_pixels(first), scaled[:20, :20])
            np.testing.assert_array_equal(read_pixels(last), scaled[-20:, -20:])

    def test_without_other_scales_the_short_side_is_t0(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(40, 60))
        cut(folder, tmp_path / "out", SubimageSettings(scales=(), short_side=20, crop=20, step=20))
        assert names(tmp_path / "out") == [
            *(f"aT0_s00{n}.png" for n in (1, 2)),
            *(f"a_s00{n}.png" for n in range(1, 7)),
        ]

    def test_the_1000th_crop_has_four_digits(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(33, 33))
        settings = SubimageSettings(scales=(), short_side=0, crop=2, step=1)
        assert cut(folder, tmp_path / "out", settings).crops_made == 32 * 32
        assert {"a_s001.png", "a_s999.png", "a_s1000.png", "a_s1024.png"} < set(names(tmp_path / "out"))
        assert cut(folder, tmp_path / "out", settings).kept == 1

    def test_pictures_smaller_than_a_crop_are_counted(self, tmp_path: Path) -> None:
        """30 x 30: versions of 22, 15, 10 and 25. 20 x 20: 15, 10, 6, and 25 would be larger. 19 x 50: none at all."""
        folder = write_pictures(tmp_path / "in", a=(30, 30), b=(20, 20), c=(19, 50))
        outcome = cut(folder, tmp_path / "out")
        expected = [
            "2 pictures cut into 13 crops",
            "Skipped 1 picture smaller than a crop: c.png",
            "Skipped 8 scaled versions smaller than a crop",
            "Skipped 2 scaled versions larger than the picture",
        ]
        assert outcome.describe() == expected
        assert {name.split("_")[0] for name in names(tmp_path / "out")} == {"a", "aT0", "aT3", "b"}
        again = cut(folder, tmp_path / "out").describe()
        assert again == ["0 pictures cut into 0 crops, 2 already up to date (13 crops)", *expected[1:]]

    def test_a_version_of_the_same_size_is_not_resampled(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(20, 30))
        cut(folder, tmp_path / "out", SubimageSettings(scales=(), short_side=20, crop=20, step=10))
        files = contents(tmp_path / "out")
        assert files["a_s002.png"] == files["aT0_s002.png"]

    def test_the_orientation_in_exif_is_applied(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        image = Image.fromarray(places((25, 60)))
        exif = image.getexif()
        exif[0x0112] = 6  # rotate 90 degrees clockwise
        image.save(tmp_path / "in" / "a.png", exif=exif)
        cut(tmp_path / "in", tmp_path / "out", PLAIN)
        upright = np.rot90(places((25, 60)), -1)
        np.testing.assert_array_equal(read_pixels(tmp_path / "out" / "a_s002.png"), upright[:20, 5:25])
        assert cut(tmp_path / "in", tmp_path / "out", PLAIN).kept == 1

    def test_real_pictures_give_the_same_bytes_whatever_the_workers(self, tmp_path: Path) -> None:
        """288 x 288 gives 9 crops, 216: 9, 144: 4, 96: 1, and 100: 4."""
        settings = SubimageSettings(short_side=100, crop=96, step=96)
        assert cut(DEMO_PICTURES, tmp_path / "one", settings).crops_made == 4 * 27
        assert cut(DEMO_PICTURES, tmp_path / "two", settings, workers=2).crops_made == 4 * 27
        assert contents(tmp_path / "one") == contents(tmp_path / "two")


class TestInputs:
    def test_several_folders(self, tmp_path: Path) -> None:
        one, two = write_pictures(tmp_path / "one", a=(20, 20)), write_pictures(tmp_path / "two", b=(20, 20))
        result = run("--input", one, "--input", two, "--output", tmp_path / "out", "--crop", 20, "--workers", 1)
        assert result.exit_code == 0, result.output
        assert names(tmp_path / "out") == ["a_s001.png", "b_s001.png"]

    @pytest.mark.parametrize(
        ("first", "second"), [("0/a.png", "0/a.jpg"), ("0/aT3.png", "1/A.webp"), ("0/Straße.png", "1/STRASSE.png")]
    )
    def test_two_pictures_with_crops_of_one_name_are_refused(self, tmp_path: Path, first: str, second: str) -> None:
        paths = [tmp_path / first, tmp_path / second]
        for path in paths:
            write_bytes(path, b"")
        with pytest.raises(TreeError, match=r"crops of .* would have the same names; rename one") as caught:
            extract_subimages(sorted({path.parent for path in paths}), tmp_path / "out", SMALL)
        assert all(str(path) in str(caught.value) for path in paths)
        assert ("pass empty `scales` and `short_side` 0" in str(caught.value)) == ("aT3" in first)
        assert not (tmp_path / "out").exists()

    def test_existing_scaled_versions_are_cut_like_other_pictures(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(40, 40), aT0=(30, 30))
        cut(folder, tmp_path / "out", PLAIN)
        assert len(names(tmp_path / "out")) == 9 + 4

    def test_names_that_look_like_crops(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(20, 30), a_s001=(20, 30), a_s001_s001=(20, 20))
        cut(folder, tmp_path / "out", PLAIN)
        assert len(names(tmp_path / "out")) == 5
        assert cut(folder, tmp_path / "out", PLAIN).kept == 3

    def test_unreadable_pictures_are_listed_and_the_others_are_processed(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", good=(20, 20), cut=(20, 20))
        (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:-20])
        (folder / "text.png").write_text("no picture")
        (folder / "empty.jpg").touch()
        (folder / "link.png").symlink_to("absent.png")
        os.mkfifo(folder / "pipe.png")
        Image.fromarray(np.zeros((20, 20), np.uint16)).save(folder / "deep.png")
        Image.fromarray(places((20, 20))).convert("CMYK").save(folder / "print.jpg")
        Image.fromarray(np.zeros((20, 20, 4), np.uint8)).save(folder / "clear.png")
        result = run("--input", folder, "--output", tmp_path / "out", "--crop", 20, "--workers", 1)
        assert result.exit_code == 1
        lines = result.stdout.splitlines()
        expected = [
            "clear.png: partly transparent",
            "cut.png: cut off",
            "deep.png: 16-bit grey",
            "empty.jpg: empty file",
            "No such file or directory",
            "not a regular file",
            "print.jpg: CMYK pixels",
            "text.png: cannot be read as PNG, JPEG, WebP, BMP or TIFF",
        ]
        faults = lines[lines.index("8 pictures could not be processed:") + 1 :]
        assert all(part in fault for part, fault in zip(expected, faults, strict=True))
        assert names(tmp_path / "out") == ["good_s001.png"]

    def test_pictures_with_equal_pixels_are_a_warning(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(20, 20), b=(20, 20))
        (tmp_path / "more").mkdir()
        write_png(tmp_path / "more" / "c.png", read_pixels(folder / "a.png"), 1)  # encoded otherwise
        lines = extract_subimages([folder, tmp_path / "more"], tmp_path / "out", PLAIN, workers=1).describe()
        assert lines[1].startswith("Warning: pictures with equal pixels: a.png = c.png. ")

    def test_skipped_files_and_folders_are_named(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(20, 20))
        for name in ("notes.txt", ".DS_Store", "._a.png"):
            (folder / name).touch()
        (folder / "more").mkdir()
        assert cut(folder, tmp_path / "out", PLAIN).describe()[1:] == [
            "Skipped 1 non-picture file: notes.txt",
            "1 folder not searched: more",
        ]

    def test_a_folder_without_pictures_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "in" / "animal").mkdir(parents=True)
        result = run("--input", tmp_path / "in", "--output", tmp_path / "out")
        assert result.exit_code == 1
        assert "no pictures; expected .png" in result.stderr
        assert "found 0 files and 1 folder, not searched" in result.stderr
        assert not (tmp_path / "out").exists()

    def test_a_folder_given_twice_is_an_error(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(20, 20))
        (tmp_path / "link").symlink_to(folder)
        with pytest.raises(TreeError, match="link is given twice"):
            extract_subimages([folder, tmp_path / "link"], tmp_path / "out", PLAIN)

    def test_an_output_inside_the_input_is_refused(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(20, 20))
        before = contents(tmp_path)
        result = run("--input", folder, "--output", folder / "out")
        assert result.exit_code == 1
        assert "is inside the input" in result.stderr
        assert contents(tmp_path) == before

    def test_a_name_may_have_undecodable_bytes(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(20, 20))
        os.rename(folder / "a.png", os.fsencode(folder) + b"/\xe9.png")  # noqa: PTH104  the name is bytes
        with open(os.fsencode(folder) + b"/\xe8.png", "wb"):
            pass
        result = run("--input", folder, "--output", tmp_path / "out", "--crop", 20, "--workers", 1)
        assert result.exit_code == 1
        assert os.fsdecode(b"\xe9_s001.png") in names(tmp_path / "out")
        assert "in/\\udce8.png: empty file" in result.stdout


class TestAnotherRun:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_pictures(tmp_path / "in", a=(40, 50), b=(30, 20))

    def test_it_keeps_existing_crops(self, folder: Path, tmp_path: Path) -> None:
        cut(folder, tmp_path / "out")
        times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
        assert cut(folder, tmp_path / "out").kept == 2
        assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times

    def test_it_adds_missing_crops(self, folder: Path, tmp_path: Path) -> None:
        cut(folder, tmp_path / "out")
        before = contents(tmp_path / "out")
        for lost in ("a_s001.png", "aT0_s002.png", "aT3_s001.png"):
            (tmp_path / "out" / lost).unlink()
            outcome = cut(folder, tmp_path / "out")
            assert (outcome.made, outcome.kept) == (1, 1)
            assert contents(tmp_path / "out") == before

    @pytest.mark.parametrize("size", [(60, 50), (25, 30), (10, 10)])
    def test_a_picture_that_has_changed_is_cut_again_and_its_old_crops_are_removed(
        self, folder: Path, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        cut(folder, tmp_path / "out")
        write_png(folder / "a.png", noise(size, "changed"))
        later = time.time() + 10
        os.utime(folder / "a.png", (later, later))
        assert cut(folder, tmp_path / "out").kept == 1
        cut(folder, tmp_path / "new")
        assert contents(tmp_path / "out") == contents(tmp_path / "new")

    def test_crops_stay_if_their_picture_is_damaged_later(self, folder: Path, tmp_path: Path) -> None:
        cut(folder, tmp_path / "out")
        before = contents(tmp_path / "out")
        time.sleep(0.02)  # the file system's clock ticks
        (folder / "a.png").write_bytes(b"")
        assert len(cut(folder, tmp_path / "out").faults) == 1
        assert contents(tmp_path / "out") == before

    def test_crops_of_other_settings_are_not_mixed(self, folder: Path, tmp_path: Path) -> None:
        cut(folder, tmp_path / "out")
        before = contents(tmp_path / "out")
        other_order = SubimageSettings(
            (Fraction(1, 2), Fraction(3, 4), Fraction(1, 3)), short_side=25, crop=20, step=10
        )
        for other in (PLAIN, other_order):
            with pytest.raises(OutputError, match=r"crops made with different settings \(see subimages\.json\)"):
                cut(folder, tmp_path / "out", other)
        assert contents(tmp_path / "out") == before

    def test_inputs_may_be_added_but_not_removed(self, tmp_path: Path) -> None:
        one, two = write_pictures(tmp_path / "one", a=(30, 30)), write_pictures(tmp_path / "two", b=(30, 30))
        cut(one, tmp_path / "out")
        with pytest.raises(OutputError, match="crops made with different inputs"):
            cut(two, tmp_path / "out")
        outcome = extract_subimages([two, one], tmp_path / "out", SMALL, workers=1)
        assert (outcome.made, outcome.kept) == (1, 1)
        assert json.loads((tmp_path / "out/subimages.json").read_text())["inputs"] == [str(two), str(one)]
        with pytest.raises(OutputError, match="crops made with different inputs"):
            cut(one, tmp_path / "out")

    def test_files_that_are_not_crops_of_the_input_are_refused(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(20, 20), b=(20, 20))
        cut(folder, tmp_path / "out", PLAIN)
        for name in ("x.png", "a_s1.png", "a_s000.png", "a_s0001.png", "aT9_s001.png", "a_s001.jpg"):
            (tmp_path / "out" / name).touch()
            with pytest.raises(OutputError, match="files that do not belong to this input"):
                cut(folder, tmp_path / "out", PLAIN)
            (tmp_path / "out" / name).unlink()
        (folder / "b.png").unlink()
        with pytest.raises(OutputError, match=r"files that do not belong to this input \(b_s001\.png\)"):
            cut(folder, tmp_path / "out", PLAIN)

    def test_a_folder_with_other_content_is_refused(self, folder: Path, tmp_path: Path) -> None:
        write_bytes(tmp_path / "out" / "a_s001.png", b"mine")
        with pytest.raises(OutputError, match=r"is not empty and does not contain subimages\.json"):
            cut(folder, tmp_path / "out", PLAIN)
        assert contents(tmp_path / "out") == {"a_s001.png": b"mine"}

    def test_a_full_disk_is_one_line_and_finished_crops_stay(self, tmp_path: Path, full_disk: FullDisk) -> None:
        folder = write_pictures(tmp_path / "in", b=(30, 30), c=(30, 30))
        (folder / "a.png").touch()
        arguments = ["--input", folder, "--output", tmp_path / "out", "--crop", 20, "--step", 10, "--workers", 1]
        arguments += ["--scales", "none", "--short-side", 0]
        with full_disk(6):  # the record, b with its four crops, and one of c
            result = run(*arguments)
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            f"could not be processed: {folder}/a.png: empty file",
            f"Error: {tmp_path}/out/c_s002.png: No space left on device; free some space and run again",
        ]
        assert names(tmp_path / "out") == [*(f"b_s00{n}.png" for n in range(1, 5)), "c_s001.png"]
        (folder / "a.png").unlink()
        result = run(*arguments)
        assert result.stdout == "1 picture cut into 4 crops, 1 already up to date (4 crops)\n"


def cut_and_die(number: int, folder: Path, output: Path) -> None:
    die_at_rename(number, lambda: cut(folder, output))


class TestKilled:
    def test_while_a_changed_picture_is_cut_again(self, tmp_path: Path) -> None:
        folder = write_pictures(tmp_path / "in", a=(40, 40), b=(20, 20))
        cut(folder, tmp_path / "template")
        time.sleep(0.02)  # the file system's clock ticks
        write_png(folder / "a.png", noise((25, 30), "changed"))
        cut(folder, tmp_path / "clean")
        expected = contents(tmp_path / "clean")
        for number in range(100):
            output = Path(shutil.copytree(tmp_path / "template", tmp_path / str(number)))
            process = FORKED.Process(target=cut_and_die, args=(number, folder, output))
            process.start()
            process.join()
            if process.exitcode == 0:
                break
            cut(folder, output)
            assert contents(output) == expected
        assert number == 2 * (len(expected) - 2)  # the record and the crop of b stay


class TestChoice:
    def test_as_many_crops_as_asked_for_are_chosen_whatever_the_order_of_files(self, tmp_path: Path) -> None:
        first = write_pictures(tmp_path / "in", a=(50, 60), b=(40, 40), c=(20, 20))
        # The same pictures, written in another order and into two folders.
        one, two = (
            write_pictures(tmp_path / "one", c=(20, 20), b=(40, 40)),
            write_pictures(tmp_path / "two", a=(50, 60)),
        )
        everything = cut(first, tmp_path / "all", PLAIN)
        chosen = replace(PLAIN, choose=7, seed=3)
        assert cut(first, tmp_path / "out", chosen, workers=2).crops_made == 7
        extract_subimages([two, one], tmp_path / "again", chosen, workers=1)
        assert len(names(tmp_path / "out")) == 7 < everything.crops_made
        found = {name: (tmp_path / "out" / name).read_bytes() for name in names(tmp_path / "out")}
        assert found == {name: (tmp_path / "again" / name).read_bytes() for name in names(tmp_path / "again")}
        assert found == {name: (tmp_path / "all" / name).read_bytes() for name in found}
        cut(first, tmp_path / "other", replace(chosen, seed=4))
        assert names(tmp_path / "other") != names(tmp_path / "out")

    def test_crops_of_all_pictures_are_equally_likely(self) -> None:
        crops = [f"{picture}_s{number:03d}.png" for picture in "ab" for number in range(50)]
        drawn = [SubimageSettings(choose=20, seed=seed).choice(crops) for seed in range(300)]
        counts = [sum(name in choice for choice in drawn) for name in crops]
        assert all(len(choice) == 20 for choice in drawn)
        assert 30 < min(counts) <= max(counts) < 95

    def test_an_interrupted_choice_resumes_and_another_one_is_refused(self, tmp_path: Path) -> None:
        folder, output = write_pictures(tmp_path / "in", a=(50, 60), b=(40, 40)), tmp_path / "out"
        chosen = replace(PLAIN, choose=5)
        cut(folder, output, chosen)
        before = contents(output)
        (output / names(output)[0]).unlink()
        outcome = cut(folder, output, chosen)
        assert contents(output) == before
        assert outcome.crops_kept < 5
        assert not outcome.small
        for other in (PLAIN, replace(chosen, choose=6), replace(chosen, seed=1)):
            with pytest.raises(OutputError, match="made with different settings"):
                cut(folder, output, other)

    def test_too_few_crops_and_unreadable_pictures_are_refused_before_anything_is_written(self, tmp_path: Path) -> None:
        folder, output = write_pictures(tmp_path / "in", a=(30, 30)), tmp_path / "out"
        options = ("--input", folder, "--output", output, "--crop", 20, "--step", 10, "--scales", "none")
        result = run(*options, "--short-side", 0, "--choose", 5)
        assert result.exit_code == 2
        assert "--choose is 5, but the pictures have 4 crops; choose fewer" in result.output
        write_bytes(folder / "b.png", b"broken")
        write_bytes(folder / "c.png", b"broken")
        result = run(*options, "--short-side", 0, "--choose", 3)
        assert result.exit_code == 1
        assert "2 pictures cannot be read" in result.output
        assert not output.exists()
