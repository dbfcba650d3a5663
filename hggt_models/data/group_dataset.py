"""Training samples from patch groups: only the pictures that a target needs are read and decoded."""

from collections.abc import Sequence
from pathlib import Path

import torch

from hggt_data.errors import DatasetError
from hggt_data.groups import GroupSource
from hggt_models.config.sections import PAIR_TARGETS, WHOLE_GROUP, PositiveRule, TargetKind
from hggt_models.data.samples import Sample, SampleDataset
from hggt_models.data.targets import GroupLabels, choose, most_positives
from hggt_models.data.training_groups import open_training_groups, require_labels_and_originals


class GroupDataset(SampleDataset):
    """Samples of the groups that a target can learn from, for your own training loop.

    A sample holds its `number` and `pictures`, uint8 (K, 3, source_px, source_px) RGB, all cropped and flipped alike:
    the original (to make the LR from), then for `positive` a positive (to compare with); for `positive_negative` then
    also the positive and the negative of the negative map, and `positive_agreement`, `negative_agreement`,
    `num_annotators`, `has_positive` and `has_negative`. The original replaces what a group does not have. A negative
    that equals one of the positives does not count. `preference` gives the same of a pair: the chosen picture is both
    positives, the rejected one the negative, and the agreements are shares (`num_annotators` is 1). With the rules
    `nearest` and `all` the other positives follow, repeated up to `num_positives` in all, and `has_target`
    (num_positives,) tells which of them, after the positive to compare with, are not repetitions.

    Numbers have no end: each `len(dataset)` of them are all groups once, in another order and with other crops and
    choices. `ShareSampler` gives such numbers to `Readers` or a `DataLoader`; with a sampler that stops at
    `len(dataset)`, every epoch has the same samples. The seed and the number alone decide a sample. A dataset can be
    pickled.

    Args:
        groups: Opened groups, a tree, a built dataset or ORG/NAME on the Hub, whose training split is used.
        target: `original`, `positive`, `positive_negative` or `preference`.
        source_px: Side of the square that is cut from each picture.
        flip: Mirror half of the samples.
        rotate: Rotate by multiples of 90 degrees.
        seed: Seed of all choices.
        positions: Groups to use.  [default: those with the labels that the target requires]
        labelled: Labels of these groups, if they are known.
        rule: Which positive to compare with, see `TrainConfig.positives`.
        num_positives: Positives in a sample with the rules `nearest` and `all`.  [default: the most of any group]

    Example:
        >>> import tempfile
        >>> from hggt_data import write_demo_tree
        >>> from hggt_models.data import GroupDataset
        >>> samples = GroupDataset(write_demo_tree(tempfile.mkdtemp()).train, "positive", source_px=128)
        >>> len(samples), samples[0]["pictures"].shape
        (6, torch.Size([2, 3, 128, 128]))

    Source: official `data/posneggt_posneg_dataset.py`.
    """

    def __init__(
        self,
        groups: GroupSource | str | Path,
        target: TargetKind,
        *,
        source_px: int,
        flip: bool = True,
        rotate: bool = False,
        seed: int = 0,
        positions: Sequence[int] | None = None,
        labelled: Sequence[GroupLabels] | None = None,
        rule: PositiveRule = "uniform",
        num_positives: int | None = None,
    ) -> None:
        if not isinstance(groups, GroupSource):
            groups = open_training_groups(groups, accepts_pairs=target == "preference")
        self._groups = groups
        if positions is None:
            known = [GroupLabels.of(group, target) for group in self._groups]
            require_labels_and_originals(self._groups, known, accepts_pairs=target == "preference")
            positions = [number for number, labels in enumerate(known) if labels.serves(target)]
            labelled = [known[number] for number in positions]
            if not positions:
                raise DatasetError(f"{self._groups.location} has no groups that the target {target!r} can learn from")
        self._positions = positions
        self._labelled = labelled or [GroupLabels.of(self._groups[number], target) for number in positions]
        self._target = target
        self._rule: PositiveRule = rule
        self._num_positives = num_positives or most_positives(self._labelled)
        super().__init__(len(positions), source_px=source_px, flip=flip, rotate=rotate, seed=seed)

    def __getitem__(self, number: int) -> Sample:
        """The sample with this number; ImageError names a picture that is damaged, too small, or of another size."""
        index, rng = self.locate(number)
        choice = choose(self._labelled[index], self._target, rng, self._rule)
        position = self._positions[index]
        names = list(choice.names)
        if self._rule in WHOLE_GROUP:
            num_missing = self._num_positives - 1 - len(choice.others)
            names += [*choice.others, *[names[1]] * num_missing]
        labels = [self._groups.name_picture(position, name) for name in names]
        pictures = self.cut(labels, lambda k: self._groups.read(position, names[k]), rng)
        sample = {"number": torch.tensor(number), "pictures": pictures}
        if self._rule in WHOLE_GROUP:
            sample["has_target"] = torch.arange(self._num_positives) <= len(choice.others)
        if self._target not in PAIR_TARGETS:
            return sample
        _, *positives, negative = pictures[: len(choice.names)]
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
