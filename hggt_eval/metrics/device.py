"""The device a process computes on, and the precision it computes with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from hggt_data.errors import DeviceError


def own_device(device: str = "auto") -> str:
    """The torch device of this process, checked: each of several processes on one machine has its own GPU.

    `auto` is a GPU if available, `cuda` is this process's GPU, and other names are torch's.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    try:
        torch.zeros(1, device=device).cpu()  # fails for devices without memory, such as `meta`
    except (RuntimeError, AssertionError, ImportError) as error:
        raise DeviceError(f"`device` {device} cannot be used: {str(error).splitlines()[0][:200]}") from error
    return device


@contextmanager
def full_precision(device: str) -> Iterator[None]:
    """Inference in true float32: no autocast, TF32 or bfloat16 products. Settings are restored at the end."""
    backends: Any = torch.backends  # torch's types do not know these switches
    switches = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
    before = [switch.fp32_precision for switch in switches]
    # The older switch for the same thing: torch refuses to read it, as pyiqa does, if the two disagree.
    older = backends.cudnn.allow_tf32
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
