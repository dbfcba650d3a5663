"""What all metrics that are ready to run have in common; nothing here resizes a picture.

A full-reference metric (`Comparer`) takes two steps, so that each picture is looked at once: `describe` turns one
picture into features, `compare` turns two features into a number. A restored image is described once for all its
positives and a positive once for all methods. A no-reference metric (`NoReference`) looks at the restored image alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels

if TYPE_CHECKING:  # torch is imported only for metrics that run on it
    from hggt_eval.metrics.backbones import Convolutions

Features = TypeVar("Features")
Colour = Literal["rgb", "y"]

BORDER_PX = 4  # as in the official scripts: the scale


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """What metrics can be told.

    Attributes:
        border: how many pixels are cut off each side before any metric looks.
        colour: `y` for PSNR and SSIM on BT.601 luma; the other metrics always look at RGB.
        device: a torch device such as `cpu` or `cuda:0`, for the metrics that are networks.
        weights_dir: where ImageNet backbones are looked for first; null goes straight to torch's cache.
    """

    border: int = BORDER_PX
    colour: Colour = "rgb"
    device: str = "cpu"
    weights_dir: Path | None = None


class LoadedMetric(ABC):
    """A metric ready to run.

    Attributes:
        name: as in `hggt_eval.metrics`.
        settings: border, colour, device.
        min_side_px: the smallest height and width, after the border is cut off, that the metric can look at.
        threadable: whether it uses one core and may be called by several threads at once; torch takes all cores.
        weights_sha256: file name -> SHA-256 of each weights file that was loaded.
        other_weights: the file of these that holds other numbers than the published metric; empty where none does.
    """

    name: str
    min_side_px: int = 1
    threadable: bool = False

    def __init__(self, settings: MetricSettings | None = None) -> None:
        self.settings = settings or MetricSettings()
        self.weights_sha256: dict[str, str] = {}
        self.other_weights = ""

    def _record(self, convolutions: "Convolutions") -> None:
        """Say which weights this metric has."""
        self.weights_sha256 = {convolutions.path.name: convolutions.sha256}
        self.other_weights = "" if convolutions.are_torchvisions else convolutions.path.name

    def cropped(self, pixels: Pixels) -> Pixels:
        """The picture without its border.

        Raises:
            ImageError: the picture is not uint8 (H, W, 3), or too small for the metric.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ImageError(f"{self.name}: expected pixels uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
        height, width = pixels.shape[:2]
        self.require_size((height, width))
        border = self.settings.border
        return pixels[border : height - border, border : width - border]

    def require_size(self, size: tuple[int, int]) -> None:
        """Check that a picture of this (height, width) is large enough.

        Raises:
            ImageError: it is not.
        """
        height, width = (side - 2 * self.settings.border for side in size)
        if min(height, width) < self.min_side_px:
            raise ImageError(
                f"{self.name} needs {self.min_side_px} x {self.min_side_px} pixels or more, but a picture of "
                f"{size[0]} x {size[1]} leaves {max(height, 0)} x {max(width, 0)} without its border of "
                f"{self.settings.border}; use a smaller border or leave the metric out"
            )


class Comparer(LoadedMetric, Generic[Features]):
    """A full-reference metric ready to run. Calling it with two pictures gives their score.

    Attributes:
        worth_caching: whether features take longer to compute than to read; then `pack` and `unpack` are there.
    """

    worth_caching: bool = False

    @abstractmethod
    def describe(self, pixels: Pixels) -> Features:
        """All that `compare` needs to know of one picture, uint8 (H, W, 3) RGB; the border is cut off here.

        Raises:
            ImageError: the picture is not uint8 (H, W, 3), or too small for the metric.
        """

    @abstractmethod
    def compare(self, restored: Features, positive: Features) -> float:
        """The score of a restored image against one positive, from their features; both must be of one size."""

    def pack(self, features: Features) -> dict[str, NDArray[Any]]:
        """Features as arrays by name, to be kept in a file."""
        raise NotImplementedError(f"features of {self.name} are not worth keeping")

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        """The same features again, to the bit and in the same layout, on the device of the settings."""
        raise NotImplementedError(f"features of {self.name} are not worth keeping")

    def __call__(self, restored: Pixels, positive: Pixels) -> float:
        """The score of two pictures, both uint8 (H, W, 3) RGB.

        Raises:
            ImageError: they differ in size, are not uint8 (H, W, 3), or are too small for the metric.
        """
        require_same_size(restored, positive)
        return self.compare(self.describe(restored), self.describe(positive))


class NoReference(LoadedMetric):
    """A no-reference metric ready to run."""

    @abstractmethod
    def rate(self, pixels: Pixels) -> float:
        """The score of one picture, uint8 (H, W, 3) RGB; the border is cut off here.

        Raises:
            ImageError: the picture is not uint8 (H, W, 3), or too small for the metric.
        """


AnyComparer = Comparer[Any]


def require_same_size(restored: NDArray[Any], positive: NDArray[Any]) -> None:
    """Check that two pictures, or two features of pictures, have one size.

    Raises:
        ImageError: they do not.
    """
    if restored.shape != positive.shape:
        raise ImageError(
            f"the restored image is {restored.shape[0]} x {restored.shape[1]}, the positive "
            f"{positive.shape[0]} x {positive.shape[1]}; pictures are never resized before they are compared"
        )


def bt601_luma(pixels: Pixels) -> NDArray[np.float64]:
    """MATLAB's Y of YCbCr, (H, W), 16 for black to 235 for white, from pixels uint8 (H, W, 3) RGB.

    Example:
        >>> bt601_luma(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)).tolist()
        [[16.0, 235.0]]

    Source: the official scripts with `--test_y_channel` keep luma in float32 between 0 and 1; the same roundings are
    made here, which is worth 3e-7 dB.
    """
    unit = pixels.astype(np.float32) / np.float32(255)
    luma = (unit @ np.array([65.481, 128.553, 24.966]) + 16) / 255
    rounded: NDArray[np.float32] = luma.astype(np.float32) * np.float32(255)
    return rounded.astype(np.float64)
