"""What of a plain folder is taken for a picture."""

import os
from pathlib import Path

import pytest

from hggt_data.errors import TreeError
from hggt_data.io.images import PICTURE_ENDINGS, is_picture_name, list_folder, looks_like_picture


def test_pictures_other_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPEG", "notes.txt", "c.gif", ".png", ".DS_Store", "._b.png", "Thumbs.db"):
        (tmp_path / name).touch()
    for name in ("z", "d.png"):
        (tmp_path / name).mkdir()
    found = list_folder(tmp_path)
    assert found.pictures == [tmp_path / "a.JPEG", tmp_path / "b.png"]
    assert found.others == [".png", "c.gif", "notes.txt"]
    assert found.folders == ["d.png", "z"]


def test_what_cannot_be_read_later_is_not_left_out_silently(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("absent.png")
    os.mkfifo(tmp_path / "b.png")
    assert [path.name for path in list_folder(tmp_path).pictures] == ["a.png", "b.png"]


def test_no_picture_is_an_error_that_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match=r"no pictures; expected \.png, .*\.tiff, found 0 files$"):
        list_folder(tmp_path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "animal").mkdir()
    with pytest.raises(TreeError, match=r"found 1 file and 1 folder, not searched$"):
        list_folder(tmp_path)


def test_every_ending_counts_in_any_case() -> None:
    assert all(is_picture_name(f"a{ending}") and is_picture_name(f"a{ending.upper()}") for ending in PICTURE_ENDINGS)
    assert not any(is_picture_name(name) for name in ("a", "png", "a.png.tmp", "._a.png"))


def test_what_looks_like_a_picture_need_not_be_one_that_is_read() -> None:
    assert all(looks_like_picture(name) for name in ("a.png", "a.JPG", "a.gif", "a.PPM"))
    assert not any(looks_like_picture(name) for name in ("a.txt", "gif", "._a.gif"))
