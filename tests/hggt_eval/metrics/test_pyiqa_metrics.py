"""Metrics of pyiqa, with a fake package: names, directions, seeds, and the errors if it is missing."""

import random
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from hggt_data.errors import WeightsError
from hggt_eval.metrics import (
    FullReferenceMetric,
    MetricSettings,
    NoReferenceMetric,
    UnknownMetricError,
    pyiqa_metrics,
    require_metric,
)
from hggt_eval.metrics.comparer import Comparer, NoReference

CONFIGS = {
    "musiq": {"metric_mode": "NR"},
    "piqe": {"metric_mode": "NR", "lower_better": True},
    "topiq_fr": {"metric_mode": "FR"},
    "sfid": {"metric_mode": "NR", "lower_better": True},
}
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.fixture
def pyiqa(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, ...]]:
    """A pyiqa whose metrics draw random numbers; returns their inputs."""
    seen: list[tuple[torch.Tensor, ...]] = []

    def create_metric(name: str, device: str) -> Any:
        if name == "musiq":
            raise OSError("<urlopen error> no network")

        def run(*images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images[0].mean() + torch.rand(()) + float(np.random.rand()) + random.random()

        return run

    package, configs = ModuleType("pyiqa"), ModuleType("pyiqa.default_model_configs")
    package.create_metric = create_metric  # type: ignore[attr-defined]
    configs.DEFAULT_CONFIGS = CONFIGS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyiqa", package)
    monkeypatch.setitem(sys.modules, "pyiqa.default_model_configs", configs)
    monkeypatch.setattr(pyiqa_metrics, "find_spec", lambda _: object())
    return seen


@pytest.mark.usefixtures("pyiqa")
def test_direction_and_kind_come_from_pyiqa() -> None:
    assert isinstance(require_metric("piqe"), NoReferenceMetric)
    assert not require_metric("piqe").higher_is_better
    assert isinstance(require_metric("topiq_fr"), FullReferenceMetric)
    assert require_metric("topiq_fr").higher_is_better
    with pytest.raises(UnknownMetricError, match="did you mean 'topiq_fr'"):
        require_metric("topiq_rf")
    with pytest.raises(UnknownMetricError):
        require_metric("sfid")  # rates sets of pictures


def test_every_picture_is_rated_alone_and_with_the_same_seed(pyiqa: list[tuple[torch.Tensor, ...]]) -> None:
    rater = require_metric("piqe").load(MetricSettings(border=4))
    assert isinstance(rater, NoReference)
    state = random.getstate(), torch.get_rng_state()
    first = rater.rate(PICTURE)
    random.random()
    torch.rand(3)
    assert rater.rate(PICTURE) == first
    [image], _ = pyiqa
    assert image.shape == (1, 3, 32, 42)
    assert torch.equal(image[0, :, 0, 0] * 255, torch.tensor(PICTURE[4, 4].astype(np.float32)))
    random.setstate(state[0])
    torch.set_rng_state(state[1])
    rater.rate(PICTURE)
    assert random.getstate() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])


def test_a_full_reference_metric_gets_the_positive_as_reference(pyiqa: list[tuple[torch.Tensor, ...]]) -> None:
    comparer = require_metric("topiq_fr").load(MetricSettings(border=0))
    assert isinstance(comparer, Comparer)
    comparer(PICTURE, PICTURE[::-1])
    [(restored, positive)] = pyiqa
    assert torch.equal(restored.flip(2), positive)


@pytest.mark.usefixtures("pyiqa")
def test_missing_weights_say_how_to_get_them() -> None:
    with pytest.raises(
        WeightsError, match=r"cannot load musiq \(<urlopen error> no network\).*create_metric\('musiq'\)"
    ):
        require_metric("musiq").load()


@pytest.mark.skipif(find_spec("pyiqa") is not None, reason="pip uninstall pyiqa")
def test_without_pyiqa_the_error_says_what_to_install() -> None:
    with pytest.raises(WeightsError, match=r"musiq is a metric of pyiqa.*pip install 'hggt\[iqa\]'"):
        require_metric("musiq").load()
    with pytest.raises(UnknownMetricError, match="did you mean 'musiq'"):
        require_metric("musik")
