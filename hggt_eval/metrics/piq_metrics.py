"""Further full-reference metrics, computed by piq under piq's own function names and with piq's own defaults.

piq looks at pairs only, so a picture's features are the picture as a tensor. Some of these metrics shrink pictures
inside, as their papers say. `information_weighted_ssim` is not offered: it cannot be computed on flat pictures.
"""

import piq
import torch
from torch import Tensor

from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import Comparer, MetricSettings
from hggt_eval.metrics.device import full_precision
from hggt_eval.metrics.tensors import as_images

# Below these sides piq fails or gives NaN; multi-scale SSIM halves four times and then looks through 11 x 11 pixels.
_MIN_SIDES_PX = {"multi_scale_ssim": 161, "multi_scale_gmsd": 17, "haarpsi": 16, "vif_p": 41, "dss": 32, "srsim": 40}
_MIN_SIDE_PX = 11
# In float32 the algorithm that a device takes for convolutions moves these by 1e-4.
_IN_DOUBLE = ("dss",)


class PiqComparer(Comparer[Tensor]):
    """A metric of piq. Features: the cropped picture, float32 or float64 (1, 3, H, W), 0 to 1.

    Args:
        name: of a function of piq that takes two RGB pictures, such as `fsim`.
        settings: device, border.
    """

    def __init__(self, name: str, settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        self.name = name
        self.min_side_px = _MIN_SIDES_PX.get(name, _MIN_SIDE_PX)
        self._function = getattr(piq, name)
        self._dtype = torch.float64 if name in _IN_DOUBLE else torch.float32

    def describe(self, pixels: Pixels) -> Tensor:
        """The cropped picture; raises as `Comparer.describe`."""
        return as_images(self.cropped(pixels), self.settings.device).contiguous().to(self._dtype)

    def compare(self, restored: Tensor, positive: Tensor) -> float:
        """The metric of the pair, the positive as piq's reference: `vif_p` and `mdsi` are not symmetric."""
        with full_precision(self.settings.device):
            return float(self._function(restored, positive, data_range=1.0))
