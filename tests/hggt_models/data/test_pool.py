from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hggt_models.data.pool import PairPool
from hggt_models.degradation.random_source import RandomSource
from tests.hggt_models.training.runs import assert_same


def batch(first: int, count: int) -> dict[str, Tensor]:
    """Pairs whose content follows from their numbers."""
    numbers = torch.arange(first, first + count)
    return {
        "number": numbers,
        "lr": (numbers % 256).byte()[:, None, None, None].expand(-1, 3, 2, 2).clone(),
        "target": (numbers.float() / 7)[:, None, None, None].expand(-1, 3, 4, 4).clone(),
        "flag": numbers % 3 == 0,
    }


def require_whole(pairs: dict[str, Tensor]) -> list[int]:
    """Check that no part of a pair was exchanged, and return the numbers."""
    numbers: list[int] = pairs["number"].tolist()
    expected = [batch(number, 1) for number in numbers]
    assert_same(dict(pairs), {name: torch.cat([one[name] for one in expected]) for name in pairs})
    return numbers


def exchange(pool: PairPool, step: int, count: int, seed: int = 0) -> list[int]:
    """The numbers that come out when batch number `step` goes in."""
    return require_whole(dict(pool.exchange(batch(step * count, count), RandomSource.from_text(f"{seed}/{step}"))))


def stored(pool: PairPool) -> list[int]:
    return require_whole(pool.state_dict()) if pool.state_dict() else []


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 2**32), st.integers(0, 25))
def test_no_pair_is_lost_or_duplicated(count: int, size: int, seed: int, steps: int) -> None:
    size = max(size, count)
    pool = PairPool(size)
    filling = -(-size // count)  # steps
    out: list[int] = []
    for step in range(steps):
        came = exchange(pool, step, count, seed)
        assert len(came) == count
        if step < filling:
            assert came == list(range(step * count, (step + 1) * count))
        else:
            out += came
    # Each pair that filled the pool or came later is in the pool or was drawn, and no other.
    given_in = [*range(min(size, steps * count)), *range(filling * count, steps * count)]
    assert sorted(out + stored(pool)) == given_in
    assert len(stored(pool)) == min(size, steps * count)


def test_until_it_is_full_it_returns_each_batch_unchanged() -> None:
    pool = PairPool(10)
    for step in range(3):
        pairs = batch(4 * step, 4)
        assert pool.exchange(pairs, RandomSource(0)) is pairs
        assert stored(pool) == list(range(min(4 * step + 4, 10)))
    pairs = batch(12, 4)
    assert pool.exchange(pairs, RandomSource(0)) is not pairs


def test_a_pool_of_size_0_returns_each_batch_and_stores_nothing() -> None:
    pool = PairPool(0)
    for step in range(3):
        pairs = batch(4 * step, 4)
        assert pool.exchange(pairs, RandomSource(0)) is pairs
    assert pool.state_dict() == {}


def test_every_pair_is_drawn_with_equal_probability() -> None:
    counts = Counter[int]()
    pairs = Counter[tuple[int, ...]]()
    filled, pool = PairPool(6), PairPool(6)
    for step in range(3):
        exchange(filled, step, 2)
    for seed in range(600):
        pool.load_state_dict({"number": filled.state_dict()["number"]})
        came = pool.exchange({"number": torch.tensor([6, 7])}, RandomSource(seed))["number"].tolist()
        counts.update(came)
        pairs[tuple(came)] += 1
    # Never those that have just come in.
    assert set(counts) == set(range(6))
    assert all(number / 600 == pytest.approx(2 / 6, abs=0.08) for number in counts.values())
    assert len(pairs) == 30


def test_the_random_source_alone_decides_what_is_drawn() -> None:
    pools = [PairPool(9) for _ in range(3)]
    outputs = [
        [exchange(pool, step, 3, seed) for step in range(9)] for pool, seed in zip(pools, (0, 0, 1), strict=True)
    ]
    assert outputs[0] == outputs[1] != outputs[2]


def test_the_pool_shares_no_memory_with_its_caller() -> None:
    pool = PairPool(4)
    for step in range(6):
        pairs = batch(2 * step, 2)
        came = pool.exchange(pairs, RandomSource(step))
        for value in (*pairs.values(), *came.values()):
            value.zero_()
        assert len(set(stored(pool))) == min(4, 2 * step + 2)


# Resuming


@pytest.mark.parametrize("done", [0, 2, 7])
def test_a_pool_resumes_from_its_state(done: int) -> None:
    pool, resumed = PairPool(10), PairPool(10)
    for step in range(done):
        exchange(pool, step, 4)
    resumed.load_state_dict({name: value.clone() for name, value in pool.state_dict().items()})
    assert stored(resumed) == stored(pool)
    for step in range(done, done + 8):
        assert exchange(resumed, step, 4) == exchange(pool, step, 4)
    assert_same(resumed.state_dict(), pool.state_dict())


def test_a_smaller_pool_leaves_pairs_out() -> None:
    pool, smaller = PairPool(8), PairPool(5)
    for step in range(6):
        exchange(pool, step, 2)
    before = stored(pool)
    smaller.load_state_dict(pool.state_dict())
    assert stored(smaller) == before[:5]
    came = exchange(smaller, 6, 2)
    assert set(came) <= set(before[:5])
    assert sorted(came + stored(smaller)) == sorted([*before[:5], 12, 13])
    assert stored(pool) == before


def test_a_larger_pool_is_filled_up_first() -> None:
    pool, larger = PairPool(4), PairPool(8)
    for step in range(4):
        exchange(pool, step, 2)
    before = stored(pool)
    larger.load_state_dict(pool.state_dict())
    assert exchange(larger, 4, 2) == [8, 9]
    assert exchange(larger, 5, 2) == [10, 11]
    assert stored(larger) == [*before, 8, 9, 10, 11]
    assert set(exchange(larger, 6, 2)) < {*before, 8, 9, 10, 11}
