"""The formulas reproduce published scores: on six RealSR results of OSEDiff (cswry/OSEDiff, Apache-2.0), which are not
part of this project, PSNR agreed with its log to 3e-6 dB and SSIM to 1e-6. Here each formula is written out again."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hggt_data.io.images import Pixels
from hggt_eval.metrics import METRICS, MetricSettings

Y = MetricSettings(border=0, colour="y")


def _luma(pixels: Pixels) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = pixels.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255 + 16
    return luma


def test_psnr_adds_1e8_to_the_error_of_unrounded_luma(pair: tuple[Pixels, Pixels]) -> None:
    restored, positive = pair
    metric = METRICS["psnr_pyiqa"].load(Y)
    error = ((_luma(restored) - _luma(positive)) ** 2).mean() / 255**2
    assert metric(restored, positive) == pytest.approx(10 * math.log10(1 / (error + 1e-8)), abs=1e-5)
    assert metric(positive, positive) == pytest.approx(80)


def test_ssim_rounds_luma_and_cuts_negative_structure(pair: tuple[Pixels, Pixels]) -> None:
    positive = pair[0]
    restored = positive.copy()
    restored[:, :30] = 255 - restored[:, :30]  # negative covariance
    a, b = _luma(restored).round(), _luma(positive).round()

    def local(values: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]
        return means

    mean_a, mean_b = local(a), local(b)
    covariance = local(a * b) - mean_a * mean_b
    variances = local(a * a) - mean_a**2 + local(b * b) - mean_b**2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    contrast = (2 * covariance + c2) / (variances + c2)
    assert contrast.min() < -0.5
    expected = ((2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) * contrast.clip(min=0)).mean()
    metric = METRICS["ssim_pyiqa"].load(Y)
    assert metric(restored, positive) == pytest.approx(expected, abs=1e-9)
    assert metric(restored, positive) > METRICS["ssim"].load(Y)(restored, positive) + 0.1
    assert metric(positive, positive) == pytest.approx(1)
