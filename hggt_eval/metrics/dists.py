"""DISTS (Ding et al. 2020) through torchmetrics' network, which equals the official package.

torchmetrics computes layers, means and variances for both pictures of every pair; here they are computed once per
picture, and a pair costs only its covariances. Pictures enter in [0, 1] at their original size.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.functional.image import dists as torchmetrics_dists

from hggt_data.io.images import Pixels
from hggt_eval.metrics.backbones import empty_network, load_convolutions
from hggt_eval.metrics.comparer import Comparer, MetricSettings
from hggt_eval.metrics.device import full_precision
from hggt_eval.metrics.tensors import as_images, pack_layers, unpack_layers

_C1 = _C2 = 1e-6
_PARTS = ("layer", "mean", "variance")


@dataclass(frozen=True, slots=True)
class DistsFeatures:
    """The picture and five layers of VGG16, (1, C, h, w) each, with means and variances, (1, C, 1, 1) each."""

    layers: list[Tensor]
    means: list[Tensor]
    variances: list[Tensor]


class Dists(Comparer[DistsFeatures]):
    """DISTS; 0 for identical pictures."""

    name = "dists"
    worth_caching = True
    min_side_px = 11

    def __init__(self, settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        convolutions = load_convolutions("vgg16", self.settings.weights_dir, advice=self.settings.weights_advice)
        self._record(convolutions)
        network = _Network(convolutions.weights)
        # Channels last nearly halve VGG16's time on a CPU.
        self._network = network.to(self.settings.device).to(memory_format=torch.channels_last)
        total = self._network.alpha.sum() + self._network.beta.sum()
        self._alpha = torch.split(self._network.alpha / total, self._network.chns, dim=1)
        self._beta = torch.split(self._network.beta / total, self._network.chns, dim=1)

    def describe(self, pixels: Pixels) -> DistsFeatures:
        """The picture's layers with their means and variances."""
        cropped = self.cropped(pixels)
        with full_precision(self.settings.device):
            layers = self._network.forward_once(as_images(cropped, self.settings.device))
            means = [_mean(layer) for layer in layers]
            variances = [_mean((layer - mean).square_()) for layer, mean in zip(layers, means, strict=True)]
            return DistsFeatures(layers, means, variances)

    def compare(self, restored: DistsFeatures, positive: DistsFeatures) -> float:
        """DISTS of two pictures.

        Source: Ding et al., equations 2 to 4, in the order of operations of torchmetrics' `DISTSNetwork.forward`.
        """
        with full_precision(self.settings.device):
            similarity = torch.zeros((), device=self.settings.device)
            for k, (alpha, beta) in enumerate(zip(self._alpha, self._beta, strict=True)):
                mean_a, mean_b = restored.means[k], positive.means[k]
                texture = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
                covariance = _mean(restored.layers[k] * positive.layers[k]) - mean_a * mean_b
                structure = (2 * covariance + _C2) / (restored.variances[k] + positive.variances[k] + _C2)
                similarity += (alpha * texture).sum() + (beta * structure).sum()
            return 1 - float(similarity)

    def pack(self, features: DistsFeatures) -> dict[str, NDArray[Any]]:
        """Layers, means and variances as arrays."""
        parts = zip(_PARTS, (features.layers, features.means, features.variances), strict=True)
        return {key: array for name, layers in parts for key, array in pack_layers(name, layers).items()}

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> DistsFeatures:
        """The features that `pack` packed."""
        return DistsFeatures(*(unpack_layers(name, arrays, self.settings.device) for name in _PARTS))


def _mean(layer: Tensor) -> Tensor:
    return layer.mean([2, 3], keepdim=True)


class _Network(torchmetrics_dists.DISTSNetwork):
    """torchmetrics' network with these convolutions.

    The original constructor always loads torchvision's whole file, so it is not called; this one replaces it. A stage
    keeps torchvision's layer numbers, and an L2 pooling replaces the max pooling before it.
    """

    def __init__(self, convolutions: Mapping[str, Tensor]) -> None:
        nn.Module.__init__(self)
        layers = empty_network("vgg16").get_submodule("features")
        layers.load_state_dict({key.removeprefix("features."): t for key, t in convolutions.items()}, assign=True)
        self.chns = [3, 64, 128, 256, 512, 512]
        for stage, (first, last) in enumerate(((0, 3), (4, 8), (9, 15), (16, 22), (23, 29)), start=1):
            modules = OrderedDict((str(k), layers.get_submodule(str(k))) for k in range(first, last + 1))
            if stage > 1:
                modules[str(first)] = torchmetrics_dists.L2pooling(channels=self.chns[stage - 1])
            self.add_module(f"stage{stage}", nn.Sequential(modules))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, -1, 1, 1))
        own_weights = Path(torchmetrics_dists.__file__).parent / "dists_models" / "weights.pt"
        for name, tensor in torch.load(own_weights, map_location="cpu", weights_only=True).items():  # alpha and beta
            self.register_buffer(name, tensor)
        self.eval().requires_grad_(False)
