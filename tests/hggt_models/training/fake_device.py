"""A CUDA device that only works out shapes, on machines without one, and notices whoever waits for it.

PyTorch's fake tensors refuse to give a value (`item()`, `bool()`) and to be mixed with other devices. This adds what
they allow: copies to the CPU, and copies to the device that wait for it. What is computed on the CPU, such as random
choices, is computed for real.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from hggt_models.degradation.random_source import RandomSource
from hggt_models.networks import swinir

_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class DeviceError(AssertionError):
    """The host waits for the device, or tensors of both are mixed."""


class FakeCuda(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs what touches the device `cuda` on fake tensors, and everything else for real.

    Attributes:
        is_watching: Whether copies to the device must not wait for it, as in a training step.
    """

    def __init__(self, mode: FakeTensorMode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_watching = False
        self._mode = mode

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and skipping would take a third of the time

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:  # half of all calls, for the asserts of autograd
            return args[0].fake_device if isinstance(args[0], FakeTensor) else args[0].device
        kwargs = kwargs or {}
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        fake = [value for value in tensors if isinstance(value, FakeTensor)]
        device = kwargs.get("device")
        wanted = None if device is None else torch.device(device).type
        if not fake and wanted != "cuda":
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        real = [value for value in tensors if not isinstance(value, FakeTensor)]
        if fake and (wanted == "cpu" or (func is _COPIES[1] and args[0] in real)):
            raise DeviceError(f"{func} copies to the CPU")
        if real and func in _COPIES:
            blocks = not (kwargs.get("non_blocking") or (func is _COPIES[1] and args[2:] == (True,)))
            if blocks and self.is_watching:
                raise DeviceError(f"{func} to the device waits for it")
        elif fake and any(value.dim() for value in real):
            raise DeviceError(f"{func} mixes tensors of the CPU and of the device")
        return func(*tree_map(self._on_device, args), **tree_map(self._on_device, kwargs))

    def _on_device(self, value: Any) -> Any:
        """A real tensor as a fake one, still of the CPU."""
        is_real = isinstance(value, Tensor) and not isinstance(value, FakeTensor)
        return self._mode.from_tensor(value) if is_real else value


@contextmanager
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    """For the duration of the block, the device `cuda` is fake; the generators of its random numbers are the CPU's."""
    from_text = RandomSource.from_text
    monkeypatch.setattr(RandomSource, "from_text", lambda text, device="cpu": from_text(text))
    with FakeTensorMode(allow_non_fake_inputs=False) as mode, FakeCuda(mode) as device:
        vars(mode)["__deepcopy__"] = lambda _: mode  # copies of fake tensors belong to the same device
        try:
            yield device
        finally:
            swinir._kept_mask.cache_clear()
