"""Files of pixels: the only module that knows how pictures are stored.

HGGT's pictures are 8-bit RGB PNG files. Decoding is strict: a file that is cut, bit-flipped, short of rows, 16-bit,
grey, palette or with alpha raises `ImageError` instead of yielding pixels. Pillow alone would give black rows for a
PNG whose pixel data ends early; kornia-rs (the Rust `png` crate) does not, and is 3 times as fast. The checksums of the
chunks are compared, not the one inside the compressed data, which is over the same bytes and would take as long again.
`read_picture` is for people's own pictures, of any kind that can become 8-bit RGB without a loss.
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
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # of people's own pictures
# A header can claim any size: what is claimed is compared with what could be there before memory is taken for it.
_OTHER_FORMATS = {"JPEG": rb"\xff\xd8\xff", "WebP": rb"RIFF....WEBP", "BMP": rb"BM", "TIFF": rb"II\*\0|MM\0\*"}
_MAX_PIXELS = 1 << 28
_MAX_DEFLATE_RATIO = 1032
_PILLOW_LIMIT = threading.Lock()  # Pillow has one limit for all threads


@dataclass(frozen=True, slots=True)
class PngInfo:
    """What a PNG says of itself.

    Attributes:
        height, width: in pixels.
        mode: such as `8-bit RGB` or `16-bit grey`.
        metadata: what it holds beside pixels: EXIF (camera, place), times, texts by keyword (XMP, author, comment).
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
    """Size and mode from the first 33 bytes of a file, without looking at the rest.

    Raises:
        ImageError: the file is not a PNG.
        OSError: it cannot be read.
    """
    require_regular_file(path)
    with open(path, "rb") as file:
        return parse_png_header(file.read(PNG_HEADER_BYTES))


def parse_png_header(data: bytes) -> PngInfo:
    """Size and mode from the first `PNG_HEADER_BYTES` of a file.

    Raises:
        ImageError: they are not those of a PNG.
    """
    if not data:
        raise ImageError("empty file")
    if not data.startswith(_SIGNATURE):
        known = next((name for name, start in _OTHER_FORMATS.items() if re.match(start, data, re.DOTALL)), None)
        if known:
            raise ImageError(f"not a PNG but a {known}; expected a PNG, which keeps pixels as they were computed")
        raise ImageError(f"not a PNG: it opens with {data[:8]!r}")
    if len(data) < PNG_HEADER_BYTES:
        raise ImageError(f"cut off inside its header, after {len(data):,} bytes")
    if data[12:16] != b"IHDR":
        raise ImageError(f"damaged: it opens with a {_name(data[12:16])} chunk; expected IHDR")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    return PngInfo(height, width, f"{depth}-bit {_COLOURS.get(colour, f'colour type {colour}')}")


def parse_png(data: bytes) -> PngInfo:
    """Walk over all chunks of a PNG and check that it is whole: order, lengths, checksums, end mark.

    Raises:
        ImageError: the bytes are not a PNG, or are cut or damaged.
    """
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
            # A second header, or a chunk that nobody knows and whose capital says that nobody may pass over it.
            raise ImageError(f"damaged: a {_name(kind)} chunk at byte {position:,}, where none can be")
        elif kind == b"acTL":
            raise ImageError("an animated PNG; expected one picture in a file")
        elif kind == b"tRNS":
            info = PngInfo(info.height, info.width, f"{info.mode} with a transparent colour")
        elif kind == b"eXIf":
            metadata.append("EXIF")
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword = bytes(body[:79]).split(b"\0")[0].decode("latin-1")
            if keyword != "Software":  # tells nothing of anybody
                metadata.append(keyword if keyword.isprintable() else "a text")
        elif kind == b"tIME":
            metadata.append("the time of its last change")
        position = end
    if position != len(data):
        raise ImageError(f"{len(data) - position:,} bytes follow the end mark of the PNG")
    if compressed_bytes * _MAX_DEFLATE_RATIO < info.height * info.width // 8:  # 1 bit per pixel is the least there is
        raise ImageError(
            f"{compressed_bytes:,} bytes of pixel data cannot hold {info.height:,} x {info.width:,} pixels"
        )
    return PngInfo(info.height, info.width, info.mode, tuple(metadata))


def decode_png(data: bytes, info: PngInfo | None = None) -> Pixels:
    """The pixels of an 8-bit RGB PNG, uint8 (H, W, 3).

    Args:
        data: the file's bytes.
        info: what `parse_png` said of them, to spare a second walk.

    Raises:
        ImageError: not a whole PNG, or one of another mode.
    """
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
    """The pixels of an 8-bit RGB PNG file, uint8 (H, W, 3).

    Raises:
        ImageError: not a whole 8-bit RGB PNG; the message opens with the path.
        OSError: the file cannot be read.
    """
    try:
        return decode_png(path.read_bytes())
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def read_picture(path: Path) -> Pixels:
    """The pixels of any 8-bit picture as RGB, uint8 (H, W, 3), turned as its EXIF says.

    Grey and palette become RGB, and an alpha channel that is opaque everywhere is dropped.

    Raises:
        ImageError: not a whole picture, or one that would lose something: 16-bit, CMYK, transparent, animated. The
            message opens with the path.
        OSError: the file cannot be read.
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
    """(height, width) in pixels that the head of a picture names; where its EXIF turns it, before the turn.

    Raises:
        ImageError: there is no such head. The rest may be damaged all the same.
        OSError: the file cannot be read.
    """
    require_regular_file(path)
    with open(path, "rb") as file:
        head = file.read(PNG_HEADER_BYTES)
    try:
        if head.startswith(_SIGNATURE):
            return parse_png_header(head).size
        with _open_with_pillow(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: its head cannot be read: {error}") from error


def is_plain_picture(path: Path) -> bool:
    """Whether the head of a picture says that it is 8-bit RGB or grey; of others, such as with alpha, only pixels tell.

    Raises:
        ImageError: there is no such head.
        OSError: the file cannot be read.
    """
    try:
        return read_png_header(path).mode in ("8-bit RGB", "8-bit grey")
    except ImageError:
        pass
    try:
        with _open_with_pillow(path) as image:
            return image.mode in ("RGB", "L") and getattr(image, "n_frames", 1) == 1
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: its head cannot be read: {error}") from error


def _open_with_pillow(source: Path | BinaryIO) -> "Image.Image":
    """A picture of which only the head has been read; its size is for the caller to judge."""
    from PIL import Image

    # Pillow's own limit warns of pictures of a third of `_MAX_PIXELS`.
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _require_affordable(height: int, width: int) -> None:
    if height * width > _MAX_PIXELS:
        raise ImageError(f"{height:,} x {width:,} pixels; expected {_MAX_PIXELS:,} in all at most")


def _decode_with_pillow(data: bytes) -> Pixels:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise ImageError("empty file")
    try:
        with _open_with_pillow(io.BytesIO(data)) as image:
            _require_affordable(image.height, image.width)
            num_frames = getattr(image, "n_frames", 1)
            if num_frames > 1:
                raise ImageError(f"{num_frames} pictures in one file; expected one")
            if image.mode not in ("1", "L", "P", "RGB", "LA", "PA", "RGBA"):
                raise ImageError(f"{image.mode} pixels; expected 8-bit RGB or grey, convert it first")
            image.load()
            if image.has_transparency_data:
                alpha = image.convert("RGBA").getchannel("A").getextrema()
                if alpha != (255, 255):
                    raise ImageError("parts of it are transparent; expected an opaque picture, flatten it first")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError:
        raise ImageError(f"no PNG, JPEG, WebP, BMP or TIFF: it opens with {data[:8]!r}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"its pixels cannot be decoded: {error}") from error


def encode_png(pixels: Pixels, compression: int = 6) -> bytes:
    """Pixels, uint8 (H, W, 3), as the bytes of a PNG without metadata. `compression` is zlib's level, 0 to 9."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels), "RGB").save(buffer, "PNG", compress_level=compression)
    return buffer.getvalue()


def write_png(path: Path, pixels: Pixels, compression: int = 6) -> None:
    """Write pixels, uint8 (H, W, 3), as a PNG file that is either whole or not there; `encode_png` has `compression`.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_file(path) as file:
        file.write(encode_png(pixels, compression))


def _name(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalnum() else repr(kind)


PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

# Of pictures that nothing here reads; one is told of where it lies in the way.
_UNREAD_ENDINGS = (".gif", ".ppm")


@dataclass(frozen=True)
class PictureFolder:
    """What lies in a folder; each list is sorted by name.

    Attributes:
        pictures: the files with a picture's ending. One may still be damaged, or a link that leads nowhere.
        others: the names of all other files.
        folders: the names of the folders in it. Nobody looks into them.
    """

    pictures: list[Path]
    others: list[str]
    folders: list[str]


def list_folder(folder: Path) -> PictureFolder:
    """What lies in a folder of pictures, without what operating systems leave there.

    Raises:
        TreeError: there is no picture.
        OSError: the folder cannot be read.
    """
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
    """Whether a file of this name is taken for a picture."""
    return Path(name).suffix.lower() in PICTURE_ENDINGS and not is_system_file(name)


def looks_like_picture(name: str) -> bool:
    """The same for whoever only wonders what a file is: pictures that nothing here reads count, too."""
    return is_picture_name(name) or (name.lower().endswith(_UNREAD_ENDINGS) and not is_system_file(name))
