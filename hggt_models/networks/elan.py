"""ELAN (Zhang et al. 2022): the backbone of HGGT's enhancers 03 and 04.

Long-range attention in windows of several sizes, between shift convolutions (a shift and a 1 x 1 convolution).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hggt_models.networks.network import DIV2K_MEAN, MeanShift, Network, NetworkArgs, Shapes, count_keys
from hggt_models.networks.receptive_field import Step, convolution, receptive_field_px, windows
from hggt_models.networks.windows import from_windows, pad_to_multiple, to_windows

# Row and column of the one in the 3 x 3 kernel of each fifth of the channels.
_SHIFTS = ((1, 2), (1, 0), (2, 1), (0, 1), (1, 1))


@dataclass(frozen=True, kw_only=True)
class ElanArgs(NetworkArgs):
    """Arguments of `elan`.

    Attributes:
        scale: Output side divided by input side.
        img_range: Largest value of the first convolution's input.
        colors: Channels of the input and of the output.
        window_sizes: Sides of the attention windows; each size gets an equal share of the channels.
        m_elan: Number of blocks.
        c_elan: Channels between the blocks.
        n_share: Blocks that share an attention map with the block before them. Only 0, the published value, is
            supported.
        r_expand: Hidden channels of a block's convolutions, relative to `c_elan`.
        rgb_mean: Mean subtracted from the input, in [0, 1], one value per channel.
    """

    scale: int = 1
    img_range: float = 255.0
    colors: int = 3
    window_sizes: tuple[int, ...] = (4, 8, 16)
    m_elan: int = 36
    c_elan: int = 180
    n_share: int = 0
    r_expand: int = 2
    rgb_mean: tuple[float, ...] = DIV2K_MEAN

    def contradictions(self) -> Iterator[str]:
        """See `NetworkArgs`."""
        if self.c_elan % len(self.window_sizes):
            yield f"c_elan {self.c_elan} is not divisible by the number of window_sizes, {len(self.window_sizes)}"
        if self.c_elan < len(_SHIFTS):
            yield f"c_elan is {self.c_elan}; expected {len(_SHIFTS)} or more"
        if any(size % 2 for size in self.window_sizes):
            yield f"window_sizes are {self.window_sizes}; expected even numbers"
        if self.n_share:
            yield f"n_share is {self.n_share}; only 0 is supported"
        if self.colors != len(self.rgb_mean):
            yield f"colors {self.colors} and the {len(self.rgb_mean)} values of rgb_mean must agree"


class Elan(Network):
    """Blocks of shift convolutions and window attention; every second block shifts its windows by half.

    Shifted windows wrap around, so opposite edges of the padded picture attend to each other.

    Source: Zhang et al. 2022; official class `ELAN`, which works on (images - mean) * 255.
    """

    name = "elan"
    args_type = ElanArgs
    wraps = True

    def __init__(self, args: ElanArgs) -> None:
        super().__init__(args)
        self.scale = args.scale
        self.window = math.lcm(*args.window_sizes)
        self.shift = MeanShift(args.rgb_mean, args.img_range)
        self.head = nn.Sequential(nn.Conv2d(args.colors, args.c_elan, 3, padding=1))
        self.body = nn.Sequential(*(_Block(args, shifted=number % 2 == 1) for number in range(args.m_elan)))
        self.tail = nn.Sequential(
            nn.Conv2d(args.c_elan, args.colors * args.scale**2, 3, padding=1), nn.PixelShuffle(args.scale)
        )
        self.receptive_field_px = receptive_field_px(self._steps(args), period=self.window)

    def forward(self, images: Tensor) -> Tensor:
        """See `Network`."""
        height, width = images.shape[2:]
        shallow = self.head(self.shift(pad_to_multiple(images, self.window)))
        output = self.shift.inverse(self.tail(shallow + self.body(shallow)))
        return output[:, :, : height * self.scale, : width * self.scale]

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """See `Network`. `window_sizes`, `img_range` and `rgb_mean` cannot be inferred."""
        if "body.0.modules_lfe.lfe_0.conv0.shift_conv.weight" not in shapes:
            return None
        c_elan, colors = shapes["head.0.weight"][:2]
        return {
            "scale": math.isqrt(shapes["tail.0.weight"][0] // colors),
            "colors": colors,
            "m_elan": count_keys(shapes, "body.{}.modules_gmsa.gmsa_0.project_out.weight"),
            "c_elan": c_elan,
            "r_expand": shapes["body.0.modules_lfe.lfe_0.conv0.shift_conv.conv1x1.weight"][0] // c_elan,
        }

    @staticmethod
    def _steps(args: ElanArgs) -> Iterator[Step]:
        yield convolution()  # tail
        for number in reversed(range(args.m_elan)):
            yield windows(*((size, size // 2 * (number % 2)) for size in args.window_sizes))
            yield convolution(2)
        yield convolution()  # head


class _Block(nn.Module):
    """Local features, then attention, each with a skip connection."""

    def __init__(self, args: ElanArgs, shifted: bool) -> None:
        super().__init__()
        self.modules_lfe = nn.ModuleDict({"lfe_0": _LocalFeatures(args.c_elan, args.r_expand)})
        self.modules_gmsa = nn.ModuleDict({"gmsa_0": _WindowAttention(args.c_elan, args.window_sizes, shifted)})

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.modules_lfe["lfe_0"](features)
        output: Tensor = features + self.modules_gmsa["gmsa_0"](features)
        return output


class _LocalFeatures(nn.Module):
    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.conv0 = nn.ModuleDict({"shift_conv": _ShiftConvolution(channels, channels * expansion)})
        self.conv1 = nn.ModuleDict({"shift_conv": _ShiftConvolution(channels * expansion, channels)})

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.conv1["shift_conv"](functional.relu(self.conv0["shift_conv"](features), inplace=True))
        return output


class _ShiftConvolution(nn.Module):
    """Shift one fifth of the channels by a pixel in each direction, keep one fifth, then a 1 x 1 convolution.

    The shift kernels are constant, but part of the official state dict.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        kernels = torch.zeros(in_channels, 1, 3, 3)
        fifth = in_channels // len(_SHIFTS)
        for number, (row, column) in enumerate(_SHIFTS):
            last = in_channels if number == len(_SHIFTS) - 1 else (number + 1) * fifth
            kernels[number * fifth : last, 0, row, column] = 1
        self.weight = nn.Parameter(kernels, requires_grad=False)
        self.conv1x1 = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        moved = functional.conv2d(features, self.weight, padding=1, groups=features.shape[1])
        output: Tensor = self.conv1x1(moved)
        return output


class _WindowAttention(nn.Module):
    """Attention in windows of several sizes, each on its share of the channels; queries serve as keys."""

    def __init__(self, channels: int, window_sizes: tuple[int, ...], shifted: bool) -> None:
        super().__init__()
        self.window_sizes = window_sizes
        self.shifted = shifted
        self.project_inp = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.BatchNorm2d(2 * channels))
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        shares = self.project_inp(features).chunk(len(self.window_sizes), dim=1)
        attended = []
        for share, size in zip(shares, self.window_sizes, strict=True):
            offset = size // 2 if self.shifted else 0
            moved = share.roll((-offset, -offset), (2, 3)).permute(0, 2, 3, 1)  # (N, H, W, C)
            queries, values = to_windows(moved, size).chunk(2, dim=-1)
            joined = functional.scaled_dot_product_attention(queries, queries, values, scale=1.0)
            joined = from_windows(joined, size, height, width).permute(0, 3, 1, 2)  # (N, C, H, W)
            attended.append(joined.roll((offset, offset), (2, 3)))
        output: Tensor = self.project_out(torch.cat(attended, dim=1))
        return output
