"""Distances between images that obey the triangle inequality: of pixels, VGG features, and the square root of LPIPS.

An image is described once, and its features are then compared with those of several others. Sums are in float64: the
distance of two images that differ in a single pixel must survive the difference of two larger distances.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from hggt_eval.metrics.backbones import load_convolutions
from hggt_models.losses.perceptual import PerceptualLoss
from hggt_models.losses.precision import as_float32

LPIPS_SMALLEST_PX = 31  # AlexNet's second pooling needs as much
_ADVICE = "as hggt-models fetch-weights --metrics lpips does"
_SMALLEST = 1e-30  # of a sum of squares whose root has a gradient; the root of less counts as 0


class Distance(Protocol):
    """A distance between images (N, 3, H, W) in [0, 1]."""

    def describe(self, images: Tensor) -> Sequence[Tensor]:
        """What the distance compares; gradients pass through."""

    def compare(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """Distance of each image to the other one of its sample, (N,) in float64."""


class PixelDistance:
    """Mean absolute difference of pixels."""

    def describe(self, images: Tensor) -> Sequence[Tensor]:
        """The image itself."""
        return [images]

    def compare(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """See `Distance`."""
        return mean_difference(features[0], others[0])


class VggDistance:
    """Mean absolute difference of VGG19 features, summed over layers with the weights of the perceptual loss."""

    def __init__(self, perceptual: PerceptualLoss) -> None:
        self._perceptual = perceptual

    def describe(self, images: Tensor) -> Sequence[Tensor]:
        """The features of each layer."""
        return self._perceptual.describe(images)

    def compare(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """See `Distance`."""
        return self._perceptual.compare(features, others)


class LpipsDistance(nn.Module):
    """Square root of LPIPS with AlexNet, in float32; images of at least `LPIPS_SMALLEST_PX` on each side.

    LPIPS is a sum of squares of weighted feature differences, so it violates the triangle inequality, and its root
    does not.
    """

    def __init__(self) -> None:
        from hggt_eval.metrics.lpips import load_lpips  # loads torchvision and PyTorch's compiler, which takes seconds

        super().__init__()
        self.network = load_lpips("alex", load_convolutions("alexnet", advice=_ADVICE).weights)

    def describe(self, images: Tensor) -> Sequence[Tensor]:
        """The features of AlexNet's layers, of length 1 at each place."""
        with torch.autocast(images.device.type, enabled=False):
            layers = self.network.net(self.network.scaling_layer(2 * images.float() - 1))
            # The package's own function has no gradient at a place where all features are 0.
            return [layer / (_root(layer.square().sum(1, keepdim=True)) + 1e-10) for layer in layers]

    def compare(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """See `Distance`."""
        with torch.autocast(features[0].device.type, enabled=False):
            squares = [
                weigh((one - other).square()).mean((1, 2, 3), dtype=torch.float64)
                for weigh, one, other in zip(self.network.lins, features, others, strict=True)
            ]
            return _root(torch.stack(squares).sum(0))


def mean_difference(values: Tensor, others: Tensor) -> Tensor:
    """Mean absolute difference of each sample, (N,) in float64."""
    return (as_float32(values) - as_float32(others)).abs().flatten(1).mean(1, dtype=torch.float64)


def _root(squares: Tensor) -> Tensor:
    """The square root, with gradient 0 at 0, where its slope is infinite."""
    return torch.where(squares > _SMALLEST, squares.clamp(min=_SMALLEST).sqrt(), 0)
