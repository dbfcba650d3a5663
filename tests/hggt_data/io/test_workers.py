"""Tasks in worker processes: order, errors, deaths."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hggt_data.errors import TreeError, WorkerError
from hggt_data.io.workers import advance, default_workers, run_tasks

TASKS = list(range(12))


def square(number: int) -> int:
    advance()
    return number * number


def slow_first(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0)
    return number


def fail_at_five(number: int) -> int:
    if number == 5:
        raise TreeError("task 5 has a fault")
    return number


def die_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def process_of(number: int) -> int:
    time.sleep(0.05)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    assert list(run_tasks(square, TASKS, workers, total=12, label="x")) == [n * n for n in TASKS]
    assert list(run_tasks(slow_first, TASKS, workers, total=12, label="x")) == TASKS


@pytest.mark.parametrize("workers", [1, 2])
def test_no_tasks_give_no_results(workers: int) -> None:
    assert list(run_tasks(square, [], workers, total=0, label="x")) == []


def test_one_worker_runs_here_and_several_elsewhere() -> None:
    assert set(run_tasks(process_of, TASKS[:3], 1, total=3, label="x")) == {os.getpid()}
    found = set(run_tasks(process_of, TASKS, 2, total=12, label="x"))
    assert os.getpid() not in found
    assert len(found) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_task_is_raised_here(workers: int) -> None:
    with pytest.raises(TreeError, match="task 5 has a fault"):
        list(run_tasks(fail_at_five, TASKS, workers, total=12, label="x"))


def test_a_worker_killed_by_the_system_is_told_with_the_way_out() -> None:
    with pytest.raises(WorkerError, match="fewer --workers"):
        list(run_tasks(die_at_five, TASKS, 2, total=12, label="x"))


def test_a_script_that_would_run_again_in_each_worker_is_told_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from hggt_data.io.workers import run_tasks\n"
        "from tests.hggt_data.io.test_workers import square\n"
        "print(list(run_tasks(square, [1, 2], 2, total=2, label='x')))\n"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, script], cwd=root, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "WorkerError: no worker process could start" in last
    assert 'under if __name__ == "__main__":' in last


def test_a_task_may_say_that_it_advances_though_nobody_looks() -> None:
    advance()


def test_no_more_workers_than_cores_and_never_more_than_eight() -> None:
    assert 1 <= default_workers() <= min(8, os.cpu_count() or 1)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = """
import sys, time
from hggt_data.workers import run_tasks
from tests.hggt_data.test_workers import note_process
if __name__ == "__main__":
    list(run_tasks(note_process, [sys.argv[1]] * 8, 2, total=8, label="x"))
"""
    script = tmp_path / "parent.py"
    script.write_text(code)
    root = Path(__file__).parents[3]
    parent = subprocess.Popen([sys.executable, script, tmp_path], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    try:
        until = time.monotonic() + 30
        while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        children = [int(path.stem) for path in tmp_path.glob("*.pid")]
        assert len(children) == 2
    finally:
        parent.kill()
        parent.wait()
    until = time.monotonic() + 10
    while any(map(is_running, children)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, children))


def note_process(folder: str) -> None:
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(60)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # an orphan that nobody has waited for yet
