"""Finds patches that were cut out of larger pictures, with the same pixels, at any place.

A patch is known by its most varied run of 16 pixels. Comparing those of many patches with all runs of a picture takes a
second for three megapixels. Where one is found, all pixels of the patch must still be compared.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hggt_data.io.images import Pixels

_RUN = 16
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no pixel of a run is lost
_MOST_PER_STEP = 16  # so that texture counts more than one sharp edge
_LEAST_VARIED = 3 * _RUN


class Landmark(NamedTuple):
    """A run of pixels in a patch: its hash, and its first row and column."""

    hash: np.uint64
    top: int
    left: int


class Place(NamedTuple):
    """Where a patch may have been cut out: its index, and its first row and column in the picture."""

    patch: int
    top: int
    left: int


def find_landmark(pixels: Pixels) -> Landmark | None:
    """The most varied run of a patch, uint8 (H, W, 3); None if it is too flat or narrow to be found anywhere."""
    if pixels.shape[1] < _RUN:
        return None
    steps = np.abs(np.diff(pixels.astype(np.int16), axis=1)).clip(max=_MOST_PER_STEP).sum(axis=2)
    sums = np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))
    varied = sums[:, _RUN - 1 :] - sums[:, : 1 - _RUN]
    top, left = map(int, np.unravel_index(np.argmax(varied), varied.shape))
    if varied[top, left] < _LEAST_VARIED:
        return None
    return Landmark(_hash_runs(pixels[top : top + 1])[0, left], top, left)


def find_places(pixels: Pixels, landmarks: list[Landmark]) -> list[Place]:
    """Where the landmarks of patches are in a picture, uint8 (H, W, 3); all pixels must still be compared."""
    if pixels.shape[1] < _RUN or not landmarks:
        return []
    hashes = np.array([landmark.hash for landmark in landmarks])
    order = np.argsort(hashes)
    ordered = hashes[order]
    runs = _hash_runs(pixels)
    first = np.searchsorted(ordered, runs)
    found = np.argwhere(ordered[np.minimum(first, len(ordered) - 1)] == runs)
    places = []
    for top, left in found.tolist():
        last = np.searchsorted(ordered, runs[top, left], "right")
        for patch in order[first[top, left] : last].tolist():
            places.append(Place(patch, top - landmarks[patch].top, left - landmarks[patch].left))
    return [place for place in places if place.top >= 0 and place.left >= 0]


def is_at(patch: Pixels, pixels: Pixels, top: int, left: int) -> bool:
    """Whether a patch was cut out of a picture at this place."""
    height, width, _ = patch.shape
    return np.array_equal(patch, pixels[top : top + height, left : left + width])


def _hash_runs(pixels: Pixels) -> NDArray[np.uint64]:
    """A hash of the 16 pixels from each pixel on, (H, W - 15)."""
    channels = pixels.astype(np.uint64)
    hashes = channels[..., 0] << np.uint64(16) | channels[..., 1] << np.uint64(8) | channels[..., 2]
    length, factor = 1, _FACTOR
    with np.errstate(over="ignore"):
        while length < _RUN:
            hashes = hashes[:, :-length] * factor + hashes[:, length:]
            length, factor = 2 * length, factor * factor
    return hashes
