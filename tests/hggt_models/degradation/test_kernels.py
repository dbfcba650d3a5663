import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hggt_models.degradation.kernels import filter_images, gaussian_kernels, plateau_kernels, sinc_kernels
from tests.hggt_models.degradation.golden import golden, waves


def _batch(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _aniso() -> Tensor:
    return gaussian_kernels(9, _batch(9), _batch([1.0, 0.3]), _batch(0.7))


@pytest.mark.parametrize(
    ("key", "kernels"),
    [
        ("kernel.iso.s0.8.7", gaussian_kernels(7, _batch(7), _batch([0.8, 0.8]), _batch(0))),
        ("kernel.aniso.s1.0.0.3.t0.7.9", _aniso()),
        (
            "kernel.generalized.iso.s0.9.b1.5.7",
            gaussian_kernels(7, _batch(7), _batch([0.9, 0.9]), _batch(0), _batch(1.5)),
        ),
        (
            "kernel.plateau.aniso.s1.0.0.5.t0.4.b0.6.7",
            plateau_kernels(7, _batch(7), _batch([1.0, 0.5]), _batch(0.4), _batch(0.6)),
        ),
    ],
)
def test_kernels_equal_the_official_ones(key: str, kernels: Tensor) -> None:
    torch.testing.assert_close(kernels[0], golden(key), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("key", "cutoff", "size_px"), [("kernel.sinc.pi3.7", math.pi / 3, 7), ("kernel.sinc.2.2.9", 2.2, 9)]
)
def test_sinc_kernels_equal_the_official_ones(key: str, cutoff: float, size_px: int) -> None:
    # torch's Bessel function is accurate to 8 digits.
    kernel = sinc_kernels(size_px, _batch(size_px), _batch(cutoff))[0]
    torch.testing.assert_close(kernel, golden(key), rtol=0, atol=1e-7)


@pytest.mark.parametrize("cutoff", [math.pi / 5, math.pi])
def test_sinc_kernels_follow_the_bessel_function_of_scipy(cutoff: float) -> None:
    special = pytest.importorskip("scipy.special", reason="needs scipy")
    offsets = np.arange(-10, 11)
    radii = np.hypot(offsets[:, None], offsets)
    radii[10, 10] = 1
    expected = cutoff * special.j1(cutoff * radii) / (2 * np.pi * radii)
    expected[10, 10] = cutoff**2 / (4 * np.pi)
    kernel = sinc_kernels(21, _batch(21), _batch(cutoff))[0]
    np.testing.assert_allclose(kernel, expected / expected.sum(), rtol=0, atol=1e-7)


def test_each_kernel_of_a_batch_has_its_own_size_in_the_middle_of_zeros() -> None:
    sizes = [3, 5, 7]
    sigmas, angles, betas = _batch([1, 0.4], [0.5, 0.5], [0.9, 0.2]), _batch(0.3, 0, -2), _batch(1, 0.7, 1.8)
    for make in (gaussian_kernels, plateau_kernels):
        together = make(9, _batch(*sizes), sigmas, angles, betas)
        for k, size in enumerate(sizes):
            alone = make(size, _batch(size), sigmas[k : k + 1], angles[k : k + 1], betas[k : k + 1])[0]
            margin = (9 - size) // 2
            torch.testing.assert_close(together[k], torch.nn.functional.pad(alone, (margin,) * 4))


def test_every_kernel_sums_to_1() -> None:
    sizes, sigmas, angles = _batch(3, 9), _batch([0.1, 0.1], [1, 3]), _batch(0, 1)
    for kernels in (
        gaussian_kernels(9, sizes, sigmas, angles),
        plateau_kernels(9, sizes, sigmas, angles, 0.5),
        sinc_kernels(9, sizes, _batch(1.1, 3)),
    ):
        torch.testing.assert_close(kernels.sum((1, 2)), _batch(1, 1))


def test_a_positive_angle_turns_the_first_axis_downwards() -> None:
    kernel = gaussian_kernels(9, _batch(9), _batch([2, 0.4]), _batch(math.pi / 4))[0]
    assert kernel[6, 6] > 10 * kernel[6, 2]  # row 6 is below the centre, column 6 to its right


def test_filtering_equals_the_official_one() -> None:
    torch.testing.assert_close(filter_images(waves(48, 56), _aniso()), golden("filter2d.aniso"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 7), (2, 3), (33, 17)])
def test_filtering_reflects_as_often_as_a_small_picture_needs(size: tuple[int, int]) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="needs scipy")
    images = waves(*size).repeat(2, 1, 1, 1)
    kernels = torch.rand(2, 9, 9, generator=torch.Generator().manual_seed(0))
    filtered = filter_images(images, kernels)
    for sample in range(2):
        for channel in range(3):
            expected = ndimage.correlate(images[sample, channel].numpy(), kernels[sample].numpy(), mode="mirror")
            np.testing.assert_allclose(filtered[sample, channel], expected, rtol=1e-5)
