"""The pixel functions never wait for the device: they read no values back, and no shape depends on a value.

On fake tensors an operation only computes shapes and devices, so reading a value fails, and so does an operation
between two devices. That needs no CUDA device.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Generator, Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from hggt_models.degradation.chain import degrade
from hggt_models.degradation.jpeg import compress_jpeg
from hggt_models.degradation.kernels import filter_images, gaussian_kernels, plateau_kernels, sinc_kernels
from hggt_models.degradation.noise import add_gaussian_noise, add_poisson_noise
from hggt_models.degradation.settings import PUBLISHED, SR, Degradation
from hggt_models.degradation.sharpening import sharpen
from tests.hggt_models.degradation.golden import waves
from tests.hggt_models.degradation.sources import Draws, sources

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def _blur(images: Tensor) -> Tensor:
    ones = torch.ones(len(images), device=images.device)
    arguments = (9, ones * 7, torch.stack([ones, ones], 1), ones, ones)
    kernels = gaussian_kernels(*arguments) + plateau_kernels(*arguments) + sinc_kernels(9, ones * 7, ones)
    return filter_images(images, kernels)


def _noisy(add_noise: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    def add(images: Tensor) -> Tensor:
        ones = torch.ones(len(images), device=images.device)
        return add_noise(images, ones, ones > 0, Generator())

    return add


PIXEL_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "blur": _blur,
    "gaussian": _noisy(add_gaussian_noise),
    "poisson": _noisy(add_poisson_noise),
    "jpeg-official": lambda images: compress_jpeg(images, 50 + 40 * images[:, 0, 0, 0], "official"),
    "jpeg-libjpeg": lambda images: compress_jpeg(images, 50 + 40 * images[:, 0, 0, 0], "libjpeg"),
    "sharpen": sharpen,
}


@pytest.mark.parametrize("name", PIXEL_FUNCTIONS)
def test_pixel_functions_never_copy_from_the_device(name: str) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        images = torch.rand(2, 3, 45, 37, device="cuda")
        result = PIXEL_FUNCTIONS[name](images)
    assert (result.shape, result.dtype, result.device.type) == (images.shape, torch.float32, "cuda")


CHAINS: dict[str, Degradation] = {
    "gaussian": replace(SR, gaussian_probability=1),
    "poisson": replace(SR, gaussian_probability=0),
    "realesrgan": PUBLISHED["realesrgan"],
    "bsrgan": PUBLISHED["bsrgan"],
}


@pytest.mark.parametrize("draws", get_args(Draws))
@pytest.mark.parametrize("settings", CHAINS.values(), ids=CHAINS)
def test_the_chain_never_copies_pixels_from_the_device(draws: Draws, settings: Degradation) -> None:
    # The random choices are real tensors here; only those computed from the images are fake.
    images = FakeTensorMode(allow_non_fake_inputs=True).from_tensor(waves(64, 48).repeat(2, 1, 1, 1))
    assert degrade(images, settings, sources(draws, 0, 2)).shape == (2, 3, 16, 12)


@pytest.mark.parametrize("name", ["blur", "jpeg-official", "jpeg-libjpeg", "sharpen"])
def test_pixel_functions_compile_in_one_graph(name: str) -> None:
    compiled = torch.compile(PIXEL_FUNCTIONS[name], backend="eager", fullgraph=True)
    images = waves(45, 37)
    torch.testing.assert_close(compiled(images), PIXEL_FUNCTIONS[name](images), rtol=0, atol=1e-6)


@needs_cuda
@pytest.mark.parametrize("draws", get_args(Draws))
@pytest.mark.parametrize("settings", CHAINS.values(), ids=CHAINS)
def test_the_chain_never_waits_for_cuda(draws: Draws, settings: Degradation) -> None:
    images, drawn = waves(64, 64).repeat(2, 1, 1, 1).cuda(), sources(draws, 0, 2, "cuda")
    degrade(images, settings, drawn)  # the first call may wait while libraries start
    torch.cuda.set_sync_debug_mode("error")
    try:
        degrade(images, settings, drawn)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_cuda
def test_cuda_gives_the_same_pictures(crops: Tensor) -> None:
    settings = replace(SR, gaussian_probability=1, gaussian_sigma_8bit=(0, 0))  # noise differs between devices
    cpu = degrade(crops, settings, sources("per sample", 7, len(crops)))
    cuda = degrade(crops.cuda(), settings, sources("per sample", 7, len(crops), "cuda")).cpu()
    different = (cpu - cuda).abs() > 0.5 / 255
    assert different.float().mean() < 0.01
    assert (cpu - cuda).abs().max() < 10 / 255  # a coefficient may round to the next step
