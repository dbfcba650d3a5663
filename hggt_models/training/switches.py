"""PyTorch's global switches, as a run's settings ask for; they have their former values again after the run."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from hggt_models.config.train import TrainConfig

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_CUBLAS_SIZES = ":4096:8"  # with a workspace of fixed size cuBLAS adds in the same order each time
_FIRST_WITH_TF32 = (8, 0)


@contextmanager
def torch_switches(config: TrainConfig) -> Iterator[None]:
    """Set `precision=tf32`, `cudnn_benchmark` and `deterministic` for the duration of the block."""
    backends: Any = torch.backends  # torch's types do not know these switches
    formats = (backends.cuda.matmul, backends.cudnn.conv) if config.precision == "tf32" else ()
    before = [switch.fp32_precision for switch in formats]
    benchmark = backends.cudnn.benchmark
    is_deterministic, only_warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    workspace = os.environ.get(_CUBLAS)
    try:
        for switch in formats:
            switch.fp32_precision = "tf32"
        backends.cudnn.benchmark = config.cudnn_benchmark
        if config.deterministic:
            os.environ.setdefault(_CUBLAS, _CUBLAS_SIZES)
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        for switch, value in zip(formats, before, strict=True):
            switch.fp32_precision = value
        backends.cudnn.benchmark = benchmark
        if config.deterministic:
            torch.use_deterministic_algorithms(is_deterministic, warn_only=only_warns)
            if workspace is None:
                del os.environ[_CUBLAS]


def switches_without_effect(config: TrainConfig, device: torch.device) -> Iterator[str]:
    """A line on the settings that do nothing on this device, if there are any."""
    is_cuda = device.type == "cuda"
    has_tf32 = is_cuda and torch.cuda.get_device_capability(device) >= _FIRST_WITH_TF32
    idle = ["precision=tf32"] if config.precision == "tf32" and not has_tf32 else []
    if config.cudnn_benchmark and not is_cuda:
        idle.append("cudnn_benchmark")
    if idle:
        yield f"{' and '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect on {device}"


def operation_without_deterministic_version(error: Exception) -> str | None:
    """The operation that an error of `deterministic` names; None for other errors."""
    found = re.match(r"(\S+) does not have a deterministic implementation", str(error))
    return found[1] if found else None
