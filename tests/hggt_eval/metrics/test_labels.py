"""Measures by name, as settings of a training run name them; tests/hggt_eval/scores has the means over groups."""

import numpy as np
import pytest

from hggt_data.errors import HggtError
from hggt_eval.metrics.labels import LabelScores, parse_measure

SCORES = LabelScores(np.array([0.3, 0.1]), np.array([0.2, 0.5]), np.array([3, 2]))
VALUES = {
    "lpips.best_of_positives": (0.1, False),
    "psnr.best_of_positives": (0.3, True),
    "lpips.distance_to_negatives": (0.35, True),
    "psnr.distance_to_negatives": (0.35, False),  # a high PSNR against negatives is bad
    "lpips.positive_margin": (0.1, True),
    "dists.nearer_to_negative": (0, False),
    "psnr.by_agreement.3": (0.3, True),
    "lpips.by_agreement.2": (0.1, False),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_label_measure_has_a_name_a_value_and_a_direction(name: str) -> None:
    measure = parse_measure(name)
    assert measure.name == name
    value, higher_is_better = VALUES[name]
    assert measure.of_group(SCORES) == pytest.approx(value)
    assert measure.higher_is_better == higher_is_better


def test_a_group_without_the_candidates_has_no_value() -> None:
    only_positives = LabelScores(np.array([0.3]), agreement=np.array([3]))
    missing = (
        "lpips.distance_to_negatives",
        "lpips.positive_margin",
        "lpips.nearer_to_negative",
        "psnr.by_agreement.2",
    )
    assert [parse_measure(name).of_group(only_positives) for name in missing] == [None] * 4
    assert parse_measure("psnr.best_of_positives").of_group(LabelScores(np.empty(0))) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fid", "fid compares sets of pictures, so single pictures have no value"),
        ("psnr.best_of_positive", "label measure 'best_of_positive' is not known; did you mean 'best_of_positives'?"),
        ("psnr.by_agreement.all", "label measure 'by_agreement.all' is not known"),
        ("psnr.positive_margin", "requires a distance; expected lpips or dists"),
        ("niqe.positive_margin", "niqe compares with no candidate, so it has no label measures"),
        ("pnsr.positive_margin", "metric 'pnsr' is not known; did you mean 'psnr'?"),
    ],
)
def test_other_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(HggtError) as caught:
        parse_measure(name)
    assert message in str(caught.value)
