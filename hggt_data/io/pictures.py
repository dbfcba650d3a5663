"""Users' pictures of any kind, read without loss as 8-bit RGB, and folders of them.

Trees and datasets contain strict 8-bit RGB PNG only, see `images.py`.
"""

import io
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from hggt_data.errors import ImageError, TreeError
from hggt_data.io.files import LFS_POINTER, is_lfs_pointer, is_system_file, read_regular_file, require_regular_file
from hggt_data.io.images import (
    PNG_HEADER_BYTES,
    PNG_SIGNATURE,
    Pixels,
    decode_png,
    parse_png,
    parse_png_header,
    read_png_header,
    require_affordable,
)
from hggt_data.io.text import plural

if TYPE_CHECKING:
    from PIL import Image

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_UNREADABLE_ENDINGS = (".gif", ".ppm")
_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_PILLOW_LIMIT = threading.Lock()  # Pillow has one limit for all threads


def read_picture(path: Path) -> Pixels:
    """The pixels of any 8-bit picture as RGB, uint8 (H, W, 3), turned as its EXIF says.

    Grey and palette become RGB, and an opaque alpha channel is dropped. ImageError, starting with the path, if the file
    is damaged or would lose information: 16-bit, CMYK, transparent, animated.
    """
    data = read_regular_file(path)
    try:
        if data.startswith(PNG_SIGNATURE):
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
        if head.startswith(PNG_SIGNATURE):
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

    # Pillow's own limit already warns at a third of what `require_affordable` allows.
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source, formats=_PILLOW_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decode_with_pillow(data: bytes) -> Pixels:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise ImageError("empty file")
    try:
        with _open_with_pillow(io.BytesIO(data)) as image:
            require_affordable(image.height, image.width)
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
        if is_lfs_pointer(data):
            raise ImageError(LFS_POINTER) from None
        raise ImageError(f"not a PNG, JPEG, WebP, BMP or TIFF: it starts with {data[:8]!r}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"its pixels cannot be decoded: {error}") from error


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
    if not folder.is_dir():
        raise TreeError(f"{folder}: no such folder; expected one that contains pictures")
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
