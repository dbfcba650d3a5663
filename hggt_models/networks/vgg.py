"""VGG19 features for the perceptual loss: torchvision's network with its ImageNet weights, frozen.

Features are values before a ReLU. torchvision's `create_feature_extractor` would return those after it, because its
ReLUs work in place.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from hggt_eval.metrics.backbones import empty_network, load_convolutions
from hggt_models.networks.network import NetworkError
from hggt_models.networks.weights import load_state, read_pth, require_state_dict

_CONVOLUTIONS_PER_BLOCK = (2, 2, 4, 4, 4)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_PREFIX = "features."
_ADVICE = "as hggt-models fetch-weights does, or set `perceptual.weights` to the file for training"


def _positions() -> dict[str, int]:
    """Index of each convolution in torchvision's `features`: each is followed by a ReLU, each block by a pooling."""
    positions = {}
    position = 0
    for block, convolutions in enumerate(_CONVOLUTIONS_PER_BLOCK, start=1):
        for number in range(1, convolutions + 1):
            positions[f"conv{block}_{number}"] = position
            position += 2
        position += 1
    return positions


LAYERS = _positions()


def smallest_px(layer: str) -> int:
    """Side of the smallest image that leaves at least one pixel at a layer."""
    return 1 << (int(layer.removeprefix("conv").split("_")[0]) - 1)


class VggFeatures(nn.Module):
    """Layers of VGG19 before their ReLU. Gradients pass through; the weights never change.

    `layers` are named `conv1_2` (first block, second convolution) to `conv5_4`. `weights` is `imagenet` (torchvision's,
    from torch's cache or downloaded), a file with torchvision's state dict or its convolutions, or `random` for trial
    runs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Sequence[str], weights: Path | Literal["imagenet", "random"] = "imagenet") -> None:
        super().__init__()
        if not layers or not LAYERS.keys() >= set(layers):
            raise NetworkError(f"layers of VGG19 are {', '.join(LAYERS)}; got {', '.join(layers) or 'none'}")
        self.wanted = {position: layer for layer, position in LAYERS.items() if layer in layers}
        self.features = _pretrained(weights)[: max(self.wanted) + 1].eval().requires_grad_(False)
        for position, module in enumerate(self.features):
            if isinstance(module, nn.ReLU):
                module.inplace = position - 1 not in self.wanted
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) in [0, 1] to features of each layer, (N, C, h, w), shallow layers first."""
        values = (images - self.mean) / self.std
        found = {}
        for position, module in enumerate(self.features):
            values = module(values)
            if position in self.wanted:
                found[self.wanted[position]] = values
        return found


def fetch_weights() -> Path:
    """Download torchvision's ImageNet weights into torch's cache unless they are there; return their file."""
    return load_convolutions("vgg19", advice=_ADVICE).path


def _pretrained(weights: Path | Literal["imagenet", "random"]) -> nn.Sequential:
    features = empty_network("vgg19").get_submodule("features")
    assert isinstance(features, nn.Sequential)
    features.to_empty(device="cpu")
    if weights == "random":
        for parameter in features.parameters():
            if parameter.ndim == 1:  # a bias
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter)  # keeps the signal's variance
        return features
    if weights == "imagenet":
        state = load_convolutions("vgg19", advice=_ADVICE).weights
    else:
        state = require_state_dict(read_pth(weights), str(weights))
    convolutions = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
    load_state(features, convolutions, str(weights))
    return features
