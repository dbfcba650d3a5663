"""Peak signal-to-noise ratio in dB, equal to the official script to the last bit; infinite for identical pictures."""

import math
from typing import Any

import cv2
from numpy.typing import NDArray

from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import BORDER_PX, Colour, Comparer, MetricSettings, bt601_luma, require_same_size

_PEAK = 255.0


class Psnr(Comparer[NDArray[Any]]):
    """PSNR over all channels at once. Features: the cropped picture, uint8 (H, W, 3), or luma float64 (H, W)."""

    name = "psnr"
    threadable = True

    def describe(self, pixels: Pixels) -> NDArray[Any]:
        """The cropped picture, or its luma."""
        cropped = self.cropped(pixels)
        return bt601_luma(cropped) if self.settings.colour == "y" else cropped

    def compare(self, restored: NDArray[Any], positive: NDArray[Any]) -> float:
        """PSNR in dB, `inf` for identical pictures.

        Source: official `psnr_ssim.py`, `10 log10(255^2 / mse)` in float64. On 8-bit pictures the squared error is
        summed in integers here, which is exact.
        """
        require_same_size(restored, positive)
        squared_error = cv2.norm(restored, positive, cv2.NORM_L2SQR)
        return math.inf if squared_error == 0 else 10 * math.log10(_PEAK**2 * restored.size / squared_error)


def psnr(restored: Pixels, positive: Pixels, border: int = BORDER_PX, colour: Colour = "rgb") -> float:
    """PSNR in dB of two pictures of the same size, uint8 (H, W, 3) RGB; their order does not matter.

    Example:
        >>> import numpy as np
        >>> black = np.zeros((16, 16, 3), np.uint8)
        >>> psnr(black, black + np.uint8(255)), psnr(black, black)
        (0.0, inf)
    """
    return Psnr(MetricSettings(border, colour))(restored, positive)
