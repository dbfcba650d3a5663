"""Structural similarity (Wang et al. 2004), equal to the official script: 11 x 11 Gaussian, sigma 1.5, valid region.

The official window is a product of two 1-D Gaussians and is applied as such, in float64. Local means and variances are
computed once per picture; a pair costs one more filter. Memory is used again, as fresh memory costs half of the time.
Arrays keep the columns whose window does not lie inside, since NumPy is twice as fast on contiguous memory; no mean
over a picture includes them (`VALID`).
"""

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import BORDER_PX, Colour, Comparer, MetricSettings, bt601_luma, require_same_size

_WINDOW_PX = 11
_MARGIN_PX = _WINDOW_PX // 2
_GAUSSIAN = cv2.getGaussianKernel(_WINDOW_PX, 1.5)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
VALID = np.s_[:, _MARGIN_PX:-_MARGIN_PX]
# Rows per strip, so that a strip's arrays stay in the cache.
_STRIP_ROWS = 100


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class SsimFeatures:
    """What SSIM needs of one picture.

    Attributes:
        values: Cropped picture, uint8 (H, W, 3), or its luma, float64 (H, W, 1).
        mean: Local means, float64 (H - 10, W, C).
        variance: Local variances plus C2 / 2, as the formula adds two variances and C2.
    """

    values: NDArray[Any]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


class Ssim(Comparer[SsimFeatures]):
    """SSIM, the mean over the three channels."""

    name = "ssim"
    threadable = True
    min_side_px = _WINDOW_PX

    def __init__(self, settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        self._spare: list[NDArray[np.float64]] = []

    def describe(self, pixels: Pixels) -> SsimFeatures:
        """The cropped picture with its local means and variances."""
        cropped = self.cropped(pixels)
        # Luma keeps a channel axis, so that both cases are (H, W, C).
        values = self.luma(cropped)[..., None] if self.settings.colour == "y" else cropped
        memory = self._take((2, *values.shape))
        mean, variance = memory
        _filter(values, mean)
        _filter(np.multiply(values, values, dtype=_product_type(values)), variance, plus=C2 / 2)
        buffers = _Buffers.of(values)
        for rows, _ in _strips(len(mean)):
            variance[rows] -= np.multiply(mean[rows], mean[rows], out=buffers.take(0, len(mean[rows])))
        inside = slice(_MARGIN_PX, -_MARGIN_PX)
        features = SsimFeatures(values, mean[inside], variance[inside])
        weakref.finalize(features, self._spare.append, memory).atexit = False
        return features

    def _take(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Memory of features that are no longer used, if they have this shape."""
        try:
            memory = self._spare.pop()
        except IndexError:
            return np.empty(shape)
        if memory.shape != shape:
            self._spare.clear()
            return np.empty(shape)
        return memory

    def luma(self, cropped: Pixels) -> NDArray[np.float64]:
        """Luma as the official script computes it, (H, W)."""
        return bt601_luma(cropped)

    def compare(self, restored: SsimFeatures, positive: SsimFeatures) -> float:
        """Mean SSIM, 1 for identical pictures.

        Source: official `psnr_ssim.py`, the same formula with a 2-D window, channel by channel.
        """
        a, b = restored, positive
        require_same_size(a.values, b.values)
        total = 0.0
        buffers = _Buffers.of(a.values)
        for rows, window_rows in _strips(len(a.mean)):
            # (2 mean_a mean_b + C1) (covariance + C2/2), in place, as allocating arrays would dominate the time.
            similarity = buffers.mean_product(a.values[window_rows], b.values[window_rows], plus=C2 / 2)
            means = np.multiply(a.mean[rows], b.mean[rows], out=buffers.take(0, len(similarity)))
            similarity -= means
            means *= 2
            means += C1
            similarity *= means
            # Over (mean_a^2 + mean_b^2 + C1) (variance_a + variance_b + C2), the first as (mean_a - mean_b)^2 + means.
            energy = np.subtract(a.mean[rows], b.mean[rows], out=buffers.take(1, len(similarity)))
            energy *= energy
            energy += means
            energy *= np.add(a.variance[rows], b.variance[rows], out=means)
            similarity /= energy
            total += float(similarity[VALID].sum())
        return 2 * total / a.mean[VALID].size


def ssim(restored: Pixels, positive: Pixels, border: int = BORDER_PX, colour: Colour = "rgb") -> float:
    """SSIM of two pictures of the same size, uint8 (H, W, 3) RGB; their order does not matter.

    Example:
        >>> ramp = np.tile(np.arange(32, dtype=np.uint8)[:, None, None], (1, 32, 3))
        >>> ssim(ramp, ramp), round(ssim(ramp, ramp + np.uint8(40)), 4)
        (1.0, 0.5095)
    """
    return Ssim(MetricSettings(border, colour))(restored, positive)


def covariance(a: SsimFeatures, b: SsimFeatures) -> NDArray[np.float64]:
    """Local covariances of two pictures, float64 (H - 10, W, C)."""
    found = np.empty_like(a.mean)
    buffers = _Buffers.of(a.values)
    for rows, window_rows in _strips(len(found)):
        means = buffers.mean_product(a.values[window_rows], b.values[window_rows])
        np.subtract(means, a.mean[rows] * b.mean[rows], out=found[rows])
    return found


def _filter(values: NDArray[Any], means: NDArray[np.float64], plus: float = 0.0) -> None:
    """Write Gaussian means, plus a constant, into an array of the same shape."""
    cv2.sepFilter2D(values, cv2.CV_64F, _GAUSSIAN, _GAUSSIAN, dst=means, delta=plus)


def _product_type(values: NDArray[Any]) -> type[np.generic]:
    """16 bits hold the product of two 8-bit values exactly and take a quarter of the memory of float64."""
    return np.uint16 if values.dtype == np.uint8 else np.float64


class _Buffers:
    """Memory of a thread for one strip of a picture (H, W, C) at a time."""

    _of_thread = threading.local()

    def __init__(self, values: NDArray[Any]) -> None:
        shape = _STRIP_ROWS + 2 * _MARGIN_PX, *values.shape[1:]
        self._product = np.empty(shape, _product_type(values))
        self._filtered = np.empty(shape)
        self._others = np.empty((2, *shape))

    @classmethod
    def of(cls, values: NDArray[Any]) -> "_Buffers":
        """The thread's memory for a picture of this width, made anew if the last picture was another."""
        form = values.shape[1:], values.dtype
        if getattr(cls._of_thread, "form", None) != form:
            cls._of_thread.form, cls._of_thread.buffers = form, cls(values)
        found: _Buffers = cls._of_thread.buffers
        return found

    def mean_product(self, a: NDArray[Any], b: NDArray[Any], plus: float = 0.0) -> NDArray[np.float64]:
        """Gaussian means of a * b, plus a constant: (H - 10, W, C) from (H, W, C)."""
        product = np.multiply(a, b, out=self._product[: len(a)], dtype=self._product.dtype)
        filtered = self._filtered[: len(a)]
        _filter(product, filtered, plus)
        return filtered[_MARGIN_PX:-_MARGIN_PX]

    def take(self, number: int, rows: int) -> NDArray[np.float64]:
        """One of two more arrays of a strip, with any content."""
        return self._others[number, :rows]


def _strips(height: int) -> Iterator[tuple[slice, slice]]:
    """Rows of the result, and the rows of the picture from which they are computed."""
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        yield slice(top, bottom), slice(top, bottom + 2 * _MARGIN_PX)
