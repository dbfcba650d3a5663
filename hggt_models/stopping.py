"""Being asked to stop: Ctrl-C, SIGTERM, and the SIGUSR1 by which schedulers announce the end of a job."""

import signal
from types import FrameType
from typing import Self

EXIT_TRY_AGAIN = 75  # sysexits.h: EX_TEMPFAIL, by which batch scripts know that the job is to be queued again


class StopSignals:
    """While a `with` block lasts, notes that somebody wants an end; a second Ctrl-C ends at once.

    Attributes:
        received: the first signal that came.
    """

    received: signal.Signals | None = None

    def __enter__(self) -> Self:
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
        self._before = {number: signal.signal(number, self._note) for number in wanted}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """What to exit with after a clean stop: 130 for Ctrl-C, 75 for a scheduler's signals."""
        return 130 if self.received is signal.SIGINT else EXIT_TRY_AGAIN

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


def leave_to_parent(_: int) -> None:
    """For a loader's worker: signals that go to the whole group are its parent's business, which ends it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
