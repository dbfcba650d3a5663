"""What made the results in a folder: a JSON file beside them, so that no folder ever holds a mixture."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hggt_data.errors import OutputError
from hggt_data.files import read_record, write_text

COMMANDS = ("enhance", "upscale", "degrade")


@dataclass(frozen=True)
class ResultRecord:
    """What decides the results in a folder, kept beside them as `COMMAND.json`."""

    output: Path
    command: str
    origin: str
    settings: Mapping[str, Any]
    weights: Mapping[str, Any]
    device: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.output / f"{self.command}.json"

    def require(self, folders: Collection[Path], results: Sequence[Path]) -> int | None:
        """Compare with what an earlier run has left, and keep the record where there was none.

        Every process of a `torchrun` does both, so that none runs ahead with other settings.

        Args:
            folders: where the pictures lie.
            results: all files that will be written.

        Returns:
            The tile that an earlier run has come down to.

        Raises:
            OutputError: the folder holds results of other input, settings or weights, or of nobody knows what, or
                results would lie among the pictures.
            OSError: the folder cannot be written to.
        """
        if {path.resolve() for path in {result.parent for result in results}} & {path.resolve() for path in folders}:
            raise OutputError(f"{self.output}: results would lie among the pictures they are made of; choose another")
        others = [name for name in COMMANDS if name != self.command and (self.output / f"{name}.json").exists()]
        if others:
            raise OutputError(f"{self.output} holds results of hggt-models {others[0]}; choose a new folder")
        content = {"input": self.origin, "settings": dict(self.settings), "weights": dict(self.weights)}
        content = json.loads(json.dumps(content))  # as it comes back from a file
        found, first = read_record(self.path), next((path for path in results if path.exists()), None)
        if found is None and first is not None:
            raise OutputError(f"{first} is there, and no {self.path.name} that tells what made it; choose a new folder")
        if found is None or (first is None and _differences(found, content)):
            made_with = {"hggt": version("hggt"), "torch": version("torch"), "device": self.device}
            self._write({"schema_version": 1, **content, "made_with": made_with})
            found = read_record(self.path) or {}  # perhaps of a process with other options that has begun just now
        other = _differences(found, content)
        if other:
            raise OutputError(
                f"{self.output} holds results of other {' and '.join(other)}, see {self.path.name}; choose a new "
                "folder, or the same options to go on"
            )
        tile = found.get("smallest_tile")
        return tile if isinstance(tile, int) else None

    def note_tile(self, tile: int) -> None:
        """Keep a tile that memory forced on a run, so that the next goes on with it."""
        self._write((read_record(self.path) or {}) | {"smallest_tile": tile})

    def _write(self, content: Mapping[str, Any]) -> None:
        write_text(self.path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _differences(found: Mapping[str, Any], content: Mapping[str, Any]) -> list[str]:
    return [key for key, value in content.items() if found.get(key) != value]
