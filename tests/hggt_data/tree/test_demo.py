"""The demo tree: small, real, the same every time, and without a fault."""

from pathlib import Path

import numpy as np
import pytest

from hggt_data import open_groups
from hggt_data.errors import OutputError
from hggt_data.io.images import read_pixels
from hggt_data.schema import Label
from hggt_data.tree.demo import DemoTree, write_demo_restored, write_demo_tree
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.trees import contents


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoTree:
    return write_demo_tree(tmp_path_factory.mktemp("demo"))


def test_both_trees_are_whole_and_share_no_source_picture(demo: DemoTree) -> None:
    for tree in (demo.train, demo.test):
        report = validate_tree(tree, workers=1, expect_groups=6)
        assert report.problems == ()
    pictures = [set(open_groups(tree).image_names) for tree in (demo.train, demo.test)]
    assert pictures == [{"astronaut", "chelsea"}, {"coffee", "rocket"}]


def test_the_test_tree_has_lr_of_a_quarter(demo: DemoTree) -> None:
    for group in open_groups(demo.test):
        assert (group.read("original").shape, group.read("lr").shape) == ((192, 192, 3), (48, 48, 3))


def test_every_test_group_can_be_scored_and_labels_vary(demo: DemoTree) -> None:
    groups = [*open_groups(demo.train), *open_groups(demo.test)]
    assert all(group.positives for group in groups)
    assert {label for group in groups for label in group.consensus} == set(Label)


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(demo: DemoTree, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_demo_tree(tmp_path / str(seed), seed)
    assert contents(tmp_path / "0") == contents(demo.train.parent)
    assert contents(tmp_path / "1") != contents(demo.train.parent)


def test_the_demo_is_small(demo: DemoTree) -> None:
    assert sum(len(data) for data in contents(demo.train.parent).values()) < 6_000_000


def test_the_restored_pictures_fit_the_originals_and_differ(demo: DemoTree, tmp_path: Path) -> None:
    folders = write_demo_restored(demo.lr, tmp_path)
    assert [folder.name for folder in folders] == ["bicubic", "sharper"]
    for group in open_groups(demo.test):
        bicubic, sharper = (read_pixels(f / f"{group.id}_{f.name}.png") for f in folders)
        assert bicubic.shape == sharper.shape == group.read("original").shape
        assert not np.array_equal(bicubic, sharper)
        error = np.abs(bicubic.astype(int) - group.read("original").astype(int)).mean()
        assert error < 20  # it is the same picture, not turned or shifted


def test_the_demo_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "sources.csv").write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        write_demo_tree(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sources.csv"]
