"""Who judges which group: equal loads, mixed pairs, and as few changes as can be when people come or go."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from hggt_data.schema import PatchId

_MOST_COMPARED = 100  # when one group of many is to change hands


@dataclass
class Seating:
    """Who judges which group, while it is dealt.

    Attributes:
        seats: group to the people who judge it.
        loads: how many groups each person has.
        pairs: how many groups each two people share.
    """

    rng: random.Random
    seats: dict[PatchId, set[str]] = field(default_factory=dict)
    loads: Counter[str] = field(default_factory=Counter)
    pairs: Counter[frozenset[str]] = field(default_factory=Counter)

    def add(self, group: PatchId, person: str) -> None:
        """Give a group to a person."""
        seated = self.seats.setdefault(group, set())
        for other in seated:
            self.pairs[frozenset((person, other))] += 1
        seated.add(person)
        self.loads[person] += 1

    def remove(self, group: PatchId, person: str) -> None:
        """Take a group from a person."""
        self.seats[group].remove(person)
        for other in self.seats[group]:
            self.pairs[frozenset((person, other))] -= 1
        self.loads[person] -= 1

    def groups_of(self, person: str) -> list[PatchId]:
        """What a person judges, sorted."""
        return sorted(group for group, seated in self.seats.items() if person in seated)

    def fill(self, group: PatchId, people: Sequence[str], votes: int) -> None:
        """Seat the least loaded, of them those who share fewest groups with who is seated, until there are enough."""
        while len(seated := self.seats.setdefault(group, set())) < votes:
            free = [person for person in people if person not in seated]
            if not free:
                return
            self.add(group, min(free, key=lambda p: (self.loads[p], self.shared(group, p), self.rng.random())))

    def shared(self, group: PatchId, person: str) -> int:
        """How many groups a person shares with those who judge this one."""
        return sum(self.pairs[frozenset((person, other))] for other in self.seats[group] if other != person)

    def level(self, people: Sequence[str], movable: "Movable", barred: "Barred") -> None:
        """Move groups from the most to the least loaded while loads differ by more than one.

        Args:
            people: among whom.
            movable: what each of them may lose, in the order in which it is looked at; kept up to date.
            barred: who must not get what.
        """
        while move := self._next_move(people, movable, barred):
            giver, taker, group = move
            self.remove(group, giver)
            self.add(group, taker)
            del movable[giver][group]
            movable[taker][group] = None

    def _next_move(
        self, people: Sequence[str], movable: "Movable", barred: "Barred"
    ) -> tuple[str, str, PatchId] | None:
        ordered = sorted(people, key=lambda person: self.loads[person])
        for giver in reversed(ordered):
            for taker in ordered:
                if self.loads[giver] - self.loads[taker] < 2:
                    break
                free = (g for g in movable[giver] if taker not in self.seats[g] and (taker, g) not in barred)
                if groups := list(islice(free, _MOST_COMPARED)):
                    return giver, taker, min(groups, key=lambda group: self.shared(group, taker))
        return None


Movable = dict[str, dict[PatchId, None]]
Barred = set[tuple[str, PatchId]]
