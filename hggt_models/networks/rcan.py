"""RCAN (Zhang et al. 2018) without its upsampler: the backbone of HGGT's enhancers 01 and 02."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hggt_models.networks.network import (
    DIV2K_MEAN,
    LARGEST_ARG,
    MeanShift,
    Network,
    NetworkArgs,
    Shapes,
    count_keys,
)


@dataclass(frozen=True, kw_only=True)
class RcanArgs(NetworkArgs):
    """Arguments of `rcan_no_upsample`.

    Attributes:
        num_in_ch: Channels of the input.
        num_out_ch: Channels of the output.
        num_feat: Features between the blocks.
        num_group: Number of groups.
        num_block: Number of blocks in each group.
        squeeze_factor: Reduction of the features inside the channel attention.
        res_scale: Weight of a block's branch.
        img_range: Largest value of the first convolution's input.
        rgb_mean: Mean subtracted from the input, in [0, 1], one value per channel.
    """

    num_in_ch: int = 3
    num_out_ch: int = 3
    num_feat: int = 64
    num_group: int = 10
    num_block: int = 20
    squeeze_factor: int = 16
    res_scale: float = 1.0
    img_range: float = 255.0
    rgb_mean: tuple[float, ...] = DIV2K_MEAN

    def contradictions(self) -> Iterator[str]:
        """See `NetworkArgs`."""
        if self.num_group * self.num_block > LARGEST_ARG:
            yield f"num_group times num_block is {self.num_group * self.num_block:,}; expected at most {LARGEST_ARG:,}"
        if self.num_feat % self.squeeze_factor:  # the weights would not tell the factor
            yield f"num_feat {self.num_feat} is not a multiple of squeeze_factor {self.squeeze_factor}"
        if not self.num_in_ch == self.num_out_ch == len(self.rgb_mean):
            yield (
                f"num_in_ch {self.num_in_ch}, num_out_ch {self.num_out_ch} and the {len(self.rgb_mean)} values of "
                "rgb_mean must agree"
            )


class RcanNoUpsample(Network):
    """Groups of residual blocks with channel attention.

    The attention averages over the whole picture, so a tile never gives exactly the whole picture's result.

    Source: Zhang et al. 2018; official class `RCANNOUP`.
    """

    name = "rcan_no_upsample"
    args_type = RcanArgs
    channels_last = True

    def __init__(self, args: RcanArgs) -> None:
        super().__init__(args)
        self.scale = 1
        self.window = 1
        self.receptive_field_px = None
        self.shift = MeanShift(args.rgb_mean, args.img_range)
        self.conv_first = nn.Conv2d(args.num_in_ch, args.num_feat, 3, padding=1)
        self.body = nn.Sequential(*(_Group(args) for _ in range(args.num_group)))
        self.conv_after_body = nn.Conv2d(args.num_feat, args.num_feat, 3, padding=1)
        self.conv_last = nn.Conv2d(args.num_feat, args.num_out_ch, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """See `Network`."""
        shallow = self.conv_first(self.shift(images))
        return self.shift.inverse(self.conv_last(shallow + self.conv_after_body(self.body(shallow))))

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """See `Network`. `res_scale`, `img_range` and `rgb_mean` cannot be inferred."""
        if "body.0.residual_group.0.rcab.0.weight" not in shapes or "upsample.0.weight" in shapes:
            return None
        squeezed, num_feat = shapes["body.0.residual_group.0.rcab.3.attention.1.weight"][:2]
        return {
            "num_in_ch": shapes["conv_first.weight"][1],
            "num_out_ch": shapes["conv_last.weight"][0],
            "num_feat": num_feat,
            "num_group": count_keys(shapes, "body.{}.conv.weight"),
            "num_block": count_keys(shapes, "body.0.residual_group.{}.rcab.0.weight"),
            "squeeze_factor": num_feat // squeezed,
        }


class _Group(nn.Module):
    """Blocks and a convolution, with a skip connection."""

    def __init__(self, args: RcanArgs) -> None:
        super().__init__()
        self.residual_group = nn.Sequential(*(_Block(args) for _ in range(args.num_block)))
        self.conv = nn.Conv2d(args.num_feat, args.num_feat, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = features + self.conv(self.residual_group(features))
        return output


class _Block(nn.Module):
    """Two convolutions and channel attention, with a skip connection."""

    def __init__(self, args: RcanArgs) -> None:
        super().__init__()
        self.res_scale = args.res_scale
        self.rcab = nn.Sequential(
            nn.Conv2d(args.num_feat, args.num_feat, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(args.num_feat, args.num_feat, 3, padding=1),
            _ChannelAttention(args.num_feat, args.squeeze_factor),
        )

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = features + self.res_scale * self.rcab(features)
        return output


class _ChannelAttention(nn.Module):
    """Weight each channel by a function of all channel means."""

    def __init__(self, num_feat: int, squeeze_factor: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(num_feat, num_feat // squeeze_factor, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat // squeeze_factor, num_feat, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = features * self.attention(features)
        return output
