"""Blur kernels and the filter that applies them.

A batch has one kernel per sample. All are centred in squares of the same odd width, zero outside their own size, and
sum to 1. Kernels are computed in float64 on the device of their parameters; nothing here draws random numbers.
"""

import torch
from torch import Tensor
from torch.nn import functional

from hggt_models.reflection import reflected


def gaussian_kernels(
    width_px: int, sizes_px: Tensor, sigmas_px: Tensor, angles: Tensor, betas: Tensor | float = 1.0
) -> Tensor:
    """Gaussian kernels `exp(-d^beta / 2)`, float64 (N, width_px, width_px); beta 1 is the plain Gaussian.

    Args:
        width_px: Odd width of the result, at least the largest of `sizes_px`.
        sizes_px: Odd width of each kernel's support, (N,).
        sigmas_px: Standard deviations along the two axes, (N, 2); equal for isotropic kernels.
        angles: Angle between the first axis and the picture's rows, (N,) in radians.
        betas: Exponents, (N,) or one for all.

    Source: official `data/degradations.py`, `bivariate_Gaussian` and `bivariate_generalized_Gaussian`.
    """
    distances = _squared_distances(width_px, sigmas_px, angles)
    return _normalised(torch.exp(-0.5 * distances ** _per_kernel(betas)), sizes_px)


def plateau_kernels(
    width_px: int, sizes_px: Tensor, sigmas_px: Tensor, angles: Tensor, betas: Tensor | float
) -> Tensor:
    """Kernels with a flat top, `1 / (1 + d^beta)`; arguments and result as in `gaussian_kernels`.

    Source: official `data/degradations.py`, `bivariate_plateau`.
    """
    distances = _squared_distances(width_px, sigmas_px, angles)
    return _normalised(1 / (1 + distances ** _per_kernel(betas)), sizes_px)


def sinc_kernels(width_px: int, sizes_px: Tensor, cutoffs: Tensor) -> Tensor:
    """Ideal circular low-pass filters, truncated to their size, which ring like over-sharpened pictures.

    `cutoffs` (N,) are in radians per pixel, at most pi; sizes and result as in `gaussian_kernels`.

    Source: official `data/degradations.py`, `circular_lowpass_kernel`: J1(c r) / r up to a factor.
    """
    offsets = _offsets(width_px, cutoffs.device)
    phases = _per_kernel(cutoffs) * torch.hypot(offsets[:, None], offsets)
    # J1(z) / z tends to 1/2 at 0.
    at_centre = phases == 0
    ratios = torch.special.bessel_j1(phases) / phases.masked_fill(at_centre, 1)
    return _normalised(ratios.masked_fill(at_centre, 0.5), sizes_px)


def filter_images(images: Tensor, kernels: Tensor) -> Tensor:
    """Filter each image (N, C, H, W) with its own kernel (N, K, L); K and L are odd.

    The border is reflected without repeating the edge pixel. Kernels are not flipped (correlation).

    Source: official `utils/img_process_util.py`, `filter2D`, which fails for kernels much wider than the picture; here
    the reflection repeats.
    """
    count, channels, height, width = images.shape
    kernel_height, kernel_width = kernels.shape[1:]
    above, left = kernel_height // 2, kernel_width // 2
    rows = reflected(-above, height + above, height, images.device)
    columns = reflected(-left, width + left, width, images.device)
    padded = images.index_select(2, rows).index_select(3, columns)
    weights = kernels.to(images.dtype).repeat_interleave(channels, 0)[:, None]  # (N C, 1, K, L)
    groups = count * channels
    return functional.conv2d(padded.reshape(1, groups, *padded.shape[2:]), weights, groups=groups).view(images.shape)


def _squared_distances(width_px: int, sigmas_px: Tensor, angles: Tensor) -> Tensor:
    """Squared distance from the centre in units of sigma, (N, width_px, width_px)."""
    x = _offsets(width_px, sigmas_px.device)
    y = x[:, None]
    cosine, sine = _per_kernel(torch.cos(angles)), _per_kernel(torch.sin(angles))
    first, second = sigmas_px.double()[:, :, None, None].unbind(1)
    return ((x * cosine + y * sine) / first) ** 2 + ((y * cosine - x * sine) / second) ** 2


def _normalised(kernels: Tensor, sizes_px: Tensor) -> Tensor:
    """Cut kernels to their own sizes and make their sums 1."""
    offsets = _offsets(kernels.shape[-1], kernels.device).abs()
    inside = torch.maximum(offsets[:, None], offsets) <= _per_kernel(sizes_px) // 2
    kernels = kernels * inside
    return kernels / kernels.sum((1, 2), keepdim=True)


def _offsets(width_px: int, device: torch.device) -> Tensor:
    return torch.arange(width_px, device=device, dtype=torch.float64) - width_px // 2


def _per_kernel(values: Tensor | float) -> Tensor | float:
    return values.double()[:, None, None] if isinstance(values, Tensor) else values
