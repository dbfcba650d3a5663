"""Small training runs: every published recipe with small networks, on small pictures, in seconds on a CPU."""

import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from hggt_models.cli import main
from hggt_models.config.recipes import load_config
from hggt_models.config.train import TrainConfig
from hggt_models.data.training_data import open_training_data
from hggt_models.networks.discriminator import UnetDiscriminator
from hggt_models.runtime import Runtime, StopSignals
from hggt_models.training import learner
from hggt_models.training.ema import Ema
from hggt_models.training.loss_meter import LossMeter
from hggt_models.training.optimizers import make_optimizer
from hggt_models.training.prepare import TrainingRun
from hggt_models.training.trainer import train_run
from tests.hggt_data.kills import FORKED

FORKED.set_forkserver_preload(["hggt_models.training.trainer", "tqdm", __name__])

# Of each network, by the beginning of the recipes that train it.
SMALL_NETWORKS = {
    "rrdb": ("num_block=1", "num_feat=8", "num_grow_ch=4"),
    **dict.fromkeys(("ldl", "real", "bsr"), ("num_block=1", "num_feat=8", "num_grow_ch=4")),
    "swinir": ("embed_dim=8", "depths=[2]", "num_heads=[2]"),
    "enhance-01": ("num_feat=8", "num_group=1", "num_block=1", "squeeze_factor=2"),
    "enhance-02": ("num_feat=8", "num_group=1", "num_block=1", "squeeze_factor=2"),
    "enhance-03": ("m_elan=2", "c_elan=15"),
    "enhance-04": ("m_elan=2", "c_elan=15"),
}
SMALL_RUN = (
    "discriminator.num_feat=4",
    "source_px=64",
    "crop_px=32",
    "batch_size=2",
    "pool_size=4",
    "perceptual.weights=random",
    *(f"perceptual.layers.{layer}=0" for layer in ("conv2_2", "conv3_4", "conv4_4", "conv5_4")),
    "log.tensorboard=false",
    "log.every=1",
    "validation.shown=1",
    "validation.images=1",
)


def small(recipe: str, *more: str) -> list[str]:
    """Settings that make a recipe small; `more` wins over them."""
    network = next(args for name, args in SMALL_NETWORKS.items() if recipe.startswith(name))
    return [*(f"generator.{arg}" for arg in network), *SMALL_RUN, *more]


def command(recipe: str, data: Path | str, output: Path, *more: str, options: Sequence[object] = ()) -> list[str]:
    """The arguments of `hggt-models train`."""
    settings = [part for setting in small(recipe, *more) for part in ("--set", setting)]
    arguments = ["train", recipe, "--data", data, "--output", output, "--workers", 0, "--device", "cpu"]
    return [str(argument) for argument in (*arguments, *settings, *options)]


def train(recipe: str, data: Path | str, output: Path, *more: str, options: Sequence[object] = ()) -> Result:
    """The command `hggt-models train`, in this process."""
    return CliRunner().invoke(main, command(recipe, data, output, *more, options=options))


def fork_command(
    arguments: list[str], shown: Path, *, function: Callable[[list[str]], object] | None = None, **environment: object
) -> BaseProcess:
    """Start the command `hggt-models`, or a function, in a session of its own; its output is appended to `shown`."""
    process = FORKED.Process(target=_run_command, args=(function, arguments, shown, environment))
    process.start()
    return process


def _run_command(
    function: Callable[[list[str]], object] | None, arguments: list[str], shown: Path, environment: dict[str, object]
) -> None:
    os.setsid()
    os.environ.update({name: str(value) for name, value in environment.items()})
    stream = os.open(shown, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    (function or main)(arguments)


def run_training(recipe: str, data: Path, output: Path, *more: str) -> StopSignals:
    """The same without the command, for processes of their own."""
    config = load_config(recipe, small(recipe, *more))
    return train_run(training_run(recipe, config, data, output), Runtime())


def training_run(recipe: str, config: TrainConfig, data: Path, output: Path) -> TrainingRun:
    return TrainingRun(recipe=recipe, config=config, data=open_training_data(str(data), config), output=output)


def data_for(recipe: str, groups: Path, pictures: Path) -> Path:
    """What a recipe learns from."""
    return pictures if load_config(recipe).target == "picture" else groups


def write_pictures(folder: Path) -> Path:
    """A plain folder of four real pictures."""
    folder.mkdir()
    for entry in (files("hggt_data.tree") / "demo_pictures").iterdir():
        if entry.name.endswith(".png"):
            (folder / entry.name).write_bytes(entry.read_bytes())
    return folder


def fail_in_update(place: str, step: int, patch: pytest.MonkeyPatch) -> None:
    """Let memory run out halfway through the update of one iteration, after some weights have changed."""
    calls = itertools.count(0)  # the optimizers prepare for updates with one

    def is_time() -> bool:
        return next(calls) == step

    def fail_halfway(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        step_whole = optimizer.step

        def step(closure: Any = None) -> Any:
            if not is_time():
                return step_whole(closure)
            [group] = optimizer.param_groups
            for weights in group["params"][::2]:
                weights.grad = None
            step_whole(closure)
            raise MemoryError("halfway")

        optimizer.step = step  # type: ignore[method-assign]
        return optimizer

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            result = function(*arguments)
            if is_time():
                raise MemoryError("halfway")
            return result

        return call

    def make(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
        fails = isinstance(network, UnetDiscriminator) == (place == "discriminator's optimizer")
        return fail_halfway(make_optimizer(network, config)) if fails else make_optimizer(network, config)

    if place == "average":
        next(calls)
        patch.setattr(Ema, "update", failing(Ema.update))
    elif place == "meter":
        next(calls)
        patch.setattr(LossMeter, "add", failing(LossMeter.add))
    else:
        patch.setattr(learner, "make_optimizer", make)


def assert_within_ten_seconds(since_s: float) -> None:
    """On a machine so busy that a process gets a share of a core, as many times longer."""
    passed_s, start_s, start_cpu_s = time.monotonic() - since_s, time.monotonic(), time.process_time()
    while time.process_time() - start_cpu_s < 0.2:
        pass
    slower = max(1, (time.monotonic() - start_s) / (time.process_time() - start_cpu_s))
    assert passed_s < 10 * slower


def log_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, without what differs from time to time."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "about"} for line in lines]


def state_of(run: Path, iteration: int) -> dict[str, Any]:
    """Everything in a checkpoint, by file."""
    folder = run / "checkpoints" / f"{iteration:06d}"
    return {path.name: torch.load(path, weights_only=True) for path in sorted(folder.glob("*.pth"))}


def assert_same(first: Any, second: Any, where: str = "") -> None:
    """That two nests of tensors and values are equal, bit for bit."""
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}/{number}")
    else:
        assert first == second, where
