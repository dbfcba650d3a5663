"""A main thread that does not return from a call of a library, in a run that has to end."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.hggt_models.training.processes import children_of, places, run, start, start_torchrun
from tests.hggt_models.training.runs import (
    assert_same,
    assert_within_ten_seconds,
    command,
    fork_command,
    log_of,
    state_of,
    train,
)
from tests.hggt_models.training.stuck import main_that_gets_stuck

RUN = ("pool_size=4", "iterations=100000", "checkpoint.every=100000", "validation.every=0")


def wait_for(path: Path) -> None:
    end = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def assert_ends(process: BaseProcess, exit_code: int, since: float, shown: str) -> None:
    process.join(120)
    assert process.exitcode == exit_code, shown
    assert_within_ten_seconds(since)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_ends_a_process_that_is_stuck(
    number: signal.Signals, exit_code: int, pictures: Path, tmp_path: Path
) -> None:
    """It saves the last complete iteration; the incomplete one, which has changed the weights, is undone."""
    stopped, output, shown = tmp_path / "stopped", tmp_path / "run", tmp_path / "shown.txt"
    assert train("rrdb-psnr", pictures, stopped, *RUN, "iterations=2").exit_code == 0
    arguments = command("rrdb-psnr", pictures, output, *RUN)
    process = fork_command(arguments, shown, function=main_that_gets_stuck, HGGT_STUCK=0)
    wait_for(tmp_path / "stuck")
    os.kill(process.pid or 0, number)
    assert_ends(process, exit_code, time.monotonic(), shown.read_text())
    *_, line = shown.read_text().splitlines()
    expected = f"Error: stopped by {number.name}, while a call of a library did not return; 2 iterations are saved in"
    assert line == f"{expected} {output}"
    assert_same(state_of(output, 2), state_of(stopped, 2))
    assert [path.name for path in (output / "weights").iterdir()] == ["000002.safetensors"]
    result = train("rrdb-psnr", pictures, output, *RUN, "iterations=3")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("stuck", [0, 1])
def test_the_death_of_another_process_ends_one_that_is_stuck(stuck: int, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    processes = start("rrdb-psnr", pictures, output, *RUN, function=main_that_gets_stuck, HGGT_STUCK=stuck)
    wait_for(tmp_path / "stuck")
    processes[1 - stuck].kill()
    assert_ends(processes[stuck], 1, time.monotonic(), (tmp_path / "shown.txt").read_text())
    *_, line = (tmp_path / "shown.txt").read_text().splitlines()
    expected = f"Error: process {stuck} of 2 stops, because another process ended; see its message; 2 iterations are"
    assert line == f"{expected} saved in {output}"
    exit_codes, shown = run("rrdb-psnr", pictures, output, *RUN, "iterations=3")
    assert exit_codes == [0, 0], shown
    assert "resuming after 2 of 3 iterations" in shown


def test_a_signal_ends_a_process_that_waits_for_one_that_has_been_stopped(pictures: Path, tmp_path: Path) -> None:
    """It waits in an exchange by gloo, which takes half an hour to give up."""
    output = tmp_path / "run"
    waiting, other = start("rrdb-psnr", pictures, output, *RUN)
    wait_for(output / "log.jsonl")
    os.kill(other.pid or 0, signal.SIGSTOP)
    time.sleep(2)
    try:
        os.kill(waiting.pid or 0, signal.SIGTERM)
        assert_ends(waiting, 75, time.monotonic(), (tmp_path / "shown.txt").read_text())
    finally:
        other.kill()
    [checkpoint] = (output / "checkpoints").iterdir()
    assert 0 <= int(checkpoint.name) - len(log_of(output)) <= 1
    assert "Error: stopped by SIGTERM, while a call of a library did not return" in (tmp_path / "shown.txt").read_text()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
def test_the_death_of_a_process_ends_torchrun_whose_other_process_is_stuck(pictures: Path, tmp_path: Path) -> None:
    output, module = tmp_path / "run", "tests.hggt_models.training.stuck"
    arguments = command("rrdb-psnr", pictures, output, *RUN)
    process = start_torchrun(arguments, output, module, lines=2, HGGT_STUCK="0")
    wait_for(tmp_path / "stuck")
    ranks = [pid for pid in children_of(process.pid) if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(ranks[1], signal.SIGKILL)
    killed = time.monotonic()
    out, _ = process.communicate(timeout=120)
    assert_within_ten_seconds(killed)
    assert process.returncode == 1
    assert out.count("Error: process 0 of 2 stops, because another process ended; see its message; 2 iterations") == 1
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["000002"]


# The command; while the interpreter of one process ends, the other one still runs, and then ends as well.
END_ONE_AFTER_THE_OTHER = """
import os, sys, time
from pathlib import Path
from hggt_models.cli import main
from hggt_models.data.loader import PairLoader

class Last:
    def __del__(self, create=os.open, path=sys.argv[2], flags=os.O_CREAT, sleep=time.sleep):
        create(path, flags)
        sleep(2)

def stop_late(loader, stop=PairLoader.stop):
    stop(loader)
    end = time.monotonic() + 4
    while loader.pool.state_dict() and not Path(sys.argv[2]).exists() and time.monotonic() < end:
        time.sleep(0.01)

if os.environ["RANK"] == sys.argv[1]:
    PairLoader.stop = stop_late
else:
    sys.modules["last"] = Last()
main(sys.argv[3:])
"""


@pytest.mark.parametrize("late", ["0", "1"])
def test_a_process_that_ends_before_the_other_ends_well(late: str, pictures: Path, tmp_path: Path) -> None:
    """Its thread, which waits for the other in gloo, would abort it if it returned while the interpreter ends."""
    arguments = [late, tmp_path / "ending", *command("rrdb-psnr", pictures, tmp_path / "run", *RUN, "iterations=1")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", END_ONE_AFTER_THE_OTHER, *map(str, arguments)], env={**os.environ, **place}
        )
        for place in places()
    ]
    assert [process.wait(300) for process in processes] == [0, 0]
