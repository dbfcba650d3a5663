import pytest
import torch

from hggt_models.losses.precision import as_float32


@pytest.mark.parametrize(
    ("given", "becomes"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_values_are_float32_or_better(given: torch.dtype, becomes: torch.dtype) -> None:
    assert as_float32(torch.ones(2, dtype=given)).dtype == becomes
