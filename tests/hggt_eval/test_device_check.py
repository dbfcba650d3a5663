"""A device is compared with the CPU before it scores; a device that differs is simulated by a metric that does."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hggt_data import name_methods, open_groups
from hggt_data.io.images import Pixels
from hggt_data.restored.matching import RestoredFiles, match_restored
from hggt_eval import METRICS, GroundTruth, MetricSettings, score
from hggt_eval.device_check import LARGEST_DIFFERENCE, PrecisionError, compare_with_cpu
from hggt_eval.metrics.comparer import AnyComparer, Comparer, LoadedMetric


class OnDevice(Comparer[float]):
    """A metric of a given name whose scores on `cuda:3` are off by a given amount."""

    def __init__(self, name: str, off: float, device: str = "cuda:3") -> None:
        super().__init__(MetricSettings(device=device))
        self.name = name
        self._off = off

    def describe(self, pixels: Pixels) -> float:
        return float(pixels.mean())

    def compare(self, restored: float, positive: float) -> float:
        return restored - positive + self._off


def on_cpu(metric: AnyComparer) -> AnyComparer:
    return OnDevice(metric.name, 0, "cpu")


@pytest.fixture
def restored(fixtures: Path) -> list[RestoredFiles]:
    return match_restored(name_methods([(None, fixtures / "restored/bicubic")]), open_groups(fixtures / "Test"))


def check(fixtures: Path, restored: list[RestoredFiles], *metrics: LoadedMetric) -> dict[str, float]:
    return dict(compare_with_cpu(metrics, open_groups(fixtures / "Test"), restored, on_cpu))


def test_the_difference_of_each_metric_that_runs_on_the_device_is_returned(
    fixtures: Path, restored: list[RestoredFiles]
) -> None:
    metrics = [OnDevice("lpips", 2e-5), OnDevice("fsim", 0), OnDevice("musiq", 1), METRICS["psnr"].load()]
    assert check(fixtures, restored, *metrics) == {"lpips": pytest.approx(2e-5), "fsim": 0}
    assert check(fixtures, restored, OnDevice("lpips", 1, "cpu")) == {}


@pytest.mark.parametrize("off", [2 * LARGEST_DIFFERENCE, float("nan")])
def test_a_device_that_gives_other_scores_is_refused(fixtures: Path, restored: list[RestoredFiles], off: float) -> None:
    message = r"vif_p of .*\.png is .* on cuda:3 and .* on the CPU; they must agree within 0\.0001\. Score with"
    with pytest.raises(PrecisionError, match=message):
        check(fixtures, restored, OnDevice("vif_p", off))


def test_only_groups_with_positives_and_a_restored_image_are_used(
    fixtures: Path, restored: list[RestoredFiles]
) -> None:
    assert check(fixtures, [replace(restored[0], files={})], OnDevice("vif_p", 1)) == {}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_scores_like_the_cpu(fixtures: Path, random_weights: Path) -> None:
    methods = name_methods([(None, fixtures / "restored/bicubic")])
    cpu, cuda = (
        score(
            methods,
            GroundTruth(dataset=fixtures / "Test"),
            metrics=("lpips", "dists", "fsim", "gmsd"),
            device=device,
            weights_dir=random_weights,
        )
        for device in ("cpu", "cuda")
    )
    assert cuda.evaluation.methods[0].mean == pytest.approx(cpu.evaluation.methods[0].mean, abs=1e-4)
    assert cuda.settings.differences_to_cpu.keys() == {"lpips", "dists", "fsim", "gmsd"}
    assert cpu.settings.differences_to_cpu == {}
