"""Picture files: strict 8-bit RGB PNG for HGGT's own, any lossless conversion to 8-bit RGB for users' pictures.

A PNG that is cut off, bit-flipped, short of rows, 16-bit, grey, palette or has alpha raises `ImageError`. Pillow alone
would return black rows for a PNG whose pixel data ends early; kornia-rs (the Rust `png` crate) does not, and is 3 times
as fast. The checksums of the chunks are compared, not the one inside the compressed data, which covers the same bytes
and would take as long again.
"""

import io
import re
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import kornia_rs.io
import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import ImageError, TreeError
from hggt_data.io.files import atomic_file, is_system_file, read_regular_file, require_regular_file
from hggt_data.io.text import plural

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
PNG_HEADER_BYTES = 33  # signature and IHDR chunk
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_UNREADABLE_ENDINGS = (".gif", ".ppm")
_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_OTHER_FORMATS = {"JPEG": rb"\xff\xd8\xff", "WebP": rb"RIFF....WEBP", "BMP": rb"BM", "TIFF": rb"II\*\0|MM\0\*"}
_MAX_PIXELS = 1 << 28  # a header can claim any size
_MAX_DEFLATE_RATIO = 1032
_PILLOW_LIMIT = threading.Lock()  # Pillow has one limit for all threads


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
    require_regular_file(path)
    with open(path, "rb") as file:
        return parse_png_header(file.read(PNG_HEADER_BYTES))


def parse_png_header(data: bytes) -> PngInfo:
    """Size and mode from the first `PNG_HEADER_BYTES` of a PNG file."""
    if not data:
        raise ImageError("empty file")
    if not data.startswith(_SIGNATURE):
        known = next((name for name, start in _OTHER_FORMATS.items() if re.match(start, data, re.DOTALL)), None)
        if known:
            raise ImageError(f"not a PNG but a {known}; expected a PNG, which keeps pixels without loss")
        raise ImageError(f"not a PNG: it starts with {data[:8]!r}")
    if len(data) < PNG_HEADER_BYTES:
        raise ImageError(f"cut off inside its header, after {len(data):,} bytes")
    if data[12:16] != b"IHDR":
        raise ImageError(f"damaged: it starts with a {_name(data[12:16])} chunk; expected IHDR")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    return PngInfo(height, width, f"{depth}-bit {_COLOURS.get(colour, f'colour type {colour}')}")


def parse_png(data: bytes) -> PngInfo:
    """Check all chunks of a PNG (order, lengths, checksums, end mark) and return its size, mode and metadata."""
    info = parse_png_header(data)
    metadata = []
    compressed_bytes = 0
    position, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ImageError(f"cut off: {len(data):,} bytes and no end mark")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ImageError(f"cut off inside its {_name(kind)} chunk, after {len(data):,} bytes")
        body = memoryview(data)[position + 8 : end - 4]
        if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[end - 4 : end], "big"):
            raise ImageError(f"damaged: the checksum of its {_name(kind)} chunk at byte {position:,} is wrong")
        if kind == b"IDAT":
            compressed_bytes += length
        elif kind[:1].isupper() and kind != b"IEND" and kind != b"PLTE" and position > len(_SIGNATURE):
            # A second header, or an unknown chunk that is critical, as its capital says.
            raise ImageError(f"damaged: unexpected {_name(kind)} chunk at byte {position:,}")
        elif kind == b"acTL":
            raise ImageError("an animated PNG; expected a single picture")
        elif kind == b"tRNS":
            info = PngInfo(info.height, info.width, f"{info.mode} with a transparent colour")
        elif kind == b"eXIf":
            metadata.append("EXIF")
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword = bytes(body[:79]).split(b"\0")[0].decode("latin-1")
            if keyword != "Software":  # is not personal
                metadata.append(keyword if keyword.isprintable() else "a text")
        elif kind == b"tIME":
            metadata.append("the time of its last change")
        position = end
    if position != len(data):
        raise ImageError(f"{len(data) - position:,} bytes follow the end mark of the PNG")
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
    _require_affordable(info.height, info.width)
    try:
        return np.asarray(kornia_rs.io.decode_image_png_u8(data, info.size, "rgb"))
    except Exception as error:  # kornia-rs raises plain Exception for every decoding fault
        reason = str(error).removeprefix("Failed to decode the png image. ")
        raise ImageError(f"its pixels cannot be decoded: {reason}") from error


def read_pixels(path: Path) -> Pixels:
    """The pixels of an 8-bit RGB PNG file, uint8 (H, W, 3); an ImageError starts with the path."""
    try:
        return decode_png(path.read_bytes())
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def read_picture(path: Path) -> Pixels:
    """The pixels of any 8-bit picture as RGB, uint8 (H, W, 3), turned as its EXIF says.

    Grey and palette become RGB, and an opaque alpha channel is dropped. ImageError, starting with the path, if the file
    is damaged or would lose information: 16-bit, CMYK, transparent, animated.
    """
    data = read_regular_file(path)
    try:
        if data.startswith(_SIGNATURE):
            info = parse_png(data)
            if info.mode == "8-bit RGB" and not info.metadata:
                return decode_png(data, info)
            if info.mode.startswith("16-bit"):
                raise ImageError(f"{info.mode}; expected 8 bits per channel, convert it first")
        return _decode_with_pillow(data)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def read_picture_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header of a picture, before any turn by its EXIF; the rest is not examined."""
    require_regular_file(path)
    with open(path, "rb") as file:
        head = file.read(PNG_HEADER_BYTES)
    try:
        if head.startswith(_SIGNATURE):
            return parse_png_header(head).size
        with _open_with_pillow(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: its header cannot be read: {error}") from error


def is_plain_picture(path: Path) -> bool:
    """Whether the header says 8-bit RGB or grey, which is always usable; other kinds must be decoded to know."""
    try:
        return read_png_header(path).mode in ("8-bit RGB", "8-bit grey")
    except ImageError:
        pass
    try:
        with _open_with_pillow(path) as image:
            return image.mode in ("RGB", "L") and getattr(image, "n_frames", 1) == 1
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: its header cannot be read: {error}") from error


def _open_with_pillow(source: Path | BinaryIO) -> "Image.Image":
    """Image header only; the caller checks the size."""
    from PIL import Image

    # Pillow's own limit already warns at a third of `_MAX_PIXELS`.
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source, formats=_PILLOW_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _require_affordable(height: int, width: int) -> None:
    if height * width > _MAX_PIXELS:
        raise ImageError(f"{height:,} x {width:,} pixels; expected at most {_MAX_PIXELS:,} in total")


def _decode_with_pillow(data: bytes) -> Pixels:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise ImageError("empty file")
    try:
        with _open_with_pillow(io.BytesIO(data)) as image:
            _require_affordable(image.height, image.width)
            num_frames = getattr(image, "n_frames", 1)
            if num_frames > 1:
                raise ImageError(f"{num_frames} pictures in one file; expected a single picture")
            if image.mode not in ("1", "L", "P", "RGB", "LA", "PA", "RGBA"):
                raise ImageError(f"{image.mode} pixels; expected 8-bit RGB or grey, convert it first")
            image.load()
            if image.has_transparency_data:
                alpha = image.convert("RGBA").getchannel("A").getextrema()
                if alpha != (255, 255):
                    raise ImageError("partly transparent; expected an opaque picture, flatten it first")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError:
        raise ImageError(f"not a PNG, JPEG, WebP, BMP or TIFF: it starts with {data[:8]!r}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"its pixels cannot be decoded: {error}") from error


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


def _name(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalnum() else repr(kind)


@dataclass(frozen=True)
class PictureFolder:
    """Content of a folder, sorted by name.

    Attributes:
        pictures: Files with a picture's ending; they may be damaged, or broken links.
        others: Names of the other files.
        folders: Names of subfolders, which are not searched.
    """

    pictures: list[Path]
    others: list[str]
    folders: list[str]


def list_folder(folder: Path) -> PictureFolder:
    """The content of a folder without system files; TreeError if there is no picture."""
    found = PictureFolder([], [], [])
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            found.folders.append(path.name)
        elif is_picture_name(path.name):
            found.pictures.append(path)
        elif not is_system_file(path.name):
            found.others.append(path.name)
    if not found.pictures:
        inside = f" and {plural(len(found.folders), 'folder')}, not searched" if found.folders else ""
        raise TreeError(
            f"{folder}: no pictures; expected {', '.join(PICTURE_ENDINGS)}, "
            f"found {plural(len(found.others), 'file')}{inside}"
        )
    return found


def is_picture_name(name: str) -> bool:
    """Whether the name has the ending of a picture that hggt can read."""
    return Path(name).suffix.lower() in PICTURE_ENDINGS and not is_system_file(name)


def looks_like_picture(name: str) -> bool:
    """Like `is_picture_name`, but includes formats hggt cannot read."""
    return is_picture_name(name) or (name.lower().endswith(_UNREADABLE_ENDINGS) and not is_system_file(name))
