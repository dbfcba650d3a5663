"""What made the pictures in a folder: `enhance.json`, `upscale.json` or `degrade.json` beside them."""

from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hggt_data.errors import OutputError
from hggt_data.resumed_folder import FolderRecord
from hggt_data.staging import require_outside

COMMANDS = ("enhance", "upscale", "degrade")


def open_record(
    output: Path,
    command: str,
    content: Mapping[str, Any],
    device: str,
    folders: Collection[Path],
    results: Sequence[Path],
) -> FolderRecord:
    """Compare with what an earlier run has left, and keep the record where there was none.

    Every process of a `torchrun` does both, so that none runs ahead with other settings.

    Args:
        output: where the record lies.
        command: one of `COMMANDS`.
        content: what decides the results.
        device: as torch names it; is noted.
        folders: where the pictures lie.
        results: all files that will be written.

    Raises:
        OutputError: the folder holds results of other input, settings or weights, or of nobody knows what, or results
            would lie among the pictures.
        OSError: the folder cannot be written to.
    """
    for place in sorted({result.parent for result in results}):
        for folder in folders:
            require_outside(place, folder, "the folder of the pictures,")
    others = [name for name in COMMANDS if name != command and (output / f"{name}.json").exists()]
    if others:
        raise OutputError(f"{output} holds results of hggt-models {others[0]}; choose a new folder")
    made_with = {"hggt": version("hggt"), "torch": version("torch"), "device": device}
    record = FolderRecord(output / f"{command}.json", "results", content, made_with)
    first = next((path for path in results if path.exists()), None)
    if first is not None and not record.path.exists():
        raise OutputError(f"{first} is there, and no {record.path.name} that tells what made it; choose a new folder")
    if not record.require(is_filled=first is not None, has_results=first is not None):
        record.keep()
        record.require(is_filled=True, has_results=True)  # perhaps a process with other options has begun just now
    return record
