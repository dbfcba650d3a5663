"""All scores of one run, with each metric's direction and the label measures, so that reports only print them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from hggt_data.schema import ORIGINAL
from hggt_eval.metrics import AnyMetric, SetMetric
from hggt_eval.scores.label_measures import LabelMeasures, measure_labels
from hggt_eval.scores.picture_sets import PictureSets, SetDistance, SetDistances
from hggt_eval.scores.scores import MethodScores


@dataclass(frozen=True)
class Evaluation:
    """All scores of one run.

    Attributes:
        metrics: Computed metrics in the order requested, each with its title and direction.
        methods: Methods in the order given.
        without_positives: Groups without a Positive, or in data without labels without an original; they are left out
            for every method.
        num_groups: Number of groups, scored or not.
        with_negatives: Whether restored images were also compared with the negatives.
        same_pictures: Names of source pictures that count as one: they look the same, or have equal pixels.
        sets: The sets of pictures that KID and FID compare; None without such a metric.
    """

    metrics: tuple[AnyMetric, ...]
    methods: tuple[MethodScores, ...]
    without_positives: tuple[str, ...]
    num_groups: int
    with_negatives: bool = False
    same_pictures: tuple[tuple[str, ...], ...] = ()
    sets: PictureSets | None = None

    @cached_property
    def set_distances(self) -> SetDistances:
        """KID and FID, computed when they are asked for."""
        assert self.sets is not None
        return SetDistances(self.sets, {name: names[0] for names in self.same_pictures for name in names})

    @cached_property
    def distances(self) -> Mapping[str, Mapping[str, SetDistance]]:
        """Method -> metric of sets -> its distance, for methods with groups in both sets."""
        metrics = [metric for metric in self.metrics if isinstance(metric, SetMetric)]
        return {
            method.name: {
                metric.name: self.set_distances.of(metric, method.name)
                for metric in metrics
                if self.set_distances.groups_of(metric, method.name)
            }
            for method in self.methods
        }

    @property
    def against_originals(self) -> bool:
        """Whether restored images were compared with the originals, because the data has no labels."""
        return any(ORIGINAL in group.positives for method in self.methods for group in method.groups)

    @property
    def why_left_out(self) -> str:
        """Why groups in `without_positives` are not scored, as half a sentence."""
        return "there is no original" if self.against_originals else "no candidate is Positive"

    @cached_property
    def label_measures(self) -> Mapping[str, LabelMeasures]:
        """Method -> its label measures; empty unless negatives were compared with."""
        if not self.with_negatives:
            return {}
        return {method.name: measure_labels(method.groups, self.metrics) for method in self.methods}
