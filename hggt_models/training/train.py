"""Train by a recipe: from names of recipe, data and network to a finished run."""

from collections.abc import Sequence
from pathlib import Path

from hggt_data.errors import SettingsError
from hggt_data.io.workers import cores_per_process
from hggt_data.ranges import CountOrNone, require_arguments, require_lists
from hggt_eval.metrics.device import own_device
from hggt_models.config.recipes import load_config
from hggt_models.config.train import TrainConfig
from hggt_models.data.training_data import open_training_data
from hggt_models.inference.folders import require_output_outside
from hggt_models.networks.checkpoint import load_initial_checkpoint
from hggt_models.runtime import open_runtime
from hggt_models.training.initial_network import adopted_settings
from hggt_models.training.prepare import TrainingRun
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.run_record import RunRecord, config_like
from hggt_models.training.trainer import train_run

_MAX_WORKERS = 4


def train(
    recipe: str | Path | None,
    data: str | Path,
    output: str | Path,
    *,
    like: str | Path | None = None,
    revision: str | None = None,
    init: str | Path | None = None,
    init_discriminator: str | Path | None = None,
    assignments: Sequence[str] = (),
    workers: CountOrNone | None = None,
    device: str = "auto",
) -> int:
    """Train a network, or resume a run.

    Args:
        recipe: Name of a recipe, or a TOML file; None with `like`.
        data: Tree, built dataset, or ORG/NAME on the Hub; for enhance-*, *-psnr and ldl-* a folder of pictures.
        output: New or empty folder, or the output of an interrupted run with the same options.
        like: Take all settings of another run instead of a recipe: its folder, weights that it wrote, or ORG/NAME on
            the Hub.
        revision: Tag, branch or commit of `data` on the Hub.  [default: main]
        init: Network to start from: a checkpoint, a training run's folder, or ORG/NAME on the Hub. A network of another
            project is trained instead of the recipe's, at its own scale.
        init_discriminator: File of weights that the discriminator starts from.
        assignments: Settings to change, `KEY=VALUE`.
        workers: Worker processes that read pictures, for each device.  [default: its share of the cores, at most 4]
        device: Device for training: auto (a GPU if available), cpu, cuda:1.

    Returns:
        The exit code for a batch script: 0 at the end of the run, 130 after Ctrl-C, 75 to queue the job again.

    Raises:
        ConfigError: The recipe or an assignment is faulty, or the processes cannot share a batch equally.
        SettingsError: `recipe` and `like` are both given or both missing, `workers` is out of range, the device cannot
            be used, or the output is inside the data.
        TreeError: The data has no pictures or groups that this recipe can learn from.

    `train_run` lists the errors of the training itself.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from hggt_models import train
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "HR").mkdir()
        >>> Image.new("RGB", (32, 32)).save(folder / "HR" / "a.png")
        >>> tiny = ["generator.num_block=1", "generator.num_feat=8", "generator.num_grow_ch=4", "source_px=32",
        ...         "crop_px=32", "batch_size=1", "pool_size=0", "iterations=2", "log.tensorboard=false"]
        >>> train("rrdb-psnr", folder / "HR", folder / "run", assignments=tiny, workers=0, device="cpu")
        0
        >>> [path.name for path in (folder / "run" / "weights").iterdir()]
        ['000002.safetensors']
    """
    require_lists(assignments=assignments)
    require_arguments(train, workers=workers)
    output, data = Path(output), str(data)
    if Path(data).is_dir():
        require_output_outside(output, Path(data), "data")
    if (recipe is None) == (like is None):
        raise SettingsError(f"expected a `recipe` or `like`, got {'neither' if recipe is None else 'both'}")
    initial, folder = load_initial_checkpoint(init) if init else None, RunFolder(output)

    def configured(changes: Sequence[str]) -> tuple[TrainConfig, RunRecord | None]:
        return (load_config(str(recipe), changes), None) if like is None else config_like(like, changes)

    adopted = folder.adopted_settings()
    if initial:
        adopted = adopted_settings(initial, lambda: configured(assignments)[0], assignments)
    config, record = configured([*adopted, *assignments])
    with open_runtime(own_device(device)) as runtime:
        run = TrainingRun(
            recipe=record.recipe if record else Path(str(recipe)).stem,
            config=config,
            data=open_training_data(data, config, revision, folder.read_resume_state()),
            output=output,
            init=initial,
            adopted=adopted,
            init_discriminator=Path(init_discriminator) if init_discriminator else None,
            like=record,
            workers=min(_MAX_WORKERS, cores_per_process()) if workers is None else workers,
        )
        return train_run(run, runtime).exit_code
