"""Who judges which group: loads, pairs, moves."""

import random
from collections import Counter
from itertools import combinations

import pytest

from hggt_data.annotate.assignment import Seating
from hggt_data.schema import PatchId


@pytest.mark.parametrize(
    ("people", "votes"), [(3, 2), (3, 3), (4, 2), (4, 3), (7, 2), (7, 3), (7, 5), (20, 2), (20, 3), (20, 5)]
)
def test_loads_are_equal_and_pairs_mixed(people: int, votes: int) -> None:
    names = [f"person {k}" for k in range(people)]
    seating = Seating(random.Random(0))
    groups = [PatchId(f"p{k}", 0, 0) for k in range(1000)]
    for group in groups:
        seating.fill(group, names, votes)
    assert all(len(seated) == votes for seated in seating.seats.values())
    loads = [seating.loads[name] for name in names]
    assert sum(loads) == 1000 * votes
    assert max(loads) - min(loads) <= 1
    shared = Counter(frozenset(pair) for seated in seating.seats.values() for pair in combinations(sorted(seated), 2))
    assert shared == Counter({pair: count for pair, count in seating.pairs.items() if count})
    expected = 1000 * votes * (votes - 1) / people / (people - 1)
    numbers = [seating.pairs[frozenset(pair)] for pair in combinations(names, 2)]
    assert min(numbers) >= 0.8 * expected - 1
    assert max(numbers) <= 1.2 * expected + 1


def test_levelling_moves_only_what_may_be_moved_and_to_whom_it_may_go() -> None:
    groups = [PatchId(f"p{k}", 0, 0) for k in range(10)]
    seating = Seating(random.Random(0))
    for group in groups:
        seating.add(group, "Ada")
    movable = {"Ada": dict.fromkeys(groups[:6]), "Bob": {}, "Eve": {}}
    seating.level(["Ada", "Bob", "Eve"], movable, {("Bob", group) for group in groups})
    assert seating.loads == {"Ada": 5, "Eve": 5}
    assert set(groups[6:]) < set(seating.groups_of("Ada"))
    assert seating.groups_of("Bob") == []
    assert sorted(movable["Eve"]) == seating.groups_of("Eve")
