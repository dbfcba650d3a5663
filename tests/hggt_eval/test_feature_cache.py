from pathlib import Path
from typing import Any

import pytest

from hggt_data.errors import OutputError
from hggt_data.io.images import Pixels
from hggt_data.loading import open_groups
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import name_methods
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.comparer import AnyComparer
from hggt_eval.protocol import evaluate

CACHED = ("lpips", "dists")


def load(name: str, weights: Path, **others: Any) -> AnyComparer:
    return METRICS[name].load(MetricSettings(weights_dir=weights, **others))


def counted(metric: AnyComparer) -> list[Pixels]:
    """The pictures that the metric describes from now on."""
    described: list[Pixels] = []
    original = metric.describe

    def describe(pixels: Pixels) -> Any:
        described.append(pixels)
        return original(pixels)

    metric.describe = describe  # type: ignore[method-assign]
    return described


@pytest.mark.parametrize("name", CACHED)
def test_cached_features_give_the_same_score_to_the_bit(
    random_weights: Path, pair: tuple[Pixels, Pixels], tmp_path: Path, name: str
) -> None:
    metric, cache = load(name, random_weights), FeatureCache(tmp_path)
    restored, positive = metric.describe(pair[0]), metric.describe(pair[1])
    expected = metric.compare(restored, positive)
    described = counted(metric)
    first = cache.describe(metric, pair[1], "a" * 64)
    second = cache.describe(metric, pair[1], "a" * 64)
    assert len(described) == 1
    assert metric.compare(restored, first) == metric.compare(restored, second) == expected
    for one, other in zip(metric.pack(positive).values(), metric.pack(second).values(), strict=True):
        assert (one == other).all()


def test_another_picture_border_or_weights_is_another_entry(
    random_weights: Path, pair: tuple[Pixels, Pixels], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path)
    metric = load("lpips", random_weights)
    cache.describe(metric, pair[0], "a" * 64)
    cache.describe(metric, pair[1], "b" * 64)
    cache.describe(load("lpips", random_weights, border=0), pair[0], "a" * 64)
    metric.weights_sha256 = {"other.pth": "0" * 64}
    cache.describe(metric, pair[0], "a" * 64)
    assert len(list(tmp_path.rglob("*.npz"))) == 4


@pytest.mark.parametrize(
    "damage", [lambda data: data[:1000], lambda data: b"", lambda data: data[:-3000] + b"x" * 3000]
)
def test_a_damaged_file_is_computed_anew(
    random_weights: Path, pair: tuple[Pixels, Pixels], tmp_path: Path, damage: Any
) -> None:
    metric, cache = load("lpips", random_weights), FeatureCache(tmp_path)
    features = cache.describe(metric, pair[0], "a" * 64)
    [path] = tmp_path.rglob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    described = counted(metric)
    again = cache.describe(metric, pair[0], "a" * 64)
    assert len(described) == 1
    assert metric.compare(features, again) == 0
    cache.describe(metric, pair[0], "a" * 64)
    assert len(described) == 1


def test_a_flipped_bit_is_noticed(random_weights: Path, pair: tuple[Pixels, Pixels], tmp_path: Path) -> None:
    metric, cache = load("lpips", random_weights), FeatureCache(tmp_path)
    cache.describe(metric, pair[0], "a" * 64)
    [path] = tmp_path.rglob("*.npz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    described = counted(metric)
    cache.describe(metric, pair[0], "a" * 64)
    assert len(described) == 1


def test_a_second_run_describes_no_positive(random_weights: Path, fixtures: Path, tmp_path: Path) -> None:
    source = open_groups(fixtures / "Test")
    metric = load("lpips", random_weights)
    results = []
    described = counted(metric)
    counts = []
    for name in ("bicubic", "bicubic", "lanczos"):
        found = match_restored(name_methods([(None, fixtures / "restored" / name)]), source)
        described.clear()
        results.append(evaluate(source, found, [metric], cache=FeatureCache(tmp_path)).methods[0])
        counts.append(len(described))
    assert results[0] == results[1]
    positives = sum(len(group.positives) for group in results[0].groups)
    assert counts == [len(results[0].groups) + positives, len(results[0].groups), len(results[0].groups)]


def test_a_cache_that_cannot_be_written(random_weights: Path, pair: tuple[Pixels, Pixels], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"features cannot be kept: .*leave it out"):
        FeatureCache(tmp_path / "file").describe(load("lpips", random_weights), pair[0], "a" * 64)


def test_metrics_that_are_not_worth_it_refuse(pair: tuple[Pixels, Pixels]) -> None:
    psnr = METRICS["psnr"].load(MetricSettings())
    assert not psnr.worth_caching
    with pytest.raises(NotImplementedError, match="psnr are not worth keeping"):
        psnr.pack(psnr.describe(pair[0]))
    with pytest.raises(NotImplementedError, match="psnr are not worth keeping"):
        psnr.unpack({})
