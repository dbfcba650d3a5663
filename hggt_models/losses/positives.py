"""Comparing an output with all positives of its group: the nearest one, or the mean over all.

Groups have different numbers of positives, so samples are padded with repetitions, which a mask marks.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hggt_models.losses.distance import mean_difference


@torch.no_grad()
def nearest_target(outputs: Tensor, targets: Tensor, has_target: Tensor) -> Tensor:
    """The image of each sample's `targets` (N, K, 3, H, W) with the smallest L1 distance to its output: (N, 3, H, W).

    `has_target`, booleans (N, K), is False for repetitions.
    """
    distances = torch.stack([mean_difference(outputs, images) for images in targets.unbind(1)], 1)
    nearest = distances.masked_fill(~has_target, torch.inf).argmin(1)
    return targets[torch.arange(len(targets), device=targets.device), nearest]


def mean_over_targets(compare: Callable[[Tensor], Tensor], targets: Tensor, has_target: Tensor) -> Tensor:
    """Mean over samples of the mean of `compare(images)` over each one's targets: a scalar in float32.

    `compare` gives the distance (N,) of each sample to images (N, 3, H, W); the rest is as for `nearest_target`.
    """
    shares = has_target / has_target.sum(1, keepdim=True)
    distances = torch.stack([compare(images) for images in targets.unbind(1)], 1)
    return (shares * distances).sum(1).mean().float()
