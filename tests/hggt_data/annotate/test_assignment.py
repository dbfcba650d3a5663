"""Loads, pairs and moves."""

import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from hggt_data.annotate.assignment import Assignment, Excluded


@settings(max_examples=8)
@given(st.integers(3, 12).flatmap(lambda number: st.tuples(st.just(number), st.integers(2, min(5, number)))))
def test_loads_are_equal_and_pairs_varied(sizes: tuple[int, int]) -> None:
    number, votes = sizes
    names = [f"annotator {k}" for k in range(number)]
    assignment = Assignment(random.Random(0))
    for k in range(600):
        assignment.fill(f"p{k}-0-0", names, votes)
    assigned = assignment.annotators_of.values()
    assert all(len(annotators) == votes for annotators in assigned)
    loads = [assignment.loads[name] for name in names]
    assert sum(loads) == 600 * votes
    assert max(loads) - min(loads) <= 1
    shared = Counter(frozenset(pair) for annotators in assigned for pair in combinations(sorted(annotators), 2))
    assert shared == Counter({pair: count for pair, count in assignment.pairs.items() if count})
    expected = 600 * votes * (votes - 1) / number / (number - 1)
    numbers = [assignment.pairs[frozenset(pair)] for pair in combinations(names, 2)]
    assert 0.8 * expected - 1 <= min(numbers) <= max(numbers) <= 1.2 * expected + 1


def test_balancing_moves_only_reassignable_groups_and_respects_exclusions() -> None:
    groups = [f"p{k}-0-0" for k in range(10)]
    assignment = Assignment(random.Random(0))
    for group in groups:
        assignment.add(group, "Ada")
    reassignable = {"Ada": dict.fromkeys(groups[:6]), "Bob": {}, "Eve": {}}
    assignment.balance(["Ada", "Bob", "Eve"], reassignable, {("Bob", group) for group in groups})
    assert assignment.loads == {"Ada": 5, "Eve": 5}
    assert set(groups[6:]) < set(assignment.groups_of("Ada"))
    assert assignment.groups_of("Bob") == []
    assert sorted(reassignable["Eve"]) == assignment.groups_of("Eve")


def test_groups_are_passed_on_where_the_least_loaded_can_take_none() -> None:
    groups = [f"p{k:02d}-0-0" for k in range(15)]
    assignment = Assignment(random.Random(0))
    for name, assigned in {"Ada": groups[:8], "Bob": groups[8:], "Eve": groups[:5]}.items():
        for group in assigned:
            assignment.add(group, name)
    # All that Ada may lose is Eve's already.
    reassignable = {"Ada": dict.fromkeys(groups[:5]), "Bob": dict.fromkeys(groups[8:10]), "Eve": {}}
    assignment.balance(["Ada", "Bob", "Eve"], reassignable, set())
    assert assignment.loads == {"Ada": 7, "Bob": 7, "Eve": 6}
    assert set(assignment.groups_of("Eve")) - set(groups[:5]) <= set(groups[8:10])


def optimal_loads(kept: dict[str, set[str]], names: list[str], votes: int, excluded: Excluded) -> list[int]:
    """The sorted loads with the smallest sum of squares, where as few exclusions as possible are ignored.

    A minimum-cost flow as a linear program: each group gives its missing votes to annotators, who pay 1 for their first
    group, 3 for the second, 5 for the third. The matrix is totally unimodular, so that the solution is integral.
    """
    pairs = [(name, group) for group in kept for name in names if name not in kept[group]]
    missing = [min(votes - len(kept[group]), sum(name not in kept[group] for name in names)) for group in kept]
    answered = [sum(name in kept[group] for group in kept) for name in names]
    steps = [(name, step) for name in names for step in range(1, 2 * len(kept), 2)]
    of_group = [[pair[1] == group for pair in pairs] + [False] * len(steps) for group in kept]
    of_name = [[pair[0] == name for pair in pairs] + [-(other == name) for other, _ in steps] for name in names]
    cost = [10_000 * (pair in excluded) for pair in pairs] + [step for _, step in steps]
    found = linprog(cost, A_eq=of_group + of_name, b_eq=missing + [-number for number in answered], bounds=(0, 1))
    assigned = np.rint(found.x[: len(pairs)]).astype(bool)
    taken = Counter(name for (name, _), is_taken in zip(pairs, assigned, strict=True) if is_taken)
    return sorted(number + taken[name] for name, number in zip(names, answered, strict=True))


@pytest.mark.parametrize("seed", range(60))
def test_loads_are_as_equal_as_possible(seed: int) -> None:
    rng = random.Random(seed)
    votes = rng.randint(1, 4)
    names = [f"annotator {k}" for k in range(rng.randint(votes, votes + 4))]
    share = {name: rng.random() for name in names}  # of the groups that each has answered
    assignment = Assignment(rng)
    reassignable = {name: dict[str, None]() for name in names}
    excluded = set()
    share_skipped = rng.choice([0.1, 0.6])
    for group in [f"p-{k}-0" for k in range(rng.randint(3, 20))]:
        assignment.annotators_of[group] = set()
        for name in rng.sample(names, rng.randint(0, votes)):
            assignment.add(group, name)
            if rng.random() > share[name]:
                reassignable[name][group] = None
        excluded |= {(name, group) for name in names if rng.random() < share_skipped} - {
            (n, group) for n in assignment.annotators_of[group]
        }
    kept = {
        group: {name for name in assigned if group not in reassignable[name]}
        for group, assigned in assignment.annotators_of.items()
    }
    assignment.complete(names, votes, reassignable, excluded)
    loads = sorted(assignment.loads[name] for name in names)
    assert loads == optimal_loads(kept, names, votes, excluded)
    assert all(
        kept[group] <= assigned and len(assigned) == votes for group, assigned in assignment.annotators_of.items()
    )
    assert bool(assignment.explain_difference(names, reassignable)) == (loads[-1] - loads[0] > 1)
