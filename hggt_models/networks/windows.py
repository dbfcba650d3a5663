"""Square windows: pad a picture to whole windows, cut it into windows, join them again."""

from torch import Tensor

from hggt_models.reflection import reflected


def pad_to_multiple(images: Tensor, multiple: int, extra: bool = False) -> Tensor:
    """Pad images (N, C, H, W) at the bottom and right, by reflection, until both sides are multiples of `multiple`.

    Small pictures are reflected repeatedly. With `extra`, a side that already is a multiple gets one `multiple` more,
    as in the official SwinIR.
    """
    for axis in (2, 3):
        size = images.shape[axis]
        padded = (size // multiple + 1) * multiple if extra else -(-size // multiple) * multiple
        if padded > size:
            images = images.index_select(axis, reflected(0, padded, size, images.device))
    return images


def to_windows(images: Tensor, size: int) -> Tensor:
    """Cut (N, H, W, C) into windows, row by row: (N, H * W / size^2, size^2, C)."""
    n, height, width, channels = images.shape
    cut = images.reshape(n, height // size, size, width // size, size, channels).transpose(2, 3)
    return cut.reshape(n, -1, size * size, channels)


def from_windows(windows: Tensor, size: int, height: int, width: int) -> Tensor:
    """The reverse of `to_windows`: (N, H * W / size^2, size^2, C) to (N, H, W, C)."""
    n, _, _, channels = windows.shape
    cut = windows.reshape(n, height // size, width // size, size, size, channels).transpose(2, 3)
    return cut.reshape(n, height, width, channels)
