"""Sets of pictures by their features: weights, groups, source pictures and seeds. The network is not needed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hggt_eval.metrics import SET_METRICS
from hggt_eval.metrics.set_distances import FeatureSet, fid, kid
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.picture_sets import PictureSets, SetGroup, join_sets, unpack_features
from hggt_eval.scores.scores import MethodScores

SIZE = 8
METHODS = ("a", "b@1", "b@2")
_random = np.random.default_rng(0)
GROUPS = tuple(
    SetGroup(
        id=f"p{number // 2}-0-{number}",
        image_name=f"p{number // 2}",
        ground_truths={"original": f"o{number}"},
        positives={f"0{k}": f"{number}p{k}" for k in range(number % 3)},  # every third group has none
    )
    for number in range(12)
)
FEATURES = {
    name: _random.normal(1, 0.3, (1, SIZE)).astype(np.float32)
    for group in GROUPS
    for name in (
        *group.ground_truths.values(),
        *group.positives.values(),
        *(f"{method} {group.id}" for method in METHODS),
    )
}
SETS = PictureSets(
    GROUPS,
    {method: {group.id: f"{method} {group.id}" for group in GROUPS} for method in METHODS},
    {"tensorflow": FEATURES},
)


def evaluation(*metrics: str, sets: PictureSets = SETS, same: tuple[tuple[str, ...], ...] = ()) -> Evaluation:
    return Evaluation(
        metrics=tuple(SET_METRICS[name] for name in metrics),
        methods=tuple(MethodScores(name, ()) for name in sets.restored),
        without_positives=(),
        num_groups=len(GROUPS),
        same_pictures=same,
        sets=sets,
    )


@pytest.mark.parametrize(("name", "compute"), [("kid_positives", kid), ("fid_positives", fid)])
def test_positives_share_the_weight_of_their_group_and_groups_without_one_leave_both_sets(
    name: str, compute: Callable[[FeatureSet, FeatureSet], float]
) -> None:
    chosen = [group for group in GROUPS if group.positives]
    reference = [
        (FEATURES[sha256], 1 / len(group.positives), unit)
        for unit, group in enumerate(chosen)
        for sha256 in group.positives.values()
    ]
    numbers = np.arange(len(chosen))
    restored = np.concatenate([FEATURES[f"a {group.id}"] for group in chosen]).astype(np.float64)
    units = np.array([unit for *_, unit in reference])
    positives = np.concatenate([part for part, *_ in reference]).astype(np.float64)
    weights = np.array([weight for _, weight, _ in reference])
    expected = compute(
        FeatureSet(restored, np.ones(len(chosen)), numbers, numbers), FeatureSet(positives, weights, units, units)
    )
    found = evaluation(name).distances["a"][name]
    assert found.value == pytest.approx(expected)
    assert found.num_images == 8


def test_seeds_enter_with_their_mean_and_have_no_p() -> None:
    comparison = compare_methods(evaluation("kid", "fid"), "a")
    own = [evaluation("kid").distances[name]["kid"].value for name in ("b@1", "b@2")]
    summary = comparison.summary("b", "kid")
    assert summary.mean == pytest.approx(np.mean(own))
    assert summary.num_seeds == 2
    assert summary.deviation == pytest.approx(np.std(own, ddof=1))
    assert [difference.p_value for difference in comparison.differences] == [None, None]
    assert (summary.num_groups, summary.num_pictures, summary.effective_pictures) == (12, 6, 6)


def test_source_pictures_that_are_one_picture_leave_together() -> None:
    summary = compare_methods(evaluation("kid", same=(("p0", "p1", "p2", "p3"),))).summary("a", "kid")
    assert summary.num_pictures == 3
    assert summary.effective_pictures == pytest.approx(12**2 / (8**2 + 2 * 2**2))


def test_sets_of_different_groups_are_not_ranked() -> None:
    few = {**SETS.restored, "a": {group.id: f"a {group.id}" for group in GROUPS[:7]}}
    comparison = compare_methods(evaluation("fid", sets=replace(SETS, restored=few)), "a")
    assert (comparison.summary("a", "fid").num_groups, comparison.summary("a", "fid").num_missing) == (7, 5)
    [difference] = comparison.differences
    assert difference.num_groups == 7


def test_features_are_the_same_after_packing() -> None:
    unpacked = unpack_features(SETS.packed)
    assert {name: values.tolist() for name, values in unpacked["tensorflow"].items()} == {
        name: values.tolist() for name, values in FEATURES.items()
    }
    assert replace(SETS, features=unpacked).packed == SETS.packed
    with pytest.raises(ValueError, match="it is no npz file"):
        unpack_features(b"PK")


def test_joined_sets_have_all_methods_and_pictures() -> None:
    parts = [replace(SETS, restored={name: SETS.restored[name]}) for name in METHODS]
    assert join_sets(parts, [SET_METRICS["kid"]]) == SETS
