"""PSNR, SSIM and NIQE by pyiqa's formulas, which many papers quote; pyiqa is not needed.

They differ from `psnr`, `ssim` and `niqe`. PSNR adds 1e-8 to the squared error in [0, 1], so that identical pictures
give 80 dB. SSIM rounds luma to 8 bits and cuts negative contrast-structure terms to 0. NIQE converts to grey from 0 to
255.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import bt601_luma, require_same_size
from hggt_eval.metrics.niqe import Niqe
from hggt_eval.metrics.psnr import Psnr
from hggt_eval.metrics.ssim import C1, C2, VALID, Ssim, SsimFeatures, covariance

_EPSILON = 1e-8
_GREY = (0.299, 0.587, 0.114)


class PsnrPyiqa(Psnr):
    """PSNR with 1e-8 added to the mean squared error; luma is not rounded."""

    name = "psnr_pyiqa"

    def compare(self, restored: NDArray[Any], positive: NDArray[Any]) -> float:
        """PSNR in dB, 80 for identical pictures.

        Source: reproduces published scores, see `tests/hggt_eval/metrics/test_pyiqa_formulas.py`.
        """
        require_same_size(restored, positive)
        difference = (restored.astype(np.float64) - positive) / 255
        return -10 * math.log10(float(np.mean(difference**2)) + _EPSILON)


class SsimPyiqa(Ssim):
    """SSIM whose contrast-structure term is not negative, on luma of 8 bits."""

    name = "ssim_pyiqa"

    def luma(self, cropped: Pixels) -> NDArray[np.float64]:
        """Luma rounded to 8 bits."""
        return bt601_luma(cropped).round()

    def compare(self, restored: SsimFeatures, positive: SsimFeatures) -> float:
        """Mean SSIM, 1 for identical pictures."""
        a, b = restored, positive
        require_same_size(a.values, b.values)
        # The variances contain C2 / 2 each.
        contrast = np.maximum((2 * covariance(a, b) + C2) / (a.variance + b.variance), 0)
        brightness = (2 * a.mean * b.mean + C1) / (a.mean**2 + b.mean**2 + C1)
        return float((brightness * contrast)[VALID].mean())


class NiqePyiqa(Niqe):
    """NIQE of grey from 0 to 255, with the rounding of pyiqa on a GPU."""

    name = "niqe_pyiqa"
    picture_type = np.float64
    window_type = np.float32

    def luma(self, cropped: Pixels) -> NDArray[np.float64]:
        """Y of YIQ, from 0 to 255.

        The weights have three decimals, so one sum of a thousand lies exactly between two grey levels, and the noise of
        float32 rounds it. Here that noise is a GPU's, which multiplies by 1/255 and adds without rounding the product.
        pyiqa on a CPU rounds other pixels up, which changes NIQE by up to 0.02.

        Source: reproduces published scores, see `tests/hggt_eval/metrics/test_pyiqa_formulas.py`.
        """
        unit = cropped.astype(np.float32) * np.float32(1 / 255)
        red, green, blue = (np.float32(weight) for weight in _GREY)
        luma = unit[..., 0] * red
        for channel, weight in ((1, green), (2, blue)):
            luma = (unit[..., channel].astype(np.float64) * float(weight) + luma).astype(np.float32)
        return (luma * np.float32(255)).astype(np.float64)
