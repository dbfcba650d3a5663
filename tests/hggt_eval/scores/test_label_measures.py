"""Constructed cases, with the means written out."""

import math

import pytest

from hggt_eval.metrics import METRICS, require_metric
from hggt_eval.metrics.labels import GroupMean
from hggt_eval.scores.label_measures import LabelMeasures, measure_labels
from hggt_eval.scores.scores import GroupScores


def group(
    number: int, positives: dict[str, float], negatives: dict[str, float], agreement: dict[str, int] | None = None
) -> GroupScores:
    """LPIPS as given, and a PSNR of 40 minus a hundred times LPIPS."""

    def both(values: dict[str, float]) -> dict[str, dict[str, float]]:
        return {name: {"lpips": value, "psnr": 40 - 100 * value} for name, value in values.items()}

    everyone = dict.fromkeys((*positives, *negatives), 3)
    return GroupScores(
        id=f"p-{number}-0",
        image_name="p",
        file="x.png",
        labels={},
        positives=both(positives),
        negatives=both(negatives),
        agreement=everyone | (agreement or {}),
    )


GROUPS = (
    group(0, {"01": 0.10, "02": 0.30}, {"03": 0.25, "04": 0.45}, {"02": 2}),
    group(1, {"01": 0.20}, {"03": 0.15}),
    group(2, {"02": 0.30, "04": 0.10}, {}, {"02": 2, "04": 2}),
)


def measure(*groups: GroupScores) -> LabelMeasures:
    return measure_labels(groups, (METRICS["psnr"], METRICS["lpips"], require_metric("niqe")))


def mean(value: float, num_groups: int, num_infinite: int = 0) -> GroupMean:
    return GroupMean(pytest.approx(value), num_groups, num_infinite)  # type: ignore[arg-type]


def test_the_best_positive_is_the_nearest_for_a_distance_and_the_highest_for_a_similarity() -> None:
    best = measure(*GROUPS).best_of_positives
    assert best == {"psnr": mean((30 + 20 + 30) / 3, 3), "lpips": mean((0.1 + 0.2 + 0.1) / 3, 3)}


def test_distance_to_negatives_is_over_groups_that_have_one() -> None:
    distance = measure(*GROUPS).distance_to_negatives
    assert distance == {"psnr": mean((5 + 25) / 2, 2), "lpips": mean((0.35 + 0.15) / 2, 2)}


def test_the_margin_compares_the_nearest_of_either_kind_for_distances_only() -> None:
    measures = measure(*GROUPS)
    assert measures.positive_margin == {"lpips": mean(((0.25 - 0.10) + (0.15 - 0.20)) / 2, 2)}
    assert measures.nearer_to_negative == {"lpips": mean(0.5, 2)}


def test_equally_near_to_both_is_not_nearer_to_a_negative() -> None:
    measures = measure(group(0, {"01": 0.2}, {"02": 0.2}))
    assert measures.nearer_to_negative["lpips"].value == 0


def test_scores_by_agreement_are_means_over_groups_that_have_such_positives() -> None:
    by_agreement = measure(*GROUPS).by_agreement
    assert by_agreement == {
        2: {"psnr": mean((10 + 20) / 2, 2), "lpips": mean((0.30 + 0.20) / 2, 2)},
        3: {"psnr": mean((30 + 20) / 2, 2), "lpips": mean((0.10 + 0.20) / 2, 2)},
    }


def test_without_negatives_their_measures_are_not_a_number() -> None:
    measures = measure(group(0, {"01": 0.2}, {}))
    assert math.isnan(measures.positive_margin["lpips"].value)
    assert measures.distance_to_negatives["lpips"].num_groups == 0


def test_groups_with_an_infinite_best_are_counted_but_left_out_of_the_mean() -> None:
    perfect = group(0, {"01": -math.inf, "02": 0.3}, {})  # infinite PSNR
    best = measure(perfect, group(1, {"01": 0.2}, {})).best_of_positives
    assert best["psnr"] == mean(20, 1, num_infinite=1)
    best = measure(perfect).best_of_positives
    assert best["psnr"] == GroupMean(math.inf, 0, 1)


def test_a_method_without_groups_has_no_measures() -> None:
    measures = measure()
    assert not measures.best_of_positives
    assert not measures.by_agreement
