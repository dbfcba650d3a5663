"""True float32 for numbers that must not depend on the device."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


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
