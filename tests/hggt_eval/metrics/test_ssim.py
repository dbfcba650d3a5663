import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import bt601_luma
from hggt_eval.metrics.ssim import ssim


def _reference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """SSIM of one channel, term by term, with the 2-D window."""
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


def test_equals_the_two_dimensional_window(pair: tuple[Pixels, Pixels]) -> None:
    a, b = (pixels.astype(np.float64)[4:-4, 4:-4] for pixels in pair)
    assert ssim(*pair) == pytest.approx(np.mean([_reference(a[..., k], b[..., k]) for k in range(3)]), abs=1e-13)


def test_y_channel(pair: tuple[Pixels, Pixels]) -> None:
    a, b = (bt601_luma(pixels[4:-4, 4:-4]) for pixels in pair)
    assert ssim(*pair, colour="y") == pytest.approx(_reference(a, b), abs=1e-13)


def test_identical_pictures_are_one(pair: tuple[Pixels, Pixels]) -> None:
    assert ssim(pair[0], pair[0]) == pytest.approx(1, abs=1e-15)


def test_order_does_not_matter(pair: tuple[Pixels, Pixels]) -> None:
    assert ssim(*pair) == pytest.approx(ssim(pair[1], pair[0]), abs=1e-15)


def test_one_window_is_the_smallest_picture(pair: tuple[Pixels, Pixels]) -> None:
    a, b = (pixels[:19, :19] for pixels in pair)
    assert 0 < ssim(a, b) < 1
    with pytest.raises(ImageError, match=r"ssim needs 11 x 11 pixels or more, .* 18 x 19 leaves 10 x 11 .*border of 4"):
        ssim(a[1:], b[1:])
