"""The loss of the LDL baseline, which weights each pixel by the likelihood of an artefact.

Liang, Zeng, Zhang: Details or Artifacts, CVPR 2022 (arXiv 2203.09195).
"""

import torch
from torch import Tensor

from hggt_models.losses.precision import as_float32
from hggt_models.losses.variation import local_variance, residuals

_PATCH_POWER = 1 / 5


def artifact_map(targets: Tensor, outputs: Tensor, ema_outputs: Tensor, window_px: int = 7) -> Tensor:
    """Likelihood of an artefact at each pixel of the outputs: (N, 1, H, W), 0 or more, for images (N, 3, H, W) in [0,
    1].

    With R the difference from the target summed over channels, the map is `var(R) ** (1/5)` of the whole sample times
    the local variance of R in a window of `window_px`. It is 0 where the output is closer to the target than the more
    stable output of the averaged network (`ema_outputs`). It passes gradients to `outputs`, as the official code does;
    `detach` it for a pure weight.

    Source: official `losses/loss_util.py`, `get_refined_artifact_map`.
    """
    with torch.autocast(outputs.device.type, enabled=False):
        differences = residuals(targets, outputs)
        # At 0 the power has an infinite slope, and infinity times a zero gradient would be NaN.
        patch = differences.var((1, 2, 3), keepdim=True).clamp(min=torch.finfo(differences.dtype).tiny)
        maps = patch**_PATCH_POWER * local_variance(differences, window_px)
        return torch.where(differences < residuals(targets, ema_outputs), 0, maps)


def artifact_map_loss(outputs: Tensor, targets: Tensor, maps: Tensor) -> Tensor:
    """Mean distance between outputs and targets (N, 3, H, W), weighted by maps (N, 1, H, W): a scalar.

    Source: official `models/ldl_model.py`: L1 of both images times the map.
    """
    return ((as_float32(outputs) - as_float32(targets)).abs() * maps).mean()
