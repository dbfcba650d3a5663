"""The moving average of a network's weights, which restores better than the weights of any single step."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class Ema(Generic[Module]):
    """The moving average of a network: `average = decay * average + (1 - decay) * weights`, starting as a copy.

    Buffers, such as the statistics of batch norm, are copied. The official code leaves them at their first values.

    Attributes:
        network: The average, in eval mode and without gradients.
    """

    def __init__(self, network: Module, decay: float) -> None:
        self.network: Module = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Update the average after a step of the network."""
        averages: list[Tensor] = list(self.network.parameters())
        weights: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(averages, weights, 1 - self._decay)
        ours, theirs = list(self.network.buffers()), list(network.buffers())
        if ours:
            torch._foreach_copy_(ours, theirs)
