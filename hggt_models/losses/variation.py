"""How much the difference between two images varies from place to place: the measure that both maps are made of.

Differences of artefacts vary within a few pixels; those of a better tone or a finer contrast hardly do.
"""

import torch
from torch import Tensor
from torch.nn import functional

from hggt_data.errors import HggtError
from hggt_models.losses.precision import as_float32


class LossError(HggtError, ValueError):
    """Images do not fit each other or the window of a loss."""


def residuals(images: Tensor, others: Tensor) -> Tensor:
    """How far two images differ, summed over channels: (N, 1, H, W) from two times (N, C, H, W).

    Raises:
        LossError: the two have different shapes.
    """
    if images.shape != others.shape:
        raise LossError(f"images are {tuple(images.shape)} and {tuple(others.shape)}; expected the same shape")
    return (as_float32(images) - as_float32(others)).abs().sum(1, keepdim=True)


def residual_variation(originals: Tensor, images: Tensor, window_px: int = 3) -> Tensor:
    """Local variance of what differs between originals and images, where 0 means the same everywhere in the window.

    Args:
        originals, images: (N, C, H, W) in [0, 1].
        window_px: odd width of the window. The border is reflected, the edge pixel not repeated.

    Returns:
        (N, 1, H, W), 0 or more; float32, or float64 for such images.

    Raises:
        LossError: images of different shapes, or too small for the window to be reflected in them.

    Source: official `losses/loss_util.py`, `get_local_weights`.
    """
    return local_variance(residuals(originals, images), window_px)


def local_variance(values: Tensor, window_px: int) -> Tensor:
    """Unbiased variance in a window around each pixel, (N, 1, H, W) like the values; raises as `residual_variation`."""
    if window_px < 3 or window_px % 2 == 0:
        raise LossError(f"window_px is {window_px}; expected an odd number, 3 or more")
    margin = window_px // 2
    height, width = values.shape[-2:]
    if min(height, width) <= margin:
        raise LossError(
            f"images of {height} x {width} px are too small for a window of {window_px} px, whose reflection at the "
            f"border needs {margin + 1} px each way"
        )
    # Mean of squares less square of mean is 10 times as fast as a variance per window, but needs float64.
    padded = functional.pad(values.double(), (margin,) * 4, mode="reflect")
    moments = torch.cat([padded, padded.square()], 1)
    moments = moments.unfold(2, window_px, 1).sum(-1).unfold(3, window_px, 1).sum(-1)
    sums, sums_of_squares = moments[:, :1], moments[:, 1:]
    num_pixels = window_px**2
    variances = (sums_of_squares - sums.square() / num_pixels) / (num_pixels - 1)
    return variances.clamp(min=0).to(values.dtype)  # rounding can leave a little less than 0
