import numpy as np
import piq
import pytest
import torch

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.piq_metrics import PiqComparer

NAMES = [metric.name for metric in METRICS.values() if metric.package == "piq"]
SMALL_NAMES = [name for name in NAMES if name != "multi_scale_ssim"]


def _wave(size: int) -> Pixels:
    y, x = np.mgrid[:size, :size]
    waves = [127 + 90 * np.sin(0.31 * x + 0.17 * y * (k + 1) + k) for k in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def _noisy(pixels: Pixels, sigma: float) -> Pixels:
    noise = np.random.default_rng(5).normal(0, sigma, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_direction_is_right(name: str) -> None:
    metric = METRICS[name].load(MetricSettings(border=0))
    clean = _wave(168)
    none, little, much = (metric(pixels, clean) for pixels in (clean, _noisy(clean, 6), _noisy(clean, 40)))
    assert (none > little > much) == METRICS[name].higher_is_better
    assert (none < little < much) != METRICS[name].higher_is_better


@pytest.mark.parametrize("name", SMALL_NAMES)
def test_equals_piq_without_the_border(name: str, pair: tuple[Pixels, Pixels]) -> None:
    a, b = (torch.from_numpy(pixels[4:-4, 4:-4].copy()).permute(2, 0, 1)[None] / 255 for pixels in pair)
    single = float(getattr(piq, name)(a, b, data_range=1.0))
    double = float(getattr(piq, name)(a.double(), b.double(), data_range=1.0))
    found = PiqComparer(name)(*pair)
    assert found == pytest.approx(double if name == "dss" else single, abs=1e-6)
    assert found == pytest.approx(single, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_smallest_picture_works_and_smaller_is_an_error(name: str) -> None:
    metric = PiqComparer(name, MetricSettings(border=0))
    picture = _wave(metric.min_side_px)
    assert np.isfinite(metric(picture, _noisy(picture, 10)))
    with pytest.raises(ImageError, match=f"{name} needs {metric.min_side_px} x {metric.min_side_px} pixels or more"):
        metric(picture[1:], picture[1:])
