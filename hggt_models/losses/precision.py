"""What a loss computes in, whatever the networks compute in."""

import torch
from torch import Tensor


def as_float32(values: Tensor) -> Tensor:
    """The same values in float32, or in float64 where they are; bfloat16 has too few digits for a mean of pixels."""
    return values if values.dtype == torch.float64 else values.float()
