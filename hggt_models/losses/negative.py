"""HGGT's negative loss, which pushes the output away from a negative where the negative is spoilt: map and distance.

The map depends on the data only and has no gradient. Nothing here waits for the device, and samples without a negative
keep their place in the batch, so that all processes of a run do the same.
"""

import torch
from torch import Tensor

from hggt_models.losses.precision import as_float32
from hggt_models.losses.variation import residual_variation


def negative_map(
    originals: Tensor,
    positives: Tensor,
    negatives: Tensor,
    positive_agreement: Tensor,
    negative_agreement: Tensor,
    has_positive: Tensor,
    num_annotators: int | Tensor = 3,
    window_px: int = 3,
    power: float = 0.75,
) -> Tensor:
    """Where negatives are spoilt, and how badly: (N, 1, H, W), 0 or more, without gradient; float32 or float64.

    With v the local variance of the difference from the original, `M_X = agreement_X / num_annotators * v_X ** power`.
    The map is M_N where it exceeds M_P and 0 elsewhere: annotators did not object to what a positive changes just as
    much.

    Args:
        originals: Images (N, 3, H, W) in [0, 1].
        positives: The same; any image where there is no positive.
        negatives: The same; any image where there is no negative.
        positive_agreement: Annotators who said Positive, (N,).
        negative_agreement: Annotators who said Negative, (N,).
        has_positive: Booleans (N,); without a positive the map is all of M_N.
        num_annotators: Annotators who were asked, one number or (N,).
        window_px: Odd width of the variance window.
        power: Exponent; below 1 it reduces the contrast between strong and weak differences.

    Source: official `losses/loss_util.py`, `get_overall_map`, which takes one sample at a time.
    """
    with torch.no_grad(), torch.autocast(originals.device.type, enabled=False):
        positive = candidate_map(originals, positives, positive_agreement, num_annotators, window_px, power)
        negative = candidate_map(originals, negatives, negative_agreement, num_annotators, window_px, power)
        is_kept = (negative > positive) | ~_per_sample(has_positive)
        return torch.where(is_kept, negative, 0)


def candidate_map(
    originals: Tensor,
    candidates: Tensor,
    agreement: Tensor,
    num_annotators: int | Tensor = 3,
    window_px: int = 3,
    power: float = 0.75,
) -> Tensor:
    """M_X of one candidate per sample; arguments and result as in `negative_map`."""
    variation = residual_variation(originals, candidates, window_px)
    return _per_sample(agreement / num_annotators).to(variation.dtype) * variation**power


def negative_loss(
    outputs: Tensor, negatives: Tensor, maps: Tensor, has_negative: Tensor, margin: float = 0.0
) -> Tensor:
    """Mean distance between outputs and negatives where these are spoilt: `mean(|M Y - M N|)`, a scalar of 0 or more.

    It should grow: subtract it from the other losses (published weight: 300). It has no upper bound. `maps` come from
    `negative_map`; samples without `has_negative` (N,) count as 0. With a `margin`, samples farther away than that are
    not pushed any further; 0 means no limit, as published.

    Source: official `models/ours_posneggt_model.py`, `optimize_parameters`.
    """
    differences = (as_float32(outputs) - as_float32(negatives)).abs() * maps
    distances = differences.mean((1, 2, 3))
    if margin > 0:
        distances = distances.clamp(max=margin)
    return torch.where(has_negative, distances, 0).mean()


def _per_sample(values: Tensor) -> Tensor:
    return values[:, None, None, None]
