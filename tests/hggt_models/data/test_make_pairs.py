from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hggt_models.config.recipes import load_config
from hggt_models.config.train import TrainConfig
from hggt_models.data import make_pairs as maker
from hggt_models.data.make_pairs import PairMaker
from hggt_models.degradation.chain import degrade
from hggt_models.degradation.random_source import RandomSource
from hggt_models.degradation.sharpening import sharpen
from hggt_models.losses.negative import negative_map
from tests.hggt_models.data.coded import NO_DEGRADATION, Cut, coded, cut_of
from tests.hggt_models.degradation.sources import Draws, sources

CELLS, SCALE = 16, 4
SMALL = ("source_px=64", "crop_px=32", "batch_size=4", "pool_size=0")
DRAWS: tuple[Draws, ...] = ("per batch", "joined", "per sample")
RECIPES = {
    "picture": "rrdb-psnr",
    "original": "rrdb-gan-original",
    "positive": "rrdb-gan-positive",
    "positive_negative": "rrdb-gan-positive-negative",
}
NUM_PICTURES = {"picture": 1, "original": 1, "positive": 2, "positive_negative": 4}


def config(target: str, *more: str) -> TrainConfig:
    return load_config(RECIPES[target], [*SMALL, *more])


def labels(count: int) -> dict[str, Tensor]:
    """With and without positives and negatives."""
    numbers = torch.arange(count)
    return {
        "positive_agreement": 2 + numbers % 2,
        "negative_agreement": torch.where(numbers % 3 == 2, 0, 3 - numbers % 2),
        "num_annotators": 3 + numbers % 3,
        "has_positive": numbers % 4 != 1,
        "has_negative": numbers % 3 != 2,
    }


def coded_batch(target: str, count: int = 4) -> dict[str, Tensor]:
    """Pictures of whole cells; picture k of sample n has code 10 n + k."""
    pictures = np.array(
        [[coded(10 * n + k, (CELLS, CELLS), SCALE) for k in range(NUM_PICTURES[target])] for n in range(count)]
    )
    return {"pictures": torch.from_numpy(pictures).permute(0, 1, 4, 2, 3).contiguous(), **labels(count)}


def noisy_batch(target: str, count: int = 4, side: int = 64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    shape = (count, NUM_PICTURES[target], 3, side, side)
    return {"pictures": torch.randint(256, shape, dtype=torch.uint8, generator=generator), **labels(count)}


def real_batch(photos: Tensor, target: str) -> dict[str, Tensor]:
    """Real pictures; the others of a sample are changed."""
    pixels = photos.int()
    changed = [pixels, pixels + 9, 255 - pixels, pixels // 2][: NUM_PICTURES[target]]
    return {"pictures": torch.stack(changed, 1).clamp(0, 255).byte(), **labels(len(pixels))}


def cell_cut(pixels: Tensor) -> Cut:
    """How a crop of whole cells was cut, with top and left counted in cells."""
    cells = pixels[:, ::SCALE, ::SCALE]
    assert torch.equal(cells.repeat_interleave(SCALE, 1).repeat_interleave(SCALE, 2), pixels)
    return cut_of(cells)


def where(crop: Tensor, picture: Tensor) -> tuple[int, int]:
    """Top and left of a crop (3, h, w) in a picture."""
    windows = picture.unfold(1, crop.shape[1], 1).unfold(2, crop.shape[2], 1)  # (3, tops, lefts, h, w)
    matches = (windows == crop[:, None, None]).all(-1).all(-1).all(0).nonzero().tolist()
    assert len(matches) == 1
    return matches[0][0], matches[0][1]


# Cutting


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("target", RECIPES)
def test_lr_and_crop_show_the_same_place_of_the_right_pictures(target: str, draws: Draws) -> None:
    make = PairMaker(config(target, *NO_DEGRADATION)).make
    places = set()
    for seed in range(6):
        pairs = make(coded_batch(target), sources(draws, seed, 4))
        assert pairs["lr"].shape == (4, 3, 8, 8)
        assert pairs["target"].shape == (4, 3, 32, 32)
        for n in range(4):
            lr, crop = cut_of(pairs["lr"][n]), cell_cut(pairs["target"][n])
            assert (lr.top, lr.left) == (crop.top, crop.left)
            assert lr.code == 10 * n  # of the original
            assert crop.code == 10 * n + (0 if target in ("picture", "original") else 1)
            if target == "positive_negative":
                negative = cell_cut(pairs["negative"][n])
                assert (negative.code, negative.top, negative.left) == (10 * n + 3, lr.top, lr.left)
            places.add((lr.top, lr.left))
    assert len(places) > 3


@pytest.mark.parametrize("draws", DRAWS)
def test_crops_are_uniformly_distributed(draws: Draws) -> None:
    make = PairMaker(config("original", *NO_DEGRADATION, "crop_px=56")).make
    batch = coded_batch("original", 1)
    found = [cut_of(lr) for seed in range(180) for lr in make(batch, sources(draws, seed, 1))["lr"]]
    shares = dict.fromkeys(product(range(3), range(3)), 0.0)
    for cut in found:
        shares[cut.top, cut.left] += 1 / len(found)
    assert shares == pytest.approx(dict.fromkeys(shares, 1 / 9), abs=0.08)


def test_samples_that_share_a_random_source_are_cut_alike() -> None:
    make = PairMaker(config("original", *NO_DEGRADATION)).make
    batch = coded_batch("original", 6)
    for seed in range(10):
        *alike, apart = (make(batch, sources(draws, seed, 6))["lr"] for draws in DRAWS)
        for lr in alike:
            assert len({(cut.top, cut.left) for cut in map(cut_of, lr)}) == 1
        assert len({(cut.top, cut.left) for cut in map(cut_of, apart)}) > 1


def test_an_enhancer_learns_from_pairs_of_one_size() -> None:
    small = load_config("enhance-03", [*NO_DEGRADATION, "source_px=64", "crop_px=24"])
    pairs = PairMaker(small).make(coded_batch("picture"), sources("per batch", 1, 4))
    assert torch.equal(pairs["lr"], pairs["target"])
    assert pairs["lr"].shape == (4, 3, 24, 24)


@pytest.mark.parametrize("draws", DRAWS)
def test_the_whole_source_is_degraded_before_it_is_cut(photos: Tensor, draws: Draws) -> None:
    settings = config("positive")
    batch = real_batch(photos, "positive")
    pairs = PairMaker(settings).make(batch, sources(draws, 5, 4))
    whole = degrade(batch["pictures"][:, 0].float() / 255, settings.degradation, sources(draws, 5, 4))
    for n in range(4):
        top, left = where(pairs["target"][n], batch["pictures"][n, 1])
        assert top % SCALE == left % SCALE == 0
        cut = whole[n, :, top // SCALE : top // SCALE + 8, left // SCALE : left // SCALE + 8]
        assert torch.equal(pairs["lr"][n].float() / 255, cut)


@pytest.mark.parametrize("target", RECIPES)
def test_drawn_per_sample_a_pair_does_not_depend_on_the_others(photos: Tensor, target: str) -> None:
    make = PairMaker(config(target)).make
    batch = real_batch(photos, target)
    together = make(batch, sources("per sample", 7, 4))
    for n in range(4):
        alone = make({name: value[n : n + 1] for name, value in batch.items()}, [sources("per sample", 7, 4)[n]])  # type: ignore[index]
        assert alone.keys() == together.keys()
        for name, value in alone.items():
            assert torch.equal(value[0], together[name][n]), name


# The form in which pairs are stored


@pytest.mark.parametrize("target", RECIPES)
def test_whole_levels_are_stored_as_bytes_without_loss(
    photos: Tensor, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    degraded: list[Tensor] = []

    def record(*arguments: Any) -> Tensor:
        degraded.append(degrade(*arguments))
        return degraded[-1]

    monkeypatch.setattr(maker, "degrade", record)
    batch = real_batch(photos, target)
    pairs = PairMaker(config(target, "crop_px=64")).make(batch, sources("per batch", 2, 4))
    assert pairs["lr"].dtype == pairs["target"].dtype == torch.uint8
    opened = PairMaker.open(pairs)
    assert torch.equal(opened.lr, degraded[0])
    compared = batch["pictures"][:, min(1, NUM_PICTURES[target] - 1)]
    assert torch.equal(opened.target * 255, compared.float())
    assert opened.lr.dtype == opened.target.dtype == torch.float32
    assert opened.real is opened.target
    if target == "positive_negative":
        assert pairs["negative"].dtype == torch.uint8
        assert opened.negative is not None
        assert torch.equal(opened.negative * 255, batch["pictures"][:, 3].float())


@pytest.mark.parametrize("target", RECIPES)
def test_a_pair_holds_only_what_its_target_needs(target: str) -> None:
    batch = noisy_batch(target)
    before = {name: value.clone() for name, value in batch.items()}
    pairs = PairMaker(config(target)).make(batch, RandomSource(0))
    more = {"negative", "has_negative", "negative_map"} if target == "positive_negative" else set()
    assert pairs.keys() == {"lr", "target"} | more
    assert not any(value.requires_grad for value in pairs.values())
    assert all(len(value) == 4 for value in pairs.values())
    assert all(torch.equal(value, batch[name]) for name, value in before.items())
    opened = PairMaker.open(pairs)
    assert (opened.negative is None) == (opened.negative_map is None) == (opened.has_negative is None) == (not more)


# Sharpening


@pytest.mark.parametrize("target", ["picture", "positive"])
def test_target_and_source_are_sharpened_and_the_real_picture_is_not(photos: Tensor, target: str) -> None:
    draws: Draws = "per batch"
    settings = config(target, "sharpen=true", "crop_px=64")
    batch = real_batch(photos, target)
    pairs = PairMaker(settings).make(batch, sources(draws, 2, 4))
    compared = batch["pictures"][:, min(1, NUM_PICTURES[target] - 1)]
    opened = PairMaker.open(pairs)
    assert torch.equal(opened.target, sharpen(compared.float() / 255))
    assert pairs["real"].dtype == torch.uint8
    assert torch.equal(opened.real * 255, compared.float())
    assert not torch.equal(opened.real, opened.target)
    source = sharpen(batch["pictures"][:, 0].float() / 255)
    assert torch.equal(opened.lr, degrade(source, settings.degradation, sources(draws, 2, 4)))
    plain = PairMaker(config(target, "crop_px=64")).make(batch, sources(draws, 2, 4))
    assert not torch.equal(plain["lr"], pairs["lr"])
    assert torch.equal(PairMaker.open(plain).target, opened.real)


@pytest.mark.parametrize("adversarial", [0, 0.1])
def test_a_discriminator_decides_whether_sharpening_or_cutting_comes_first(photos: Tensor, adversarial: float) -> None:
    """As in the official models, which mirror the border of the picture in one case and of the crop in the other."""
    batch = real_batch(photos, "picture")
    settings = config("picture", "sharpen=true", f"loss.adversarial={adversarial}")
    pairs = PairMaker(settings).make(batch, RandomSource(4))
    whole = sharpen(batch["pictures"][:, 0].float() / 255)
    for n in range(4):
        top, left = where(pairs["real"][n], batch["pictures"][n, 0])
        cut_last = whole[n, :, top : top + 32, left : left + 32]
        cut_first = sharpen(pairs["real"][n : n + 1].float() / 255)[0]
        expected, other = (cut_first, cut_last) if adversarial else (cut_last, cut_first)
        torch.testing.assert_close(pairs["target"][n], expected, rtol=0, atol=1e-6)
        assert (pairs["target"][n] - other).abs().max() > 1 / 255


# The negative


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize(
    "more", [(), ("loss.negative_window_px=7", "loss.negative_power=0.5")], ids=["published", "other"]
)
def test_the_map_is_that_of_the_crops(draws: Draws, more: tuple[str, ...]) -> None:
    settings = config("positive_negative", *more)
    batch = noisy_batch("positive_negative", 8)
    pairs = PairMaker(settings).make(batch, sources(draws, 9, 8))
    cut = []
    for n in range(8):
        top, left = where(pairs["negative"][n], batch["pictures"][n, 3])
        cut.append(batch["pictures"][n, :, :, top : top + 32, left : left + 32])
    original, target, map_positive, negative = (torch.stack(cut)[:, k] for k in range(4))
    expected = negative_map(
        original.float() / 255,
        map_positive.float() / 255,
        negative.float() / 255,
        batch["positive_agreement"],
        batch["negative_agreement"],
        batch["has_positive"],
        batch["num_annotators"],
        settings.loss.negative_window_px,
        settings.loss.negative_power,
    )
    torch.testing.assert_close(pairs["negative_map"], expected, rtol=1e-6, atol=1e-9)
    assert torch.equal(pairs["target"], target)
    assert torch.equal(pairs["has_negative"], batch["has_negative"])
    assert pairs["negative_map"].shape == (8, 1, 32, 32)
    assert pairs["negative_map"][batch["has_negative"]].any()
    assert not pairs["negative_map"][~batch["has_negative"]].any()
    opened = PairMaker.open(pairs)
    assert opened.negative_map is pairs["negative_map"]
    assert opened.has_negative is pairs["has_negative"]
