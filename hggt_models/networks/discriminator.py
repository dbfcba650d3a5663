"""Real-ESRGAN's U-Net discriminator with spectral norm (Wang et al. 2021), which HGGT uses for all GAN runs."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hggt_models.networks.network import Network, NetworkArgs, NetworkError, Shapes
from hggt_models.networks.receptive_field import Span, convolution, receptive_field_px

_DEEPEST_PX = 8  # input pixels per pixel of the deepest features


@dataclass(frozen=True, kw_only=True)
class UnetDiscriminatorArgs(NetworkArgs):
    """Arguments of `unet_discriminator_sn`.

    Attributes:
        num_in_ch: Channels of the input.
        num_feat: Features at the input's size; deeper layers have up to eight times as many.
        skip_connection: Whether the decoder adds the encoder's features of the same size.
    """

    num_in_ch: int = 3
    num_feat: int = 64
    skip_connection: bool = True


class UnetDiscriminator(Network):
    """Classify each pixel: images (N, 3, H, W) to logits (N, 1, H, W), above 0 for real.

    H and W must be multiples of 8; otherwise NetworkError.

    Source: Wang et al. 2021; official class `UNetDiscriminatorSN`.
    """

    name = "unet_discriminator_sn"
    args_type = UnetDiscriminatorArgs
    channels_last = True

    def __init__(self, args: UnetDiscriminatorArgs) -> None:
        super().__init__(args)
        self.scale = 1
        self.window = _DEEPEST_PX
        self.adds_skips = args.skip_connection
        self.receptive_field_px = receptive_field_px(
            [
                convolution(4),  # conv6 to conv9
                *(_bilinear_doubling, convolution()) * 2,  # conv5, conv4
                _bilinear_doubling,
                *(_halving_convolution,) * 3,  # conv3, conv2, conv1
                convolution(),
            ],
            period=self.window,
        )
        feat = args.num_feat
        self.conv0 = nn.Conv2d(args.num_in_ch, feat, 3, padding=1)
        self.conv1 = SpectralConvolution(feat, 2 * feat, 4, stride=2)
        self.conv2 = SpectralConvolution(2 * feat, 4 * feat, 4, stride=2)
        self.conv3 = SpectralConvolution(4 * feat, 8 * feat, 4, stride=2)
        self.conv4 = SpectralConvolution(8 * feat, 4 * feat, 3)
        self.conv5 = SpectralConvolution(4 * feat, 2 * feat, 3)
        self.conv6 = SpectralConvolution(2 * feat, feat, 3)
        self.conv7 = SpectralConvolution(feat, feat, 3)
        self.conv8 = SpectralConvolution(feat, feat, 3)
        self.conv9 = nn.Conv2d(feat, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        height, width = images.shape[2:]
        if height % _DEEPEST_PX or width % _DEEPEST_PX:
            raise NetworkError(f"{self.name} got {height} x {width}; expected multiples of {_DEEPEST_PX}")
        full = _activated(self.conv0(images))
        half = _activated(self.conv1(full))
        quarter = _activated(self.conv2(half))
        eighth = _activated(self.conv3(quarter))
        features = self._raised(self.conv4, eighth, quarter)
        features = self._raised(self.conv5, features, half)
        features = self._raised(self.conv6, features, full)
        logits: Tensor = self.conv9(_activated(self.conv8(_activated(self.conv7(features)))))
        return logits

    def _raised(self, conv: nn.Module, features: Tensor, skip: Tensor) -> Tensor:
        """Upsample features by two and add the encoder's."""
        doubled = functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
        raised = _activated(conv(doubled))
        return raised + skip if self.adds_skips else raised

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """See `Network`. `skip_connection` cannot be inferred."""
        if not {"conv0.weight", "conv1.weight_orig", "conv9.weight"} <= shapes.keys():
            return None
        num_feat, num_in_ch = shapes["conv0.weight"][:2]
        return {"num_in_ch": num_in_ch, "num_feat": num_feat}


class SpectralConvolution(nn.Module):
    """A padded convolution without bias whose weight is divided by an estimate of its largest singular value.

    In training, each call improves the estimate by one power iteration. This is torch's older `spectral_norm`, with the
    names of the official state dict, reimplemented so that the estimate stays in float32 under autocast, the network
    can be copied at any time, and `torch.compile` gives the same gradients.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel_px: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight_orig = nn.Conv2d(in_channels, out_channels, kernel_px, bias=False).weight
        for name, size in (("weight_u", out_channels), ("weight_v", in_channels * kernel_px**2)):
            self.register_buffer(name, functional.normalize(torch.randn(size), dim=0))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        return functional.conv2d(features, self.weight_orig / self._norm(), stride=self.stride, padding=1)

    def _norm(self) -> Tensor:
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            left, right = self._improved_vectors() if self.training else self._vectors()
            norm: Tensor = left @ self.weight_orig.flatten(1) @ right
        return norm

    # A compiler would repeat this in the backward pass, with the vectors that it has changed in the forward pass.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _improved_vectors(self) -> tuple[Tensor, Tensor]:
        matrix = self.weight_orig.flatten(1)
        self.weight_v.copy_(functional.normalize(matrix.T @ self.weight_u, dim=0))
        self.weight_u.copy_(functional.normalize(matrix @ self.weight_v, dim=0))
        return self._vectors()

    def _vectors(self) -> tuple[Tensor, Tensor]:
        """Copies, because a later call must not change what this call's backward pass needs."""
        return self.weight_u.clone(), self.weight_v.clone()


def _activated(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, 0.2, inplace=True)


def _bilinear_doubling(span: Span) -> Span:
    return (span[0] - 1) // 2, (span[1] + 1) // 2


def _halving_convolution(span: Span) -> Span:
    """Kernel of four rows, stride two."""
    return 2 * span[0] - 1, 2 * span[1] + 2
