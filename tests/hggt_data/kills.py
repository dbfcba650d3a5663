"""Processes that are killed with -9 at any moment, each forked from a clean one that has everything imported."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

FORKED = multiprocessing.get_context("forkserver")


def kill(process: BaseProcess) -> bool:
    """Kill with -9; whether it was still at work."""
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def die_at_rename(number: int, run: Callable[[], object]) -> None:
    """Run until just before, or just after, one rename: `2 * k` dies before rename k, `2 * k + 1` after it."""
    replace = Path.replace
    renames = 0

    def counted(self: Path, target: Path) -> Path:
        nonlocal renames
        if number == 2 * renames:
            os.kill(os.getpid(), signal.SIGKILL)
        result = replace(self, target)
        if number == 2 * renames + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        renames += 1
        return result

    Path.replace = counted  # type: ignore[method-assign,assignment]  # in a process of its own
    run()
