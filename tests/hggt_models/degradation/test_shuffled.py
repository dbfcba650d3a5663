"""BSRGAN's degradation, compared with its formulas and its published probabilities."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import linalg, ndimage
from torch import Tensor

from hggt_models.degradation import shuffled
from hggt_models.degradation.chain import degrade
from hggt_models.degradation.kernels import gaussian_kernels
from hggt_models.degradation.noise import mixing_matrix
from hggt_models.degradation.random_source import RandomSource
from hggt_models.degradation.resizing import halve, shrink
from hggt_models.degradation.settings import ShuffledSettings
from tests.hggt_models.degradation.golden import waves
from tests.hggt_models.degradation.sources import sources

Picture = npt.NDArray[np.float64]

PUBLISHED = ShuffledSettings()
# The blurs are single pixels, nothing is halved, and neither noise nor JPEG changes a grey picture by much.
CERTAIN = replace(
    PUBLISHED,
    half_probability=0,
    blur_base_px=0,
    blur_per_scale_px=0,
    gaussian_sigma_8bit=(0, 0),
    noise_kinds={"grey": 1.0},
    jpeg_quality=(100, 100),
)


def grey(height: int, width: int) -> Tensor:
    return waves(height, width)[:, :1].expand(-1, 3, -1, -1)


def area(picture: Picture, side: int) -> Picture:
    """Rows averaged to fewer, by differences of the running integral at the edges of the new ones."""
    edges = np.linspace(0, len(picture), side + 1)
    integral = np.concatenate([np.zeros((1, picture.shape[1])), picture.cumsum(0)])
    at_edges = np.array([np.interp(edges, np.arange(len(integral)), column) for column in integral.T]).T
    return np.asarray(np.diff(at_edges, axis=0) * side / len(picture))


def cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0


def half(rows: Picture) -> Picture:
    """Matlab's `imresize(rows, 0.5)` of one axis."""
    padded = np.pad(rows, ((4, 4), (0, 0)), mode="symmetric")
    result = []
    for k in range(len(rows) // 2):
        weights = np.array([cubic((j - (2 * k + 0.5)) / 2) for j in range(-4, len(rows) + 4)])
        result.append(weights / weights.sum() @ padded)
    return np.array(result)


def test_area_resizing_averages_exactly_what_a_pixel_covers() -> None:
    picture = waves(37, 29)
    expected = [area(area(plane, 31).T, 25).T for plane in picture[0].double().numpy()]
    np.testing.assert_allclose(shrink(picture, (31, 25), "area")[0], expected, atol=1e-6)


def test_halving_is_matlabs_bicubic_resize() -> None:
    picture = waves(18, 12)
    expected = [half(half(plane).T).T for plane in picture[0].double().numpy()]
    np.testing.assert_allclose(halve(picture)[0], expected, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 4])
def test_decimation_blurs_with_a_kernel_shifted_to_the_centre_of_what_a_pixel_stands_for(scale: int) -> None:
    settings = replace(
        CERTAIN,
        scale=scale,
        kernel_sizes_px=(9,),
        resize_probability=0,
        decimation_sigma_px=0.25 * scale,
        jpeg_form="official",
    )
    picture = grey(32, 48)
    y, x = np.mgrid[:9, :9]
    kernel = np.exp(-((x - 4) ** 2 + (y - 4) ** 2) / (2 * (0.25 * scale) ** 2))
    shift = (scale - 1) / 2
    kernel = ndimage.map_coordinates(kernel, [(y + shift).clip(0, 8), (x + shift).clip(0, 8)], order=1)
    blurred = ndimage.convolve(picture[0, 0].double().numpy(), kernel / kernel.sum(), mode="mirror")
    low = degrade(picture, settings, RandomSource(0))
    np.testing.assert_allclose(low[0, 1], blurred[::scale, ::scale], atol=0.6 / 255)


def test_a_resized_picture_ends_at_its_size_by_the_same_mode_or_another() -> None:
    settings = replace(
        CERTAIN, resize_probability=1, resize_divisor=(1.1, 1.1), resize_modes=("area",), jpeg_form="official"
    )
    picture = grey(64, 48)
    plane = picture[0, 0].double().numpy()
    expected = area(area(plane, 58).T, 43).T  # 64 / 1.1 and 48 / 1.1, rounded down
    expected = area(area(expected, 16).T, 12).T
    np.testing.assert_allclose(degrade(picture, settings, RandomSource(0))[0, 0], expected, atol=0.6 / 255)


def test_blurs_follow_the_rest_of_the_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, bool, float]] = []

    def record(width_px: int, sizes_px: Tensor, sigmas_px: Tensor, angles: Tensor) -> Tensor:
        drawn.append((width_px, bool(sigmas_px[0, 0] == sigmas_px[0, 1]), float(sigmas_px.max())))
        return gaussian_kernels(width_px, sizes_px, sigmas_px, angles)

    monkeypatch.setattr(shuffled, "gaussian_kernels", record)
    monkeypatch.setattr(shuffled, "compress_jpeg", lambda images, *_: images)
    settings = replace(PUBLISHED, resize_probability=1)
    for half_probability, widest in ((0, 1.0), (1, 0.6)):
        drawn.clear()
        for seed in range(100):
            degrade(waves(8, 8), replace(settings, half_probability=half_probability), RandomSource(seed))
        sizes = Counter(size for size, _, _ in drawn)
        assert len(drawn) == 200
        assert all(sizes[size] / 200 == pytest.approx(1 / 4, abs=0.11) for size in (3, 5, 7, 9))
        round_sigmas = [sigma for _, is_round, sigma in drawn if is_round]
        assert len(round_sigmas) / 200 == pytest.approx(0.7, abs=0.11)
        assert 0.93 * widest < max(round_sigmas) <= widest
        variances = [sigma**2 for _, is_round, sigma in drawn if not is_round]
        assert 0.85 * widest < max(variances) <= widest * 1.001


def test_correlated_noise_has_the_covariance_that_numpy_would_draw_from() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        variances, basis = rng.random(3), rng.random((3, 3))
        directions = linalg.orth(basis)
        covariance = np.abs(directions.T @ np.diag(variances) @ directions)
        _, values, rows = np.linalg.svd(covariance)
        factor = np.sqrt(values)[:, None] * rows  # as in `multivariate_normal`
        mixing = mixing_matrix(torch.from_numpy(variances), torch.from_numpy(basis)).numpy()
        np.testing.assert_allclose(mixing @ mixing.T, factor.T @ factor, atol=1e-12)


def test_noise_has_the_published_kinds_and_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffled, "compress_jpeg", lambda images, *_: images)
    flat = replace(CERTAIN, gaussian_sigma_8bit=(1, 12), resize_divisor=(1, 1), resize_probability=1, scale=1)
    kinds: Counter[str] = Counter()
    levels = []
    for seed in range(120):
        settings = replace(flat, noise_kinds=PUBLISHED.noise_kinds)
        noise = degrade(torch.full((1, 3, 16, 16), 0.5), settings, RandomSource(seed))[0] - 0.5
        correlation = np.corrcoef(noise.flatten(1).numpy())
        if correlation.min() > 0.999:
            kinds["grey"] += 1
            levels.append(float(noise[0].std()) * 255)
        else:
            kinds["colour" if correlation[np.triu_indices(3, 1)].max() < 0.2 else "correlated"] += 1
    assert kinds["grey"] / 120 == pytest.approx(0.4, abs=0.14)
    assert kinds["colour"] / 120 == pytest.approx(0.4, abs=0.17)  # some correlated noise hardly is
    assert 0.8 < min(levels) < 1.5
    assert 11 < max(levels) < 13.5


def test_steps_come_in_every_order_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def named(name: str) -> Any:
        step = getattr(shuffled, name)

        def recorded(images: Tensor, *parameters: Any) -> Tensor:
            steps.append(name)
            return images if name == "compress_jpeg" else step(images, *parameters)

        return recorded

    for name in ("filter_images", "shrink", "add_gaussian_noise", "compress_jpeg"):
        monkeypatch.setattr(shuffled, name, named(name))
    settings = replace(PUBLISHED, half_probability=0, resize_probability=1, noise_kinds={"colour": 1.0})
    orders: Counter[tuple[str, ...]] = Counter()
    num_compressed = 0
    for seed in range(250):
        steps.clear()
        low = degrade(waves(16, 16), settings, RandomSource(seed))
        assert low.shape == (1, 3, 4, 4)
        assert steps[-1] == "compress_jpeg"
        num_compressed += steps.count("compress_jpeg") - 1
        if steps.count("compress_jpeg") == 2:
            orders[tuple(steps[:-1])] += 1
    assert num_compressed / 250 == pytest.approx(0.9, abs=0.06)
    assert len(orders) > 100  # of 180: two blurs and two resizes look alike here
    assert max(orders.values()) < 8


def test_half_of_what_is_halved_is_halved_with_anti_aliasing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def record(images: Tensor) -> Tensor:
        calls.append(images.shape)
        return halve(images)

    monkeypatch.setattr(shuffled, "halve", record)
    monkeypatch.setattr(shuffled, "compress_jpeg", lambda images, *_: images)
    for seed in range(150):
        degrade(waves(8, 8), PUBLISHED, RandomSource(seed))
    assert len(calls) / 150 == pytest.approx(0.125, abs=0.07)
    calls.clear()
    degrade(waves(8, 8), replace(PUBLISHED, scale=2, half_probability=1), RandomSource(0))
    assert not calls  # only pictures of the scale 4 are halved


def test_each_sample_draws_everything_for_itself(crops: Tensor) -> None:
    together = degrade(crops, PUBLISHED, sources("joined", 7, len(crops)))
    alone = [
        degrade(crop[None], PUBLISHED, [source])
        for crop, source in zip(crops, sources("per sample", 7, len(crops)), strict=True)  # type: ignore[arg-type]
    ]
    assert torch.equal(together, torch.cat(alone))
    one_source = degrade(crops[:1].expand(3, -1, -1, -1), PUBLISHED, RandomSource(3))
    assert len({image.numpy().tobytes() for image in one_source}) == 3
