"""Real-ESRGAN's second stage, compared with its formulas and its published probabilities."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage, special
from torch import Tensor
from torch.nn import functional

from hggt_models.degradation import chain
from hggt_models.degradation.chain import degrade
from hggt_models.degradation.kernels import sinc_kernels
from hggt_models.degradation.limits import DegradationError
from hggt_models.degradation.random_source import RandomSource
from hggt_models.degradation.settings import REALESRGAN, SecondStage
from tests.hggt_models.degradation.golden import waves

Picture = npt.NDArray[np.float64]

# One kernel each, no resizing, no noise; official JPEG of the quality 100 hardly changes a grey picture.
CERTAIN: dict[str, Any] = {
    "sinc_probability": 0,
    "enlarge_probability": 0,
    "shrink_probability": 0,
    "kernel_kinds": {"isotropic": 1.0},
    "gaussian_probability": 1,
    "gaussian_sigma_8bit": (0, 0),
    "jpeg_quality": (100, 100),
}


def gaussian(size_px: int, sigma_px: float) -> Picture:
    y, x = np.mgrid[:size_px, :size_px] - size_px // 2
    kernel = np.exp(-(x**2 + y**2) / (2 * sigma_px**2))
    return np.asarray(kernel / kernel.sum())


def sinc(size_px: int, cutoff: float) -> Picture:
    y, x = np.mgrid[:size_px, :size_px] - size_px // 2
    radius = np.hypot(x, y)
    radius[size_px // 2, size_px // 2] = 1
    kernel = cutoff * special.j1(cutoff * radius) / (2 * np.pi * radius)
    kernel[size_px // 2, size_px // 2] = cutoff**2 / (4 * np.pi)
    return np.asarray(kernel / kernel.sum())


def quarter(picture: Picture) -> Picture:
    """Bilinear samples at the centres of 4 x 4 pixels: the mean of the inner 2 x 2."""
    rows = (picture[1::4] + picture[2::4]) / 2
    return np.asarray((rows[:, 1::4] + rows[:, 2::4]) / 2)


@pytest.mark.parametrize("blur_probability", [0, 1])
def test_a_picture_is_blurred_twice_shrunk_and_filtered(
    blur_probability: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = replace(
        SecondStage(**CERTAIN),
        kernel_sizes_px=(5,),
        blur_sigma_px=(0.4, 0.4),
        blur_probability=blur_probability,
        final_sinc_probability=1,
    )
    changes = {**CERTAIN, "kernel_sizes_px": (7,), "blur_sigma_px": (0.6, 0.6), "resize_modes": ("bilinear",)}
    cutoffs = []

    def record(width_px: int, sizes_px: Tensor, drawn: Tensor) -> Tensor:
        cutoffs.append(float(drawn))
        return sinc_kernels(width_px, sizes_px, drawn)

    monkeypatch.setattr(chain, "sinc_kernels", record)
    grey = waves(64, 48)[:, :1].expand(-1, 3, -1, -1)
    low = degrade(grey, replace(REALESRGAN, **changes, second=second), RandomSource(1))

    expected = ndimage.correlate(grey[0, 0].double().numpy(), gaussian(7, 0.6), mode="mirror")
    if blur_probability:
        expected = ndimage.correlate(expected, gaussian(5, 0.4), mode="mirror")
    expected = ndimage.correlate(quarter(expected), sinc(5, cutoffs[-1]), mode="mirror")
    assert np.pi / 3 <= cutoffs[-1] <= np.pi
    np.testing.assert_allclose(low[0].numpy(), np.broadcast_to(expected.clip(0, 1), (3, 16, 12)), atol=0.6 / 255)


def test_steps_follow_their_order_and_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sigmas: dict[str, list[float]] = {"blur": [], "noise": []}

    def named(name: str) -> Any:
        def step(images: Tensor, *parameters: Any) -> Tensor:
            steps.append(name)
            if name == "noise":
                sigmas[name].append(float(parameters[0]))
            return images

        return step

    class Recorder:
        @staticmethod
        def interpolate(images: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "") -> Tensor:
            steps.append("resize")
            return functional.interpolate(images, size, scale_factor, mode)

    monkeypatch.setattr(chain, "functional", Recorder)
    for function, name in (
        *(("filter_images", "filter"), ("compress_jpeg", "jpeg")),
        *(("add_gaussian_noise", "noise"), ("add_poisson_noise", "noise")),
    ):
        monkeypatch.setattr(chain, function, named(name))
    orders: Counter[str] = Counter()
    for seed in range(150):
        steps.clear()
        degrade(waves(16, 16), replace(REALESRGAN, gaussian_probability=1), RandomSource(seed))
        orders[" ".join(steps)] += 1

    first = "filter resize noise jpeg"
    ends = ("resize filter jpeg", "jpeg resize filter")
    expected = {
        f"{first} {blur}resize noise {end}": share / 2 for end in ends for blur, share in (("filter ", 0.8), ("", 0.2))
    }
    assert set(orders) == set(expected)
    for order, share in expected.items():
        assert orders[order] / 150 == pytest.approx(share, abs=0.12)


def test_sinc_filters_follow_their_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels: list[Tensor] = []

    def record(images: Tensor, drawn: Tensor) -> Tensor:
        kernels.append(drawn)
        return images

    monkeypatch.setattr(chain, "filter_images", record)
    monkeypatch.setattr(chain, "compress_jpeg", lambda images, *_: images)
    degrade(waves(8, 8).expand(500, -1, -1, -1), REALESRGAN, RandomSource(0))
    final = kernels[-1]
    assert final.shape == (500, 5, 5)
    is_identity = (final[:, 2, 2] == 1) & ((final != 0).sum((1, 2)) == 1)
    assert (~is_identity).float().mean() == pytest.approx(0.1, abs=0.04)
    torch.testing.assert_close(final.sum((1, 2)), torch.ones(500, dtype=final.dtype))


def test_pictures_that_the_second_stage_shrinks_to_nothing_are_refused() -> None:
    with pytest.raises(DegradationError, match=r"4 x 8 px; second.resize_scale \(0.9, 1.1\) may shrink"):
        degrade(torch.zeros(1, 3, 4, 8), REALESRGAN, RandomSource(0))
