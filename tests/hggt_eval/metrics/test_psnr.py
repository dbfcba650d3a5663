import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_eval.metrics.psnr import psnr


def _reference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


def test_equals_the_definition(pair: tuple[Pixels, Pixels]) -> None:
    a, b = (pixels.astype(np.float64)[4:-4, 4:-4] for pixels in pair)
    assert psnr(*pair) == pytest.approx(_reference(a, b), abs=1e-12)


def test_border_is_cut_off(pair: tuple[Pixels, Pixels]) -> None:
    a, b = pair
    framed = b.copy()
    framed[:4] = framed[-4:] = framed[:, :4] = framed[:, -4:] = 0
    assert psnr(a, framed) == psnr(a, b)
    assert psnr(a, framed, border=0) != psnr(a, b, border=0)


def test_identical_pictures_are_infinite(pair: tuple[Pixels, Pixels]) -> None:
    assert psnr(pair[0], pair[0]) == math.inf
    assert psnr(pair[0], pair[0], colour="y") == math.inf


def test_y_channel_is_matlab_luma(pair: tuple[Pixels, Pixels]) -> None:
    weights = np.array([65.481, 128.553, 24.966]) / 255
    a, b = (pixels[4:-4, 4:-4] @ weights + 16 for pixels in pair)
    # The official script goes through float32, which moves the last digits.
    assert psnr(*pair, colour="y") == pytest.approx(_reference(a, b), abs=1e-5)


def test_sizes_that_differ_are_an_error(pair: tuple[Pixels, Pixels]) -> None:
    with pytest.raises(ImageError, match=r"restored image is 71 x 60, the positive 72 x 60; .*never resized"):
        psnr(pair[0][1:], pair[1])


def test_float_pictures_are_an_error(pair: tuple[Pixels, Pixels]) -> None:
    with pytest.raises(ImageError, match=r"psnr: expected pixels uint8 \(H, W, 3\), got float64 \(72, 60, 3\)"):
        psnr(pair[0].astype(np.float64), pair[1].astype(np.float64))


def test_picture_inside_its_border_is_an_error(pair: tuple[Pixels, Pixels]) -> None:
    with pytest.raises(ImageError, match=r"a picture of 8 x 60 leaves 0 x 52 without its border of 4"):
        psnr(pair[0][:8], pair[1][:8])
