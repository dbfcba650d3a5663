"""Local variance of the difference between two images, the basis of both maps.

Artefacts differ within a few pixels; a change of tone or contrast hardly does.
"""

import torch
from torch import Tensor
from torch.nn import functional

from hggt_data.errors import HggtError
from hggt_models.losses.precision import as_float32


class LossError(HggtError, ValueError):
    """Images have different shapes, or are too small for the window of a loss."""


def residuals(images: Tensor, others: Tensor) -> Tensor:
    """Absolute difference of two images (N, C, H, W), summed over channels: (N, 1, H, W)."""
    if images.shape != others.shape:
        raise LossError(f"images are {tuple(images.shape)} and {tuple(others.shape)}; expected the same shape")
    return (as_float32(images) - as_float32(others)).abs().sum(1, keepdim=True)


def residual_variation(originals: Tensor, images: Tensor, window_px: int = 3) -> Tensor:
    """Local variance of the difference between originals and images (N, C, H, W): (N, 1, H, W), float32 or float64.

    The window is `window_px` wide (odd). The border is reflected without repeating the edge pixel.

    Source: official `losses/loss_util.py`, `get_local_weights`.
    """
    return local_variance(residuals(originals, images), window_px)


def local_variance(values: Tensor, window_px: int) -> Tensor:
    """Unbiased variance in a window around each pixel, (N, 1, H, W) like the values."""
    if window_px < 3 or window_px % 2 == 0:
        raise LossError(f"window_px is {window_px}; expected an odd number, 3 or more")
    margin = window_px // 2
    height, width = values.shape[-2:]
    if min(height, width) <= margin:
        raise LossError(
            f"images of {height} x {width} px are too small for a window of {window_px} px; "
            f"expected at least {margin + 1} px on each side"
        )
    # "Mean of squares minus square of mean" is 10 times as fast as a variance per window, but needs float64.
    padded = functional.pad(values.double(), (margin,) * 4, mode="reflect")
    moments = torch.cat([padded, padded.square()], 1)
    moments = moments.unfold(2, window_px, 1).sum(-1).unfold(3, window_px, 1).sum(-1)
    sums, sums_of_squares = moments[:, :1], moments[:, 1:]
    num_pixels = window_px**2
    variances = (sums_of_squares - sums.square() / num_pixels) / (num_pixels - 1)
    return variances.clamp(min=0).to(values.dtype)  # rounding errors can make it negative
