"""No loss waits for the device; tests/hggt_models/degradation/test_device.py explains how the CPU shows that."""

from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from hggt_models.losses.adversarial import AdversarialForm, AdversarialLoss
from hggt_models.losses.artifact_map import artifact_map, artifact_map_loss
from hggt_models.losses.distance import PixelDistance, mean_difference
from hggt_models.losses.negative import negative_loss, negative_map
from hggt_models.losses.positives import mean_over_targets, nearest_target
from hggt_models.losses.preference import PairDistances, dpo_loss, triplet_loss

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def _negative(images: Tensor) -> Tensor:
    others, agreement = images.flip(0), torch.ones(len(images), device=images.device)
    maps = negative_map(images.flip(3), others.flip(2), others, agreement, agreement, agreement > 2, agreement * 3)
    return negative_loss(images, others, maps, agreement > 0, margin=0.1)


def _artifact(images: Tensor) -> Tensor:
    return artifact_map_loss(images, images.flip(0), artifact_map(images.flip(0), images, images.flip(2)))


def _triplet(images: Tensor) -> Tensor:
    return triplet_loss(images, images.flip(2), images.flip(3), images[:, :1], images.sum((1, 2, 3)) > 0, 0.5)


def _dpo(images: Tensor) -> Tensor:
    distance = PixelDistance()
    a, b, c, d = (distance.describe(one) for one in (images, images.flip(0), images.flip(2), images.flip(3)))
    pairs = [distance.compare(*two) for two in ((a, c), (a, d), (b, c), (b, d), (c, d))]
    return dpo_loss(PairDistances(*pairs), images.sum((1, 2, 3)) > 0, 1.0)


def _positives(images: Tensor) -> Tensor:
    targets, has_target = torch.stack([images.flip(2), images.flip(3)], 1), torch.ones_like(images[:, :2, 0, 0]) > 0
    nearest = nearest_target(images, targets, has_target)
    return mean_over_targets(partial(mean_difference, nearest), targets, has_target)


def _adversarial(form: AdversarialForm, images: Tensor) -> Tensor:
    others, loss = images.flip(0) * 2, AdversarialLoss(form)
    generator = loss.generator(images, others if loss.is_relative else None)
    return generator + loss.discriminator(others, True, images) + loss.discriminator(images, False, others)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "negative": _negative,
    "triplet": _triplet,
    "dpo": _dpo,
    "positives": _positives,
    "artifact_map": _artifact,
    **{f"{form} adversarial": partial(_adversarial, form) for form in get_args(AdversarialForm)},
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_never_copy_from_the_device(name: str) -> None:
    with FakeTensorMode():
        loss = LOSSES[name](torch.rand(2, 3, 17, 12, device="cuda"))
    assert (loss.shape, loss.dtype, loss.device.type) == ((), torch.float32, "cuda")


@pytest.mark.parametrize("name", LOSSES)
def test_losses_compile_in_one_graph(name: str) -> None:
    images = torch.rand(2, 3, 17, 12, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(LOSSES[name], backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), LOSSES[name](images))


@needs_cuda
@pytest.mark.parametrize("name", LOSSES)
def test_cuda_computes_the_same_without_waiting(name: str) -> None:
    images = torch.rand(2, 3, 17, 12, generator=torch.Generator().manual_seed(0))
    on_device = images.cuda()
    LOSSES[name](on_device)  # libraries may wait in the first call
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = LOSSES[name](on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(loss.cpu(), LOSSES[name](images))
