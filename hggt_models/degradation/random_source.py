"""Reproducible random numbers, drawn without waiting for a device."""

import hashlib
from collections.abc import Sequence
from typing import Self

import torch
from torch import Generator, Tensor


class RandomSource:
    """Two generators with one seed (0 or more).

    Numbers per sample (kinds, scales, strengths) come from `choices` on the CPU: Python can branch on them without
    waiting for the device, and they are the same on every device. Numbers per pixel come from `pixels` on the images'
    device.

    Example:
        >>> first, second = RandomSource(seed=7), RandomSource(seed=7)
        >>> bool(first.uniform(1, 75, 95) == second.uniform(1, 75, 95))
        True
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.choices = torch.Generator().manual_seed(seed)
        # Not the seed of `choices`: on a CPU both would give the same numbers.
        self.pixels = torch.Generator(device).manual_seed(self._draw_seed())

    @classmethod
    def from_text(cls, text: str, device: torch.device | str = "cpu") -> Self:
        """Create a source from a text such as `SEED/FILE_NAME`; the same on every machine."""
        encoded = text.encode("utf-8", "surrogateescape")  # a file name may not be valid text
        return cls(int.from_bytes(hashlib.sha256(encoded).digest()[:4]), device)

    @property
    def shared(self) -> "RandomSource":
        """Source of what a batch has in common, see `BatchSource`."""
        return self

    def split(self, count: int) -> list["RandomSource"]:
        """A source for each of `count` samples: this one, from which they draw one after the other."""
        return [self] * count

    def uniform(self, count: int, low: float | Tensor, high: float) -> Tensor:
        """`count` numbers from low to high, float32 on the CPU; `low` is one number or (count,)."""
        return low + (high - low) * torch.rand(count, generator=self.choices)

    def happens(self, count: int, probability: float) -> Tensor:
        """`count` booleans on the CPU, each true with this probability."""
        return torch.rand(count, generator=self.choices) < probability

    def choose(self, count: int, weights: Sequence[float]) -> list[int]:
        """`count` indices into `weights`, drawn with probabilities in proportion to them."""
        drawn: list[int] = torch.multinomial(
            torch.tensor(weights, dtype=torch.float64), count, replacement=True, generator=self.choices
        ).tolist()
        return drawn

    def permutation(self, count: int) -> Tensor:
        """A random permutation of 0 to count - 1, on the CPU."""
        return torch.randperm(count, generator=self.choices)

    def _draw_seed(self) -> int:
        return int(torch.randint(2**32, (), generator=self.choices))  # the CPU's generator reads 32 bits of a seed


class BatchSource:
    """One source per sample of a batch, and a `shared` one for choices made once per batch.

    A sample's numbers do not depend on the others, so several processes can compute parts of a batch if their `shared`
    sources have the same seed.
    """

    def __init__(self, shared: RandomSource, samples: Sequence[RandomSource]) -> None:
        self.shared = shared
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def pixels(self) -> list[Generator]:
        """Generators of per-pixel numbers, one per sample."""
        return [sample.pixels for sample in self._samples]

    def split(self, count: int) -> list[RandomSource]:
        """The source of each sample; `count` is their number, here and below."""
        return list(self._samples)

    def uniform(self, count: int, low: float | Tensor, high: float) -> Tensor:
        """As in `RandomSource`."""
        return low + (high - low) * torch.cat([sample.uniform(1, 0, 1) for sample in self._samples])

    def happens(self, count: int, probability: float) -> Tensor:
        """As in `RandomSource`."""
        return torch.cat([sample.happens(1, probability) for sample in self._samples])

    def choose(self, count: int, weights: Sequence[float]) -> list[int]:
        """As in `RandomSource`."""
        return [sample.choose(1, weights)[0] for sample in self._samples]


def on_device(drawn: Tensor, images: Tensor) -> Tensor:
    """Drawn numbers on the images' device. The host does not wait until they have arrived."""
    return drawn.to(images.device, non_blocking=True)
