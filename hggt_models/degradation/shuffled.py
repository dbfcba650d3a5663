"""BSRGAN's degradation, in which each sample has its own order of steps.

All choices are drawn on the CPU, so that nothing waits for the device.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from hggt_models.degradation.jpeg import compress_jpeg
from hggt_models.degradation.kernels import filter_images, gaussian_kernels
from hggt_models.degradation.noise import add_correlated_noise, add_gaussian_noise, mixing_matrix
from hggt_models.degradation.random_source import RandomSource, on_device
from hggt_models.degradation.resizing import halve, shrink
from hggt_models.degradation.settings import ShuffledSettings

_HALVED_SCALE = 4
_SMALLEST_SIGMA_PX = 1e-3  # its kernel is a single pixel


def degrade_shuffled(image: Tensor, settings: ShuffledSettings, source: RandomSource) -> Tensor:
    """Degrade one image (1, 3, H, W) in [0, 1] to (1, 3, H / scale, W / scale); sides are multiples of the scale.

    Source: official `train_BSGRAN/utils/utils_blindsr.py`, `degradation_bsrgan` with `isp_model=None`.
    """
    return _Sample(settings, source).degrade(image)


class _Sample:
    """One sample's degradation; `scale` is the rest of the scale, which later steps still have to reach."""

    def __init__(self, settings: ShuffledSettings, source: RandomSource) -> None:
        self.settings = settings
        self.source = source
        self.scale = settings.scale

    def degrade(self, image: Tensor) -> Tensor:
        if self.scale == _HALVED_SCALE and self.source.happens(1, self.settings.half_probability):
            image = self._halved(image)
            self.scale //= 2
        steps: list[Callable[[Tensor], Tensor]] = [
            self._blurred,
            self._blurred,
            self._resized,
            self._finally_resized,
            self._with_noise,
            self._perhaps_compressed,
        ]
        order = [steps[number] for number in self.source.permutation(len(steps)).tolist()]
        resize, final = sorted((order.index(self._resized), order.index(self._finally_resized)))
        order[resize], order[final] = self._resized, self._finally_resized
        for step in order:
            image = step(image)
        return self._compressed(image)

    def _halved(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        if self.source.happens(1, 0.5):
            return shrink(image, (height // 2, width // 2), self._draw_mode()).clamp(0, 1)
        return halve(image).clamp(0, 1)

    def _blurred(self, image: Tensor) -> Tensor:
        widest = self.settings.blur_base_px + self.settings.blur_per_scale_px * self.scale
        is_anisotropic = bool(self.source.happens(1, self.settings.anisotropic_probability))
        if is_anisotropic:
            sigmas_px = self.source.uniform(2, 0, widest).sqrt()
        else:
            sigmas_px = self.source.uniform(1, 0, widest).expand(2)
        return filter_images(image, on_device(self._kernel(sigmas_px, self._draw_number(0, math.pi)), image))

    def _resized(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        # The next resize gives the size that this one would have started from.
        self.final_size = (height // self.scale, width // self.scale)
        if self.source.happens(1, self.settings.resize_probability):
            divisor = self._draw_number(*self.settings.resize_divisor)
            size = (max(1, int(height / divisor)), max(1, int(width / divisor)))
            return shrink(image, size, self._draw_mode()).clamp(0, 1)
        sigma_px = self._draw_number(
            self.settings.decimation_sigma_px, self.settings.decimation_sigma_per_scale_px * self.scale
        )
        kernel = _shifted(self._kernel(torch.tensor([sigma_px, sigma_px]), 0.0)[0], (self.scale - 1) / 2)
        blurred = filter_images(image, on_device(kernel.flip(0, 1)[None], image))
        return blurred[..., :: self.scale, :: self.scale].clamp(0, 1)

    def _finally_resized(self, image: Tensor) -> Tensor:
        return shrink(image, self.final_size, self._draw_mode()).clamp(0, 1)

    def _with_noise(self, image: Tensor) -> Tensor:
        sigma_8bit = torch.tensor([float(self._draw_whole(*self.settings.gaussian_sigma_8bit))])
        kinds = list(self.settings.noise_kinds)
        kind = kinds[self.source.choose(1, list(self.settings.noise_kinds.values()))[0]]
        if kind == "correlated":
            mixing = mixing_matrix(self.source.uniform(3, 0, 1), self.source.uniform(9, 0, 1).view(3, 3))
            mixing = (mixing * self.settings.gaussian_sigma_8bit[1] / 255).float()
            return add_correlated_noise(image, on_device(mixing, image), self.source.pixels)
        is_grey = on_device(torch.tensor([kind == "grey"]), image)
        return add_gaussian_noise(image, on_device(sigma_8bit, image), is_grey, self.source.pixels)

    def _perhaps_compressed(self, image: Tensor) -> Tensor:
        return self._compressed(image) if self.source.happens(1, self.settings.jpeg_probability) else image

    def _compressed(self, image: Tensor) -> Tensor:
        quality = torch.tensor([float(self._draw_whole(*self.settings.jpeg_quality))])
        return compress_jpeg(image.clamp(0, 1), on_device(quality, image), self.settings.jpeg_form)

    def _kernel(self, sigmas_px: Tensor, angle: float) -> Tensor:
        """A Gaussian kernel (1, K, K) of random size."""
        sizes = self.settings.kernel_sizes_px
        size_px = sizes[self.source.choose(1, [1] * len(sizes))[0]]
        sigmas_px = sigmas_px.clamp(min=_SMALLEST_SIGMA_PX)[None]
        return gaussian_kernels(size_px, torch.tensor([size_px]), sigmas_px, torch.tensor([angle]))

    def _draw_mode(self) -> str:
        modes = self.settings.resize_modes
        return modes[self.source.choose(1, [1] * len(modes))[0]]

    def _draw_number(self, low: float, high: float) -> float:
        return float(self.source.uniform(1, low, high))

    def _draw_whole(self, low: int, high: int) -> int:
        return low + self.source.choose(1, [1] * (high - low + 1))[0]


def _shifted(kernel: Tensor, shift_px: float) -> Tensor:
    """A kernel (K, K) moved up and left by `shift_px`, interpolated; the last row and column are repeated."""
    last = len(kernel) - 1
    places = (torch.arange(last + 1, dtype=kernel.dtype) + shift_px).clamp(max=last)
    weights = (1 - (places[:, None] - torch.arange(last + 1, dtype=kernel.dtype)).abs()).clamp(min=0)
    shifted: Tensor = weights @ kernel @ weights.mT
    return shifted / shifted.sum()
