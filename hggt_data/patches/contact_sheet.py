"""Contact sheets of patch groups: the whole patch, and all versions side by side where they differ most.

Thumbnails of whole patches would hide what enhancement changes, so versions are shown at full resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hggt_data.io.images import Pixels

GROUPS_PER_PAGE = 12

_CELL_PX = (96, 160)  # smallest and largest side of a cell
_GAP_PX = 8
_MARGIN_PX = 24
_HEADER_PX = 52
_LINE_PX = 20
_PAPER, _INK, _FAINT, _ACCENT = "#f4f4f2", "#1d1d1b", "#7a7a76", "#b3261e"
_COARSE_PX = 8  # only every eighth row and column is searched for the window


@dataclass(frozen=True)
class SheetGroup:
    """One group on a sheet.

    Attributes:
        name: Text above the group.
        note: Text above the group, at the right.
        versions: Maps each version's name to its pixels, uint8 (H, W, 3); the original first, all the same size.
        captions: Text below each version.
        marked: Version whose caption is highlighted.
    """

    name: str
    note: str
    versions: dict[str, Pixels]
    captions: dict[str, str]
    marked: str


def draw_page(groups: Sequence[SheetGroup], title: str, subtitle: str) -> Pixels:
    """Draw one sheet, uint8 (H, W, 3); all groups must have the same versions and size."""
    side = max(pixels.shape[0] for pixels in groups[0].versions.values())
    cell = min(max(side, _CELL_PX[0]), _CELL_PX[1])
    num_cells = len(groups[0].versions) + (side > cell)
    text_px = max(_font(17).getlength(title), _font(12).getlength(subtitle))
    width = 2 * _MARGIN_PX + max(num_cells * (cell + _GAP_PX) - _GAP_PX, ceil(text_px))
    row_height = cell + 2 * _LINE_PX + 2 * _GAP_PX
    page = Image.new("RGB", (width, _MARGIN_PX + _HEADER_PX + len(groups) * row_height + _MARGIN_PX // 2), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN_PX, _MARGIN_PX - 4), title, _INK, _font(17))
    draw.text((_MARGIN_PX, _MARGIN_PX + 20), subtitle, _FAINT, _font(12))
    for number, group in enumerate(groups):
        _draw_group(page, draw, group, _MARGIN_PX + _HEADER_PX + number * row_height, cell)
    return np.asarray(page)


def find_window(versions: Sequence[Pixels], side: int) -> tuple[int, int]:
    """Find (top, left) of the square where candidates differ most from the original, summed over all of them.

    `versions` are uint8 (H, W, 3), the original first, and at least `side` pixels high and wide.
    """
    original = versions[0]
    change = np.zeros(original.shape[:2], np.int64)
    for candidate in versions[1:]:
        change += (np.maximum(original, candidate) - np.minimum(original, candidate)).sum(axis=2, dtype=np.int64)
    sums: NDArray[np.int64] = np.pad(change.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))  # (H + 1, W + 1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    coarse = inside[::_COARSE_PX, ::_COARSE_PX]
    row, column = divmod(int(coarse.argmax()), coarse.shape[1])
    return row * _COARSE_PX, column * _COARSE_PX


def _draw_group(page: Image.Image, draw: ImageDraw.ImageDraw, group: SheetGroup, top: int, cell: int) -> None:
    versions = list(group.versions.values())
    side = versions[0].shape[0]
    window = min(side, cell)
    row, column = find_window(versions, window)
    left = _MARGIN_PX
    note_px = round(_font(12).getlength(group.note))
    _write(draw, (left, top), group.name, page.width - 2 * _MARGIN_PX - note_px - 2 * _GAP_PX, _INK, 14)
    draw.text((page.width - _MARGIN_PX - note_px, top + 2), group.note, _FAINT, _font(12))
    top += _LINE_PX
    if side > cell:
        whole = Image.fromarray(versions[0]).resize((cell, cell), Image.Resampling.LANCZOS)
        page.paste(whole, (left, top))
        box = [left + column * cell // side, top + row * cell // side]
        box += [box[0] + window * cell // side - 1, box[1] + window * cell // side - 1]
        draw.rectangle([box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1], outline="black")
        draw.rectangle(box, outline="white")
        _write(draw, (left, top + cell + 3), f"whole patch, {side} x {side}", cell, _FAINT, 12)
        left += cell + _GAP_PX
    for name, pixels in group.versions.items():
        detail = np.ascontiguousarray(pixels[row : row + window, column : column + window])
        page.paste(Image.fromarray(detail), (left, top))
        colour = _ACCENT if name == group.marked else _INK
        _write(draw, (left, top + cell + 3 - (cell - window)), group.captions[name], cell, colour, 12)
        left += cell + _GAP_PX


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, room_px: int, colour: str, size: int) -> None:
    """Write one line of text; a long line is shortened in the middle, because names differ at their start and end."""
    font, shown = _font(size), text
    for kept in range(len(text) - 1, 1, -1):
        if font.getlength(shown) <= room_px:
            break
        shown = f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"
    draw.text(place, shown, colour, font)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
