"""Trees of coded pictures whose labels are known, and real pictures."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.io.images import read_pixels
from tests.hggt_models.data.coded import write_groups

# By number of the group: what is agreed on of the candidates 01 to 04.
LABELS = {
    "p0-0-0": "PPNN",
    "p0-0-96": "PSSN",
    "p1-8-0": "NNSS",
    "p1-9-0": "PPPS",
    "p2-0-0": "SSSS",
    "p3-0-0": "SNPP",
}


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six groups of 24 x 20 of four source pictures. Never written to."""
    return write_groups(tmp_path_factory.mktemp("coded") / "Train", LABELS)


@pytest.fixture(scope="session")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of `tree`."""
    output = tmp_path_factory.mktemp("coded") / "hggt"
    build_dataset(BuildSettings(trees=(tree,), output=output, license="cc0-1.0", groups_per_shard=2, workers=1))
    return output


@pytest.fixture(scope="session")
def photos(fixtures: Path) -> Tensor:
    """Four real squares, uint8 (4, 3, 64, 64)."""
    paths = sorted((fixtures / "Train/images/0-6/original").glob("*.png"))
    return torch.stack(
        [torch.from_numpy(read_pixels(path)[32:96, 32:96]).permute(2, 0, 1) for path in paths[::2] + paths[1:2]]
    )
