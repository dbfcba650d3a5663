from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hggt_data import name_methods, open_groups
from hggt_data.errors import OutputError
from hggt_data.io.images import Pixels
from hggt_data.restored.matching import match_restored
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.comparer import AnyComparer
from hggt_eval.metrics.lpips import Lpips
from hggt_eval.protocol import evaluate


class CountingLpips(Lpips):
    """LPIPS that counts the pictures it describes."""

    described = 0

    def describe(self, pixels: Pixels) -> list[object]:  # type: ignore[override]
        self.described += 1
        return super().describe(pixels)  # type: ignore[return-value]


@pytest.fixture
def counting(random_weights: Path) -> CountingLpips:
    return CountingLpips(MetricSettings(weights_dir=random_weights))


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_cached_features_give_the_same_score_to_the_bit(
    networks: Mapping[str, AnyComparer], pair: tuple[Pixels, Pixels], tmp_path: Path, name: str
) -> None:
    metric, cache = networks[name], FeatureCache(tmp_path)
    restored, positive = metric.describe(pair[0]), metric.describe(pair[1])
    first, second = (cache.describe(metric, pair[1], "a" * 64) for _ in range(2))
    expected = metric.compare(restored, positive)
    assert metric.compare(restored, first) == metric.compare(restored, second) == expected
    for one, other in zip(metric.pack(positive).values(), metric.pack(second).values(), strict=True):
        assert (one == other).all()


def test_another_picture_border_or_weights_is_another_entry(
    counting: CountingLpips, random_weights: Path, pair: tuple[Pixels, Pixels], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path)
    cache.describe(counting, pair[0], "a" * 64)
    cache.describe(counting, pair[1], "b" * 64)
    cache.describe(METRICS["lpips"].load(MetricSettings(0, weights_dir=random_weights)), pair[0], "a" * 64)
    counting.weights_sha256 = {"other.pth": "0" * 64}
    cache.describe(counting, pair[0], "a" * 64)
    assert len(list(tmp_path.rglob("*.npz"))) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:1000],
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    ],
)
def test_a_damaged_file_is_computed_again(
    counting: CountingLpips, pair: tuple[Pixels, Pixels], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    cache = FeatureCache(tmp_path)
    features = cache.describe(counting, pair[0], "a" * 64)
    [path] = tmp_path.rglob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    again = cache.describe(counting, pair[0], "a" * 64)
    assert counting.compare(features, again) == 0
    cache.describe(counting, pair[0], "a" * 64)
    assert counting.described == 2


def test_a_second_run_computes_no_features_of_positives(
    counting: CountingLpips, fixtures: Path, tmp_path: Path
) -> None:
    source = open_groups(fixtures / "Test")
    results, counts = [], []
    for name in ("bicubic", "bicubic", "lanczos"):
        found = match_restored(name_methods([(None, fixtures / "restored" / name)]), source)
        counting.described = 0
        results.append(evaluate(source, found, [counting], cache=FeatureCache(tmp_path)).methods[0])
        counts.append(counting.described)
    assert results[0] == results[1]
    num_positives = sum(len(group.positives) for group in results[0].groups)
    assert counts == [6 + num_positives, 6, 6]


def test_a_cache_that_cannot_be_written_is_an_error(
    counting: CountingLpips, pair: tuple[Pixels, Pixels], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"features cannot be written: .*`cache` folder, or omit it"):
        FeatureCache(tmp_path / "file").describe(counting, pair[0], "a" * 64)
