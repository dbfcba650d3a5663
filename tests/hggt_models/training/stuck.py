"""`hggt-models` whose main thread, in one process, never returns from a call within the third update of the weights."""

import ctypes
import itertools
import os
import sys
from pathlib import Path

from hggt_models.cli import main
from hggt_models.training.learner import Learner


def main_that_gets_stuck(arguments: list[str]) -> None:
    """The command; the process whose rank is in HGGT_STUCK gets stuck, and leaves a file of that name before."""
    update, calls = Learner._update, itertools.count(1)

    def gets_stuck(learner: Learner, rate: float) -> None:
        update(learner, rate)
        if next(calls) == 3 and os.environ.get("RANK", "0") == os.environ["HGGT_STUCK"]:
            Path(arguments[arguments.index("--output") + 1]).with_name("stuck").touch()
            mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
            libc.pthread_mutex_lock(mutex)
            libc.pthread_mutex_lock(mutex)

    Learner._update = gets_stuck  # type: ignore[method-assign, assignment]
    main(arguments)


if __name__ == "__main__":
    main_that_gets_stuck(sys.argv[1:])
