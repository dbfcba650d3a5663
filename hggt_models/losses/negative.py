"""The loss of HGGT that pushes the output away from a negative where that is spoilt: map and distance.

The pictures alone decide the map, so it has no gradient. Nothing here waits for the device, and samples without a
negative keep their place in the batch: each process of a run does the same whatever it was dealt.
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
    """Where negatives are spoilt, and how badly.

    With v the local variance of what differs from the original, `M_X = agreement_X / num_annotators * v_X ** power`.
    The map is M_N where it exceeds M_P and 0 elsewhere: what a positive changes as much is not what people disliked.

    Args:
        originals, positives, negatives: (N, 3, H, W) in [0, 1]; any picture stands in for one that is missing.
        positive_agreement, negative_agreement: how many annotators gave these labels, (N,).
        has_positive: (N,) booleans; without a positive the map is all of M_N.
        num_annotators: how many were asked, one number or (N,).
        window_px: odd width of the window of the variance.
        power: below 1, brings weak differences nearer to strong ones.

    Returns:
        (N, 1, H, W), 0 or more, without gradient; float32, or float64 for such images.

    Raises:
        LossError: images of different shapes, or too small for the window.

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
    """M_X of one candidate per sample; arguments, result and errors as of `negative_map`."""
    variation = residual_variation(originals, candidates, window_px)
    return _per_sample(agreement / num_annotators).to(variation.dtype) * variation**power


def negative_loss(
    outputs: Tensor, negatives: Tensor, maps: Tensor, has_negative: Tensor, margin: float = 0.0
) -> Tensor:
    """Mean distance between outputs and negatives where these are spoilt: `mean(|M Y - M N|)`.

    It is to grow: subtract it from the other losses (published weight: 300). It has no upper bound of its own.

    Args:
        outputs, negatives: (N, 3, H, W).
        maps: (N, 1, H, W) from `negative_map`.
        has_negative: (N,) booleans; other samples count as 0.
        margin: distance of a sample from which on nothing pushes it further; 0 for no end, as published.

    Returns:
        A scalar, 0 or more, with a gradient for `outputs`, be it 0.

    Source: official `models/ours_posneggt_model.py`, `optimize_parameters`.
    """
    differences = (as_float32(outputs) - as_float32(negatives)).abs() * maps
    distances = differences.mean((1, 2, 3))
    if margin > 0:
        distances = distances.clamp(max=margin)
    return torch.where(has_negative, distances, 0).mean()


def _per_sample(values: Tensor) -> Tensor:
    return values[:, None, None, None]
