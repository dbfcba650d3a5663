"""`hggt-models train`, `recipes` and `fetch-weights`: options, errors and output."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.loading import open_groups
from hggt_data.tree.demo import write_demo_tree
from hggt_models.cli import main
from hggt_models.config.recipes import recipe_names
from hggt_models.networks import VggFeatures
from hggt_models.networks.checkpoint import load_checkpoint
from hggt_models.networks.discriminator import UnetDiscriminator
from hggt_models.push import format_model_card
from tests.hggt_models.training.runs import command, fork_command, small, state_of, train

ONE_STEP = ("iterations=1", "validation.every=0")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_recipes_lists_each_recipe_with_a_description() -> None:
    lines = run("recipes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert all(len(line.split()) > 4 for line in lines)


def test_a_recipe_is_shown_with_a_sentence_for_each_setting() -> None:
    lines = run("recipes", "swinir-gan-positive", "--set", "batch_size=4").stdout.splitlines()
    assert f"{'batch_size=4':<42}  # Samples per iteration, over all devices." in lines


def test_a_tree_and_its_dataset_train_the_same_network(tmp_path: Path) -> None:
    demo = write_demo_tree(tmp_path)
    build_dataset(
        BuildSettings(trees=(demo.train,), test_tree=demo.test, output=tmp_path / "hggt", license="cc0-1.0", workers=1)
    )
    for data, run_name in ((demo.train, "tree"), (tmp_path / "hggt", "dataset")):
        result = train("rrdb-gan-positive", data, tmp_path / run_name, *ONE_STEP)
        assert result.exit_code == 0, result.output
    tree, dataset = (load_checkpoint(tmp_path / name) for name in ("tree", "dataset"))
    for key, value in tree.state.items():
        assert (dataset.state[key] == value).all()
    assert (tree.metadata["data_license"], dataset.metadata["data_license"]) == ("hggt-terms", "cc0-1.0")
    assert (tree.metadata["data"], dataset.metadata["data"]) == ("Train", "hggt")
    assert str(tmp_path) not in str(dataset.metadata)


@pytest.mark.parametrize(
    ("recipe", "more", "message"),
    [
        ("rrdb-gan-positive", ("source_px=4000",), "5 of 5 groups cannot be used: 5 smaller than source_px 4000 ("),
        ("rrdb-psnr", (), "is a tree or a dataset; the target"),
    ],
)
def test_an_error_is_one_line(recipe: str, more: tuple[str, ...], message: str, groups: Path, tmp_path: Path) -> None:
    settings = [part for setting in (*ONE_STEP, *more) for part in ("--set", setting)]
    result = run("train", recipe, "--data", groups, "--output", tmp_path / "run", *settings, "--device", "cpu")
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_an_unknown_recipe_is_wrong_usage(groups: Path, tmp_path: Path) -> None:
    result = run("train", "rrdb-gan-postive", "--data", groups, "--output", tmp_path / "run")
    assert result.exit_code == 2
    assert "'rrdb-gan-postive' is neither known nor a TOML file; did you mean 'rrdb-gan-positive'?" in result.stderr
    assert not (tmp_path / "run").exists()


def test_missing_weights_are_reported_before_training(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    result = train("rrdb-gan-positive", groups, tmp_path / "run", *ONE_STEP, "perceptual.weights=imagenet")
    assert result.exit_code == 1
    assert "vgg19-dcbb9e9d.pth (or vgg19_features.pth) is not in" in result.stderr
    assert "hggt-models fetch-weights" in result.stderr
    result = run("fetch-weights")
    assert result.exit_code == 1
    assert "cannot be downloaded" in result.stderr
    result = train(
        "rrdb-gan-positive", groups, tmp_path / "run", *ONE_STEP, f"perceptual.weights={tmp_path / 'no.pth'}"
    )
    assert "no.pth does not exist" in result.stderr


def test_a_metric_that_cannot_rate_held_out_pictures_is_refused_before_the_first_iteration(
    groups: Path, tmp_path: Path
) -> None:
    result = train("rrdb-gan-positive", groups, tmp_path / "run", "validation.metrics=['multi_scale_ssim']")
    assert result.exit_code == 2
    expected = "validation.metrics has multi_scale_ssim, which cannot rate a held-out picture of 128 x 128 pixels ("
    assert expected in " ".join(result.stderr.split())
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_settings_that_fail_for_one_sample_are_refused_before_the_first_iteration(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: UnetDiscriminator, images: torch.Tensor) -> torch.Tensor:
        assert len(images) == 1
        raise RuntimeError("sizes do not match\nat some place")

    monkeypatch.setattr(UnetDiscriminator, "forward", fails)
    result = train("rrdb-gan-positive", groups, tmp_path / "run", *ONE_STEP)
    assert result.exit_code == 2
    assert "these settings cannot work: a sample of crop_px 32 fails with sizes do not match" in result.stderr


def test_missing_weights_of_a_metric_are_reported_with_what_train_can_do(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    result = train("rrdb-gan-positive", groups, tmp_path / "run", "validation.metrics=['psnr', 'lpips']")
    assert result.exit_code == 1
    assert "on a machine with network access, as `hggt-models fetch-weights --metrics psnr,lpips` does" in result.stderr
    assert "weights_dir" not in result.stderr


def test_cached_weights_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / "vgg19_features.pth"
    cached.parent.mkdir(parents=True)
    torch.save(VggFeatures(["conv5_4"], "random").state_dict(), cached)
    assert run("fetch-weights").stdout.strip() == str(cached)


def test_the_card_says_how_the_network_was_trained(groups: Path, tmp_path: Path) -> None:
    assert train("rrdb-gan-positive", groups, tmp_path / "run", *ONE_STEP).exit_code == 0
    card = format_model_card(load_checkpoint(tmp_path / "run"), "lab/rrdb", "hggt-terms")
    assert "| recipe | rrdb-gan-positive |" in card
    assert '\n  "learning_rate": 0.0001,\n' in card
    assert "| iteration | 1 |" in card
    assert f"| data revision | {open_groups(groups).labels_sha256()[:12]} |" in card
    assert "| note | the perceptual loss had random weights: a trial of the software, not a trained network |" in card


def test_an_output_among_the_pictures_is_refused(pictures: Path) -> None:
    """Training would read the pictures it writes when it resumes."""
    result = train("rrdb-psnr", pictures, pictures / "run")
    assert result.exit_code == 2
    assert f"--output {pictures}/run is inside --data {pictures}" in " ".join(result.output.split())
    assert not (pictures / "run").exists()


def test_a_custom_recipe(groups: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "rrdb-gan-positive"\nlearning_rate = 5e-5\n[loss]\nadversarial = 0\n')
    settings = [part for setting in (*small("rrdb"), *ONE_STEP) for part in ("--set", setting)]
    arguments = ["--data", groups, "--output", tmp_path / "run", "--workers", 0, "--device", "cpu"]
    result = run("train", mine, *arguments, *settings)
    assert result.exit_code == 0, result.output
    assert load_checkpoint(tmp_path / "run").metadata["recipe"] == "mine"
    assert "discriminator" not in state_of(tmp_path / "run", 1)["state.pth"]


def test_a_missing_device_is_a_usage_error(groups: Path, tmp_path: Path) -> None:
    result = train("rrdb-gan-positive", groups, tmp_path / "run", options=["--device", "cuda:7"])
    assert result.exit_code == 2
    assert "--device cuda:7 cannot be used" in result.stderr


def test_a_picture_damaged_during_training_is_one_line(pictures: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pictures, tmp_path / "HR"))
    damaged = folder / "coffee.png"
    damaged.write_bytes(damaged.read_bytes()[:5000])  # its header is intact, so the first check passes
    more = ("iterations=8", "validation.pictures=0")
    result = train("rrdb-psnr", folder, tmp_path / "run", *more)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"Error: {damaged}: cut off")
    assert "Traceback" not in result.stderr


def wait_for(sign: Path, is_running: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not sign.exists():
        assert is_running()
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.2)


def assert_stopped(exit_code: int | None, number: signal.Signals, shown: str) -> None:
    assert exit_code == 75, shown
    assert f"stopped by {number.name}" in shown
    assert "Traceback" not in shown
    assert "died" not in shown


def test_a_signal_while_workers_start_stops_the_run(pictures: Path, tmp_path: Path) -> None:
    output, shown = tmp_path / "run", tmp_path / "shown.txt"
    arguments = command("rrdb-psnr", pictures, output, "iterations=500000", options=["--workers", 1])
    process = fork_command(arguments, shown)
    wait_for(output / "run.json", process.is_alive)
    os.killpg(process.pid or 0, signal.SIGTERM)
    process.join(120)
    assert_stopped(process.exitcode, signal.SIGTERM, shown.read_text())


def test_a_signal_to_the_process_group_while_workers_read_stops_the_run(pictures: Path, tmp_path: Path) -> None:
    """Schedulers signal workers too, and multiprocessing's helper, which a new process has for itself."""
    output = tmp_path / "run"
    arguments = command("rrdb-psnr", pictures, output, "iterations=500000", options=["--workers", 1])
    process = subprocess.Popen(
        [sys.executable, "-m", "hggt_models", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for(output / "log.jsonl", lambda: process.poll() is None)
    os.killpg(process.pid, signal.SIGUSR1)
    shown, _ = process.communicate(timeout=120)
    assert_stopped(process.returncode, signal.SIGUSR1, shown)
