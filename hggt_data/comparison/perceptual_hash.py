"""A perceptual hash: pictures that people would call the same have hashes that differ in few bits.

It survives re-encoding, resizing and small changes of brightness, contrast and colour. It does not survive cropping,
turning or mirroring.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hggt_data.io.images import Pixels

NUM_BITS = 64
MOST_DIFFERENT_BITS = 8
"""Pictures look alike up to this distance. Of two hashes of unrelated pictures, one pair in a billion is as close."""

_SIDE = 32
_FREQUENCIES = 8
# In a flatter picture, what JPEG adds decides half of the bits.
_WEAKEST = 8.0


def perceptual_hash(pixels: Pixels) -> np.uint64 | None:
    """The hash of a picture, uint8 (H, W, 3); None if it is so flat that it looks like any other flat one.

    The bits say which of the 64 lowest frequencies of the grey picture, shrunk to 32 x 32, are stronger than their
    median.

    Source: the DCT hash of C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.
    """
    from PIL import Image

    grey = Image.fromarray(np.ascontiguousarray(pixels)).convert("L").convert("F")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    strengths = _cosines() @ small @ _cosines().T
    if np.median(np.abs(strengths)) < _WEAKEST:
        return None
    bits = (strengths > np.median(strengths)).ravel()
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes()))


@cache
def _cosines() -> NDArray[np.float64]:
    """Rows 1 to 8 of the orthonormal DCT-II of 32 values."""
    frequency, position = np.arange(1, _FREQUENCIES + 1)[:, None], np.arange(_SIDE)[None]
    return np.asarray(np.sqrt(2 / _SIDE) * np.cos(np.pi * (2 * position + 1) * frequency / (2 * _SIDE)))


def find_alike(one: NDArray[np.uint64], two: NDArray[np.uint64]) -> list[tuple[int, int, int]]:
    """(index in one, index in two, number of different bits) of all hashes that look alike."""
    found = []
    for index, value in enumerate(one):
        distances = np.bitwise_count(two ^ value)
        found += [(index, int(k), int(distances[k])) for k in np.flatnonzero(distances <= MOST_DIFFERENT_BITS)]
    return found
