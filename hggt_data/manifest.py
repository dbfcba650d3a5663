"""`manifest.json`: what a built dataset was made from and what belongs to it, so that either can be checked.

It lies beside the card. Its paths are relative (inputs to their tree, shards to the dataset), and it holds no times,
machine names or worker counts: the same tree gives the same manifest.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hggt_data.errors import DatasetError
from hggt_data.schema import Problem

MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file of the dataset.

    Attributes:
        path: relative to the dataset.
        split: `train` or `test`.
        ids: the groups in it, in the order of its rows.
        size_bytes, sha256: of the file.
        key: a SHA-256 over all that determines the file's bytes; a later build that computes the same key keeps it.
        inputs: path of each input file, with its root (`train-0/images/..`), to [size in bytes, SHA-256].
        originals: group to a digest of its original's pixels.
        dropped: groups that were left out because of errors.
        problems: warnings, and the errors of the dropped groups; their paths carry the root.
    """

    path: str
    split: str
    ids: list[str]
    size_bytes: int
    sha256: str
    key: str
    inputs: dict[str, tuple[int, str]]
    originals: dict[str, str]
    dropped: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of the light `labels` config, the card, or an input that belongs to no single group."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole record of a built dataset; the attributes are the keys of the JSON file."""

    tool_version: str
    settings: dict[str, Any]
    candidates: list[str]
    has_lr: bool
    splits: dict[str, int]
    inputs: list[FileRecord]
    shards: list[Shard]
    files: list[FileRecord]
    overlap: dict[str, list[str]]
    schema_version: int = SCHEMA_VERSION

    def to_text(self) -> str:
        """The JSON text, one line per value down to the files and one per file below."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a built dataset.

    Raises:
        DatasetError: there is none, or it is from another version of hggt, or damaged.
    """
    path = folder / MANIFEST_FILE
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(f"{folder} has no {MANIFEST_FILE}; expected a dataset made by hggt-build-dataset") from error
    except ValueError as error:
        raise DatasetError(f"{path} is damaged ({error}); build the dataset again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DatasetError(f"{path} has schema_version {version!r}; this hggt reads {SCHEMA_VERSION}. Build it again.")
    try:
        shards = [shard_from_json(shard) for shard in content.pop("shards")]
        inputs, files = ([FileRecord(**file) for file in content.pop(key)] for key in ("inputs", "files"))
        if not (isinstance(content["candidates"], list) and isinstance(content["splits"], dict)):
            raise TypeError("candidates or splits are of another type")
        return Manifest(**content, inputs=inputs, shards=shards, files=files)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is damaged ({error}); build the dataset again") from error


def shard_from_json(content: dict[str, Any]) -> Shard:
    """A `Shard` from its JSON form."""
    inputs = {path: (size, digest) for path, (size, digest) in content["inputs"].items()}
    problems = [Problem(**problem) for problem in content["problems"]]
    return Shard(**{**content, "inputs": inputs, "problems": problems})
