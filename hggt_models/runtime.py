"""The processes of a run: their rank and device, what they agree on, and the signals that stop them.

`torchrun`, `accelerate launch` or a batch script start the processes and set RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT; without these variables there is one process.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import resource_tracker
from types import FrameType
from typing import Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hggt_data.errors import WorkerError
from hggt_data.io.workers import Processes
from hggt_eval.metrics.device import own_device
from hggt_models.memory import ran_out_of_shared_memory

Value = TypeVar("Value")

# Must exceed the time of a checkpoint or a validation in the slowest process.
_TIMEOUT = timedelta(minutes=30)
_PATIENCE_S = 5.0


class OtherProcessError(WorkerError):
    """Another process of the run has failed, and all know of it."""


@dataclass(frozen=True, slots=True)
class Runtime(Processes):
    """One of the processes of a run, with the device on which it computes."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def together(self, work: Callable[[], Value]) -> Value:
        """The result of `work`, which all processes call together; if it fails in one, it fails in all.

        OtherProcessError if it failed in another process, which is noticed at the end or where processes `meet` in it.
        """
        try:
            result = work()
        except OtherProcessError:
            raise
        except Exception:
            self.any(True)
            raise
        self.meet()
        return result

    def meet(self) -> None:
        """Wait until all processes are here or one has failed `together`, which is an OtherProcessError."""
        if self.any(False):
            raise OtherProcessError(
                f"process {self.rank} of {self.world} stops, because another one failed; see its message"
            )

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes, which must call this together; every process gets it."""
        return self.sum(values) / self.world

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, which must call this together; every process gets it."""
        values = values.clone()
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def sum_up(self, values: Tensor) -> Tensor:
        """Replace values by their sum over all processes, which call this within `together`; returns them.

        An exchange allocates nothing and begins when all processes are here, so a process that fails is not waited for.
        """
        if self.world > 1:
            self.meet()
            dist.all_reduce(values)
        return values

    def average(self, gradients: list[Tensor]) -> None:
        """Replace gradients by their means over all processes, which call this within `together`.

        This happens after the backward pass and not during it, so that a process whose pass fails can still say so.
        """
        if self.world > 1 and gradients:
            flat = self.sum_up(torch.cat([gradient.flatten() for gradient in gradients])).div_(self.world)
            parts = torch.split(flat, [gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process; all must call this together. Does not wait for a device."""
        if self.world == 1:
            return flag
        shared = torch.tensor(int(flag))
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return bool(shared)

    def agreed(self, value: Value) -> Value:
        """The value of the leading process; all must call this together."""
        if self.world == 1:
            return value
        shared = [value]
        dist.broadcast_object_list(shared, device=torch.device("cpu"))
        return shared[0]

    def device_works(self) -> bool:
        """Whether this process's device still computes, and completes within seconds what it was given."""
        try:
            torch.zeros(1, device=self.device)
            if self.device.type == "cuda":
                stream, end = torch.cuda.current_stream(self.device), time.monotonic() + _PATIENCE_S
                while not stream.query():
                    if time.monotonic() > end:
                        return False
                    time.sleep(0.01)
        except RuntimeError:
            return False
        return True

    def barrier(self) -> None:
        """Wait for all processes."""
        self.any(False)


def lost_another_process(error: Exception) -> bool:
    """Whether an error means that another process of the run has ended, so that none can be waited for any more."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


def wait_for_others() -> None:
    """Wait for all processes, however long, before this one exits with an error.

    For processes that only share work: torchrun kills the others as soon as one fails. Without torchrun there is no
    waiting, because another process may be gone.
    """
    if Processes.from_environment().world > 1 and dist.is_torchelastic_launched():
        dist.init_process_group("gloo", timeout=timedelta(days=30))
        dist.barrier()
        dist.destroy_process_group()


@contextmanager
def open_runtime(device: str = "auto") -> Iterator[Runtime]:
    """Join the other processes of a run, if there are any, for the duration of the block.

    Args:
        device: Device to compute on: `auto` (a GPU if there is one), `cpu`, `cuda:1`.

    Yields:
        This process.

    Raises:
        DeviceError: The device cannot be used.
        WorkerError: Another process ended while this one waited for it.

    Example:
        >>> from hggt_models import open_runtime
        >>> with open_runtime("cpu") as runtime:
        ...     print(runtime.world)
        1
    """
    processes = Processes.from_environment()
    rank, world = processes.rank, processes.world
    chosen = torch.device(own_device(device))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world == 1:
        yield Runtime(device=chosen)
        return
    # Flags and names use gloo even where gradients use NCCL, so that they never wait for a GPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Runtime(rank, world, chosen)
    except RuntimeError as error:
        if ran_out_of_shared_memory(error):
            raise WorkerError(
                f"the memory that processes of this machine share ran out ({str(error).splitlines()[-1]}); start the "
                "container with --shm-size=1g or --ipc=host"
            ) from error
        if lost_another_process(error):
            raise WorkerError(
                f"process {rank} of {world} stops, because another process ended; see its message"
            ) from error
        raise
    finally:
        dist.destroy_process_group()


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h, which tells batch scripts to queue the job again


def exit_code_of(number: signal.Signals) -> int:
    """Exit code of a command that a signal has stopped: 130 after Ctrl-C, 75 after others."""
    return 130 if number is signal.SIGINT else EXIT_TRY_AGAIN


class StopSignals:
    """Records the first signal in a `with` block; a second Ctrl-C stops immediately.

    Attributes:
        received: The first signal; None if there was none.
    """

    received: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._record) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """Exit code of a command: 0 at the end of a run, 130 after Ctrl-C, 75 after other signals."""
        return 0 if self.received is None else exit_code_of(self.received)

    def _record(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


@contextmanager
def shielded_children() -> Iterator[None]:
    """Processes started in the block ignore these signals from the start.

    Terminals and schedulers send them to a whole process group; only this process handles them, and stops its children.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        resource_tracker.ensure_running()  # its start unblocks SIGINT and SIGTERM in this process
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
