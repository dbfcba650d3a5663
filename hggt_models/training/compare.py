"""What differs between two training runs: settings, data, initial weights, versions and scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hggt_data.io.files import write_json
from hggt_data.io.text import aligned
from hggt_models.config.recorded import completed
from hggt_models.config.train import compared_settings
from hggt_models.training.run_record import RunRecord, read_run_record

_MOST_SHOWN = 60  # characters of a value in the table


class Entry(NamedTuple):
    """One difference; `kind` is setting, data, weights, version, machine or validation."""

    kind: str
    name: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class RunDifference:
    """What differs between two runs.

    Attributes:
        first: The first run, as given.
        second: The second run.
        entries: Every difference.
        not_compared: Facts, or kinds of facts, that only one of the two records.
    """

    first: str
    second: str
    entries: tuple[Entry, ...]
    not_compared: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.entries)

    def describe(self) -> list[str]:
        """The lines of a table."""
        lines = [f"{self.first} -> {self.second}"]
        rows = [(f"{kind} {name}", _shown(one), _shown(other)) for kind, name, one, other in self.entries]
        lines += aligned([("", "first", "second"), *rows], num_left=3) if rows else ["no differences"]
        if self.not_compared:
            lines.append(f"not compared, because only one of the two records it: {', '.join(self.not_compared)}")
        return lines

    def write_json(self, path: Path) -> None:
        """Write everything to a JSON file."""
        entries = [entry._asdict() for entry in self.entries]
        content = {"first": self.first, "second": self.second, "differences": entries}
        write_json(path, {**content, "not_compared": list(self.not_compared)})


def compare_runs(first: str | Path, second: str | Path) -> RunDifference:
    """Compare two runs by what they have recorded.

    Args:
        first: Folder of a run, weights that a run wrote, or `ORG/NAME` on the Hub.
        second: The run to compare it with.

    Returns:
        All differences.

    Raises:
        CheckpointError: The weights do not say with which settings they were trained.
        OutputError: The record of a run is damaged.
        WeightsError: There is no such file, or the folder is not that of a run.
        HubError: A network is neither a local file nor available on the Hub.
    """
    one, other = read_run_record(first), read_run_record(second)
    are_folders = one.is_folder and other.is_folder
    settings = compared_settings(_settings_of(one, are_folders), _settings_of(other, are_folders))
    entries = [Entry("setting", "recipe", one.recipe, other.recipe)] if one.recipe != other.recipe else []
    entries += [Entry("setting", *difference) for difference in settings]
    common = [fact for fact in one.facts if fact in other.facts]
    entries += [
        Entry(*fact, one.facts[fact], other.facts[fact]) for fact in common if one.facts[fact] != other.facts[fact]
    ]
    compared = {kind for kind, _ in common}
    facts = [fact for fact in {**one.facts, **other.facts} if fact not in common]
    alone = dict.fromkeys(f"{kind} {name}" if kind in compared else kind for kind, name in facts)
    return RunDifference(str(first), str(second), tuple(entries), tuple(alone))


def _settings_of(record: RunRecord, whole_paths: bool) -> Mapping[str, Any]:
    """All settings; metadata of weights has no paths of the machine that trained them."""
    settings = dict(completed(record.settings))
    perceptual = settings.get("perceptual")
    if not whole_paths and isinstance(perceptual, Mapping) and "weights" in perceptual:
        settings["perceptual"] = {**perceptual, "weights": Path(str(perceptual["weights"])).name}
    return settings


def _shown(value: Any) -> str:
    text = "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."
