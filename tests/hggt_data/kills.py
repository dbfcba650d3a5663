"""Processes that are killed with -9 at any moment, each forked from a clean one that has everything imported."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

FORKED = multiprocessing.get_context("forkserver")


def kill(process: BaseProcess) -> bool:
    """Kill with -9; return whether it was still running."""
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def died(function: Callable[..., None], *arguments: object) -> bool:
    """Run a function in a process of its own; return whether it was killed."""
    process = FORKED.Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def die_at_rename(number: int, run: Callable[[], object]) -> None:
    """Run until just before, or just after, one rename: `2 * k` dies before rename k, `2 * k + 1` after it."""
    _die_at_call(number, run, [(Path, "replace")])


def die_at_step(number: int, run: Callable[[], object]) -> None:
    """As `die_at_rename`, but also before and after each sync, folder creation and removal."""
    _die_at_call(
        number,
        run,
        [(Path, "replace"), (os, "fsync"), (Path, "mkdir"), (Path, "unlink"), (shutil, "rmtree")],
    )


def _die_at_call(number: int, run: Callable[[], object], functions: list[tuple[Any, str]]) -> None:
    calls = 0

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            if number == 2 * calls:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if number == 2 * calls + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1
            return result

        return call

    for owner, name in functions:
        setattr(owner, name, dying(getattr(owner, name)))  # in a process of its own
    run()
