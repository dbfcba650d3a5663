"""Assigns groups to annotators: equal loads, varied pairs, few changes on reassignment.

Loads are as equal as answers and skips allow: groups move along paths from annotators with more to annotators with
fewer groups, and once no path is left, no other assignment has a smaller sum of squared loads (Harvey, Ladner, Lovasz
and Tamir, Semi-matchings for bipartite graphs and load balancing, 2006).
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from hggt_data.io.text import format_examples
from hggt_data.schema import group_order

_MOST_COMPARED = 100  # candidates for the next move; comparing all of many groups would be slow

Reassignable = dict[str, dict[str, None]]  # name to the groups that it may lose, in the order they are tried
_Move = tuple[str, str, str]  # giver, taker, group
Excluded = set[tuple[str, str]]  # (name, group) pairs that are assigned only if no one else is left


@dataclass
class Assignment:
    """Which annotators, by name, judge which group.

    Attributes:
        loads: Number of groups per annotator.
        pairs: Number of groups that two annotators share.
    """

    rng: random.Random
    annotators_of: dict[str, set[str]] = field(default_factory=dict)
    loads: Counter[str] = field(default_factory=Counter)
    pairs: Counter[frozenset[str]] = field(default_factory=Counter)

    def add(self, group: str, name: str) -> None:
        """Assign a group to an annotator."""
        others = self.annotators_of.setdefault(group, set())
        for other in others:
            self.pairs[frozenset((name, other))] += 1
        others.add(name)
        self.loads[name] += 1

    def remove(self, group: str, name: str) -> None:
        """Undo `add`."""
        self.annotators_of[group].remove(name)
        for other in self.annotators_of[group]:
            self.pairs[frozenset((name, other))] -= 1
        self.loads[name] -= 1

    def groups_of(self, name: str) -> list[str]:
        """The groups of one annotator, sorted."""
        return sorted((group for group, names in self.annotators_of.items() if name in names), key=group_order)

    def fill(self, group: str, names: Sequence[str], votes: int) -> None:
        """Add annotators until the group has `votes`: the least loaded, ties going to the fewest shared groups."""
        while len(assigned := self.annotators_of.setdefault(group, set())) < votes:
            free = [name for name in names if name not in assigned]
            if not free:
                return
            self.add(group, min(free, key=lambda n: (self.loads[n], self.shared(group, n), self.rng.random())))

    def shared(self, group: str, name: str) -> int:
        """Number of groups that an annotator shares with the other annotators of this group."""
        return sum(self.pairs[frozenset((name, other))] for other in self.annotators_of[group] if other != name)

    def complete(self, names: Sequence[str], votes: int, reassignable: Reassignable, excluded: Excluded) -> None:
        """Fill all groups and balance the loads; updates `reassignable`."""
        for group in self.rng.sample(sorted(self.annotators_of, key=group_order), len(self.annotators_of)):
            earlier = set(self.annotators_of[group])
            self.fill(group, [name for name in names if (name, group) not in excluded], votes)
            self.fill(group, names, votes)
            for name in sorted(self.annotators_of[group] - earlier):
                reassignable[name][group] = None
        self.balance(names, reassignable, excluded)

    def balance(self, names: Sequence[str], reassignable: Reassignable, excluded: Excluded) -> None:
        """Move groups from the most to the least loaded, as far as they can be moved; updates `reassignable`.

        Where the least loaded can take none of them, groups are passed on through others.
        """
        while moves := self._next_moves(names, reassignable, excluded):
            for giver, taker, group in moves:
                self.remove(group, giver)
                self.add(group, taker)
                del reassignable[giver][group]
                reassignable[taker][group] = None

    def explain_difference(self, names: Sequence[str], reassignable: Reassignable) -> str:
        """Why the loads still differ by more than one after `balance`; empty if they do not."""
        least = min(self.loads[name] for name in names)
        most = [name for name in names if self.loads[name] > least + 1]
        if not most:
            return ""
        fewest = format_examples([name for name in names if self.loads[name] == least])
        loads = [
            f"{name} has {self.loads[name]:,} ({self.loads[name] - len(reassignable[name]):,} answered)"
            for name in most
        ]
        reason = "answers stay with their annotators"
        if any(reassignable[name] for name in most):
            reason += f", and all the others are already assigned to {fewest} or were skipped by them"
        return f"Loads differ by more than one group: {format_examples(loads)}, {fewest} {least:,}; {reason}."

    def _next_moves(self, names: Sequence[str], reassignable: Reassignable, excluded: Excluded) -> list[_Move]:
        """The shortest chain of moves from a person to one with at least two groups less; empty if there is none."""
        ordered = sorted(names, key=lambda name: self.loads[name])
        for giver in reversed(ordered):
            if self.loads[giver] - self.loads[ordered[0]] < 2:
                break
            chains: dict[str, list[_Move]] = {giver: []}
            for name in (queue := [giver]):  # grows
                for taker in ordered:
                    if taker in chains or (group := self._movable(name, taker, reassignable, excluded)) is None:
                        continue
                    chains[taker] = [*chains[name], (name, taker, group)]
                    if self.loads[giver] - self.loads[taker] >= 2:
                        return chains[taker]
                    queue.append(taker)
        return []

    def _movable(self, giver: str, taker: str, reassignable: Reassignable, excluded: Excluded) -> str | None:
        """A group that may move; of several, one whose annotators share few groups with the taker."""
        free = (
            group
            for group in reassignable[giver]
            if taker not in self.annotators_of[group]
            and ((taker, group) not in excluded or (giver, group) in excluded)  # if no one else is left, equally bad
        )
        return min(islice(free, _MOST_COMPARED), key=lambda group: self.shared(group, taker), default=None)
