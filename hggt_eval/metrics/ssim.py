"""Structural similarity (Wang et al. 2004), equal to the official script: 11 x 11 Gaussian, sigma 1.5, valid region.

The official window is a product of two 1-D Gaussians and is applied as such, in float64. Local means and variances are
computed once per picture; a pair costs one more filter. Memory is used again, as fresh memory costs half of the time.
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
# Rows per strip, so that a strip's arrays stay in a core's cache.
_STRIP_ROWS = 64


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class SsimFeatures:
    """What SSIM needs of one picture.

    Attributes:
        values: Cropped picture, uint8 (H, W, 3), or its luma, float64 (H, W, 1).
        mean: Local means, float64 (H - 10, W - 10, C).
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
        height, width, channels = values.shape
        memory = self._take((2, height - 2 * _MARGIN_PX, width - 2 * _MARGIN_PX, channels))
        mean, variance = memory
        buffers = _Buffers.of(values)
        for rows, window_rows in _strips(len(mean)):
            strip = values[window_rows]
            mean[rows] = buffers.local_mean(strip)
            squares = buffers.local_mean(buffers.product(strip, strip), plus=C2 / 2)
            np.multiply(mean[rows], mean[rows], out=variance[rows])
            np.subtract(squares, variance[rows], out=variance[rows])
        features = SsimFeatures(values, mean, variance)
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
            product = buffers.product(a.values[window_rows], b.values[window_rows])
            similarity = buffers.local_mean(product, plus=C2 / 2)
            means = np.multiply(a.mean[rows], b.mean[rows], out=buffers.take(0, similarity.shape))
            similarity -= means
            means *= 2
            means += C1
            similarity *= means
            # Over (mean_a^2 + mean_b^2 + C1) (variance_a + variance_b + C2), the first as (mean_a - mean_b)^2 + means.
            energy = np.subtract(a.mean[rows], b.mean[rows], out=buffers.take(1, similarity.shape))
            energy *= energy
            energy += means
            energy *= np.add(a.variance[rows], b.variance[rows], out=means)
            similarity /= energy
            total += float(similarity.sum())
        return 2 * total / a.mean.size


def ssim(restored: Pixels, positive: Pixels, border: int = BORDER_PX, colour: Colour = "rgb") -> float:
    """SSIM of two pictures of the same size, uint8 (H, W, 3) RGB; their order does not matter.

    Example:
        >>> ramp = np.tile(np.arange(32, dtype=np.uint8)[:, None, None], (1, 32, 3))
        >>> ssim(ramp, ramp), round(ssim(ramp, ramp + np.uint8(40)), 4)
        (1.0, 0.5095)
    """
    return Ssim(MetricSettings(border, colour))(restored, positive)


def covariance(a: SsimFeatures, b: SsimFeatures) -> NDArray[np.float64]:
    """Local covariances of two pictures, float64 (H - 10, W - 10, C)."""
    found = np.empty_like(a.mean)
    buffers = _Buffers.of(a.values)
    for rows, window_rows in _strips(len(found)):
        product = buffers.product(a.values[window_rows], b.values[window_rows])
        np.subtract(buffers.local_mean(product), a.mean[rows] * b.mean[rows], out=found[rows])
    return found


class _Buffers:
    """Memory of a thread for one strip of a picture (H, W, C) at a time."""

    _of_thread = threading.local()

    def __init__(self, width: int, channels: int, dtype: np.dtype[Any]) -> None:
        rows = _STRIP_ROWS + 2 * _MARGIN_PX
        # 16 bits hold the product of two 8-bit values exactly and take a quarter of the memory of float64.
        self._product = np.empty((rows, width, channels), np.uint16 if dtype == np.uint8 else np.float64)
        self._filtered = np.empty((rows, width, channels))
        self._others = np.empty((2, rows, width - 2 * _MARGIN_PX, channels))

    @classmethod
    def of(cls, values: NDArray[Any]) -> "_Buffers":
        """The thread's memory for a picture of this width, made anew if the last picture was another."""
        form = values.shape[1], values.shape[2], values.dtype
        if getattr(cls._of_thread, "form", None) != form:
            cls._of_thread.form, cls._of_thread.buffers = form, cls(*form)
        found: _Buffers = cls._of_thread.buffers
        return found

    def product(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        """a * b, exact for 8-bit values."""
        product: NDArray[Any] = np.multiply(a, b, out=self._product[: len(a)], dtype=self._product.dtype)
        return product

    def local_mean(self, values: NDArray[Any], plus: float = 0.0) -> NDArray[np.float64]:
        """Gaussian means in float64, (H - 10, W - 10, C) from (H, W, C): where the whole window lies inside."""
        filtered = self._filtered[: len(values)]
        cv2.sepFilter2D(values, cv2.CV_64F, _GAUSSIAN, _GAUSSIAN, dst=filtered, delta=plus)
        return filtered[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]

    def take(self, number: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """One of two more arrays of a strip's means, with any content."""
        return self._others[number, : shape[0]]


def _strips(height: int) -> Iterator[tuple[slice, slice]]:
    """Rows of the result, and the rows of the picture from which they are computed."""
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        yield slice(top, bottom), slice(top, bottom + 2 * _MARGIN_PX)
