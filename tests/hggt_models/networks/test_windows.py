import pytest
import torch
from torch.nn import functional

from hggt_models.networks.windows import pad_to_multiple
from tests.hggt_models.networks.small import random_images


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 9), (5, 16)])
def test_padding_mirrors_as_torch_does(height: int, width: int) -> None:
    images = random_images(2, 3, height, width)
    expected = functional.pad(images, (0, -width % 4, 0, -height % 4), mode="reflect")
    assert torch.equal(pad_to_multiple(images, 4), expected)


def test_extra_padding_adds_a_whole_multiple_to_sides_that_need_none() -> None:
    images = random_images(1, 3, 8, 7)
    assert torch.equal(pad_to_multiple(images, 4, extra=True), functional.pad(images, (0, 1, 0, 4), mode="reflect"))


def test_small_pictures_are_mirrored_repeatedly() -> None:
    rows = torch.tensor([10.0, 20.0, 30.0]).view(1, 1, 3, 1)
    padded = pad_to_multiple(rows, 8)
    assert padded.shape == (1, 1, 8, 8)
    assert padded[0, 0, :, 0].tolist() == [10, 20, 30, 20, 10, 20, 30, 20]
    assert padded[0, 0, 0].tolist() == [10] * 8
