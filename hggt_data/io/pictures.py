"""Users' pictures of any kind, read as 8-bit RGB in sRGB, and folders of them.

Trees and datasets contain strict 8-bit RGB PNG only, see `images.py`. A picture that would lose information is refused;
what is changed or ignored without loss of pixels is noted with the picture, so that commands report it.
"""

import io
import struct
import threading
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from hggt_data.errors import ImageError, TreeError
from hggt_data.io.files import LFS_POINTER, is_lfs_pointer, is_system_file, read_regular_file, require_regular_file
from hggt_data.io.images import (
    PNG_HEADER_BYTES,
    PNG_SIGNATURE,
    Pixels,
    PngInfo,
    decode_png,
    decoding_fault,
    parse_png,
    parse_png_header,
    read_chunks,
    require_affordable,
)
from hggt_data.io.portability import open_without_pixels
from hggt_data.io.text import format_examples, plural

if TYPE_CHECKING:
    from PIL import Image

    from hggt_data.io.colours import Conversion

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
CONVERT_HINT = "Convert it to 8-bit RGB PNG, for example with `magick mogrify -depth 8 -format png FILE`."
_UNREADABLE_ENDINGS = (".gif", ".ppm")
_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_PILLOW_LIMIT = threading.Lock()  # Pillow has one limit for all threads
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type of a PNG
# First column, first row, and distance between columns and rows of each pass of an interlaced PNG.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BITS_PER_SAMPLE, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 338, 339  # tags of a TIFF
_ORIENTATION = 274
_SAMPLE_FORMATS = {2: "signed ", 3: "float "}
_EXPECTED_BITS = "; expected 8 bits per channel, convert it first"


class Note(Enum):
    """What `read_picture` changed or ignored in a picture; the value says it of several pictures."""

    ALPHA = "Dropped an opaque alpha or extra channel of {}"
    CONVERTED = "Converted {} to sRGB from the embedded colour profile"
    UNUSABLE_PROFILE = "Read {} as sRGB, as the embedded colour profile cannot be used"
    OTHER_COLOURS = "Read {} as sRGB, and ignored the declared gamma, primaries, cICP or Adobe RGB"


PictureNote = tuple[Note, Path]
PictureNotes = frozenset[PictureNote]


@dataclass(frozen=True, slots=True)
class Picture:
    """The pixels of a picture, uint8 (H, W, 3), the notes on its file, and the EXIF orientation that was applied."""

    pixels: Pixels
    notes: PictureNotes = frozenset()
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, after the turn."""
        height, width, _ = self.pixels.shape
        return height, width

    def stored(self) -> Pixels:
        """The pixels as they are in the file, before the turn; a view."""
        pixels = self.pixels[::-1] if self.orientation in (3, 4, 7, 8) else self.pixels
        pixels = pixels[:, ::-1] if self.orientation in (2, 3, 6, 7) else pixels
        return pixels.swapaxes(0, 1) if self.orientation > 4 else pixels


def describe_notes(notes: Collection[PictureNote]) -> list[str]:
    """The notes of many pictures: a line for each kind, with the number of pictures and examples."""
    found = {kind: sorted(path.name for noted, path in notes if noted is kind) for kind in Note}
    return [
        f"{kind.value.format(plural(len(names), 'picture'))}: {format_examples(names)}"
        for kind, names in found.items()
        if names
    ]


def read_picture(path: Path) -> Pixels:
    """The pixels of any 8-bit picture as RGB in sRGB, uint8 (H, W, 3), turned as its EXIF says.

    Grey and palette become RGB, an opaque alpha channel is dropped, and an embedded colour profile is converted. Of a
    JPEG that contains several pictures, as phones write it, the first is read. ImageError, starting with the path, if
    the file is damaged or would lose information: more than 8 bits, CMYK, transparent, animated.
    """
    return read_picture_with_notes(path).pixels


def read_picture_with_notes(path: Path) -> Picture:
    """Like `read_picture`, with what was changed or ignored."""
    with _faults_of(path, "its pixels cannot be decoded"):
        data = read_regular_file(path)
        if data.startswith(PNG_SIGNATURE):
            return _read_png(data, path)
        with _opened(io.BytesIO(data)) as image:
            orientation = _orientation(image)  # Pillow turns a TIFF while it loads it
            return _check(image).finish(_load(image), path, orientation)


def _read_png(data: bytes, path: Path) -> Picture:
    from PIL import Image, ImageOps

    info = parse_png(data)
    _require_8_bits(info)
    chunks = [(kind, body) for kind, body, _ in read_chunks(data, compare_checksums=False)]
    cicp = _find_cicp(io.BytesIO(data))
    if info.mode != "8-bit RGB":
        with _opened(io.BytesIO(data)) as image:
            checked = _check(image, cicp)
            _require_whole_pixels(data, chunks)
            return checked.finish(_load(image), path, _orientation(image))
    pixels = decode_png(data, info)
    others = [chunk for chunk in chunks if chunk[0] not in (b"IHDR", b"IDAT", b"IEND")]
    if not others:
        return Picture(pixels)
    described = open_without_pixels(others)
    image = Image.fromarray(pixels)
    image.getexif()[_ORIENTATION] = orientation = _orientation(described)
    return _check(described, cicp).finish(ImageOps.exif_transpose(image), path, orientation)


def check_picture(path: Path) -> PictureNotes:
    """The notes on a picture; ImageError if `read_picture` would refuse it, as far as its header shows.

    Only a picture that may be transparent is decoded.
    """
    with _faults_of(path, "its header cannot be read"):
        require_regular_file(path)
        with open(path, "rb") as file:
            head = file.read(PNG_HEADER_BYTES + 8)
            if head.startswith(PNG_SIGNATURE):
                info = parse_png_header(head)
                _require_8_bits(info)
                if info.mode in ("8-bit RGB", "8-bit grey") and head.endswith(b"IDAT"):
                    return frozenset()  # there is nothing but pixels
            cicp = _find_cicp(file) if head.startswith(PNG_SIGNATURE) else None
            file.seek(0)
            with _opened(file) as image:
                checked = _check(image, cicp)
                if not image.has_transparency_data:
                    return checked.at(path)
    return read_picture_with_notes(path).notes


def read_picture_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header of a picture; the rest is not examined.

    An orientation in its EXIF is not applied, except to a TIFF.
    """
    with _faults_of(path, "its header cannot be read"):
        require_regular_file(path)
        with open(path, "rb") as file:
            head = file.read(PNG_HEADER_BYTES)
        if head.startswith(PNG_SIGNATURE):
            return parse_png_header(head).size
        with open(path, "rb") as file, _opened(file) as image:
            return image.height, image.width


@contextmanager
def _faults_of(path: Path, what: str) -> Iterator[None]:
    """Turn every failure of a decoder into an ImageError that names the file; errors of the system stay."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ImageError(f"{path}: {what}: {decoding_fault(error)}") from error


@contextmanager
def _opened(file: BinaryIO) -> Iterator["Image.Image"]:
    """Image header only; the caller checks the size."""
    from PIL import Image, UnidentifiedImageError

    head = file.read(64)
    if not head:
        raise ImageError("empty file")
    # Pillow's own limit already warns at a third of what `require_affordable` allows.
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file, formats=_PILLOW_FORMATS)
        except UnidentifiedImageError:
            if is_lfs_pointer(head):
                raise ImageError(LFS_POINTER) from None
            raise ImageError(
                "cannot be read as PNG, JPEG, WebP, BMP or TIFF: it is damaged or of another format "
                f"(starts with {head[:8]!r})"
            ) from None
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


@dataclass(frozen=True, slots=True)
class _Checked:
    """The notes on a picture that may be read, and its conversion to sRGB if it needs one."""

    notes: frozenset[Note]
    conversion: "Conversion | None"

    def finish(self, image: "Image.Image", path: Path, orientation: int = 1) -> Picture:
        """The decoded and turned picture as RGB in sRGB."""
        image = self.conversion(image) if self.conversion else image.convert("RGB")
        return Picture(np.asarray(image), self.at(path), orientation)

    def at(self, path: Path) -> PictureNotes:
        """The notes with the picture that they are about."""
        return frozenset((note, path) for note in self.notes)


def _find_cicp(file: BinaryIO) -> bytes | None:
    """The cICP chunk before the pixels of a PNG, which Pillow ignores; other chunks are skipped unread."""
    file.seek(len(PNG_SIGNATURE))
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"cICP":
            return file.read(min(length, 8))
        file.seek(length + 4, io.SEEK_CUR)
    return None


def _check(image: "Image.Image", cicp: bytes | None = None) -> _Checked:
    """Refuse what the header shows to lose information; `cicp` is the cICP chunk of a PNG."""
    from hggt_data.io.colours import SRGB_CICP, ProfileError, declares_other_colours, find_conversion, is_adobe_rgb

    require_affordable(image.height, image.width)
    num_pictures = getattr(image, "n_frames", 1)
    if num_pictures > 1 and image.format != "MPO":  # a JPEG whose first picture is the main one
        raise ImageError(f"{num_pictures} pictures in one file; expected a single picture")
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    bits = max(tags.get(_BITS_PER_SAMPLE, (8,)))
    sample_format = max(tags.get(_SAMPLE_FORMAT, (1,)))
    if bits > 8 or sample_format in _SAMPLE_FORMATS:  # Pillow cuts many kinds to 8 bits
        raise ImageError(f"{bits}-bit {_SAMPLE_FORMATS.get(sample_format, '')}TIFF{_EXPECTED_BITS}")
    if image.mode not in ("1", "L", "P", "RGB", "LA", "PA", "RGBA"):
        raise ImageError(f"{image.mode} pixels; expected 8-bit RGB or grey, convert it first")
    notes = set()
    if image.has_transparency_data or tags.get(_EXTRA_SAMPLES):
        notes.add(Note.ALPHA)
    conversion = None
    if profile := image.info.get("icc_profile"):
        try:
            conversion = find_conversion(profile, is_grey=image.mode in ("1", "L", "LA"))
        except ProfileError:
            notes.add(Note.UNUSABLE_PROFILE)
        if conversion:
            notes.add(Note.CONVERTED)
    elif cicp is not None:  # it alone counts
        if cicp != SRGB_CICP:
            notes.add(Note.OTHER_COLOURS)
    elif declares_other_colours(image.info) or (image.format in ("JPEG", "MPO") and is_adobe_rgb(image.getexif())):
        notes.add(Note.OTHER_COLOURS)
    return _Checked(frozenset(notes), conversion)


def _load(image: "Image.Image") -> "Image.Image":
    """The picture, which must be opaque, turned as its EXIF says."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        if upright.getchannel("A").getextrema() != (255, 255):
            raise ImageError("partly transparent; expected an opaque picture, flatten it first")
    return upright


def _orientation(image: "Image.Image") -> int:
    """The EXIF orientation that `_load` applies, 1 to 8."""
    orientation = image.getexif().get(_ORIENTATION)
    return next((known for known in range(2, 9) if known == orientation), 1)


def _require_8_bits(info: PngInfo) -> None:
    if info.mode.startswith("16-bit"):
        raise ImageError(f"{info.mode}{_EXPECTED_BITS}")


def _require_whole_pixels(data: bytes, chunks: Sequence[tuple[bytes, memoryview]]) -> None:
    """Check that the compressed data of a PNG holds all rows, with its checksum; Pillow may leave some black."""
    width, height, depth, colour, _, _, is_interlaced = struct.unpack_from(">IIBBBBB", data, len(PNG_SIGNATURE) + 8)
    expected = 0
    for left, top, across, down in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0:
            expected += rows * (1 + -(-columns * depth * _CHANNELS[colour] // 8))  # a byte for the row's filter
    stream = zlib.decompressobj()
    found = len(stream.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"), expected + 1))
    if found < expected:
        raise ImageError(f"its pixel data ends early, after {found:,} of {expected:,} bytes")


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
