from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hggt_models.losses.perceptual import OFFICIAL_LAYERS, PerceptualLoss

POSITIONS = {"conv1_2": 2, "conv2_2": 7, "conv3_4": 16, "conv4_4": 25, "conv5_4": 34}


@pytest.fixture(scope="module")
def loss() -> PerceptualLoss:
    torch.manual_seed(0)
    return PerceptualLoss(weights="random")


def test_the_perceptual_loss_is_the_weighted_distance_of_features(
    loss: PerceptualLoss, random_images: Callable[..., Tensor]
) -> None:
    outputs, targets = random_images(2, 32, 40), random_images(2, 32, 40)
    expected = 0.0
    with torch.no_grad():
        both = torch.cat([outputs, targets])
        mean, std = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        values = (both - mean) / std
        for position, module in enumerate(loss.network.features):
            values = values.relu() if isinstance(module, torch.nn.ReLU) else module(values)
            for layer, weight in OFFICIAL_LAYERS.items():
                if POSITIONS[layer] == position:
                    expected += weight * (values[:2] - values[2:]).abs().mean().item()
        assert loss(outputs, targets).item() == pytest.approx(expected, rel=1e-5)


def test_the_target_gets_no_gradient(loss: PerceptualLoss, random_images: Callable[..., Tensor]) -> None:
    outputs, targets = random_images(1, 16, 16).requires_grad_(), random_images(1, 16, 16).requires_grad_()
    loss(outputs, targets).backward()
    assert outputs.grad is not None
    assert outputs.grad.ne(0).any()
    assert targets.grad is None
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_under_autocast_the_loss_is_float32_and_close(
    loss: PerceptualLoss, random_images: Callable[..., Tensor]
) -> None:
    outputs, targets = random_images(1, 32, 32), random_images(1, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = loss(outputs, targets)
    assert half.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(half, loss(outputs, targets), rtol=0.01, atol=0)
