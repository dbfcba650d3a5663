"""JPEG compression and decompression with one quality per sample, as tensor operations on any device.

Chroma is subsampled (4:2:0) and the quantization tables are those of ITU-T T.81, annex K. Huffman coding is left out,
since it is lossless. Nothing here has a gradient or waits for the device.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

JpegForm = Literal["official", "libjpeg"]

_BLOCK = 8
_UNIT = 16  # side in luma pixels of four luma blocks and one block of each chroma
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * _BLOCK,) * 4,
)
# Float64 throughout: a GPU may round float32 products to TF32 or bfloat16, which would change quantized coefficients.
_TABLES = torch.tensor([_LUMA_TABLE, _CHROMA_TABLE], dtype=torch.float64)
_TO_YCC = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=torch.float64
)
_TO_RGB = torch.tensor([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], dtype=torch.float64)


def _cosines() -> Tensor:
    """The orthonormal 1-D DCT of a block: row = frequency, column = pixel."""
    pixels = torch.arange(_BLOCK, dtype=torch.float64)
    waves = torch.cos(torch.outer(pixels, 2 * pixels + 1) * math.pi / (2 * _BLOCK)) / 2
    waves[0] /= 2**0.5
    return waves


_DCT = _cosines()


@dataclass(frozen=True, slots=True)
class _Codec:
    """What differs between the two forms.

    Attributes:
        padding: mode of `pad` for incomplete units.
        upsampling: mode of `interpolate` for chroma.
        tables: (2, 8, 8) for luma and chroma at quality 50.
        in_bytes: whether intermediate samples and table entries are rounded to bytes.
    """

    padding: str
    upsampling: str
    tables: Tensor
    in_bytes: bool

    def stored(self, samples: Tensor) -> Tensor:
        """Samples, centred at 0, as stored between two steps."""
        return samples.round().clamp(-128, 127) if self.in_bytes else samples

    def tables_at(self, qualities: Tensor) -> Tensor:
        """Quantization steps (N, 2, 8, 8) at these qualities."""
        percent = torch.where(qualities < 50, 5000 / qualities, 200 - 2 * qualities)[:, None, None, None]
        tables = self.tables.to(qualities, non_blocking=True) * percent / 100
        # At quality 100 the unrounded steps are 0; the official code divides by them.
        return (tables + 0.5).floor().clamp(1, 255) if self.in_bytes else tables.clamp(min=1e-4)


_CODECS = {
    "official": _Codec("constant", "nearest", _TABLES.mT, in_bytes=False),
    "libjpeg": _Codec("replicate", "bilinear", _TABLES, in_bytes=True),
}


def compress_jpeg(images: Tensor, qualities: Tensor, form: JpegForm = "official") -> Tensor:
    """Compress images (N, 3, H, W) in [0, 1], of any size, and decompress them; float32, in 8-bit levels for `libjpeg`.

    `qualities` (N,) lie in 1 to 100, on the images' device, and may be fractions. The form `libjpeg` follows the common
    library. `official` follows the official training code: black padding, nearest-neighbour chroma, no rounding except
    of coefficients, and transposed tables.

    Source: official `utils/diffjpeg.py`, `DiffJPEG(differentiable=False)`, for that form.
    """
    codec = _CODECS[form]
    height, width = images.shape[-2:]
    padded = functional.pad(images.double(), (0, -width % _UNIT, 0, -height % _UNIT), mode=codec.padding)
    # Luma weights sum to 1 and chroma weights to 0, so centred RGB gives all three planes centred.
    ycc = codec.stored(_mixed(codec.stored(padded * 255 - 128), _TO_YCC))
    luma, chroma = ycc[:, :1], codec.stored(functional.avg_pool2d(ycc[:, 1:], 2))
    tables = codec.tables_at(qualities.double())
    luma = codec.stored(_quantized(luma, tables[:, :1]))
    chroma = codec.stored(_quantized(chroma, tables[:, 1:]))
    chroma = codec.stored(functional.interpolate(chroma, scale_factor=2.0, mode=codec.upsampling))
    rgb = codec.stored(_mixed(torch.cat([luma, chroma], 1)[..., :height, :width], _TO_RGB))
    return ((rgb + 128) / 255).clamp(0, 1).float()


def _mixed(images: Tensor, matrix: Tensor) -> Tensor:
    return torch.einsum("dc,nchw->ndhw", matrix.to(images.device, non_blocking=True), images)


def _quantized(planes: Tensor, tables: Tensor) -> Tensor:
    """Round the DCT coefficients of planes (N, C, H, W), made of whole blocks, to steps (N, 1, 8, 8)."""
    count, channels, height, width = planes.shape
    dct = _DCT.to(planes.device, non_blocking=True)
    blocks = planes.reshape(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    coefficients = torch.einsum("ui,nchiwj,vj->nchwuv", dct, blocks, dct)
    steps = tables[:, :, None, None]  # (N, 1, 1, 1, 8, 8)
    coefficients = (coefficients / steps).round() * steps
    return torch.einsum("ui,nchwuv,vj->nchiwj", dct, coefficients, dct).reshape(planes.shape)
