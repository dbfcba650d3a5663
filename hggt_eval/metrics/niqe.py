"""NIQE (Mittal et al. 2013) as BasicSR computes it: BT.601 luma, blocks of 96 x 96, two scales.

The authors' MATLAB release converts to grey with `rgb2gray`, from 0 to 255, and so gives other numbers; so does pyiqa
(`pyiqa_formulas`).

It measures the distance of a picture's block statistics from those of pristine photographs, for which
`niqe_parameters.npz` contains the authors' model (origin and licence in `niqe_parameters.txt`).
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve
from scipy.special import gamma

from hggt_data.errors import ImageError
from hggt_data.io.files import sha256_of_file
from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import BORDER_PX, MetricSettings, NoReference, bt601_luma

Floats = NDArray[np.floating[Any]]

PARAMETERS = Path(__file__).with_name("niqe_parameters.npz")
_BLOCK_PX = 96
# MATLAB's bicubic halving with antialiasing: one output pixel from 8, at distances 0.5 to 3.5 from its centre.
_HALVING = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
_SHAPES = np.arange(200, 10_001) / 1000  # candidate exponents of the fit
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


class Niqe(NoReference):
    """NIQE; smaller is more natural.

    Attributes:
        picture_type: Type in which local means are computed; float32 as in BasicSR.
        window_type: Type of the window's weights.

    In flat areas only rounding remains after the local mean is subtracted, and its sign matters; so programs agree on
    them only if they round alike.
    """

    name = "niqe"
    threadable = True
    min_side_px = _BLOCK_PX
    picture_type: type = np.float32
    window_type: type = np.float64

    def __init__(self, settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        self.weights_sha256 = {PARAMETERS.name: sha256_of_file(PARAMETERS)}
        with np.load(PARAMETERS) as parameters:
            self._mean, self._covariance = parameters["mu_pris_param"][0], parameters["cov_pris_param"]
            self._window = parameters["gaussian_window"].astype(self.window_type)

    def require_size(self, size: tuple[int, int]) -> None:
        """Check that a picture of this (height, width) has two whole blocks, as one has no covariance."""
        super().require_size(size)
        height, width = (side - 2 * self.settings.border for side in size)
        if (height // _BLOCK_PX) * (width // _BLOCK_PX) < 2:
            raise ImageError(
                f"{self.name} needs two blocks of {_BLOCK_PX} x {_BLOCK_PX} pixels, but a picture of "
                f"{size[0]} x {size[1]} leaves {height} x {width} without its border of {self.settings.border}; leave "
                "the metric out"
            )

    def luma(self, cropped: Pixels) -> Floats:
        """Luma, (H, W), before it is rounded: BT.601, from 16 to 235."""
        return bt601_luma(cropped)

    def rate(self, pixels: Pixels) -> float:
        """NIQE of one picture.

        Source: equations 1 to 10 of the paper; details it leaves open follow the MATLAB release: grey is rounded,
        incomplete blocks are cut off, neighbours wrap around at a block's edges, and flat blocks do not count.
        """
        luma = self.luma(self.cropped(pixels)).round()
        rows, columns = (side // _BLOCK_PX for side in luma.shape)
        luma = luma[: rows * _BLOCK_PX, : columns * _BLOCK_PX]
        half = cv2.sepFilter2D(luma, cv2.CV_64F, _HALVING, _HALVING, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
        scales: list[Floats] = [luma, np.asarray(half, np.float64)[::2, ::2]]
        parts = [_blocks(_normalised(scale.astype(self.picture_type), self._window), rows, columns) for scale in scales]
        with np.errstate(divide="ignore", invalid="ignore"):  # flat blocks have no shape
            features = np.concatenate([_features(blocks) for blocks in parts], axis=1)
        whole = features[~np.isnan(features).any(axis=1)]
        if len(whole) < 2:
            raise ImageError(
                f"the picture is flat, so NIQE is undefined; replace it, or leave {self.name} out of `metrics`"
            )
        distance = self._mean - np.nanmean(features, axis=0)
        inverse = np.linalg.pinv((self._covariance + np.cov(whole, rowvar=False)) / 2)
        return float(np.sqrt(distance @ inverse @ distance))


def niqe(pixels: Pixels, border: int = BORDER_PX) -> float:
    """NIQE of one picture, uint8 (H, W, 3) RGB, of at least two blocks of 96 x 96 pixels inside its border.

    Example:
        >>> noise = np.random.default_rng(0).integers(0, 256, (208, 208, 3), np.uint8)
        >>> niqe(noise) > 20
        True
    """
    return Niqe(MetricSettings(border)).rate(pixels)


def _normalised(luma: Floats, window: Floats) -> Floats:
    """Each pixel minus its local mean, divided by its local deviation plus 1 (equations 1 to 3)."""
    mean = convolve(luma, window, mode="nearest")  # 2-D, as in other programs, for the same rounding
    normalised: Floats = (luma - mean) / (np.sqrt(np.abs(convolve(luma**2, window, mode="nearest") - mean**2)) + 1)
    return normalised


def _blocks(values: Floats, rows: int, columns: int) -> Floats:
    """(H, W) as (rows * columns, h, w)."""
    height, width = values.shape[0] // rows, values.shape[1] // columns
    return values.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(-1, height, width)


def _features(blocks: Floats) -> Floats:
    """18 features per block, (N, 18): two from its values, four from their products with each of four neighbours."""
    shape, left, right = _fit(blocks)
    features = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right = _fit(blocks * np.roll(blocks, shift, axis=(1, 2)))
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]  # equation 8
    return np.stack(features, axis=1)


def _fit(blocks: Floats) -> tuple[Floats, Floats, Floats]:
    """Exponent, left and right scale of the asymmetric generalised Gaussian of each block (equations 4 to 7)."""
    values = blocks.reshape(len(blocks), -1)
    squares = values**2
    left, right = (np.sqrt((squares * side).sum(1) / side.sum(1)) for side in (values < 0, values > 0))
    ratio = left / right
    wanted = np.abs(values).mean(1) ** 2 / squares.mean(1) * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = _SHAPES[np.abs(_RATIOS - wanted[:, None]).argmin(1)]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale
