"""The adversarial loss of the vanilla GAN: binary cross-entropy of a discriminator's verdicts."""

from torch import Tensor
from torch.nn import functional

from hggt_models.losses.precision import as_float32


def adversarial_loss(logits: Tensor, is_real: bool) -> Tensor:
    """How far verdicts lie from what they should be.

    Args:
        logits: verdicts of any shape before the sigmoid; above 0 means real.
        is_real: what they should be. The discriminator learns True of real and False of generated images, the
            generator True of its own.

    Returns:
        The mean over all verdicts, a scalar in float32, or float64 for such logits.
    """
    logits = as_float32(logits)
    return functional.softplus(-logits if is_real else logits).mean()
