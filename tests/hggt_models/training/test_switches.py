"""PyTorch's global switches: set during a run, restored after it, and refused where they cannot work."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from hggt_models.networks.rrdb import RrdbPixelShuffle
from hggt_models.training.learner import Learner
from tests.hggt_models.training.runs import assert_same, state_of, train

RUN = ("iterations=1", "validation.every=0")


def switches() -> dict[str, Any]:
    backends: Any = torch.backends
    return {
        "products": backends.cuda.matmul.fp32_precision,
        "convolutions": backends.cudnn.conv.fp32_precision,
        "benchmark": backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    }


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The switches in each step of the runs of a test."""
    seen: list[dict[str, Any]] = []
    step = Learner.step

    def watched(learner: Learner, *arguments: Any) -> Any:
        seen.append(switches())
        return step(learner, *arguments)

    monkeypatch.setattr(Learner, "step", watched)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    return seen


def test_switches_are_set_during_a_run_and_restored_after_it(
    pictures: Path, tmp_path: Path, during: list[dict[str, Any]]
) -> None:
    before = switches()
    for name, settings in {
        "plain": [],
        "fast": ["precision=tf32", "cudnn_benchmark=true"],
        "deterministic": ["deterministic=true"],
    }.items():
        result = train("rrdb-psnr", pictures, tmp_path / name, *RUN, *settings)
        assert result.exit_code == 0, result.output
        assert switches() == before
        idle = "precision=tf32 and cudnn_benchmark have no effect on cpu"
        assert (idle in result.output.splitlines()) == (name == "fast")
    assert during == [
        before,
        {**before, "products": "tf32", "convolutions": "tf32", "benchmark": True},
        {**before, "deterministic": True, "workspace": ":4096:8"},
    ]
    assert_same(state_of(tmp_path / "plain", 1), state_of(tmp_path / "deterministic", 1))


def test_an_operation_without_a_deterministic_version_is_refused_before_the_first_step(
    pictures: Path, tmp_path: Path, during: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(_: RrdbPixelShuffle, images: torch.Tensor) -> torch.Tensor:
        return images.put_(torch.tensor([0]), images.new_zeros(1))

    monkeypatch.setattr(RrdbPixelShuffle, "forward", forward)
    settings = [*RUN, "deterministic=true", 'compile=["perceptual"]']
    result = train("rrdb-psnr", pictures, tmp_path / "run", *settings)
    assert result.exit_code == 2
    assert "deterministic is true, but put_ has no deterministic version on cpu; set" in " ".join(result.output.split())
    assert not during
    assert not torch.are_deterministic_algorithms_enabled()
