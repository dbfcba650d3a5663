"""Run independent tasks in worker processes with one progress bar.

With one worker everything runs in this process. Workers are started fresh (spawn), so nothing that the parent holds
open leaks into them, and they end when the parent is killed. Each imports the script that started it, which must
therefore keep what it runs under `if __name__ == "__main__":`.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from hggt_data.errors import WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")
Item = TypeVar("Item")

_POLL_S = 0.2
_advance_here: Callable[[], None] = lambda: None  # noqa: E731  replaced while tasks run


def default_workers() -> int:
    """As many workers as there are cores to use, at most 8: beyond that the disk is the limit."""
    return min(8, usable_cores())


def advance() -> None:
    """Called by a task after each unit (a patch group), wherever it runs: moves the progress bar on by one."""
    _advance_here()


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    *,
    total: int,
    label: str,
    unit: str = "group",
) -> Iterator[Result]:
    """Call `function` on every task and yield the results in the order of the tasks.

    Args:
        function: a module-level function; with several workers, it and its tasks are pickled.
        tasks: what to call it with. Only a few more than there are workers are in flight, so results do not pile up.
        workers: processes; 1 runs everything here.
        total: how many units the tasks hold together, for the progress bar on a terminal.
        label: what the progress bar says.
        unit: what it counts.

    Raises:
        WorkerError: the system killed a worker, or none could start.
        Whatever `function` raises.
    """
    with _bar(total, label, unit) as bar:
        if workers == 1 or len(tasks) <= 1:
            yield from _run_here(function, tasks, lambda: bar.update(1))
        else:
            yield from _run_in_processes(function, tasks, workers, bar)


def show_progress(items: Iterable[Item], total: int, label: str, unit: str = "group") -> Iterator[Item]:
    """Pass the items on, one at a time, and count them on a progress bar; the arguments are those of `run_tasks`."""
    with _bar(total, label, unit) as bar:
        for item in items:
            yield item
            bar.update(1)


def tell(text: str) -> None:
    """A line for the user at once, beside the progress bar."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


@contextmanager
def faults_told(faults: Sequence[str]) -> Iterator[None]:
    """Tell what could not be read if an error ends the block: else nobody would hear of it."""
    try:
        yield
    except BaseException:
        for fault in faults:
            tell(f"could not be read: {fault}")
        raise


def _bar(total: int, label: str, unit: str) -> Any:
    from tqdm import tqdm

    quiet = not (sys.stderr.isatty() and Processes.of_environment().leads)
    return tqdm(total=total, desc=label, unit=unit, disable=quiet, dynamic_ncols=True)


def _run_here(
    function: Callable[[Task], Result], tasks: Sequence[Task], on_advance: Callable[[], Any]
) -> Iterator[Result]:
    global _advance_here
    previous, _advance_here = _advance_here, on_advance
    try:
        yield from map(function, tasks)
    finally:
        _advance_here = previous


def _run_in_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, bar: Any
) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")
    workers = min(workers, len(tasks))
    board = _Board(context.Value("i", 0), context.RawArray("q", workers), context.RawValue("b", 0))
    pool = ProcessPoolExecutor(workers, context, _start_worker, (board, os.getpid()))
    ended_well = False
    try:
        waiting = list(reversed(tasks))
        in_flight: list[Future[Result]] = []
        while waiting or in_flight:
            while waiting and len(in_flight) < 2 * workers:
                in_flight.append(pool.submit(function, waiting.pop()))
            while not in_flight[0].done():
                wait(in_flight, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                bar.update(sum(board.done) - bar.n)
            bar.update(sum(board.done) - bar.n)
            yield in_flight.pop(0).result()
        ended_well = True
    except BrokenProcessPool as error:
        if not board.started.get_obj().value:
            raise WorkerError(
                "no worker process could start. Each imports the script that it is started from: put what that runs "
                'under if __name__ == "__main__":, or ask for 1 worker'
            ) from error
        raise WorkerError(
            f"the system killed one of {workers} worker processes, most likely because memory ran out; "
            "run again with fewer --workers"
        ) from error
    finally:
        if not ended_well:  # an error or Ctrl-C: do not wait for work that nobody will use
            board.stop.value = 1
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Board:
    """What parent and workers share, without locks in use while they run: a killed worker would keep one for ever.

    Attributes:
        started: how many workers have started.
        done: units done, by worker.
        stop: set by the parent when nobody needs the workers any more.
    """

    started: Any
    done: Any
    stop: Any


def _start_worker(board: _Board, parent: int) -> None:
    with board.started.get_lock():
        mine = board.started.value
        board.started.value += 1

    def count() -> None:
        board.done[mine] += 1

    def end_when_told() -> None:
        while os.getppid() == parent and not board.stop.value:
            time.sleep(_POLL_S)
        os._exit(1)

    global _advance_here
    _advance_here = count
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which decides
    threading.Thread(target=end_when_told, daemon=True).start()


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that were started together.

    Attributes:
        rank, world: its number, and how many there are; the one with number 0 writes files and speaks.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> Self:
        """As `torchrun` or a batch script has started them."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's share."""
        return items[self.rank :: self.world]


def usable_cores() -> int:
    """How many cores the system gives this process; under a batch script often few of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def own_cores() -> int:
    """How many of them are this process's own, where several were started together on the machine."""
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
