"""Every recipe, small: three steps with a checkpoint at each, killed and gone on with, and its network put to use."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hggt_data.io.images import read_pixels
from hggt_models.cli import main
from hggt_models.config.recipes import load_config, recipe_names
from hggt_models.networks.checkpoint import load_checkpoint
from tests.hggt_data.kills import FORKED, die_at_rename
from tests.hggt_models.training.runs import SMALL_NETWORKS, data_for, log_of, run_training, train

FORKED.set_forkserver_preload(["hggt_models.training.trainer", "tests.hggt_models.training.runs", "tqdm", __name__])
RUN = ("iterations=3", "checkpoint.every=1", "validation.every=3")


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_recipe_trains_is_killed_goes_on_and_restores_pictures(
    recipe: str, groups: Path, pictures: Path, tmp_path: Path
) -> None:
    data, run = data_for(recipe, groups, pictures), tmp_path / "run"
    process = FORKED.Process(target=_die_after_a_checkpoint, args=(recipe, data, run))
    process.start()
    process.join()
    assert process.exitcode == -9
    assert [path.name for path in (run / "checkpoints").iterdir() if path.name.isdecimal()] == ["000001"]
    result = train(recipe, data, run, *RUN)
    assert result.exit_code == 0, result.output
    assert "resuming after 1 of 3 iterations" in result.output
    lines = log_of(run)
    assert [line["iteration"] for line in lines] == [1, 2, 3, 3]
    assert len({tuple(line) for line in lines[:3]}) == 1  # the same losses each time
    assert 0 < lines[3]["psnr"] < 60

    checkpoint = load_checkpoint(run)
    config = load_config(recipe)
    assert (checkpoint.network_name, checkpoint.metadata["recipe"]) == (config.generator.name, recipe)
    (tmp_path / "in").mkdir()
    shutil.copy(pictures / "coffee.png", tmp_path / "in")
    command = "upscale" if config.scale > 1 else "enhance"
    weights = str(run) if config.scale > 1 else f"01={run}"
    arguments = [command, "--weights", weights, "--input", tmp_path / "in", "--output", tmp_path / "out"]
    if config.generator.name == "elan":
        arguments += ["--tile", 256]
    used = CliRunner().invoke(main, [str(argument) for argument in (*arguments, "--device", "cpu")])
    assert used.exit_code == 0, used.output
    made = tmp_path / "out" / ("coffee.png" if config.scale > 1 else "01/coffee_01.png")
    height, width = read_pixels(tmp_path / "in" / "coffee.png").shape[:2]
    assert read_pixels(made).shape == (config.scale * height, config.scale * width, 3)


def test_every_recipe_has_a_small_form() -> None:
    assert all(any(recipe.startswith(name) for name in SMALL_NETWORKS) for recipe in recipe_names())


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


def test_what_a_run_began_with_stays_true_of_it(groups: Path, pictures: Path, tmp_path: Path) -> None:
    """Its origin and the licence that came from there, also where it goes on without --init."""
    first, second = tmp_path / "gan", tmp_path / "psnr"
    assert train("rrdb-gan-positive", groups, first, "iterations=1").exit_code == 0
    assert train("rrdb-psnr", pictures, second, "iterations=1", options=["--init", first]).exit_code == 0
    began = load_checkpoint(second).metadata
    assert began["data_license"] == "hggt-terms"
    assert train("rrdb-psnr", pictures, second, "iterations=2").exit_code == 0
    assert train("rrdb-psnr", pictures, second, "iterations=3", options=["--init", first]).exit_code == 0
    assert load_checkpoint(second).metadata == {**began, "iteration": "3"}
    result = train("rrdb-psnr", pictures, second, "iterations=4", options=["--init", second])
    assert "--init is" in result.output


def test_a_start_from_another_network_is_refused(groups: Path, pictures: Path, tmp_path: Path) -> None:
    assert train("rrdb-psnr", pictures, tmp_path / "psnr", *RUN, "iterations=1").exit_code == 0
    options = ["--init", tmp_path / "psnr"]
    result = train("swinir-gan-positive", groups, tmp_path / "swinir", *RUN, options=options)
    assert "is rrdb_pixelshuffle, but the recipe trains swinir" in result.output
    result = train("rrdb-gan-positive", groups, tmp_path / "rrdb", *RUN, "generator.num_feat=16", options=options)
    assert "num_feat is 8 in the file and 16 in the settings" in result.output
    assert not list(tmp_path.glob("*/weights"))[1:]


def _die_after_a_checkpoint(recipe: str, data: Path, run: Path) -> None:
    """Killed right after the rename that puts the first checkpoint in its place, at the latest before the next."""
    die_at_rename(_RENAMES_OF_A_CHECKPOINT, lambda: run_training(recipe, data, run, *RUN))


# run.json, weights, share, state, sums; then the checkpoint's own, after which the process dies.
_RENAMES_OF_A_CHECKPOINT = 2 * 5 + 1
