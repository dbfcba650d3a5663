"""The loss of the LDL baseline, which weighs each pixel by how likely an artefact is there.

Liang, Zeng, Zhang: Details or Artifacts, CVPR 2022 (arXiv 2203.09195).
"""

import torch
from torch import Tensor

from hggt_models.losses.precision import as_float32
from hggt_models.losses.variation import local_variance, residuals

_PATCH_POWER = 1 / 5


def artifact_map(targets: Tensor, outputs: Tensor, ema_outputs: Tensor, window_px: int = 7) -> Tensor:
    """How likely an artefact is at each pixel of the output.

    With R what differs from the target, summed over channels: `var(R) ** (1/5)` of the whole sample times the local
    variance of R; 0 where the output lies nearer to the target than that of the averaged network, which is steadier.

    Args:
        targets, outputs: (N, 3, H, W) in [0, 1].
        ema_outputs: the same from the averaged network; without gradient, as it only decides between map and 0.
        window_px: odd width of the window of the local variance.

    Returns:
        (N, 1, H, W), 0 or more; float32, or float64 for such images. It passes gradients to `outputs`, as in the
        official code; `detach` it for a map that only weighs.

    Raises:
        LossError: images of different shapes, or too small for the window.

    Source: official `losses/loss_util.py`, `get_refined_artifact_map`.
    """
    with torch.autocast(outputs.device.type, enabled=False):
        differences = residuals(targets, outputs)
        # At 0 the power has an infinite slope, which would make NaN of the zero gradient that it meets.
        patch = differences.var((1, 2, 3), keepdim=True).clamp(min=torch.finfo(differences.dtype).tiny)
        maps = patch**_PATCH_POWER * local_variance(differences, window_px)
        return torch.where(differences < residuals(targets, ema_outputs), 0, maps)


def artifact_map_loss(outputs: Tensor, targets: Tensor, maps: Tensor) -> Tensor:
    """Mean distance between outputs and targets (N, 3, H, W), weighed by maps (N, 1, H, W): a scalar.

    Source: official `models/ldl_model.py`: L1 of both images times the map.
    """
    return ((as_float32(outputs) - as_float32(targets)).abs() * maps).mean()
