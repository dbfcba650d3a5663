import pytest
import torch
from torch.nn import functional

from hggt_models.losses.adversarial import adversarial_loss


@pytest.mark.parametrize("is_real", [True, False])
def test_the_adversarial_loss_is_the_binary_cross_entropy(is_real: bool) -> None:
    logits = torch.linspace(-80, 80, 60).reshape(2, 1, 5, 6)
    expected = functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(is_real)))
    torch.testing.assert_close(adversarial_loss(logits, is_real), expected)
    undecided = adversarial_loss(torch.zeros(1, 1, 2, 2), is_real)
    assert undecided.item() == pytest.approx(0.6931472)  # ln 2


@pytest.mark.parametrize("is_real", [True, False])
def test_bfloat16_logits_give_a_float32_loss(is_real: bool) -> None:
    logits = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = adversarial_loss(logits, is_real)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, adversarial_loss(logits.float(), is_real))
