"""The perceptual loss: distance between VGG19 features instead of pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from hggt_models.losses.precision import as_float32
from hggt_models.networks.vgg import VggFeatures

OFFICIAL_LAYERS: Mapping[str, float] = {
    "conv1_2": 0.1,
    "conv2_2": 0.1,
    "conv3_4": 1.0,
    "conv4_4": 1.0,
    "conv5_4": 1.0,
}


class PerceptualLoss(nn.Module):
    """Weighted sum over layers of the mean absolute difference between their features, before the ReLU.

    It has no trainable parameters, so checkpoints leave it out. Under autocast the network runs in the lower precision;
    differences and means stay in float32. For `weights` see `VggFeatures`.
    """

    def __init__(
        self,
        layers: Mapping[str, float] = OFFICIAL_LAYERS,
        weights: Path | Literal["imagenet", "random"] = "imagenet",
    ) -> None:
        super().__init__()
        self.layers = dict(layers)
        self.network = VggFeatures(list(self.layers), weights)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to a scalar; `conv5_4` needs at least 16 x 16 px. Targets get no gradient."""
        with torch.no_grad():
            wanted = self.network(targets)
        found = self.network(outputs)
        distances = [
            weight * (as_float32(found[layer]) - as_float32(wanted[layer])).abs().mean()
            for layer, weight in self.layers.items()
        ]
        return torch.stack(distances).sum()

    def describe(self, images: Tensor) -> list[Tensor]:
        """The features of each layer, for `compare`."""
        features = self.network(images)
        return [features[layer] for layer in self.layers]

    def compare(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """The loss of each sample alone, (N,) in float64, from the features of two batches of images."""
        distances = [
            weight * (as_float32(one) - as_float32(other)).abs().flatten(1).mean(1, dtype=torch.float64)
            for weight, one, other in zip(self.layers.values(), features, others, strict=True)
        ]
        return torch.stack(distances).sum(0)
