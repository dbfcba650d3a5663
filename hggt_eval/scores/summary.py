"""What a comparison says of one method and metric: its mean, and its difference from a baseline."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """A method's mean of one metric, or its value of a metric of sets.

    Attributes:
        method: Name of the method, without its seed.
        metric: Name of the metric.
        mean: Mean over groups; infinite if all scores are, NaN if the seeds share no group.
        low: Lower end of the 95 % interval; None with fewer than two source pictures.
        high: Upper end of that interval.
        num_groups: Groups in the mean.
        num_pictures: Source pictures from which the groups are cut, those with infinite scores included.
        effective_pictures: How many source pictures with equally many groups would be as informative; groups in the
            mean count.
        num_infinite: Groups left out because their score is infinite.
        num_missing: Groups on which another method was scored but not this one.
        num_seeds: Training runs; 1 if the method has no seeds.
        deviation: Standard deviation (n - 1) of the seeds' means over these groups; None with fewer than two seeds.
        num_patches: Patches of the restored images, for metrics of sets of patches.
    """

    method: str
    metric: str
    mean: float
    low: float | None
    high: float | None
    num_groups: int
    num_pictures: int
    effective_pictures: float
    num_infinite: int = 0
    num_missing: int = 0
    num_seeds: int = 1
    deviation: float | None = None
    num_patches: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """A method minus the baseline, over the groups that both have.

    Attributes:
        method: Name of the method, without its seed.
        baseline: Name of the baseline.
        metric: Name of the metric.
        mean: Mean difference over groups; NaN without a group.
        low: Lower end of the 95 % interval; None with fewer than two source pictures.
        high: Upper end of that interval.
        p_value: P-value of the two-sided paired permutation test; None with fewer than two source pictures, for FID,
            and for a metric of sets with several seeds.
        p_holm: The same, corrected by Holm for all methods compared within the metric.
        num_groups: Groups that both methods have.
        num_pictures: Source pictures of these groups.
        effective_pictures: How many source pictures with equally many groups would be as informative.
    """

    method: str
    baseline: str
    metric: str
    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    p_holm: float | None
    num_groups: int
    num_pictures: int
    effective_pictures: float
