"""Limits the memory of networks whose sizes somebody else chose."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from hggt_models.networks.network import NetworkError


class Allowance(TorchFunctionMode):
    """Limits how many numbers are allocated within the block, while a network is built; NetworkError beyond it."""

    def __init__(self, numbers: int, reason: str) -> None:
        super().__init__()
        self._left = numbers
        self._reason = reason

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn):
            size = args[0] if args and isinstance(args[0], Sequence) else args
            self._left -= math.prod(number for number in size if isinstance(number, int))
            if self._left < 0:
                raise NetworkError(self._reason)
        return func(*args, **(kwargs or {}))
