"""Small HGGT trees with any candidates, annotators and levels, and PNG files with any fault."""

import os
import random
import struct
import zipfile
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from hggt_data.io.images import Pixels, encode_png
from hggt_data.schema import ORIGINAL, Annotation, Label
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.hggt_labels import format_annotation

FOUR = ("01", "02", "03", "04")


def write_tree(
    root: Path,
    ids: Sequence[str],
    *,
    candidates: tuple[str, ...] = FOUR,
    slots: str = "ABC",
    level: str = "0-9",
    size: tuple[int, int] = (16, 16),
    lr: bool = False,
    seed: int = 0,
) -> Path:
    """Write `images/LEVEL/` and `labels/LEVEL/` (and `Blind_LR/`) with noise as pictures; every picture differs.

    Args:
        size: (height, width) in pixels.
        lr: also write low-resolution images of a quarter of the size.
    """
    for group_id in ids:
        for name in (ORIGINAL, *candidates):
            path = root / "images" / level / name / picture_name(group_id, name)
            write_bytes(path, encode_png(noise(size, f"{seed} {group_id} {name}")))
        for slot in slots:
            write_annotation(root / "labels" / level / slot / f"{group_id}.json", group_id, slot, candidates, seed)
        if lr:
            small = (size[0] // 4, size[1] // 4)
            write_bytes(root / "Blind_LR" / f"{group_id}.png", encode_png(noise(small, f"{seed} {group_id} lr")))
    return root


def write_annotation(path: Path, group_id: str, slot: str, candidates: tuple[str, ...], seed: int = 0) -> Annotation:
    """Write one annotator's JSON with random labels."""
    rng = random.Random(f"{seed} {group_id} {slot}")
    start = datetime(2022, 8, 5, 17) + timedelta(seconds=rng.randrange(3600))
    labels = tuple(rng.choice(list(Label)) for _ in candidates)
    annotation = Annotation(slot, labels, start, start + timedelta(seconds=30), 30.0)
    write_bytes(path, format_annotation(annotation, group_id, candidates).encode())
    return annotation


def write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def noise(size: tuple[int, int], seed: str) -> Pixels:
    """Random pixels, uint8 (H, W, 3)."""
    height, width = size
    data = random.Random(seed).randbytes(height * width * 3)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def zip_folder(folder: Path, path: Path, name: str = "", method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip file with the content of a folder, as `name` in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as file:
        for inside in sorted(folder.rglob("*")):
            file.write(inside, Path(name) / inside.relative_to(folder))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder: relative path to bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def edit_text(path: Path, old: str, new: str) -> None:
    """Replace a piece of text that must be there."""
    text = path.read_text("utf-8")
    assert old in text, f"{path} holds no {old!r}"
    path.write_text(text.replace(old, new, 1), "utf-8")


def edit_keeping_stat(path: Path, data: bytes) -> None:
    """Give a file other bytes of the same number and the same modification time."""
    stat = path.stat()
    assert len(data) == stat.st_size
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# What a clone contains in place of a large file that was not fetched.
LFS_POINTER_FILE = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
Chunks = list[tuple[bytes, bytes]]
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def split_png(data: bytes) -> Chunks:
    """(kind, body) of each chunk of a PNG."""
    chunks, position = [], len(PNG_SIGNATURE)
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunks.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return chunks


def join_png(chunks: Chunks) -> bytes:
    """A PNG of these chunks, each with its right checksum."""
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk right after its header."""
    header, *rest = split_png(data)
    return join_png([header, (kind, body), *rest])


def with_rows(data: bytes, rows: int) -> bytes:
    """A PNG whose pixel data ends after `rows` rows, checksums right: Pillow fills the others with black."""
    header, *rest = split_png(data)
    raw = zlib.decompress(b"".join(body for kind, body in rest if kind == b"IDAT"))
    height = struct.unpack_from(">I", header[1], 4)[0]
    row_bytes = len(raw) // height
    return join_png([header, (b"IDAT", zlib.compress(raw[: rows * row_bytes])), (b"IEND", b"")])
