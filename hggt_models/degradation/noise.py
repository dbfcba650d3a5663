"""Gaussian and Poisson noise with one strength per sample, in colour or grey.

Grey noise is the same in all three channels. Per-pixel numbers come from the given generators, which are on the images'
device. Nothing here waits for the device.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

# One for all samples, or one per sample, so that no sample depends on its neighbours.
Generators = Generator | Sequence[Generator]


def add_gaussian_noise(images: Tensor, sigmas_8bit: Tensor, is_grey: Tensor, generators: Generators) -> Tensor:
    """Add Gaussian noise to images (N, 3, H, W) and clamp to [0, 1].

    `sigmas_8bit` (N,) are in 8-bit grey levels; `is_grey` are booleans (N,). With one generator for all samples, the
    grey ones share one noise map, scaled by their sigma, as in the official code.

    Source: official `data/degradations.py`, `random_add_gaussian_noise_pt`.
    """
    colour = _normal(images, generators)
    grey = _normal(images[0, 0] if isinstance(generators, Generator) else images[:, :1], generators)
    noise = torch.where(_per_sample(is_grey), grey, colour)
    return (images + noise * _per_sample(sigmas_8bit) / 255).clamp(0, 1)


def add_correlated_noise(images: Tensor, mixing: Tensor, generators: Generators) -> Tensor:
    """Add Gaussian noise to images (N, 3, H, W) and clamp to [0, 1].

    `mixing` (3, 3) makes the noise of the three channels from independent noise of variance 1.

    Source: official `train_BSGRAN/utils/utils_blindsr.py`, `add_Gaussian_noise`.
    """
    noise = _normal(images, generators)
    # Not a matrix product, which a GPU may round to TF32.
    correlated = (mixing[None, :, :, None, None] * noise[:, None]).sum(2)
    return (images + correlated).clamp(0, 1)


def mixing_matrix(variances: Tensor, basis: Tensor) -> Tensor:
    """What `add_correlated_noise` takes, float64 (3, 3), from `variances` (3,) along random directions.

    The directions are the left singular vectors of `basis` (3, 3). Of the covariance that they give, the absolute value
    is taken element by element; it may then have negative eigenvalues, whose signs are ignored.

    Source: `add_Gaussian_noise`, as above; NumPy's `multivariate_normal`, which it calls, ignores these signs.
    """
    directions = torch.linalg.svd(basis.double()).U
    covariance = (directions.mT @ variances.double().diag() @ directions).abs()
    values, vectors = torch.linalg.eigh(covariance)
    mixing: Tensor = vectors * values.abs().sqrt() @ vectors.mT
    return mixing


def add_poisson_noise(images: Tensor, scales: Tensor, is_grey: Tensor, generators: Generators) -> Tensor:
    """Add shot noise to images (N, 3, H, W) and clamp to [0, 1].

    A pixel of value v counts Poisson(v L) photons, where L is the smallest power of two that is not below the number of
    distinct 8-bit values in the sample (for grey noise: in its luma). `scales` (N,) weaken the noise; 1 keeps it.

    Source: official `data/degradations.py`, `random_add_poisson_noise_pt`, which counts with `unique` sample by sample.
    """
    red, green, blue = images.unbind(1)
    luma = (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]  # the digits of torchvision's `rgb_to_grayscale`
    noise = torch.where(_per_sample(is_grey), _shot_noise(luma, generators), _shot_noise(images, generators))
    return (images + noise * _per_sample(scales)).clamp(0, 1)


def count_levels(levels_8bit: Tensor) -> Tensor:
    """Number of distinct values in each sample, (N,); `levels_8bit` (N, ...) holds whole numbers 0..255."""
    values = levels_8bit.flatten(1).long()
    present = torch.zeros(len(values), 256, dtype=torch.long, device=values.device)
    return present.scatter_(1, values, 1).sum(1)


def _shot_noise(images: Tensor, generators: Generators) -> Tensor:
    levels_8bit = (images * 255).round().clamp(0, 255)
    # Looked up in a table of powers: a logarithm could be off by one through rounding.
    powers = 2 ** torch.arange(9, device=images.device)
    photons = _per_sample(powers[torch.searchsorted(powers, count_levels(levels_8bit))])
    clean = levels_8bit / 255
    return _poisson(clean * photons, generators) / photons - clean


def _normal(like: Tensor, generators: Generators) -> Tensor:
    if isinstance(generators, Generator):
        return torch.randn(like.shape, generator=generators, device=like.device)
    return torch.stack([torch.randn(like.shape[1:], generator=each, device=like.device) for each in generators])


def _poisson(rates: Tensor, generators: Generators) -> Tensor:
    if isinstance(generators, Generator):
        return torch.poisson(rates, generators)
    return torch.stack([torch.poisson(rate, each) for rate, each in zip(rates, generators, strict=True)])


def _per_sample(values: Tensor) -> Tensor:
    return values[:, None, None, None]
