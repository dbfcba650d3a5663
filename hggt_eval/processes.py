"""What the processes that share an evaluation tell each other, as `torchrun -m hggt_eval` starts them."""

from datetime import timedelta
from typing import TypeVar

from hggt_data.processes import Processes

Value = TypeVar("Value")

# The slowest process may still be scoring.
_PATIENCE = timedelta(hours=6)


def gather(value: Value, processes: Processes) -> list[Value]:
    """What each process has, in their order; all must call this together.

    Raises:
        RuntimeError: another process has ended.
    """
    if processes.world == 1:
        return [value]
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        gathered: list[Value] = [value] * processes.world
        dist.all_gather_object(gathered, value)
        return gathered
    finally:
        dist.destroy_process_group()
