"""Tiles against the whole picture: equal where the overlap covers the network's receptive field."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hggt_models.inference import tiling
from hggt_models.inference.tiling import NotFiniteError, TileError, Tiler, run_tiled, spans
from hggt_models.memory import DeviceMemoryError
from hggt_models.networks import Network, build_network

RRDB = {"num_block": 1, "num_feat": 8, "num_grow_ch": 4}
SWINIR = {"embed_dim": 12, "depths": (2,), "num_heads": (2,), "window_size": 4, "mlp_ratio": 2}
ELAN = {"m_elan": 2, "c_elan": 12, "window_sizes": (2, 4)}


def network_with_contrast(name: str, **args: Any) -> Network:
    """A small network with weights large enough that a tile's result differs from the whole picture's."""
    torch.manual_seed(0)
    network = build_network(name, **args).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.1)
    return network


@pytest.mark.parametrize("size", [(101, 67), (30, 96), (9, 11)])
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("rrdb", RRDB),
        ("rrdb", {**RRDB, "scale": 2}),
        ("rrdb_pixelshuffle", RRDB),
        ("swinir", SWINIR),
        ("elan", ELAN),
        ("elan", {**ELAN, "window_sizes": (4, 8, 16)}),
    ],
)
def test_tiles_join_to_the_whole_picture(name: str, args: dict[str, Any], size: tuple[int, int]) -> None:
    network = network_with_contrast(name, **args)
    picture = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    assert network.receptive_field_px is not None
    whole = run_tiled(network, picture, tile=None, overlap_px=0)
    assert whole.shape == (3, network.scale * size[0], network.scale * size[1])
    tiled = run_tiled(network, picture, tile=32, overlap_px=network.receptive_field_px)
    torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-5)
    if max(size) > 32:  # without an overlap the tiles do not join, so the comparison can fail
        apart = run_tiled(network, picture, tile=32, overlap_px=0)
        assert (apart - whole).abs().max() > 1e-3


def test_a_network_that_pools_depends_on_the_tile() -> None:
    network = network_with_contrast("rcan_no_upsample", num_feat=8, num_group=1, num_block=1, squeeze_factor=2)
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert network.receptive_field_px is None
    whole = run_tiled(network, picture, tile=None, overlap_px=0)
    tiled = run_tiled(network, picture, tile=32, overlap_px=24)
    assert (tiled - whole).abs().max() > 1e-6
    torch.testing.assert_close(run_tiled(network, picture, tile=32, overlap_px=24), tiled, rtol=0, atol=0)


class Probe(Network):
    """Enlarges by repeating pixels and records the shapes of its inputs."""

    name = "probe"

    def __init__(self, scale: int = 2, window: int = 4, most_pixels: int = 10**9) -> None:
        torch.nn.Module.__init__(self)
        self.scale, self.window, self.receptive_field_px = scale, window, 0
        self.most_pixels = most_pixels
        self.seen: list[torch.Size] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.shape)
        if images.shape[2] * images.shape[3] > self.most_pixels:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return images.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile=st.sampled_from([None, 4, 8, 16]),
    overlap_px=st.integers(0, 24),
)
def test_no_pixel_is_lost_or_moved(size: tuple[int, int], tile: int | None, overlap_px: int) -> None:
    picture = torch.randint(256, (3, *size), dtype=torch.uint8)
    result = run_tiled(Probe(), picture, tile=tile, overlap_px=overlap_px)
    assert result.dtype == torch.uint8
    assert torch.equal(result, picture.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_only_one_tile_with_its_overlap_is_computed_at_a_time() -> None:
    probe = Probe()
    run_tiled(probe, torch.zeros(3, 200, 300), tile=32, overlap_px=8)
    assert len(probe.seen) == 7 * 10
    assert max(shape[2] for shape in probe.seen) == max(shape[3] for shape in probe.seen) == 32 + 2 * 8


def test_the_computed_part_starts_at_a_window_and_ends_at_one_or_at_the_edge() -> None:
    for span in spans(101, 16, 6, 8, wraps=False):
        [part] = span.computed
        assert part.start % 8 == 0
        assert part.stop % 8 == 0 or part.stop == 101
        assert part.start <= max(span.start - 6, 0)
        assert part.stop >= min(span.stop + 6, 101)
        assert part[span.offset] == span.start


@pytest.mark.parametrize(("side", "tile"), [(1448, None), (1449, 1176)])
def test_a_picture_whose_values_cannot_be_counted_in_32_bits_is_cut(
    side: int, tile: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 features of four times the side have 2**31 values from 1449 on."""
    seen = []

    def record(network: Network, picture: Tensor, *, tile: int | None, **_: Any) -> Tensor:
        seen.append(tile)
        return picture

    monkeypatch.setattr(tiling, "run_tiled", record)
    Tiler(tile=None, overlap_px=64)(Probe(scale=4), np.zeros((side, side, 3), np.uint8))
    assert seen == [tile]
    assert 64 * (4 * side) ** 2 < 2**31 or tile is not None
    assert tile is None or 64 * (4 * (tile + 2 * 64)) ** 2 < 2**31


def test_a_fixed_tile_whose_values_cannot_be_counted_in_32_bits_is_refused() -> None:
    """Not for a picture that is smaller than the tile."""
    probe = Probe(scale=4)
    with pytest.raises(
        TileError, match=r"^1449 x 1449 pixels at once give an output of more .* a `tile` of 1176 or less$"
    ):
        run_tiled(probe, torch.zeros(3, 1449, 1449), tile=4000, overlap_px=64)
    with pytest.raises(TileError, match=r"^1464 x 1464 pixels at once"):
        run_tiled(probe, torch.zeros(3, 2000, 2000), tile=1400, overlap_px=64)
    assert not probe.seen
    run_tiled(probe, torch.zeros(3, 8, 8), tile=4000, overlap_px=64)


def test_uint8_is_clamped_and_rounded() -> None:
    class Bright(Probe):
        def forward(self, images: Tensor) -> Tensor:
            return images * 3 - 1 + 0.4 / 255

    picture = torch.tensor([0, 100, 128, 255], dtype=torch.uint8).expand(3, 1, 4)
    result = run_tiled(Bright(scale=1), picture, tile=None, overlap_px=0)
    assert result[0, 0].tolist() == [0, 45, 129, 255]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_output_that_is_not_finite_is_an_error(value: float, dtype: torch.dtype) -> None:
    class Overflowing(Probe):
        def forward(self, images: Tensor) -> Tensor:
            output = super().forward(images)
            output[0, 0, 0, 0] = value
            return output

    with pytest.raises(NotFiniteError, match="the network's output is NaN or infinite"):
        run_tiled(Overflowing(), torch.zeros(3, 8, 8, dtype=dtype), tile=None, overlap_px=0)


def test_a_tile_that_does_not_fit_the_window_is_refused() -> None:
    with pytest.raises(TileError, match="tile 30 is not a multiple of the network's window 4; use 28"):
        run_tiled(Probe(), torch.zeros(3, 64, 64), tile=30, overlap_px=0)


def test_a_full_memory_is_an_error_of_its_own() -> None:
    with pytest.raises(DeviceMemoryError, match=r"^48 x 48 pixels at once do not fit into the memory of cpu$"):
        run_tiled(Probe(most_pixels=1000), torch.zeros(3, 48, 48), tile=None, overlap_px=0)


def test_a_tile_that_fails_is_an_error() -> None:
    class Broken(Probe):
        def forward(self, images: Tensor) -> Tensor:
            if len(self.seen) == 2:
                raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
            return super().forward(images)

    with pytest.raises(RuntimeError, match="mat1"):
        run_tiled(Broken(), torch.zeros(3, 64, 64), tile=32, overlap_px=0)
