"""hggt-eval on a device that is no CPU: its own numbers, and what happens where they are others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import backend_registration

from tests.hggt_eval.conftest import DATA

METRICS = "psnr,lpips,fsim,haarpsi,mdsi"

needs_standin = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason=f"needs a PyTorch that takes devices written in Python; this is {torch.__version__}",
)


def _run(arguments: list[str], tree: str, weights: Path, output: Path) -> subprocess.CompletedProcess[str]:
    restored = DATA / "fixtures" / ("TestLarge/restored/bicubic" if tree == "TestLarge" else "restored/bicubic")
    return subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", *arguments, "--dataset", str(DATA / "fixtures" / tree)),
            *("--restored", str(restored), "--weights-dir", str(weights), "--output", str(output)),
        ],
        cwd=DATA.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )


def _scores(output: Path) -> dict[tuple[str, str, str], float]:
    methods = json.loads((output / "scores.json").read_text("utf-8"))["methods"]
    return {
        (group["id"], candidate, metric): score
        for group in methods[0]["groups"]
        for candidate, scores in group["positives"].items()
        for metric, score in scores.items()
    }


@needs_standin
@pytest.mark.parametrize("algorithm", ["winograd", "fourier"])
def test_a_device_gives_the_numbers_of_the_cpu(tmp_path: Path, random_weights: Path, algorithm: str) -> None:
    _require_same_numbers(tmp_path, random_weights, "Test", algorithm, METRICS)


@needs_standin
@pytest.mark.parametrize("tree", ["Test", "TestLarge"])
def test_a_device_gives_the_numbers_of_the_cpu_with_real_weights(tmp_path: Path, real_weights: Path, tree: str) -> None:
    _require_same_numbers(tmp_path, real_weights, tree, "winograd", "lpips,dists")


def _require_same_numbers(folder: Path, weights: Path, tree: str, algorithm: str, metrics: str) -> None:
    on_cpu = _run(["hggt_eval", "--metrics", metrics, "--device", "cpu"], tree, weights, folder / "cpu")
    assert on_cpu.returncode == 0, on_cpu.stderr
    standin = ["tests.hggt_eval.standin_gpu", algorithm, "--metrics", metrics, "--device", "standin"]
    on_device = _run(standin, tree, weights, folder / "device")
    assert on_device.returncode == 0, on_device.stderr
    expected, found = _scores(folder / "cpu"), _scores(folder / "device")
    assert found == pytest.approx(expected, abs=1e-5)
    assert found != expected  # the device did compute, and in its own way
    settings = json.loads((folder / "device/scores.json").read_text("utf-8"))["settings"]
    assert settings["device"] == "standin"
    differences = settings["differences_to_cpu"]
    assert list(differences) == [metric for metric in metrics.split(",") if metric != "psnr"]
    assert 0 < max(differences.values()) < 1e-5
    assert "off the CPU at most, on one image" in (folder / "device/report.html").read_text("utf-8")
    assert json.loads((folder / "cpu/scores.json").read_text("utf-8"))["settings"]["differences_to_cpu"] == {}


@needs_standin
def test_a_device_that_gives_other_numbers_scores_nothing(tmp_path: Path, random_weights: Path) -> None:
    standin = ["tests.hggt_eval.standin_gpu", "tf32", "--metrics", "psnr,vif_p", "--device", "standin"]
    result = _run(standin, "Test", random_weights, tmp_path / "out")
    assert result.returncode == 1
    assert "vif_p of " in result.stderr
    assert "on standin and " in result.stderr
    assert "expected them within 0.0001. Score with --device cpu" in result.stderr
    assert not list((tmp_path / "out").iterdir())
