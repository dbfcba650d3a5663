"""The vanilla GAN loss: binary cross-entropy of the discriminator's logits."""

from torch import Tensor
from torch.nn import functional

from hggt_models.losses.precision import as_float32


def adversarial_loss(logits: Tensor, is_real: bool) -> Tensor:
    """Mean binary cross-entropy of logits of any shape (above 0 means real): a scalar in float32, or float64 for
    float64.

    The discriminator learns `is_real` True for real and False for generated images, the generator True for its own.
    """
    logits = as_float32(logits)
    return functional.softplus(-logits if is_real else logits).mean()
