"""The whole degradation in the official order: blur, resize, noise, JPEG, perhaps all again, final resize, 8 bit.

This module draws the parameters of each sample; the others compute the result.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hggt_data.io.images import Pixels
from hggt_eval.metrics.tensors import as_images
from hggt_models.degradation.jpeg import JpegForm, compress_jpeg
from hggt_models.degradation.kernels import filter_images, gaussian_kernels, plateau_kernels, sinc_kernels
from hggt_models.degradation.limits import DegradationError
from hggt_models.degradation.noise import add_gaussian_noise, add_poisson_noise
from hggt_models.degradation.random_source import BatchSource, RandomSource, on_device
from hggt_models.degradation.settings import (
    Degradation,
    DegradationSettings,
    Range,
    ResizeMode,
    SecondStage,
    ShuffledSettings,
    StageSettings,
)
from hggt_models.degradation.shuffled import degrade_shuffled

RandomNumbers = RandomSource | BatchSource

# Wider sinc kernels allow a lower cutoff. The official enhancers use 11, but no published size is near either.
_WIDE_SINC_PX = 13


def degrade(images: Tensor, settings: Degradation, sources: RandomNumbers | Sequence[RandomSource]) -> Tensor:
    """Degrade images, float32 (N, 3, H, W) in [0, 1], to (N, 3, H / scale, W / scale) in whole 8-bit levels.

    A `RandomSource` draws size, resize mode and kind of noise once for the batch and the rest per sample; grey samples
    share one noise map, as in the official code. A `BatchSource` does the same, but each sample has its own noise map,
    so that its result does not depend on its neighbours. With a list of sources, one per sample, everything is drawn
    per sample, as always for `ShuffledSettings`. DegradationError if shapes or the number of sources do not fit.

    Source: official `models/ours_posneggt_model.py` and `models/realesrgan_model.py`, `feed_data`; for
    `ShuffledSettings` see `degrade_shuffled`.
    """
    _require_fitting(images, settings)
    # Lower precision would round to other 8-bit levels.
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        if not isinstance(sources, RandomSource) and len(sources) != len(images):
            raise DegradationError(
                f"{len(sources)} sources for {len(images)} samples; expected one per sample, or one for all"
            )
        if isinstance(settings, DegradationSettings) and not isinstance(sources, Sequence):
            return _degrade_batch(images, settings, sources)
        each = sources if isinstance(sources, Sequence) else sources.split(len(images))
        return torch.cat(
            [_degrade_batch(image[None], settings, source) for image, source in zip(images, each, strict=True)]
        )


def degrade_picture(
    pixels: Pixels, settings: Degradation, seed_text: str, device: torch.device | str = "cpu"
) -> Pixels:
    """Degrade one picture, uint8 (H, W, 3), to (H / scale, W / scale, 3).

    All randomness is seeded by `seed_text`, such as `SEED/FILE_NAME`, so order and number of workers do not matter.
    Other devices give other noise.

    Example:
        >>> from hggt_models.degradation.settings import SR
        >>> degrade_picture(np.zeros((64, 48, 3), np.uint8), SR, "0/black.png").shape
        (16, 12, 3)
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DegradationError(f"the picture is {pixels.dtype} {pixels.shape}; expected uint8 (H, W, 3)")
    degraded = degrade(as_images(pixels, device), settings, RandomSource.from_text(seed_text, device))
    return (degraded[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy()  # (H, W, 3)


def draw_kernels(count: int, settings: StageSettings, source: RandomNumbers) -> Tensor:
    """Draw blur kernels, float64 (count, K, K) on the CPU; K is the largest kernel size.

    Source: official `data/posneggt_posneg_dataset.py` and `data/degradations.py`, `random_mixed_kernels`.
    """
    width_px = max(settings.kernel_sizes_px)
    positions = source.choose(count, [1] * len(settings.kernel_sizes_px))
    sizes_px = torch.tensor([settings.kernel_sizes_px[k] for k in positions])
    is_sinc = source.happens(count, settings.sinc_probability)
    cutoffs = source.uniform(count, torch.where(sizes_px < _WIDE_SINC_PX, math.pi / 3, math.pi / 5), math.pi)

    known_kinds = list(settings.kernel_kinds)
    kinds = [known_kinds[k] for k in source.choose(count, list(settings.kernel_kinds.values()))]
    is_anisotropic = torch.tensor(["anisotropic" in kind for kind in kinds])
    is_generalized = torch.tensor(["generalized" in kind for kind in kinds])
    is_plateau = torch.tensor(["plateau" in kind for kind in kinds])
    first, other = (source.uniform(count, *settings.blur_sigma_px) for _ in range(2))
    sigmas_px = torch.stack([first, torch.where(is_anisotropic, other, first)], 1)
    angles = source.uniform(count, -math.pi, math.pi)
    betas = torch.where(is_generalized, _draw_betas(count, settings.generalized_beta, source), 1)
    gaussian = gaussian_kernels(width_px, sizes_px, sigmas_px, angles, betas)
    plateau_betas = _draw_betas(count, settings.plateau_beta, source)
    plateau = plateau_kernels(width_px, sizes_px, sigmas_px, angles, plateau_betas)
    sinc = sinc_kernels(width_px, sizes_px, cutoffs)
    bells = torch.where(is_plateau[:, None, None], plateau, gaussian)
    return torch.where(is_sinc[:, None, None], sinc, bells)


def _degrade_batch(images: Tensor, settings: Degradation, source: RandomNumbers) -> Tensor:
    if isinstance(settings, ShuffledSettings):
        degraded = degrade_shuffled(images, settings, source.shared)
    else:
        degraded = _degrade_in_stages(images, settings, source)
    return (degraded * 255).round().clamp(0, 255) / 255


def _degrade_in_stages(images: Tensor, settings: DegradationSettings, source: RandomNumbers) -> Tensor:
    count, _, height, width = images.shape
    final_size = (height // settings.scale, width // settings.scale)
    degraded = filter_images(images, on_device(draw_kernels(count, settings, source), images))
    factor = _draw_resize_factor(settings, source.shared)
    mode = _draw_mode(settings, source.shared)
    if settings.resize_form == "official":
        degraded = functional.interpolate(degraded, scale_factor=factor, mode=mode)
    else:
        degraded = functional.interpolate(degraded, (int(height * factor), int(width * factor)), mode=mode)
    degraded = _add_noise(degraded, settings, source)
    degraded = _compress(degraded, settings, settings.jpeg_form, source)
    if settings.second is None:
        return functional.interpolate(degraded, final_size, mode=mode)
    return _degrade_again(degraded, settings, settings.second, final_size, source)


def _degrade_again(
    images: Tensor,
    settings: DegradationSettings,
    second: SecondStage,
    final_size: tuple[int, int],
    source: RandomNumbers,
) -> Tensor:
    """The second stage. Like the first one's resize, its blur and its order are drawn once for the batch."""
    count, shared = len(images), source.shared
    kernels = draw_kernels(count, second, source)
    if shared.happens(1, second.blur_probability):
        images = filter_images(images, on_device(kernels, images))
    factor, mode = _draw_resize_factor(second, shared), _draw_mode(settings, shared)
    height, width = (int(side * factor) for side in final_size)
    images = _add_noise(functional.interpolate(images, (height, width), mode=mode), second, source)
    sincs = on_device(_draw_final_kernels(count, second, source), images)
    final_mode = _draw_mode(settings, shared)

    def resize_and_filter(images: Tensor) -> Tensor:
        return filter_images(functional.interpolate(images, final_size, mode=final_mode), sincs)

    if shared.happens(1, 0.5):
        return _compress(resize_and_filter(images).clamp(0, 1), second, settings.jpeg_form, source)
    return resize_and_filter(_compress(images, second, settings.jpeg_form, source))


def _draw_final_kernels(count: int, second: SecondStage, source: RandomNumbers) -> Tensor:
    """Sinc kernels (count, K, K) of the second stage's sizes, and in the other samples one that changes nothing."""
    width_px = max(second.kernel_sizes_px)
    positions = source.choose(count, [1] * len(second.kernel_sizes_px))
    sizes_px = torch.tensor([second.kernel_sizes_px[k] for k in positions])
    sinc = sinc_kernels(width_px, sizes_px, source.uniform(count, math.pi / 3, math.pi))
    single_pixel = torch.zeros_like(sinc)
    single_pixel[:, width_px // 2, width_px // 2] = 1
    return torch.where(source.happens(count, second.final_sinc_probability)[:, None, None], sinc, single_pixel)


def _add_noise(images: Tensor, stage: StageSettings, source: RandomNumbers) -> Tensor:
    count = len(images)
    is_grey = on_device(source.happens(count, stage.grey_probability), images)
    if source.shared.happens(1, stage.gaussian_probability):
        sigmas_8bit = on_device(source.uniform(count, *stage.gaussian_sigma_8bit), images)
        return add_gaussian_noise(images, sigmas_8bit, is_grey, source.pixels)
    scales = on_device(source.uniform(count, *stage.poisson_scale), images)
    return add_poisson_noise(images, scales, is_grey, source.pixels)


def _compress(images: Tensor, stage: StageSettings, form: JpegForm, source: RandomNumbers) -> Tensor:
    return compress_jpeg(images, on_device(source.uniform(len(images), *stage.jpeg_quality), images), form)


def _draw_mode(settings: DegradationSettings, source: RandomSource) -> ResizeMode:
    return settings.resize_modes[source.choose(1, [1] * len(settings.resize_modes))[0]]


def _draw_resize_factor(stage: StageSettings, source: RandomSource) -> float:
    low, high = stage.resize_scale
    enlarge, shrink = stage.enlarge_probability, stage.shrink_probability
    keep = max(0.0, 1 - enlarge - shrink)  # 1 - 0.9 - 0.1 is slightly negative
    bounds = ((1.0, high), (low, 1.0), (1.0, 1.0))[source.choose(1, (enlarge, shrink, keep))[0]]
    return float(source.uniform(1, *bounds))


def _draw_betas(count: int, bounds: Range, source: RandomNumbers) -> Tensor:
    low, high = bounds
    return torch.where(source.happens(count, 0.5), source.uniform(count, low, 1), source.uniform(count, 1, high))


def _require_fitting(images: Tensor, settings: Degradation) -> None:
    if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] != 3:
        raise DegradationError(f"images are {images.dtype} {tuple(images.shape)}; expected float32 (N, 3, H, W)")
    height, width = images.shape[2:]
    if height % settings.scale or width % settings.scale:
        raise DegradationError(
            f"images are {height} x {width} px; expected sides divisible by the scale {settings.scale}; crop them first"
        )
    if isinstance(settings, ShuffledSettings):
        return
    for scale, key, stage in ((1, "", settings), (settings.scale, "second.", settings.second)):
        if stage is not None and min(height, width) // scale * stage.resize_scale[0] < 1:
            raise DegradationError(
                f"images are {height} x {width} px; {key}resize_scale {stage.resize_scale} may shrink that to less "
                "than 1 px"
            )
