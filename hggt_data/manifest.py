"""`manifest.json`: what a built dataset was made from and what belongs to it, so that either can be checked.

It lies beside the card. Its paths are relative (inputs to their tree, shards to the dataset), and it holds no times,
machine names or worker counts: the same tree gives the same manifest. While a dataset is being written, each finished
shard has a record of its own beside it; a file without one counts for nothing.
"""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hggt_data.errors import DatasetError
from hggt_data.files import sha256_of, sha256_of_file, write_text
from hggt_data.schema import Problem
from hggt_data.wording import format_examples

MANIFEST_FILE = "manifest.json"
CARD_FILE = "README.md"
SCHEMA_VERSION = 1
# All that a build writes beside the manifest and the card; nothing else in a folder or repository is ever removed.
PARQUET_PATH = re.compile(r"data/(train|test)-\d+-of-\d+\.parquet|labels/(train|test)\.parquet")
_RECORDS = ".records"


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
    """A file by its path, size and SHA-256.

    In a manifest: a file of the light `labels` config, the card, or an input that belongs to no single group. The
    inputs of a group are listed so too until their shard is written.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole record of a built dataset; the attributes are the keys of the JSON file.

    `problems` are those that belong to no single shard.
    """

    tool_version: str
    settings: dict[str, Any]
    candidates: list[str]
    has_lr: bool
    splits: dict[str, int]
    inputs: list[FileRecord]
    shards: list[Shard]
    files: list[FileRecord]
    overlap: dict[str, list[str]]
    problems: list[Problem] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def contents(self) -> list[FileRecord]:
        """Shards and label tables: what must be as it was built. The card may be edited since, here or on the Hub."""
        shards = [FileRecord(shard.path, shard.size_bytes, shard.sha256) for shard in self.shards]
        return shards + [file for file in self.files if file.path != CARD_FILE]

    def is_card(self, data: bytes) -> bool:
        """Whether a card is the one that was written with this manifest, and nobody has edited it since."""
        return any(file.path == CARD_FILE and file.sha256 == sha256_of(data) for file in self.files)

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
        return parse_manifest(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise DatasetError(f"{folder} has no {MANIFEST_FILE}; expected a dataset made by hggt-build-dataset") from error


def is_manifest(data: bytes) -> bool:
    """Whether a file of this name is ours and not of another program; what is damaged may be ours."""
    try:
        content = json.loads(data)
    except ValueError:
        return True
    return isinstance(content, dict) and "schema_version" in content


def parse_manifest(data: bytes, name: str) -> Manifest:
    """Read the bytes of a manifest.

    Args:
        data: of the file.
        name: where it is from, for messages.

    Raises:
        DatasetError: it is from another version of hggt, or damaged.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise DatasetError(f"{name} is damaged ({error}); build the dataset again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DatasetError(f"{name} has schema_version {version!r}; this hggt reads {SCHEMA_VERSION}. Build it again.")
    try:
        shards = [shard_from_json(shard) for shard in content.pop("shards")]
        inputs, files = ([FileRecord(**file) for file in content.pop(key)] for key in ("inputs", "files"))
        problems = [Problem(**problem) for problem in content.pop("problems", [])]
        _require_types(content, [*shards, *files])
        # A manifest from elsewhere must not make us write, link or remove anything outside the dataset.
        paths = [shard.path for shard in shards] + [file.path for file in files]
        strange = [path for path in paths if path != CARD_FILE and not PARQUET_PATH.fullmatch(path)]
        if strange:
            raise ValueError(f"it names {strange[0]!r}, which no build writes")
        return Manifest(**content, inputs=inputs, shards=shards, files=files, problems=problems)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{name} is damaged ({error}); build the dataset again") from error


def _require_types(content: dict[str, Any], records: Sequence[Shard | FileRecord]) -> None:
    """What other modules rely on; a manifest may come from elsewhere.

    Raises:
        KeyError, TypeError: something is missing or of another type.
    """
    settings = content["settings"]
    if not (isinstance(content["candidates"], list) and isinstance(content["splits"], dict)):
        raise TypeError("candidates or splits are of another type")
    if not {"license", "citation", "sources"} <= settings.keys() or not isinstance(settings["sources"], dict):
        raise TypeError("settings lack license, citation or sources")
    if not set(content["splits"]) <= {"train", "test"}:
        raise TypeError(f"splits are {', '.join(content['splits'])}; expected train, test")
    for record in records:
        if not isinstance(record.size_bytes, int) or not isinstance(record.sha256, str):
            raise TypeError(f"size or hash of {record.path} is of another type")
        if isinstance(record, Shard) and not all(isinstance(group, str) for group in record.ids):
            raise TypeError(f"ids of {record.path} are of another type")


def describe_file(folder: Path, path: str) -> FileRecord:
    """The record of a file of the dataset in `folder`."""
    return FileRecord(path, (folder / path).stat().st_size, sha256_of_file(folder / path))


def find_damage(folder: Path, contents: Sequence[FileRecord]) -> dict[str, str]:
    """Compare files with their records, by size and hash: path to what is wrong with it.

    Raises:
        OSError: one cannot be read.
    """

    def fault(record: FileRecord) -> str | None:
        path = folder / record.path
        if not path.is_file():
            return "is missing"
        if path.stat().st_size != record.size_bytes:
            return f"has {path.stat().st_size:,} bytes, not {record.size_bytes:,}"
        return None if sha256_of_file(path) == record.sha256 else "has other content"

    with ThreadPoolExecutor(max_workers=4) as pool:
        faults = pool.map(fault, contents)
    return {record.path: text for record, text in zip(contents, faults, strict=True) if text}


def require_whole(folder: Path, contents: Sequence[FileRecord]) -> None:
    """Compare all files with their records.

    Raises:
        DatasetError: files are missing or differ; the message names the first.
        OSError: one cannot be read.
    """
    damage = [f"{path} {text}" for path, text in find_damage(folder, contents).items()]
    if damage:
        raise DatasetError(
            f"{folder} does not agree with its {MANIFEST_FILE}: {format_examples(damage)}. Build it again."
        )


def remove_strangers(folder: Path, manifest: Manifest) -> None:
    """Remove what an interrupted run has left in the folder and the manifest does not name."""
    known = {record.path for record in manifest.contents()} | {CARD_FILE, MANIFEST_FILE}
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in known:
            path.unlink()


def write_record(staging: Path, shard: Shard) -> None:
    """Remember that a shard is finished."""
    write_text(staging / _RECORDS / f"{Path(shard.path).name}.json", json.dumps(asdict(shard)))


def read_records(staging: Path) -> Iterator[Shard]:
    """The shards that a run which did not end has finished; damaged records are passed over, and so made anew."""
    for record in sorted((staging / _RECORDS).glob("*.json")):
        with suppress(AttributeError, KeyError, TypeError, ValueError):
            yield shard_from_json(json.loads(record.read_bytes()))


def remove_records(staging: Path) -> None:
    """Forget which shards were finished, at the end of a run."""
    shutil.rmtree(staging / _RECORDS, ignore_errors=True)


def shard_from_json(content: dict[str, Any]) -> Shard:
    """A `Shard` from its JSON form."""
    inputs = {path: (size, digest) for path, (size, digest) in content["inputs"].items()}
    problems = [Problem(**problem) for problem in content["problems"]]
    return Shard(**{**content, "inputs": inputs, "problems": problems})
