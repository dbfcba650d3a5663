import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hggt_data.io.images import Pixels
from hggt_models.degradation.jpeg import JpegForm, compress_jpeg
from tests.hggt_models.degradation.golden import golden, waves

FORMS: tuple[JpegForm, ...] = ("official", "libjpeg")


def _psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * torch.log10(torch.mean((a - b) ** 2)))


def _through_pillow(images: Tensor, quality: int) -> Tensor:
    def one(image: Tensor) -> Tensor:
        pixels: Pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()  # (H, W, 3)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255

    return torch.stack([one(image) for image in images])


@pytest.mark.parametrize("quality", [75, 85, 95])
def test_official_form_equals_the_official_code(quality: int) -> None:
    compressed = compress_jpeg(waves(48, 56), torch.tensor([float(quality)]), "official")
    torch.testing.assert_close(compressed, golden(f"jpeg.q{quality}"), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("quality", "size"), [(30, (160, 160)), (75, (98, 130)), (95, (97, 131))])
def test_libjpeg_form_is_close_to_libjpeg(crops: Tensor, quality: int, size: tuple[int, int]) -> None:
    images = crops[..., : size[0], : size[1]]
    compressed = compress_jpeg(images, torch.full((len(images),), float(quality)), "libjpeg")
    expected = _through_pillow(images, quality)
    for ours, libjpeg, image in zip(compressed, expected, images, strict=True):
        assert _psnr(ours, libjpeg) > _psnr(libjpeg, image) + 7  # measured: 9 at quality 95, 15 at 30
        assert _psnr(ours, image) == pytest.approx(_psnr(libjpeg, image), abs=0.1)


def test_libjpeg_form_clips_between_its_steps_as_libjpeg_does() -> None:
    saturated = (waves(160, 160) > 0.5).float()
    compressed = compress_jpeg(saturated, torch.tensor([75.0]), "libjpeg")
    assert _psnr(compressed, _through_pillow(saturated, 75)) > 39  # 36 without clipping


@pytest.mark.parametrize("form", FORMS)
def test_each_sample_has_its_own_quality(crops: Tensor, form: JpegForm) -> None:
    qualities = torch.tensor([20.0, 49.9, 50.0, 75.5, 90.0, 100.0])
    together = compress_jpeg(crops[:1].expand(6, -1, -1, -1), qualities, form)
    for k in range(6):
        alone = compress_jpeg(crops[:1], qualities[k : k + 1], form)
        torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=0)
    losses = [_psnr(image, crops[0]) for image in together]
    assert losses == sorted(losses)
    assert losses[0] + 5 < losses[-1]


@pytest.mark.parametrize("form", FORMS)
def test_every_size_is_kept_and_values_are_within_0_and_1(form: JpegForm) -> None:
    for size in ((1, 1), (1, 20), (15, 17), (16, 32)):
        images = (waves(*size) * 2 - 0.5).clamp(0, 1)
        compressed = compress_jpeg(images, torch.tensor([50.0]), form)
        assert compressed.shape == images.shape
        assert compressed.dtype == torch.float32
        assert 0 <= compressed.min() <= compressed.max() <= 1


def test_official_form_loses_almost_nothing_at_quality_100(crops: Tensor) -> None:
    grey = crops.mean(1, keepdim=True).expand(-1, 3, -1, -1)  # chroma is halved at any quality
    torch.testing.assert_close(compress_jpeg(grey, torch.full((6,), 100.0)), grey, rtol=0, atol=1e-4)


def test_libjpeg_form_gives_whole_8_bit_levels(crops: Tensor) -> None:
    levels = compress_jpeg(crops, torch.full((6,), 80.0), "libjpeg") * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)


def test_libjpeg_form_keeps_a_flat_colour_up_to_its_edges() -> None:
    flat = torch.tensor([200.0, 100.0, 50.0])[:, None, None].expand(1, 3, 19, 21) / 255
    libjpeg = compress_jpeg(flat, torch.tensor([95.0]), "libjpeg")
    assert (libjpeg - flat).abs().max() < 2.5 / 255
    # The official form pads with black, which rings into the picture.
    official = compress_jpeg(flat, torch.tensor([95.0]), "official")
    assert (official - flat).abs().max() > 5 / 255
