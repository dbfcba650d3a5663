"""Unsharp masking, for training targets sharper than the source picture."""

import torch
from torch import Tensor

from hggt_models.degradation.kernels import filter_images


def sharpen(images: Tensor, width_px: int = 51, weight: float = 0.5, threshold_8bit: float = 10.0) -> Tensor:
    """Sharpen images (N, 3, H, W) in [0, 1] where a pixel differs from its surroundings.

    The surroundings are a Gaussian window of odd width `width_px`; `weight` times the difference is added, except for
    differences up to `threshold_8bit` grey levels.

    Source: official `utils/img_process_util.py`, `USMSharp`, which calls the width minus 1 a radius. The window is
    applied as two 1-D Gaussians.
    """
    offsets = torch.arange(width_px, device=images.device) - width_px // 2
    sigma_px = 0.3 * (width_px // 2 - 1) + 0.8  # OpenCV's default sigma for a window
    row = torch.softmax(-0.5 * (offsets / sigma_px) ** 2, 0).expand(len(images), 1, -1)

    def blurred(values: Tensor) -> Tensor:
        return filter_images(filter_images(values, row), row.mT)

    difference = images - blurred(images)
    share = blurred((difference.abs() * 255 > threshold_8bit).to(images.dtype))
    sharp = (images + weight * difference).clamp(0, 1)
    return share * sharp + (1 - share) * images
