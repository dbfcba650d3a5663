"""Users' pictures of any kind, and names in a folder."""

import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hggt_data.errors import ImageError, TreeError
from hggt_data.io.images import Pixels, read_pixels
from hggt_data.io.pictures import (
    PICTURE_ENDINGS,
    is_picture_name,
    is_plain_picture,
    list_folder,
    looks_like_picture,
    read_picture,
    read_picture_size,
)
from tests.hggt_data.io.test_images import RGB, RGB16
from tests.hggt_data.trees import LFS_POINTER_FILE


class TestAnyPicture:
    """`read_picture`: users' files become 8-bit RGB; files that would lose information are refused."""

    @pytest.fixture
    def crop(self, fixtures: Path) -> Pixels:
        """A real crop, 96 x 128, so that rotating it changes its size."""
        [path, *_] = sorted((fixtures / "Train/images/0-6/original").iterdir())
        return read_pixels(path)[:96]

    @pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
    def test_rgb_of_every_lossless_kind_is_untouched(self, crop: Pixels, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a.{ending}"
        options: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
        Image.fromarray(crop).save(path, **options)
        np.testing.assert_array_equal(read_picture(path), crop)

    def test_jpeg_is_close(self, crop: Pixels, tmp_path: Path) -> None:
        Image.fromarray(crop).save(tmp_path / "a.jpg", quality=95)
        found = read_picture(tmp_path / "a.jpg")
        assert found.shape == crop.shape
        assert np.abs(found.astype(int) - crop).mean() < 4

    def test_grey_and_palette_become_rgb(self, crop: Pixels, tmp_path: Path) -> None:
        grey = Image.fromarray(crop).convert("L")
        grey.save(tmp_path / "grey.png")
        np.testing.assert_array_equal(read_picture(tmp_path / "grey.png"), np.asarray(grey)[..., None].repeat(3, 2))
        palette = Image.fromarray(crop).quantize(64)
        palette.save(tmp_path / "palette.png")
        np.testing.assert_array_equal(read_picture(tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))

    def test_an_opaque_alpha_channel_is_dropped_and_a_transparent_one_refused(
        self, crop: Pixels, tmp_path: Path
    ) -> None:
        alpha = np.full(crop.shape[:2], 255, np.uint8)
        Image.fromarray(np.dstack([crop, alpha])).save(tmp_path / "opaque.png")
        np.testing.assert_array_equal(read_picture(tmp_path / "opaque.png"), crop)
        alpha[0, 0] = 254
        Image.fromarray(np.dstack([crop, alpha])).save(tmp_path / "clear.png")
        with pytest.raises(ImageError, match=r"clear\.png: partly transparent"):
            read_picture(tmp_path / "clear.png")

    @pytest.mark.parametrize("ending", ["png", "jpg"])
    def test_the_orientation_in_exif_is_applied(self, crop: Pixels, tmp_path: Path, ending: str) -> None:
        image = Image.fromarray(crop)
        exif = image.getexif()
        exif[0x0112] = 6  # rotate 90 degrees clockwise
        path = tmp_path / f"a.{ending}"
        options: dict[str, Any] = {"quality": 95} if ending == "jpg" else {}
        image.save(path, exif=exif, **options)
        found = read_picture(path)
        assert found.shape == (128, 96, 3)
        assert np.abs(found.astype(int) - np.rot90(crop, -1)).mean() < 4

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tif"])
    def test_the_size_is_read_from_the_header(self, crop: Pixels, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a.{ending}"
        Image.fromarray(crop).save(path)
        assert read_picture_size(path) == (96, 128)
        if ending in ("png", "jpg", "bmp"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            assert read_picture_size(path) == (96, 128)
        path.write_bytes(path.read_bytes()[:20])
        with pytest.raises(ImageError, match=rf"a\.{ending}: its header cannot be read: "):
            read_picture_size(path)

    @pytest.mark.filterwarnings("error")
    def test_one_limit_holds_for_large_pictures(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        path = tmp_path / "a.jpg"
        RGB.save(path)
        assert read_picture_size(path) == (24, 20)
        assert read_picture(path).shape == (24, 20, 3)
        assert Image.MAX_IMAGE_PIXELS == 10
        bitmap = tmp_path / "a.bmp"
        RGB.save(bitmap)
        head = bytearray(bitmap.read_bytes())
        head[18:26] = struct.pack("<ii", 20_000, 20_001)  # its width and height
        bitmap.write_bytes(head)
        expected = r"a\.bmp: 20,001 x 20,000 pixels; expected at most 268,435,456 in total"
        with pytest.raises(ImageError, match=expected):
            read_picture(bitmap)

    @pytest.mark.parametrize(
        ("mode", "name", "is_plain"),
        [
            *(("RGB", "a.png", True), ("L", "a.png", True), ("RGBA", "a.png", False), ("P", "a.png", False)),
            *(("RGB", "a.jpg", True), ("L", "a.jpg", True), ("CMYK", "a.jpg", False), ("RGBA", "a.webp", False)),
        ],
    )
    def test_the_header_shows_whether_a_picture_is_plain(
        self, mode: str, name: str, is_plain: bool, tmp_path: Path
    ) -> None:
        Image.new(mode, (8, 8)).save(tmp_path / name)
        assert is_plain_picture(tmp_path / name) == is_plain

    def test_a_format_that_hggt_cannot_read_is_an_error(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
        with pytest.raises(ImageError, match=r"a\.gif: its header cannot be read: "):
            is_plain_picture(tmp_path / "a.gif")

    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.png")
        with pytest.raises(OSError, match="not a regular file"):
            read_picture_size(tmp_path / "a.png")

    def test_16_bits_are_refused(self, tmp_path: Path) -> None:
        deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
        Image.fromarray(deep).save(tmp_path / "a.png")
        Image.fromarray(deep).save(tmp_path / "a.tif")
        for name in ("a.png", "a.tif"):
            with pytest.raises(ImageError, match="convert it first"):
                read_picture(tmp_path / name)
        (tmp_path / "rgb.png").write_bytes(RGB16)
        with pytest.raises(ImageError, match="16-bit RGB; expected 8 bits per channel"):
            read_picture(tmp_path / "rgb.png")

    def test_cmyk_and_animations_are_refused(self, crop: Pixels, tmp_path: Path) -> None:
        image = Image.fromarray(crop)
        image.convert("CMYK").save(tmp_path / "a.jpg")
        with pytest.raises(ImageError, match="CMYK pixels; expected 8-bit RGB or grey"):
            read_picture(tmp_path / "a.jpg")
        image.save(tmp_path / "a.webp", save_all=True, append_images=[image.rotate(9)])
        with pytest.raises(ImageError, match="2 pictures in one file"):
            read_picture(tmp_path / "a.webp")

    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
    def test_a_truncated_file_is_refused(self, crop: Pixels, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a.{ending}"
        Image.fromarray(crop).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ImageError, match=rf"a\.{ending}: "):
            read_picture(path)

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "empty.png").write_bytes(b"")
        (tmp_path / "text.png").write_text("hello")
        with pytest.raises(ImageError, match="empty file"):
            read_picture(tmp_path / "empty.png")
        with pytest.raises(ImageError, match="not a PNG, JPEG, WebP, BMP or TIFF"):
            read_picture(tmp_path / "text.png")
        for name, read in (("a.jpg", read_picture), ("a.png", read_pixels)):
            (tmp_path / name).write_bytes(LFS_POINTER_FILE)
            with pytest.raises(ImageError, match=rf"{re.escape(name)}: a git-lfs pointer, .* run `git lfs pull`"):
                read(tmp_path / name)


class TestFolder:
    def test_pictures_other_files_and_folders_are_listed(self, tmp_path: Path) -> None:
        for name in ("b.png", "a.JPEG", "notes.txt", "c.gif", ".png", ".DS_Store", "._b.png", "Thumbs.db"):
            (tmp_path / name).touch()
        for name in ("z", "d.png"):
            (tmp_path / name).mkdir()
        (tmp_path / "e.png").symlink_to("absent.png")
        found = list_folder(tmp_path)
        assert [path.name for path in found.pictures] == ["a.JPEG", "b.png", "e.png"]
        assert found.others == [".png", "c.gif", "notes.txt"]
        assert found.folders == ["d.png", "z"]

    def test_a_folder_without_pictures_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        (tmp_path / "animal").mkdir()
        with pytest.raises(
            TreeError, match=r"no pictures; expected \.png, .*\.tiff, found 1 file and 1 folder, not sea"
        ):
            list_folder(tmp_path)

    def test_endings_count_in_upper_and_lower_case(self) -> None:
        assert all(is_picture_name(f"a{end}") and is_picture_name(f"a{end.upper()}") for end in PICTURE_ENDINGS)
        assert not any(is_picture_name(name) for name in ("a", "png", "a.png.tmp", "._a.png", "a.gif"))
        assert all(looks_like_picture(name) for name in ("a.png", "a.JPG", "a.gif", "a.PPM"))
        assert not any(looks_like_picture(name) for name in ("a.txt", "gif", "._a.gif"))
