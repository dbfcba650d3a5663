"""Number format of the losses, whatever the networks use."""

import torch
from torch import Tensor


def as_float32(values: Tensor) -> Tensor:
    """Convert to float32, or keep float64: bfloat16 has too few digits for a mean over pixels."""
    return values if values.dtype == torch.float64 else values.float()
