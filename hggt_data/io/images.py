"""Strict 8-bit RGB PNG, the format of all pictures in trees and datasets; users' pictures are read by `pictures.py`.

A PNG that is cut off, bit-flipped, short of rows, 16-bit, grey, palette or has alpha raises `ImageError`. Pillow alone
would return black rows for a PNG whose pixel data ends early; kornia-rs (the Rust `png` crate) does not, and is 3 times
as fast. The checksums of the chunks are compared, not the one inside the compressed data, which covers the same bytes
and would take as long again; `portability.py` does that where a picture enters a tree or dataset.
"""

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import kornia_rs.io
import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import ImageError
from hggt_data.io.files import LFS_POINTER, atomic_file, is_lfs_pointer, read_regular_file, read_start

Pixels = NDArray[np.uint8]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
PNG_HEADER_BYTES = 33  # signature and IHDR chunk
_OTHER_FORMATS = {"JPEG": rb"\xff\xd8\xff", "WebP": rb"RIFF....WEBP", "BMP": rb"BM", "TIFF": rb"II\*\0|MM\0\*"}
_MAX_PIXELS = 1 << 28
_MAX_DEFLATE_RATIO = 1032
_BEGINNING_BYTES = 1 << 12
_BEGINNING_PIXELS = 64


@dataclass(frozen=True, slots=True)
class PngInfo:
    """Size in pixels, mode (such as `8-bit RGB` or `16-bit grey`) and metadata of a PNG.

    The metadata are names only: EXIF (camera, place), times, the keywords of texts (XMP, author, comment).
    """

    height: int
    width: int
    mode: str
    metadata: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width


def read_png_header(path: Path) -> PngInfo:
    """Size and mode from the first 33 bytes of a PNG file; the rest is not examined."""
    return parse_png_header(read_start(path, PNG_HEADER_BYTES))


def parse_png_header(data: bytes) -> PngInfo:
    """Size and mode from the first `PNG_HEADER_BYTES` of a PNG file."""
    if not data:
        raise ImageError("empty file")
    if is_lfs_pointer(data):
        raise ImageError(LFS_POINTER)
    if not data.startswith(PNG_SIGNATURE):
        known = next((name for name, start in _OTHER_FORMATS.items() if re.match(start, data, re.DOTALL)), None)
        if known:
            raise ImageError(f"not a PNG but a {known}; expected a PNG, which keeps pixels without loss")
        raise ImageError(f"not a PNG: it starts with {data[:8]!r}")
    if len(data) < PNG_HEADER_BYTES:
        raise ImageError(f"cut off inside its header, after {len(data):,} bytes")
    if data[12:16] != b"IHDR":
        raise ImageError(f"damaged: it starts with a {chunk_name(data[12:16])} chunk; expected IHDR")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    return PngInfo(height, width, f"{depth}-bit {_COLOURS.get(colour, f'colour type {colour}')}")


def parse_png_beginning(read: Callable[[int], bytes]) -> PngInfo:
    """Size and mode of a PNG, also whether it has a transparent colour; `read(n)` gives the first n bytes of the file.

    Only the header and the kinds of the chunks before the pixels are examined.
    """
    data = read(PNG_HEADER_BYTES + 8)
    info = parse_png_header(data)
    position, kind = PNG_HEADER_BYTES, b""
    while kind != b"IDAT" and position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"tRNS":
            return _with_transparent_colour(info)
        position += 12 + length
        if kind != b"IDAT":
            data = read(position + 8)
    return info


def _with_transparent_colour(info: PngInfo) -> PngInfo:
    return replace(info, mode=f"{info.mode} with a transparent colour")


class Chunk(NamedTuple):
    """One chunk of a PNG, and the position of its first byte in the file."""

    kind: bytes
    body: memoryview
    position: int


def read_chunks(data: bytes, *, compare_checksums: bool = True) -> Iterator[Chunk]:
    """Every chunk of a PNG up to its end mark; ImageError if one is cut off or damaged, or bytes follow the end."""
    position, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ImageError(f"cut off: {len(data):,} bytes and no end mark")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ImageError(f"cut off inside its {chunk_name(kind)} chunk, after {len(data):,} bytes")
        body = memoryview(data)[position + 8 : end - 4]
        if compare_checksums and zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[end - 4 : end], "big"):
            raise ImageError(f"damaged: the checksum of its {chunk_name(kind)} chunk at byte {position:,} is wrong")
        yield Chunk(kind, body, position)
        position = end
    if position != len(data):
        raise ImageError(f"{len(data) - position:,} bytes follow the end mark of the PNG")


def parse_png(data: bytes) -> PngInfo:
    """Check all chunks of a PNG (order, lengths, checksums, end mark) and return its size, mode and metadata."""
    info = parse_png_header(data)
    metadata = []
    compressed_bytes, has_pixels = 0, False
    previous = b""
    for kind, body, position in read_chunks(data):
        if kind == b"IDAT":
            if has_pixels and previous != b"IDAT":  # other readers stop at the gap
                raise ImageError(f"damaged: its pixel data is interrupted by a {chunk_name(previous)} chunk")
            has_pixels = True
            compressed_bytes += len(body)
        elif kind in (b"acTL", b"fcTL", b"fdAT"):
            raise ImageError(f"an animated PNG, or the rest of one ({chunk_name(kind)}); expected a single picture")
        elif kind[:1].isupper() and kind not in (b"IEND", b"PLTE") and position > len(PNG_SIGNATURE):
            # A second header, or an unknown chunk that is critical, as its capital says.
            raise ImageError(f"damaged: unexpected {chunk_name(kind)} chunk at byte {position:,}")
        elif kind == b"tRNS":
            info = _with_transparent_colour(info)
        elif kind == b"eXIf":
            metadata.append("EXIF")
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword = bytes(body[:79]).split(b"\0")[0].decode("latin-1")
            if keyword != "Software":  # is not personal
                metadata.append(keyword if keyword.isprintable() else "a text")
        elif kind == b"tIME":
            metadata.append("the time of its last change")
        previous = kind
    if compressed_bytes * _MAX_DEFLATE_RATIO < info.height * info.width // 8:  # at least 1 bit per pixel
        raise ImageError(
            f"{compressed_bytes:,} bytes of pixel data cannot hold {info.height:,} x {info.width:,} pixels"
        )
    return PngInfo(info.height, info.width, info.mode, tuple(metadata))


def decode_png(data: bytes, info: PngInfo | None = None) -> Pixels:
    """The pixels of an 8-bit RGB PNG, uint8 (H, W, 3); `info` is the result of `parse_png`, if already known."""
    info = info or parse_png(data)
    if info.mode != "8-bit RGB":
        raise ImageError(f"{info.mode}; expected 8-bit RGB")
    require_affordable(info.height, info.width)
    try:
        return np.asarray(kornia_rs.io.decode_image_png_u8(data, info.size, "rgb"))
    except Exception as error:  # kornia-rs raises plain Exception for every decoding fault
        reason = decoding_fault(error).removeprefix("Failed to decode the png image. ")
        raise ImageError(f"its pixels cannot be decoded: {reason}") from error


def decoding_fault(error: Exception) -> str:
    """What a decoder says, or that memory ran out, for which the file is not to blame."""
    if isinstance(error, MemoryError):
        return "not enough memory; use fewer workers, or end other programs"
    return str(error) or type(error).__name__


def read_pixels(path: Path) -> Pixels:
    """The pixels of an 8-bit RGB PNG file, uint8 (H, W, 3); an ImageError starts with the path."""
    try:
        return decode_png(read_regular_file(path))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


DIGEST_DIGITS = 20  # hexadecimal, of `hash_pixels`: a billion different pictures have different ones


_FLAT = "flat"  # not hexadecimal


def hash_pixels(pixels: Pixels) -> str:
    """A digest of a picture's size and pixels, uint8 (H, W, 3), however its file is encoded.

    32 hexadecimal digits; those of a picture of a single colour begin with a mark, see `is_flat_digest`.
    """
    digest = hashlib.sha256(repr(pixels.shape[:2]).encode() + np.ascontiguousarray(pixels).data).hexdigest()
    is_flat = pixels.size > 0 and bool((pixels[0] == pixels[0, 0]).all() and (pixels == pixels[0, 0]).all())
    return f"{_FLAT if is_flat else ''}{digest}"[:32]


def is_flat_digest(digest: str) -> bool:
    """Whether a digest is that of a single colour, which does not show that two source pictures are the same."""
    return digest.startswith(_FLAT)


def read_beginning(path: Path) -> tuple[tuple[int, int], bytes]:
    """(height, width) of an 8-bit RGB PNG, and the first 64 pixels of its first row: equal for equal pictures.

    Far cheaper than decoding, because it needs only the beginning of the file, unless that has an unusual form.
    """
    try:
        head = read_start(path, _BEGINNING_BYTES)
        info = parse_png_header(head)
        is_usual = info.mode == "8-bit RGB" and not head[28]  # not interlaced
        pixels = _decode_beginning(head, 3 * min(info.width, _BEGINNING_PIXELS)) if is_usual else None
        if pixels is None:
            pixels = decode_png(read_regular_file(path))[0, :_BEGINNING_PIXELS].tobytes()
        return info.size, pixels
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _decode_beginning(head: bytes, size_bytes: int) -> bytes | None:
    """The first bytes of the first row of an RGB PNG; None if they are not in `head`."""
    position = len(PNG_SIGNATURE)
    while (kind := head[position + 4 : position + 8]) != b"IDAT":
        if len(kind) < 4:
            return None
        position += 12 + int.from_bytes(head[position : position + 4], "big")
    end = position + 8 + int.from_bytes(head[position : position + 4], "big")
    try:
        row = zlib.decompressobj().decompress(head[position + 8 : end], 1 + size_bytes)
    except zlib.error:
        return None
    if len(row) <= size_bytes or row[0] > 4:
        return None
    if row[0] in (0, 2):  # not filtered, or by the row above, which is black
        return row[1:]
    pixels = bytearray(3)  # left of the first pixel
    for value in row[1:]:
        left = pixels[-3]
        pixels.append((value + (left // 2 if row[0] == 3 else left)) & 255)
    return bytes(pixels[3:])


def require_affordable(height: int, width: int) -> None:
    """Refuse a picture that would take too much memory; a header can claim any size."""
    if height * width > _MAX_PIXELS:
        raise ImageError(f"{height:,} x {width:,} pixels; expected at most {_MAX_PIXELS:,} in total")


def encode_png(pixels: Pixels, compression: int = 6) -> bytes:
    """Encode pixels, uint8 (H, W, 3), as a PNG without metadata; `compression` is zlib's level, 0 to 9."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels), "RGB").save(buffer, "PNG", compress_level=compression)
    return buffer.getvalue()


def write_png(path: Path, pixels: Pixels, compression: int = 6) -> None:
    """Write pixels, uint8 (H, W, 3), to a PNG file atomically; `compression` as in `encode_png`."""
    with atomic_file(path) as file:
        file.write(encode_png(pixels, compression))


def chunk_name(kind: bytes) -> str:
    """The four letters of a chunk, escaped if they are not letters."""
    return kind.decode("latin-1") if kind.isalnum() else repr(kind)
