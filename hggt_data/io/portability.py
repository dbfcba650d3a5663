"""Whether other programs show the same pixels of a PNG as the strict reader in `images.py`.

Pillow (and so `datasets`) also reads the chunks beside the pixels and fails at a damaged one. `datasets` and browsers
turn a picture if it has an orientation, and browsers convert its colours if it says that they are not sRGB.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from isal import isal_zlib

from hggt_data.errors import ImageError
from hggt_data.io.images import PNG_SIGNATURE, PngInfo, chunk_name, read_chunks

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngImageFile

_PILLOW_MAX_PIXELS = 178_956_970  # above, Pillow refuses a picture as a decompression bomb
_MAX_CHUNKS = 1000
_SINGLE = (b"eXIf", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")  # of two, some readers use the first, some the last

_ORIENTATION = 0x0112
_TURNS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "flipped upside down",
    5: "mirrored and turned by 90 degrees counterclockwise",
    6: "turned by 90 degrees clockwise",
    7: "mirrored and turned by 90 degrees clockwise",
    8: "turned by 90 degrees counterclockwise",
}
_XMP_ORIENTATION = re.compile(rb"""Orientation(?:\s*=\s*["']|\s*>)\s*(\d+)""")

_Chunk = tuple[bytes, memoryview]


def require_portable(data: bytes, info: PngInfo) -> None:
    """ImageError if another program fails at an 8-bit RGB PNG, or shows other pixels than `decode_png` returns.

    `data` is what `decode_png` reads without an error, `info` the result of `parse_png`.
    """
    if info.height * info.width > _PILLOW_MAX_PIXELS:
        raise ImageError(f"{info.height:,} x {info.width:,} pixels; Pillow opens at most {_PILLOW_MAX_PIXELS:,}")
    chunks = [(kind, body) for kind, body, _ in read_chunks(data, compare_checksums=False)]
    _require_checksum(b"".join(body for kind, body in chunks if kind == b"IDAT"), info)
    others = _beside_pixels(chunks)
    if not others:
        return
    kinds = [kind for kind, _ in others]
    for kind in _SINGLE:
        if kinds.count(kind) > 1:
            raise ImageError(f"{kinds.count(kind)} {chunk_name(kind)} chunks; expected at most one")
    for what, some in _alone_and_together(others):
        try:
            turns = _find_turns(some)
        except Exception as error:  # a damaged chunk can raise anything in Pillow
            raise ImageError(f"Pillow cannot read {what}: {error}") from error
        _refuse(turns, what)
    _require_srgb(dict(others))


def require_upright(data: bytes) -> None:
    """ImageError if a PNG has an orientation, which some programs apply. Chunks that Pillow cannot read have none."""
    chunks = [(kind, body) for kind, body, _ in read_chunks(data, compare_checksums=False)]
    for what, some in _alone_and_together(_beside_pixels(chunks)):
        turns: list[int] = []
        with suppress(Exception):
            turns = _find_turns(some)
        _refuse(turns, what)


def _beside_pixels(chunks: Sequence[_Chunk]) -> list[_Chunk]:
    """The chunks that are opened, each alone; ImageError if there are too many."""
    others = [(kind, body) for kind, body in chunks if kind not in (b"IHDR", b"IDAT", b"IEND")]
    if len(others) > _MAX_CHUNKS:
        raise ImageError(f"{len(others):,} chunks beside its pixels; expected at most {_MAX_CHUNKS:,}")
    return others


def _alone_and_together(chunks: Sequence[_Chunk]) -> Iterator[tuple[str, Sequence[_Chunk]]]:
    yield from ((f"its {chunk_name(chunk[0])} chunk", [chunk]) for chunk in chunks)
    if len(chunks) > 1:
        yield "its chunks together", chunks


def _require_checksum(stream: bytes, info: PngInfo) -> None:
    """Compare the checksum at the end of the compressed pixels, which kornia-rs ignores."""
    inflater = isal_zlib.decompressobj()
    try:
        inflater.decompress(stream, (3 * info.width + 2) * info.height + 64)  # if interlaced; others are smaller
    except isal_zlib.IsalError as error:  # type: ignore[misc]  # the stub calls it an instance
        reason = str(error).partition(" ")[2].partition(" ")[2]  # without its number
        raise ImageError(f"its compressed pixels are damaged: {reason}") from error
    if not inflater.eof:
        raise ImageError("its compressed pixels do not end after the last row")


def _find_turns(chunks: Sequence[_Chunk]) -> list[int]:
    """The orientations in chunks that turn or mirror the picture; any exception if Pillow cannot read them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Pillow only warns of the parts of EXIF that it cannot read
        found = set(_orientations(open_without_pixels(chunks)))
    return [turn for turn in _TURNS if turn in found]


def _refuse(turns: Sequence[int], what: str) -> None:
    if turns:
        raise ImageError(
            f"{what} has orientation {turns[0]}: some programs, such as datasets and browsers, show the picture "
            f"{_TURNS[turns[0]]}, others as it is stored"
        )


def open_without_pixels(chunks: Sequence[_Chunk]) -> "PngImageFile":
    """An RGB picture of one pixel with these chunks: how Pillow reads them does not depend on the pixels."""
    from PIL.PngImagePlugin import PngImageFile

    parts: list[tuple[bytes, bytes | memoryview]] = [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(bytes(4))),
        (b"IEND", b""),
    ]
    data = b"".join(
        struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
        for kind, body in parts
    )
    image = PngImageFile(io.BytesIO(PNG_SIGNATURE + data))
    image.load()
    return image


def _orientations(image: "PngImageFile") -> Iterator[object]:
    """Every orientation in the metadata, also where only some programs look for it."""
    from PIL.Image import Exif

    yield image.getexif().get(_ORIENTATION)
    for key, value in image.info.items():
        if isinstance(value, str) and str(key).startswith("Raw profile type "):
            text = bytes.fromhex("".join(value.split("\n")[3:]))  # after an empty line, a name and a length
        elif isinstance(value, str | bytes):
            text = value.encode() if isinstance(value, str) else value
        else:
            continue
        yield from map(int, _XMP_ORIENTATION.findall(text))
        _, prefix, tiff = text.partition(b"Exif\0\0")
        if prefix:
            exif = Exif()
            exif.load(tiff)
            yield exif.get(_ORIENTATION)


def _require_srgb(bodies: Mapping[bytes, memoryview]) -> None:
    """Refuse colours that browsers convert. Of cICP, iCCP and sRGB only the first counts, then gAMA and cHRM."""
    from hggt_data.io.colours import SRGB_CICP, ProfileError, declares_other_colours, find_conversion

    info = open_without_pixels(list(bodies.items())).info
    wrong = ""
    if b"cICP" in bodies:
        wrong = "cICP" if bytes(bodies[b"cICP"]) != SRGB_CICP else ""
    elif b"iCCP" in bodies:
        try:
            wrong = "iCCP" if find_conversion(info["icc_profile"] or b"", is_grey=False) else ""
        except ProfileError as error:
            raise ImageError(f"its colour profile cannot be used: {error}") from error
    elif declares_other_colours(info):
        wrong = "gAMA or cHRM"
    elif b"sRGB" not in bodies and {b"gAMA", b"cHRM"} <= bodies.keys():
        wrong = "gAMA and cHRM"  # those of sRGB, but Chromium takes the gamma of 1/2.2 at its word
    if wrong:
        raise ImageError(
            f"its colours are not declared as sRGB ({wrong}): browsers convert them, training and scoring do not"
        )
