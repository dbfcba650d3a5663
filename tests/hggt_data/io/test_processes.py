"""Which process this is, what is its share, how many cores it has for itself."""

import os

import pytest

from hggt_data.io.workers import Processes, own_cores, usable_cores


@pytest.mark.parametrize(("rank", "own"), [(0, [0, 3, 6]), (1, [1, 4]), (2, [2, 5])])
def test_every_item_is_of_one_process(monkeypatch: pytest.MonkeyPatch, rank: int, own: list[int]) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "3")
    processes = Processes.of_environment()
    assert list(processes.own(range(7))) == own
    assert processes.leads == (rank == 0)


def test_one_process_alone_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    processes = Processes.of_environment()
    assert list(processes.own([1, 2, 3])) == [1, 2, 3]
    assert processes.leads


@pytest.mark.parametrize(("started", "own"), [(None, 6), ("4", 1), ("2", 3), ("64", 1)])
def test_processes_of_a_machine_share_the_cores_they_may_use(
    monkeypatch: pytest.MonkeyPatch, started: str | None, own: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if started is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", started)
    assert usable_cores() == 6
    assert own_cores() == own
