"""PNGs that only some programs read, or show with other pixels."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from datasets import Image as ImageFeature
from PIL import Image, ImageCms, ImageOps

from hggt_data.errors import ImageError
from hggt_data.io.images import decode_png, encode_png, parse_png
from hggt_data.io.portability import require_portable
from tests.hggt_data.trees import join_png, noise, split_png, with_chunk

PIXELS = noise((24, 20), "picture")
WHOLE = encode_png(PIXELS)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LINEAR = SRGB.replace(b"para\0\0\0\0\0\3\0\0", b"para\0\0\0\0\0\0\0\0\0\1\0\0", 1)


def require(data: bytes) -> None:
    """Our own reader accepts the picture, whatever else is wrong with it."""
    info = parse_png(data)
    np.testing.assert_array_equal(decode_png(data, info), PIXELS)
    require_portable(data, info)


def decode_with_datasets(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(ImageFeature().decode_example({"bytes": data, "path": None}))


def with_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    header, *rest = split_png(WHOLE)
    return join_png([header, *chunks, *rest])


def with_last(kind: bytes, body: bytes) -> bytes:
    *rest, end = split_png(WHOLE)
    return join_png([*rest, (kind, body), end])


def tiff(orientation: int) -> bytes:
    """EXIF with one tag."""
    return b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HH", orientation, 0) + bytes(4)


def raw_profile(name: str, data: bytes) -> bytes:
    """The text in which ImageMagick and exiftool store EXIF and XMP."""
    digits = data.hex()
    lines = (digits[start : start + 72] for start in range(0, len(digits), 72))
    return "\n".join(["", name, f"{len(data):8}", *lines, ""]).encode()


def xmp(orientation: str) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {orientation}</rdf:RDF></x:xmpmeta>'.encode()


def profile(icc: bytes) -> bytes:
    return b"name\0\0" + zlib.compress(icc)


XMP = b"XML:com.adobe.xmp\0\0\0\0\0"
OLD = b"Exif\0\0" + tiff(6)
TURNED = {
    "exif": with_chunk(WHOLE, b"eXIf", tiff(6)),
    "exif after the pixels": with_last(b"eXIf", tiff(6)),
    "exif with the prefix of JPEG": with_chunk(WHOLE, b"eXIf", OLD),
    "exif hidden by another chunk": with_chunks((b"tEXt", b"exif\0" + tiff(1)), (b"eXIf", tiff(6))),
    "raw profile": with_chunk(WHOLE, b"tEXt", b"Raw profile type exif\0" + raw_profile("exif", OLD)),
    "raw profile without prefix": with_chunk(WHOLE, b"tEXt", b"Raw profile type exif\0" + raw_profile("exif", tiff(6))),
    "raw profile APP1": with_chunk(WHOLE, b"tEXt", b"Raw profile type APP1\0" + raw_profile("app1", OLD)),
    "compressed raw profile": with_last(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile("exif", OLD))
    ),
    "international raw profile": with_chunk(
        WHOLE, b"iTXt", b"Raw profile type APP1\0\0\0\0\0" + raw_profile("app1", OLD)
    ),
    "raw profile hidden by exif": with_chunks(
        (b"eXIf", tiff(1)), (b"tEXt", b"Raw profile type exif\0" + raw_profile("exif", OLD))
    ),
    "xmp attribute": with_chunk(WHOLE, b"iTXt", XMP + xmp('tiff:Orientation="6"/>')),
    "xmp in single quotes": with_chunk(WHOLE, b"iTXt", XMP + xmp("tiff:Orientation = '6'/>")),
    "xmp element": with_last(b"iTXt", XMP + xmp("><tiff:Orientation>6</tiff:Orientation></rdf:Description>")),
    "compressed xmp": with_chunk(
        WHOLE, b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp('tiff:Orientation="6"/>'))
    ),
    "xmp raw profile": with_chunk(
        WHOLE, b"tEXt", b"Raw profile type xmp\0" + raw_profile("xmp", xmp('tiff:Orientation="6"/>'))
    ),
}


@pytest.mark.parametrize("place", TURNED)
def test_an_orientation_is_refused_wherever_it_is(place: str) -> None:
    with pytest.raises(ImageError, match=r"orientation 6: .* show the picture turned by 90 degrees clockwise"):
        require(TURNED[place])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_turn_is_named_as_pillow_does_it(orientation: int) -> None:
    with pytest.raises(ImageError) as caught:
        require(with_chunk(WHOLE, b"eXIf", tiff(orientation)))
    image = Image.fromarray(PIXELS)
    words: dict[str, Callable[[Image.Image], Image.Image]] = {
        "mirrored": ImageOps.mirror,
        "flipped upside down": ImageOps.flip,
        "turned by 180 degrees": lambda image: image.rotate(180),
        "turned by 90 degrees clockwise": lambda image: image.rotate(-90, expand=True),
        "turned by 90 degrees counterclockwise": lambda image: image.rotate(90, expand=True),
    }
    said = str(caught.value).split(" show the picture ")[1].split(", others")[0]
    for step in said.split(" and "):
        image = words[step](image)
    np.testing.assert_array_equal(image, decode_with_datasets(with_chunk(WHOLE, b"eXIf", tiff(orientation))))


BROKEN = {
    "exif that is no EXIF": with_chunk(WHOLE, b"eXIf", b"garbage!"),
    "exif cut off": with_chunk(WHOLE, b"eXIf", tiff(1)[:15]),
    "exif after the pixels": with_last(b"eXIf", b"MM"),
    "profile of over 1 MB": with_chunk(WHOLE, b"iCCP", profile(SRGB + bytes(1_100_000))),
    "profile without a name": with_chunk(WHOLE, b"iCCP", b"abc"),
    "text of over 1 MB": with_chunk(WHOLE, b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1_400_000))),
    "international text of over 1 MB": with_last(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(1_400_000))),
    "text with an unknown compression": with_chunk(WHOLE, b"zTXt", b"abc\0\x09x"),
    "short pHYs": with_chunk(WHOLE, b"pHYs", bytes(2)),
    "short gAMA": with_chunk(WHOLE, b"gAMA", bytes(1)),
    "empty sRGB": with_chunk(WHOLE, b"sRGB", b""),
    "short cHRM": with_last(b"cHRM", bytes(3)),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_chunk_at_which_pillow_fails_is_named(fault: str) -> None:
    if fault != "exif cut off":  # Pillow skips what it cannot read
        with pytest.raises((OSError, SyntaxError, ValueError)):
            decode_with_datasets(BROKEN[fault])
    with pytest.raises(ImageError, match=r"^Pillow cannot read its \w{4} chunk: "):
        require(BROKEN[fault])


def test_texts_that_fill_pillows_memory_only_together_are_refused() -> None:
    text = (b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000)))
    with pytest.raises(ImageError, match="Pillow cannot read its chunks together: Too much memory used"):
        require(with_chunks(*[text] * 70))


def test_more_chunks_than_any_program_writes_are_refused() -> None:
    with pytest.raises(ImageError, match="1,001 chunks beside its pixels; expected at most 1,000"):
        require(with_chunks(*[(b"tEXt", b"a\0b")] * 1001))


def test_a_wrong_checksum_inside_the_compressed_pixels_is_refused() -> None:
    header, (_, stream), end = split_png(WHOLE)
    with pytest.raises(ImageError, match="its compressed pixels are damaged: Incorrect checksum"):
        require(join_png([header, (b"IDAT", stream[:-1] + bytes([stream[-1] ^ 1])), end]))


def test_pixels_that_do_not_end_after_the_last_row_are_refused() -> None:
    header, (_, stream), end = split_png(WHOLE)
    longer = zlib.compress(zlib.decompress(stream) + bytes(1000))
    with pytest.raises(ImageError, match="its compressed pixels do not end after the last row"):
        require(join_png([header, (b"IDAT", longer), end]))


def primaries(*values: int) -> bytes:
    return struct.pack(">8I", *values)


P3 = primaries(31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
PRIMARIES = primaries(31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
GAMMA = struct.pack(">I", 45455)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 100_000))],
        [(b"cHRM", P3)],
        [(b"gAMA", GAMMA), (b"cHRM", PRIMARIES)],  # Chromium: up to 9 levels off
        [(b"cICP", bytes((12, 13, 0, 1)))],
        [(b"cICP", bytes((12, 13, 0, 1))), (b"sRGB", b"\0")],
        [(b"iCCP", profile(LINEAR))],
        [(b"iCCP", profile(LINEAR)), (b"sRGB", b"\0")],
    ],
)
def test_colours_that_browsers_convert_are_refused(chunks: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ImageError, match=rf"its colours are not declared as sRGB \(.*{chunks[0][0].decode()}.*\)"):
        require(with_chunks(*chunks))


@pytest.mark.parametrize("icc", [b"garbage", bytes(500)])
def test_a_damaged_colour_profile_is_refused(icc: bytes) -> None:
    for body in (profile(icc), b"name\0\0" + icc):
        with pytest.raises(ImageError, match="its colour profile cannot be used: "):
            require(with_chunk(WHOLE, b"iCCP", body))


def test_two_chunks_of_a_kind_that_readers_choose_from_are_refused() -> None:
    with pytest.raises(ImageError, match="2 gAMA chunks; expected at most one"):
        require(with_chunks((b"gAMA", GAMMA), (b"gAMA", struct.pack(">I", 100_000))))


HARMLESS = {
    "nothing": WHOLE,
    "orientation 1": with_chunk(WHOLE, b"eXIf", tiff(1)),
    "orientation 0": with_chunk(WHOLE, b"eXIf", tiff(0)),
    "orientation 9": with_chunk(WHOLE, b"iTXt", XMP + xmp('tiff:Orientation="9"/>')),
    "sRGB profile": with_chunk(WHOLE, b"iCCP", profile(SRGB)),
    "sRGB, whatever gamma says": with_chunks((b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")),
    "gamma of sRGB": with_chunk(WHOLE, b"gAMA", GAMMA),
    "gamma, primaries and sRGB": with_chunks((b"gAMA", GAMMA), (b"cHRM", PRIMARIES), (b"sRGB", b"\0")),
    "short chunks that nobody reads": with_chunks((b"tIME", b"\0"), (b"hIST", b"\0"), (b"sBIT", b""), (b"prVt", b"")),
    "texts": with_chunks((b"tEXt", b"a\0b"), (b"tEXt", b"a"), (b"zTXt", b"a\0\0" + zlib.compress(b"b"))),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_every_program_reads_is_accepted(case: str) -> None:
    require(HARMLESS[case])
    np.testing.assert_array_equal(decode_with_datasets(HARMLESS[case]), PIXELS)


def test_interlaced_pixels_are_accepted() -> None:
    # Adam7 of a picture of one colour: 7 passes over the same bytes.
    passes = [(3, 3), (3, 2), (3, 5), (6, 5), (6, 10), (12, 10), (12, 20)]
    rows = b"".join((b"\0" + b"\7" * 3 * width) * height for height, width in passes)
    header = struct.pack(">IIBBBBB", 20, 24, 8, 2, 0, 0, 1)
    data = join_png([(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])
    info = parse_png(data)
    require_portable(data, info)
    np.testing.assert_array_equal(decode_png(data, info), np.full((24, 20, 3), 7, np.uint8))
    np.testing.assert_array_equal(decode_with_datasets(data), decode_png(data, info))


def test_more_pixels_than_pillow_opens_are_refused() -> None:
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0)
    data = join_png([(b"IHDR", header), (b"IDAT", bytes(1_000_000)), (b"IEND", b"")])
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    with pytest.raises(ImageError, match="10,000 x 20,000 pixels; Pillow opens at most 178,956,970"):
        require_portable(data, parse_png(data))
