"""Visualise the artefact maps used by the negative loss.

One row per negative: original, positive, negative, the maps M_P and M_N, and M, the map of the loss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from hggt_data.errors import DatasetError, OutputError, SettingsError
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import write_text
from hggt_data.io.images import Pixels, write_png
from hggt_data.io.pictures import looks_like_picture
from hggt_data.io.text import format_examples
from hggt_data.licence import LICENSE_FILE, format_licence_note, licence_file_of
from hggt_data.loading import opened
from hggt_data.palette import PALETTE
from hggt_data.ranges import Count, require_arguments
from hggt_data.schema import ORIGINAL, Label
from hggt_eval.metrics.tensors import as_images
from hggt_models.data.targets import GroupLabels
from hggt_models.losses.negative import candidate_map, negative_map

_CELL_PX = 256  # least width; smaller pictures are enlarged by whole factors, so that single pixels stay visible
_GAP_PX, _HEADING_PX, _CAPTION_PX = 12, 36, 54
_BAR_PX = (12, 100)  # (height, width)
# A few very bright pixels would otherwise leave all others dark.
_BRIGHTEST_SHARE = 0.005
_BLACK, _GREY, _PALE = "#000000", "#5c6570", "#eceff1"
# Lightness (CIE L*) rises by 24 from each to the next, so that equal steps of a map look equally large.
_SHADES = ((0, 0, 0), (84, 24, 128), (196, 62, 117), (254, 153, 92), (255, 250, 200))


@dataclass(frozen=True, slots=True)
class _Cell:
    """A picture (None if missing), the title and note below it, and the value of the lightest shade."""

    pixels: Pixels | None
    title: str
    note: str = ""
    colour: str = _BLACK
    highest: float | None = None


def write_map_pictures(
    groups: GroupSource | str | Path, output: str | Path, ids: Sequence[str] = (), num: Count | None = None
) -> list[Path]:
    """Draw the maps of the published negative loss.

    Args:
        groups: What `hggt_data.open_groups` returns, or what it opens: the training split of a dataset, or a tree.
        output: A .png file for one picture of all groups, or a folder for one ID_map.png per group.
            Existing files are overwritten.
        ids: Group to draw, which must have a negative; repeatable.  [default: the first groups that have one]
        num: Number of groups to draw, instead of `ids`.  [default: 4]

    Returns:
        The pictures written. The licence of the data is written beside them.

    Raises:
        SettingsError: `num` is out of range or combined with `ids`.
        DatasetError: A group does not exist or has no negative, or no group has one.
        OutputError: `output` has the ending of another picture format.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import write_demo_tree
        >>> from hggt_models import write_map_pictures
        >>> folder = Path(tempfile.mkdtemp())
        >>> [path] = write_map_pictures(write_demo_tree(folder).train, folder / "maps", num=1)
        >>> path.name
        'astronaut-0-0_map.png'
    """
    require_arguments(write_map_pictures, num=num)
    groups, output = opened(groups, "train"), Path(output)
    if ids and num is not None:
        raise SettingsError("`ids` and `num` cannot be combined; pass one of them")
    is_png = output.suffix.lower() == ".png"
    if looks_like_picture(output.name) and not is_png:
        raise OutputError(f"{output}: expected a file name that ends in .png, or a folder")
    chosen = _named(groups, ids) if ids else list(islice(_with_negative(groups), num or 4))
    if not chosen:
        raise DatasetError(
            f"{groups.location}: none of its {len(groups):,} groups has a negative and an original; nothing to draw"
        )
    if is_png:
        _write(output, _stacked([draw_maps(group) for group in chosen]))
        write_text(licence_file_of(output), format_licence_note(groups.license))
        return [output]
    paths = [output / f"{group.id}_map.png" for group in chosen]
    for path, group in zip(paths, chosen, strict=True):
        _write(path, draw_maps(group))
    write_text(output / LICENSE_FILE, format_licence_note(groups.license))
    return paths


def draw_maps(group: Group) -> Image.Image:
    """Draw one group that has a negative, with one row per negative.

    The maps of a row share one brightness scale, which a few pixels exceed. Training draws one of several positives
    each time; here it is the first.
    """
    labelled = GroupLabels.of(group)
    rows = [_draw_row(_cells(group, labelled, *negative)) for negative in labelled.negatives]
    sheet = _stacked(rows, top_px=_HEADING_PX)
    ImageDraw.Draw(sheet).text((_GAP_PX, _GAP_PX), group.id, _BLACK, ImageFont.load_default(22))
    return sheet


def shade(values: NDArray[np.float32], highest: float) -> Pixels:
    """Colour a map (H, W), from black at 0 through purple and orange to pale yellow at `highest`: uint8 (H, W, 3)."""
    shares = values / highest if highest > 0 else np.zeros_like(values)
    places = np.linspace(0, 1, len(_SHADES))
    channels = [np.interp(shares, places, channel) for channel in zip(*_SHADES, strict=True)]
    return np.stack(channels, -1).round().astype(np.uint8)  # (H, W, 3)


def _named(groups: GroupSource, ids: Sequence[str]) -> list[Group]:
    positions = {group_id: position for position, group_id in enumerate(groups.ids)}
    unknown = [name for name in ids if name not in positions]
    if unknown:
        similar = groups.suggest(unknown[0]) or f"; its groups are {format_examples(groups.ids)}"
        raise DatasetError(f"{groups.location} has no group {format_examples(unknown)}{similar}")
    chosen = [groups[positions[name]] for name in dict.fromkeys(ids)]
    without = [group.id for group in chosen if not group.negatives or not group.has_picture(ORIGINAL)]
    if without:
        others = [group.id for group in islice(_with_negative(groups), 3)]
        hint = f"groups that have one: {format_examples(others)}" if others else "no group here has one"
        raise DatasetError(
            f"{groups.location}: {format_examples(without)} lacks a negative or an original, so it has no map; {hint}"
        )
    return chosen


def _with_negative(groups: GroupSource) -> Iterator[Group]:
    return (group for group in groups if group.negatives and group.has_picture(ORIGINAL))


def _cells(group: Group, labelled: GroupLabels, negative: str, negative_agreement: int) -> list[_Cell]:
    num = labelled.num_annotators
    has_positive = bool(labelled.positives)
    positive, positive_agreement = labelled.positives[0] if has_positive else (ORIGINAL, num)
    pixels = {name: group.read(name) for name in (ORIGINAL, positive, negative)}
    images = {name: as_images(pixels[name]) for name in pixels}
    agreements = (torch.tensor([positive_agreement]), torch.tensor([negative_agreement]))
    of_positive = candidate_map(images[ORIGINAL], images[positive], agreements[0], num)
    of_negative = candidate_map(images[ORIGINAL], images[negative], agreements[1], num)
    refined = negative_map(
        images[ORIGINAL], images[positive], images[negative], *agreements, torch.tensor([has_positive]), num
    )
    both = np.concatenate([of_positive.numpy(), of_negative.numpy()])
    highest = float(np.quantile(both, 1 - _BRIGHTEST_SHARE) or both.max())

    def shaded(maps: Tensor) -> Pixels:
        return shade(maps[0, 0].numpy(), highest)

    kept = float((refined > 0).float().mean())
    kept_note = f"M_N > M_P in {kept:.0%} of pixels" if has_positive else "all of M_N, because there is no positive"
    return [
        _Cell(pixels[ORIGINAL], "original"),
        _Cell(
            pixels[positive],
            f"{positive}  Positive",
            f"by {positive_agreement} of {num} annotators",
            PALETTE[Label.POSITIVE].on_light,
        )
        if has_positive
        else _Cell(None, "no positive", colour=_GREY),
        _Cell(
            pixels[negative],
            f"{negative}  Negative",
            f"by {negative_agreement} of {num} annotators",
            PALETTE[Label.NEGATIVE].on_light,
        ),
        _Cell(shaded(of_positive), "M_P", f"what {positive} changes")
        if has_positive
        else _Cell(None, "no M_P", colour=_GREY),
        _Cell(shaded(of_negative), "M_N", f"what {negative} changes", highest=highest),
        _Cell(shaded(refined), "M, the map of the loss", kept_note),
    ]


def _draw_row(cells: Sequence[_Cell]) -> Image.Image:
    first = cells[0].pixels
    assert first is not None
    factor = -(-_CELL_PX // first.shape[1])
    height, width = first.shape[0] * factor, first.shape[1] * factor
    row = Image.new("RGB", (len(cells) * (width + _GAP_PX) + _GAP_PX, height + _CAPTION_PX), "white")
    draw = ImageDraw.Draw(row)
    for k, cell in enumerate(cells):
        left = _GAP_PX + k * (width + _GAP_PX)
        if cell.pixels is None:
            draw.rectangle((left, 0, left + width - 1, height - 1), _PALE)
        else:
            picture = Image.fromarray(np.ascontiguousarray(cell.pixels))
            row.paste(picture.resize((width, height), Image.Resampling.NEAREST), (left, 0))
        draw.text((left, height + 6), cell.title, cell.colour, ImageFont.load_default(19))
        draw.text((left, height + 31), cell.note, _GREY, ImageFont.load_default(15))
        if cell.highest is not None:
            _draw_scale(row, cell.highest, height + 10, left + width)
    return row


def _draw_scale(row: Image.Image, highest: float, top: int, right: int) -> None:
    """Draw a right-aligned bar with all shades and the values at its ends."""
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(15)
    words = f"{highest:.2g}"
    left = right - round(draw.textlength(words, font)) - 6 - _BAR_PX[1]
    bar = np.tile(np.linspace(0, 1, _BAR_PX[1], dtype=np.float32), (_BAR_PX[0], 1))
    row.paste(Image.fromarray(shade(bar, 1)), (left, top))
    draw.text((left - 6, top + _BAR_PX[0] // 2), "0", _GREY, font, "rm")
    draw.text((right, top + _BAR_PX[0] // 2), words, _GREY, font, "rm")


def _stacked(sheets: Sequence[Image.Image], top_px: int = 0) -> Image.Image:
    """Stack sheets vertically."""
    width = max(sheet.width for sheet in sheets)
    whole = Image.new("RGB", (width, top_px + _GAP_PX + sum(sheet.height + _GAP_PX for sheet in sheets)), "white")
    top = top_px + _GAP_PX
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height + _GAP_PX
    return whole


def _write(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.asarray(picture))
