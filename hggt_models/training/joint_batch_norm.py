"""Batch norm over the samples of all processes of a run, on any device.

It equals batch norm in one process with the whole batch. Unlike PyTorch's `SyncBatchNorm` it also runs on CPUs, and a
process that has failed is not waited for: processes meet before each exchange, which then needs no more memory.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hggt_models.runtime import Runtime

Module = TypeVar("Module", bound=nn.Module)
_PIXELS = (0, 2, 3)  # all axes except the channels


class JointBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over all processes, which must have equally many samples each; in eval mode it is PyTorch's.

    Its state is that of `norm`, which it replaces.
    """

    def __init__(self, norm: nn.BatchNorm2d, runtime: Runtime) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.load_state_dict(norm.state_dict())
        self._runtime = runtime

    def forward(self, input: Tensor) -> Tensor:
        """Normalise images, (N, C, H, W); OtherProcessError if another process has failed."""
        if not self.training:
            normalised: Tensor = super().forward(input)
            return normalised
        output: Tensor
        output, mean, variance = _normalise(input, self.weight, self.bias, self.eps, self._runtime)
        count = input.numel() // input.shape[1] * self._runtime.world
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked += 1
        return output


def join_batch_norm(network: Module, runtime: Runtime) -> Module:
    """The network with batch norm over all processes, if there are several; its weights keep their names."""
    if runtime.world > 1:
        norms = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
        for name, norm in norms:
            network.set_submodule(name, JointBatchNorm2d(norm, runtime).to(norm.weight.device))
    return network


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _normalise(
    images: Tensor, weight: Tensor, bias: Tensor, eps: float, runtime: Runtime
) -> tuple[Tensor, Tensor, Tensor]:
    results: tuple[Tensor, Tensor, Tensor] = _Normalise.apply(images, weight, bias, eps, runtime)
    return results


class _Normalise(torch.autograd.Function):
    """Normalised images, and the mean and the biased variance of each channel.

    The gradients are those of the sum of all processes' losses; those of weight and bias are this process's part.
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float, runtime: Runtime
    ) -> tuple[Tensor, Tensor, Tensor]:
        variance, mean = torch.var_mean(images.float(), _PIXELS, correction=0)
        shares = mean.new_zeros(runtime.world, 2, len(mean))
        shares[runtime.rank] = torch.stack([mean, variance])
        means, variances = runtime.sum_up(shares).unbind(1)  # (world, C)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        ctx.save_for_backward(images, weight, mean, variance)
        ctx.eps, ctx.runtime = eps, runtime
        ctx.mark_non_differentiable(mean, variance)
        return functional.batch_norm(images, mean, variance, weight, bias, eps=eps), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, mean, variance = ctx.saved_tensors
        gradient = gradients[0].float()
        normalised = functional.batch_norm(images.float(), mean, variance, eps=ctx.eps)
        own = torch.stack([gradient.sum(_PIXELS), (gradient * normalised).sum(_PIXELS)])
        count = images.numel() // images.shape[1] * ctx.runtime.world
        shift, slope = (ctx.runtime.sum_up(own.clone()) / count)[:, None, :, None, None]  # (1, C, 1, 1) each
        scale = (weight * (variance + ctx.eps).rsqrt())[:, None, None]
        towards = torch.addcmul(gradient - shift, normalised, slope, value=-1).mul_(scale)
        return towards.to(images.dtype), own[1], own[0], None, None
