"""Against the definitions, term by term; the official numbers are in report/test_files.py."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import bt601_luma
from hggt_eval.metrics.psnr import psnr
from hggt_eval.metrics.ssim import ssim


def reference_psnr(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


def reference_ssim(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """SSIM of one channel with the 2-D window."""
    kernel = cv2.getGaussianKernel(11, 1.5)
    window = kernel @ kernel.T

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.filter2D(values, -1, window)[5:-5, 5:-5], np.float64)

    mean_a, mean_b = smooth(a), smooth(b)
    variance_a, variance_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = 2.55**2, 7.65**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((similarity / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean())


def test_psnr_and_ssim_equal_their_definitions_without_the_border(pair: tuple[Pixels, Pixels]) -> None:
    a, b = (pixels.astype(np.float64)[4:-4, 4:-4] for pixels in pair)
    assert psnr(*pair) == pytest.approx(reference_psnr(a, b), abs=1e-12)
    expected = np.mean([reference_ssim(a[..., k], b[..., k]) for k in range(3)])
    assert ssim(*pair) == pytest.approx(expected, abs=1e-13)
    assert ssim(pair[1], pair[0]) == pytest.approx(expected, abs=1e-13)
    assert psnr(*pair, border=0) != psnr(*pair)


def test_luma_equals_that_of_matlab(pair: tuple[Pixels, Pixels]) -> None:
    weights = np.array([65.481, 128.553, 24.966]) / 255
    a, b = (pixels[4:-4, 4:-4] @ weights + 16 for pixels in pair)
    # The official script goes through float32, which moves the last digits.
    assert psnr(*pair, colour="y") == pytest.approx(reference_psnr(a, b), abs=1e-5)
    a, b = (bt601_luma(pixels[4:-4, 4:-4]) for pixels in pair)
    assert ssim(*pair, colour="y") == pytest.approx(reference_ssim(a, b), abs=1e-13)


def test_identical_pictures_have_the_best_scores(pair: tuple[Pixels, Pixels]) -> None:
    assert psnr(pair[0], pair[0]) == psnr(pair[0], pair[0], colour="y") == math.inf
    assert ssim(pair[0], pair[0]) == pytest.approx(1, abs=1e-15)


def test_pictures_that_cannot_be_compared_are_refused(pair: tuple[Pixels, Pixels]) -> None:
    a, b = pair
    with pytest.raises(ImageError, match=r"restored image is 71 x 60, the positive 72 x 60; .*never resized"):
        psnr(a[1:], b)
    with pytest.raises(ImageError, match=r"psnr: expected pixels uint8 \(H, W, 3\), got float64 \(72, 60, 3\)"):
        psnr(a.astype(np.float64), b.astype(np.float64))
    with pytest.raises(ImageError, match=r"a picture of 8 x 60 leaves 0 x 52 without its border of 4"):
        psnr(a[:8], b[:8])
    assert 0 < ssim(a[:19, :19], b[:19, :19]) < 1
    with pytest.raises(ImageError, match=r"ssim needs 11 x 11 pixels or more, .* 18 x 19 leaves 10 x 11 .*border of 4"):
        ssim(a[:18, :19], b[:18, :19])
