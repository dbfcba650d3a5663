"""Worker processes: order, errors, deaths; the share of one process among several."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hggt_data.errors import TreeError, WorkerError
from hggt_data.io.workers import Processes, advance, cores_per_process, default_workers, run_tasks, usable_cores

ROOT = Path(__file__).parents[3]
TASKS = list(range(6))


def square(number: int) -> tuple[int, int]:
    time.sleep(0.1 if number == 0 else 0)
    advance()
    return number * number, os.getpid()


def fail_at_three(number: int) -> int:
    if number == 3:
        raise TreeError("task 3 has a fault")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def wait_for_kill(folder: str) -> None:
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(60)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    results = list(run_tasks(square, TASKS, workers, total=len(TASKS), label="x"))
    assert [result for result, _ in results] == [number * number for number in TASKS]
    assert (os.getpid() in {process for _, process in results}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_task_is_raised_by_the_parent(workers: int) -> None:
    with pytest.raises(TreeError, match="task 3 has a fault"):
        list(run_tasks(fail_at_three, TASKS, workers, total=len(TASKS), label="x"))


def test_a_worker_killed_by_the_system_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(WorkerError, match="fewer `workers`"):
        list(run_tasks(die_at_three, TASKS, 2, total=len(TASKS), label="x"))


def start_script(script: Path, code: str) -> "subprocess.Popen[str]":
    script.write_text(
        f"from hggt_data.io.workers import run_tasks\nfrom tests.hggt_data.io.test_workers import *\n{code}"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, script], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_script_without_a_main_guard_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    script = start_script(tmp_path / "script.py", "list(run_tasks(square, [1, 2], 2, total=2, label='x'))\n")
    *_, error = [line for line in script.communicate()[1].splitlines() if "WorkerError: " in line]
    assert script.returncode == 1
    assert "WorkerError: no worker process could start" in error
    assert 'under if __name__ == "__main__":' in error


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
if __name__ == "__main__":
    list(run_tasks(wait_for_kill, [{str(tmp_path)!r}] * 8, 2, total=8, label="x"))
"""
    parent = start_script(tmp_path / "parent.py", code)
    try:
        until = time.monotonic() + 60
        while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
        assert len(workers) == 2
    finally:
        parent.kill()
        parent.wait()
    until = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # an orphan whose exit status has not been read yet


def test_each_item_belongs_to_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank, expected in enumerate([[0, 3, 6], [1, 4], [2, 5]]):
        monkeypatch.setenv("RANK", str(rank))
        processes = Processes.from_environment()
        assert list(processes.share(range(7))) == expected
        assert processes.leads == (rank == 0)


def test_a_process_alone_has_every_item(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Processes.from_environment() == Processes(0, 1)
    assert list(Processes().share([1, 2, 3])) == [1, 2, 3]


@pytest.mark.parametrize(("started", "cores"), [(None, 6), ("4", 1), ("2", 3), ("64", 1)])
def test_processes_on_one_machine_share_the_usable_cores(
    monkeypatch: pytest.MonkeyPatch, started: str | None, cores: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if started is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", started)
    assert (usable_cores(), cores_per_process(), default_workers()) == (6, cores, 6)
