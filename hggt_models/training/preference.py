"""The preference of a run's network, compared with that of the network which it started from."""

import torch
from torch import Tensor, nn

from hggt_models.config.train import TrainConfig
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.losses.distance import Distance, LpipsDistance, PixelDistance, VggDistance
from hggt_models.losses.perceptual import PerceptualLoss
from hggt_models.losses.preference import PairDistances, dpo_loss
from hggt_models.runtime import Runtime

CHOSEN_DISTANCE, START_DISTANCE = "preference_distance", "start_distance"


class PreferenceLoss:
    """The form `dpo` of the negative loss; `start` is the frozen network that the run started from."""

    def __init__(self, config: TrainConfig, runtime: Runtime, start: nn.Module, perceptual: PerceptualLoss | None):
        self._start = start
        self._beta = config.loss.dpo_beta
        self._distance: Distance = PixelDistance()
        if config.measures_preference("vgg"):
            assert perceptual is not None
            self._distance = VggDistance(perceptual)
        elif config.measures_preference("lpips"):
            self._distance = LpipsDistance().to(runtime.device)

    def compute(self, output: Tensor, pairs: TrainingPairs) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss with gradient; and without it the mean distances to the chosen images, now and at the start.

        Distances count all samples, also those without a rejected image.
        """
        assert pairs.chosen is not None
        assert pairs.negative is not None
        assert pairs.has_negative is not None
        describe, compare = self._distance.describe, self._distance.compare
        with torch.no_grad():
            start = describe(self._start(pairs.lr).float())
            chosen, rejected = describe(pairs.chosen), describe(pairs.negative)
        features = describe(output)
        distances = PairDistances(
            chosen=compare(features, chosen),
            rejected=compare(features, rejected),
            start_chosen=compare(start, chosen),
            start_rejected=compare(start, rejected),
            between=compare(chosen, rejected),
        )
        loss = dpo_loss(distances, pairs.has_negative, self._beta)
        means = {CHOSEN_DISTANCE: distances.chosen, START_DISTANCE: distances.start_chosen}
        return loss, {name: value.detach().mean().float() for name, value in means.items()}
