"""Picture files: strict PNG decoding that equals Pillow's pixels, users' pictures, names in a folder."""

import io
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from hggt_data.errors import ImageError, TreeError
from hggt_data.io.images import (
    PICTURE_ENDINGS,
    Pixels,
    PngInfo,
    decode_png,
    encode_png,
    is_picture_name,
    is_plain_picture,
    list_folder,
    looks_like_picture,
    parse_png,
    read_picture,
    read_picture_size,
    read_pixels,
    read_png_header,
    write_png,
)
from tests.hggt_data.trees import join_png, noise, split_png, with_chunk, with_rows

PIXELS = noise((24, 20), "picture")
WHOLE = encode_png(PIXELS)


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def test_pixels_of_every_real_picture_equal_pillows(fixtures: Path) -> None:
    paths = sorted(fixtures.rglob("*.png"))
    assert len(paths) >= 80
    for path in paths:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_pixels(path), np.asarray(image), err_msg=str(path))


@pytest.mark.parametrize("compression", [0, 9])
def test_a_written_picture_is_read_back_unchanged_and_has_no_metadata(tmp_path: Path, compression: int) -> None:
    assert {kind for kind, _ in split_png(encode_png(PIXELS, compression))} == {b"IHDR", b"IDAT", b"IEND"}
    np.testing.assert_array_equal(decode_png(encode_png(PIXELS, compression)), PIXELS)
    path = tmp_path / "a.png"
    write_png(path, PIXELS)
    np.testing.assert_array_equal(read_pixels(path), PIXELS)
    assert read_png_header(path) == PngInfo(24, 20, "8-bit RGB")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_view_of_a_larger_array_is_written_correctly() -> None:
    np.testing.assert_array_equal(decode_png(encode_png(PIXELS[::2, 3:11, ::-1])), PIXELS[::2, 3:11, ::-1])


@given(st.integers(0, len(WHOLE) - 1))
def test_a_picture_cut_at_any_length_is_refused(length: int) -> None:
    with pytest.raises(ImageError, match=r"empty file|not a PNG|cut off.*bytes"):
        decode_png(WHOLE[:length])


def test_no_bit_flip_of_a_real_picture_yields_pixels(fixtures: Path) -> None:
    path = next((fixtures / "Test").rglob("coffee-27-433_01.png"))
    data = path.read_bytes()
    rng = random.Random(20193)
    positions = [rng.randrange(8 * len(data)) for _ in range(100)]
    # Random positions hardly hit the signature, header and end mark, so flip each of their bits too.
    positions += [*range(8 * 33), *range(8 * (len(data) - 12), 8 * len(data))]
    for position in positions:
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(ImageError):
            decode_png(bytes(flipped))


def test_200_of_512_rows_are_refused_though_pillow_loads_them() -> None:
    short = with_rows(encode_png(noise((512, 512), "large"), 1), 200)
    with Image.open(io.BytesIO(short)) as image:
        assert not np.asarray(image)[200:].any()  # Pillow: black rows and no error
    assert parse_png(short).size == (512, 512)  # every chunk is whole
    with pytest.raises(ImageError, match=r"cannot be decoded|cannot hold"):
        decode_png(short)


def test_bytes_after_the_end_mark_are_refused() -> None:
    with pytest.raises(ImageError, match=f"{len(WHOLE):,} bytes follow the end mark"):
        decode_png(WHOLE + WHOLE)


@pytest.mark.parametrize("size", [(0, 128), (2**31 - 1, 2**31 - 1)])
def test_a_header_with_an_impossible_size_is_refused_without_using_memory(size: tuple[int, int]) -> None:
    (kind, header), *rest = split_png(WHOLE)
    with pytest.raises(ImageError, match=r"cannot be decoded|cannot hold"):
        decode_png(join_png([(kind, struct.pack(">II", *size) + header[8:]), *rest]))


def test_an_animated_png_is_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    path = tmp_path / "a.png"
    path.write_bytes(saved(frames[0], save_all=True, append_images=frames[1:]))
    for read in (read_pixels, read_picture):
        with pytest.raises(ImageError, match="an animated PNG; expected a single picture"):
            read(path)


def test_chunks_in_the_wrong_place_are_named() -> None:
    header, *rest = split_png(WHOLE)
    with pytest.raises(ImageError, match=r"^damaged: unexpected IHDR chunk at byte 33$"):
        decode_png(with_chunk(WHOLE, *header))
    with pytest.raises(ImageError, match="it starts with a tEXt chunk; expected IHDR"):
        decode_png(join_png([(b"tEXt", b"a\0b"), header, *rest]))


def test_an_unknown_row_filter_is_refused() -> None:
    header, *rest, end = split_png(WHOLE)
    raw = zlib.decompress(b"".join(body for _, body in rest))
    with pytest.raises(ImageError, match=r"cannot be decoded|cannot hold"):
        decode_png(join_png([header, (b"IDAT", zlib.compress(b"\x09" + raw[1:])), end]))


RGB = Image.fromarray(PIXELS)
RGB16 = join_png(
    [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + bytes(6))),
        (b"IEND", b""),
    ]
)


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (saved(RGB.convert("L")), "8-bit grey"),
        (saved(RGB.convert("1")), "1-bit grey"),
        (saved(RGB.convert("LA")), "8-bit grey with alpha"),
        (saved(RGB.convert("RGBA")), "8-bit RGB with alpha"),
        (saved(RGB.convert("P")), "8-bit palette"),
        (saved(Image.fromarray(np.zeros((3, 3), np.uint16))), "16-bit grey"),
        (RGB16, "16-bit RGB"),
        (saved(RGB, transparency=(1, 2, 3)), "8-bit RGB with a transparent colour"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_mode_is_refused_by_its_name(data: bytes, mode: str) -> None:
    assert parse_png(data).mode == mode
    with pytest.raises(ImageError, match=f"^{mode}; expected 8-bit RGB"):
        decode_png(data)


def test_another_format_under_the_name_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for form in ("JPEG", "BMP", "WebP", "TIFF"):
        path.write_bytes(saved(RGB, form))
        for read in (read_pixels, read_png_header):
            with pytest.raises(ImageError, match=f"not a PNG but a {form}; expected a PNG"):
                read(path)


def test_the_file_is_named_when_it_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"empty\.png: empty file"):
        read_pixels(path)
    with pytest.raises(FileNotFoundError):
        read_pixels(tmp_path / "absent.png")


def test_exif_xmp_texts_and_times_are_found() -> None:
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (47.0, 22.0, 0.0)}  # GPS
    assert parse_png(saved(RGB, exif=exif)).metadata == ("EXIF",)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    text.add_text("Comment", "saved by alice in /home/alice")
    text.add(b"tIME", bytes(7))
    text.add_text("Raw profile type exif", "4578696600004d4d", zip=True)
    assert parse_png(saved(RGB, pnginfo=text)).metadata == (
        "XML:com.adobe.xmp",
        "Comment",
        "the time of its last change",
        "Raw profile type exif",
    )
    assert parse_png(WHOLE).metadata == ()
    for name in ("xmp", "iptc"):
        data = with_chunk(WHOLE, b"tEXt", f"Raw profile type {name}\0x".encode())
        assert parse_png(data).metadata == (f"Raw profile type {name}",)


def test_harmless_chunks_and_divided_pixel_data_change_no_pixel() -> None:
    header, (_, body), end = split_png(WHOLE)
    harmless = [
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"sRGB", b"\0"),
        (b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
        (b"sBIT", b"\5\5\5"),
        (b"tEXt", b"Software\0camera"),
        (b"tIME", bytes(7)),
    ]
    np.testing.assert_array_equal(decode_png(join_png([header, *harmless, (b"IDAT", body), end])), PIXELS)
    pieces = [(b"IDAT", body[start : start + 7]) for start in range(0, len(body), 7)]
    np.testing.assert_array_equal(decode_png(join_png([header, *pieces, end])), PIXELS)


def test_a_header_is_read_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(WHOLE[:40])
    assert read_png_header(path) == PngInfo(24, 20, "8-bit RGB")


def test_a_picture_too_large_for_the_memory_is_refused_before_it_is_decoded() -> None:
    rows = bytes(1_500_000)  # as much as 1.2 GB of black would take
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    with pytest.raises(ImageError, match="20,000 x 20,000 pixels; expected at most 268,435,456 in total"):
        decode_png(join_png([(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]))


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
