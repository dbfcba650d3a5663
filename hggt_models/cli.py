"""The command `hggt-models`: options in, one function called, what it did printed. Torch is imported in commands."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from hggt_data.cli.group import HggtGroup, ResumedCommand
from hggt_data.cli.publishing import confirm_and_push, license_option
from hggt_data.io.workers import default_workers

if TYPE_CHECKING:
    from hggt_data.io.picture_job import Outcome, Source

_Folder = click.Path(exists=True, file_okay=False, path_type=Path)
_OutputFolder = click.Path(file_okay=False, path_type=Path)

_input_option = click.option(
    "--input", "folder", type=_Folder, metavar="DIR", required=True, help="Folder of pictures."
)
_output_option = click.option(
    "--output",
    type=_OutputFolder,
    metavar="DIR",
    required=True,
    help="New, or of an earlier run with the same options.",
)
_revision_option = click.option(
    "--revision", metavar="TAG", help="For --data on the Hub: tag, branch or commit.  [default: main]"
)
_device_option = click.option(
    "--device", default="auto", show_default=True, help="auto (a GPU if there is one), cpu, cuda:1."
)
_dtype_option = click.option(
    "--dtype",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="To compute in.",
)


@click.group(cls=HggtGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hggt")
def main() -> None:
    """Train the networks of HGGT, and run them over folders of pictures.

    On several GPUs: torchrun --nproc-per-node N -m hggt_models COMMAND ...
    """


def _parse_weights(_: click.Context, __: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`01=FILE` for each candidate."""
    weights: dict[str, str] = {}
    for value in values:
        name, equals, file = value.partition("=")
        if not equals or not re.fullmatch(r"[0-9]{2,}", name):
            raise click.BadParameter(f"{value!r}: expected CANDIDATE=FILE, such as 01=enhance-01.pth")
        if name in weights:
            raise click.BadParameter(f"candidate {name} is given twice")
        weights[name] = _require_weights(file)
    return weights


def _parse_source(_: click.Context, __: click.Parameter, value: str) -> str:
    return _require_weights(value)


def _parse_initial(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return value and _require_weights(value)


def _parse_tile(_: click.Context, __: click.Parameter, value: str) -> int | None:
    """Null for `auto`."""
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r}: expected a number of pixels, or auto")
    return int(value)


def _require_weights(value: str) -> str:
    """A file, a training run's folder, or a name on the Hub."""
    from hggt_data.hub.repository import is_hub_id

    path = Path(value)
    if not path.exists() and (path.suffix in (".pth", ".safetensors") or not is_hub_id(value)):
        raise click.BadParameter(f"{value!r} is no file or folder here, and no name on the Hub (ORG/NAME)")
    return value


@main.command()
@click.option(
    "--weights",
    callback=_parse_weights,
    multiple=True,
    required=True,
    metavar="01=FILE",
    help="The network of one candidate, as in upscale; repeat it for 02, 03, ...",
)
@_input_option
@_output_option
@click.option("--tile", type=click.IntRange(1), default=1200, show_default=True, metavar="PX", help="Side of a tile.")
@click.option("--overlap", type=click.IntRange(0), default=24, show_default=True, metavar="PX", help="Rim of a tile.")
@_dtype_option
@_device_option
@click.pass_context
def enhance(
    ctx: click.Context,
    weights: dict[str, str],
    folder: Path,
    output: Path,
    tile: int,
    overlap: int,
    dtype: Literal["fp32", "bf16"],
    device: str,
) -> None:
    """Make the enhanced candidates of high-resolution pictures.

    Writes original/NAME.png, 01/NAME_01.png and so on, and enhance.json with all that decides the result. Tile and
    overlap are fixed as published, so that ground truths do not depend on the GPU.
    """
    from hggt_models.inference.folders import enhance as run

    sources = _list(folder, output)
    outcome = run(
        weights,
        sources,
        output,
        origin=str(folder),
        tile=tile,
        overlap=overlap,
        dtype=dtype,
        device=_resolve_device(device),
    )
    _finish(ctx, outcome)


@main.command()
@click.option(
    "--weights",
    callback=_parse_source,
    required=True,
    metavar="FILE_OR_ID",
    help=".pth, .safetensors, a training run's folder, or ORG/NAME on the Hub.",
)
@click.option("--input", "folder", type=_Folder, metavar="DIR", help="Folder of pictures.")
@click.option("--data", metavar="DIR_OR_ID", help="Instead: the low-resolution pictures of a dataset or tree.")
@click.option("--split", help="Split of the dataset.  [default: test]")
@_revision_option
@_output_option
@click.option(
    "--tile",
    callback=_parse_tile,
    default="auto",
    show_default=True,
    metavar="PX|auto",
    help="Side of a tile; auto fits the memory.",
)
@click.option("--overlap", type=click.IntRange(0), default=64, show_default=True, metavar="PX", help="Rim of a tile.")
@click.option("--suffix", metavar="S", help="Write NAME_S.png.")
@_dtype_option
@_device_option
@click.pass_context
def upscale(
    ctx: click.Context,
    weights: str,
    folder: Path | None,
    data: str | None,
    split: str | None,
    revision: str | None,
    output: Path,
    tile: int | None,
    overlap: int,
    suffix: str | None,
    dtype: Literal["fp32", "bf16"],
    device: str,
) -> None:
    """Restore pictures with one network, ready for hggt-eval --restored.

    Where memory runs out, --tile auto halves the tile and says so.
    """
    from hggt_data.hub.repository import is_hub_id
    from hggt_data.loading import open_groups, split_or_default
    from hggt_models.inference.folders import list_lr
    from hggt_models.inference.folders import upscale as run

    if (folder is None) == (data is None):
        raise click.UsageError("pass --input DIR or --data DIR_OR_ID, one of the two")
    if (split is not None or revision is not None) and data is None:
        raise click.UsageError("--split and --revision belong to --data")
    if suffix is not None and not re.fullmatch(r"[\w.-]+", suffix):
        raise click.UsageError(f"--suffix {suffix!r}: expected letters, digits, '_', '.' and '-'")
    if folder is not None:
        sources, origin = _list(folder, output), str(folder)
    else:
        assert data is not None
        split = split_or_default(data, split, "test")
        groups = open_groups(data, split, revision=revision)
        sources, origin = list_lr(groups), f"{groups.location if is_hub_id(data) else data} {split or ''}".rstrip()
    outcome = run(
        weights,
        sources,
        output,
        origin=origin,
        tile=tile,
        overlap=overlap,
        dtype=dtype,
        device=_resolve_device(device),
        suffix=suffix,
    )
    _finish(ctx, outcome)


@main.command()
@_input_option
@_output_option
@click.option("--seed", type=int, required=True, help="The same seed and names give the same bytes.")
@click.option(
    "--degradation",
    type=click.Choice(["sr", "enhance-01", "enhance-02", "enhance-03", "enhance-04"]),
    default="sr",
    show_default=True,
    help="As published: of super-resolution, or of what trains an enhancer.",
)
@click.option("--scale", type=click.IntRange(1), metavar="N", help="How many times smaller.  [default: as published]")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes.  [default: one per core, at most 8]")
@click.pass_context
def degrade(
    ctx: click.Context,
    folder: Path,
    output: Path,
    seed: int,
    degradation: str,
    scale: int | None,
    workers: int | None,
) -> None:
    """Write low-resolution versions of pictures, degraded as in training."""
    from hggt_models.inference.folders import degrade as run

    sources = _list(folder, output)
    outcome = run(
        sources,
        output,
        origin=str(folder),
        seed=seed,
        degradation=degradation,
        scale=scale,
        workers=workers or default_workers(),
    )
    _finish(ctx, outcome)


@main.command()
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--data",
    required=True,
    metavar="DIR_OR_ID",
    help="A tree, a built dataset, or ORG/NAME on the Hub; a folder of pictures for enhance-*, *-psnr and ldl-*.",
)
@_revision_option
@_output_option
@click.option("--init", "initial", callback=_parse_initial, metavar="FILE_OR_ID", help="Network to start from.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=lambda: min(4, default_workers()),
    show_default="one per core, at most 4",
    metavar="N",
    help="Processes that read pictures, for each device.",
)
@_device_option
@click.pass_context
def train(
    ctx: click.Context,
    recipe: str,
    data: str,
    revision: str | None,
    output: Path,
    initial: str | None,
    assignments: tuple[str, ...],
    workers: int,
    device: str,
) -> None:
    """Train a network by a recipe, or go on with a run that was interrupted: the command is the same.

    RECIPE is a name that hggt-models recipes lists, or a TOML file of your own. Ctrl-C, SIGTERM and SIGUSR1 save and
    stop; exit 75 after the latter two tells a batch script to queue the job again.
    """
    from hggt_models.config.recipes import load_config
    from hggt_models.data.training_data import open_training_data
    from hggt_models.networks.checkpoint import load_checkpoint
    from hggt_models.runtime import open_runtime
    from hggt_models.training.prepare import TrainingRun
    from hggt_models.training.run_folder import RunFolder
    from hggt_models.training.trainer import train_run

    if Path(data).is_dir():
        _require_outside(output, "--data", Path(data))
    config = load_config(recipe, assignments)
    start = load_checkpoint(initial) if initial else None
    with open_runtime(_resolve_device(device)) as runtime:
        run = TrainingRun(
            recipe=Path(recipe).stem,
            config=config,
            data=open_training_data(data, config, revision, RunFolder(output).read_resume_state()),
            output=output,
            initial=start,
            workers=workers,
        )
        signals = train_run(run, runtime)
    ctx.exit(signals.exit_code)


@main.command()
@click.argument("recipe", required=False, metavar="[RECIPE]")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
def recipes(recipe: str | None, assignments: tuple[str, ...]) -> None:
    """List the recipes, or print every setting of one in the form accepted by --set, each with an explanation.

    The output is itself a recipe: save it as a TOML file and change it.
    """
    from hggt_models.config.recipes import describe_recipes, load_config
    from hggt_models.config.schema import explain_settings

    if recipe is None:
        for name, text in describe_recipes().items():
            click.echo(f"{name:30}{text}")
        return
    for line in explain_settings(load_config(recipe, assignments)):
        click.echo(line)


@main.command()
@click.option("--metrics", metavar="NAMES", default="", help="Also what these need, such as lpips,dists.")
def fetch_weights(metrics: str) -> None:
    """Download VGG19's ImageNet weights, which training needs, into PyTorch's cache.

    For machines whose compute nodes have no network: run it on the login node.
    """
    from hggt_eval.metrics import require_metric
    from hggt_models.networks.vgg import fetch_weights as fetch

    wanted = [require_metric(name) for name in metrics.split(",") if name]
    click.echo(fetch())
    for metric in wanted:
        metric.load()


@main.command(cls=ResumedCommand)
@click.argument("source", metavar="RUN_OR_FILE", type=click.Path(exists=True, path_type=Path))
@click.argument("repo_id", metavar="ORG/NAME")
@click.option("--public", is_flag=True, help="For everybody to see.  [default: private]")
@click.option("--gated", type=click.Choice(["auto", "manual"]), help="Readers must ask: granted at once, or by hand.")
@click.option("--tag", metavar="TAG", help="Name this version, such as v1.0.")
@license_option("Of the training data, where the weights do not tell it.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before sending.")
@click.option("--i-have-permission", is_flag=True, help="Allow a public push of what data under the HGGT terms taught.")
def push(
    source: Path,
    repo_id: str,
    public: bool,
    gated: Literal["auto", "manual"] | None,
    tag: str | None,
    license_id: str | None,
    dry_run: bool,
    yes: bool,
    i_have_permission: bool,
) -> None:
    """Publish a trained network on the Hugging Face Hub, private unless told otherwise.

    Its card names recipe and data, and inherits the data's licence. Run it again after an interruption.
    """
    from hggt_models.push import PushSettings, open_push

    settings = PushSettings(
        source=source,
        repo_id=repo_id,
        public=public,
        gated=gated,
        tag=tag,
        license=license_id,
        i_have_permission=i_have_permission,
    )
    confirm_and_push(open_push(settings), "load_network", dry_run=dry_run, yes=yes)


@main.command("show-map")
@click.option("--data", metavar="DIR_OR_ID", required=True, help="A tree, a dataset, or ORG/NAME on the Hub.")
@click.option("--split", help="Split of the dataset.  [default: train]")
@_revision_option
@click.option("--group", "ids", multiple=True, metavar="ID", help="A group with a negative; repeat it for others.")
@click.option("--num", type=click.IntRange(1), metavar="N", help="Instead: the first N such groups.  [default: 4]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.png",
    required=True,
    help="One picture of all, or a folder with one of each.",
)
def show_map(
    data: str, split: str | None, revision: str | None, ids: tuple[str, ...], num: int | None, output: Path
) -> None:
    """Draw where negatives are spoilt: the maps of the negative loss.

    A row for each negative: original, positive, negative, the map of each, and what the loss uses.
    """
    from hggt_data.loading import open_groups, split_or_default
    from hggt_models.show_map import write_map_pictures

    if ids and num is not None:
        raise click.UsageError("pass --group ID or --num N, one of the two")
    groups = open_groups(data, split_or_default(data, split, "train"), revision=revision)
    for path in write_map_pictures(groups, output, ids, num or 4):
        click.echo(path)


def _require_outside(output: Path, option: str, folder: Path) -> None:
    """What is written among pictures would be read as one of them the next time."""
    from hggt_data.errors import OutputError
    from hggt_data.io.folders import require_outside

    try:
        require_outside(output, folder, option)
    except OutputError as error:
        raise click.UsageError(f"--output {error}") from error


def _list(folder: Path, output: Path) -> "list[Source]":
    """The pictures of a folder; what is left out is said."""
    from hggt_data.io.text import format_examples, plural
    from hggt_models.inference.folders import list_pictures

    _require_outside(output, "--input", folder)
    sources, others = list_pictures(folder)
    if others:
        click.echo(f"{plural(len(others), 'file')} left out, no pictures: {format_examples(others)}", err=True)
    return sources


def _resolve_device(device: str) -> str:
    from hggt_data.errors import DeviceError
    from hggt_eval.metrics.device import own_device

    try:
        return own_device(device)
    except DeviceError as error:
        raise click.UsageError(f"--device {error}") from error


def _finish(ctx: click.Context, outcome: "Outcome") -> None:
    from hggt_models.runtime import wait_for_others

    for line in outcome.describe():
        click.echo(line)
    wait_for_others()
    if outcome.faults:
        ctx.exit(1)
