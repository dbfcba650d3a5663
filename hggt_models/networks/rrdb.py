"""RRDB networks: residual-in-residual dense blocks and an upsampler.

`rrdb` is ESRGAN's network (Wang et al. 2018), also used by Real-ESRGAN and LDL; `rrdb_pixelshuffle` is HGGT's.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hggt_models.networks.network import Network, NetworkArgs, Shapes, count_keys
from hggt_models.networks.receptive_field import Step, convolution, enlargement, receptive_field_px, reduction
from hggt_models.networks.upsampling import can_upsample, pixel_shuffle_upsampler, recognise_scale, upsampler_steps
from hggt_models.networks.windows import pad_to_multiple

_BRANCH_WEIGHT = 0.2
_INITIAL_WEIGHT = 0.1
_CONVOLUTIONS_PER_BLOCK = 15
_FEATURE_SCALE = 4  # upsampling of the features in `rrdb`, whatever its scale


@dataclass(frozen=True, kw_only=True)
class RrdbArgs(NetworkArgs):
    """Arguments of `rrdb`.

    Attributes:
        num_in_ch: Channels of the input.
        num_out_ch: Channels of the output.
        scale: 1, 2 or 4. Below 4 a pixel unshuffle first makes the input 4 / scale times smaller.
        num_feat: Features between the blocks.
        num_block: Number of blocks, each of three dense blocks.
        num_grow_ch: Features added by each convolution of a dense block.
    """

    num_in_ch: int = 3
    num_out_ch: int = 3
    scale: int = 4
    num_feat: int = 64
    num_block: int = 23
    num_grow_ch: int = 32

    def contradictions(self) -> Iterator[str]:
        """See `NetworkArgs`."""
        if self.scale not in (1, 2, 4):
            yield f"scale is {self.scale}; expected 1, 2 or 4"


@dataclass(frozen=True, kw_only=True)
class RrdbPixelShuffleArgs(RrdbArgs):
    """Arguments of `rrdb_pixelshuffle`: those of `rrdb`, with a `scale` of 3 or a power of two above 1 (published:
    4)."""

    def contradictions(self) -> Iterator[str]:
        """See `NetworkArgs`."""
        if not can_upsample(self.scale):
            yield f"scale is {self.scale}; expected 3, or a power of two above 1"


class _RrdbTrunk(Network, ABC):
    """Everything except the upsampler, whose layers `upsampler` gives for `receptive_field_px`.

    `unshuffle` is the factor by which the input shrinks before the first convolution.
    """

    channels_last = True

    def __init__(self, args: RrdbArgs, unshuffle: int, upsampler: Iterable[Step]) -> None:
        super().__init__(args)
        self.scale = args.scale
        self.window = unshuffle
        self.conv_first = nn.Conv2d(args.num_in_ch * unshuffle**2, args.num_feat, 3, padding=1)
        self.body = nn.Sequential(*(_Rrdb(args.num_feat, args.num_grow_ch) for _ in range(args.num_block)))
        self.conv_body = nn.Conv2d(args.num_feat, args.num_feat, 3, padding=1)
        self.conv_hr = nn.Conv2d(args.num_feat, args.num_feat, 3, padding=1)
        self.conv_last = nn.Conv2d(args.num_feat, args.num_out_ch, 3, padding=1)
        self.receptive_field_px = receptive_field_px(
            [
                convolution(2),  # conv_hr and conv_last
                *upsampler,
                convolution(2 + _CONVOLUTIONS_PER_BLOCK * args.num_block),  # conv_first, conv_body and the blocks
                reduction(unshuffle),
            ],
            args.scale,
            period=unshuffle,
        )

    @abstractmethod
    def upsampled(self, features: Tensor) -> Tensor:
        """Upsample the blocks' features (N, C, H, W) to the size of the output."""

    def forward(self, images: Tensor) -> Tensor:
        """See `Network`."""
        height, width = images.shape[2:]
        shallow = self.conv_first(functional.pixel_unshuffle(pad_to_multiple(images, self.window), self.window))
        features = self.upsampled(shallow + self.conv_body(self.body(shallow)))
        output: Tensor = self.conv_last(_activated(self.conv_hr(features)))
        return output[:, :, : height * self.scale, : width * self.scale]


class Rrdb(_RrdbTrunk):
    """RRDB with nearest-neighbour upsampling. Source: Wang et al. 2018; official class `RRDBNet`."""

    name = "rrdb"
    args_type = RrdbArgs

    def __init__(self, args: RrdbArgs) -> None:
        upsampler = convolution(), enlargement(2), convolution(), enlargement(2)
        super().__init__(args, _FEATURE_SCALE // args.scale, upsampler)
        self.conv_up1 = nn.Conv2d(args.num_feat, args.num_feat, 3, padding=1)
        self.conv_up2 = nn.Conv2d(args.num_feat, args.num_feat, 3, padding=1)

    def upsampled(self, features: Tensor) -> Tensor:
        """Upsample by two, twice, each time followed by a convolution."""
        for conv in (self.conv_up1, self.conv_up2):
            features = _activated(conv(functional.interpolate(features, scale_factor=2.0, mode="nearest")))
        return features

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """See `Network`. Assumes as many input as output channels; more at the first convolution mean a pixel
        unshuffle."""
        if not {"body.0.rdb1.conv1.weight", "conv_up1.weight"} <= shapes.keys():
            return None
        args = _recognise_trunk(shapes)
        unshuffle = round((args["num_in_ch"] / args["num_out_ch"]) ** 0.5)
        return {**args, "num_in_ch": args["num_out_ch"], "scale": _FEATURE_SCALE // unshuffle}


class RrdbPixelShuffle(_RrdbTrunk):
    """RRDB with a pixel-shuffle upsampler, HGGT's main generator. Source: official class `RRDBPSNet`."""

    name = "rrdb_pixelshuffle"
    args_type = RrdbPixelShuffleArgs

    def __init__(self, args: RrdbPixelShuffleArgs) -> None:
        super().__init__(args, 1, upsampler_steps(args.scale))
        self.upsample = pixel_shuffle_upsampler(args.scale, args.num_feat)

    def upsampled(self, features: Tensor) -> Tensor:
        """Apply the whole upsampler, then one activation."""
        return _activated(self.upsample(features))

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """See `Network`."""
        if not {"body.0.rdb1.conv1.weight", "upsample.0.weight"} <= shapes.keys():
            return None
        return {**_recognise_trunk(shapes), "scale": recognise_scale(shapes)}


class _Rrdb(nn.Module):
    """Three dense blocks with a skip connection."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.rdb1 = _DenseBlock(num_feat, num_grow_ch)
        self.rdb2 = _DenseBlock(num_feat, num_grow_ch)
        self.rdb3 = _DenseBlock(num_feat, num_grow_ch)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = features + _BRANCH_WEIGHT * self.rdb3(self.rdb2(self.rdb1(features)))
        return output


class _DenseBlock(nn.Module):
    """Five densely connected convolutions, initialised close to the identity."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_grow_ch, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat + num_grow_ch, num_grow_ch, 3, padding=1)
        self.conv3 = nn.Conv2d(num_feat + 2 * num_grow_ch, num_grow_ch, 3, padding=1)
        self.conv4 = nn.Conv2d(num_feat + 3 * num_grow_ch, num_grow_ch, 3, padding=1)
        self.conv5 = nn.Conv2d(num_feat + 4 * num_grow_ch, num_feat, 3, padding=1)
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim == 1:  # a bias
                    parameter.zero_()
                else:
                    nn.init.kaiming_normal_(parameter).mul_(_INITIAL_WEIGHT)

    def forward(self, features: Tensor) -> Tensor:
        seen = features
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, _activated(conv(seen))], dim=1)
        output: Tensor = features + _BRANCH_WEIGHT * self.conv5(seen)
        return output


def _activated(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, 0.2, inplace=True)


def _recognise_trunk(shapes: Shapes) -> dict[str, Any]:
    return {
        "num_in_ch": shapes["conv_first.weight"][1],
        "num_out_ch": shapes["conv_last.weight"][0],
        "num_feat": shapes["conv_first.weight"][0],
        "num_block": count_keys(shapes, "body.{}.rdb1.conv1.weight"),
        "num_grow_ch": shapes["body.0.rdb1.conv1.weight"][0],
    }
