"""The interface of metrics that are ready to run; none resizes a picture.

A full-reference metric (`Comparer`) has two steps, so that each picture is processed once: `describe` turns one picture
into features, `compare` turns two pictures' features into a score. A restored image is described once for all its
positives, and a positive once for all methods. A no-reference metric (`NoReference`) rates the restored image alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_data.ranges import CountOrNone, require_ranges

if TYPE_CHECKING:  # torch is imported only for metrics that run on it
    from hggt_eval.metrics import SetMetric
    from hggt_eval.metrics.backbones import Convolutions

Features = TypeVar("Features")
Colour = Literal["rgb", "y"]

BORDER_PX = 4  # as in the official scripts: the scale
WEIGHTS_ADVICE = "put it into a folder and pass that as `weights_dir`"


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """Settings shared by all metrics.

    Attributes:
        border: Pixels cut off each side before any metric is computed.
        colour: `rgb`, or `y` to compute PSNR and SSIM on BT.601 luma; other metrics always use RGB.
        device: Torch device, such as `cpu` or `cuda:0`, for metrics that run on torch.
        weights_dir: Folder searched for ImageNet weights before torch's cache.
        weights_advice: What to do with weights that were downloaded by hand, for the message that they are missing.

    Raises:
        SettingsError: A value is out of range.

    Example:
        >>> from hggt_eval import MetricSettings
        >>> MetricSettings(border=0, colour="y")
        MetricSettings(border=0, colour='y', device='cpu', weights_dir=None)
    """

    border: CountOrNone = BORDER_PX
    colour: Colour = "rgb"
    device: str = "cpu"
    weights_dir: str | Path | None = None
    weights_advice: str = field(default=WEIGHTS_ADVICE, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_ranges(self)


class LoadedMetric(ABC):
    """A metric ready to run.

    Attributes:
        name: Its name in `hggt_eval.metrics`.
        settings: Border, colour and device.
        min_side_px: Smallest height and width that the metric accepts, without the border.
        threadable: Whether it uses one core and several threads may call it at once; torch uses all cores.
        weights_sha256: File name -> SHA-256 of each weights file that was loaded.
        other_weights: Weights file that differs from the published metric's, or empty.
    """

    name: str
    min_side_px: int = 1
    threadable: bool = False

    def __init__(self, settings: MetricSettings | None = None) -> None:
        self.settings = settings or MetricSettings()
        self.weights_sha256: dict[str, str] = {}
        self.other_weights = ""

    @property
    def features_name(self) -> str:
        """Name of its features in a cache; metrics that share features share it."""
        return self.name

    def _record(self, convolutions: "Convolutions") -> None:
        """Record which weights this metric has."""
        self.weights_sha256 = {convolutions.path.name: convolutions.sha256}
        self.other_weights = "" if convolutions.are_torchvisions else convolutions.path.name

    def cropped(self, pixels: Pixels) -> Pixels:
        """The picture without its border; ImageError unless it is uint8 (H, W, 3) and large enough."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ImageError(f"{self.name}: expected pixels uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
        height, width = pixels.shape[:2]
        self.require_size((height, width))
        border = self.settings.border
        return pixels[border : height - border, border : width - border]

    def require_size(self, size: tuple[int, int]) -> None:
        """Check that a picture of this (height, width) is large enough."""
        height, width = (side - 2 * self.settings.border for side in size)
        if min(height, width) < self.min_side_px:
            raise ImageError(
                f"{self.name} needs {self.min_side_px} x {self.min_side_px} pixels or more, but a picture of "
                f"{size[0]} x {size[1]} leaves {max(height, 0)} x {max(width, 0)} without its border of "
                f"{self.settings.border}; use a smaller border or leave the metric out"
            )


class Comparer(LoadedMetric, Generic[Features]):
    """A full-reference metric ready to run. Calling it with two pictures returns their score.

    Attributes:
        worth_caching: Whether features take longer to compute than to read; `pack` and `unpack` then exist.
    """

    worth_caching: bool = False

    @abstractmethod
    def describe(self, pixels: Pixels) -> Features:
        """Everything `compare` needs of one picture, uint8 (H, W, 3) RGB; the border is cut off here."""

    @abstractmethod
    def compare(self, restored: Features, positive: Features) -> float:
        """The score of a restored image against one positive of the same size, from their features."""

    def pack(self, features: Features) -> dict[str, NDArray[Any]]:
        """Features as named arrays, for a file."""
        raise NotImplementedError(f"features of {self.name} are not cached")

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        """The same features, with the same bits and layout, on the device of the settings."""
        raise NotImplementedError(f"features of {self.name} are not cached")

    def __call__(self, restored: Pixels, positive: Pixels) -> float:
        """The score of two pictures, both uint8 (H, W, 3) RGB and of the same size."""
        require_same_size(restored, positive)
        return self.compare(self.describe(restored), self.describe(positive))


class NoReference(LoadedMetric):
    """A no-reference metric ready to run."""

    @abstractmethod
    def rate(self, pixels: Pixels) -> float:
        """The score of one picture, uint8 (H, W, 3) RGB; the border is cut off here."""


class SetMetricFeatures(LoadedMetric):
    """A metric of sets, ready to describe single pictures; distances are computed from their features later.

    Attributes:
        metric: The metric.
    """

    metric: "SetMetric"

    @property
    def features_name(self) -> str:
        """One name for all metrics with the same features."""
        return f"inception-{self.metric.view}"

    @abstractmethod
    def describe(self, pixels: Pixels) -> NDArray[np.float32]:
        """Features, (1, D) or, for patches, (patches, D), of one picture uint8 (H, W, 3); the border is cut off."""

    def pack(self, features: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Features as named arrays, for a file."""
        return {"features": features}

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The features that `pack` packed."""
        return arrays["features"]


AnyComparer = Comparer[Any]


def require_same_size(restored: NDArray[Any], positive: NDArray[Any]) -> None:
    """Check that two pictures, or the features of two pictures, have the same size."""
    if restored.shape != positive.shape:
        raise ImageError(
            f"the restored image is {restored.shape[0]} x {restored.shape[1]}, the positive "
            f"{positive.shape[0]} x {positive.shape[1]}; pictures are never resized before a comparison"
        )


def bt601_luma(pixels: Pixels) -> NDArray[np.float64]:
    """MATLAB's Y of YCbCr, (H, W), 16 for black to 235 for white, from pixels uint8 (H, W, 3) RGB.

    Example:
        >>> bt601_luma(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)).tolist()
        [[16.0, 235.0]]

    Source: the official scripts with `--test_y_channel` keep luma in float32 between 0 and 1; the same rounding here
    is worth 3e-7 dB.
    """
    unit = pixels.astype(np.float32) / np.float32(255)
    luma = (unit @ np.array([65.481, 128.553, 24.966]) + 16) / 255
    rounded: NDArray[np.float32] = luma.astype(np.float32) * np.float32(255)
    return rounded.astype(np.float64)
