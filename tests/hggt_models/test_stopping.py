import os
import signal
import subprocess
import sys

import pytest

from hggt_models.runtime import StopSignals, shielded_children


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)])
def test_a_signal_is_noted_and_handlers_are_put_back(number: signal.Signals, exit_code: int) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert (signals.received, signals.exit_code) == (None, 0)
        os.kill(os.getpid(), number)
        assert (signals.received, signals.exit_code) == (number, exit_code)
        if number is not signal.SIGINT:
            os.kill(os.getpid(), number)  # again: still nothing but noted
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_ends_at_once() -> None:
    def press_twice() -> None:
        with StopSignals():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        press_twice()


def test_children_do_not_see_the_signals() -> None:
    with shielded_children():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        child.send_signal(number)
    child.communicate(b"\n", timeout=30)
    assert child.returncode == 0
    unshielded = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    unshielded.send_signal(signal.SIGUSR1)
    unshielded.wait(timeout=30)
    assert unshielded.returncode == -signal.SIGUSR1
