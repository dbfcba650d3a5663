"""Users' pictures of any kind, and names in a folder."""

import os
import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from hggt_data.errors import ImageError, TreeError
from hggt_data.io.images import Pixels, read_pixels
from hggt_data.io.pictures import (
    PICTURE_ENDINGS,
    Note,
    Picture,
    check_picture,
    describe_notes,
    is_picture_name,
    list_folder,
    looks_like_picture,
    read_picture,
    read_picture_size,
    read_picture_with_notes,
)
from tests.hggt_data.io.test_images import PIXELS, RGB, RGB16, saved
from tests.hggt_data.trees import LFS_POINTER_FILE, join_png, split_png, with_chunk, with_rows


def tiff(
    pixels: bytes,
    order: str,
    *,
    bits: int,
    samples: int = 3,
    photometric: int = 2,
    planar: int = 1,
    sample_format: int = 1,
    extra: int | None = None,
    second: bool = False,
) -> bytes:
    """An uncompressed TIFF of 24 x 20 pixels; with a `second` directory without a size, if wanted."""
    planes = samples if planar == 2 else 1
    size = 24 * 20 * samples * bits // 8
    tags: dict[int, list[int]] = {256: [20], 257: [24], 258: [bits] * samples, 259: [1], 262: [photometric]}
    tags |= {273: [0] * planes, 277: [samples], 278: [24], 279: [size // planes] * planes, 284: [planar]}
    tags |= ({} if extra is None else {338: [extra]}) | {339: [sample_format] * samples}
    values_at = 8 + 2 + 12 * len(tags) + 4
    values = b"".join(struct.pack(f"{order}{len(v)}I", *v) for v in tags.values() if len(v) > 1)
    end = values_at + len(values)
    start = end + 18
    tags[273] = [start + size // planes * plane for plane in range(planes)]
    entries, values = b"", b""
    for tag, numbers in tags.items():
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        place = packed if len(numbers) == 1 else struct.pack(f"{order}I", values_at + len(values))
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + place
        values += packed if len(numbers) > 1 else b""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    link = struct.pack(f"{order}I", end if second else 0)
    other = struct.pack(f"{order}HHHIII", 1, 259, 4, 1, 1, 0)
    return head + entries + link + values + other + pixels[:size]


def interlaced(grey: NDArray[np.uint8], dropped: int = 0) -> bytes:
    """An interlaced PNG of a grey picture; its pixel data lacks the last `dropped` bytes."""
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = [grey[top::down, left::across] for top, left, down, across in starts]
    raw = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 1)
    return join_png([(b"IHDR", header), (b"IDAT", zlib.compress(raw[: len(raw) - dropped])), (b"IEND", b"")])


def icc_profile(gamma: float, space: bytes = b"RGB ") -> bytes:
    """A colour profile with the primaries of sRGB and this exponent, for a picture of this space."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white, *primaries = (
        b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in xyz))
        for xyz in ((0.9642, 1, 0.8249), (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
    )
    tags = {b"wtpt": white, b"kTRC": curve, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    tags |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True))
    start = 128 + 4 + 12 * len(tags)
    table, body = b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s12x4s", start + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ", b"acsp")
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def srgb_of_linear(values: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Linear light, 0 to 255, as sRGB, by the formula of IEC 61966-2-1."""
    unit = values / 255
    return 255 * np.where(unit <= 0.0031308, 12.92 * unit, 1.055 * unit ** (1 / 2.4) - 0.055)


def fault_of(read: Callable[[Path], object], path: Path) -> str:
    try:
        read(path)
    except ImageError as error:
        return str(error)
    return "none"


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


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

    @pytest.mark.parametrize("ending", ["png", "tif"])
    @pytest.mark.parametrize("orientation", range(10))
    def test_the_pixels_before_the_turn_are_known(
        self, crop: Pixels, tmp_path: Path, orientation: int, ending: str
    ) -> None:
        image = Image.fromarray(crop)
        exif = image.getexif()
        exif[0x0112] = orientation
        image.save(tmp_path / f"a.{ending}", exif=exif)
        picture = read_picture_with_notes(tmp_path / f"a.{ending}")
        np.testing.assert_array_equal(picture.stored(), crop)
        assert picture.size == ((128, 96) if orientation in (5, 6, 7, 8) else (96, 128))

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
        with pytest.raises(ImageError, match=rf"a\.{ending}: (cut off inside|its header cannot|cannot be read)"):
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

    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.png")
        with pytest.raises(OSError, match="not a regular file"):
            read_picture_size(tmp_path / "a.png")

    @pytest.mark.parametrize("data", [RGB16, saved(Image.fromarray(np.zeros((3, 3), np.uint16)))], ids=["RGB", "grey"])
    def test_a_16_bit_png_is_refused(self, data: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(data)
        for read in (read_picture, check_picture):
            with pytest.raises(ImageError, match=r"a\.png: 16-bit .*; expected 8 bits per channel, convert it first"):
                read(tmp_path / "a.png")

    @pytest.mark.parametrize(
        ("kind", "found"),
        [
            ({"bits": 16, "samples": 1, "photometric": 1}, "16-bit TIFF"),
            ({"bits": 16}, "16-bit TIFF"),
            ({"bits": 16, "planar": 2}, "16-bit TIFF"),
            ({"bits": 16, "samples": 4, "extra": 2}, "16-bit TIFF"),
            ({"bits": 12, "samples": 1, "photometric": 1}, "12-bit TIFF|cannot be read as"),
            ({"bits": 32, "samples": 1, "photometric": 1, "sample_format": 3}, "32-bit float TIFF"),
            ({"bits": 32, "samples": 1, "photometric": 1, "sample_format": 2}, "32-bit signed TIFF"),
            ({"bits": 8, "samples": 1, "photometric": 1, "sample_format": 2}, "8-bit signed TIFF"),
            ({"bits": 32}, "cannot be read as"),
            ({"bits": 8, "photometric": 8}, "LAB pixels; expected 8-bit RGB or grey"),
            ({"bits": 8, "photometric": 6}, "YCbCr pixels; expected 8-bit RGB or grey"),
            ({"bits": 8, "samples": 4, "photometric": 5}, "CMYK pixels; expected 8-bit RGB or grey"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_a_tiff_that_would_lose_information_is_refused(
        self, kind: dict[str, Any], found: str, order: str, tmp_path: Path
    ) -> None:
        (tmp_path / "a.tif").write_bytes(tiff(bytes(24 * 20 * 16), order, **kind))
        for read in (read_picture, check_picture):
            with pytest.raises(ImageError, match=rf"a\.tif: ({found})"):
                read(tmp_path / "a.tif")

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_an_8_bit_tiff_is_read(self, order: str, tmp_path: Path) -> None:
        (tmp_path / "a.tif").write_bytes(tiff(PIXELS.tobytes(), order, bits=8))
        np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), PIXELS)

    def test_cmyk_and_animations_are_refused(self, crop: Pixels, tmp_path: Path) -> None:
        image = Image.fromarray(crop)
        image.convert("CMYK").save(tmp_path / "a.jpg")
        with pytest.raises(ImageError, match="CMYK pixels; expected 8-bit RGB or grey"):
            read_picture(tmp_path / "a.jpg")
        image.save(tmp_path / "a.webp", save_all=True, append_images=[image.rotate(9)])
        with pytest.raises(ImageError, match="2 pictures in one file"):
            read_picture(tmp_path / "a.webp")

    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tif"])
    def test_a_truncated_file_is_refused(self, crop: Pixels, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a.{ending}"
        Image.fromarray(crop).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ImageError, match=rf"a\.{ending}: "):
            read_picture(path)

    @pytest.mark.parametrize("kept", [0, 1, 23], ids=lambda rows: f"{rows} rows")
    @pytest.mark.parametrize(
        "data",
        [
            *(saved(RGB.convert(mode)) for mode in ("L", "1", "P", "LA", "RGBA")),
            saved(RGB.quantize(4)),
            with_chunk(saved(RGB), b"tEXt", b"Comment\0of a camera"),
            with_chunk(saved(RGB.convert("L")), b"eXIf", b"MM\0*\0\0\0\x08\0\0\0\0\0\0"),
        ],
        ids=["grey", "1 bit", "palette", "grey alpha", "alpha", "2-bit palette", "text", "EXIF"],
    )
    def test_png_data_that_ends_early_is_refused(self, data: bytes, kept: int, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(data)
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_picture(path), np.asarray(image.convert("RGB")))
        chunks = split_png(data)
        cut = dict(split_png(with_rows(data, kept)))[b"IDAT"]
        path.write_bytes(join_png([(kind, cut if kind == b"IDAT" else body) for kind, body in chunks]))
        with pytest.raises(ImageError, match=r"a\.png: its pixel.* (ends early, after|cannot be decoded)"):
            read_picture(path)

    def test_an_interlaced_png_that_ends_early_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        grey = np.asarray(RGB.convert("L"))[:5, :3]  # one of the seven passes has no columns
        path.write_bytes(interlaced(grey))
        np.testing.assert_array_equal(read_picture(path), grey[..., None].repeat(3, 2))
        path.write_bytes(interlaced(grey, dropped=1))
        with pytest.raises(ImageError, match=r"a\.png: its pixel data ends early, after 24 of 25 bytes"):
            read_picture(path)

    def test_a_tiff_with_a_damaged_second_directory_is_refused(self, tmp_path: Path) -> None:
        data = tiff(PIXELS.tobytes(), "<", bits=8, second=True)
        (tmp_path / "a.tif").write_bytes(data)
        with pytest.raises(ImageError, match=r"a\.tif: its pixels cannot be decoded: Missing dimensions"):
            read_picture(tmp_path / "a.tif")

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tif"])
    def test_every_failure_of_a_decoder_names_the_file(self, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"a.{ending}"
        options: dict[str, Any] = {} if ending == "webp" else {"exif": orientation(6)} if ending != "bmp" else {}
        RGB.save(path, **options)
        data = path.read_bytes()
        rng = random.Random(16)
        for _ in range(200):
            damaged = bytearray(data)
            for _ in range(rng.choice((1, 3, 20))):
                damaged[rng.randrange(len(damaged))] = rng.choice((0, 1, 255, rng.randrange(256)))
            path.write_bytes(damaged[: rng.choice((len(damaged), rng.randrange(len(damaged))))])
            for read in (read_picture, check_picture, read_picture_size):
                assert fault_of(read, path).startswith((f"{path}: ", "none"))

    @pytest.mark.parametrize("xmp", [b"", b'<rdf:Description hdrgm:Version="1.0"/>'], ids=["MPO", "gain map"])
    def test_a_jpeg_with_several_pictures_gives_its_first(self, crop: Pixels, xmp: bytes, tmp_path: Path) -> None:
        first = Image.fromarray(crop)
        first.save(tmp_path / "one.jpg")
        path = tmp_path / "two.jpg"
        first.save(path, "MPO", save_all=True, append_images=[first.resize((64, 48)).rotate(180)], xmp=xmp)
        with Image.open(path) as image:
            assert image.format == ("JPEG" if xmp else "MPO")
        np.testing.assert_array_equal(read_picture(path), read_picture(tmp_path / "one.jpg"))
        assert check_picture(path) == frozenset()

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "empty.png").write_bytes(b"")
        (tmp_path / "text.png").write_text("hello")
        with pytest.raises(ImageError, match="empty file"):
            read_picture(tmp_path / "empty.png")
        with pytest.raises(ImageError, match="cannot be read as PNG, JPEG, WebP, BMP or TIFF"):
            read_picture(tmp_path / "text.png")
        for name, read in (("a.jpg", read_picture), ("a.png", read_pixels)):
            (tmp_path / name).write_bytes(LFS_POINTER_FILE)
            with pytest.raises(ImageError, match=rf"{re.escape(name)}: a git-lfs pointer, .* run `git lfs pull`"):
                read(tmp_path / name)


class TestCheck:
    """`check_picture`: what the header shows, before a training starts."""

    @pytest.mark.parametrize("mode", ["RGB", "L", "P"])
    def test_transparency_is_found(self, mode: str, tmp_path: Path) -> None:
        black_and_white = Image.fromarray(np.array([[0, 0, 255]] * 3, np.uint8)).convert(mode)
        key: Any = {"RGB": (0, 0, 0), "L": 0, "P": b"\0" * 256}[mode]
        black_and_white.save(tmp_path / "clear.png", transparency=key)
        with pytest.raises(ImageError, match=r"clear\.png: partly transparent"):
            check_picture(tmp_path / "clear.png")
        unused: Any = {"RGB": (1, 2, 3), "L": 7, "P": b"\xff" * 256}[mode]
        black_and_white.save(tmp_path / "opaque.png", transparency=unused)
        assert check_picture(tmp_path / "opaque.png") == {(Note.ALPHA, tmp_path / "opaque.png")}

    @pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif"])
    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_an_opaque_picture_is_not_decoded(self, mode: str, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"a.{ending}"
        options: dict[str, Any] = {"compression": "raw"} if ending == "tif" else {"icc_profile": icc_profile(1)}
        RGB.convert(mode).save(path, **options)
        found = check_picture(path)
        assert found == read_picture_with_notes(path).notes
        if ending != "tif":  # has its header at its end
            path.write_bytes(path.read_bytes()[:-100])
        assert check_picture(path) == found

    def test_a_format_that_hggt_cannot_read_is_an_error(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
        with pytest.raises(ImageError, match=r"a\.gif: cannot be read as PNG, JPEG, WebP, BMP or TIFF"):
            check_picture(tmp_path / "a.gif")


class TestNotes:
    """What `read_picture` changes or ignores without refusing the picture."""

    def read(self, path: Path, image: Image.Image, **options: Any) -> Picture:
        image.save(path, **options)
        picture = read_picture_with_notes(path)
        assert picture.notes == check_picture(path)
        return picture

    def test_a_dropped_alpha_channel_is_noted(self, tmp_path: Path) -> None:
        for mode in ("RGBA", "LA"):
            path = tmp_path / f"{mode}.png"
            picture = self.read(path, RGB.convert(mode))
            assert picture.notes == {(Note.ALPHA, path)}
            np.testing.assert_array_equal(picture.pixels, np.asarray(RGB.convert(mode).convert("RGB")))

    def test_a_dropped_extra_channel_of_a_tiff_is_noted(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        with_extra = np.dstack([PIXELS, PIXELS[..., :1]])
        path.write_bytes(tiff(with_extra.tobytes(), "<", bits=8, samples=4, extra=0))
        picture = read_picture_with_notes(path)
        np.testing.assert_array_equal(picture.pixels, PIXELS)
        assert picture.notes == check_picture(path) == {(Note.ALPHA, path)}

    @pytest.mark.parametrize("ending", ["png", "webp", "tif"])
    def test_another_profile_is_converted_to_srgb(self, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"a.{ending}"
        options = {"lossless": True} if ending == "webp" else {}
        picture = self.read(path, RGB, icc_profile=icc_profile(1), **options)
        assert picture.notes == {(Note.CONVERTED, path)}
        assert np.abs(picture.pixels - srgb_of_linear(PIXELS)).max() <= 1

    def test_a_grey_picture_is_converted_with_its_own_profile_and_with_that_of_rgb(self, tmp_path: Path) -> None:
        grey = RGB.convert("L")
        expected = srgb_of_linear(np.asarray(grey))[..., None].repeat(3, 2)
        for space in (b"GRAY", b"RGB "):
            picture = self.read(tmp_path / "a.png", grey, icc_profile=icc_profile(1, space))
            assert np.abs(picture.pixels - expected).max() <= 1

    def test_a_palette_and_an_alpha_channel_do_not_hide_the_profile(self, tmp_path: Path) -> None:
        expected = self.read(tmp_path / "a.png", RGB, icc_profile=icc_profile(1)).pixels
        picture = self.read(tmp_path / "b.png", RGB.convert("RGBA"), icc_profile=icc_profile(1))
        assert {note for note, _ in picture.notes} == {Note.ALPHA, Note.CONVERTED}
        np.testing.assert_array_equal(picture.pixels, expected)
        few = RGB.quantize(8)
        expected = self.read(tmp_path / "a.png", few.convert("RGB"), icc_profile=icc_profile(1)).pixels
        np.testing.assert_array_equal(self.read(tmp_path / "b.png", few, icc_profile=icc_profile(1)).pixels, expected)

    def test_the_profile_of_srgb_changes_nothing_whatever_its_name(self, tmp_path: Path) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        for image in (RGB, RGB.convert("RGB").rotate(90), RGB.convert("L")):
            picture = self.read(tmp_path / "a.png", image, icc_profile=profile)
            assert picture.notes == frozenset()
            np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))

    @pytest.mark.parametrize("profile", [b"damaged", icc_profile(1, b"GRAY"), icc_profile(1, b"CMYK")])
    def test_a_profile_that_cannot_be_used_is_noted(self, profile: bytes, tmp_path: Path) -> None:
        picture = self.read(tmp_path / "a.png", RGB, icc_profile=profile)
        assert picture.notes == {(Note.UNUSABLE_PROFILE, tmp_path / "a.png")}
        np.testing.assert_array_equal(picture.pixels, PIXELS)

    @pytest.mark.parametrize(
        ("chunks", "is_noted"),
        [
            ([(b"gAMA", struct.pack(">I", 100_000))], True),
            ([(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))], True),
            ([(b"gAMA", struct.pack(">I", 45_455))], False),
            ([(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))], False),
            ([(b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")], False),
            ([(b"sRGB", b"\0"), (b"cICP", bytes((9, 16, 0, 1)))], True),
            ([(b"gAMA", struct.pack(">I", 100_000)), (b"cICP", bytes((1, 13, 0, 1)))], False),
        ],
        ids=["linear", "Adobe RGB", "gamma of sRGB", "primaries of sRGB", "sRGB wins", "HDR wins", "cICP of sRGB wins"],
    )
    def test_another_gamma_or_other_primaries_are_noted(
        self, chunks: list[tuple[bytes, bytes]], is_noted: bool, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.png"
        header, *rest = split_png(saved(RGB))
        path.write_bytes(join_png([header, *chunks, *rest]))
        picture = read_picture_with_notes(path)
        assert picture.notes == check_picture(path) == ({(Note.OTHER_COLOURS, path)} if is_noted else frozenset())
        np.testing.assert_array_equal(picture.pixels, PIXELS)

    def test_adobe_rgb_in_exif_is_noted_unless_there_is_a_profile(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {ExifTags.Interop.InteropIndex: "R03"}
        path = tmp_path / "a.jpg"
        assert self.read(path, RGB, exif=exif).notes == {(Note.OTHER_COLOURS, path)}
        assert self.read(path, RGB, exif=exif, icc_profile=icc_profile(1)).notes == {(Note.CONVERTED, path)}
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {ExifTags.Interop.InteropIndex: "R98"}
        assert self.read(path, RGB, exif=exif).notes == frozenset()

    def test_there_is_one_line_for_each_kind(self) -> None:
        notes = {(Note.ALPHA, Path(f"in/{name}.png")) for name in "dbca"} | {(Note.CONVERTED, Path("in/x.jpg"))}
        assert describe_notes(notes) == [
            "Dropped an opaque alpha or extra channel of 4 pictures: a.png, b.png, c.png and 1 more",
            "Converted 1 picture to sRGB from the embedded colour profile: x.jpg",
        ]


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


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_memory_that_runs_out_is_not_blamed_on_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    Image.new("RGB", (8, 8)).save(tmp_path / name)
    monkeypatch.setattr("kornia_rs.io.decode_image_png_u8", fails)
    monkeypatch.setattr(Image.Image, "convert", fails)
    monkeypatch.setattr(Image.Image, "load", fails)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fails)
    with pytest.raises(ImageError, match=f"{name}: its pixels cannot be decoded: not enough memory; use fewer workers"):
        read_picture(tmp_path / name)
