"""What a running server prints to its terminal: dated lines, without floods and without control characters."""

import logging
import sys

from hggt_data.annotate.web.guard import RateLimit
from hggt_data.io.text import printable

_LOGGERS = ("hggt_data.annotate.web", "uvicorn", "asyncio")


def log_to_terminal() -> None:
    """Print warnings and errors of the server to standard error."""
    printable("\n")  # loads a codec, for which no file can be opened once clients use up all
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(_Rare())
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)


class _Lines(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The date and the message, which may contain what a client sent, on one line."""
        return printable(super().formatMessage(record).strip())


class _Rare(logging.Filter):
    """Lets a warning, which clients can cause, pass once a minute, and different warnings ten at once."""

    def __init__(self) -> None:
        super().__init__()
        self._same = RateLimit(rate=1 / 60, burst=1)
        self._all = RateLimit(rate=1 / 6, burst=10)

    def filter(self, record: logging.LogRecord) -> bool:
        # asyncio's error for connections beyond the limit of open files comes thousands of times a second.
        if record.levelno > logging.WARNING and record.name != "asyncio":
            return True
        return self._same.take(record.getMessage()) == 0 and self._all.take("") == 0
