"""What the tests of all packages share: where the small real tree lies, and that nothing reaches for the network."""

import os
import tempfile
from pathlib import Path

import pytest

# Read by huggingface_hub and datasets when they are imported, so it is set before any test imports them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
# `load_dataset` keeps what it has read; no test may see what another run has left. Goes when the tests end.
_CACHE = tempfile.TemporaryDirectory(prefix="hggt-tests-")
os.environ["HF_HOME"] = _CACHE.name
os.environ["HF_DATASETS_CACHE"] = f"{_CACHE.name}/datasets"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Crops of public-domain pictures in the official layout: Train/, Test/ (with LR). Never written to."""
    return Path(__file__).parent / "data" / "fixtures"
