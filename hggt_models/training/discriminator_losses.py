"""The losses that the discriminator minimises."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hggt_models.config.train import TrainConfig
from hggt_models.runtime import Runtime
from hggt_models.training.generator_losses import Losses, autocast, make_adversarial_loss


class DiscriminatorLosses:
    """The losses of a run's discriminator on real and on generated images."""

    def __init__(self, config: TrainConfig, runtime: Runtime) -> None:
        self._config, self._runtime = config, runtime
        self._loss = make_adversarial_loss(config, runtime)

    def compute(self, real: Tensor, fake: Tensor, discriminator: nn.Module) -> Iterator[Losses]:
        """Yield losses, scalars with gradient; the caller's backward pass must come before the next ones.

        That is because another forward pass changes the spectral norms. `real` and `fake` are images (N, 3, H, W).
        """
        if self._config.discriminator_batches == "joint":
            real_logits, fake_logits = self._verdict(torch.cat([real, fake]), discriminator).chunk(2)
            yield {
                "discriminator_real": self._loss.discriminator(real_logits, True, fake_logits),
                "discriminator_fake": self._loss.discriminator(fake_logits, False, real_logits),
            }
            return
        others = None
        if self._loss.is_relative:
            with torch.no_grad():
                others = self._verdict(fake, discriminator)
        logits = self._verdict(real, discriminator)
        yield {"discriminator_real": self._loss.discriminator(logits, True, others)}
        others = logits.detach()
        yield {"discriminator_fake": self._loss.discriminator(self._verdict(fake, discriminator), False, others)}

    def _verdict(self, images: Tensor, discriminator: nn.Module) -> Tensor:
        with autocast(self._config, self._runtime):
            logits: Tensor = discriminator(images)
        return logits
