"""Processes that read samples ahead of a training run.

Each process has its own connection and shares no lock or memory with the others. A killed process therefore cannot
block them and is noticed at once, and the size of /dev/shm, which is small in containers, does not matter.
"""

import multiprocessing.connection
import os
import pickle
import signal
import traceback
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from hggt_data.errors import HggtError, WorkerError
from hggt_models.data.samples import Sample, SampleDataset
from hggt_models.memory import ran_out_of_memory
from hggt_models.runtime import shielded_children

_AHEAD = 2  # batches that each process is asked for: one that waits to be fetched, and the next
_PATIENCE_S = 5.0


class Readers:
    """The batches of a run, read ahead by processes: an iterator that is faster than PyTorch's `DataLoader`.

    Batches come in the order of the sampler and have the same content with any number of processes. An error of a
    process is raised when its batch is due; WorkerError if any process has ended. The processes import the calling
    script, so its own work must be under `if __name__ == "__main__":`.

    Args:
        samples: `GroupDataset`.
        sampler: Lists of sample numbers, one per batch, without end: `ShareSampler`.
        workers: Number of processes, at least 1.
        pin_memory: Put batches into memory from which CUDA copies faster.

    Example:
        >>> import tempfile
        >>> from hggt_data import write_demo_tree
        >>> from hggt_models.data import GroupDataset, Readers, ShareSampler
        >>> samples = GroupDataset(write_demo_tree(tempfile.mkdtemp()).train, "positive", source_px=128)
        >>> batches = Readers(samples, ShareSampler(4), 1)
        >>> next(batches)["pictures"].shape
        torch.Size([4, 2, 3, 128, 128])
        >>> batches.close()
    """

    def __init__(
        self, samples: SampleDataset, sampler: Iterable[list[int]], workers: int, *, pin_memory: bool = False
    ) -> None:
        self._tasks = iter(sampler)
        self._pin_memory = pin_memory
        self._num_read = 0
        self._connections: list[Connection] = []
        self._processes: list[BaseProcess] = []
        # Also when the program ends, and before multiprocessing waits for processes that ignore SIGTERM.
        self.close = Finalize(self, _stop, (self._processes, self._connections), exitpriority=100)
        context = multiprocessing.get_context("spawn")  # a fork would copy this process's threads and CUDA's state
        with shielded_children():
            for _ in range(workers):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, samples), daemon=True)
                process.start()
                theirs.close()
                self._connections.append(ours)
                self._processes.append(process)
        try:
            for _ in range(_AHEAD):
                for connection in self._connections:
                    connection.send(next(self._tasks))
        except OSError as error:
            raise self._ended() from error

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sample:
        connection = self._connections[self._num_read % len(self._connections)]
        try:
            if any(not process.is_alive() for process in self._processes):
                raise EOFError
            answer = _receive(connection, self._pin_memory)
            connection.send(next(self._tasks))
        except (EOFError, OSError) as error:
            raise self._ended() from error
        self._num_read += 1
        if not isinstance(answer, Exception):
            return answer
        if ran_out_of_memory(answer):
            raise WorkerError(
                f"memory ran out in one of {len(self._processes)} processes that read pictures; run again with fewer "
                "`workers`"
            ) from answer
        raise answer

    def _ended(self) -> WorkerError:
        """Why a process has ended."""
        ready = multiprocessing.connection.wait([process.sentinel for process in self._processes], _PATIENCE_S)
        for process in self._processes:
            if process.sentinel in ready:  # closed by the system shortly before it knows the exit code
                process.join(_PATIENCE_S)
        codes = [process.exitcode for process in self._processes if process.exitcode is not None]
        code = codes[0] if codes else None
        if code == -signal.SIGKILL:
            return WorkerError(
                f"the system killed one of {len(self._processes)} processes that read pictures, most likely because "
                "memory ran out; run again with fewer `workers`"
            )
        if not self._num_read and code == 1:
            return WorkerError(
                "no process that reads pictures could start. Each imports the script that starts it: put the work of "
                'that script under if __name__ == "__main__":, or use `workers=0`'
            )
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return WorkerError(
            f"one of {len(self._processes)} processes that read pictures ended unexpectedly ({how}); run again, with "
            "fewer `workers` if it happens again"
        )


def read_batch(samples: SampleDataset, numbers: Sequence[int]) -> Sample:
    """The samples of these numbers, stacked."""
    batch: Sample = default_collate([samples[number] for number in numbers])
    return batch


def _stop(processes: list[BaseProcess], connections: list[Connection]) -> None:
    """End the processes, which have nothing to save and ignore all signals but SIGKILL."""
    for connection in connections:
        connection.close()
    for process in processes:
        process.kill()
    for process in processes:
        process.join(_PATIENCE_S)


def _serve(connection: Connection, samples: SampleDataset) -> None:
    """The work of a process, until the other end of its connection is closed or gone."""
    torch.set_num_threads(1)
    try:
        while True:
            _send(connection, _answer(samples, connection.recv()))
    except (EOFError, ConnectionError):
        return


def _answer(samples: SampleDataset, numbers: list[int]) -> list[Sample] | Exception:
    """The samples of a batch, or the error that prevents it, with its traceback if it is unexpected."""
    try:
        return [samples[number] for number in numbers]
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(str(error))
        if not isinstance(error, HggtError | OSError | MemoryError):
            error.add_note(f"In a process that reads pictures:\n{text}")
        return error


def _send(connection: Connection, answer: list[Sample] | Exception) -> None:
    """Send an error, or the form of a batch and then its bytes; to stack it here would need twice the memory."""
    if isinstance(answer, Exception):
        connection.send(answer)
        return
    connection.send({name: ((len(answer), *tensor.shape), tensor.dtype) for name, tensor in answer[0].items()})
    for name in answer[0]:
        for sample in answer:
            content = _bytes_of(sample[name])
            while content:
                content = content[os.write(connection.fileno(), content) :]


def _receive(connection: Connection, pin_memory: bool) -> Sample | Exception:
    """What `_send` sent; EOFError if the other end is gone."""
    form: Mapping[str, tuple[tuple[int, ...], torch.dtype]] | Exception = connection.recv()
    if isinstance(form, Exception):
        return form
    batch: dict[str, Tensor] = {}
    for name, (shape, dtype) in form.items():
        batch[name] = torch.empty(shape, dtype=dtype, pin_memory=pin_memory)
        content = _bytes_of(batch[name])
        while content:
            count = os.readv(connection.fileno(), [content])
            if not count:
                raise EOFError
            content = content[count:]
    return batch


def _bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    return tensor.numpy().reshape(-1).view(np.uint8).data
