"""The forms of the adversarial loss, against the formulas of their papers."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hggt_models.losses.adversarial import AdversarialForm, AdversarialLoss

GENERATOR = torch.Generator().manual_seed(0)
REAL, FAKE = 3 * torch.randn(2, 2, 1, 5, 6, generator=GENERATOR)


def cross_entropy(logits: Tensor, is_real: bool) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(is_real)))


# Generator, discriminator on real images, discriminator on generated ones.
FORMULAS: dict[AdversarialForm, tuple[Tensor, Tensor, Tensor]] = {
    "vanilla": (cross_entropy(FAKE, True), cross_entropy(REAL, True), cross_entropy(FAKE, False)),
    "lsgan": (((FAKE - 1) ** 2).mean(), ((REAL - 1) ** 2).mean(), (FAKE**2).mean()),
    "hinge": (-FAKE.mean(), (1 - REAL).clamp(min=0).mean(), (1 + FAKE).clamp(min=0).mean()),
    "relativistic": (
        (cross_entropy(REAL - FAKE.mean(), False) + cross_entropy(FAKE - REAL.mean(), True)) / 2,
        cross_entropy(REAL - FAKE.mean(), True) / 2,
        cross_entropy(FAKE - REAL.mean(), False) / 2,
    ),
}


@pytest.mark.parametrize("form", FORMULAS)
def test_each_form_is_the_formula_of_its_paper(form: AdversarialForm) -> None:
    loss = AdversarialLoss(form)
    found = (
        loss.generator(FAKE, REAL if loss.is_relative else None),
        loss.discriminator(REAL, True, FAKE),
        loss.discriminator(FAKE, False, REAL),
    )
    torch.testing.assert_close(found, FORMULAS[form])


def test_the_vanilla_loss_does_not_overflow() -> None:
    logits = torch.linspace(-80, 80, 60).reshape(2, 1, 5, 6)
    torch.testing.assert_close(AdversarialLoss().discriminator(logits, False), cross_entropy(logits, False))
    undecided = AdversarialLoss().generator(torch.zeros(1, 1, 2, 2))
    assert undecided.item() == pytest.approx(0.6931472)  # ln 2


@pytest.mark.parametrize("form", FORMULAS)
def test_bfloat16_logits_give_a_float32_loss(form: AdversarialForm) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = AdversarialLoss(form).discriminator(REAL.bfloat16(), True, FAKE.bfloat16())
    assert loss.dtype == torch.float32
    expected = AdversarialLoss(form).discriminator(REAL.bfloat16().float(), True, FAKE.bfloat16().float())
    torch.testing.assert_close(loss, expected)
