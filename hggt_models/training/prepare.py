"""Preparation of a run before its first step: network, data, and whether they match an earlier run."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hggt_data.errors import OutputError
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.files import sha256_of_file
from hggt_data.io.text import plural
from hggt_data.licence import joined_license
from hggt_data.ranges import CountOrNone, require_ranges
from hggt_models.config.reader import ConfigError
from hggt_models.config.recorded import completed, differences
from hggt_models.config.train import ROUNDING_KEYS, TrainConfig
from hggt_models.data.training_data import TrainingData
from hggt_models.networks.checkpoint import Checkpoint
from hggt_models.runtime import Runtime
from hggt_models.training.run_record import RunRecord

_TRIAL_NOTE = "the perceptual loss had random weights: a trial of the software, not a trained network"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """What to train, on what data, and where to write it.

    Attributes:
        recipe: Name of the recipe, for the record.
        config: All settings.
        data: Data to learn from.
        output: Folder of the run.
        init: Network to start from [default: random weights].
        adopted: Settings, `KEY=VALUE`, that `config` has from the network to start from; see `adopted_settings`.
        init_discriminator: Weights that the discriminator starts from [default: random weights].
        like: Run whose settings it took over instead of a recipe's.
        workers: Processes that read images, for each device; 0 reads them in this process.

    Raises:
        SettingsError: `workers` is out of range.

    Example:
        >>> import tempfile
        >>> from hggt_data import write_demo_tree
        >>> from hggt_models import TrainingRun, load_config
        >>> from hggt_models.data.training_data import open_training_data
        >>> config = load_config("rrdb-gan-positive", ["source_px=192", "crop_px=128"])
        >>> data = open_training_data(write_demo_tree(tempfile.mkdtemp()).train, config)
        >>> TrainingRun(recipe="mine", config=config, data=data, output="runs/mine").metadata()["data"]
        'Train'
    """

    recipe: str
    config: TrainConfig
    data: TrainingData
    output: Path | str
    init: Checkpoint | None = None
    adopted: Sequence[str] = ()
    init_discriminator: Path | None = None
    like: RunRecord | None = None
    workers: CountOrNone = 0

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.init_discriminator is not None and not self.config.has_discriminator:
            raise ConfigError(
                "`init_discriminator` is given, but loss.adversarial is 0, so that there is no discriminator"
            )

    def metadata(self) -> dict[str, str]:
        """The origin of the trained weights, which is written into their files; nothing about this machine."""
        source = self.data.source if is_hub_id(self.data.source) else Path(self.data.source).resolve().name
        settings = self.config.to_json()
        settings["perceptual"]["weights"] = Path(self.config.perceptual.weights).name
        known = {"recipe": self.recipe, "data": source, "data_revision": self.data.revision}
        known["config"] = json.dumps(settings)
        initial = [self.init.metadata.get("data_license")] if self.init else []
        if licence := joined_license([self.data.license, *initial]):
            known["data_license"] = licence
        if self.like:
            known["settings_from"] = f"{self.like.recipe} sha256:{self.like.sha256}"
        if self.init:
            known["started_from"] = f"{self.init.metadata.get('recipe', 'weights')} sha256:{self.init.sha256}"
        if self.init_discriminator:
            known["discriminator_started_from"] = f"sha256:{sha256_of_file(self.init_discriminator)}"
        if self.config.uses_vgg and self.config.perceptual.weights == "random":
            known["note"] = _TRIAL_NOTE
        return known


def require_equal_shares(config: TrainConfig, world: int) -> None:
    """Check that this number of processes can share batch and pool equally."""
    fitting = [
        number
        for number in range(1, config.batch_size + 1)
        if config.batch_size % (number * config.accumulate) == 0 and config.pool_size % number == 0
    ]
    if world not in fitting:
        parts = f" in {config.accumulate} parts" if config.accumulate > 1 else ""
        raise ConfigError(
            f"{world} devices cannot share batch_size {config.batch_size}{parts} and pool_size {config.pool_size} "
            f"equally; possible numbers of devices: {', '.join(map(str, fitting)) or 'none'}"
        )


def require_same_run(path: Path, record: Mapping[str, Any], run: TrainingRun) -> None:
    """Refuse to resume the run of this record with other settings, data or initial weights."""
    changes = differences(record["config"], run.config)
    identity = {**run.data.identity, "revision": run.data.revision}
    changes += [
        f"data: {name} is {value!r}, was {record['data'].get(name)!r}"
        for name, value in identity.items()
        if record["data"].get(name) != value
    ]
    initial = record.get("initial")
    if run.init and (initial is None or initial["sha256"] != run.init.sha256):
        changes.append(f"`init` is {run.init.path}, was {initial['path'] if initial else 'random weights'}")
    judge, initial = run.init_discriminator, record.get("initial_discriminator")
    if judge and (initial is None or initial["sha256"] != sha256_of_file(judge)):
        changes.append(f"`init_discriminator` is {judge}, was {initial['path'] if initial else 'random weights'}")
    if changes:
        raise OutputError(
            f"{path} contains a run with other settings: {'; '.join(changes)}. Choose a new folder, or resume with the "
            "same settings"
        )


def require_start(run: TrainingRun) -> None:
    """Check that a new run has a network to start from if its losses compare with that one."""
    if run.config.needs_start and run.init is None:
        raise ConfigError(
            "loss.negative_form 'dpo' measures how the output changes from that of a trained network, but the run "
            "starts from random weights; expected `init`"
        )


def describe_beginning(run: TrainingRun, done: int) -> str:
    """Where a run starts, or resumes after so many iterations."""
    if done > run.config.iterations:
        return f"the run already has {done:,} iterations, more than the {run.config.iterations:,} requested"
    if done:
        return f"resuming after {done:,} of {run.config.iterations:,} iterations"
    if run.init:
        adopted = f", a network {run.init.network_name} of scale {run.config.scale}" if run.adopted else ""
        return f"starting from {run.init.path}{adopted}"
    if run.config.starts_from:
        return f"starting from random weights; the published run starts from a network of {run.config.starts_from}"
    return "starting from random weights"


def warnings(run: TrainingRun, earlier: Mapping[str, Any]) -> Iterator[str]:
    """In what a run differs from one that always had its data and settings; `earlier` are those it had before."""
    data, settings = run.data, run.config.to_json()
    earlier = completed(earlier) if earlier else settings
    changes = [f"{key} {earlier[key]} to {settings[key]}" for key in ROUNDING_KEYS if earlier.get(key) != settings[key]]
    if changes:
        yield (
            f"warning: the run changes from {' and '.join(changes)}, so this is the same experiment but not the same "
            "numbers"
        )
    if data.num_missing:
        yield (
            f"warning: {plural(data.num_missing, data.noun)} that the run started with can no longer be found. Others "
            "replace them, so this is the same experiment but not the same numbers"
        )


def describe_start(run: TrainingRun, runtime: Runtime, done: int) -> dict[str, Any]:
    """When, on what machine and with what software a run is started or resumed, for its record."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "after_iterations": done,
        "missing": run.data.num_missing,
        "devices": runtime.world,
        "device": _device_name(runtime.device),
        **{key: run.config.to_json()[key] for key in ROUNDING_KEYS},
        "versions": {name: version(name) for name in ("hggt", "torch", "torchvision", "numpy")},
        "python": sys.version.split()[0],
        "git_revision": _git_revision(),
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}"


def _git_revision() -> str | None:
    """The commit of the checkout that runs, with a remark if it was changed; None if this is not a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + (" with changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
