"""Other ways to compute a convolution, as GPUs do, to see what a number does under them.

cuDNN picks one of these for each layer and size (its manual lists them); all are exact but for rounding, and that of
Winograd, which trades products for sums, rounds worst. `tf32` is what a GPU does unless it is told not to.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Convolution = Callable[[Tensor, Tensor, tuple[int, int]], Tensor]

# Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (CVPR 2016): F(4 x 4, 3 x 3).
_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float32,
)
_FILTER = (
    torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float32)
    / torch.tensor([24.0, 24, 24, 24, 24, 24])[:, None]
)
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float32
)


class ConvolutionsBy(TorchFunctionMode):
    """While it lasts, `conv2d` is computed by one of `ALGORITHMS`; `num_calls` counts where that could be done."""

    def __init__(self, algorithm: str) -> None:
        super().__init__()
        self._convolve = ALGORITHMS[algorithm]
        self.num_calls = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not torch.conv2d:
            return function(*args, **(kwargs or {}))
        names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
        given = dict(zip(names, args, strict=False)) | (kwargs or {})
        weight, stride, padding = given["weight"], _pair(given.get("stride", 1)), given.get("padding", 0)
        winograd_only = self._convolve is _by_winograd and (weight.shape[-2:] != (3, 3) or stride != (1, 1))
        if given.get("groups", 1) != 1 or _pair(given.get("dilation", 1)) != (1, 1) or winograd_only:
            return function(*args, **(kwargs or {}))
        if isinstance(padding, str):
            padding = [(side - 1) // 2 if padding == "same" else 0 for side in weight.shape[-2:]]
        down, right = _pair(padding)
        padded = functional.pad(given["input"], (right, right, down, down))
        self.num_calls += 1
        result = self._convolve(padded, weight, stride)
        return result if given.get("bias") is None else result + given["bias"][:, None, None]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _exactly(padded: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    return torch.conv2d(padded.double(), weight.double(), stride=stride).to(padded.dtype)


def _in_parts(padded: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    """Channels summed in parts of eight, the last first: another order of sums."""
    starts = reversed(range(0, weight.shape[1], 8))
    parts = [torch.conv2d(padded[:, k : k + 8], weight[:, k : k + 8], stride=stride) for k in starts]
    return torch.stack(parts).sum(0)


def _by_fourier(padded: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    size = padded.shape[-2:]
    product = torch.einsum("bihw,oihw->bohw", torch.fft.rfft2(padded), torch.fft.rfft2(weight, s=size).conj_physical())
    height, width = (outer - inner + 1 for outer, inner in zip(size, weight.shape[-2:], strict=True))
    whole_size: Tensor = torch.fft.irfft2(product, s=size)
    return whole_size[..., : height : stride[0], : width : stride[1]]


def _by_winograd(padded: Tensor, weight: Tensor, _: tuple[int, int]) -> Tensor:
    height, width = (side - 2 for side in padded.shape[-2:])
    down, right = -height % 4, -width % 4
    tiles = functional.pad(padded, (0, right, 0, down)).unfold(2, 6, 4).unfold(3, 6, 4)  # (B, C, rows, columns, 6, 6)
    inputs, filters, outputs = (matrix.to(padded.dtype) for matrix in (_INPUT, _FILTER, _OUTPUT))
    products = torch.einsum("birckl,oikl->borckl", inputs @ tiles @ inputs.T, filters @ weight @ filters.T)
    result = outputs @ products @ outputs.T  # (B, C, rows, columns, 4, 4)
    return result.transpose(3, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]


def _by_tf32(padded: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    return _exactly(_to_tf32(padded), _to_tf32(weight), stride)


def _to_tf32(values: Tensor) -> Tensor:
    """Rounded to the 10 bits of TF32's mantissa, which takes the place of float32 only."""
    if values.dtype != torch.float32:
        return values
    return ((values.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


ALGORITHMS: dict[str, Convolution] = {
    "exact": _exactly,
    "parts": _in_parts,
    "fourier": _by_fourier,
    "winograd": _by_winograd,
    "tf32": _by_tf32,
}
