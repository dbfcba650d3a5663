"""A GPU's place taken by the CPU: hggt-eval's own command on a torch device `standin` that convolves as GPUs do.

Tensors of the device are apart from those of the CPU as they would be on a GPU: an operation between the two fails, and
nothing reads them but a copy back. Each operation is carried out on the CPU, convolutions by an algorithm of
`convolutions.py`.

    python -m tests.hggt_eval.standin_gpu winograd --dataset ... --restored ... --device standin

Registering a device cannot be undone, so this is a process of its own.
"""

import sys
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves, tree_map

from hggt_eval.cli import main
from tests.hggt_eval.convolutions import ConvolutionsBy

NAME = "standin"
_CPU = torch.device("cpu")


class _Module(backend_registration._DummyBackendModule):
    """What torch asks of a device's module, `torch.cuda` for a GPU."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


class _OnDevice(Tensor):
    """A tensor of the device; its numbers lie in `numbers`, where only `_run` looks."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor) -> "_OnDevice":
        made: _OnDevice = Tensor._make_wrapper_subclass(
            cls,
            numbers.shape,
            numbers.stride(),
            numbers.storage_offset(),
            dtype=numbers.dtype,
            device=torch.device(f"{NAME}:0"),
        )
        made.numbers = numbers
        return made

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _run(operation, *args, **(kwargs or {}))


class _LiteralsByCopy(TorchFunctionMode):
    """Lists of numbers come by a copy from the CPU; torch's short way is not open to devices written in Python."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.tensor and "device" in kwargs:
            device = kwargs.pop("device")
            return torch.tensor(*args, **kwargs).to(device)
        if function is Tensor.__getitem__ and isinstance(args[1], tuple):
            tensor, places = args
            places = tuple(
                torch.tensor(place).to(tensor.device) if isinstance(place, tuple) else place for place in places
            )
            return tensor[places]
        return function(*args, **kwargs)


_algorithm = ""


def _run(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Carry out an operation that has to do with the device."""
    name = operation.name()
    is_convolution = name == "aten::conv2d"
    if not is_convolution and (decomposed := operation.decompose(*args, **kwargs)) is not NotImplemented:
        return decomposed
    if name in ("aten::copy_", "aten::_copy_from"):
        target, source = args[:2] if name == "aten::copy_" else args[1::-1]
        _numbers(target).copy_(_numbers(source))
        return target
    if name == "aten::_to_copy":
        device = kwargs.pop("device", None) or args[0].device
        copied = operation(_numbers(args[0]), device=_CPU, **kwargs)
        return _OnDevice(copied) if device.type == NAME else copied
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    for tensor in tensors:
        if not isinstance(tensor, _OnDevice) and tensor.ndim > 0:  # a single number may come from the CPU
            raise RuntimeError(f"{name} between tensors on {NAME} and {tensor.device}")
    on_cpu_args, on_cpu_kwargs = tree_map(_on_cpu, (args, kwargs))
    with ConvolutionsBy(_algorithm):
        function = torch.conv2d if is_convolution else operation
        result = function(*on_cpu_args, **on_cpu_kwargs)
    if name == "aten::_local_scalar_dense":
        return result
    changed_in_place = {id(tensor.numbers): tensor for tensor in tensors if isinstance(tensor, _OnDevice)}

    def on_device(value: Any) -> Any:
        return changed_in_place[id(value)] if id(value) in changed_in_place else _OnDevice(value)

    return tree_map(lambda value: on_device(value) if isinstance(value, Tensor) else value, result)


def _numbers(tensor: Tensor) -> Tensor:
    return tensor.numbers if isinstance(tensor, _OnDevice) else tensor


def _on_cpu(value: Any) -> Any:
    return _CPU if isinstance(value, torch.device) else _numbers(value) if isinstance(value, Tensor) else value


if __name__ == "__main__":
    _algorithm = sys.argv[1]
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library = torch.library.Library("_", "IMPL")  # type: ignore[no-untyped-call]
    # For what makes tensors of the device out of nothing, such as torch.zeros.
    library.fallback(_run, "PrivateUse1")  # type: ignore[no-untyped-call]
    with _LiteralsByCopy():
        main(sys.argv[2:])
