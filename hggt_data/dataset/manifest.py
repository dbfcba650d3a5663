"""`manifest.json`: the inputs and files of a built dataset with their hashes, so that both can be checked.

Its paths are relative (inputs to their tree, shards to the dataset), and it contains no times, machine names or worker
counts: the same tree gives the same manifest.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from hggt_data.dataset.features import SOURCE_COLUMNS
from hggt_data.dataset.vote_columns import VOTE_COLUMNS
from hggt_data.errors import DatasetError
from hggt_data.io.files import FileDigest, find_damaged, read_regular_file, sha256_of
from hggt_data.io.images import DIGEST_DIGITS
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.io.text import format_examples, plural
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.problems import Problem
from hggt_data.schema import (
    HGGT_PROTOCOL,
    ORIGINAL,
    SPLITS,
    ConsensusRule,
    Protocol,
    is_candidate,
    require_group_id,
)
from hggt_data.study_plan import PLAN_FILE

MANIFEST_FILE = "manifest.json"
CARD_FILE = "README.md"
CROISSANT_FILE = "croissant.json"
# For people and programs; hggt itself does not depend on them, and they may be edited, here or on the Hub.
DESCRIPTIONS = (CARD_FILE, CROISSANT_FILE)
# 1: times are timestamps, and the metadata of the Parquet files need `datasets` 4.
# 2: times are text.
# 3: groups of any name, votes of other kinds than labels, digests of the pixels of candidates, too.
SCHEMA_VERSION = 3
_SPLIT = "|".join(SPLITS)
# Everything that a build writes beside manifest, descriptions and the plan of a study. No other file in a folder or
# repository is removed.
PARQUET_PATH = re.compile(rf"data/({_SPLIT})-\d+-of-\d+\.parquet|labels/({_SPLIT})\.parquet")


_NO_PICTURE = "-"


def join_digests(digests: Iterable[str | None]) -> str:
    """The digests of the original's and the candidates' pixels (see `hash_pixels`), shortened, as one text."""
    return " ".join(digest[:DIGEST_DIGITS] if digest else _NO_PICTURE for digest in digests)


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file of the dataset.

    Attributes:
        path: Path relative to the dataset.
        split: `train`, `validation` or `test`.
        ids: Groups in the order of the rows.
        key: SHA-256 over everything that determines the file's bytes; a later build with the same key keeps the file.
        inputs: Path of each input file, with its root (`train-0/images/..`), to [size in bytes, SHA-256].
        pixels: Per group, digests of the pixels of its original and candidates, see `join_digests`.
        dropped: Groups that were left out because of errors.
        problems: Warnings, and the errors of the dropped groups; their paths begin with the root.
    """

    path: str
    split: str
    ids: list[str]
    size_bytes: int
    sha256: str
    key: str
    inputs: dict[str, tuple[int, str]]
    pixels: list[str]
    dropped: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def digests(self, candidates: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Each group, and the digest of each picture that it has, by the picture's name."""
        for group, line in zip(self.ids, self.pixels, strict=True):
            named = zip((ORIGINAL, *candidates), line.split(" "), strict=True)
            yield group, {name: digest for name, digest in named if digest != _NO_PICTURE}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of the file.

    `problems` are those that belong to no single shard, `votes` those of `VOTE_COLUMNS` that the dataset has,
    `has_captions` whether it has the column `caption`.
    """

    tool_version: str
    settings: dict[str, Any]
    candidates: list[str]
    has_lr: bool
    splits: dict[str, int]
    inputs: list[FileDigest]
    shards: list[Shard]
    files: list[FileDigest]
    overlap: dict[str, list[str]]
    problems: list[Problem] = field(default_factory=list)
    votes: list[str] = field(default_factory=list)
    has_captions: bool = False
    schema_version: int = SCHEMA_VERSION

    def contents(self) -> list[FileDigest]:
        """Shards, label tables and the plan of a study, which must be as built, unlike `DESCRIPTIONS`."""
        shards = [FileDigest(shard.path, shard.size_bytes, shard.sha256) for shard in self.shards]
        return shards + [file for file in self.files if file.path not in DESCRIPTIONS]

    @property
    def has_plan(self) -> bool:
        """Whether the dataset has the plan of a study, `plan.json`."""
        return any(file.path == PLAN_FILE for file in self.files)

    def describe(self) -> str:
        """How many groups each split has, and the size on disk."""
        groups = ", ".join(f"{plural(count, 'group')} in {split}" for split, count in self.splits.items())
        return f"{groups}; {sum(file.size_bytes for file in self.contents()) / 1e6:,.1f} MB"

    def is_as_built(self, path: str, data: bytes) -> bool:
        """Whether a file is the one written with this manifest, unedited."""
        return any(file.path == path and file.sha256 == sha256_of(data) for file in self.files)

    def protocol(self, split: str) -> Protocol:
        """How the annotators of a split were asked; versions 1 and 2 hold only data that asks as the official one."""
        return read_value(dict[str, Protocol], self.settings.get("protocol", {})).get(split, HGGT_PROTOCOL)

    @property
    def license(self) -> str:
        """The licence id of the data; None in the settings, which older builds wrote, means the HGGT terms."""
        return self.settings["license"] or HGGT_LICENSE_NAME

    @property
    def layout(self) -> str:
        """The layout of the trees; versions 1 and 2 hold only HGGT's."""
        return read_value(str, self.settings.get("layout", "hggt"))

    @property
    def consensus_rule(self) -> ConsensusRule:
        """The rule for the consensus."""
        rule: ConsensusRule = self.settings.get("consensus", "hggt")
        return rule

    def to_text(self) -> str:
        """The JSON text."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a built dataset; DatasetError if it is missing, damaged, or from another version."""
    path = folder / MANIFEST_FILE
    try:
        return parse_manifest(read_regular_file(path), str(path))
    except FileNotFoundError as error:
        raise DatasetError(f"{folder} has no {MANIFEST_FILE}; expected a dataset built by hggt") from error


def is_manifest(data: bytes) -> bool:
    """Whether a file of this name may be ours: not the manifest of another program, but possibly damaged."""
    try:
        content = parse_json(data)
    except ValueError:
        return True
    return isinstance(content, dict) and "schema_version" in content


def parse_manifest(data: bytes, name: str) -> Manifest:
    """Read the bytes of a manifest, which may come from anywhere; `name` is its path, for messages."""
    try:
        content = parse_json(data)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version not in range(1, SCHEMA_VERSION + 1):
            raise DatasetError(
                f"{name} has schema_version {version!r}; this hggt reads 1 to {SCHEMA_VERSION}. Update hggt, or "
                "build the dataset again."
            )
        if version in (1, 2):
            _convert_originals(content)
        manifest = read_value(Manifest, content)
        read_value(_Settings, manifest.settings)
        _require_consistent(manifest)
    except DatasetError:
        raise
    except ValueError as error:
        raise DatasetError(f"{name} is damaged ({error}); build the dataset again") from error
    return manifest


class _OldShard(TypedDict):
    ids: list[str]
    originals: dict[str, str]


def _convert_originals(content: dict[str, Any]) -> None:
    """Versions 1 and 2 have digests of the originals only."""
    missing = [None] * len(read_value(list[str], content.get("candidates")))
    old_shards = read_value(list[_OldShard], content.get("shards"))
    for shard, old in zip(content["shards"], old_shards, strict=True):
        digests = shard.pop("originals")
        shard["pixels"] = [join_digests([digests.get(group), *missing]) for group in old["ids"]]


class _Settings(TypedDict):
    """The settings that other modules rely on."""

    license: str | None
    citation: str | None
    sources: dict[str, list[str]]
    pseudonymous: NotRequired[bool]
    num_pseudonyms: NotRequired[int]
    protocol: NotRequired[dict[str, Protocol]]
    layout: NotRequired[str]
    consensus: NotRequired[ConsensusRule]


def _require_consistent(manifest: Manifest) -> None:
    """ValueError if names would lead out of the dataset, or if counts and files do not agree."""
    strange = [file.path for file in manifest.files if file.path not in DESCRIPTIONS]
    strange += [shard.path for shard in manifest.shards]
    if strange := [path for path in strange if path != PLAN_FILE and not PARQUET_PATH.fullmatch(path)]:
        raise ValueError(f"it lists {strange[0]!r}, which no build writes")
    if strange := [name for name in manifest.candidates if not is_candidate(name)]:
        raise ValueError(f"a candidate is {strange[0]!r}; expected letters, digits and ._+- as its name")
    if strange := sorted(set(manifest.settings["sources"]) - set(SOURCE_COLUMNS)):
        raise ValueError(f"a column of sources is {strange[0]!r}; expected {', '.join(SOURCE_COLUMNS)}")
    if strange := sorted(set(manifest.votes) - set(VOTE_COLUMNS)):
        raise ValueError(f"a column of votes is {strange[0]!r}; expected {', '.join(VOTE_COLUMNS)}")
    if strange := sorted(set(manifest.splits) - set(SPLITS)):
        raise ValueError(f"a split is {strange[0]!r}; expected {', '.join(SPLITS)}")
    paths = [file.path for file in manifest.contents()]
    if len(set(paths)) != len(paths):
        raise ValueError("it lists a file twice")
    for split, num_groups in manifest.splits.items():
        ids = [text for shard in manifest.shards if shard.split == split for text in shard.ids]
        if len(ids) != num_groups or len(set(map(require_group_id, ids))) != num_groups:
            raise ValueError(f"split {split} has {num_groups} groups, but its shards list {len(ids)}, or one twice")
        if f"labels/{split}.parquet" not in paths:
            raise ValueError(f"it does not list the labels of split {split}")
    for shard in manifest.shards:
        numbers = [len(line.split(" ")) for line in shard.pixels]
        if numbers != [1 + len(manifest.candidates)] * len(shard.ids):
            raise ValueError(f"the pixels of {shard.path} are not one digest per picture of each group")


def require_whole(folder: Path, contents: Sequence[FileDigest]) -> None:
    """DatasetError if files are missing or have another size or hash."""
    damage = [f"{path} {text}" for path, text in find_damaged(folder, contents).items()]
    if damage:
        raise DatasetError(f"{folder} does not match its {MANIFEST_FILE}: {format_examples(damage)}. Build it again.")


def is_built_dataset(folder: Path) -> bool:
    """Whether a folder is a built dataset."""
    return (folder / MANIFEST_FILE).is_file()
