"""The command `hggt-models`. Each command calls one function of the library and prints the result."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hggt_data.cli.group import HggtGroup, ResumedCommand, echo_all, echo_outcome
from hggt_data.cli.options import EXISTING, FOLDER, NEW_FILE, TABLE, Argument, Detail, Option, Parsed
from hggt_data.cli.publishing import confirm_and_push

if TYPE_CHECKING:
    from hggt_data.io.picture_job import Outcome
    from hggt_models.push import PushSettings

_SOURCES = "hggt_models.inference.sources:open_sources"
_DATA = Option(metavar="DIR_OR_ID")
_PIXELS = Option(metavar="PX")
_FOLDER_ONLY: dict[str, Detail] = {
    "folder": Option("--input", FOLDER, required=True),
    "data": None,
    "split": None,
    "revision": None,
    "sources": None,
    "origin": None,
}
_set_option = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of the recipe; repeatable."
)


@click.group(cls=HggtGroup)
@click.version_option(package_name="hggt")
def main() -> None:
    """Train the networks of HGGT, and run them on folders of pictures.

    On several GPUs: torchrun --nproc-per-node N -m hggt_models COMMAND ...
    """


@main.command(
    options_of=(_SOURCES, "hggt_models.inference.folders:enhance"),
    details={**_FOLDER_ONLY, "weights": None, "tile": _PIXELS, "overlap": _PIXELS},
)
@click.option(
    "--weights",
    multiple=True,
    required=True,
    metavar="01=FILE",
    help="Network of one candidate: a checkpoint, a training run's folder, or ORG/NAME on the Hub; repeat it for 02 "
    "and so on.",
)
def enhance(inputs: dict[str, Any], arguments: dict[str, Any], weights: tuple[str, ...]) -> None:
    """Make the enhanced candidates of high-resolution pictures.

    Writes original/NAME.png, 01/NAME_01.png and so on, and enhance.json with everything that determines the result.
    The default tile and overlap are the published ones. They are never reduced when memory runs out, so that ground
    truths do not depend on the GPU.
    """
    from hggt_models.inference.folders import enhance as run
    from hggt_models.inference.sources import open_sources, parse_candidate_weights

    networks = parse_candidate_weights(weights)
    sources, origin = open_sources(**inputs)
    _finish(run(networks, sources, inputs["output"], origin=origin, **arguments))


@main.command(
    options_of=(_SOURCES, "hggt_models.inference.folders:upscale"),
    details={
        "folder": Option("--input", FOLDER),
        "data": _DATA,
        "sources": None,
        "origin": None,
        "weights": Option(type=Parsed("hggt_models.inference.sources:require_weights", "FILE_OR_ID")),
        "tile": Option(type=Parsed("hggt_models.inference.sources:parse_tile", "PX|auto"), default="auto"),
        "overlap": _PIXELS,
    },
)
def upscale(inputs: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Restore pictures with one network.

    If memory runs out, --tile auto halves the tile and says so.
    """
    from hggt_models.inference.folders import upscale as run
    from hggt_models.inference.sources import open_sources

    sources, origin = open_sources(**inputs)
    _finish(run(sources=sources, output=inputs["output"], origin=origin, **arguments))


@main.command(
    options_of=(_SOURCES, "hggt_models.inference.folders:degrade"),
    details={
        **_FOLDER_ONLY,
        "workers": None,  # in Python, processes are started only on request
    },
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Worker processes.  [default: one per core and 20 pictures, at most 8]",
)
def degrade(inputs: dict[str, Any], arguments: dict[str, Any], workers: int | None) -> None:
    """Write low-resolution images, degraded as in training."""
    from hggt_data.io.workers import default_workers
    from hggt_models.inference.folders import degrade as run
    from hggt_models.inference.sources import open_sources

    sources, origin = open_sources(**inputs)
    # To start a worker takes as long as some 20 pictures, most of it to import PyTorch.
    workers = workers or max(1, min(default_workers(), len(sources) // 20))
    _finish(run(sources, inputs["output"], origin=origin, workers=workers, **arguments))


@main.command(
    options_of="hggt_models.training.train:train",
    details={
        "recipe": None,
        "like": Option(metavar="RUN_FILE_OR_ID"),
        "data": _DATA,
        "init": Option(type=Parsed("hggt_models.inference.sources:require_weights", "FILE_OR_ID")),
        "init_discriminator": Option(type=click.Path(dir_okay=False, path_type=Path), metavar="FILE"),
        "assignments": None,
        "workers": Option(),
    },
)
@click.argument("recipe", required=False, metavar="[RECIPE]")
@_set_option
@click.pass_context
def train(ctx: click.Context, arguments: dict[str, Any], recipe: str | None, assignments: tuple[str, ...]) -> None:
    """Train a network, or resume an interrupted run.

    RECIPE is a name that hggt-models recipes lists, or a TOML file; --like takes all settings of another run instead,
    and --set changes them. Ctrl-C, SIGTERM and SIGUSR1 save and stop; after
    the latter two the exit code is 75, which tells a batch script to queue the job again.
    """
    from hggt_models.training.train import train as run

    ctx.exit(run(recipe, **arguments, assignments=assignments))


@main.command(
    options_of="hggt_models.training.compare:compare_runs",
    details={"first": Argument("FIRST"), "second": Argument("SECOND")},
)
@click.option("--json", "json_file", type=NEW_FILE, metavar="FILE", help="Write all differences to this JSON file.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if the runs differ.")
@click.pass_context
def diff(ctx: click.Context, arguments: dict[str, Any], json_file: Path | None, exit_code: bool) -> None:
    """Show what differs between two training runs.

    FIRST and SECOND are folders of runs, weights that a run wrote, or ORG/NAME on the Hub. Compares settings, data,
    initial weights and iterations; of two folders also versions, devices and the scores of the last validation.
    """
    from hggt_models.training.compare import compare_runs

    difference = compare_runs(**arguments)
    echo_all(difference.describe())
    if json_file:
        difference.write_json(json_file)
    if exit_code and difference:
        ctx.exit(1)


@main.command()
@click.argument("recipe", required=False, metavar="[RECIPE]")
@_set_option
def recipes(recipe: str | None, assignments: tuple[str, ...]) -> None:
    """List the recipes, or print the settings of one.

    Every setting is printed in the form accepted by --set, with an explanation. The output is itself a recipe: save it
    as a TOML file and change it.
    """
    from hggt_models.config.recipes import describe_recipes, load_config
    from hggt_models.config.schema import explain_settings

    if recipe is None:
        echo_all(f"{name:30}{text}" for name, text in describe_recipes().items())
    else:
        echo_all(explain_settings(load_config(recipe, assignments)))


@main.command()
@click.option(
    "--metrics",
    type=Parsed("hggt_eval.metrics:parse_metrics", "NAME,..."),
    help="Also download the weights of these metrics.",
)
def fetch_weights(metrics: tuple[str, ...] | None) -> None:
    """Download the VGG19 weights that training needs.

    The weights go to PyTorch's cache. If compute nodes have no network, run this on the login node.
    """
    from hggt_eval.metrics import MetricSettings, require_metric
    from hggt_models.networks.vgg import fetch_weights as fetch

    echo_all([fetch()])
    for name in metrics or ():
        require_metric(name).load(MetricSettings(weights_advice="and put it there"))


@main.command(
    cls=ResumedCommand,
    options_of="hggt_models.push:PushSettings",
    details={"source": Argument("RUN_OR_FILE", EXISTING), "repo_id": Argument("ORG/NAME")},
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def push(settings: "PushSettings", yes: bool) -> None:
    """Push a trained network to the Hugging Face Hub.

    The repository is private by default. Its card names the recipe and the data, and inherits the licence of the data.
    After an interruption, run it again: it resumes.
    """
    from hggt_models.push import open_push

    confirm_and_push(open_push(settings), "load_network", settings, yes=yes)


@main.command(
    options_of=("hggt_data.loading:open_groups", "hggt_models.show_map:write_map_pictures"),
    details={
        "source": Option("--data", metavar="DIR_OR_ID"),
        "split": Option(metavar="SPLIT", help="Split to read, if `source` is a dataset.  [default: train]"),
        "groups": None,
        **TABLE,
        "ids": Option("--group", metavar="ID"),
        "output": Option(type=click.Path(path_type=Path), metavar="DIR|FILE.png"),
    },
)
def show_map(source: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Visualise the artefact maps of the negative loss.

    Draws a row for each negative: original, positive, negative, the map of each, and the map that the loss uses.
    """
    from hggt_data.loading import open_groups, split_or_default
    from hggt_models.show_map import write_map_pictures

    split = split_or_default(source["source"], source.get("split"), "train")
    echo_all(write_map_pictures(open_groups(**{**source, "split": split}), **arguments))


def _finish(outcome: "Outcome") -> None:
    """Print what was done; under torchrun, exit only when all processes are done."""
    from hggt_models.runtime import wait_for_others

    echo_outcome(outcome, before_exit=wait_for_others)
