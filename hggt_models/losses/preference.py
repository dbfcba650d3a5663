"""Bounded losses that prefer one image to another: a triplet where the negative is spoilt, and DPO on distances.

Nothing here waits for the device, and samples without a pair keep their place in the batch and count as 0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hggt_models.losses.precision import as_float32


def triplet_loss(
    outputs: Tensor, positives: Tensor, negatives: Tensor, maps: Tensor, has_negative: Tensor, share: float
) -> Tensor:
    """Mean of `max(0, a + d(Y, P) - d(Y, N))`: a scalar of 0 or more, in float32 or float64.

    d is the mean absolute difference weighted by the map, `sum(M |X - Z|) / sum(M)` over pixels and channels, and the
    margin is `a = share * d(P, N)`. No output can meet a larger margin than d(P, N), so the loss is 0 at Y = P. It is
    at most `(1 + share) d(P, N)`. A sample whose map is 0 everywhere counts as 0.

    Args:
        outputs: Images (N, 3, H, W).
        positives: Images that the output should be nearer to; the original where there is no positive.
        negatives: Images that the output should be farther from.
        maps: (N, 1, H, W), 0 or more, from `negative_map`.
        has_negative: Booleans (N,).
        share: The margin as a share of d(P, N), more than 0 and at most 1.
    """
    totals = 3 * maps.sum((1, 2, 3))
    totals = torch.where(totals > 0, totals, 1)

    def distance(images: Tensor, others: Tensor) -> Tensor:
        differences = (as_float32(images) - as_float32(others)).abs() * maps
        return differences.sum((1, 2, 3)) / totals

    margins = share * distance(positives, negatives)
    losses = (margins + distance(outputs, positives) - distance(outputs, negatives)).clamp(min=0)
    return torch.where(has_negative, losses, 0).mean()


@dataclass(frozen=True, slots=True)
class PairDistances:
    """Distances of each sample's pair, all (N,), by one measure that obeys the triangle inequality.

    Attributes:
        chosen: From the output to the chosen image.
        rejected: From the output to the rejected image.
        start_chosen: From the output of the network that the run started from to the chosen image.
        start_rejected: From that output to the rejected image.
        between: From the chosen to the rejected image.
    """

    chosen: Tensor
    rejected: Tensor
    start_chosen: Tensor
    start_rejected: Tensor
    between: Tensor

    @property
    def margins(self) -> Tensor:
        """By how much more than the start network the output prefers the chosen image: (N,), from -2 to 2.

        `m = [(d(y, r) - d(y, c)) - (d(y0, r) - d(y0, c))] / d(c, r)`; 0 where d(c, r) is 0. By the triangle inequality
        both differences are at most d(c, r).
        """
        differences = (self.rejected - self.chosen) - (self.start_rejected - self.start_chosen)
        has_pair = self.between > 0
        return torch.where(has_pair, differences / torch.where(has_pair, self.between, 1), 0)


def dpo_loss(distances: PairDistances, has_pair: Tensor, beta: float) -> Tensor:
    """Mean of `-log sigmoid(beta m)`, see `PairDistances.margins`: a scalar in float32.

    Samples without a pair (`has_pair`, booleans (N,)), and pairs of equal images, count as 0. The loss is between
    `log(1 + exp(-2 beta))` and `log(1 + exp(2 beta))` for each pair, and log 2 at the start of a run.

    Source: Rafailov et al., Direct Preference Optimization, NeurIPS 2023 (arXiv 2305.18290), with the negative distance
    as log-likelihood. Unlike there it is relative to d(c, r), so `beta` means the same for similar and for very
    different images.
    """
    losses = functional.softplus(-beta * distances.margins)
    return torch.where(has_pair & (distances.between > 0), losses, 0).mean().float()
