"""One process stands for several: `Runtime(rank, world)` says which it is."""

import shutil
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hggt_data.errors import ImageError
from hggt_models.config.recipes import load_config
from hggt_models.data.loader import PairLoader, redistribute_pools
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.data.training_data import open_training_data
from hggt_models.degradation.random_source import RandomSource
from hggt_models.runtime import Runtime
from tests.hggt_models.data.coded import NO_DEGRADATION, picture_of
from tests.hggt_models.training.runs import assert_same

RECIPE = "rrdb-gan-positive-negative"
SMALL = ("source_px=16", "crop_px=8", "loss.perceptual=0", "batch_size=8", "validation.pictures=0")
Pairs = dict[str, Tensor]
DAMAGED = r"^.*Train/images/0-9/original/p\d-\d-\d+\.png: "


def load(
    source: Path, *more: str, recipe: str = RECIPE, rank: int = 0, world: int = 1, workers: int = 0, start: int = 0
) -> PairLoader:
    config = load_config(recipe, [*SMALL, "pool_size=0", *more])
    samples = open_training_data(str(source), config).samples
    opened = PairLoader(samples, config, Runtime(rank, world), workers)
    opened.start(start)
    return opened


def content(pairs: TrainingPairs) -> Pairs:
    values = {field.name: getattr(pairs, field.name) for field in fields(pairs)}
    return {name: value for name, value in values.items() if value is not None}


def taken(source: PairLoader, count: int) -> list[Pairs]:
    return [content(source.next()) for _ in range(count)]


def damage(tree: Path) -> None:
    for path in (tree / "images/0-9/original").glob("*.png"):
        path.write_bytes(path.read_bytes()[:-30])


def joined(parts: list[Pairs]) -> Pairs:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


# Several processes


@pytest.mark.parametrize("draws", ["official", "per_sample"])
@pytest.mark.parametrize(("world", "parts"), [(4, 1), (2, 2)])
def test_shares_and_parts_join_to_the_pairs_of_one_process(tree: Path, draws: str, world: int, parts: int) -> None:
    one = taken(load(tree, f"draws={draws}", start=2), 3)
    settings = (f"draws={draws}", f"accumulate={parts}")
    shares = [taken(load(tree, *settings, rank=rank, world=world, start=2), 3 * parts) for rank in range(world)]
    for k, expected in enumerate(one):
        batch = [part for share in shares for part in share[parts * k : parts * (k + 1)]]
        assert all(len(part["lr"]) == 8 // world // parts for part in batch)
        assert_same(joined(batch), expected)


def test_every_group_comes_once_in_an_epoch(tree: Path) -> None:
    # Two processes and parts of a batch, that do not fit into an epoch of six groups.
    settings = (*NO_DEGRADATION, "batch_size=4", "accumulate=2", "draws=per_sample")
    shares = [taken(load(tree, *settings, recipe="rrdb-gan-original", rank=rank, world=2), 18) for rank in range(2)]
    seen: list[int] = []
    for k in range(9):
        for share in shares:
            for part in share[2 * k : 2 * k + 2]:
                seen += [picture_of(int(code))[0] for code in (part["target"][:, 2, 0, 0] * 255).round()]
    assert len(seen) == 36
    for epoch in range(6):
        assert sorted(seen[6 * epoch : 6 * epoch + 6]) == list(range(6))


# Resuming


@pytest.mark.parametrize(
    "more",
    [
        ("pool_size=0", "draws=per_sample"),
        ("pool_size=24",),
        ("pool_size=12", "accumulate=2"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("done", [1, 4])
def test_a_loader_resumes_as_if_it_had_never_stopped(tree: Path, more: tuple[str, ...], done: int) -> None:
    parts = 2 if "accumulate=2" in more else 1
    whole = load(tree, *more)
    taken(whole, done * parts)
    state = {name: value.clone() for name, value in whole.pool.state_dict().items()}
    expected = taken(whole, 4 * parts)
    resumed = load(tree, *more, start=done)
    resumed.pool.load_state_dict(state)
    assert_same(taken(resumed, 4 * parts), expected)
    assert_same(resumed.pool.state_dict(), whole.pool.state_dict())


def test_another_seed_gives_other_pairs(tree: Path) -> None:
    first, again, other = (taken(load(tree, "pool_size=16", f"seed={seed}"), 4) for seed in (0, 0, 1))
    assert_same(first, again)
    assert not torch.equal(first[0]["lr"], other[0]["lr"])


@pytest.mark.parametrize("draws", ["official", "per_sample"])
def test_every_random_choice_has_a_source_of_its_own(tree: Path, draws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    from_text = RandomSource.from_text

    def record(text: str, device: torch.device | str = "cpu") -> RandomSource:
        texts.append(text)
        return from_text(text, device)

    monkeypatch.setattr(RandomSource, "from_text", record)
    for rank in range(2):
        taken(load(tree, f"draws={draws}", "seed=7", "accumulate=2", rank=rank, world=2), 6)
    assert all(text.startswith("7/") for text in texts)
    of_batches = [text for text in texts if text.startswith("7/batch/")]
    own = [text for text in texts if text not in of_batches]
    assert len(own) == len(set(own)) == 2 * 6 * 3  # a pool's and two samples' of each part
    assert Counter(of_batches) == ({f"7/batch/{k}": 4 for k in range(3)} if draws == "official" else {})


def test_worker_processes_do_not_change_the_pairs_and_name_a_damaged_picture(tree: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tree, tmp_path / "Train"))
    settings = ("pool_size=16", "batch_size=4", "draws=per_sample", "accumulate=2")
    here = load(tree, *settings, start=3)
    there = load(copy, *settings, workers=1, start=3)
    assert_same(taken(there, 14), taken(here, 14))
    assert_same(there.pool.state_dict(), here.pool.state_dict())
    assert there.waited_s > 0
    damage(copy)
    with pytest.raises(ImageError, match=DAMAGED):
        taken(there, 14)  # more than the worker has read ahead


# Pools of other processes


def pools_of(world: int, each: int) -> list[dict[str, Tensor]]:
    return [
        {"number": torch.arange(each * rank, each * (rank + 1)), "lr": torch.full((each, 2), rank).byte()}
        for rank in range(world)
    ]


@pytest.mark.parametrize(("before", "now"), [(1, 2), (3, 4), (4, 3), (4, 1)])
def test_a_pool_is_redistributed_to_another_number_of_processes(before: int, now: int) -> None:
    pools: list[Any] = pools_of(before, 12 // before)
    shares = [redistribute_pools(pools, Runtime(rank, now)) for rank in range(now)]
    assert sorted(torch.cat([share["number"] for share in shares]).tolist()) == list(range(12))
    for share in shares:
        assert len(share["number"]) == len(share["lr"]) == 12 // now
        assert share["lr"][:, 0].tolist() == [number // (12 // before) for number in share["number"].tolist()]
        assert share["lr"].dtype == torch.uint8


# Faults


def test_a_damaged_picture_is_named(tree: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tree, tmp_path / "Train"))
    opened = load(copy, recipe="rrdb-gan-original")
    damage(copy)
    with pytest.raises(ImageError, match=DAMAGED):
        opened.next()
