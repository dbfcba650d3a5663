"""Two processes of one run, joined by gloo, against one process with the whole batch."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from hggt_models.config.recipes import load_config
from hggt_models.data.training_data import open_training_data
from hggt_models.networks.checkpoint import load_checkpoint
from tests.hggt_models.training.runs import command, fork_command, log_of, small, state_of, train

RECIPE = "rrdb-gan-positive-negative"
# Without a pool, which each process has for itself, a batch is the same on any number of processes.
EQUAL = ("pool_size=0", "iterations=4", "checkpoint.every=2", "validation.every=4", "batch_size=2")


def start(recipe: str, data: Path, output: Path, *more: str) -> list[BaseProcess]:
    """Two processes with the environment that torchrun gives them; they print to `shown.txt` beside the output."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        fork_command(command(recipe, data, output, *more), output.with_name("shown.txt"), RANK=k, LOCAL_RANK=k, **where)
        for k in range(2)
    ]


def run(recipe: str, data: Path, output: Path, *more: str) -> tuple[list[int | None], str]:
    """The exit codes of two processes, and what they print."""
    processes = start(recipe, data, output, *more)
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes], output.with_name("shown.txt").read_text()


@pytest.fixture(scope="module")
def pair(groups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes."""
    output = tmp_path_factory.mktemp("pair") / "run"
    exit_codes, shown = run(RECIPE, groups, output, *EQUAL)
    assert exit_codes == [0, 0], shown
    return output


def test_two_processes_learn_what_one_does(groups: Path, pair: Path, tmp_path: Path) -> None:
    config = load_config(RECIPE, small(RECIPE, *EQUAL))
    samples = open_training_data(str(groups), config).samples
    negatives = [bool(samples[number]["has_negative"]) for number in range(8)]
    shares = [set(negatives[2 * k : 2 * k + 2]) for k in range(4)]
    assert {True, False} in shares  # one process has a sample with a negative where the other has none
    assert train(RECIPE, groups, tmp_path / "run", *EQUAL).exit_code == 0
    for line, expected in zip(log_of(pair), log_of(tmp_path / "run"), strict=True):
        assert line.keys() == expected.keys()
        for name, value in expected.items():
            assert line[name] == (pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value)
    ours, theirs = state_of(pair, 4)["state.pth"], state_of(tmp_path / "run", 4)["state.pth"]
    for network in ("generator", "discriminator", "ema"):
        for key, value in theirs[network].items():
            torch.testing.assert_close(ours[network][key], value, rtol=0, atol=5e-6, msg=f"{network} {key}")


def test_a_run_of_two_processes_resumes_in_one_with_a_redistributed_pool(groups: Path, tmp_path: Path) -> None:
    more = ("pool_size=8", "batch_size=4", "iterations=3", "checkpoint.every=3", "validation.every=0")
    exit_codes, shown = run(RECIPE, groups, tmp_path / "run", *more)
    assert exit_codes == [0, 0], shown
    state = state_of(tmp_path / "run", 3)
    assert [len(state[f"share-{rank}.pth"]["pool"]["lr"]) for rank in range(2)] == [4, 4]
    result = train(RECIPE, groups, tmp_path / "run", *more, "iterations=4")
    assert result.exit_code == 0, result.output
    assert "warning: the run was on 2 devices and resumes on 1" in result.output
    assert len(state_of(tmp_path / "run", 4)["share-0.pth"]["pool"]["lr"]) == 8


def test_stopped_torchrun_leaves_a_checkpoint(groups: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    more = ("iterations=100000", "checkpoint.every=100000", "validation.every=0")
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", *torchrun, "-m", "hggt_models", *command(RECIPE, groups, output, *more)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 120
    while not (output / "log.jsonl").exists() or len((output / "log.jsonl").read_text().splitlines()) < 3:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert "stopped by SIGTERM" in out
    assert load_checkpoint(output).path.is_file()
    assert len(list((output / "checkpoints").iterdir())) == 1


def test_an_error_in_one_process_ends_all_with_a_checkpoint(pictures: Path, tmp_path: Path) -> None:
    folder, output = Path(shutil.copytree(pictures, tmp_path / "HR")), tmp_path / "run"
    settings = ("iterations=4", "validation.pictures=0")
    samples = open_training_data(str(folder), load_config("rrdb-psnr", small("rrdb-psnr", *settings))).samples
    damaged = sorted(folder.iterdir())[samples.locate(3)[0]]  # of the second process in the second iteration
    damaged.write_bytes(damaged.read_bytes()[:5000])
    exit_codes, out = run("rrdb-psnr", folder, output, *settings)
    assert exit_codes == [1, 1]
    assert out.count("Error: ") == 2
    assert f"Error: {damaged}: cut off" in out
    assert "Error: process 0 of 2 stops, because another one failed; see its message" in out
    assert "hggt_models/training/trainer.py" not in out  # without a traceback
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["000001"]
