"""The device that this process computes on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from hggt_data.errors import DeviceError


def own_device(device: str = "auto") -> str:
    """The torch device of this process: of several on one machine, each has a GPU of its own.

    Args:
        device: `auto` for a GPU if there is one, `cuda` for the process's own, or any that torch knows.

    Raises:
        DeviceError: it cannot be used.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    try:
        torch.zeros(1, device=device).cpu()  # nothing comes back from a device such as `meta`
    except (RuntimeError, AssertionError, ImportError) as error:
        raise DeviceError(f"{device} cannot be used: {str(error).splitlines()[0][:200]}") from error
    return device


@contextmanager
def full_precision(device: str) -> Iterator[None]:
    """Inference in true float32: no autocast, no TF32 and no bfloat16 inside products; settings are put back after."""
    backends: Any = torch.backends  # torch's types do not know these switches
    switches = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
    before = [switch.fp32_precision for switch in switches]
    older = backends.cudnn.allow_tf32  # of the same thing; whoever reads it, as pyiqa does, wants both to agree
    try:
        backends.cudnn.allow_tf32 = False
        for switch in switches:
            switch.fp32_precision = "ieee"
        with torch.inference_mode(), torch.autocast(torch.device(device).type, enabled=False):
            yield
    finally:
        backends.cudnn.allow_tf32 = older
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value
