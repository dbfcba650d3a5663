"""Networks as a user may have them, for training by name: `tests.hggt_models.networks.own:Enlarger`."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Enlarger(nn.Module):
    """Enlarges sides that are multiples of 4, with a shift of features in windows of 8."""

    def __init__(self, features: int = 4, scale: int = 4, channels: tuple[int, ...] = (3,)) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, features, 3, padding=1)
        self.last = nn.Conv2d(features, channels[0] * scale**2, 3, padding=1)
        self.unused = nn.Parameter(torch.zeros(2))
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2] % 4 or images.shape[3] % 4:
            raise ValueError("sides must be multiples of 4")
        features = self.first(images)
        means = functional.avg_pool2d(features, 8, ceil_mode=True)
        height, width = features.shape[2:]
        spread = functional.interpolate(means, scale_factor=8.0)[:, :, :height, :width]
        return functional.pixel_shuffle(self.last(features + spread), self.scale)


class Brightness(nn.Module):
    """Depends on the whole picture, but has no layer that shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return images - self.weight * images.mean((2, 3), keepdim=True)


class Pair(Enlarger):
    """Returns more than an image."""

    def forward(self, images: Tensor) -> Any:
        return images, images


class Frozen(Enlarger):
    """Has nothing to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)


class Stubborn(nn.Module):
    """Is built with any arguments, and fails when it is called."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("not today")


class Judge(nn.Module):
    """One logit for each image, from half of its parameters."""

    def __init__(self, features: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, features, 3, padding=1).requires_grad_(False)
        self.head = nn.Linear(features, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(images).mean((2, 3)))
        return logits
