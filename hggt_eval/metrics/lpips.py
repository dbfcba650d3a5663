"""LPIPS (Zhang et al. 2018) with AlexNet or VGG16, version 0.1, through the `lpips` package's own layers.

The package runs its network on both pictures of every pair; here each picture passes through it once, in [-1, 1] as in
the official script, and at its original size.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lpips
import torch
from numpy.typing import NDArray
from torch import Tensor

from hggt_data.io.images import Pixels
from hggt_eval.metrics.backbones import load_convolutions
from hggt_eval.metrics.comparer import Comparer, MetricSettings
from hggt_eval.metrics.device import full_precision
from hggt_eval.metrics.tensors import levels_8bit, pack_layers, unpack_layers


class Lpips(Comparer[list[Tensor]]):
    """LPIPS; 0 for identical pictures. Features: five layers of the backbone, (1, C, h, w), normalised everywhere.

    Attributes:
        backbone: Name of the convolutions' weights.
        network: The package's name for the backbone.
    """

    name = "lpips"
    worth_caching = True
    min_side_px = 31  # below that, AlexNet's second pooling has no input
    backbone: str = "alexnet"
    network: str = "alex"

    def __init__(self, settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        convolutions = load_convolutions(self.backbone, self.settings.weights_dir, advice=self.settings.weights_advice)
        self._record(convolutions)
        network = load_lpips(self.network, convolutions.weights)
        # Channels last save a quarter of AlexNet's time on a CPU.
        self._network = network.to(self.settings.device).to(memory_format=torch.channels_last)

    def describe(self, pixels: Pixels) -> list[Tensor]:
        """The picture's features."""
        cropped = self.cropped(pixels)
        with full_precision(self.settings.device):
            image = levels_8bit(cropped, self.settings.device) / 127.5 - 1  # (1, 3, H, W), -1 to 1
            layers = self._network.net(self._network.scaling_layer(image))
            return [lpips.normalize_tensor(layer) for layer in layers]

    def compare(self, restored: list[Tensor], positive: list[Tensor]) -> float:
        """LPIPS of two pictures, as `lpips.LPIPS.forward` computes it from its layers."""
        with full_precision(self.settings.device):
            distance = torch.zeros((), device=self.settings.device)
            for weigh, a, b in zip(self._network.lins, restored, positive, strict=True):
                distance += weigh((a - b).square_()).mean()
            return float(distance)

    def pack(self, features: list[Tensor]) -> dict[str, NDArray[Any]]:
        """The layers as arrays."""
        return pack_layers("layer", features)

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> list[Tensor]:
        """The features that `pack` packed."""
        return unpack_layers("layer", arrays, self.settings.device)


class LpipsVgg(Lpips):
    """LPIPS with VGG16."""

    name = "lpips-vgg"
    min_side_px = 16  # below that, VGG16's fourth pooling has no input
    backbone = "vgg16"
    network = "vgg"


def load_lpips(name: str, convolutions: Mapping[str, Tensor]) -> lpips.LPIPS:
    """The package's network (`alex` or `vgg`), frozen, with these convolutions and its linear layers of version 0.1."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package calls torchvision in an old way that still works
        network = lpips.LPIPS(net=name, pretrained=False, pnet_rand=True, verbose=False)
    network.scaling_layer = lpips.ScalingLayer()
    linear = torch.load(
        Path(lpips.__file__).parent / "weights" / "v0.1" / f"{name}.pth", map_location="cpu", weights_only=True
    )
    # A layer is registered twice, as `lin0` and as `lins.0`; a slice keeps torchvision's number of each layer:
    # net.slice2.3.weight is features.3.weight.
    linear |= {key.replace("lin", "lins.", 1): value for key, value in linear.items()}
    backbone = {
        key: convolutions[f"features.{key.split('.', 2)[2]}"] for key in network.state_dict() if key.startswith("net.")
    }
    network.load_state_dict(
        {**network.scaling_layer.state_dict(prefix="scaling_layer."), **linear, **backbone}, assign=True
    )
    return network.eval().requires_grad_(False)
