"""Comparing an output with all positives of its group."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from hggt_models.losses.distance import mean_difference
from hggt_models.losses.positives import mean_over_targets, nearest_target

HAS_TARGET = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])


def test_the_nearest_positive_is_the_one_with_the_smallest_l1(random_images: Callable[..., Tensor]) -> None:
    targets = random_images(9, 6, 7).reshape(3, 3, 3, 6, 7)
    outputs = torch.stack([targets[0, 2] + 0.01, targets[1, 1] - 0.02, targets[2, 1]])  # the last one is a repetition
    found = nearest_target(outputs, targets, HAS_TARGET)
    assert torch.equal(found, torch.stack([targets[0, 2], targets[1, 1], targets[2, 0]]))


def test_the_mean_over_positives_leaves_repetitions_out(random_images: Callable[..., Tensor]) -> None:
    targets = random_images(9, 6, 7).reshape(3, 3, 3, 6, 7)
    outputs = random_images(3, 6, 7)
    each = [
        sum(float((outputs[n] - targets[n, k]).abs().mean()) for k in range(count)) / count
        for n, count in enumerate((3, 2, 1))
    ]
    loss = mean_over_targets(partial(mean_difference, outputs), targets, HAS_TARGET)
    assert loss.item() == pytest.approx(sum(each) / 3, rel=1e-6)
