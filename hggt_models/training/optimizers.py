"""The optimizers of a run and their learning rate."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hggt_models.config.train import TrainConfig


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of a network's trainable weights, in one group."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(learning, config.learning_rate, config.betas, weight_decay=config.weight_decay, fused=True)


def learning_rate(config: TrainConfig, iteration: int) -> float:
    """The learning rate of an iteration, counted from 0; it depends on nothing else, so a resumed run has the same.

    The first iteration after a warm-up of N iterations has the full rate, the one K before it that less K / (N + 1).
    """
    if iteration < config.warmup:
        return config.learning_rate * (iteration + 1) / (config.warmup + 1)
    if config.schedule == "cosine":
        done = (iteration - config.warmup) / (config.iterations - config.warmup)
        return config.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return config.learning_rate * config.decay ** sum(iteration >= milestone for milestone in config.milestones)


def reserve_state(optimizer: torch.optim.Optimizer) -> None:
    """Reserve the optimizer's memory by an update with a rate of 0; weights and optimizer stay as they are."""
    [group] = optimizer.param_groups
    for weights in group["params"]:
        weights.grad = torch.zeros_like(weights)
    group["lr"] = 0.0
    optimizer.step()
    optimizer.zero_grad()
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load a state into the reserved memory, in the memory format of the weights; updates are wrong in another."""
    [group] = optimizer.param_groups
    for number, weights in enumerate(group["params"]):
        for name, value in optimizer.state[weights].items():
            value.copy_(state["state"][number][name])
