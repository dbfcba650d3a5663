"""The formulas reproduce published scores: on six RealSR results of OSEDiff (cswry/OSEDiff, Apache-2.0), which are not
part of this project, PSNR agreed with its log, written on a GPU, to 3e-6 dB, SSIM to 1e-6 and NIQE to 1.4e-4. Here the
formulas of PSNR and SSIM are written out again, and NIQE is compared with pyiqa's own scores."""

import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hggt_data.io.images import Pixels, read_pixels
from hggt_eval.metrics import METRICS, NO_REFERENCE, MetricSettings
from hggt_eval.metrics.pyiqa_formulas import NiqePyiqa

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


@pytest.mark.parametrize(
    ("name", "expected", "border"),
    [
        ("astronaut", 4.784595, 0),
        ("chelsea", 2.391009, 0),
        ("coffee", 6.504712, 0),
        ("rocket", 5.428932, 0),
        ("chelsea", 2.893155, 4),
    ],
)
def test_niqe_equals_pyiqa(name: str, expected: float, border: int) -> None:
    """Golden numbers: `niqe` of pyiqa 0.1.16 on a CPU, of the grey pictures that its conversion makes on a GPU.

    The conversions of a CPU and of a GPU differ in pixels whose grey lies exactly between two levels.
    """
    with (files("hggt_data.tree") / "demo_pictures" / f"{name}.png").open("rb") as file:
        pixels = read_pixels(Path(file.name))
    metric = NO_REFERENCE["niqe_pyiqa"].load(MetricSettings(border))
    assert metric.rate(pixels) == pytest.approx(expected, abs=5e-6)


def test_grey_between_two_levels_is_rounded_as_on_a_gpu() -> None:
    """Colours of Canon_001 whose grey is N + 0.5, and the levels that give its published NIQE; a CPU gives 77 once."""
    colours = [[59, 71, 63], [64, 76, 68], [69, 81, 73], [155, 51, 37], [160, 56, 42], [175, 71, 57], [179, 191, 183]]
    luma = NiqePyiqa().luma(np.array([colours], np.uint8))
    assert luma.round().tolist() == [[66, 72, 76, 80, 86, 100, 187]]
