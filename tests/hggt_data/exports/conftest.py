"""The tree that the tests of exports start from."""

from pathlib import Path

import pytest

from tests.hggt_data.trees import write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "T", ["a-0-0", "a-8-0", "b-0-0", "b-0-8", *(f"c-{k}-0" for k in range(9))])
