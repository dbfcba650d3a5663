"""A killed build: what it leaves never loads as a whole dataset, and the next build ends with the same bytes.

`tests/hggt_data/io` kills the writing of files and the replacing of folders at every step; here a whole build dies once
among its shards and once after each of the two renames that replace an old dataset.
"""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import HggtError, OutputError
from hggt_data.io.folders import open_staging
from hggt_data.loading import open_groups
from tests.hggt_data.kills import FORKED, died
from tests.hggt_data.trees import contents, edit_text, write_tree

IDS = ("p0-0-0", "p1-0-0", "p2-0-0")
FORKED.set_forkserver_preload(["hggt_data.dataset.build", "datasets", "tqdm", __name__])


def settings(tree: Path, output: Path) -> BuildSettings:
    return BuildSettings(trees=(tree,), output=output, workers=1, groups_per_shard=1)


def build_and_die(target: str, tree: Path, output: Path) -> None:
    """Build until a rename has given something the name `target`."""
    replace = Path.replace

    def replace_and_die(path: Path, to: Any) -> Path:
        result = replace(path, to)
        if Path(to).name == target:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Path.replace = replace_and_die  # type: ignore[assignment, method-assign]  # in a process of its own
    build_dataset(settings(tree, output))


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tree, and the same with other times in one annotation and one more group between the others."""
    folder = tmp_path_factory.mktemp("trees")
    old = write_tree(folder / "old", IDS, size=(8, 8), candidates=("01",))
    new = Path(shutil.copytree(old, folder / "new"))
    write_tree(new, ["p10-0-0"], size=(8, 8), candidates=("01",))
    edit_text(new / f"labels/0-9/A/{IDS[1]}.json", '"Total": 30', '"Total": 31')
    return {"old": old, "new": new}


@pytest.fixture(scope="module")
def built(trees: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The datasets of both trees, built without interruption."""
    folder = tmp_path_factory.mktemp("built")
    for name, tree in trees.items():
        build_dataset(settings(tree, folder / name))
    return {name: folder / name for name in trees}


@pytest.mark.parametrize(
    ("target", "left"),
    [("train-00001-of-00004.parquet", "old"), (".hggt.previous", None), ("hggt", "new")],
    ids=["among the shards", "old dataset moved away", "new dataset in place"],
)
def test_a_killed_update_leaves_the_old_dataset_or_the_new_one_and_the_next_build_completes_it(
    tmp_path: Path, trees: dict[str, Path], built: dict[str, Path], target: str, left: str | None
) -> None:
    output = tmp_path / "killed/hggt"
    shutil.copytree(built["old"], output)
    assert died(build_and_die, target, trees["new"], output)
    assert contents(output) == (contents(built[left]) if left else {})
    for name in ("old", "new"):  # the next build may be of the old tree again: nothing of the new one may remain
        again = shutil.copytree(output.parent, tmp_path / name) / "hggt"
        build_dataset(settings(trees[name], again))
        assert contents(again) == contents(built[name])
        assert [path.name for path in again.parent.iterdir()] == ["hggt"]


def test_a_killed_first_build_does_not_load_and_the_next_keeps_its_shards(
    tmp_path: Path, trees: dict[str, Path], built: dict[str, Path]
) -> None:
    output = tmp_path / "hggt"
    assert died(build_and_die, "train-00001-of-00003.parquet.json", trees["old"], output)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [".hggt.partial"]
    for folder in (output, tmp_path / ".hggt.partial"):
        with pytest.raises(HggtError):
            open_groups(folder)
    assert build_dataset(settings(trees["old"], output)).kept == 2
    assert contents(output) == contents(built["old"])


def test_a_second_build_is_refused_while_the_first_works(tmp_path: Path, trees: dict[str, Path]) -> None:
    output = tmp_path / "hggt"
    with (
        open_staging(output, marker="manifest.json"),
        pytest.raises(OutputError, match="another process is writing to"),
    ):
        build_dataset(settings(trees["old"], output))
    assert not output.exists()
