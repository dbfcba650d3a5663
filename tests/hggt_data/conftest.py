"""Trees and datasets that the tests of `hggt_data` start from."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hggt_data.dataset.build import BuildSettings, build_dataset


@pytest.fixture
def train_tree(fixtures: Path, tmp_path: Path) -> Path:
    """A copy of the small real training tree: 6 groups of 128 x 128 in `0-6`, annotators A, B, C."""
    return Path(shutil.copytree(fixtures / "Train", tmp_path / "Train"))


@pytest.fixture
def test_tree(fixtures: Path, tmp_path: Path) -> Path:
    """A copy of the small real test tree: 6 groups of 160 x 160 in `GT/Test-mini`, with LR of 40 x 40."""
    return Path(shutil.copytree(fixtures / "Test", tmp_path / "Test"))


@pytest.fixture(scope="session")
def real_dataset(fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of both real trees in shards of two groups. Never written to."""
    output = tmp_path_factory.mktemp("built") / "hggt"
    build_dataset(
        BuildSettings(
            trees=(fixtures / "Train",),
            test_tree=fixtures / "Test",
            output=output,
            allow_overlap=True,  # both hold crops of the same four photographs
            groups_per_shard=2,
            workers=1,
        )
    )
    return output


@pytest.fixture
def dataset(real_dataset: Path, tmp_path: Path) -> Path:
    """A copy of `real_dataset` named `hggt`, to be damaged."""
    return Path(shutil.copytree(real_dataset, tmp_path / "work" / "hggt"))


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """`load_dataset` with a cache of its own."""
    from datasets import load_dataset

    return lambda *arguments, **options: load_dataset(*arguments, cache_dir=str(tmp_path / "cache"), **options)
