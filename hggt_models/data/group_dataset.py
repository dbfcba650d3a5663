"""Training samples from patch groups: only the pictures that a target needs are read and decoded."""

from collections.abc import Sequence

import torch

from hggt_data.groups import GroupSource
from hggt_models.config.train import TargetKind
from hggt_models.data.samples import Sample, SampleDataset
from hggt_models.data.targets import GroupLabels, choose


class GroupDataset(SampleDataset):
    """Samples from the groups at these positions, with their labels.

    A sample holds its `number` and `pictures`, uint8 (K, 3, H, W), in the order of `Choice.names`; for
    `positive_negative` also the other values of `Choice`. A negative that equals one of the other pictures does not
    count. See `SampleDataset` for the other arguments.
    """

    def __init__(
        self,
        groups: GroupSource,
        positions: Sequence[int],
        labelled: Sequence[GroupLabels],
        target: TargetKind,
        *,
        source_px: int,
        flip: bool,
        rotate: bool,
        seed: int,
    ) -> None:
        super().__init__(len(positions), source_px=source_px, flip=flip, rotate=rotate, seed=seed)
        self._groups = groups
        self._positions = positions
        self._labelled = labelled
        self._target = target

    def __getitem__(self, number: int) -> Sample:
        """The sample with this number; ImageError names a picture that is damaged, too small, or of another size."""
        index, rng = self.locate(number)
        choice = choose(self._labelled[index], self._target, rng)
        position = self._positions[index]
        labels = [self._groups.name_picture(position, name) for name in choice.names]
        pictures = self.cut(labels, lambda k: self._groups.read(position, choice.names[k]), rng)
        sample = {"number": torch.tensor(number), "pictures": pictures}
        if self._target != "positive_negative":
            return sample
        _, *positives, negative = pictures
        # One that equals a positive would push the output away from its own target.
        differs = not any(torch.equal(negative, positive) for positive in positives)
        return {
            **sample,
            "positive_agreement": torch.tensor(choice.positive_agreement),
            "negative_agreement": torch.tensor(choice.negative_agreement),
            "num_annotators": torch.tensor(choice.num_annotators),
            "has_positive": torch.tensor(choice.has_positive),
            "has_negative": torch.tensor(choice.has_negative and differs),
        }
