"""Profile a training step by part: each part lasts until the next one begins."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Stopwatch:
    """Adds up seconds for each part; it waits for the device at each change, so profiled steps are slower.

    Args:
        device: that computes.
        clock: gives seconds.

    Attributes:
        runs: whether it measures at all.
        seconds: by part.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self._is_cuda = device.type == "cuda"
        self._clock = clock
        self._part, self._since = "", 0.0
        self.runs = False
        self.seconds: dict[str, float] = {}

    def begin(self, part: str) -> None:
        """Count the time from now on for this part."""
        if not self.runs:
            return
        if self._is_cuda:
            torch.cuda.synchronize()
        now = self._clock()
        if self._part:
            self.seconds[self._part] = self.seconds.get(self._part, 0) + now - self._since
        self._part, self._since = part, now

    def watch_network(self, network: nn.Module, part: str, after: str) -> None:
        """Count a network's forward and backward passes for one part, and the time after them for `after`."""

        def entered(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            self.begin(part)
            first = inputs[0]
            if self.runs and first.requires_grad:
                first = first.view_as(first)  # its gradient is complete when this pass is, whoever else uses the input
                first.register_hook(lambda _: self.begin(after))
            return (first, *inputs[1:])

        def left(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> None:
            self.begin(after)
            self.watch_backward(output, part)

        network.register_forward_pre_hook(entered)
        network.register_forward_hook(left)

    def watch_backward(self, output: Tensor, part: str) -> None:
        """Count the backward pass from here on for this part."""
        if self.runs and output.requires_grad:
            output.register_hook(lambda _: self.begin(part))  # type: ignore[no-untyped-call]

    def watched(self, function: Callable[..., Any], part: str, after: str) -> Callable[..., Any]:
        """Wrap a function so that it counts as a separate part, with its backward pass if it returns a tensor."""

        def run(*args: Any, **kwargs: Any) -> Any:
            self.begin(part)
            result = function(*args, **kwargs)
            self.begin(after)
            if isinstance(result, Tensor):
                self.watch_backward(result, part)
            return result

        return run
