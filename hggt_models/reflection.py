"""Pictures go on beyond their edges as in a mirror, the edge pixel not repeated, however far it is."""

import torch
from torch import Tensor


def reflected(start: int, stop: int, length: int, device: torch.device) -> Tensor:
    """Positions inside 0..length-1 for those from `start` to `stop` - 1, of which any may lie outside.

    Example:
        >>> reflected(-2, 6, 3, torch.device("cpu")).tolist()
        [2, 1, 0, 1, 2, 1, 0, 1]
    """
    period = max(2 * (length - 1), 1)
    positions = torch.arange(start, stop, device=device).abs() % period
    return torch.minimum(positions, period - positions)
