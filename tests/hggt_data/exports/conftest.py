"""What the tests of exports start from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from tests.hggt_data.trees import write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "T", ["a-0-0", "a-8-0", "b-0-0", "b-0-8", *(f"c-{k}-0" for k in range(9))])


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """`load_dataset` with a cache of its own."""
    return lambda *arguments, **options: load_dataset(*arguments, cache_dir=str(tmp_path / "cache"), **options)
