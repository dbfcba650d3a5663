"""A training step never waits for the device, in any family of recipes; the backward pass is left to a real GPU."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from hggt_models.config.recipes import load_config
from hggt_models.data.loader import PairLoader
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.data.training_data import open_training_data
from hggt_models.runtime import Runtime
from hggt_models.training import learner as learner_module
from hggt_models.training.learner import Learner
from hggt_models.training.loss_meter import LossMeter, blank_loss
from tests.hggt_models.training.fake_device import DeviceError, fake_cuda
from tests.hggt_models.training.runs import data_for, small

pytestmark = pytest.mark.filterwarnings("ignore:.*CUDA is not available")


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("enhance-01", ["discriminator_batches=joint"]),
        ("enhance-03", ["discriminator_batches=joint"]),
        ("rrdb-psnr", ["clip_norm=1", "accumulate=2"]),
        ("rrdb-gan-positive-negative", []),
        ("swinir-gan-positive-negative", ["precision=bf16", "discriminator_batches=joint"]),
        ("ldl-gan", ["discriminator_batches=joint"]),
    ],
)
def test_a_step_never_waits_for_the_device(
    recipe: str, settings: list[str], groups: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(recipe, small(recipe, "validation.pictures=0", "channels_last=no", "pool_size=2", *settings))
    data = open_training_data(data_for(recipe, groups, pictures), config)
    runtime = Runtime(device=torch.device("cuda"))
    with fake_cuda(monkeypatch) as device:
        learner = Learner(config, runtime)
        meter = LossMeter(config.loss.pixel)
        meter._num_watched = 98  # in the second step, the mean of 100 iterations is due

        networks = [network for network in (learner.generator, learner.discriminator) if network is not None]
        gradients = [(value, torch.zeros_like(value)) for network in networks for value in network.parameters()]

        def backward(losses: dict[str, Tensor], num_parts: int) -> None:
            assert all(value.requires_grad and value.device.type == "cuda" for value in losses.values())
            for value, gradient in gradients:
                value.grad = gradient if value.requires_grad else None

        monkeypatch.setattr(learner_module, "_backward", backward)
        loader = PairLoader(data.samples, config, runtime)
        loader.start(0)
        blanks = []

        def next_pairs() -> TrainingPairs:
            pairs = loader.next()
            blanks.append(blank_loss(pairs.target))
            return pairs

        for _ in range(2):  # the second exchanges pairs with the pool
            device.is_watching = True
            for part in (learner, loader.pool, meter):
                part.keep()
            losses = learner.step(next_pairs, 1e-4)
            meter.add(losses, torch.stack(blanks).mean())
            device.is_watching = False
        assert all(value.device.type == "cuda" for value in losses.values())
        assert next(iter(learner.generator.parameters())).device.type == "cuda"


WAITS: dict[str, Callable[[Tensor, Tensor], object]] = {
    "a value": lambda cuda, _: cuda.sum().item(),
    "a condition": lambda cuda, _: bool(cuda.any()),
    "a shape": lambda cuda, _: cuda.nonzero(),
    "a copy": lambda cuda, _: cuda.cpu(),
    "a copy into a tensor": lambda cuda, cpu: cpu.copy_(cuda, non_blocking=True),
    "two devices": lambda cuda, cpu: cuda + cpu,
    "positions": lambda cuda, cpu: cuda[cpu.long()],
    "a copy to the device": lambda cuda, cpu: cpu.to(cuda.device),
}


@pytest.mark.parametrize("name", WAITS)
def test_whoever_waits_for_the_device_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch) as device:
        cuda, cpu = torch.rand(3, device="cuda"), torch.rand(3)
        assert (cuda + cpu.to("cuda", non_blocking=True)).device.type == "cuda"
        assert 0 < cpu.sum().item() < 3
        device.is_watching = True
        with pytest.raises((DeviceError, DataDependentOutputException, DynamicOutputShapeException)):
            WAITS[name](cuda, cpu)
