import os
import signal
import subprocess
import sys

import pytest
import torch

from hggt_data.errors import ImageError, WorkerError
from hggt_models.runtime import Runtime, StopSignals, open_runtime, shielded_children


def test_one_process_agrees_with_itself() -> None:
    with open_runtime("cpu") as runtime:
        assert (runtime.rank, runtime.world, runtime.leads) == (0, 1, True)
        values = torch.tensor([1.0, 2.0])
        assert torch.equal(runtime.mean(values), values)
        assert runtime.any(True)
        assert not runtime.any(False)
        assert runtime.agreed("word") == "word"


def test_a_failure_in_another_process_is_one_here() -> None:
    class Second(Runtime):
        def any(self, flag: bool) -> bool:
            return True

    def fail() -> None:
        raise ImageError("a.png: cut off")

    runtime = Second(1, 2)
    assert not runtime.leads
    with pytest.raises(WorkerError, match="process 1 of 2 stops, because another one failed; see its message"):
        runtime.together(lambda: 3)
    with pytest.raises(ImageError, match="cut off"):
        runtime.together(fail)
    assert Runtime().together(lambda: 3) == 3


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)])
def test_a_signal_is_recorded_and_handlers_are_restored(number: signal.Signals, exit_code: int) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert (signals.received, signals.exit_code) == (None, 0)
        os.kill(os.getpid(), number)
        assert (signals.received, signals.exit_code) == (number, exit_code)
        if number is not signal.SIGINT:
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_stops_immediately() -> None:
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
