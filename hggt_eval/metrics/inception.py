"""Features of Inception v3, of which KID and FID are computed, through torch-fidelity's network.

The network is that of the original FID (TensorFlow, 2015), whose weights several projects publish as one file of two
names. How a picture is brought to 299 x 299 pixels changes the distances, so each way is a view with its own metrics.
No code in a file is executed.
"""

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hggt_data.errors import WeightsError
from hggt_data.io.files import sha256_of_file
from hggt_data.io.images import Pixels
from hggt_eval.metrics.backbones import DamagedWeightsError, cache_folder, download, read_tensors
from hggt_eval.metrics.comparer import MetricSettings, SetMetricFeatures
from hggt_eval.metrics.device import full_precision
from hggt_eval.metrics.tensors import levels_8bit

if TYPE_CHECKING:
    from hggt_eval.metrics import SetMetric

# The published names of one file, those of pytorch-fid and torch-fidelity, with the beginning of its SHA-256.
FILE_NAMES = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE_NAMES[1]}"
_HASH = "6726825d"
PATCH_PX = 128
_SIDE_PX = 299
_LAYERS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"),
)


class InceptionFeatures(SetMetricFeatures):
    """The features of single pictures, (1, 2048) or, for patches, (patches, 2048).

    Args:
        metric: The metric.
        settings: Border, device and folder of weights.
    """

    def __init__(self, metric: "SetMetric", settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        self.name, self.metric = metric.name, metric
        self.min_side_px = PATCH_PX if metric.view == "patches" else 1
        path = _find(self.settings)
        sha256 = sha256_of_file(path)
        self._network = _load(path, sha256, self.settings.device)
        self.weights_sha256 = {path.name: sha256}
        self.other_weights = "" if sha256.startswith(_HASH) else path.name

    def describe(self, pixels: Pixels) -> NDArray[np.float32]:
        """The features of one picture."""
        device = self.settings.device
        prepared = _VIEWS[self.metric.view](self.cropped(pixels))
        with full_precision(device):
            images = prepared.to(device)  # (N, 3, 299, 299), about -1 to 1
            for name in _LAYERS:
                images = self._network.get_submodule(name)(images)
            return images.flatten(1).float().cpu().numpy()


def resize_tensorflow(pixels: Pixels) -> Tensor:
    """Bilinear without antialiasing, as TensorFlow 1 does and torch-fidelity after it."""
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as resize

    resized: Tensor = resize(levels_8bit(pixels), size=(_SIDE_PX, _SIDE_PX), align_corners=False)
    return (resized - 128) / 128


def resize_clean(pixels: Pixels) -> Tensor:
    """Pillow's bicubic filter with antialiasing, in float32 and without rounding (Parmar et al. 2022)."""
    planes = [Image.fromarray(pixels[..., channel].astype(np.float32)) for channel in range(3)]
    resized = [np.asarray(plane.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC)) for plane in planes]
    return (torch.from_numpy(np.stack(resized).clip(0, 255))[None] - 128) / 128


def resize_legacy_pytorch(pixels: Pixels) -> Tensor:
    """PyTorch's bilinear filter without antialiasing, with half-pixel centres, from 0..255 to -1..1."""
    size = (_SIDE_PX, _SIDE_PX)
    resized = torch.nn.functional.interpolate(levels_8bit(pixels), size=size, mode="bilinear", align_corners=False)
    return 2 * (resized / 255) - 1


def _patches(pixels: Pixels) -> Tensor:
    """Each patch of 128 x 128 pixels like a picture; what is left at the right and bottom does not count."""
    rows, columns = (side // PATCH_PX for side in pixels.shape[:2])
    corners = [(row * PATCH_PX, column * PATCH_PX) for row in range(rows) for column in range(columns)]
    return torch.cat([resize_tensorflow(pixels[y : y + PATCH_PX, x : x + PATCH_PX]) for y, x in corners])


_VIEWS: Mapping[str, Callable[[Pixels], Tensor]] = {
    "tensorflow": resize_tensorflow,
    "clean": resize_clean,
    "legacy_pytorch": resize_legacy_pytorch,
    "patches": _patches,
}


def _find(settings: MetricSettings) -> Path:
    """The weights file, in the user's folder, torch's cache, or downloaded into it."""
    folders = [Path(folder) for folder in (settings.weights_dir, cache_folder()) if folder is not None]
    places = [folder / name for folder in folders for name in FILE_NAMES]
    found = next((place for place in places if place.is_file()), None)
    return found or download(_URL, _HASH, " or ".join(FILE_NAMES), settings.weights_dir, settings.weights_advice)


@lru_cache(maxsize=1)  # one network for all metrics of a run
def _load(path: Path, sha256: str, device: str) -> torch.nn.Module:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise WeightsError("torch-fidelity is not installed; pip install 'hggt[sets]' (Apache-2.0)") from error
    # torch-fidelity would execute code in the file; it gets a copy that holds nothing but the checked tensors.
    copy = io.BytesIO()
    torch.save(read_tensors(path, "Inception v3"), copy)
    copy.seek(0)
    try:
        network: torch.nn.Module = FeatureExtractorInceptionV3("inception", ["2048"], copy)
    except RuntimeError as error:
        faults = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise DamagedWeightsError(f"{path}: not the layers of Inception v3: {faults[:300]}") from error
    return network.to(device)
