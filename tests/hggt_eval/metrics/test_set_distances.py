"""KID and FID: equal to torch-fidelity's on the same features, and to their formulas in pure loops."""

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from hggt_eval.metrics import set_distances
from hggt_eval.metrics.set_distances import FeatureSet, fid, fid_without_each, kid, kid_exchanges, kid_without_each
from hggt_eval.scores.resampling import mean_interval

Floats = NDArray[np.float64]


def features(seed: int, num: int = 60, size: int = 12) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.gamma(2, 0.3, (num, size)) @ rng.normal(1, 0.3, (size, size))


def plain(values: Floats, sources: NDArray[np.intp] | None = None) -> FeatureSet:
    numbers = np.arange(len(values))
    return FeatureSet(values, np.ones(len(values)), numbers, numbers if sources is None else sources)


def part_of(own: FeatureSet, kept: NDArray[np.bool_]) -> FeatureSet:
    return FeatureSet(own.features[kept], own.weights[kept], own.units[kept], own.sources[kept])


def test_kid_equals_torch_fidelitys_over_one_subset_of_all_pictures() -> None:
    one, other = (torch.from_numpy(features(seed)) for seed in (1, 2))
    options = {"kid_subsets": 1, "kid_subset_size": len(one), "verbose": False}
    theirs = kid_features_to_metric(one, other, **options)["kernel_inception_distance_mean"]
    assert kid(plain(one.numpy()), plain(other.numpy())) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("num", [60, 9])  # more and fewer pictures than features: full and singular covariances
def test_fid_equals_torch_fidelitys(num: int) -> None:
    one, other = (torch.from_numpy(features(seed, num)) for seed in (1, 2))
    statistics = [fid_features_to_statistics(own) for own in (one, other)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert fid(plain(one.numpy()), plain(other.numpy())) == pytest.approx(theirs, abs=1e-6)


def test_fid_of_normal_distributions_in_one_dimension() -> None:
    one, other = (plain(np.array(values)[:, None]) for values in ([1.0, 3.0, 5.0], [0.0, 1.0, 2.0]))
    assert fid(one, other) == pytest.approx((3 - 1) ** 2 + (2 - 1) ** 2)


def test_pictures_of_a_unit_share_its_weight_and_are_never_paired_with_each_other() -> None:
    values, shares = features(3, 5), np.array([1, 0.5, 0.5, 1, 1])
    units = np.array([0, 1, 1, 2, 3])
    own, other = FeatureSet(values, shares, units, units), plain(features(4, 4))

    def kernel(x: Floats, y: Floats) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    pairs = [(a, b) for a, b in itertools.product(range(5), repeat=2) if units[a] != units[b]]
    within = sum(shares[a] * shares[b] * kernel(values[a], values[b]) for a, b in pairs) / (4 * 3)
    theirs = np.mean([kernel(x, y) for x, y in itertools.permutations(other.features, 2)])
    across = sum(shares[a] * kernel(values[a], y) for a in range(5) for y in other.features) / (4 * 4)
    assert kid(own, other) == pytest.approx(within + theirs - 2 * across)
    mean = (values[0] + (values[1] + values[2]) / 2 + values[3] + values[4]) / 4
    covariance = sum(w * np.outer(x - mean, x - mean) for w, x in zip(shares, values, strict=True)) / 3
    roots = np.sqrt(np.linalg.eigvals(covariance @ np.cov(other.features.T)).astype(complex)).real.sum()
    traces = np.trace(covariance) + np.trace(np.cov(other.features.T))
    apart = ((mean - other.features.mean(axis=0)) ** 2).sum()
    assert fid(own, other) == pytest.approx(apart + traces - 2 * roots, abs=1e-6)


def test_kid_without_a_source_picture_is_that_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_distances, "_ROWS", 7)  # several chunks
    sources = np.random.default_rng(0).integers(0, 6, 60)
    one, other = plain(features(1), sources), plain(features(2), sources)
    value, without = kid_without_each(one, other)
    fids, fids_without = fid_without_each(one, other)
    assert (value, fids) == pytest.approx((kid(one, other), fid(one, other)))
    for source in range(6):
        rest = [part_of(own, sources != source) for own in (one, other)]
        assert (without[source], fids_without[source]) == pytest.approx((kid(*rest), fid(*rest)))


def test_exchanging_a_source_picture_changes_the_sign_of_its_contribution() -> None:
    sources = np.random.default_rng(0).integers(0, 6, 60)
    one, other, reference = (plain(features(seed), sources) for seed in (1, 2, 3))
    contributions = kid_exchanges(one, other, reference)
    difference = kid(one, reference) - kid(other, reference)
    assert contributions.sum() == pytest.approx(difference)
    for chosen in ([0], [1, 4], [0, 2, 3, 5]):
        exchanged = np.isin(sources, chosen)[:, None]
        first = plain(np.where(exchanged, other.features, one.features), sources)
        second = plain(np.where(exchanged, one.features, other.features), sources)
        flipped = kid(first, reference) - kid(second, reference)
        assert flipped == pytest.approx(difference - 2 * contributions[chosen].sum())


def test_above_as_many_pictures_as_features_fid_has_no_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_distances, "_MOST_RESAMPLED", 59)
    assert fid_without_each(plain(features(1)), plain(features(2)))[1].size == 0
    monkeypatch.setattr(set_distances, "_MOST_RESAMPLED", 60)
    monkeypatch.setattr(set_distances, "_MOST_PARTS", 10)
    assert fid_without_each(plain(features(1)), plain(features(2)))[1].size == 10


@pytest.mark.parametrize(("distance", "num"), [("kid", 8), ("kid", 20), ("fid", 8), ("fid", 20)])
def test_jackknife_intervals_cover(distance: str, num: int) -> None:
    """At least 0.87 of the intervals contain the mean over all sets of as many source pictures; nominal 0.95."""
    compute = kid_without_each if distance == "kid" else fid_without_each
    rng = np.random.default_rng(0)
    values, ends = [], []
    for _ in range(250):
        sources = np.repeat(np.arange(num), rng.integers(1, 5, num))
        effect, noise = rng.normal(size=(num, 6))[sources], rng.normal(size=(2, len(sources), 6))
        reference = np.maximum(effect + noise[0], -1)
        restored = reference * 1.2 + 0.3 + 0.5 * noise[1]
        value, without = compute(plain(restored, sources), plain(reference, sources))
        deviations = (num - 1) * (without.mean() - without)
        low, high = mean_interval(deviations, np.ones(num), 500)
        values.append(value)
        ends.append((value + low, value + high))
    truth = np.mean(values)
    assert np.mean([low <= truth <= high for low, high in ends]) > 0.87
