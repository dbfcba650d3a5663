"""The pixel-shuffle upsampler of RRDB and SwinIR: one convolution and one shuffle per factor of the scale."""

import math

from torch import nn

from hggt_models.networks.network import Shapes
from hggt_models.networks.receptive_field import Step, convolution, enlargement


def can_upsample(scale: int) -> bool:
    """Whether an upsampler exists for this scale: 3, or a power of two above 1."""
    return scale == 3 or (scale > 1 and scale & (scale - 1) == 0)


def pixel_shuffle_upsampler(scale: int, num_feat: int) -> nn.Sequential:
    """Features (N, num_feat, H, W) to (N, num_feat, scale * H, scale * W). The convolutions are `0`, `2`, ..."""
    layers: list[nn.Module] = []
    for factor in _factors(scale):
        layers += [nn.Conv2d(num_feat, num_feat * factor**2, 3, padding=1), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


def upsampler_steps(scale: int) -> list[Step]:
    """The upsampler's layers for `receptive_field_px`."""
    return [step for factor in _factors(scale) for step in (enlargement(factor), convolution())]


def recognise_scale(shapes: Shapes) -> int:
    """Scale of the upsampler stored under `upsample` in a state dict."""
    convolutions = [shape for key, shape in shapes.items() if key.startswith("upsample.") and key.endswith(".weight")]
    return math.prod(math.isqrt(shape[0] // shape[1]) for shape in convolutions)


def _factors(scale: int) -> list[int]:
    return [3] if scale == 3 else [2] * (scale.bit_length() - 1)
