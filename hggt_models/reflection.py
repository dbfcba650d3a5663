"""Pictures are continued beyond their edges by reflection, without repeating the edge pixel, however far."""

import torch
from torch import Tensor


def reflected(start: int, stop: int, length: int, device: torch.device) -> Tensor:
    """Positions within 0..length-1 for those from `start` to `stop` - 1, any of which may be outside.

    Example:
        >>> reflected(-2, 6, 3, torch.device("cpu")).tolist()
        [2, 1, 0, 1, 2, 1, 0, 1]
    """
    period = max(2 * (length - 1), 1)
    positions = torch.arange(start, stop, device=device).abs() % period
    return torch.minimum(positions, period - positions)
