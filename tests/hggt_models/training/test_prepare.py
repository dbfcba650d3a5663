"""The terms of what a network has learned from."""

from dataclasses import replace
from pathlib import Path

import pytest

from hggt_models.config.recipes import load_config
from hggt_models.networks import build_network
from hggt_models.networks.checkpoint import load_checkpoint, save_network
from tests.hggt_models.training.runs import small, training_run


@pytest.mark.parametrize(
    ("data", "initial", "expected"),
    [
        ("cc0-1.0", "hggt-terms", "hggt-terms"),
        ("hggt-terms", "cc0-1.0", "hggt-terms"),
        ("unknown", "hggt-terms", "hggt-terms"),
        (None, "hggt-terms", "hggt-terms"),
        ("cc0-1.0", "unknown", "unknown"),
        ("cc0-1.0", None, "unknown"),  # weights that do not say what they learned from
        (None, "cc-by-4.0", "unknown"),
        (None, None, None),
        ("cc-by-4.0", "cc-by-4.0", "cc-by-4.0"),
        ("cc0-1.0", "cc-by-nc-4.0", "other:cc-by-nc-4.0+cc0-1.0"),
        ("cc0-1.0", "other:cc-by-nc-4.0+cc0-1.0", "other:cc-by-nc-4.0+cc0-1.0"),
    ],
)
def test_weights_carry_the_terms_of_the_data_and_of_the_network_they_started_from(
    data: str | None, initial: str | None, expected: str | None, pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "initial.safetensors"
    network = build_network("rrdb_pixelshuffle", num_block=1, num_feat=8, num_grow_ch=4)
    save_network(network, path, {"data_license": initial} if initial else {})
    run = training_run("rrdb-psnr", load_config("rrdb-psnr", small("rrdb-psnr")), pictures, tmp_path / "run")
    run = replace(run, data=replace(run.data, license=data), init=load_checkpoint(path))
    assert run.metadata().get("data_license") == expected
