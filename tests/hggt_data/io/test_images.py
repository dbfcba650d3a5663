"""Strict PNG decoding, whose pixels equal Pillow's."""

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from hggt_data.errors import ImageError
from hggt_data.io.images import (
    PngInfo,
    decode_png,
    encode_png,
    hash_pixels,
    parse_png,
    read_beginning,
    read_pixels,
    read_png_header,
    write_png,
)
from hggt_data.io.pictures import read_picture
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
        with pytest.raises(
            ImageError, match=r"an animated PNG, or the rest of one \(acTL\); expected a single picture"
        ):
            read(path)


@pytest.mark.parametrize("kind", ["acTL", "fcTL", "fdAT"])
def test_the_rest_of_an_animation_is_refused(kind: str) -> None:
    header, pixels, end = split_png(WHOLE)
    for chunks in ([header, (kind.encode(), bytes(26)), pixels, end], [header, pixels, (kind.encode(), b""), end]):
        with pytest.raises(ImageError, match=rf"the rest of one \({kind}\)"):
            decode_png(join_png(chunks))


def test_chunks_in_the_wrong_place_are_named() -> None:
    header, *rest = split_png(WHOLE)
    _, (_, body), end = split_png(WHOLE)
    for first in (body[:99], b""):
        parts = [(b"IDAT", first), (b"tEXt", b"a\0b"), (b"IDAT", body[len(first) :])]
        with pytest.raises(ImageError, match="its pixel data is interrupted by a tEXt chunk"):
            decode_png(join_png([header, *parts, end]))
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


def with_filter(pixels: np.ndarray, kind: int) -> bytes:
    """A PNG whose rows all have this filter: 0 none, 1 left, 2 above, 3 mean of both, 4 Paeth."""
    height, width = pixels.shape[:2]
    padded = np.zeros((height + 1, width + 1, 3), int)
    padded[1:, 1:] = pixels
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    choices = abs(np.stack([above - corner, left - corner, left + above - 2 * corner])).argmin(0)
    guesses = (0 * left, left, above, (left + above) // 2, np.choose(choices, [left, above, corner]))
    rows = ((pixels - guesses[kind]) % 256).astype(np.uint8).reshape(height, -1)
    raw = b"".join(bytes([kind]) + row.tobytes() for row in rows)
    header = split_png(encode_png(pixels))[0]
    return join_png([header, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")])


@pytest.mark.parametrize("width", [1, 63, 200])
def test_the_beginning_of_a_picture_does_not_depend_on_its_encoding(tmp_path: Path, width: int) -> None:
    pixels = noise((3, width), "beginning")
    header, (_, data), end = split_png(with_filter(pixels, 0))
    single_bytes = join_png([header, *((b"IDAT", data[k : k + 1]) for k in range(len(data))), end])
    encoded = [
        *(with_filter(pixels, kind) for kind in range(5)),
        encode_png(pixels, 0),
        with_chunk(encode_png(pixels), b"tEXt", b"note\0" + bytes([65]) * 5000),
        single_bytes,
    ]
    for data in encoded:
        (tmp_path / "a.png").write_bytes(data)
        assert read_beginning(tmp_path / "a.png") == ((3, width), pixels[0, :64].tobytes())
        assert hash_pixels(decode_png(data)) == hash_pixels(pixels)


def test_the_beginning_of_an_interlaced_picture(tmp_path: Path) -> None:
    header, *rest = split_png(encode_png(PIXELS[:1, :1]))
    (tmp_path / "a.png").write_bytes(join_png([(header[0], header[1][:-1] + b"\1"), *rest]))
    assert read_beginning(tmp_path / "a.png") == ((1, 1), PIXELS[0, 0].tobytes())


def test_a_file_that_is_not_a_png_has_no_beginning(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(WHOLE[:60])
    with pytest.raises(ImageError, match=r"a\.png: cut off"):
        read_beginning(tmp_path / "a.png")
