"""Random numbers that a run can repeat, drawn without waiting for a device."""

import hashlib
from collections.abc import Sequence
from typing import Self

import torch
from torch import Generator, Tensor


class RandomSource:
    """Two generators that hang on one seed.

    What is drawn a few times per sample (kinds, scales, strengths) comes from `choices`, which lies on the CPU: Python
    may branch on it without waiting for the device, and every device gets the same. What is drawn per pixel comes from
    `pixels`, which lies on the device.

    Args:
        seed: 0 or more.
        device: where the images are.

    Example:
        >>> first, second = RandomSource(seed=7), RandomSource(seed=7)
        >>> bool(first.uniform(1, 75, 95) == second.uniform(1, 75, 95))
        True
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.choices = torch.Generator().manual_seed(seed)
        # Another seed than that of `choices`: on a CPU the two would give the same numbers.
        self.pixels = torch.Generator(device).manual_seed(self._draw_seed())

    @classmethod
    def from_text(cls, text: str, device: torch.device | str = "cpu") -> Self:
        """A source seeded by a text such as `SEED/FILE_NAME`, the same on every machine."""
        encoded = text.encode("utf-8", "surrogateescape")  # a file's name may be no text
        return cls(int.from_bytes(hashlib.sha256(encoded).digest()[:4]), device)

    @property
    def shared(self) -> "RandomSource":
        """What a batch has in common comes from here, see `BatchSource`."""
        return self

    def uniform(self, count: int, low: float | Tensor, high: float) -> Tensor:
        """`count` numbers from low to high, float32 on the CPU; `low` is one for all or (count,)."""
        return low + (high - low) * torch.rand(count, generator=self.choices)

    def happens(self, count: int, probability: float) -> Tensor:
        """`count` booleans on the CPU, each true with this probability."""
        return torch.rand(count, generator=self.choices) < probability

    def choose(self, count: int, weights: Sequence[float]) -> list[int]:
        """`count` positions in `weights`, each drawn with a probability in proportion to its weight."""
        drawn: list[int] = torch.multinomial(
            torch.tensor(weights, dtype=torch.float64), count, replacement=True, generator=self.choices
        ).tolist()
        return drawn

    def permutation(self, count: int) -> Tensor:
        """The numbers from 0 to count - 1 in a random order, on the CPU."""
        return torch.randperm(count, generator=self.choices)

    def _draw_seed(self) -> int:
        return int(torch.randint(2**32, (), generator=self.choices))  # the CPU's generator reads 32 bits of a seed


class BatchSource:
    """A source for each sample of a batch, and one for what all have in common.

    What a sample gets does not depend on which others are there. So a batch can be computed in parts, in several
    processes, whose `shared` sources hang on the same seed.

    Args:
        shared: of choices that are made once for the whole batch.
        samples: one for each sample that is here.
    """

    def __init__(self, shared: RandomSource, samples: Sequence[RandomSource]) -> None:
        self.shared = shared
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def pixels(self) -> list[Generator]:
        """Of what is drawn per pixel, for each sample."""
        return [sample.pixels for sample in self._samples]

    def uniform(self, count: int, low: float | Tensor, high: float) -> Tensor:
        """As that of `RandomSource`; `count` is the number of samples, here and below."""
        return low + (high - low) * torch.cat([sample.uniform(1, 0, 1) for sample in self._samples])

    def happens(self, count: int, probability: float) -> Tensor:
        """As that of `RandomSource`."""
        return torch.cat([sample.happens(1, probability) for sample in self._samples])

    def choose(self, count: int, weights: Sequence[float]) -> list[int]:
        """As that of `RandomSource`."""
        return [sample.choose(1, weights)[0] for sample in self._samples]
