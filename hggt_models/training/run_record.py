"""What a training run has recorded of itself: in `run.json` and its log, or in the metadata of its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hggt_data.hub.repository import is_hub_id
from hggt_data.io.files import sha256_of_file
from hggt_data.io.parsing import parse_json
from hggt_models.config.reader import ConfigError
from hggt_models.config.recipes import changed_config
from hggt_models.config.recorded import named_code
from hggt_models.config.train import TrainConfig
from hggt_models.networks.checkpoint import CheckpointError, load_metadata
from hggt_models.training.run_folder import RECORD, RunFolder


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it was recorded.

    Attributes:
        path: File that was read.
        sha256: Hash of that file.
        recipe: Name of its recipe.
        settings: All its settings, as nested as in a recipe.
        facts: What else is known, by kind and name: its data, initial weights, iterations; from the folder of a run
            also versions and final scores.
        is_folder: Whether it is the folder of a run, whose settings have whole paths.
    """

    path: Path
    sha256: str
    recipe: str
    settings: Mapping[str, Any]
    facts: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    is_folder: bool = False


def read_run_record(source: str | Path) -> RunRecord:
    """Read the record of a run.

    Args:
        source: Folder of a training run, weights that one wrote, or `ORG/NAME` on the Hub.

    Raises:
        CheckpointError: The weights do not say with which settings they were trained.
        OutputError: The record of a run is damaged.
        WeightsError: There is no such file, or the folder is not that of a run.
        HubError: The network is neither a local file nor available on the Hub.
    """
    folder = RunFolder(source)
    record = folder.read_record() if folder.path.is_dir() else None
    if record is not None:
        return _of_folder(folder, record)
    path, metadata = load_metadata(source)
    try:
        settings = parse_json(metadata["config"])
    except (KeyError, ValueError):
        settings = None
    if not isinstance(settings, dict):
        raise CheckpointError(
            f"{path} does not say with which settings it was trained; expected weights that hggt-models train wrote, "
            "or the folder of a run"
        )
    facts = {
        ("data", "name"): metadata.get("data"),
        ("data", "revision"): metadata.get("data_revision"),
        ("data", "licence"): metadata.get("data_license"),
        ("weights", "started from"): metadata.get("started_from"),
        ("weights", "iterations"): int(metadata["iteration"]) if metadata.get("iteration", "").isdecimal() else None,
    }
    return RunRecord(path, sha256_of_file(path), metadata.get("recipe", path.stem), settings, facts)


def _of_folder(folder: RunFolder, record: Mapping[str, Any]) -> RunRecord:
    data, last = dict(record["data"]), record["starts"][-1] if record["starts"] else {}
    source = str(data.pop("source", ""))
    name = source if is_hub_id(source) else Path(source).resolve().name
    revision = data.pop("revision", record.get("data_revision"))
    facts = {
        ("data", "name"): name,
        ("data", "revision"): revision,
        ("data", "licence"): record.get("data_license"),
        **{("data", key): value for key, value in data.items()},
        ("weights", "started from"): record.get("started_from"),
        ("weights", "iterations"): folder.num_iterations(),
        **{("version", package): number for package, number in last.get("versions", {}).items()},
        **{("version", key): last[key] for key in ("python", "git_revision") if key in last},
        **{("machine", key): last[key] for key in ("device", "devices") if key in last},
        **{("validation", metric): score for metric, score in folder.last_scores().items()},
    }
    path = folder.path / RECORD
    recipe = str(record.get("recipe", folder.path.name))
    return RunRecord(path, sha256_of_file(path), recipe, record["config"], facts, is_folder=True)


def config_like(source: str | Path, assignments: Sequence[str] = ()) -> tuple[TrainConfig, RunRecord]:
    """The settings of a recorded run, with changes as in `load_config`; settings newer than the record keep defaults.

    Raises:
        ConfigError: The settings or an assignment are faulty, a file that they name is missing, or they name code
            outside hggt that no assignment names.

    `read_run_record` lists the other errors.
    """
    record = read_run_record(source)
    chosen = {text.partition("=")[0].strip() for text in assignments}
    code = {key: name for key, name in named_code(record.settings).items() if key not in chosen}
    if code:
        names = ", ".join(code.values())
        advice = " and ".join(f"`assignments='{key}={name}'`" for key, name in code.items())
        raise ConfigError(f"{record.path} names code outside hggt, {names}, which would run; if you trust it: {advice}")
    config = changed_config(record.settings, str(record.path), assignments)
    weights = config.perceptual.source
    if config.loss.perceptual and isinstance(weights, Path) and not weights.is_file():
        raise ConfigError(
            f"{record.path} was trained with perceptual.weights {weights}, and there is no such file here; pass its "
            "path with `assignments=perceptual.weights=FILE`"
        )
    return config, record
