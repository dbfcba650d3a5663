"""The bounded forms of the negative loss, compared with their formulas in NumPy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.autograd import gradcheck

from hggt_eval.metrics.comparer import MetricSettings
from hggt_eval.metrics.lpips import Lpips
from hggt_models.losses.distance import Distance, LpipsDistance, PixelDistance, VggDistance
from hggt_models.losses.perceptual import PerceptualLoss
from hggt_models.losses.preference import PairDistances, dpo_loss, triplet_loss

PIXELS = arrays(np.uint8, (3, 2, 3), elements=st.integers(0, 255))
MAPS = arrays(np.float32, (1, 2, 3), elements=st.sampled_from([0.0, 0.125, 1.0, 3.0]))
SHARES = st.sampled_from([0.01, 0.3, 1.0])
YES = torch.tensor([True])


def image(pixels: Any) -> Tensor:
    return torch.from_numpy(pixels)[None].float() / 255


def measured(distance: Distance, y: Tensor, start: Tensor, chosen: Tensor, rejected: Tensor) -> PairDistances:
    features = [distance.describe(images) for images in (y, start, chosen, rejected)]
    return PairDistances(
        *(distance.compare(features[i], features[j]) for i, j in ((0, 2), (0, 3), (1, 2), (1, 3), (2, 3)))
    )


# Triplet


def triplet_in_numpy(sample: Sequence[Any], share: float) -> float:
    """One sample: output, positive and negative (3, H, W), and the map (1, H, W)."""
    y, p, n, m = sample
    m = np.broadcast_to(m, y.shape).astype(np.float64)
    if m.sum() == 0:
        return 0.0

    def d(one: Any, other: Any) -> float:
        return float((m * np.abs(one.astype(np.float64) - other)).sum() / m.sum())

    return max(0.0, share * d(p, n) + d(y, p) - d(y, n))


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_the_triplet_is_its_formula(random_images: Callable[..., Tensor], share: float) -> None:
    outputs, positives, negatives = (random_images(5, 9, 8) for _ in range(3))
    outputs[1] = negatives[1]
    outputs[2] = 0.9 * positives[2] + 0.1 * negatives[2]
    maps = random_images(5, 9, 8)[:, :1] ** 4
    maps[3] = 0
    has_negative = torch.tensor([True, True, True, True, False])
    each = [
        triplet_in_numpy([values[k].numpy() for values in (outputs, positives, negatives, maps)], share)
        for k in range(4)
    ]
    assert min(each[:2]) > 0
    assert each[3] == 0
    loss = triplet_loss(outputs, positives, negatives, maps, has_negative, share)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(sum(each) / 5, rel=1e-5)


@given(PIXELS, PIXELS, PIXELS, MAPS, SHARES)
def test_the_triplet_is_bounded_and_zero_at_the_positive(y: Any, p: Any, n: Any, m: Any, share: float) -> None:
    output, positive, negative, maps = image(y).requires_grad_(), image(p), image(n), torch.from_numpy(m)[None]
    assert triplet_loss(positive, positive, negative, maps, YES, share).item() == 0
    loss = triplet_loss(output, positive, negative, maps, YES, share)
    worst = triplet_loss(negative, positive, negative, maps, YES, share).item()  # (1 + share) d(P, N)
    assert 0 <= loss.item() <= worst * (1 + 1e-5) + 1e-6
    (gradient,) = torch.autograd.grad(loss, output)
    assert gradient.isfinite().all()


def test_the_gradient_of_the_triplet_equals_finite_differences(random_images: Callable[..., Tensor]) -> None:
    outputs, positives, negatives = (random_images(3, 4, 5, torch.float64) for _ in range(3))
    maps = random_images(3, 4, 5, torch.float64)[:, :1]
    has_negative = torch.tensor([True, False, True])

    def loss(moved: Tensor) -> Tensor:
        return triplet_loss(moved, positives, negatives, maps, has_negative, 0.7)

    assert loss(outputs) > 0
    assert gradcheck(loss, outputs.requires_grad_())


# DPO


def test_dpo_is_its_formula(random_images: Callable[..., Tensor]) -> None:
    y, start, chosen, rejected = (random_images(5, 9, 8) for _ in range(4))
    rejected[3] = chosen[3]  # no pair
    has_pair = torch.tensor([True, True, True, True, False])

    def d(one: Tensor, other: Tensor, k: int) -> float:
        return float(np.abs(one[k].numpy().astype(np.float64) - other[k].numpy()).mean())

    expected = 0.0
    for k in range(3):
        m = (d(y, rejected, k) - d(y, chosen, k)) - (d(start, rejected, k) - d(start, chosen, k))
        m /= d(chosen, rejected, k)
        expected += float(np.log1p(np.exp(-2.5 * m)))
    loss = dpo_loss(measured(PixelDistance(), y, start, chosen, rejected), has_pair, 2.5)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected / 5, rel=1e-5)


@given(PIXELS, PIXELS, PIXELS, PIXELS)
def test_the_preference_is_between_minus_two_and_two(y: Any, start: Any, chosen: Any, rejected: Any) -> None:
    output = image(y).requires_grad_()
    distances = measured(PixelDistance(), output, image(start), image(chosen), image(rejected))
    assert distances.margins.abs().item() <= 2 + 1e-5
    loss = dpo_loss(distances, YES, 3.0)
    is_pair = (chosen != rejected).any()
    assert (0 < loss.item() <= np.log1p(np.exp(6)) * (1 + 1e-5)) if is_pair else loss.item() == 0
    (gradient,) = torch.autograd.grad(loss, output)
    assert gradient.isfinite().all()


def test_a_pair_that_differs_in_one_pixel_of_a_crop_keeps_its_bound() -> None:
    y, start, chosen = (torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(k)) for k in range(3))
    chosen = (chosen * 254).round() / 255
    rejected = chosen.clone()
    rejected[0, 0, 9, 7] += 1 / 255
    y[0, 0, 9, 7], start[0, 0, 9, 7] = chosen[0, 0, 9, 7], rejected[0, 0, 9, 7]
    margin = measured(PixelDistance(), y, start, chosen, rejected).margins.item()
    assert margin == pytest.approx(2, abs=1e-4)


def distances_of(name: str) -> Distance:
    if name == "lpips":
        return LpipsDistance()
    torch.manual_seed(0)
    return VggDistance(PerceptualLoss({"conv1_2": 0.1, "conv2_2": 1.0}, "random"))


@pytest.mark.usefixtures("alexnet")
@pytest.mark.parametrize("name", ["vgg", "lpips"])
def test_distances_of_features_obey_the_triangle_inequality(random_images: Callable[..., Tensor], name: str) -> None:
    distance = distances_of(name)
    images = random_images(4, 40, 40)
    images[3] = 0.98 * images[2] + 0.02 * images[1]  # between two others, or nearly
    images = torch.cat([images, torch.zeros_like(images[:1])])
    features = [distance.describe(one[None]) for one in images]
    d = np.array([[distance.compare(one, other).item() for other in features] for one in features])
    assert np.all(d.diagonal() == 0)
    np.testing.assert_allclose(d, d.T, rtol=1e-6)
    assert np.all(d[:, None, :] <= (d[:, :, None] + d[None]) * (1 + 1e-6))
    assert np.all((d > 0).sum(1) == len(images) - 1)


@pytest.mark.usefixtures("alexnet")
@pytest.mark.parametrize("name", ["vgg", "lpips"])
def test_gradients_of_features_are_finite_also_at_equal_and_black_images(
    random_images: Callable[..., Tensor], name: str
) -> None:
    distance = distances_of(name)
    others = random_images(3, 40, 40)
    outputs = random_images(3, 40, 40)
    outputs[0] = others[0]
    outputs[1] = 0
    outputs.requires_grad_()
    distances = distance.compare(distance.describe(outputs), distance.describe(others))
    (gradient,) = torch.autograd.grad(distances.sum(), outputs)
    assert gradient.isfinite().all()
    assert gradient[2].abs().sum() > 0


@pytest.mark.usefixtures("alexnet")
def test_the_lpips_distance_is_the_root_of_the_metric(random_images: Callable[..., Tensor]) -> None:
    pixels = [(255 * one).round().byte().permute(1, 2, 0).numpy() for one in random_images(2, 40, 48)]
    metric, distance = Lpips(MetricSettings(border=0)), LpipsDistance()
    expected = metric.compare(*(metric.describe(one) for one in pixels))
    images = [torch.from_numpy(one).permute(2, 0, 1)[None].float() / 255 for one in pixels]
    found = distance.compare(*(distance.describe(one) for one in images))
    assert found.item() ** 2 == pytest.approx(expected, rel=1e-4)
