"""Random sources of both ways to draw: once for a batch, or for each sample."""

from typing import Literal

from hggt_models.degradation.random_source import RandomSource

Draws = Literal["per batch", "per sample"]


def sources(draws: Draws, seed: int, count: int, device: str = "cpu") -> RandomSource | list[RandomSource]:
    if draws == "per batch":
        return RandomSource(seed, device)
    return [RandomSource(10_000 * seed + number, device) for number in range(count)]
