"""VGG19's features for the perceptual loss: torchvision's network with torchvision's ImageNet weights, frozen.

Features are the values before a ReLU. torchvision's `create_feature_extractor` would give those after it under the same
name, because its ReLUs work in place.
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
_ADVICE = "as hggt-models fetch-weights does, or name the file in training: --set perceptual.weights=FILE"


def _positions() -> dict[str, int]:
    """Where each convolution stands in torchvision's `features`: a ReLU follows each, a pooling each block."""
    positions = {}
    position = 0
    for block, convolutions in enumerate(_CONVOLUTIONS_PER_BLOCK, start=1):
        for number in range(1, convolutions + 1):
            positions[f"conv{block}_{number}"] = position
            position += 2
        position += 1
    return positions


# Where each convolution stands in torchvision's `features`.
LAYERS = _positions()


def smallest_px(layer: str) -> int:
    """Side of the smallest image of which something reaches a layer, through the poolings before it."""
    return 1 << (int(layer.removeprefix("conv").split("_")[0]) - 1)


class VggFeatures(nn.Module):
    """Some layers of VGG19 before their ReLU. Gradients pass through, but the weights never change.

    Args:
        layers: `conv1_2` is the second convolution of the first block; the last one is `conv5_4`.
        weights: `imagenet` for torchvision's, from torch's cache or downloaded into it; a file with them, torchvision's
            own or one with the convolutions only; `random` for tests of what surrounds the network.

    Raises:
        NetworkError: a layer is not known, or there is none.
        WeightsError: the weights cannot be had.
        CheckpointError: the named file is damaged or holds those of another network.
        DamagedWeightsError: so is the file in torch's cache.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Sequence[str], weights: Path | Literal["imagenet", "random"] = "imagenet") -> None:
        super().__init__()
        known = LAYERS
        if not layers or not known.keys() >= set(layers):
            raise NetworkError(f"layers of VGG19 are {', '.join(known)}; got {', '.join(layers) or 'none'}")
        self.wanted = {position: layer for layer, position in known.items() if layer in layers}
        self.features = _pretrained(weights)[: max(self.wanted) + 1].eval().requires_grad_(False)
        for position, module in enumerate(self.features):
            if isinstance(module, nn.ReLU):
                module.inplace = position - 1 not in self.wanted
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) in [0, 1] to the values of each layer, (N, C, h, w), shallow layers first."""
        values = (images - self.mean) / self.std
        found = {}
        for position, module in enumerate(self.features):
            values = module(values)
            if position in self.wanted:
                found[self.wanted[position]] = values
        return found


def fetch_weights() -> Path:
    """Bring torchvision's ImageNet weights into torch's cache, if they are not there; their file.

    Raises:
        WeightsError: they cannot be downloaded.
        DamagedWeightsError: the file that is there is damaged.
    """
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
                nn.init.kaiming_normal_(parameter)  # keeps signals at a natural strength
        return features
    if weights == "imagenet":
        state = load_convolutions("vgg19", advice=_ADVICE).weights
    else:
        state = require_state_dict(read_pth(weights), str(weights))
    convolutions = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
    load_state(features, convolutions, str(weights))
    return features
