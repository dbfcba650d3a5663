"""Ends this process when the run has to end but its main thread cannot get there.

A call of a library that waits for a device, a disk or another process may never return, and Python handles signals
only between such calls. So a thread watches: for signals, and for the end of the other processes.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self

import torch
import torch.distributed as dist

from hggt_data.io.text import printable_lines
from hggt_models.runtime import STOP_SIGNALS, Runtime, exit_code_of

_PATIENCE_S = 5.0  # for a sign of life of the main thread, or for its end if the run cannot go on
_RESCUE_S = 20.0  # torchrun kills 30 s after its signal
_FAREWELL_S = 60.0  # for the other processes to end as well, which lets `_listen` return
_POLL_S = 0.5
_LIMIT = timedelta(days=10_000)
_ENDED, _LOST = 0, 255  # in the pipe, beside the numbers of signals


class Watchdog:
    """Ends this process, in a `with` block, if it was told to stop or another process has ended.

    After a signal the main thread has all the time it needs, as long as it executes Python. If another process has
    ended, it must also end, or save, within seconds. Otherwise the main thread is stopped wherever it is, and this
    thread calls `rescue`, prints one line and exits.

    Attributes:
        rescue: Saves what can be saved and says so in a few words.
        is_saving: Whether the main thread is saving.
    """

    rescue: Callable[[], str] = staticmethod(lambda: "nothing was done")
    is_saving: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._main = threading.main_thread().ident or 0
        self._others: Any = None  # their process group
        self._answered_s = 0.0
        self._decides = threading.Lock()
        self._has_ended = self._takes_over = False

    def __enter__(self) -> Self:
        self._pipe, self._alarm = os.pipe()
        os.set_blocking(self._alarm, False)
        self._signal_before = signal.signal(signal.SIGURG, self._answer)
        self._alarm_before = signal.set_wakeup_fd(self._alarm, warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def watch_others(self) -> None:
        """Watch the other processes as well; all call this together."""
        self._runtime.barrier()
        if self._runtime.world > 1:
            self._others = dist.new_group(backend="gloo", timeout=_LIMIT)
            self._listener = threading.Thread(target=self._listen, daemon=True)
            self._listener.start()

    def __exit__(self, kind: object, *_: object) -> None:
        with self._decides:
            self._has_ended = True
        signal.set_wakeup_fd(self._alarm_before)
        os.write(self._alarm, bytes([_ENDED]))
        self._watcher.join()
        signal.signal(signal.SIGURG, self._signal_before)
        os.close(self._alarm)
        os.close(self._pipe)
        if self._others is not None:
            self._tell(is_lost=kind is not None)
            # A thread that returns from gloo while the interpreter ends would abort the process.
            self._listener.join(_FAREWELL_S if kind is None else _PATIENCE_S)

    def _listen(self) -> None:
        """Wait until the process before this one ends, and tell the one after it if it failed."""
        word = torch.zeros(1)
        try:
            dist.recv(word, (self._runtime.rank - 1) % self._runtime.world, self._others)
            is_lost = bool(word)
        except RuntimeError:
            is_lost = True
        with self._decides:
            if not is_lost or self._has_ended:
                return
            os.write(self._alarm, bytes([_LOST]))
        self._tell(is_lost=True)

    def _tell(self, *, is_lost: bool) -> None:
        with suppress(RuntimeError):
            word = torch.full((1,), float(is_lost))
            dist.send(word, (self._runtime.rank + 1) % self._runtime.world, self._others)

    def _watch(self) -> None:
        """Wait for a reason to end, and then look after the main thread."""
        number: int | None = None
        lost_s = 0.0
        while True:
            ready, _, _ = select.select([self._pipe], [], [], _POLL_S if number or lost_s else None)
            for event in os.read(self._pipe, 64) if ready else b"":
                if event == _ENDED:
                    return
                if not (number or lost_s):
                    self._answered_s = time.monotonic()
                if event == _LOST:
                    lost_s = time.monotonic()
                elif event in STOP_SIGNALS:
                    number = number or event
            if not (number or lost_s):
                continue
            signal.pthread_kill(self._main, signal.SIGURG)
            now = time.monotonic()
            is_late = bool(lost_s) and now > lost_s + _PATIENCE_S and not self.is_saving()
            if is_late or now > self._answered_s + _PATIENCE_S:
                self._take_over(None if lost_s or number is None else signal.Signals(number))

    def _answer(self, *_: object) -> None:
        """In the main thread: a sign of life; but no more than that once its end has been decided."""
        self._answered_s = time.monotonic()
        while self._takes_over:
            time.sleep(1)

    def _take_over(self, number: signal.Signals | None) -> None:
        with self._decides:
            if self._has_ended:
                return
            self._takes_over = True
        signal.pthread_kill(self._main, signal.SIGURG)
        if number:
            cause, code = f"stopped by {number.name}, while a call of a library did not return", exit_code_of(number)
        else:
            rank, world = self._runtime.rank, self._runtime.world
            cause, code = f"process {rank} of {world} stops, because another process ended; see its message", 1
        limit = threading.Timer(_RESCUE_S, _exit, (f"{cause}; saving takes too long", code))
        limit.daemon = True
        limit.start()
        _exit(f"{cause}; {self.rescue()}", code)


def _exit(text: str, code: int) -> None:
    """End the process at once; the main thread may hold whatever a usual exit or print would wait for."""
    os.write(2, f"Error: {printable_lines(text)}\n".encode())
    os._exit(code)
