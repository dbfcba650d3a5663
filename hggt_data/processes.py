"""Processes that share one piece of work, as `torchrun` or a batch script start them; mostly there is one.

Whoever starts them says so in RANK, WORLD_SIZE and LOCAL_WORLD_SIZE.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that were started together.

    Attributes:
        rank, world: its number, and how many there are; the one with number 0 writes files and speaks.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> Self:
        """As `torchrun` or a batch script has started them."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's share."""
        return items[self.rank :: self.world]


def usable_cores() -> int:
    """How many cores the system gives this process; under a batch script often few of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def own_cores() -> int:
    """How many of them are this process's own, where several were started together on the machine."""
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
