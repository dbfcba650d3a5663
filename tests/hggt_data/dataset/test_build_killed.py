"""A build that is killed at any moment: what it leaves never loads as a whole dataset, and the next run mends it.

Each victim is forked from a clean process that has everything imported, so that it builds at once and dies alone.
"""

import os
import random
import shutil
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import HggtError, OutputError
from hggt_data.loading import open_groups
from tests.hggt_data.kills import FORKED, die_at_rename, kill
from tests.hggt_data.trees import contents, edit_text, write_tree

IDS = tuple(f"p{k}-0-0" for k in range(20))
FORKED.set_forkserver_preload(["hggt_data.dataset.build", "datasets", "tqdm", __name__])


def settings(tree: Path, output: Path, workers: int = 1) -> BuildSettings:
    return BuildSettings(trees=(tree,), output=output, workers=workers, groups_per_shard=1)


def start(tree: Path, output: Path, workers: int = 1) -> BaseProcess:
    process = FORKED.Process(target=build_dataset, args=(settings(tree, output, workers),))
    process.start()
    return process


def loads_as(folder: Path, cache: Path) -> list[str] | None:
    """The ids that `load_dataset` finds, null where it fails."""
    try:
        found = load_dataset(str(folder), split="train", cache_dir=str(cache))
    except Exception:
        return None
    return list(found["id"])


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("old"), IDS, size=(64, 64), candidates=("01", "02"))


@pytest.fixture(scope="module")
def new_tree(old_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old tree with one picture more in the middle and new labels in two groups."""
    tree = Path(shutil.copytree(old_tree, tmp_path_factory.mktemp("new") / "T"))
    write_tree(tree, ["p10-64-0"], size=(64, 64), candidates=("01", "02"))
    for group_id in (IDS[3], IDS[17]):
        edit_text(tree / f"labels/0-9/A/{group_id}.json", '"Total": 30', '"Total": 31')
    return tree


@pytest.fixture(scope="module")
def clean(old_tree: Path, new_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What builds that nobody disturbs give."""
    place = tmp_path_factory.mktemp("clean")
    for name, tree in (("old", old_tree), ("new", new_tree)):
        build_dataset(settings(tree, place / name))
    return {name: contents(place / name) for name in ("old", "new")}


@pytest.mark.parametrize("update", [False, True], ids=["first build", "update"])
def test_a_build_killed_at_random_moments_is_never_taken_for_whole_and_resumes(
    tmp_path: Path, old_tree: Path, new_tree: Path, clean: dict[str, dict[str, bytes]], update: bool
) -> None:
    tree, cache = (new_tree if update else old_tree), tmp_path / "cache"
    expected = clean["new" if update else "old"]
    rng = random.Random(20)
    template = tmp_path / "template"
    if update:
        build_dataset(settings(old_tree, template))

    def prepare(name: str) -> Path:
        output = tmp_path / name / "hggt"
        output.parent.mkdir()
        if update:
            shutil.copytree(template, output)
        return output

    staged = []
    for number in range(0, 10, 3):
        for attempt in range(10):
            wanted = 2 * max(
                number - attempt, 0
            )  # of 20 shards; earlier again where the build was done before the kill
            output = prepare(f"killed{number}.{attempt}")
            process = start(tree, output)
            shards = output.parent / ".hggt.partial" / "data"
            while process.is_alive() and len(list(shards.glob("*.parquet"))) < wanted:
                time.sleep(0.001)
            time.sleep(0.02 * rng.random())
            if kill(process):
                break
        else:
            pytest.fail("the kills came too late to show anything")
        staged.append(len(list(shards.glob("*.parquet"))))
        whole = contents(output) if output.exists() else {}
        assert whole in ({}, clean["old"], expected)
        if not whole:
            assert loads_as(output, cache) is None
            with pytest.raises(HggtError):
                open_groups(output)
        else:
            assert loads_as(output, cache) is not None
        partial = output.parent / ".hggt.partial"
        if partial.exists() and loads_as(partial, cache) is not None:
            assert contents(partial) == expected  # all that was left to do is the rename
        build_dataset(settings(tree, output))
        assert contents(output) == expected
        assert [path.name for path in output.parent.iterdir()] == ["hggt"]
    assert len(set(staged)) >= 2, f"the kills all came at the same moment: {staged}"


def test_a_build_with_workers_killed_at_random_moments_resumes(
    tmp_path: Path, old_tree: Path, clean: dict[str, dict[str, bytes]]
) -> None:
    rng = random.Random(21)
    output = tmp_path / "hggt"
    struck = 0
    for _ in range(2):
        process = start(old_tree, output, workers=2)
        process.join(rng.uniform(0.2, 1.2))
        struck += kill(process)
        assert not output.exists() or contents(output) == clean["old"]
    build_dataset(settings(old_tree, output, workers=2))
    assert contents(output) == clean["old"]
    assert struck >= 1


def build_and_die(number: int, tree: Path, output: Path) -> None:
    die_at_rename(number, lambda: build_dataset(settings(tree, output)))


def test_a_build_killed_before_or_after_every_single_rename_resumes(tmp_path: Path) -> None:
    old = write_tree(tmp_path / "old", IDS[:3], size=(8, 8), candidates=("01",))
    new = Path(shutil.copytree(old, tmp_path / "new"))
    edit_text(new / f"labels/0-9/A/{IDS[1]}.json", '"Total": 30', '"Total": 31')
    for name, tree in (("A", old), ("B", new)):
        build_dataset(settings(tree, tmp_path / name))
    before, after = contents(tmp_path / "A"), contents(tmp_path / "B")
    gone = 0
    for number in range(100):
        output = tmp_path / str(number) / "hggt"
        shutil.copytree(tmp_path / "A", output)
        process = FORKED.Process(target=build_and_die, args=(number, new, output))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        if output.exists():
            assert contents(output) in (before, after)
        else:
            gone += 1  # between the two renames that put the new dataset in the place of the old
        # The run that mends it may be for the old tree again: nothing of the new one may stay.
        last, expected = ((old, before), (new, after))[number // 2 % 2]
        build_dataset(settings(last, output))
        assert contents(output) == expected
        assert [path.name for path in output.parent.iterdir()] == ["hggt"]
    assert gone == 2
    assert number >= 2 * 8  # records, shards, tables, card, manifest and the folder itself


def test_the_old_dataset_comes_back_even_if_the_next_build_fails(tmp_path: Path, old_tree: Path) -> None:
    output = tmp_path / "hggt"
    build_dataset(settings(old_tree, output))
    before = contents(output)
    output.rename(tmp_path / ".hggt.previous")  # killed between the renames
    broken = write_tree(tmp_path / "T", ["a-0-0"], size=(8, 8), candidates=("01", "02"))
    (broken / "images/0-9/01/a-0-0_01.png").unlink()
    with pytest.raises(HggtError):
        build_dataset(settings(broken, output))
    assert contents(output) == before
    assert pq.read_table(output / "labels/train.parquet").num_rows == len(IDS)


def test_of_two_builds_at_once_the_second_is_refused_and_harms_nothing(
    tmp_path: Path, old_tree: Path, clean: dict[str, dict[str, bytes]]
) -> None:
    output = tmp_path / "hggt"
    first = start(old_tree, output)
    until = time.monotonic() + 30
    while not (tmp_path / ".hggt.partial/.finished").exists() and time.monotonic() < until:
        time.sleep(0.001)
    os.kill(first.pid or 0, signal.SIGSTOP)  # in the middle of its work
    try:
        with pytest.raises(OutputError, match="another process is writing to"):
            build_dataset(settings(old_tree, output))
        assert not output.exists()
    finally:
        os.kill(first.pid or 0, signal.SIGCONT)
    first.join()
    assert first.exitcode == 0
    assert contents(output) == clean["old"]
