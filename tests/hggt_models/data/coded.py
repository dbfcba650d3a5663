"""Pictures whose pixels encode their position and picture, and trees and folders of such pictures.

A pixel is (row, column, code), each counted in cells of `cell` x `cell` equal pixels. So a sample shows how it was
cropped and flipped, and so does an LR of scale `cell` made by a degradation that changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from hggt_data.io.images import Pixels, encode_png
from hggt_data.schema import ORIGINAL, Annotation, Label, group_order
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.hggt_labels import format_annotation
from tests.hggt_data.trees import write_bytes

_LETTERS = {"P": Label.POSITIVE, "S": Label.SIMILAR, "N": Label.NEGATIVE}

# Leaves pictures of equal cells as they are, but for the change of size.
NO_DEGRADATION = (
    "degradation.kernel_sizes_px=[1]",
    "degradation.sinc_probability=0",
    "degradation.enlarge_probability=0",
    "degradation.shrink_probability=0",
    "degradation.resize_modes=['area']",
    "degradation.gaussian_probability=1",
    "degradation.gaussian_sigma_8bit=[0, 0]",
    "degradation.jpeg_quality=[100, 100]",
)


def coded(code: int, size: tuple[int, int], cell: int = 1) -> Pixels:
    """A picture of so many cells, (height, width)."""
    height, width = size
    cells = np.empty((height, width, 3), np.uint8)
    cells[..., 0] = np.arange(height)[:, None]
    cells[..., 1] = np.arange(width)
    cells[..., 2] = code
    return cells.repeat(cell, 0).repeat(cell, 1)


@dataclass(frozen=True)
class Cut:
    """How a square was cut out of a coded picture: whose it is, its top and left, and how it was turned."""

    code: int
    top: int
    left: int
    mirrored: bool
    upended: bool
    quarter: bool


def cut_of(pixels: Tensor) -> Cut:
    """That of one picture of a sample, uint8 (3, H, W), which must hold nothing but a square of a coded picture."""
    rows, columns, codes = pixels.numpy().astype(int)
    quarter = bool(rows[0, 0] == rows[1, 0])
    down, right = (columns, rows) if quarter else (rows, columns)
    top, left = int(rows.min()), int(columns.min())
    mirrored, upended = bool(right[0, 1] < right[0, 0]), bool(down[1, 0] < down[0, 0])
    side = len(rows)
    assert pixels.shape == (3, side, side)
    expected = coded(int(codes[0, 0]), (top + side, left + side))[top:, left:].astype(int)
    if quarter:
        expected = expected.transpose(1, 0, 2)
    if upended:
        expected = expected[::-1]
    if mirrored:
        expected = expected[:, ::-1]
    np.testing.assert_array_equal(pixels.numpy().transpose(1, 2, 0), expected)
    return Cut(int(codes[0, 0]), top, left, mirrored, upended, quarter)


def code_of(group: int, name: str) -> int:
    """The code of a picture of group number `group`, and its inverse below."""
    return 10 * group + (0 if name == ORIGINAL else int(name))


def picture_of(code: int) -> tuple[int, str]:
    group, candidate = divmod(code, 10)
    return group, f"{candidate:02d}" if candidate else ORIGINAL


def write_groups(
    root: Path, labels: Mapping[str, str], *, size: tuple[int, int] = (24, 20), cell: int = 1, annotators: int = 3
) -> Path:
    """A tree of coded pictures.

    Args:
        root: of the tree.
        labels: of each group, by its id: a letter for each candidate; all annotators agree.
        size: of the pictures, (height, width) in cells.
        cell: side of a cell in pixels.
        annotators: how many there are.
    """
    for number, group_id in enumerate(sorted(labels, key=group_order)):
        letters = labels[group_id]
        candidates = tuple(f"{k:02d}" for k in range(1, len(letters) + 1))
        for name in (ORIGINAL, *candidates):
            path = root / "images/0-9" / name / picture_name(group_id, name)
            write_bytes(path, encode_png(coded(code_of(number, name), size, cell), compression=1))
        for slot in "ABCDE"[:annotators]:
            annotation = Annotation(slot, tuple(_LETTERS[letter] for letter in letters))
            data = format_annotation(annotation, group_id, candidates).encode()
            write_bytes(root / "labels/0-9" / slot / f"{group_id}.json", data)
    return root


def write_pictures(folder: Path, names: list[str], size: tuple[int, int] = (24, 20), cell: int = 1) -> Path:
    """A folder of coded pictures; the code of each is its place in the list."""
    for code, name in enumerate(names):
        write_bytes(folder / name, encode_png(coded(code, size, cell), compression=1))
    return folder
