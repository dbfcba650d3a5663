"""Making and mixing pairs never waits for the device: no value is read back from it.

On fake tensors each operation only works out shapes, so asking for a value fails.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from hggt_models.config.recipes import load_config
from hggt_models.data.make_pairs import PairMaker
from hggt_models.data.pool import PairPool
from hggt_models.degradation.random_source import RandomSource


def batch_of(target: str, count: int = 2, side: int = 64) -> dict[str, torch.Tensor]:
    num_pictures = {"original": 1, "positive": 2, "positive_negative": 4}[target]
    return {
        "pictures": torch.randint(256, (count, num_pictures, 3, side, side), dtype=torch.uint8),
        "positive_agreement": torch.tensor([3, 2]),
        "negative_agreement": torch.tensor([2, 0]),
        "num_annotators": torch.tensor([3, 3]),
        "has_positive": torch.tensor([True, False]),
        "has_negative": torch.tensor([True, False]),
    }


@pytest.mark.parametrize(
    "recipe", ["rrdb-gan-original", "rrdb-gan-positive", "rrdb-gan-positive-negative", "sharpened"]
)
@pytest.mark.parametrize("draws", ["per batch", "per sample"])
def test_making_pairs_never_waits_for_the_device(recipe: str, draws: str) -> None:
    more = ["sharpen=true"] if recipe == "sharpened" else []
    config = load_config(recipe.replace("sharpened", "rrdb-gan-positive"), ["source_px=64", "crop_px=32", *more])
    sources = RandomSource(0) if draws == "per batch" else [RandomSource(seed) for seed in range(2)]
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    batch = {name: mode.from_tensor(value) for name, value in batch_of(config.target).items()}
    pool, maker = PairPool(4), PairMaker(config)
    for number in range(3):  # the third is an exchange; choices are real numbers, only what lies on the device is fake
        pairs = PairMaker.open(pool.exchange(maker.make(batch, sources), RandomSource(number)))
    assert pairs.lr.shape == (2, 3, 8, 8)
    assert pairs.target.shape == pairs.real.shape == (2, 3, 32, 32)
