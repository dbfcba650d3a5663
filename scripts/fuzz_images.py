"""Compare our picture readers with Pillow and `datasets` on changed files: `python scripts/fuzz_images.py`.

A finding is a file that we accept although `datasets` fails at it or reads other pixels, or an exception of ours that
is not an ImageError. Pictures that we convert to sRGB are not compared. Of users' RGB PNGs we read only the pixels, so
that `datasets` may fail at something else. Chunks, segments and fields are inserted, removed, exchanged and edited with
right lengths and checksums; other changes hit any byte. The same seed gives the same files.
"""

import argparse
import io
import random
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Image as ImageFeature
from PIL import Image, ImageCms, PngImagePlugin

from hggt_data.errors import ImageError
from hggt_data.io.images import PNG_SIGNATURE, Pixels, decode_png, parse_png
from hggt_data.io.pictures import Note, read_picture_with_notes
from hggt_data.io.portability import require_portable

Pieces = list[tuple[bytes, bytes]]

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>'
NUMBERS = (0, 1, 2, 3, 4, 6, 7, 8, 9, 16, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass
class Result:
    """How many changed files were tried and accepted, and what was found, each with its file."""

    tried: int = 0
    accepted: int = 0
    findings: list[tuple[str, bytes]] = field(default_factory=list)


def fuzz(form: str, count: int, seed: int = 0) -> Result:
    """Try `count` changed files of a format: `patch` for the pictures of a tree, or PNG, JPEG, WEBP, BMP, TIFF."""
    rng = random.Random(f"{form} {seed}")
    originals = list(_write_originals(form))
    result = Result()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "picture"

        def read(data: bytes) -> Pixels | None:
            """The pixels; None if they are converted to sRGB."""
            if form == "patch":
                info = parse_png(data)
                pixels = decode_png(data, info)
                require_portable(data, info)
                return pixels
            path.write_bytes(data)
            picture = read_picture_with_notes(path)
            return None if (Note.CONVERTED, path) in picture.notes else picture.pixels

        for _ in range(count):
            data = rng.choice(originals)
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                data = _change(data, rng)
            result.tried += 1
            try:
                pixels = read(data)
            except ImageError:
                continue
            except BaseException as error:  # a panic of Rust is no Exception
                result.findings.append((f"{type(error).__name__}: {error}", data))
                continue
            result.accepted += 1
            difference = "" if pixels is None else _compare(pixels, data)
            if difference and not (form == "PNG" and difference.startswith("datasets fails")):
                result.findings.append((difference, data))
    return result


def _compare(pixels: Pixels, data: bytes) -> str:
    """How `datasets` reads the file otherwise; nothing if it reads the same pixels."""
    try:
        image = ImageFeature().decode_example({"bytes": data, "path": None})
        theirs = np.asarray(image.convert("RGB"))
    except Exception as error:
        return f"datasets fails: {type(error).__name__}: {error}"
    if theirs.shape != pixels.shape:
        return f"datasets reads {theirs.shape}, we {pixels.shape}"
    num_other = int((theirs != pixels).any(axis=2).sum())
    return f"{num_other} of {pixels.shape[0] * pixels.shape[1]} pixels differ" if num_other else ""


def _write_originals(form: str) -> Iterator[bytes]:
    """Intact files of the format, small, with and without metadata."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "camera", 1
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "text")
    texts.add_text("Raw profile type exif", "\nexif\n" + exif.tobytes().hex(), zip=True)
    texts.add_itxt("XML:com.adobe.xmp", XMP % 1)
    saved_as = "PNG" if form == "patch" else form
    modes = {
        "patch": ("RGB",),
        "PNG": ("RGB", "L", "P", "RGBA", "1"),
        "JPEG": ("RGB", "L"),
        "BMP": ("RGB", "L", "P", "1"),
    }
    for mode in modes.get(form, ("RGB", "RGBA")):
        noisy = rng.integers(0, 256, (9, 14, 3), dtype=np.uint8)
        smooth = np.add.outer(np.arange(24), np.arange(20))[..., None] * [3, 5, 2] % 256
        for pixels in (noisy, smooth.astype(np.uint8)):
            image = Image.fromarray(pixels).convert(mode)
            plain = {"lossless": True} if form == "WEBP" else {}
            more: dict[str, Any] = {"exif": exif, "icc_profile": SRGB} if form != "BMP" else {}
            if saved_as == "PNG":
                more["pnginfo"] = texts
            if form == "TIFF":
                more["compression"] = "tiff_lzw"
            for options in (plain, more):
                buffer = io.BytesIO()
                image.save(buffer, saved_as, **options)
                yield buffer.getvalue()


def _change(data: bytes, rng: random.Random) -> bytes:
    """The file with one change."""
    for split, join, insertions in _STRUCTURES:
        pieces = split(data) if rng.random() < 0.8 else []
        if pieces:
            return join(_change_pieces(pieces, insertions, rng))
    return _edit(data, rng)


def _change_pieces(
    pieces: Pieces, insertions: "Callable[[random.Random], tuple[bytes, bytes]]", rng: random.Random
) -> Pieces:
    at, other = rng.randrange(len(pieces)), rng.randrange(len(pieces))
    kind, body = pieces[at]
    action = rng.choice(("insert", "insert", "insert", "edit", "edit", "remove", "swap", "repeat", "divide", "pixels"))
    if action == "insert":
        pieces.insert(rng.randrange(1, len(pieces) + 1), insertions(rng))
    elif action == "edit":
        pieces[at] = (kind, _edit(body, rng))
    elif action == "remove":
        del pieces[at]
    elif action == "swap":
        pieces[at], pieces[other] = pieces[other], pieces[at]
    elif action == "repeat":
        pieces.insert(other, (kind, body))
    elif action == "divide":
        middle = rng.randint(0, len(body))
        pieces[at : at + 1] = [(kind, body[:middle]), (kind, body[middle:])]
    else:
        pieces = [(kind, _edit_compressed(body, rng) if kind == b"IDAT" else body) for kind, body in pieces]
    return pieces


def _edit(data: bytes, rng: random.Random) -> bytes:
    """Other bytes at one place."""
    at = rng.randint(0, len(data))
    end = min(len(data), at + rng.choice((0, 1, 1, 1, 2, 4, 8)))
    size = end - at
    numbers = [struct.pack(order, number) for number in (rng.choice(NUMBERS),) for order in (">I", "<I")]
    short = [struct.pack(order, rng.choice(NUMBERS) & 0xFFFF) for order in (">H", "<H")]
    new = rng.choice((rng.randbytes(size), b"", rng.randbytes(size + rng.randint(1, 9)), *numbers, *short))
    if rng.random() < 0.1:
        return data[:at]
    return data[:at] + new + data[at + len(new) if rng.random() < 0.5 else end :]


def _edit_compressed(stream: bytes, rng: random.Random) -> bytes:
    """Pixel data that is changed before it is compressed, or whose checksum or end is changed after it."""
    try:
        raw = zlib.decompress(stream)
    except zlib.error:
        return stream
    action = rng.choice(("rows", "checksum", "longer", "shorter", "again", "tail"))
    if action == "rows":
        raw = _edit(raw, rng)
    elif action == "longer":
        raw += rng.randbytes(rng.choice((1, 10, 1000)))
    elif action == "shorter":
        raw = raw[: -rng.randint(1, len(raw) or 1)]
    compressor = zlib.compressobj(rng.randint(0, 9), zlib.DEFLATED, rng.randint(9, 15))
    packed = compressor.compress(raw) + compressor.flush()
    if action == "checksum":
        return packed[:-4] + rng.randbytes(4)
    return packed + rng.randbytes(rng.randint(1, 9)) if action == "tail" else packed


def _split_png(data: bytes) -> Pieces:
    pieces: Pieces = []
    at = len(PNG_SIGNATURE)
    while data.startswith(PNG_SIGNATURE) and at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        pieces.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return pieces


def _join_png(pieces: Pieces) -> bytes:
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in pieces
    )


def _png_insertion(rng: random.Random) -> tuple[bytes, bytes]:
    text = rng.choice(
        (b"Comment", b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1", b"exif", b"")
    )
    exif = _exif(rng)
    profile = b"\nexif\n%8d\n" % len(exif) + exif.hex().encode()
    content = rng.choice((b"text", XMP % rng.randint(0, 9), profile, exif, b"x" * 1_100_000, rng.randbytes(9)))
    packed = rng.choice((zlib.compress(content), content))
    known: dict[bytes, tuple[bytes, ...]] = {
        b"eXIf": (exif, exif[6:], exif[:-3]),
        b"tEXt": (text + b"\0" + content, text),
        b"zTXt": (text + b"\0\0" + packed, text + b"\0\1" + packed),
        b"iTXt": (text + b"\0\0\0\0\0" + content, text + b"\0\1\0en\0\0" + packed, text + b"\0\1\1\0" + packed),
        b"iCCP": (b"a\0\0" + zlib.compress(SRGB), b"a\0\0" + packed, b"\0\0" + zlib.compress(SRGB + content)),
        b"gAMA": (struct.pack(">I", rng.choice((45455, 100_000, rng.choice(NUMBERS)))),),
        b"cHRM": (struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, rng.choice((6000, 9000))),),
        b"sRGB": (bytes([rng.randint(0, 5)]),),
        b"cICP": (bytes((1, 13, 0, 1)), bytes((9, 16, 0, 1))),
        b"pHYs": (struct.pack(">IIB", 2835, 2835, rng.randint(0, 2)),),
        b"sBIT": (b"\5\5\5",),
        b"bKGD": (bytes(6),),
        b"hIST": (bytes(8),),
        b"tIME": (bytes(7),),
        b"tRNS": (bytes(6), bytes(2), b"\xff\0\xff"),
        b"PLTE": (bytes(3), rng.randbytes(30)),
        b"sPLT": (b"a\0\x08" + bytes(6),),
        b"acTL": (struct.pack(">2I", rng.randint(0, 2), 0),),
        b"fcTL": (struct.pack(">5I2H2B", rng.randint(0, 1), 14, 9, 0, 0, 1, 1, 0, 0),),
        b"fdAT": (struct.pack(">I", rng.randint(0, 1)) + rng.randbytes(5),),
        b"IDAT": (b"", rng.randbytes(3)),
        b"DDAT": (b"x",),
        b"prVt": (rng.randbytes(5),),
        b"a\xffb1": (b"",),
        b"IEND": (b"",),
    }
    kind = rng.choice(list(known))
    body = rng.choice(known[kind])
    return kind, rng.choice((body, body, body[: rng.randint(0, len(body))], body + rng.randbytes(rng.randint(1, 9))))


def _exif(rng: random.Random) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = rng.randint(0, 9)
    data = exif.tobytes()
    return _edit(data, rng) if rng.random() < 0.5 else data


def _split_jpeg(data: bytes) -> Pieces:
    """Segments; the last one is the scan with everything after it."""
    pieces: Pieces = []
    at = 2
    while data.startswith(b"\xff\xd8\xff") and at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at : at + 2], struct.unpack_from(">H", data, at + 2)[0]
        if marker == b"\xff\xda":
            return [*pieces, (marker, data[at + 2 :])]
        pieces.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + length
    return pieces


def _join_jpeg(pieces: Pieces) -> bytes:
    return b"\xff\xd8" + b"".join(
        marker + (b"" if marker == b"\xff\xda" else struct.pack(">H", (len(body) + 2) & 0xFFFF)) + body
        for marker, body in pieces
    )


def _jpeg_insertion(rng: random.Random) -> tuple[bytes, bytes]:
    known = {
        b"\xff\xe1": (_exif(rng), b"http://ns.adobe.com/xap/1.0/\0" + XMP % rng.randint(0, 9)),
        b"\xff\xe2": (b"ICC_PROFILE\0\1\1" + SRGB, b"ICC_PROFILE\0\1\2" + SRGB, b"MPF\0" + rng.randbytes(30)),
        b"\xff\xee": (b"Adobe" + rng.randbytes(7), b"Adobe\0d\0\0\0\0" + bytes([rng.randint(0, 2)])),
        b"\xff\xed": (b"Photoshop 3.0\x008BIM" + rng.randbytes(9),),
        b"\xff\xe0": (b"JFIF\0\1\1\1" + rng.randbytes(6),),
        b"\xff\xfe": (b"text",),
        b"\xff\xdd": (struct.pack(">H", rng.randint(0, 3)),),
        bytes((0xFF, rng.randint(0xC0, 0xFE))): (rng.randbytes(9),),
    }
    kind = rng.choice(list(known))
    return kind, rng.choice(known[kind])


def _split_webp(data: bytes) -> Pieces:
    pieces: Pieces = []
    at = 12
    while data[:4] == b"RIFF" and data[8:12] == b"WEBP" and at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        pieces.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return pieces


def _join_webp(pieces: Pieces) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for kind, body in pieces)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _webp_insertion(rng: random.Random) -> tuple[bytes, bytes]:
    known = {
        b"VP8X": (bytes((rng.choice((0, 2, 4, 8, 16, 32, 44)), 0, 0, 0, 13, 0, 0, 8, 0, 0)),),
        b"EXIF": (_exif(rng), _exif(rng)[6:]),
        b"XMP ": (XMP % rng.randint(0, 9),),
        b"ICCP": (SRGB, rng.randbytes(20)),
        b"ANIM": (bytes(6),),
        b"ANMF": (rng.randbytes(30),),
        b"ALPH": (rng.randbytes(20),),
        b"abcd": (b"",),
    }
    kind = rng.choice(list(known))
    return kind, rng.choice(known[kind])


def _split_tiff(data: bytes) -> Pieces:
    """The file up to its first directory, each entry, and the rest; edits keep the offsets."""
    if data[:4] not in (b"II*\0", b"MM\0*") or len(data) < 10:
        return []
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    if start + 2 > len(data):
        return []
    count = struct.unpack_from(f"{order}H", data, start)[0]
    starts = [start + 2 + 12 * number for number in range(count + 1)]
    entries = [(b"", data[at : at + 12]) for at in starts[:-1]]
    return [(b"", data[: start + 2]), *entries, (b"", data[starts[-1] :])]


def _join_plain(pieces: Pieces) -> bytes:
    return b"".join(kind + body for kind, body in pieces)


def _tiff_insertion(rng: random.Random) -> tuple[bytes, bytes]:
    tag = rng.choice((0x0102, 0x0103, 0x0106, 0x0112, 0x0115, 0x011C, 0x013D, 0x0152, 0x0153, 0x8773, 0x02BC, 0x8769))
    return b"", struct.pack("<HHII", tag, rng.randint(0, 13), rng.choice((1, 1, 1, 2, 3, 99)), rng.choice(NUMBERS))


_STRUCTURES: tuple[
    tuple[Callable[[bytes], Pieces], Callable[[Pieces], bytes], Callable[[random.Random], tuple[bytes, bytes]]], ...
] = (
    (_split_png, _join_png, _png_insertion),
    (_split_jpeg, _join_jpeg, _jpeg_insertion),
    (_split_webp, _join_webp, _webp_insertion),
    (_split_tiff, _join_plain, _tiff_insertion),
)


def main() -> None:
    """Print a line for each format and each finding; exit with 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="files of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", action="append", choices=FORMATS, help="only these")
    parser.add_argument("--output", type=Path, help="write the files of all findings to this folder")
    arguments = parser.parse_args()
    found = 0
    for form in arguments.format or FORMATS:
        result = fuzz(form, arguments.count, arguments.seed)
        print(f"{form}: {result.tried:,} files, {result.accepted:,} accepted, {len(result.findings):,} findings")
        for number, (what, data) in enumerate(result.findings):
            print(f"  {number}: {what}")
            if arguments.output:
                arguments.output.mkdir(parents=True, exist_ok=True)
                (arguments.output / f"{form}-{number}").write_bytes(data)
        found += len(result.findings)
    raise SystemExit(found > 0)


FORMATS = ("patch", "PNG", "JPEG", "WEBP", "BMP", "TIFF")

if __name__ == "__main__":
    main()
