"""Processes: the workers that this one starts for independent tasks, and its share where several were started together.

With one worker everything runs in this process. Workers are spawned, so they inherit nothing that the parent has open,
and they end when the parent is killed. Each imports the script that started it, which must therefore keep its work
under `if __name__ == "__main__":`. Progress bars appear on a terminal only, and only in the process of rank 0.
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
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from hggt_data.errors import WorkerError
from hggt_data.io.text import printable_lines

Task = TypeVar("Task")
Result = TypeVar("Result")
Item = TypeVar("Item")

_POLL_S = 0.2
_advance_here: Callable[[], None] = lambda: None  # noqa: E731  replaced while tasks run


@dataclass(frozen=True, slots=True)
class Processes:
    """This process (`rank`) among the `world` processes started together; rank 0 writes files and prints."""

    rank: int = 0
    world: int = 1

    @classmethod
    def from_environment(cls) -> Self:
        """As `torchrun` or a batch script sets RANK and WORLD_SIZE."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items that this process works on."""
        return items[self.rank :: self.world]


def usable_cores() -> int:
    """Cores that the system gives this process; in a batch job often few of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_per_process() -> int:
    """Usable cores divided among the processes that were started together on this machine."""
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def default_workers() -> int:
    """One worker per usable core, at most 8: beyond that the disk is the limit."""
    return min(8, usable_cores())


def show_progress(items: Iterable[Item], total: int, label: str, unit: str = "group") -> Iterator[Item]:
    """Yield the items while a progress bar counts them; arguments as in `run_tasks`."""
    with _bar(total, label, unit) as bar:
        for item in items:
            yield item
            bar.update(1)


def print_line(text: str) -> None:
    """Print a line for the user on stderr without disturbing the progress bar."""
    from tqdm import tqdm

    tqdm.write(printable_lines(text), file=sys.stderr)


def _bar(total: int, label: str, unit: str) -> Any:
    from tqdm import tqdm

    hidden = not (sys.stderr.isatty() and Processes.from_environment().leads)
    return tqdm(total=total, desc=label, unit=unit, disable=hidden, dynamic_ncols=True)


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
        function: A module-level function; with several workers, it and its tasks are pickled.
        tasks: Its arguments. Few more than there are workers are in flight, so results do not pile up.
        workers: Worker processes; 1 runs everything in this process.
        total: Units in all tasks together, for the progress bar; a task calls `advance` after each.
        label: Text before the progress bar.
        unit: Name of a unit.

    Raises:
        WorkerError: The system killed a worker, or none could start.
    """
    with _bar(total, label, unit) as bar:
        if workers == 1 or len(tasks) <= 1:
            yield from _run_here(function, tasks, lambda: bar.update(1))
        else:
            yield from _run_in_processes(function, tasks, workers, bar)


def advance() -> None:
    """Move the progress bar on by one unit; called by a task, in whatever process it runs."""
    _advance_here()


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
    shared = _Shared(context.Value("i", 0), context.RawArray("q", workers), context.RawValue("b", 0))
    pool = ProcessPoolExecutor(workers, context, _start_worker, (shared, os.getpid()))
    succeeded = False
    try:
        waiting = list(reversed(tasks))
        in_flight: list[Future[Result]] = []
        while waiting or in_flight:
            while waiting and len(in_flight) < 2 * workers:
                in_flight.append(pool.submit(function, waiting.pop()))
            while not in_flight[0].done():
                wait(in_flight, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                bar.update(sum(shared.done) - bar.n)
            bar.update(sum(shared.done) - bar.n)
            yield in_flight.pop(0).result()
        succeeded = True
    except BrokenProcessPool as error:
        if not shared.started.get_obj().value:
            raise WorkerError(
                "no worker process could start. Each imports the script that starts it: put the work of that script "
                'under if __name__ == "__main__":, or use 1 worker'
            ) from error
        raise WorkerError(
            f"the system killed one of {workers} worker processes, most likely because memory ran out; "
            "run again with fewer `workers`"
        ) from error
    finally:
        if not succeeded:  # an error or Ctrl-C: cancel pending work
            shared.stop.value = 1
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Shared:
    """Memory shared with the workers; `done` and `stop` have no lock, which a killed worker would hold for ever.

    Attributes:
        started: Number of workers that have started.
        done: Units done, by worker.
        stop: Set by the parent to end all workers.
    """

    started: Any
    done: Any
    stop: Any


def _start_worker(shared: _Shared, parent: int) -> None:
    with shared.started.get_lock():
        number = shared.started.value
        shared.started.value += 1

    def count() -> None:
        shared.done[number] += 1

    def exit_with_parent() -> None:
        while os.getppid() == parent and not shared.stop.value:
            time.sleep(_POLL_S)
        os._exit(1)

    global _advance_here
    _advance_here = count
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which decides
    threading.Thread(target=exit_with_parent, daemon=True).start()
