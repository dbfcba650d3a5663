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
from hggt_models.losses.distance import mean_difference
from hggt_models.losses.negative import negative_loss
from hggt_models.losses.perceptual import PerceptualLoss
from hggt_models.losses.positives import mean_over_targets
from hggt_models.losses.preference import triplet_loss
from hggt_models.runtime import Runtime
from hggt_models.training.joint_mean import joint_mean
from hggt_models.training.preference import PreferenceLoss

Losses = dict[str, Tensor]


class GeneratorLosses:
    """The weighted losses of a run's outputs.

    `perceptual` is the network that compares features, if a loss does so; `preference` is the form `dpo` of the
    negative loss, if the run has it.
    """

    def __init__(
        self,
        config: TrainConfig,
        runtime: Runtime,
        perceptual: PerceptualLoss | None,
        preference: PreferenceLoss | None = None,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._perceptual = perceptual
        self._preference = preference

    def compute(
        self, output: Tensor, pairs: TrainingPairs, discriminator: nn.Module | None, average: nn.Module | None
    ) -> Losses:
        """Each loss times its weight, as scalars with gradient, under the same names in every step.

        Values without gradient among them are only logged.

        Args:
            output: The generator's images (N, 3, H, W) for `pairs`, in float32.
            pairs: What they are compared with.
            discriminator: That of the adversarial loss; None without one.
            average: The generator's moving average, if there is one.
        """
        weights = self._config.loss
        losses = {}
        if weights.pixel:
            losses["pixel"] = weights.pixel * self._pixel_loss(output, pairs)
        if weights.perceptual and self._perceptual is not None:
            with autocast(self._config, self._runtime):
                losses["perceptual"] = weights.perceptual * self._perceptual_loss(self._perceptual, output, pairs)
        if discriminator is not None:
            losses["adversarial"] = weights.adversarial * self._adversarial_loss(output, pairs.real, discriminator)
        losses |= self._negative_loss(output, pairs)
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

    def _pixel_loss(self, output: Tensor, pairs: TrainingPairs) -> Tensor:
        if self._config.positives != "all":
            return (output - pairs.target).abs().mean()
        assert pairs.targets is not None
        assert pairs.has_target is not None
        return mean_over_targets(partial(mean_difference, output), pairs.targets, pairs.has_target)

    def _perceptual_loss(self, perceptual: PerceptualLoss, output: Tensor, pairs: TrainingPairs) -> Tensor:
        if self._config.positives != "all":
            loss: Tensor = perceptual(output, pairs.target)
            return loss
        assert pairs.targets is not None
        assert pairs.has_target is not None
        features = perceptual.describe(output)

        def compare(images: Tensor) -> Tensor:
            with torch.no_grad():
                wanted = perceptual.describe(images)
            return perceptual.compare(features, wanted)

        return mean_over_targets(compare, pairs.targets, pairs.has_target)

    def _negative_loss(self, output: Tensor, pairs: TrainingPairs) -> Losses:
        """The negative loss in its form, named by it; nothing for a run without one."""
        weights, negative, has_negative = self._config.loss, pairs.negative, pairs.has_negative
        if negative is None or has_negative is None:
            return {}
        if self._preference is not None:
            with autocast(self._config, self._runtime):
                loss, distances = self._preference.compute(output, pairs)
            return {"dpo": weights.negative * loss, **distances}
        assert pairs.negative_map is not None
        if weights.negative_form == "triplet":
            assert pairs.chosen is not None
            loss = triplet_loss(
                output, pairs.chosen, negative, pairs.negative_map, has_negative, weights.triplet_margin
            )
            return {"triplet": weights.negative * loss}
        distance = negative_loss(output, negative, pairs.negative_map, has_negative, weights.negative_margin)
        return {"negative": -weights.negative * distance}


def make_adversarial_loss(config: TrainConfig, runtime: Runtime) -> AdversarialLoss:
    """The adversarial loss of generator and discriminator, over the batches of all processes."""
    return AdversarialLoss(config.loss.adversarial_form, partial(joint_mean, runtime=runtime))


def autocast(config: TrainConfig, runtime: Runtime) -> AbstractContextManager[Any]:
    """The context in which a run's networks compute in the number format that its settings ask for."""
    return torch.autocast(runtime.device.type, torch.bfloat16, enabled=config.precision == "bf16")
