"""The perceptual hash: what it survives, and what it tells apart."""

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from hggt_data.comparison.perceptual_hash import MOST_DIFFERENT_BITS, find_alike, perceptual_hash
from hggt_data.io.images import Pixels, read_pixels


@pytest.fixture(scope="module")
def photographs(fixtures: Path) -> list[Pixels]:
    """All originals of the fixtures: crops of four photographs, none of which overlap by more than a half."""
    paths = sorted([*fixtures.glob("Train/images/0-6/original/*.png"), *fixtures.glob("Test/**/original/*.png")])
    assert len(paths) == 12
    return [read_pixels(path) for path in paths]


def distance(one: Pixels, two: Pixels) -> int:
    hashes = perceptual_hash(one), perceptual_hash(two)
    assert hashes[0] is not None
    assert hashes[1] is not None
    return int(np.bitwise_count(hashes[0] ^ hashes[1]))


def saved_as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def test_a_changed_picture_looks_alike(photographs: list[Pixels]) -> None:
    seen = 0
    for pixels in photographs:
        if perceptual_hash(pixels) is None:
            continue
        image = Image.fromarray(pixels)
        half = image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)
        for changed in (
            saved_as_jpeg(image, 50),
            half,
            image.resize((image.width * 2, image.height * 2), Image.Resampling.LANCZOS),
            ImageEnhance.Brightness(image).enhance(1.15),
            ImageEnhance.Color(image).enhance(0.7),
            saved_as_jpeg(ImageEnhance.Contrast(half).enhance(0.9), 70),
        ):
            assert distance(pixels, np.asarray(changed)) <= MOST_DIFFERENT_BITS
            seen += 1
    assert seen >= 60


def test_different_pictures_do_not_look_alike(photographs: list[Pixels]) -> None:
    sharp = [pixels for pixels in photographs if perceptual_hash(pixels) is not None]
    distances = [distance(one, two) for one, two in combinations(sharp, 2)]
    assert len(distances) >= 45
    assert min(distances) >= 2 * MOST_DIFFERENT_BITS


def test_flat_pictures_have_no_hash() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    noisy = np.random.default_rng(0).integers(126, 131, (64, 64, 3)).astype(np.uint8)
    sky = np.repeat(np.linspace(120, 160, 64).astype(np.uint8)[:, None], 64, axis=1)
    for pixels in (grey, noisy, np.dstack([sky] * 3)):
        assert perceptual_hash(pixels) is None


def test_pairs_up_to_the_threshold_are_found() -> None:
    one = np.array([0, 2**63], np.uint64)
    two = np.array([2**MOST_DIFFERENT_BITS - 1, 2 ** (MOST_DIFFERENT_BITS + 1) - 1], np.uint64)
    assert find_alike(one, two) == [(0, 0, MOST_DIFFERENT_BITS)]
