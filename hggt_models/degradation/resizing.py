"""Resizing as in two libraries of the official BSRGAN code, where PyTorch's `interpolate` differs from them."""

import torch
from torch import Tensor
from torch.nn import functional

from hggt_models.degradation.random_source import on_device


def shrink(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Resize images (N, C, H, W) to at most their size (height, width).

    `bilinear` and `bicubic` are PyTorch's, without anti-aliasing. For `area` a pixel is the mean of exactly what it
    covers, where PyTorch's covers whole pixels only.

    Source: OpenCV's `resize`, with which all three agree.
    """
    if images.shape[2:] == size:
        return images
    if mode != "area":
        return functional.interpolate(images, size, mode=mode)
    rows, columns = (
        on_device(_coverage(before, after), images) for before, after in zip(images.shape[2:], size, strict=True)
    )
    # In float64, because a GPU may round float32 products to TF32.
    return (rows @ images.double() @ columns.mT).float()


def halve(images: Tensor) -> Tensor:
    """Halve the sides of images (N, C, H, W), which are even, with an anti-aliased bicubic filter.

    Source: official `utils/utils_image.py`, `imresize_np`, which follows Matlab's `imresize`. The border is reflected
    with the edge pixel repeated.
    """
    channels = images.shape[1]
    distances = (torch.arange(8, dtype=torch.float64) - 3.5) / 2  # of 8 pixels from the centre of a new one
    taps = _cubic(distances)
    row = on_device(taps / taps.sum(), images).to(images.dtype).expand(channels, 1, 1, -1)
    rows, columns = (_mirrored(side, images.device) for side in images.shape[2:])
    padded = images.index_select(2, rows).index_select(3, columns)
    narrow = functional.conv2d(padded, row, stride=(1, 2), groups=channels)
    return functional.conv2d(narrow, row.mT, stride=(2, 1), groups=channels)


def _coverage(before: int, after: int) -> Tensor:
    """Share of each old pixel in each new one, float64 (after, before)."""
    edges = torch.arange(after + 1, dtype=torch.float64) * before / after
    pixels = torch.arange(before, dtype=torch.float64)
    covered = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return covered.clamp(min=0) * after / before


def _cubic(distances: Tensor) -> Tensor:
    """Keys's cubic kernel with a = -1/2 at distances of at most 2."""
    x = distances.abs()
    return torch.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)


def _mirrored(side: int, device: torch.device) -> Tensor:
    """Indices from 3 before a side to 3 behind it, mirrored at its edges with the edge pixel repeated."""
    indices = torch.arange(-3, side + 3, device=device) % (2 * side)
    return torch.minimum(indices, 2 * side - 1 - indices)
