"""Every recipe with a small network: trained, resumed, and its network used."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from hggt_data.io.images import read_pixels, write_png
from hggt_models.cli import main
from hggt_models.config.recipes import load_config, recipe_names
from hggt_models.networks.checkpoint import load_checkpoint
from tests.hggt_models.training.runs import data_for, log_of, train

RUN = ("iterations=1", "validation.every=0")


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_recipe_trains_resumes_and_restores_pictures(
    recipe: str, groups: Path, pictures: Path, tmp_path: Path
) -> None:
    data, run = data_for(recipe, groups, pictures), tmp_path / "run"
    assert train(recipe, data, run, "iterations=1", "validation.every=0").exit_code == 0
    result = train(recipe, data, run, "iterations=2", "validation.every=2")
    assert result.exit_code == 0, result.output
    assert "resuming after 1 of 2 iterations" in result.output
    lines = log_of(run)
    assert [line["iteration"] for line in lines] == [1, 2, 2]
    assert lines[0].keys() == lines[1].keys()  # the same losses each time
    assert 0 < lines[2]["psnr"] < 60

    checkpoint = load_checkpoint(run)
    config = load_config(recipe)
    assert (checkpoint.network_name, checkpoint.metadata["recipe"]) == (config.generator.name, recipe)
    (tmp_path / "in").mkdir()
    pixels = read_pixels(pictures / "coffee.png")[:48, :64]
    write_png(tmp_path / "in" / "coffee.png", pixels)
    command = "upscale" if config.scale > 1 else "enhance"
    weights = str(run) if config.scale > 1 else f"01={run}"
    arguments = [command, "--weights", weights, "--input", tmp_path / "in", "--output", tmp_path / "out"]
    if config.generator.name == "elan":
        arguments += ["--tile", 256]
    used = CliRunner().invoke(main, [str(argument) for argument in (*arguments, "--device", "cpu")])
    assert used.exit_code == 0, used.output
    made = tmp_path / "out" / ("coffee.png" if config.scale > 1 else "01/coffee_01.png")
    assert read_pixels(made).shape == (config.scale * 48, config.scale * 64, 3)


def test_stages_chain(groups: Path, pictures: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "psnr", tmp_path / "gan"
    assert train("rrdb-psnr", pictures, first, *RUN).exit_code == 0
    result = train("rrdb-gan-positive", groups, second, *RUN, "ema_decay=0.999999", options=["--init", first])
    assert result.exit_code == 0, result.output
    assert "starting from" in result.output
    started, ended = load_checkpoint(first), load_checkpoint(second)
    assert ended.metadata["started_from"] == f"rrdb-psnr sha256:{started.sha256}"
    for key, value in started.state.items():  # an average that hardly moves stays where the run began
        assert (ended.state[key] - value).abs().max() < 1e-4


def test_a_resumed_run_keeps_its_origin_and_licence(groups: Path, pictures: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "gan", tmp_path / "psnr"
    assert train("rrdb-gan-positive", groups, first, "iterations=1").exit_code == 0
    assert train("rrdb-psnr", pictures, second, "iterations=1", options=["--init", first]).exit_code == 0
    began = load_checkpoint(second).metadata
    assert began["data_license"] == "hggt-terms"
    assert train("rrdb-psnr", pictures, second, "iterations=2").exit_code == 0
    assert train("rrdb-psnr", pictures, second, "iterations=3", options=["--init", first]).exit_code == 0
    config = began["config"].replace('"iterations": 1,', '"iterations": 3,')
    assert load_checkpoint(second).metadata == {**began, "iteration": "3", "config": config}
    result = train("rrdb-psnr", pictures, second, "iterations=4", options=["--init", second])
    assert "--init is" in result.output


def test_a_start_from_another_network_is_refused(groups: Path, pictures: Path, tmp_path: Path) -> None:
    assert train("rrdb-psnr", pictures, tmp_path / "psnr", *RUN).exit_code == 0
    options = ["--init", tmp_path / "psnr"]
    result = train("swinir-gan-positive", groups, tmp_path / "swinir", *RUN, options=options)
    assert "is rrdb_pixelshuffle, but the recipe trains swinir" in result.output
    result = train("rrdb-gan-positive", groups, tmp_path / "rrdb", *RUN, "generator.num_feat=16", options=options)
    assert "num_feat is 8 in the file and 16 in the settings" in result.output
    assert not list(tmp_path.glob("*/weights"))[1:]
