"""The images of the golden maps, and random ones."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from tests.hggt_models.degradation.golden import waves


@dataclass(frozen=True)
class GoldenImages:
    """See tests/data/README.md."""

    original: Tensor
    positive: Tensor
    negative: Tensor
    output: Tensor
    ema_output: Tensor


@pytest.fixture(scope="session")
def golden_images() -> GoldenImages:
    original = waves(32, 32)
    return GoldenImages(
        original=original,
        positive=(original + 0.06 * waves(32, 32, salt=1.3) ** 2).clamp(0, 1),
        negative=(original - 0.2 * waves(32, 32, salt=2.1) ** 3).clamp(0, 1),
        output=0.9 * original + 0.05,
        ema_output=0.95 * original + 0.02,
    )


@pytest.fixture
def random_images() -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(count: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.rand(count, 3, height, width, generator=generator, dtype=dtype)

    return draw
