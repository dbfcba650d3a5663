"""Data that small runs learn from."""

import shutil
from pathlib import Path

import pytest

from tests.hggt_models.training.runs import write_pictures


@pytest.fixture(scope="session")
def groups(fixtures: Path) -> Path:
    """A tree of six groups of four source pictures, with positives and negatives."""
    return fixtures / "Train"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four real pictures in a folder."""
    return write_pictures(tmp_path_factory.mktemp("pictures") / "HR")


@pytest.fixture(autouse=True)
def _tidy(tmp_path: Path) -> object:
    """Delete the checkpoints, which are large."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)
