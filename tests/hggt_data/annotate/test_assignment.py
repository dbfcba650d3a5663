"""Loads, pairs and moves."""

import random
from collections import Counter
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from hggt_data.annotate.assignment import Assignment


@settings(max_examples=8, deadline=None)
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
