"""The moving average of a network's weights, which restores better than the weights of any one step."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class Ema(Generic[Module]):
    """A second network that follows a first one: `average = decay * average + (1 - decay) * weights`.

    Buffers, such as the statistics of batch norm, are copied as they are. The official code leaves them at their
    first values.

    Attributes:
        network: the average, in eval mode; it needs no gradients.

    Args:
        network: to be followed; the average starts as its copy.
        decay: see above.
    """

    def __init__(self, network: Module, decay: float) -> None:
        self.network: Module = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step of the followed network into account."""
        averages: list[Tensor] = list(self.network.parameters())
        weights: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(averages, weights, 1 - self._decay)
        ours, theirs = list(self.network.buffers()), list(network.buffers())
        if ours:
            torch._foreach_copy_(ours, theirs)
