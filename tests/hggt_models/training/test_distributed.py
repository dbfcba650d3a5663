"""Two processes of one run, joined by gloo, against one process with the whole batch."""

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from hggt_models.cli import main
from hggt_models.config.recipes import load_config
from hggt_models.data.training_data import open_training_data
from hggt_models.networks.checkpoint import load_checkpoint
from hggt_models.training.joint_batch_norm import JointBatchNorm2d
from tests.hggt_models.training.processes import children_of, run, start, start_torchrun
from tests.hggt_models.training.runs import (
    assert_same,
    assert_within_ten_seconds,
    command,
    data_for,
    fail_in_update,
    log_of,
    small,
    state_of,
    train,
)

RECIPE = "rrdb-gan-positive-negative"
# Without a pool, which each process has for itself, a batch is the same on any number of processes.
EQUAL = ("pool_size=0", "iterations=4", "checkpoint.every=2", "validation.every=4", "batch_size=2")


@pytest.mark.parametrize("recipe", [RECIPE, "enhance-03"])
def test_two_processes_learn_what_one_does(recipe: str, groups: Path, pictures: Path, tmp_path: Path) -> None:
    """Also when one has a sample with a negative and the other has none, with relative logits, and with batch norm."""
    settings: tuple[str, ...] = EQUAL
    if recipe == RECIPE:
        settings = (*EQUAL, "loss.adversarial_form=relativistic")
        config = load_config(RECIPE, small(RECIPE, *EQUAL))
        samples = open_training_data(str(groups), config).samples
        negatives = [bool(samples[number]["has_negative"]) for number in range(8)]
        assert {True, False} in [set(negatives[2 * k : 2 * k + 2]) for k in range(4)]
    data, two, one = data_for(recipe, groups, pictures), tmp_path / "two", tmp_path / "one"
    exit_codes, shown = run(recipe, data, two, *settings)
    assert exit_codes == [0, 0], shown
    assert train(recipe, data, one, *settings).exit_code == 0
    for line, expected in zip(log_of(two), log_of(one), strict=True):
        assert line.keys() == expected.keys()
        for name, value in expected.items():
            assert line[name] == (pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value)
    ours, theirs = state_of(two, 4)["state.pth"], state_of(one, 4)["state.pth"]
    for network in {"generator", "discriminator", "ema"} & theirs.keys():
        for key, value in theirs[network].items():
            torch.testing.assert_close(ours[network][key], value, rtol=1e-6, atol=5e-6, msg=f"{network} {key}")


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
    process = start_torchrun(command(RECIPE, groups, output, *more), output)
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


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the reader in /proc")
def test_a_killed_reader_ends_torchrun_with_a_checkpoint(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    arguments = command("rrdb-psnr", pictures, output, "iterations=100000", options=["--workers", 1])
    process = start_torchrun(arguments, output)
    readers = [pid for rank in children_of(process.pid) for pid in children_of(rank) if is_reader(pid)]
    assert len(readers) == 2
    os.kill(readers[1], signal.SIGKILL)
    killed = time.monotonic()
    out, _ = process.communicate(timeout=120)
    assert_within_ten_seconds(killed)
    assert process.returncode == 1
    assert out.count("Error: the system killed one of 1 processes that read pictures") == 1
    assert out.count("stops, because another one failed; see its message") == 1
    [checkpoint] = (output / "checkpoints").iterdir()
    assert int(checkpoint.name) == len(log_of(output))
    assert not Path(f"/proc/{readers[0]}").exists()


def is_reader(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_torchrun_with_a_checkpoint(rank: int, pictures: Path, tmp_path: Path) -> None:
    output, more = tmp_path / "run", ("pool_size=8", "iterations=100000")
    process = start_torchrun(command("rrdb-psnr", pictures, output, *more), output)
    ranks = [pid for pid in children_of(process.pid) if b"hggt_models" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(ranks[rank], signal.SIGKILL)
    killed = time.monotonic()
    out, _ = process.communicate(timeout=120)
    assert_within_ten_seconds(killed)
    assert process.returncode == 1
    assert f"Error: process {1 - rank} of 2 stops, because another process ended; see its message" in out
    [checkpoint] = (output / "checkpoints").iterdir()
    done = int(checkpoint.name)
    assert 0 <= done - len(log_of(output)) <= 1
    exit_codes, shown = run("rrdb-psnr", pictures, output, *more[:1], f"iterations={done + 1}")
    assert exit_codes == [0, 0], shown
    assert "the run was on 2 devices and resumes on 2, without the pools of 1 that failed" in shown
    assert f"resuming after {done:,} of" in shown


@pytest.mark.parametrize(
    ("recipe", "when"), [("rrdb-psnr", "forward"), ("enhance-03", "forward"), ("enhance-03", "backward")]
)
def test_a_step_that_fails_in_one_process_ends_both_with_a_checkpoint(
    recipe: str, when: str, pictures: Path, tmp_path: Path
) -> None:
    """Also between layers of batch norm, which processes exchange within the step."""
    output = tmp_path / "run"
    processes = start(recipe, pictures, output, "iterations=100000", function=partial(_run_out_of_memory, when))
    started = time.monotonic()
    for process in processes:
        process.join(60)
    assert time.monotonic() - started < 60
    shown = output.with_name("shown.txt").read_text()
    assert [process.exitcode for process in processes] == [1, 1], shown
    assert "Error: the memory of cpu ran out (CUDA out of memory.); set a larger accumulate" in shown
    assert "Error: process 0 of 2 stops, because another one failed" in shown
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["000002"]
    result = train(recipe, pictures, output, "iterations=3")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("rank", [0, 1])
def test_an_update_that_fails_in_one_process_is_undone_in_both(rank: int, groups: Path, tmp_path: Path) -> None:
    """The checkpoint is that of a run that stopped after the last complete iteration, bit for bit."""
    settings = ("pool_size=4", "batch_size=4", "validation.every=0", "iterations=3")
    whole, output = tmp_path / "whole" / "run", tmp_path / "run"
    whole.parent.mkdir()
    exit_codes, shown = run(RECIPE, groups, whole, *settings, "checkpoint.every=2")
    assert exit_codes == [0, 0], shown
    processes = start(RECIPE, groups, output, *settings, function=partial(_fail_in_third_update, rank))
    for process in processes:
        process.join(120)
    shown = output.with_name("shown.txt").read_text()
    assert [process.exitcode for process in processes] == [1, 1], shown
    assert shown.count("Error: the memory of cpu ran out (halfway)") == 1
    assert shown.count(f"Error: process {1 - rank} of 2 stops, because another one failed; see its message") == 1
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["000002"]
    assert_same(state_of(output, 2), state_of(whole, 2))
    exit_codes, shown = run(RECIPE, groups, output, *settings)
    assert exit_codes == [0, 0], shown
    assert_same(state_of(output, 3), state_of(whole, 3))


def _fail_in_third_update(rank: int, arguments: list[str]) -> None:
    """The command; in one process memory runs out halfway through the third update."""
    if os.environ["RANK"] == str(rank):
        fail_in_update("optimizer", 3, pytest.MonkeyPatch())  # in a process of its own
    main(arguments)


def _run_out_of_memory(when: str, arguments: list[str]) -> None:
    """The command; in the second process, no memory is left in the third iteration, after one of two layers."""
    calls = itertools.count(1)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    def watch(module: nn.Module, _: object, output: torch.Tensor) -> None:
        is_wide = isinstance(module, nn.Conv2d) and module.in_channels == module.out_channels == 8
        is_one_of_two = is_wide or isinstance(module, JointBatchNorm2d)
        if is_one_of_two and module.training and os.environ["RANK"] == "1" and next(calls) == 2 + 2 * 2 + 1:
            if when == "forward":
                fail()
            output.register_hook(fail)  # type: ignore[no-untyped-call]

    nn.modules.module.register_module_forward_hook(watch)  # in a process of its own
    main(arguments)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="install util-linux, which has `unshare`")
def test_readers_do_not_need_the_shared_memory_of_a_container(pictures: Path, tmp_path: Path) -> None:
    mount = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "sh", "-c"]
    script = "mount -t tmpfs -o size=64k tmpfs /dev/shm && "
    if subprocess.run([*mount, f"{script} true"], capture_output=True).returncode:
        pytest.skip("run as root, or allow user namespaces, so that a small /dev/shm can be mounted")
    arguments = command("rrdb-psnr", pictures, tmp_path / "run", "iterations=2", options=["--workers", 1])
    words = shlex.join([sys.executable, "-m", "hggt_models", *arguments])
    result = subprocess.run([*mount, script + words], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
