from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hggt_models.degradation import chain
from hggt_models.degradation.chain import degrade, degrade_picture, draw_kernels
from hggt_models.degradation.jpeg import compress_jpeg
from hggt_models.degradation.kernels import filter_images, gaussian_kernels
from hggt_models.degradation.limits import DegradationError
from hggt_models.degradation.random_source import RandomSource
from hggt_models.degradation.settings import ENHANCE_01, SR, DegradationSettings
from tests.hggt_models.degradation.golden import waves
from tests.hggt_models.degradation.sources import Draws, sources

DRAWS = get_args(Draws)
# One kernel, no resizing, no noise, one quality: the result is not random.
CERTAIN = replace(
    SR,
    kernel_sizes_px=(7,),
    blur_sigma_px=(0.8, 0.8),
    kernel_kinds={"isotropic": 1.0},
    sinc_probability=0,
    enlarge_probability=0,
    shrink_probability=0,
    resize_modes=("bicubic",),
    gaussian_probability=1,
    gaussian_sigma_8bit=(0, 0),
    jpeg_quality=(85, 85),
)


@pytest.fixture
def resizes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each call of `interpolate` that is not JPEG's own."""
    calls: list[dict[str, Any]] = []
    interpolate = functional.interpolate

    class Recorder:
        @staticmethod
        def interpolate(images: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "") -> Tensor:
            calls.append({"size": size, "scale_factor": scale_factor, "mode": mode})
            return interpolate(images, size, scale_factor, mode)

    monkeypatch.setattr(chain, "functional", Recorder)
    return calls


def test_pictures_are_blurred_then_compressed_then_shrunk_then_rounded(crops: Tensor) -> None:
    size, sigma, quality = torch.tensor([7]), torch.tensor([[0.8, 0.8]]), torch.full((6,), 85.0)
    kernel = gaussian_kernels(7, size, sigma, torch.zeros(1)).float()
    expected = compress_jpeg(filter_images(crops, kernel.expand(6, -1, -1)).clamp(0, 1), quality)
    expected = functional.interpolate(expected, (40, 40), mode="bicubic")
    expected = (expected * 255).round().clamp(0, 255) / 255
    different = (degrade(crops, CERTAIN, RandomSource(0)) - expected).abs() > 0.5 / 255
    assert different.float().mean() < 1e-3  # the last digit of a kernel may change a rounding


def test_noise_goes_through_jpeg() -> None:
    noisy = replace(CERTAIN, scale=1, gaussian_sigma_8bit=(12, 12))
    coarse = replace(noisy, jpeg_quality=(1, 1))
    grey = torch.full((1, 3, 64, 64), 0.5)
    assert degrade(grey, noisy, RandomSource(0)).std() * 255 > 8
    assert degrade(grey, coarse, RandomSource(0)).std() * 255 < 1


@pytest.mark.parametrize("draws", DRAWS)
def test_results_are_8_bit_and_smaller_by_the_scale(draws: Draws) -> None:
    for settings, height, width in ((SR, 4, 8), (SR, 160, 132), (ENHANCE_01, 33, 57)):
        low = degrade(waves(height, width).repeat(3, 1, 1, 1), settings, sources(draws, 1, 3))
        assert low.shape == (3, 3, height // settings.scale, width // settings.scale)
        assert low.dtype == torch.float32
        assert 0 <= low.min() <= low.max() <= 1
        torch.testing.assert_close(low * 255, (low * 255).round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("draws", DRAWS)
def test_one_seed_gives_one_result(crops: Tensor, draws: Draws) -> None:
    first, again, other = (degrade(crops, SR, sources(draws, seed, len(crops))) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_sample_with_its_own_source_does_not_depend_on_its_neighbours(crops: Tensor) -> None:
    together = degrade(crops, SR, sources("per sample", 7, len(crops)))
    assert torch.equal(degrade(crops[:2], SR, sources("per sample", 7, 2)), together[:2])
    others = torch.cat([1 - crops[:5], crops[5:]])
    assert torch.equal(degrade(others, SR, sources("per sample", 7, len(others)))[5], together[5])


def test_one_source_resizes_a_batch_alike_and_sources_per_sample_resize_each_differently(
    resizes: list[dict[str, Any]], crops: Tensor
) -> None:
    degrade(crops, SR, RandomSource(7))
    assert len(resizes) == 2
    assert resizes[0]["mode"] == resizes[1]["mode"]
    resizes.clear()
    degrade(crops, SR, sources("per sample", 7, len(crops)))
    assert len(resizes) == 12
    assert len({call["scale_factor"] for call in resizes[::2]}) > 3
    assert all(first["mode"] == last["mode"] for first, last in zip(resizes[::2], resizes[1::2], strict=True))


def test_resizes_and_noise_follow_their_probabilities(
    resizes: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    strengths: dict[str, list[float]] = {"gaussian": [], "poisson": []}
    grey: list[bool] = []

    def recorder(kind: str) -> Callable[..., Tensor]:
        def record(images: Tensor, strength: Tensor, is_grey: Tensor, generator: torch.Generator) -> Tensor:
            strengths[kind].append(float(strength))
            grey.append(bool(is_grey))
            return images.clamp(0, 1)

        return record

    monkeypatch.setattr(chain, "add_gaussian_noise", recorder("gaussian"))
    monkeypatch.setattr(chain, "add_poisson_noise", recorder("poisson"))
    for slow in ("compress_jpeg", "filter_images"):  # their results are not used
        monkeypatch.setattr(chain, slow, lambda images, *_: images)
    degrade(waves(8, 8).expand(1500, -1, -1, -1), SR, sources("per sample", 5, 1500))

    factors = torch.tensor([call["scale_factor"] for call in resizes[::2]])
    for share, expected in ((factors > 1, 0.1), (factors < 1, 0.85), (factors == 1, 0.05)):
        assert share.float().mean() == pytest.approx(expected, abs=0.03)
    assert 0.8 <= factors.min() < 0.81
    assert 1.15 < factors.max() <= 1.2
    modes = Counter(call["mode"] for call in resizes[::2])
    assert all(modes[mode] / 1500 == pytest.approx(1 / 3, abs=0.05) for mode in SR.resize_modes)

    assert len(strengths["gaussian"]) / 1500 == pytest.approx(0.5, abs=0.04)
    assert sum(grey) / 1500 == pytest.approx(0.2, abs=0.03)
    for kind, low, high in (("gaussian", 1, 12), ("poisson", 0.05, 0.8)):
        drawn = np.array(strengths[kind])
        assert low <= drawn.min() < drawn.max() <= high
        assert drawn.mean() == pytest.approx((low + high) / 2, rel=0.06)


def test_each_sample_has_its_own_kernel_noise_and_quality() -> None:
    low = degrade(waves(64, 64).repeat(4, 1, 1, 1), SR, RandomSource(2))
    assert len({image.numpy().tobytes() for image in low}) == 4


def test_aligned_resizing_keeps_the_picture_in_its_place() -> None:
    # A ramp shows where each pixel comes from. JPEG at quality 100 and a tiny sigma hardly change it.
    ramp = torch.arange(401, dtype=torch.float32).expand(1, 3, 401, 401) / 400
    shrink = replace(
        CERTAIN,
        scale=1,
        blur_sigma_px=(0.1, 0.1),
        resize_modes=("bilinear",),
        shrink_probability=1,
        resize_scale=(0.8, 1),
        jpeg_quality=(100, 100),
        jpeg_form="libjpeg",
    )

    def shift_px(settings: DegradationSettings, seed: int) -> float:
        low = degrade(ramp, settings, RandomSource(seed))
        return float((low - ramp)[..., 360:390].mean() * 400)

    aligned = replace(shrink, resize_form="aligned")
    assert max(abs(shift_px(aligned, seed)) for seed in range(8)) < 0.15
    assert max(abs(shift_px(shrink, seed)) for seed in range(8)) > 0.5


def test_kernels_follow_the_settings() -> None:
    # A wide blur fills its whole size.
    kernels = draw_kernels(4000, replace(SR, sinc_probability=0, blur_sigma_px=(2, 3)), RandomSource(3))
    assert kernels.shape == (4000, 9, 9)
    sizes = Counter((kernels[:, 4] > 0).sum(1).tolist())
    assert all(sizes[size] / 4000 == pytest.approx(1 / 4, abs=0.03) for size in (3, 5, 7, 9))
    isotropic = torch.isclose(kernels, kernels.mT).all((1, 2)) & torch.isclose(kernels, kernels.flip(2)).all((1, 2))
    assert isotropic.float().mean() == pytest.approx(0.7, abs=0.03)


def test_sinc_kernels_follow_their_probability() -> None:
    kernels = draw_kernels(4000, ENHANCE_01, RandomSource(3))
    rings = (kernels < 0).flatten(1).any(1)
    # A sinc of width 3 rings only above a cutoff of about 2.7.
    assert 0.05 < rings.float().mean() < 0.1
    always = draw_kernels(200, replace(ENHANCE_01, sinc_probability=1, kernel_sizes_px=(7,)), RandomSource(3))
    assert (always < 0).flatten(1).any(1).all()


@pytest.mark.parametrize("kind", ["generalized_isotropic", "generalized_anisotropic", "plateau_isotropic"])
def test_other_kinds_have_other_tails_than_a_gaussian(kind: Any) -> None:
    certain = replace(CERTAIN, kernel_kinds={kind: 1.0})
    gaussian = draw_kernels(1, CERTAIN, RandomSource(0))
    kernels = draw_kernels(50, certain, RandomSource(0))
    assert ((kernels - gaussian).abs().amax((1, 2)) > 1e-4).all()
    assert kernels.sum((1, 2)).allclose(torch.ones((), dtype=torch.float64))


def test_angles_cover_all_directions() -> None:
    settings = replace(CERTAIN, kernel_kinds={"anisotropic": 1.0}, blur_sigma_px=(0.3, 3))
    kernels = draw_kernels(500, settings, RandomSource(0))
    offsets = torch.arange(-3, 4, dtype=torch.float64)
    tilts = torch.einsum("nyx,y,x->n", kernels, offsets, offsets)  # covariance
    for share in (tilts > 0, tilts < 0, tilts.abs() > 0.5):
        assert share.float().mean() > 0.3


@pytest.mark.parametrize(
    ("images", "settings", "message"),
    [
        (torch.zeros(1, 3, 8, 10), SR, r"8 x 10 px; expected sides divisible by the scale 4"),
        (torch.zeros(1, 3, 1, 9), ENHANCE_01, r"1 x 9 px; resize_scale \(0.9, 1.1\) may shrink that to less than 1 px"),
        (torch.zeros(1, 1, 8, 8), SR, r"float32 \(1, 1, 8, 8\); expected float32 \(N, 3, H, W\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), SR, r"uint8 \(1, 3, 8, 8\); expected float32"),
    ],
)
def test_images_that_do_not_fit_are_refused(images: Tensor, settings: DegradationSettings, message: str) -> None:
    with pytest.raises(DegradationError, match=message):
        degrade(images, settings, RandomSource(0))


def test_sources_and_pixels_that_do_not_fit_are_refused() -> None:
    for pixels in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(DegradationError, match=r"expected uint8 \(H, W, 3\)"):
            degrade_picture(pixels, SR, "0/a.png")  # type: ignore[arg-type]
    with pytest.raises(DegradationError, match="2 sources for 1 samples; expected one per sample, or one for all"):
        degrade(waves(8, 8), SR, sources("per sample", 0, 2))


def test_a_degraded_picture_depends_only_on_its_text() -> None:
    pixels = (waves(32, 48)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    first, again, other = (degrade_picture(pixels, SR, text) for text in ("0/a.png", "0/a.png", "0/b.png"))
    assert first.shape == (8, 12, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    strided = np.ascontiguousarray(pixels[::-1, ::-1])[::-1, ::-1]
    strided.flags.writeable = False
    np.testing.assert_array_equal(degrade_picture(strided, SR, "0/a.png"), first)
    assert (first != other).any()
    assert abs(first.mean() - pixels.mean()) < 4


def test_autocast_and_gradients_change_nothing(crops: Tensor) -> None:
    expected = degrade(crops, SR, RandomSource(7))
    with torch.autocast("cpu", torch.bfloat16):
        low = degrade(crops.clone().requires_grad_(), SR, RandomSource(7))
    assert torch.equal(low, expected)
    assert not low.requires_grad
