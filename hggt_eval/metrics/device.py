"""The device that this process computes on."""

import os

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
