from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from hggt_models.losses.artifact_map import artifact_map, artifact_map_loss
from tests.hggt_models.degradation.golden import golden
from tests.hggt_models.losses.conftest import GoldenImages


def _map_one_by_one(target: Tensor, output: Tensor, ema_output: Tensor, window_px: int) -> Tensor:
    """The map of one sample as defined in its paper: images (3, H, W) to (1, H, W)."""
    residual = (target - output).abs().sum(0, keepdim=True)
    ema_residual = (target - ema_output).abs().sum(0, keepdim=True)
    padded = functional.pad(residual[None], (window_px // 2,) * 4, mode="reflect")
    local = padded.unfold(2, window_px, 1).unfold(3, window_px, 1).var((-2, -1))[0]
    return residual.var() ** 0.2 * local * (residual >= ema_residual)


def test_the_map_equals_that_of_the_official_code(golden_images: GoldenImages) -> None:
    maps = artifact_map(golden_images.original, golden_images.output, golden_images.ema_output)
    expected = golden("ldl.map")
    torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-9)  # its largest value is 3e-4
    assert torch.equal(maps > 0, expected > 0)


@pytest.mark.parametrize("window_px", [3, 7])
def test_a_batch_equals_its_samples_one_by_one(random_images: Callable[..., Tensor], window_px: int) -> None:
    targets, outputs, ema_outputs = (random_images(3, 12, 9) for _ in range(3))
    maps = artifact_map(targets, outputs, ema_outputs, window_px)
    for k in range(3):
        expected = _map_one_by_one(targets[k], outputs[k], ema_outputs[k], window_px)
        torch.testing.assert_close(maps[k], expected, rtol=1e-5, atol=1e-6)
    loss = artifact_map_loss(outputs, targets, maps)
    torch.testing.assert_close(loss, functional.l1_loss(maps * outputs, maps * targets))


def test_gradients_go_through_map_and_distance(random_images: Callable[..., Tensor]) -> None:
    targets, outputs, ema_outputs = (random_images(2, 5, 6, torch.float64) for _ in range(3))

    def loss(moved: Tensor) -> Tensor:
        return artifact_map_loss(moved, targets, artifact_map(targets, moved, ema_outputs))

    assert gradcheck(loss, outputs.requires_grad_())


def test_a_detached_map_gets_no_gradient(random_images: Callable[..., Tensor]) -> None:
    targets, outputs, ema_outputs = (random_images(1, 8, 8) for _ in range(3))
    outputs.requires_grad_()
    maps = artifact_map(targets, outputs, ema_outputs).detach()
    (gradient,) = torch.autograd.grad(artifact_map_loss(outputs, targets, maps), outputs)
    torch.testing.assert_close(gradient, maps * (outputs - targets).sign() / outputs.numel())


def test_a_perfect_output_has_an_empty_map_and_no_gradient(random_images: Callable[..., Tensor]) -> None:
    targets = random_images(2, 8, 8)
    outputs = targets.clone().requires_grad_()
    maps = artifact_map(targets, outputs, random_images(2, 8, 8))
    loss = artifact_map_loss(outputs, targets, maps)
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(loss + maps.sum(), outputs)
    assert gradient.eq(0).all()


def test_the_map_is_empty_where_the_output_is_closer_than_the_averaged_one(
    random_images: Callable[..., Tensor],
) -> None:
    targets, outputs = random_images(2, 8, 8), random_images(2, 8, 8)
    assert artifact_map(targets, outputs, outputs).gt(0).all()
    assert artifact_map(targets, outputs, targets + 1.01 * (outputs - targets)).eq(0).all()


def test_bfloat16_and_autocast_give_a_float32_map(random_images: Callable[..., Tensor]) -> None:
    targets, outputs, ema_outputs = random_images(2, 8, 8), random_images(2, 8, 8).bfloat16(), random_images(2, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        maps = artifact_map(targets, outputs, ema_outputs)
        loss = artifact_map_loss(outputs, targets, maps)
    assert maps.dtype == loss.dtype == torch.float32
    assert torch.equal(maps, artifact_map(targets, outputs.float(), ema_outputs))
