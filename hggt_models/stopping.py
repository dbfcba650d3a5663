"""Being asked to stop: Ctrl-C, SIGTERM, and the SIGUSR1 by which schedulers announce the end of a job."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
EXIT_TRY_AGAIN = 75  # sysexits.h: EX_TEMPFAIL, by which batch scripts know that the job is to be queued again


class StopSignals:
    """While a `with` block lasts, notes that somebody wants an end; a second Ctrl-C ends at once.

    Attributes:
        received: the first signal that came.
    """

    received: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """What to exit with: 0 at the end of a run, 130 after Ctrl-C, 75 after a scheduler's signals."""
        if self.received is None:
            return 0
        return 130 if self.received is signal.SIGINT else EXIT_TRY_AGAIN

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


@contextmanager
def shielded_children() -> Iterator[None]:
    """Processes started in the block never see these signals, from their first moment on.

    A terminal and a scheduler send them to a whole group. They are this process's business, which ends its children.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        resource_tracker.ensure_running()  # once it has started, it lets SIGINT and SIGTERM through to this process
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
