"""Run a network over a picture in overlapping tiles.

The overlap around a tile is computed and cropped off. If it covers the network's receptive field, the result equals
that of the whole picture. Only one tile and its result are on the device at a time.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from hggt_data.errors import HggtError
from hggt_data.io.images import Pixels
from hggt_eval.metrics.device import full_precision
from hggt_models.memory import DeviceMemoryError, ran_out_of_memory
from hggt_models.networks import Network

# As in the official enhancement; for networks that pool over the whole tile, the result depends on the tile size.
ENHANCE_TILE = 1200
ENHANCE_OVERLAP_PX = 24
# With the real x4 RRDB generator each pixel is within one grey level of the whole picture's; see docs/networks.md.
UPSCALE_OVERLAP_PX = 64
_SMALLEST_TILE = 64
# Some operations, such as nearest upsampling in channels_last on a GPU, count values in 32 bits. The networks have 64
# features at the size of their output.
_MOST_OUTPUT_PX = (2**31 - 1) // 64


class TileError(HggtError, ValueError):
    """The tile size does not fit the network, or is too large."""


class NotFiniteError(HggtError, ArithmeticError):
    """A network's output is NaN or infinite; as pixels it would be black."""


class Tiler:
    """Restores pictures, uint8 (H, W, 3) to (scale * H, scale * W, 3), in tiles that fit into memory.

    `tile` None starts with whole pictures, or with the largest tiles that are computed correctly. It halves the tile
    whenever memory runs out, and then calls `on_smaller_tile` with the error and the new tile. Networks whose result
    depends on the tile, such as RCAN with its global pooling, then use the fixed tile of the enhancers. Other arguments
    as in `run_tiled`.
    """

    def __init__(
        self, *, tile: int | None, overlap_px: int, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.tile = tile
        self.on_smaller_tile: Callable[[DeviceMemoryError, int], None] = lambda _, __: None
        self._may_halve = tile is None
        self._overlap_px = overlap_px
        self._device = device
        self._dtype = dtype

    def start_from(self, tile: int | None) -> None:
        """Start with a smaller tile found by an earlier run, unless the tile is fixed."""
        if self._may_halve and tile:
            self.tile = tile

    def __call__(self, network: Network, pixels: Pixels) -> Pixels:
        picture = torch.tensor(pixels).permute(2, 0, 1)  # (3, H, W)
        pools = network.receptive_field_px is None
        while True:
            tile = self._fitting(network, picture) if self._may_halve else self.tile
            try:
                with full_precision(self._device):
                    restored = run_tiled(
                        network,
                        picture,
                        tile=tile,
                        overlap_px=self._overlap_px,
                        device=self._device,
                        dtype=self._dtype,
                    )
                return restored.permute(1, 2, 0).numpy()  # (H, W, 3)
            except DeviceMemoryError as error:
                if pools or not self._may_halve:
                    raise
                side = max(picture.shape[1:])
                self._halve(error, min(tile or side, side), network.window)

    def _fitting(self, network: Network, picture: Tensor) -> int | None:
        """The tile for a picture if it is not fixed; None for the whole picture."""
        height, width = picture.shape[1:]
        tile = ENHANCE_TILE if network.receptive_field_px is None else self.tile
        if tile is None and height * width * network.scale**2 <= _MOST_OUTPUT_PX:
            return None
        largest = _largest_tile(network, self._overlap_px)
        return min(tile or largest, largest)

    def _halve(self, error: DeviceMemoryError, side: int, window: int) -> None:
        smaller = side // 2 // window * window
        if smaller < max(_SMALLEST_TILE, window):
            raise error
        self.tile = smaller
        self.on_smaller_tile(error, smaller)


@dataclass(frozen=True)
class Span:
    """One tile along one axis of a picture.

    Attributes:
        start: First pixel of the picture that the tile provides.
        stop: End of these pixels.
        computed: Parts of the picture that the network sees for it, in the picture's order.
        offset: Number of computed pixels before `start`.
    """

    start: int
    stop: int
    computed: tuple[range, ...]
    offset: int


def run_tiled(
    network: Network,
    picture: Tensor,
    *,
    tile: int | None,
    overlap_px: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Run a network in eval mode on a picture, (3, H, W) on the CPU, uint8 or float32 in [0, 1].

    Returns (3, scale * H, scale * W) on the CPU in the picture's dtype: uint8 is clamped and rounded, float32 is not.

    Args:
        tile: Side of a tile in pixels, a multiple of the network's window; None for the whole picture at once.
        overlap_px: Minimum width of the overlap; it is rounded up to whole windows.
        device: Device of the network.
        dtype: bfloat16 uses autocast.

    Raises:
        TileError: The tile does not fit the network, or is too large to be computed correctly.
    """
    device = torch.device(device or "cpu")
    height, width = picture.shape[1:]
    if tile is not None:
        require_fitting_tile(tile, network.window)
    scale = network.scale
    all_rows, all_columns = (
        list(spans(size, tile, overlap_px, network.window, network.wraps)) for size in (height, width)
    )
    _require_countable(max(map(_computed_px, all_rows)), max(map(_computed_px, all_columns)), network, overlap_px)
    result = torch.empty(3, scale * height, scale * width, dtype=picture.dtype)
    for rows in all_rows:
        band = _crop(picture, rows, 1)
        for columns in all_columns:
            output = _run(network, _crop(band, columns, 2), device, dtype)
            core = output[:, _core(rows, scale), _core(columns, scale)]
            target = slice(scale * rows.start, scale * rows.stop), slice(scale * columns.start, scale * columns.stop)
            result[:, target[0], target[1]] = core
    return result


def require_fitting_tile(tile: int, window: int) -> None:
    """Refuse a tile that is not a multiple of the network's window with a TileError."""
    if tile < 1 or tile % window:
        near = max(tile // window, 1) * window
        raise TileError(f"tile {tile} is not a multiple of the network's window {window}; use {near}")


def _largest_tile(network: Network, overlap_px: int) -> int:
    """Side of the largest tile that is computed correctly at any place."""
    margin = 4 * (overlap_px + network.window)  # with strips from the opposite edges
    return (math.isqrt(_MOST_OUTPUT_PX) // network.scale - margin) // network.window * network.window


def _require_countable(height: int, width: int, network: Network, overlap_px: int) -> None:
    """Refuse to compute so many pixels at once that their values cannot be counted."""
    if height * width * network.scale**2 > _MOST_OUTPUT_PX:
        raise TileError(
            f"{height} x {width} pixels at once give an output of more than {_MOST_OUTPUT_PX:,} pixels, which some "
            f"operations cannot compute; expected a `tile` of {max(_largest_tile(network, overlap_px), 1)} or less"
        )


def spans(size: int, tile: int | None, overlap_px: int, window: int, wraps: bool) -> Iterator[Span]:
    """Yield the tiles along one axis.

    The computed part starts at a multiple of the window and ends at one or at the picture's edge, so that the network's
    windows are those of the whole picture. If the windows join opposite edges (`wraps`), a tile near an edge is
    computed together with the strip along the opposite edge.
    """
    tile = tile or size
    overlap_px = -(-overlap_px // window) * window
    for start in range(0, size, tile):
        stop = min(start + tile, size)
        first, last = start - overlap_px, -(-stop // window) * window + overlap_px
        computed = [range(max(first, 0), min(last, size))]
        if wraps and first < 0 and last < size:
            # One more window, because the network mirrors the last rows to fill its windows.
            computed.append(range(max((size - overlap_px) // window * window - window, last), size))
        if wraps and last >= size and first > 0:
            computed.insert(0, range(0, min(overlap_px, first)))
        before = sum(len(part) for part in computed if part.stop <= start)
        own = next(part for part in computed if start in part)
        yield Span(start, stop, tuple(computed), before + start - own.start)


def _crop(picture: Tensor, span: Span, axis: int) -> Tensor:
    parts = [picture.narrow(axis, part.start, len(part)) for part in span.computed]
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _computed_px(span: Span) -> int:
    return sum(map(len, span.computed))


def _core(span: Span, scale: int) -> slice:
    return slice(scale * span.offset, scale * (span.offset + span.stop - span.start))


@torch.inference_mode()
def _run(network: Network, crop: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Run the network on one tile with its overlap, (3, h, w)."""
    autocast = torch.autocast(device.type, dtype) if dtype != torch.float32 else nullcontext()
    try:
        images = crop.to(device)[None]
        if crop.dtype == torch.uint8:
            images = images.float() / 255
        with autocast:
            output: Tensor = network(images)[0].float()
        if not output.isfinite().all():
            raise NotFiniteError("the network's output is NaN or infinite")
        if crop.dtype == torch.uint8:
            output = output.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
        return output.cpu()
    except Exception as error:
        if ran_out_of_memory(error):
            raise DeviceMemoryError(_memory_text(crop, device)) from error
        raise


def _memory_text(crop: Tensor, device: torch.device) -> str:
    return f"{crop.shape[1]} x {crop.shape[2]} pixels at once do not fit into the memory of {device}"
