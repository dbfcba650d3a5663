"""Further full-reference metrics, computed by piq under piq's own function names and with piq's own defaults.

piq looks at pairs only, so a picture's features are the picture as a tensor. Some of these metrics shrink pictures
inside, as their papers say; multi-scale ones need large pictures.
"""

from dataclasses import dataclass

import numpy as np
import piq
import torch
from torch import Tensor

from hggt_data.images import Pixels
from hggt_eval.metrics.backbones import full_precision
from hggt_eval.metrics.comparer import Comparer, MetricSettings

# What piq's functions cannot go below; the multi-scale ones halve four times and then look through 11 x 11 pixels.
_MIN_SIDES_PX = {"multi_scale_ssim": 161, "information_weighted_ssim": 161, "srsim": 16, "vif_p": 41, "fsim": 16}


@dataclass(frozen=True, slots=True)
class _Unused:
    pass


class FullReference(Comparer[Tensor]):
    """A metric of piq. Features: the cropped picture, float32 (1, 3, H, W), 0 to 1."""

    name = ""

    def __init__(self, name: str, settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        self._f = getattr(piq, name)
        self.min_side_px = 1
    def describe(self, pixels: Pixels) -> Tensor:
        cropped = self.cropped(pixels)
        image = torch.from_numpy(np.ascontiguousarray(cropped)).to(self.settings.device)
        return image.permute(2, 0, 1)[None].contiguous().float() / 255

    def compare(self, restored: Tensor, positive: Tensor) -> float:
        with full_precision(self.settings.device):
            return float(self._f(restored, positive, data_range=1.0))
