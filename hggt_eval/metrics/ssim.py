"""Structural similarity (Wang et al. 2004), equal to the official script: 11 x 11 Gaussian, sigma 1.5, valid region.

The official window is a product of two 1-D Gaussians and is applied as such, in float64. Local means and variances are
computed once per picture; a pair costs one more filter.
"""

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


@dataclass(frozen=True, slots=True)
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

    def describe(self, pixels: Pixels) -> SsimFeatures:
        """The cropped picture with its local means and variances."""
        cropped = self.cropped(pixels)
        # Luma keeps a channel axis, so that both cases are (H, W, C).
        values = self.luma(cropped)[..., None] if self.settings.colour == "y" else cropped
        height, width, channels = values.shape
        mean, variance = np.empty((2, height - 2 * _MARGIN_PX, width - 2 * _MARGIN_PX, channels))
        for rows, window_rows in _strips(len(mean)):
            strip = values[window_rows]
            mean[rows] = local = _local_mean(strip)
            local *= local
            np.subtract(_local_mean(_product(strip, strip), plus=C2 / 2), local, out=variance[rows])
        return SsimFeatures(values, mean, variance)

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
        for rows, window_rows in _strips(len(a.mean)):
            # (2 mean_a mean_b + C1) (covariance + C2/2), in place, as allocating arrays would dominate the time.
            means = a.mean[rows] * b.mean[rows]
            similarity = _local_mean(_product(a.values[window_rows], b.values[window_rows]), plus=C2 / 2)
            similarity -= means
            means *= 2
            means += C1
            similarity *= means
            # Over (mean_a^2 + mean_b^2 + C1) (variance_a + variance_b + C2), the first as (mean_a - mean_b)^2 + means.
            energy = a.mean[rows] - b.mean[rows]
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
    return _local_mean(_product(a.values, b.values)) - a.mean * b.mean


def _product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """a * b; 16 bits hold the product of two 8-bit values exactly and take a quarter of the memory of float64."""
    product: NDArray[Any] = np.multiply(a, b, dtype=np.uint16 if a.dtype == np.uint8 else np.float64)
    return product


def _local_mean(values: NDArray[Any], plus: float = 0.0) -> NDArray[np.float64]:
    """Gaussian means in float64, (H - 10, W - 10, C) from (H, W, C): where the whole window lies inside."""
    filtered: NDArray[Any] = cv2.sepFilter2D(values, cv2.CV_64F, _GAUSSIAN, _GAUSSIAN, delta=plus)
    filtered = filtered.reshape(values.shape)  # OpenCV drops the axis of a single channel
    return filtered[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]


def _strips(height: int) -> Iterator[tuple[slice, slice]]:
    """Rows of the result, and the rows of the picture from which they are computed."""
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        yield slice(top, bottom), slice(top, bottom + 2 * _MARGIN_PX)
