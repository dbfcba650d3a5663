"""The losses that the generator minimises, each times its weight."""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hggt_models.config.train import TrainConfig
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.losses.adversarial import AdversarialLoss
from hggt_models.losses.artifact_map import artifact_map, artifact_map_loss
from hggt_models.losses.negative import negative_loss
from hggt_models.runtime import Runtime
from hggt_models.training.joint_mean import joint_mean

Losses = dict[str, Tensor]


class GeneratorLosses:
    """The weighted losses of a run's outputs; `perceptual` is the network of the perceptual loss, if there is one."""

    def __init__(self, config: TrainConfig, runtime: Runtime, perceptual: nn.Module | None) -> None:
        self._config = config
        self._runtime = runtime
        self._perceptual = perceptual

    def compute(
        self, output: Tensor, pairs: TrainingPairs, discriminator: nn.Module | None, average: nn.Module | None
    ) -> Losses:
        """Each loss times its weight, as scalars with gradient, under the same names in every step.

        Args:
            output: The generator's images (N, 3, H, W) for `pairs`, in float32.
            pairs: What they are compared with.
            discriminator: That of the adversarial loss; None without one.
            average: The generator's moving average, if there is one.
        """
        weights = self._config.loss
        losses = {}
        if weights.pixel:
            losses["pixel"] = weights.pixel * (output - pairs.target).abs().mean()
        if self._perceptual is not None:
            with autocast(self._config, self._runtime):
                losses["perceptual"] = weights.perceptual * self._perceptual(output, pairs.target)
        if discriminator is not None:
            losses["adversarial"] = weights.adversarial * self._adversarial_loss(output, pairs.real, discriminator)
        if pairs.negative is not None and pairs.negative_map is not None and pairs.has_negative is not None:
            distance = negative_loss(
                output, pairs.negative, pairs.negative_map, pairs.has_negative, weights.negative_margin
            )
            losses["negative"] = -weights.negative * distance
        if weights.artifact_map and average is not None:
            with torch.no_grad(), autocast(self._config, self._runtime):
                average_output = average(pairs.lr)
            maps = artifact_map(pairs.real, output, average_output.float(), weights.artifact_window_px)
            losses["artifact_map"] = weights.artifact_map * artifact_map_loss(output, pairs.real, maps)
        return losses

    def _adversarial_loss(self, output: Tensor, real: Tensor, discriminator: nn.Module) -> Tensor:
        loss = make_adversarial_loss(self._config, self._runtime)
        with autocast(self._config, self._runtime):
            real_logits = None
            if loss.is_relative:
                with torch.no_grad():
                    real_logits = discriminator(real)
            logits = discriminator(output)
        return loss.generator(logits, real_logits)


def make_adversarial_loss(config: TrainConfig, runtime: Runtime) -> AdversarialLoss:
    """The adversarial loss of generator and discriminator, over the batches of all processes."""
    return AdversarialLoss(config.loss.adversarial_form, partial(joint_mean, runtime=runtime))


def autocast(config: TrainConfig, runtime: Runtime) -> AbstractContextManager[Any]:
    """The context in which a run's networks compute in the number format that its settings ask for."""
    return torch.autocast(runtime.device.type, torch.bfloat16, enabled=config.precision == "bf16")
