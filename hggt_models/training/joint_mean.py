"""The mean over the values of all processes, as one process with the whole batch would compute it."""

from typing import Any

import torch
from torch import Tensor

from hggt_models.runtime import Runtime


def joint_mean(values: Tensor, runtime: Runtime) -> Tensor:
    """The mean over equally many values of each process, a scalar; all call this within `together`.

    Its gradient is that of the mean of all processes' losses, so they must all compute it as well.
    """
    mean = values.mean()
    if runtime.world == 1:
        return mean
    joint: Tensor = _Average.apply(mean, runtime)
    return joint


class _Average(torch.autograd.Function):
    """The mean over processes; backward averages the gradients, because each process has its part of the loss."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, runtime: Runtime) -> Tensor:
        ctx.runtime = runtime
        return runtime.sum_up(value.clone()) / runtime.world

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.runtime.sum_up(gradients[0].clone()) / ctx.runtime.world, None
