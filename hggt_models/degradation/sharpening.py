"""Unsharp masking, for training targets that should look crisper than the picture they are made from."""

import torch
from torch import Tensor

from hggt_models.degradation.kernels import filter_images


def sharpen(images: Tensor, width_px: int = 51, weight: float = 0.5, threshold_8bit: float = 10.0) -> Tensor:
    """Images sharpened where a pixel differs clearly from its surroundings.

    Args:
        images: (N, 3, H, W) in [0, 1].
        width_px: odd width of the Gaussian window that stands for the surroundings.
        weight: how much of the difference is added.
        threshold_8bit: differences up to this many 8-bit grey levels are left alone.

    Returns:
        (N, 3, H, W) in [0, 1].

    Source: official `utils/img_process_util.py`, `USMSharp`, which calls the width less 1 a radius. The window is a
    product of two 1-D Gaussians, so it is applied as such.
    """
    offsets = torch.arange(width_px, device=images.device) - width_px // 2
    sigma_px = 0.3 * (width_px // 2 - 1) + 0.8  # OpenCV's rule for a window without a sigma
    row = torch.softmax(-0.5 * (offsets / sigma_px) ** 2, 0).expand(len(images), 1, -1)

    def blurred(values: Tensor) -> Tensor:
        return filter_images(filter_images(values, row), row.mT)

    difference = images - blurred(images)
    share = blurred((difference.abs() * 255 > threshold_8bit).to(images.dtype))
    sharp = (images + weight * difference).clamp(0, 1)
    return share * sharp + (1 - share) * images
