import numpy as np
import piq
import pytest
import torch

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.piq_metrics import PiqComparer

NAMES = [metric.name for metric in METRICS.values() if metric.package == "piq"]


def wave(side: int) -> Pixels:
    y, x = np.mgrid[:side, :side]
    return np.stack([127 + 90 * np.sin(0.31 * x + 0.17 * y * (k + 1) + k) for k in range(3)], axis=-1).astype(np.uint8)


def noisy(pixels: Pixels, sigma: float) -> Pixels:
    noise = np.random.default_rng(5).normal(0, sigma, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_equals_piq_in_the_stated_direction_down_to_the_smallest_picture(name: str) -> None:
    metric = PiqComparer(name)
    clean = wave(metric.min_side_px + 8)
    none, little, much = scores = [metric(pixels, clean) for pixels in (clean, noisy(clean, 6), noisy(clean, 40))]
    assert sorted(scores, reverse=METRICS[name].higher_is_better) == scores
    assert len({none, little, much}) == 3
    a, b = (torch.from_numpy(p[4:-4, 4:-4].copy()).permute(2, 0, 1)[None] / 255 for p in (noisy(clean, 6), clean))
    single = float(getattr(piq, name)(a, b, data_range=1.0))
    double = float(getattr(piq, name)(a.double(), b.double(), data_range=1.0))
    assert little == pytest.approx(double if name == "dss" else single, abs=1e-6)
    assert little == pytest.approx(single, abs=1e-4)
    with pytest.raises(ImageError, match=f"{name} needs {metric.min_side_px} x {metric.min_side_px} pixels or more"):
        metric(clean[1:], clean[1:])


def test_the_border_is_cut_off() -> None:
    clean = wave(60)
    assert PiqComparer("fsim", MetricSettings(0))(noisy(clean, 6), clean) != PiqComparer("fsim")(noisy(clean, 6), clean)
