"""Adversarial losses of a discriminator's logits, of any shape; above 0 means real. All are scalars in float32.

vanilla       binary cross-entropy (Goodfellow et al. 2014)
lsgan         squared distance to 1 for real and 0 for generated images (Mao et al. 2017)
hinge         max(0, 1 - real) and max(0, 1 + fake); the generator lowers -fake (Lim and Ye 2017)
relativistic  vanilla, of each logit minus the mean of the other images' (Jolicoeur-Martineau 2018)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from hggt_models.losses.precision import as_float32

AdversarialForm = Literal["vanilla", "lsgan", "hinge", "relativistic"]


@dataclass(frozen=True, slots=True)
class AdversarialLoss:
    """An adversarial loss, for the generator and in two parts for the discriminator.

    Attributes:
        form: Its form. `relativistic` is the mean of two terms instead of their sum, as in the code of ESRGAN; only
            this form needs the logits of the `others`.
        mean: Mean of logits over the whole batch, for `relativistic`.
    """

    form: AdversarialForm = "vanilla"
    mean: Callable[[Tensor], Tensor] = Tensor.mean

    @property
    def is_relative(self) -> bool:
        """Whether logits of real and generated images are compared."""
        return self.form == "relativistic"

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The generator's loss; `real` are the logits of real images, without gradient."""
        if real is not None:
            return (self._term(fake, True, real) + self._term(real, False, fake)) / 2
        return -as_float32(fake).mean() if self.form == "hinge" else self._term(fake, True)

    def discriminator(self, logits: Tensor, is_real: bool, others: Tensor | None = None) -> Tensor:
        """The discriminator's loss on real images, or on generated ones; `others` are the logits of the other kind."""
        loss = self._term(logits, is_real, others)
        return loss / 2 if self.is_relative else loss

    def _term(self, logits: Tensor, is_real: bool, others: Tensor | None = None) -> Tensor:
        logits = as_float32(logits)
        if self.is_relative:
            assert others is not None
            logits = logits - self.mean(as_float32(others))
        if self.form == "lsgan":
            return (logits - float(is_real)).square().mean()
        signed = -logits if is_real else logits
        return (functional.relu(1 + signed) if self.form == "hinge" else functional.softplus(signed)).mean()
