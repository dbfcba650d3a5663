"""Runs of two processes, joined by gloo, with and without torchrun."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.hggt_models.training.runs import command, fork_command


def start(
    recipe: str,
    data: Path,
    output: Path,
    *more: str,
    function: Callable[[list[str]], object] | None = None,
    **environment: object,
) -> list[BaseProcess]:
    """Two processes with the environment that torchrun gives them; they print to `shown.txt` beside the output."""
    return [
        fork_command(
            command(recipe, data, output, *more),
            output.with_name("shown.txt"),
            function=function,
            **place,
            **environment,
        )
        for place in places()
    ]


def places() -> list[dict[str, str]]:
    """The environment that torchrun gives each of two processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    where = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{**where, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]


def run(recipe: str, data: Path, output: Path, *more: str) -> tuple[list[int | None], str]:
    """The exit codes of two processes, and what they print."""
    processes = start(recipe, data, output, *more)
    for process in processes:
        process.join(300)
    return [process.exitcode for process in processes], output.with_name("shown.txt").read_text()


def start_torchrun(
    arguments: list[str], output: Path, module: str = "hggt_models", *, lines: int = 3, **environment: str
) -> subprocess.Popen[str]:
    """Start `hggt-models`, or another module, in two processes of torchrun, and wait for log lines."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", *torchrun, "-m", module, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 300
    while not (output / "log.jsonl").exists() or len((output / "log.jsonl").read_text().splitlines()) < lines:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    return process


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
