import numpy as np
import torch

from hggt_eval.metrics.tensors import as_images, levels_8bit


def test_a_picture_becomes_an_image() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    pixels.flags.writeable = False
    cropped = pixels[1:-1, 1:-1]
    images = as_images(cropped)
    assert (images.shape, images.dtype) == ((1, 3, 2, 3), torch.float32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[0, 2, 1, 0] == torch.tensor(float(pixels[2, 1, 2])) / 255
    assert levels_8bit(cropped)[0, 2, 1, 0] == pixels[2, 1, 2]


def test_what_becomes_of_the_pixels_does_not_touch_the_image() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    images = as_images(pixels)
    pixels[:] = 9
    assert images.eq(0).all()
