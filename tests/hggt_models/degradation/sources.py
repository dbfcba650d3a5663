"""Random sources for each way to draw: once per batch, with or without sources of the samples, or per sample."""

from typing import Literal

from hggt_models.degradation.chain import RandomNumbers
from hggt_models.degradation.random_source import BatchSource, RandomSource

Draws = Literal["per batch", "joined", "per sample"]


def sources(draws: Draws, seed: int, count: int, device: str = "cpu") -> RandomNumbers | list[RandomSource]:
    samples = [RandomSource(10_000 * seed + number, device) for number in range(count)]
    if draws == "per sample":
        return samples
    shared = RandomSource(seed + 5_000, device)
    return shared if draws == "per batch" else BatchSource(shared, samples)
