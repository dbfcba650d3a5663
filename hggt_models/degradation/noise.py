"""Gaussian and Poisson noise with one strength per sample, in colour or grey.

Grey noise is the same in all three channels. Numbers per pixel come from the generator that is passed, which lies on
the images' device. Nothing here asks the device for a value, so it never waits for it.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

# One for all samples; or one for each, and then a sample does not depend on its neighbours.
Generators = Generator | Sequence[Generator]


def add_gaussian_noise(images: Tensor, sigmas_8bit: Tensor, is_grey: Tensor, generators: Generators) -> Tensor:
    """Images with Gaussian noise, clamped to [0, 1].

    Args:
        images: (N, 3, H, W).
        sigmas_8bit: standard deviation (N,) in 8-bit grey levels.
        is_grey: (N,) booleans.
        generators: on the images' device. With one for all, grey samples share one noise map, scaled by their sigma, as
            in the official code.

    Returns:
        (N, 3, H, W) in [0, 1].

    Source: official `data/degradations.py`, `random_add_gaussian_noise_pt`.
    """
    colour = _normal(images, generators)
    grey = _normal(images[0, 0] if isinstance(generators, Generator) else images[:, :1], generators)
    noise = torch.where(_per_sample(is_grey), grey, colour)
    return (images + noise * _per_sample(sigmas_8bit) / 255).clamp(0, 1)


def add_poisson_noise(images: Tensor, scales: Tensor, is_grey: Tensor, generators: Generators) -> Tensor:
    """Images with shot noise, clamped to [0, 1].

    A pixel of value v counts Poisson(v L) photons of L, L being the least power of two that is not below the number
    of distinct 8-bit values in the sample (in its luma, for grey noise).

    Args:
        images: (N, 3, H, W).
        scales: (N,); 1 keeps the noise as counted, less weakens it.
        is_grey: (N,) booleans.
        generators: on the images' device.

    Returns:
        (N, 3, H, W) in [0, 1].

    Source: official `data/degradations.py`, `random_add_poisson_noise_pt`, which counts with `unique` sample by sample.
    """
    red, green, blue = images.unbind(1)
    luma = (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]  # the digits of torchvision's `rgb_to_grayscale`
    noise = torch.where(_per_sample(is_grey), _shot_noise(luma, generators), _shot_noise(images, generators))
    return (images + noise * _per_sample(scales)).clamp(0, 1)


def count_levels(levels_8bit: Tensor) -> Tensor:
    """How many distinct values each sample has, (N,) integers; `levels_8bit` (N, ...) holds whole numbers 0..255."""
    values = levels_8bit.flatten(1).long()
    present = torch.zeros(len(values), 256, dtype=torch.long, device=values.device)
    return present.scatter_(1, values, 1).sum(1)


def _shot_noise(images: Tensor, generators: Generators) -> Tensor:
    levels_8bit = (images * 255).round().clamp(0, 255)
    # Found in a table of powers, not with a logarithm, whose rounding could miss by one power.
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
