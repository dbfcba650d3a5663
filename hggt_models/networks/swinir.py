"""SwinIR (Liang et al. 2021) with a pixel-shuffle upsampler, HGGT's second generator."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hggt_models.networks.network import (
    DIV2K_MEAN,
    LARGEST_ARG,
    MeanShift,
    Network,
    NetworkArgs,
    Shapes,
    count_keys,
)
from hggt_models.networks.receptive_field import Step, convolution, receptive_field_px, windows
from hggt_models.networks.upsampling import can_upsample, pixel_shuffle_upsampler, recognise_scale, upsampler_steps
from hggt_models.networks.windows import from_windows, pad_to_multiple, to_windows

_UPSAMPLER_FEATURES = 64
_INITIAL_STD = 0.02
_LARGEST_KEPT_PX = 640 * 640  # a mask of 105 MB at the published window
_OTHER_REGION = -100.0
_FUSED_MULTIPLE = 8


@dataclass(frozen=True, kw_only=True)
class SwinIrArgs(NetworkArgs):
    """Arguments of `swinir`; the defaults are SwinIR-M.

    Attributes:
        upscale: Output side divided by input side: 3, or a power of two above 1.
        in_chans: Channels of input and output.
        img_size: Side of the training input. It only sets the size of the masks in the state dict, as in the official
            one.
        window_size: Side of the attention windows.
        img_range: Largest value of the first convolution's input.
        depths: Number of blocks in each layer; every second block shifts its windows by half.
        embed_dim: Features between the blocks.
        num_heads: Attention heads of each layer.
        mlp_ratio: Hidden features of a block's perceptron, relative to `embed_dim`.
        upsampler: Only `pixelshuffle` is supported.
        resi_connection: Only `1conv` is supported.
        drop_path_rate: Share of samples for which the last block's branches are dropped in training. It grows linearly
            from 0 at the first block.
        pad: `minimal` pads the input to whole windows. `official` also adds a whole window to sides that need none,
            which changes the output near the right and bottom edges.
    """

    upscale: int = 4
    in_chans: int = 3
    img_size: int = 64
    window_size: int = 8
    img_range: float = 1.0
    depths: tuple[int, ...] = (6, 6, 6, 6, 6, 6)
    embed_dim: int = 180
    num_heads: tuple[int, ...] = (6, 6, 6, 6, 6, 6)
    mlp_ratio: float = 2.0
    upsampler: str = "pixelshuffle"
    resi_connection: str = "1conv"
    drop_path_rate: float = 0.1
    pad: str = "minimal"

    def contradictions(self) -> Iterator[str]:
        """See `NetworkArgs`."""
        if sum(self.depths) > LARGEST_ARG:
            yield f"the sum of depths is {sum(self.depths):,}; expected at most {LARGEST_ARG:,}"
        if not can_upsample(self.upscale):
            yield f"upscale is {self.upscale}; expected 3, or a power of two above 1"
        if self.in_chans != len(DIV2K_MEAN):
            yield f"in_chans is {self.in_chans}; expected {len(DIV2K_MEAN)}"
        if self.window_size % 2:
            yield f"window_size is {self.window_size}; expected an even number"
        if self.img_size % self.window_size or self.img_size == self.window_size:
            yield f"img_size is {self.img_size}; expected at least two whole windows of {self.window_size}"
        if len(self.depths) != len(self.num_heads):
            yield f"depths has {len(self.depths)} layers and num_heads {len(self.num_heads)}"
        if any(self.embed_dim % heads for heads in self.num_heads):
            yield f"embed_dim {self.embed_dim} is not divisible by all of num_heads {self.num_heads}"
        if not 0 <= self.drop_path_rate < 1:
            yield f"drop_path_rate is {self.drop_path_rate}; expected 0 to 1"
        for name, known in (("upsampler", "pixelshuffle"), ("resi_connection", "1conv")):
            if getattr(self, name) != known:
                yield f"{name} is {getattr(self, name)!r}; only {known!r} is supported"
        if self.pad not in ("minimal", "official"):
            yield f"pad is {self.pad!r}; expected 'minimal' or 'official'"


class SwinIr(Network):
    """Swin transformer blocks between convolutions.

    Source: Liang et al. 2021; official class `SwinIR`. Differs: adds no extra window by default (see `pad`), and
    shares the attention masks of the last sizes between all blocks.
    """

    name = "swinir"
    args_type = SwinIrArgs

    def __init__(self, args: SwinIrArgs) -> None:
        super().__init__(args)
        self.scale = args.upscale
        self.window = args.window_size
        self.pads_extra = args.pad == "official"
        self.shift = MeanShift(DIV2K_MEAN, args.img_range)
        self.conv_first = nn.Conv2d(args.in_chans, args.embed_dim, 3, padding=1)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(args.embed_dim)})
        self.layers = nn.ModuleList(_Layer(args, layer) for layer in range(len(args.depths)))
        self.norm = nn.LayerNorm(args.embed_dim)
        self.conv_after_body = nn.Conv2d(args.embed_dim, args.embed_dim, 3, padding=1)
        self.conv_before_upsample = nn.Sequential(
            nn.Conv2d(args.embed_dim, _UPSAMPLER_FEATURES, 3, padding=1), nn.LeakyReLU(inplace=True)
        )
        self.upsample = pixel_shuffle_upsampler(args.upscale, _UPSAMPLER_FEATURES)
        self.conv_last = nn.Conv2d(_UPSAMPLER_FEATURES, args.in_chans, 3, padding=1)
        self.receptive_field_px = receptive_field_px(self._steps(args), args.upscale, args.window_size)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """See `Network`."""
        height, width = images.shape[2:]
        shallow = self.conv_first(self.shift(pad_to_multiple(images, self.window, self.pads_extra)))
        size = shallow.shape[2], shallow.shape[3]
        # A compiled network cannot use a cache, and masks of whole large pictures would fill the memory.
        is_kept = not torch.compiler.is_compiling() and size[0] * size[1] <= _LARGEST_KEPT_PX
        mask = (_kept_mask if is_kept else shifted_window_mask)(*size, self.window, shallow.device)
        features = self.patch_embed["norm"](shallow.permute(0, 2, 3, 1))  # (N, H, W, C)
        for layer in self.layers:
            features = layer(features, mask)
        deep = self.norm(features).permute(0, 3, 1, 2)  # (N, C, H, W)
        enlarged = self.upsample(self.conv_before_upsample(shallow + self.conv_after_body(deep)))
        output = self.shift.inverse(self.conv_last(enlarged))
        return output[:, :, : height * self.scale, : width * self.scale]

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """See `Network`. `img_range`, `drop_path_rate` and `pad` cannot be inferred."""
        block = "layers.{}.residual_group.blocks.{}."
        table = block + "attn.relative_position_bias_table"
        if table.format(0, 0) not in shapes or "conv_before_upsample.0.weight" not in shapes:
            return None
        if "layers.0.conv.weight" not in shapes or "conv_up1.weight" in shapes:  # unsupported options
            return None
        depths: list[int] = []
        while table.format(len(depths), 0) in shapes:
            depths.append(count_keys(shapes, table.format(len(depths), "{}")))
        embed_dim, in_chans = shapes["conv_first.weight"][:2]
        window_size = (math.isqrt(shapes[table.format(0, 0)][0]) + 1) // 2
        args: dict[str, Any] = {
            "upscale": recognise_scale(shapes),
            "in_chans": in_chans,
            "window_size": window_size,
            "depths": depths,
            "embed_dim": embed_dim,
            "num_heads": [shapes[table.format(layer, 0)][1] for layer in range(len(depths))],
            "mlp_ratio": shapes[(block + "mlp.fc1.weight").format(0, 0)][0] / embed_dim,
        }
        windows_of_mask = next((shape[0] for key, shape in shapes.items() if key.endswith("attn_mask")), None)
        if windows_of_mask is not None:
            args["img_size"] = math.isqrt(windows_of_mask) * window_size
        return args

    @staticmethod
    def _steps(args: SwinIrArgs) -> Iterator[Step]:
        yield convolution()  # conv_last
        yield from upsampler_steps(args.upscale)
        yield convolution(2)  # conv_after_body and conv_before_upsample
        for depth in reversed(args.depths):
            yield convolution()
            for block in reversed(range(depth)):
                yield windows((args.window_size, args.window_size // 2 * (block % 2)))
        yield convolution()  # conv_first

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_INITIAL_STD)
                nn.init.zeros_(module.bias)


class _Layer(nn.Module):
    """Blocks and a convolution, with a skip connection."""

    def __init__(self, args: SwinIrArgs, layer: int) -> None:
        super().__init__()
        before, last = sum(args.depths[:layer]), max(sum(args.depths) - 1, 1)
        blocks = nn.ModuleList(
            _Block(args, args.num_heads[layer], block % 2 == 1, args.drop_path_rate * (before + block) / last)
            for block in range(args.depths[layer])
        )
        self.residual_group = nn.ModuleDict({"blocks": blocks})
        self.conv = nn.Conv2d(args.embed_dim, args.embed_dim, 3, padding=1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Features (N, H, W, C) to features."""
        inner = features
        for block in self.residual_group["blocks"].children():
            inner = block(inner, mask)
        output: Tensor = features + self.conv(inner.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return output


class _Block(nn.Module):
    """Window attention, then a perceptron, each with a skip connection."""

    def __init__(self, args: SwinIrArgs, heads: int, shifted: bool, drop_path_rate: float) -> None:
        from torchvision.ops import StochasticDepth  # loads PyTorch's compiler, which takes seconds

        super().__init__()
        self.window = args.window_size
        self.offset = args.window_size // 2 if shifted else 0
        if shifted:
            # Unused, but part of official state dicts: `forward` receives the mask for its own size.
            self.register_buffer("attn_mask", shifted_window_mask(args.img_size, args.img_size, self.window))
        self.norm1 = nn.LayerNorm(args.embed_dim)
        self.attn = _WindowAttention(args.embed_dim, self.window, heads)
        self.norm2 = nn.LayerNorm(args.embed_dim)
        hidden = int(args.embed_dim * args.mlp_ratio + 1e-6)  # an inferred ratio may be slightly too small
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(args.embed_dim, hidden), "fc2": nn.Linear(hidden, args.embed_dim)})
        self.drop_path = StochasticDepth(drop_path_rate, mode="row")

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Features (N, H, W, C) to features."""
        height, width = features.shape[1:3]
        moved = self.norm1(features).roll((-self.offset, -self.offset), (1, 2))
        attended = self.attn(to_windows(moved, self.window), mask if self.offset else None)
        joined = from_windows(attended, self.window, height, width).roll((self.offset, self.offset), (1, 2))
        features = features + self.drop_path(joined)
        widened = functional.gelu(self.mlp["fc1"](self.norm2(features)))
        output: Tensor = features + self.drop_path(self.mlp["fc2"](widened))
        return output


class _WindowAttention(nn.Module):
    """Attention between the pixels of a window, with a learned bias for each relative position."""

    relative_position_index: Tensor

    def __init__(self, channels: int, window: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=_INITIAL_STD)
        self.register_buffer("relative_position_index", _relative_positions(window))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Windows (N, windows, pixels, C), and for shifted windows the mask (windows, pixels, pixels) to add."""
        n, count, pixels, channels = windows.shape
        size = channels // self.heads
        heads = self._project(windows, size).view(n, count, pixels, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if mask is None:
            queries, keys, values = heads.flatten(1, 2)  # (N * windows, heads, pixels, features)
        else:
            # Windows with different masks are treated as further heads, so that all samples share one bias.
            queries, keys, values = heads.flatten(2, 3)  # (N, windows * heads, pixels, features)
            bias = (bias + mask[:, None]).flatten(0, 1)
        attended = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=bias.to(queries.dtype), scale=size**-0.5
        )[..., :size]
        joined = attended.reshape(n, count, self.heads, pixels, size).transpose(2, 3).reshape(windows.shape)
        output: Tensor = self.proj(joined)
        return output

    def _project(self, windows: Tensor, size: int) -> Tensor:
        """Queries, keys and values of heads with this many features, followed by zeros up to `head_size`."""
        missing = head_size(size, windows.device) - size
        if not missing:
            projected: Tensor = self.qkv(windows)
            return projected
        # Padding the weights is cheaper than padding what they give.
        weight = functional.pad(self.qkv.weight.view(-1, size, windows.shape[-1]), (0, 0, 0, missing)).flatten(0, 1)
        bias = functional.pad(self.qkv.bias.view(-1, size), (0, missing)).flatten()
        return functional.linear(windows, weight, bias)


def head_size(size: int, device: torch.device) -> int:
    """Features per attention head to compute with: on CUDA, whose fused attention needs a multiple of 8, more zeros."""
    return -(-size // _FUSED_MULTIPLE) * _FUSED_MULTIPLE if device.type == "cuda" else size


def shifted_window_mask(height: int, width: int, window: int, device: torch.device | None = None) -> Tensor:
    """Mask (windows, pixels, pixels) added to the attention of windows shifted by half.

    It is -100 between pixels that are neighbours only because the picture wraps around.
    """
    rows, columns = (_regions(size, window, device) for size in (height, width))
    regions = 3 * rows[:, None] + columns  # (H, W)
    inside = to_windows(regions[None, :, :, None], window)[0, :, :, 0]
    return (inside[:, None] != inside[:, :, None]) * _OTHER_REGION


@lru_cache(maxsize=4)  # the sizes of inner and outer tiles
def _kept_mask(height: int, width: int, window: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # so that training may use it later
        return shifted_window_mask(height, width, window, device)


def _regions(size: int, window: int, device: torch.device | None) -> Tensor:
    """Along one axis: 0 in whole windows, 1 and 2 in the halves of the last window; the second half wrapped around."""
    position = torch.arange(size, device=device)
    return (position >= size - window).int() + (position >= size - window // 2).int()


def _relative_positions(window: int) -> Tensor:
    """Row of the bias table for each pair of a window's pixels, (window^2, window^2)."""
    row, column = (axis.flatten() for axis in torch.meshgrid([torch.arange(window)] * 2, indexing="ij"))
    rows = row[:, None] - row + window - 1
    columns = column[:, None] - column + window - 1
    return rows * (2 * window - 1) + columns
