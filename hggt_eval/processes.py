"""Several processes that share one evaluation, as `torchrun -m hggt_eval` starts them; mostly there is one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from hggt_data.workers import rank_and_world

Item = TypeVar("Item")

# The slowest process may still be scoring.
_PATIENCE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that were started together.

    Attributes:
        rank, world: its number, and how many there are; the one with number 0 writes files and speaks.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> "Processes":
        """As `torchrun` or a batch script has started them."""
        return cls(*rank_and_world())

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's share."""
        return items[self.rank :: self.world]

    def own_device(self, device: str) -> str:
        """Of `cuda`, the GPU that is this process's own."""
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" and self.world > 1 else device

    def gather(self, value: Item) -> list[Item]:
        """What each process has, in their order; all must call this together.

        Raises:
            RuntimeError: another process has ended.
        """
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        dist.init_process_group("gloo", timeout=_PATIENCE)
        try:
            gathered: list[Item] = [value] * self.world
            dist.all_gather_object(gathered, value)
            return gathered
        finally:
            dist.destroy_process_group()


ALONE = Processes()
