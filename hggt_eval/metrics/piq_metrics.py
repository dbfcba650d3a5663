"""Further full-reference metrics, computed by piq under piq's function names and with piq's defaults.

piq takes pairs only, so a picture's features are the picture as a tensor. Some of these metrics downscale pictures
internally, as their papers say. `information_weighted_ssim` is not offered: it fails on flat pictures.
"""

import piq
import torch
from torch import Tensor

from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import Comparer, MetricSettings
from hggt_eval.metrics.device import full_precision
from hggt_eval.metrics.tensors import as_images

# Below these sides piq fails or gives NaN; multi-scale SSIM halves four times, then uses an 11 x 11 window.
_MIN_SIDES_PX = {"multi_scale_ssim": 161, "multi_scale_gmsd": 17, "haarpsi": 16, "vif_p": 41, "dss": 32, "srsim": 40}
_MIN_SIDE_PX = 11
# In float32, the convolution algorithm that a device chooses changes these by 1e-4.
_IN_DOUBLE = ("dss",)


class PiqComparer(Comparer[Tensor]):
    """A metric of piq, by the name of its function. Features: the cropped picture, floats (1, 3, H, W), 0 to 1."""

    def __init__(self, name: str, settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        self.name = name
        self.min_side_px = _MIN_SIDES_PX.get(name, _MIN_SIDE_PX)
        self._function = getattr(piq, name)
        self._dtype = torch.float64 if name in _IN_DOUBLE else torch.float32

    def describe(self, pixels: Pixels) -> Tensor:
        """The cropped picture."""
        return as_images(self.cropped(pixels), self.settings.device).contiguous().to(self._dtype)

    def compare(self, restored: Tensor, positive: Tensor) -> float:
        """The score of the pair, with the positive as piq's reference: `vif_p` and `mdsi` are not symmetric."""
        with full_precision(self.settings.device):
            return float(self._function(restored, positive, data_range=1.0))
