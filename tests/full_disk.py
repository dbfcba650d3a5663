"""A disk that fills up while something is written; `tests/conftest.py` takes it in."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

FullDisk = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    """`with full_disk(number):` so many files more can be written by this process; the next one fails."""
    sync = os.fsync

    @contextmanager
    def fill(number: int) -> Iterator[None]:
        files = 0

        def full(handle: int) -> None:
            nonlocal files
            files += stat.S_ISREG(os.fstat(handle).st_mode)  # the names in a folder, synced too, take no room
            if files > number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            yield

    return fill
