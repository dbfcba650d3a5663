"""hggt-eval on a device that is no CPU: its own numbers, and what happens where they are others."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import backend_registration

from tests.hggt_eval.conftest import DATA

needs_standin = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason=f"pip install -U torch: one that takes devices written in Python, as 2.14; this is {torch.__version__}",
)


def _run(arguments: list[str], folder: Path, weights: Path, output: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", *arguments, "--dataset", str(folder / "Test")),
            *("--restored", str(folder / "bicubic"), "--weights-dir", str(weights), "--output", str(folder / output)),
        ],
        cwd=DATA.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )


def _copy_groups(folder: Path, tree: str, *ids: str) -> None:
    """Some groups of a test tree as `Test`, and what the bicubic method made of them as `bicubic`."""
    restored = DATA / "fixtures" / ("TestLarge/restored/bicubic" if tree == "TestLarge" else "restored/bicubic")
    for source, name in ((DATA / "fixtures" / tree / "GT", "Test/GT"), (restored, "bicubic")):
        for path in source.rglob("*"):
            if path.name.startswith(ids):
                target = folder / name / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


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
    _copy_groups(tmp_path, "Test", "astronaut-231-286", "coffee-27-433")
    _require_same_numbers(tmp_path, random_weights, algorithm, "psnr,lpips,fsim,haarpsi,dss,mdsi")


@needs_standin
@pytest.mark.parametrize(
    ("tree", "group_id", "metrics"), [("Test", "rocket-214-329", "lpips,dists"), ("TestLarge", "coffee-0-120", "lpips")]
)
def test_a_device_gives_the_numbers_of_the_cpu_with_real_weights(
    tmp_path: Path, real_weights: Path, tree: str, group_id: str, metrics: str
) -> None:
    _copy_groups(tmp_path, tree, group_id)
    _require_same_numbers(tmp_path, real_weights, "parts", metrics)


def _require_same_numbers(folder: Path, weights: Path, algorithm: str, metrics: str) -> None:
    on_cpu = _run(["hggt_eval", "--metrics", metrics, "--device", "cpu"], folder, weights, "cpu")
    assert on_cpu.returncode == 0, on_cpu.stderr
    standin = ["tests.hggt_eval.standin_gpu", algorithm, "--metrics", metrics, "--device", "standin"]
    on_device = _run(standin, folder, weights, "device")
    assert on_device.returncode == 0, on_device.stderr
    expected, found = _scores(folder / "cpu"), _scores(folder / "device")
    assert found == pytest.approx(expected, abs=2e-5)
    assert found != expected  # the device did compute, and in its own way
    settings = json.loads((folder / "device/scores.json").read_text("utf-8"))["settings"]
    assert settings["device"] == "standin"
    differences = settings["differences_to_cpu"]
    assert list(differences) == [metric for metric in metrics.split(",") if metric != "psnr"]
    assert 0 < max(differences.values()) < 2e-5
    assert "off the CPU at most, on one image" in (folder / "device/report.html").read_text("utf-8")
    assert json.loads((folder / "cpu/scores.json").read_text("utf-8"))["settings"]["differences_to_cpu"] == {}


@needs_standin
def test_a_device_that_gives_other_numbers_scores_nothing(tmp_path: Path, random_weights: Path) -> None:
    _copy_groups(tmp_path, "Test", "astronaut-231-286")
    standin = ["tests.hggt_eval.standin_gpu", "tf32", "--metrics", "psnr,vif_p", "--device", "standin"]
    result = _run(standin, tmp_path, random_weights, "out")
    assert result.returncode == 1
    assert "vif_p of " in result.stderr
    assert "on standin and " in result.stderr
    assert "expected them within 0.0001. Score with --device cpu" in result.stderr
    assert not list((tmp_path / "out").iterdir())
