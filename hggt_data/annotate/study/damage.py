"""Damages pictures visibly, for comparisons with a known answer."""

from collections.abc import Callable

import numpy as np

from hggt_data.io.images import Pixels

_LEAST_DIFFERENCE = 4.0  # mean absolute difference in 8-bit values; a flat picture looks the same when it is blurred


def damage(pixels: Pixels, number: int) -> Pixels:
    """A version of a picture that everybody sees to be damaged, uint8 (H, W, 3).

    Args:
        pixels: The picture, uint8 (H, W, 3).
        number: Counted from 1; different numbers give different damage: blur or blocks, stronger from 3 on.
    """
    strength = 1 + (number - 1) // 2
    kinds: tuple[Callable[[Pixels, int], Pixels], ...] = (_blur, _blocks)
    damaged = kinds[(number - 1) % 2](pixels, strength)
    difference = np.abs(damaged.astype(np.int16) - pixels).mean()
    return damaged if difference >= _LEAST_DIFFERENCE else _noise(damaged, number)


def _blur(pixels: Pixels, strength: int) -> Pixels:
    from PIL import Image, ImageFilter  # slow to import

    radius = max(3.0, min(pixels.shape[:2]) / 60) * strength
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _blocks(pixels: Pixels, strength: int) -> Pixels:
    """Every block gets the colour of its middle."""
    height, width = pixels.shape[:2]
    side = max(8, min(height, width) // 40) * strength  # coarser than an enlarged low-resolution reference
    rows = np.minimum(np.arange(height) // side * side + side // 2, height - 1)
    columns = np.minimum(np.arange(width) // side * side + side // 2, width - 1)
    return np.ascontiguousarray(pixels[rows[:, None], columns])


def _noise(pixels: Pixels, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, 40, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)
