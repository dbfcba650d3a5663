"""How a zoom figure is laid out: a row per crop, with the picture at the left and its tiles in two rows beside it.

Places are in inches; pixels are drawn without smoothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hggt_data.errors import MatchError, NameFormatError, SettingsError
from hggt_data.io.images import Pixels
from hggt_data.schema import require_group_id

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP_IN = 0.05
FONT_PT = 7.0
_LINE_IN = 0.13
_BOX_COLOUR = "#d00000"
_INK = "#000000"


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of a patch group, with its place and size in pixels of the ground truth."""

    id: str
    top: int
    left: int
    size: int

    @classmethod
    def parse(cls, text: str) -> "Crop":
        """Parse `ID:TOP,LEFT,SIZE`; SettingsError for other text.

        Example:
            >>> Crop.parse("0001-586-1469:120,64,96")
            Crop(id='0001-586-1469', top=120, left=64, size=96)
        """
        name, _, numbers = text.rpartition(":")
        parts = numbers.split(",")
        if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts) or not int(parts[2]):
            raise SettingsError(f"{text!r}; expected ID:TOP,LEFT,SIZE in pixels, such as 0001-586-1469:120,64,96")
        try:
            return cls(require_group_id(name), *map(int, parts))
        except NameFormatError as error:
            raise SettingsError(f"{text!r}: {error}") from error

    def require_inside(self, pixels: Pixels) -> None:
        """Check that the crop lies inside a picture."""
        height, width = pixels.shape[:2]
        if self.top + self.size > height or self.left + self.size > width:
            raise MatchError(
                f"crop {self.id}:{self.top},{self.left},{self.size} ends at row {self.top + self.size} and column "
                f"{self.left + self.size}; the pictures are {height} x {width}"
            )


@dataclass(frozen=True, slots=True)
class Tile:
    """A small picture: the whole image, uint8 (H, W, 3), and the lines of text below the crop with their colour."""

    pixels: Pixels
    lines: tuple[str, ...]
    bold: tuple[bool, ...]
    colour: str = _INK


def _columns(num_tiles: int) -> int:
    """Columns of tiles, which fill two rows beside the picture."""
    return (num_tiles + 1) // 2


def _tile_side(original: Pixels, num_tiles: int, num_lines: int, width_in: float) -> float:
    """The side with which the picture, as high as two tiles, and all tiles fill the width."""
    ratio = float(original.shape[1] / original.shape[0])
    columns = _columns(num_tiles)
    return (width_in - columns * GAP_IN - ratio * _text_height(num_lines)) / (2 * ratio + columns)


def row_height(original: Pixels, num_tiles: int, num_lines: int, width_in: float) -> float:
    """Height of a row in inches; as for `draw_row`."""
    return 2 * (_tile_side(original, num_tiles, num_lines, width_in) + _text_height(num_lines))


def _text_height(num_lines: int) -> float:
    """Height of the text below a picture, in inches."""
    return num_lines * _LINE_IN + GAP_IN


def draw_row(
    figure: "Figure",
    crop: Crop,
    original: Pixels,
    tiles: Sequence[Tile],
    top_in: float,
    lines: Sequence[str],
    width_in: float,
) -> None:
    """Draw a row whose upper edge is `top_in` inches above the bottom, with `lines` of text below the picture."""
    from matplotlib.patches import Rectangle

    side = _tile_side(original, len(tiles), len(lines), width_in)
    text = _text_height(len(lines))
    height = 2 * side + text
    width = height * original.shape[1] / original.shape[0]
    axes = _add_axes(figure, 0, top_in - height, width, height)
    axes.imshow(original, interpolation="none")
    box = (crop.left - 0.5, crop.top - 0.5)
    axes.add_patch(Rectangle(box, crop.size, crop.size, fill=False, edgecolor=_BOX_COLOUR, linewidth=1.2))
    _write_lines(axes, lines, (False, False), _INK)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, _columns(len(tiles)))
        left = width + GAP_IN + column * (side + GAP_IN)
        bottom = top_in - row * (side + text) - side
        small = _add_axes(figure, left, bottom, side, side)
        _show_crop(small, tile.pixels, crop, scale=tile.pixels.shape[0] / original.shape[0])
        _write_lines(small, tile.lines[: len(lines)], tile.bold, tile.colour)


def _add_axes(figure: "Figure", left: float, bottom: float, width: float, height: float) -> "Axes":
    """Axes without ticks, placed in inches."""
    total_width, total_height = figure.get_size_inches()
    axes = figure.add_axes(
        (left / total_width, bottom / total_height, width / total_width, height / total_height), xticks=[], yticks=[]
    )
    axes.spines[:].set_visible(False)
    return axes


def _show_crop(axes: "Axes", pixels: Pixels, crop: Crop, scale: float) -> None:
    """Show the crop; in an LR, the pixels it touches, placed to a fraction of a pixel."""
    top, left, size = crop.top * scale, crop.left * scale, crop.size * scale
    rows = slice(int(top), -int(-(top + size) // 1))
    columns = slice(int(left), -int(-(left + size) // 1))
    axes.imshow(
        pixels[rows, columns],
        interpolation="none",
        extent=(columns.start, columns.stop, rows.stop, rows.start),
        aspect="auto",
    )
    axes.set_xlim(left, left + size)
    axes.set_ylim(top + size, top)


def _write_lines(axes: "Axes", lines: Sequence[str], bold: Sequence[bool], colour: str) -> None:
    """Write centred lines below a picture; a line wider than the picture gets a smaller font."""
    for number, (line, strong) in enumerate(zip(lines, bold, strict=False)):
        size_pt = FONT_PT - number
        text = axes.annotate(
            line,
            (0.5, 0),
            parse_math=False,  # a name may contain $
            xycoords="axes fraction",
            xytext=(0, -72 * _LINE_IN * (number + 0.85)),
            textcoords="offset points",
            ha="center",
            va="baseline",
            color=colour,
            fontsize=size_pt,
            fontweight="bold" if strong else "normal",
            annotation_clip=False,
        )
        share = text.get_window_extent().width / axes.get_window_extent().width
        text.set_fontsize(size_pt / max(1.0, share))
