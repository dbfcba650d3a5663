"""Pictures shared by a training set and test pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hggt_data.cli.main import main
from hggt_data.comparison.overlap import SharedPicture, find_shared_pictures
from hggt_data.errors import TreeError
from hggt_data.io.files import read_csv
from hggt_data.io.images import read_pixels, write_png

FIRST = "Train/images/0-6/original"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["overlap", *map(str, arguments), "--workers", "1"])


@pytest.fixture
def originals(fixtures: Path) -> list[Path]:
    return sorted(path for path in (fixtures / FIRST).iterdir())


def test_equal_pixels_are_found_in_other_files(fixtures: Path, originals: list[Path], tmp_path: Path) -> None:
    Image.open(originals[0]).save(tmp_path / "copy.png", compress_level=1)
    report = find_shared_pictures(fixtures / "Train", tmp_path, workers=1)
    assert report.shared == (SharedPicture("equal", originals[0].stem, "copy.png", ""),)
    assert report.num_pictures == (6, 1)


def test_a_resized_jpeg_looks_alike(fixtures: Path, originals: list[Path], tmp_path: Path) -> None:
    Image.open(originals[1]).resize((100, 100)).save(tmp_path / "web.jpg", quality=75)
    (shared,) = find_shared_pictures(fixtures / "Train", tmp_path, workers=1).shared
    assert (shared.kind, shared.training, shared.test) == ("alike", originals[1].stem, "web.jpg")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_patch_is_found_in_the_picture_it_was_cut_out_of(
    fixtures: Path, originals: list[Path], tmp_path: Path, swapped: bool
) -> None:
    whole = np.pad(read_pixels(originals[2]), ((9, 20), (30, 4), (0, 0)), mode="reflect")
    (tmp_path / "sub").mkdir()
    write_png(tmp_path / "sub/whole.png", whole)
    sets = (tmp_path, fixtures / "Train") if swapped else (fixtures / "Train", tmp_path)
    (shared,) = find_shared_pictures(*sets, workers=1).shared
    one, two = ("sub/whole.png", originals[2].stem) if swapped else (originals[2].stem, "sub/whole.png")
    assert shared == SharedPicture("crop", one, two, "at row 9, column 30")


def test_the_command_reports_everything_and_exits_with_1(real_dataset: Path, tmp_path: Path) -> None:
    result = run(real_dataset, real_dataset, "--split", "train", "--output", tmp_path / "found.csv")
    assert result.exit_code == 1, result.output
    assert "6 pictures of" in result.output
    assert "6 pairs of pictures with the same pixels" in result.output
    assert "4 source pictures with the same name" in result.output
    columns, lines = read_csv(tmp_path / "found.csv")
    assert columns == ["kind", "training", "test", "detail"]
    assert sum(line["kind"] == "equal" for line in lines) == 6


def test_sets_without_shared_pictures_exit_with_0(originals: list[Path], tmp_path: Path) -> None:
    for folder, paths in (("one", originals[:1]), ("two", originals[-1:])):
        (tmp_path / folder).mkdir()
        for number, path in enumerate(paths):
            shutil.copy(path, tmp_path / folder / f"{folder}{number}.png")
    result = run(tmp_path / "one", tmp_path / "two")
    assert result.exit_code == 0, result.output
    assert "no shared pictures found" in result.output


def test_flat_pictures_are_counted_and_not_compared_by_looks(tmp_path: Path) -> None:
    for folder, colour in (("one", 100), ("two", 104)):
        (tmp_path / folder).mkdir()
        write_png(tmp_path / folder / f"{folder}.png", np.full((32, 32, 3), colour, np.uint8))
    report = find_shared_pictures(tmp_path / "one", tmp_path / "two", workers=1)
    assert (report.shared, report.flat) == ((), (1, 1))
    assert "by pixels, or if of one colour not at all: 1 and 1" in "\n".join(report.describe())


def test_a_damaged_picture_is_reported_and_the_others_are_compared(originals: list[Path], tmp_path: Path) -> None:
    shutil.copy(originals[0], tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"junk")
    result = run(tmp_path, originals[0].parents[3])
    assert result.exit_code == 1
    assert "1 file could not be read" in result.output
    assert "bad.png" in result.output
    assert "1 pair of pictures with the same pixels" in result.output


def test_a_folder_without_pictures_is_refused(fixtures: Path, tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="found no pictures"):
        find_shared_pictures(fixtures / "Train", tmp_path)
