"""Which process of a run this is, on which device, and what the processes must agree on.

`torchrun`, `accelerate launch` or a batch script start the processes and say so in RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT; without these there is one process.
"""

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import resource_tracker
from types import FrameType
from typing import Self, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hggt_data.errors import HggtError, WorkerError
from hggt_data.io.workers import Processes
from hggt_eval.metrics.device import own_device

Value = TypeVar("Value")
Module = TypeVar("Module", bound=nn.Module)

# A checkpoint or a validation of the slowest process must fit in.
_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Runtime(Processes):
    """One of the processes of a run.

    Attributes:
        rank, world: as of all `Processes`.
        device: where it computes.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network as it is to be called in training, so that all processes get the mean of their gradients.

        Buffers stay each process's own: spectral norm keeps them equal by itself.
        """
        if self.world == 1:
            return network
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch 2.14 renames the argument
            return DistributedDataParallel(network, broadcast_buffers=False)

    def with_joint_batch_norm(self, network: Module) -> Module:
        """The network with batch norm over all processes, which PyTorch has for GPUs only; weights keep their names."""
        if self.world == 1 or self.device.type != "cuda":
            return network
        joined = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return cast(Module, joined)

    def together(self, work: Callable[[], Value]) -> Value:
        """What `work` gives; if it fails in one process it fails in all, which must call this together.

        Raises:
            HggtError, OSError: as `work`.
            WorkerError: it failed in another process.
        """
        fault: Exception | None = None
        try:
            result = work()
        except (HggtError, OSError) as error:
            fault = error
        if self.any(fault is not None):
            raise fault or WorkerError(f"process {self.rank} of {self.world}: another one cannot go on, and says why")
        return result

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes, which must call this together; every process gets it."""
        return self.sum(values) / self.world

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, which must call this together; every process gets it."""
        values = values.clone()
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether it is true in one of the processes, which must call this together; does not wait for a device."""
        if self.world == 1:
            return flag
        told = torch.tensor(int(flag))
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told)

    def agreed(self, value: Value) -> Value:
        """What the leading process says; all must call this together."""
        if self.world == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, device=torch.device("cpu"))
        return told[0]

    def barrier(self) -> None:
        """Wait until all processes have come here."""
        self.any(False)


def wait_for_others() -> None:
    """Wait, however long it takes, until all processes have come here, before this one ends with a fault.

    For processes that share work and nothing else: torchrun ends all as soon as one ends with a fault. Where nobody
    ends the others, nobody is waited for, since one of them may be gone.
    """
    if Processes.from_environment().world > 1 and dist.is_torchelastic_launched():
        dist.init_process_group("gloo", timeout=timedelta(days=30))
        dist.barrier()
        dist.destroy_process_group()


@contextmanager
def open_runtime(device: str = "auto") -> Iterator[Runtime]:
    """Join the other processes of a run, where there are any, while the block lasts.

    Args:
        device: as `own_device` takes it.

    Raises:
        DeviceError: it cannot be used.
        WorkerError: another process has ended while this one waited for it.
    """
    processes = Processes.from_environment()
    rank, world = processes.rank, processes.world
    chosen = torch.device(own_device(device))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world == 1:
        yield Runtime(device=chosen)
        return
    # Flags and names go through gloo even where gradients go through NCCL, so that they never wait for a GPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Runtime(rank, world, chosen)
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error).lower():
            raise WorkerError(
                f"process {rank} of {world}: another process of the run has ended, and says why"
            ) from error
        raise
    finally:
        dist.destroy_process_group()


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
