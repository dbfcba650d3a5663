"""One shard of a build, in a worker process: check its groups and write it, or keep an equal earlier one.

A shard's key is a hash of everything that determines its bytes: inputs, settings and schema.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hggt_data.dataset.features import CAPTION, image_column, labels_to_row
from hggt_data.dataset.folder import note_finished
from hggt_data.dataset.inputs import in_root
from hggt_data.dataset.manifest import Shard, join_digests
from hggt_data.dataset.shards import write_shard
from hggt_data.io.files import FileDigest, link_or_copy, sha256_of, sha256_of_file
from hggt_data.io.workers import advance
from hggt_data.problems import Problem
from hggt_data.schema import ORIGINAL
from hggt_data.tree.duplicates import EqualPictures
from hggt_data.tree.listing import GroupFiles
from hggt_data.tree.validate import Examined, examine_group, hash_inputs

# Part of every shard's key: raise it when the code changes a shard's content or its record.
_FORMAT = 3


@dataclass(frozen=True)
class ShardTask:
    """What one worker needs to write one shard.

    Attributes:
        path: Path of the shard, relative to the dataset.
        groups: Name of the root and files of each group.
        sources: Lines of the sources CSV for the pictures of these groups.
        schema: The Arrow schema, serialised.
        votes: Those of `VOTE_COLUMNS` that the dataset has.
        has_captions: Whether the dataset has the column `caption`.
        reusable: Folder and shard of the same path from earlier builds.
        is_check: Write nothing, because the build is refused; the problems of the groups join the report.
    """

    staging: Path
    path: str
    split: str
    groups: list[tuple[str, GroupFiles]]
    sources: Mapping[str, Mapping[str, str | None]]
    schema: bytes
    pictures: list[str]
    votes: tuple[str, ...]
    has_captions: bool
    scale: int
    skip_faulty: bool
    reusable: list[tuple[Path, Shard]]
    is_check: bool = False


@dataclass(frozen=True)
class ShardOutcome:
    """The shard, None if a group in it has errors and `skip_faulty` is off; and whether it was kept."""

    shard: Shard | None
    kept: bool
    problems: list[Problem]


def build_shard(task: ShardTask) -> ShardOutcome:
    """Keep an earlier shard that would come out the same, or check its groups and write it."""
    kept = None if task.is_check else _reuse(task)
    if kept is not None:
        for _ in task.groups:
            advance()
        return ShardOutcome(kept, True, kept.problems)
    problems: list[Problem] = []
    pixels: dict[str, str] = {}
    equal = EqualPictures()
    inputs: dict[str, tuple[int, str]] = {}
    dropped: list[str] = []

    def rows() -> Iterator[dict[str, Any]]:
        for root, files in task.groups:
            examined = examine_group(files, scale=task.scale)
            inputs.update(_named_inputs(root, examined.inputs))
            problems.extend(in_root(root, problem) for problem in examined.problems)
            if any(problem.severity == "error" for problem in examined.problems):
                dropped.append(files.id)
            else:
                digests = (examined.digests.get(name) for name in (ORIGINAL, *files.candidates))
                pixels[files.id] = join_digests(digests)
                equal.add({f"{root}/{path}": digest for path, digest in examined.digests_by_path().items()})
                yield _row(examined, task)
            advance()

    if task.is_check:
        deque(rows(), maxlen=0)
        return ShardOutcome(None, False, [*problems, *equal.problems()])
    path = task.staging / task.path
    write_shard(path, pa.ipc.read_schema(pa.py_buffer(task.schema)), rows(), task.pictures)
    problems += equal.problems()
    if dropped and not task.skip_faulty:
        path.unlink()
        return ShardOutcome(None, False, problems)
    shard = Shard(
        path=task.path,
        split=task.split,
        ids=list(pixels),
        size_bytes=path.stat().st_size,
        sha256=sha256_of_file(path),
        key=_key(task, inputs),
        inputs=dict(sorted(inputs.items())),
        pixels=list(pixels.values()),
        dropped=dropped,
        problems=problems,
    )
    note_finished(task.staging, shard)
    return ShardOutcome(shard, False, problems)


def _row(examined: Examined, task: ShardTask) -> dict[str, Any]:
    group, size = examined.group, examined.size
    assert group is not None
    assert size is not None
    columns = {image_column(name): png for name, png in examined.pngs.items()}
    return {
        "id": group.id,
        "image_name": group.image_name,
        "top": group.top,
        "left": group.left,
        "height": size[0],
        "width": size[1],
        **{column: columns.get(column) for column in task.pictures},
        **labels_to_row(group, task.votes),
        **({CAPTION: group.caption} if task.has_captions else {}),
        **task.sources.get(group.image_name, {}),
    }


def _reuse(task: ShardTask) -> Shard | None:
    """An earlier shard that would come out the same, linked or copied into the staging folder."""
    if not task.reusable:
        return None
    try:
        hashed = [_named_inputs(root, hash_inputs(files)) for root, files in task.groups]
    except OSError:  # checking the group, which follows, reports the file
        return None
    inputs = {name: place for of_group in hashed for name, place in of_group.items()}
    key = _key(task, inputs)
    for folder, shard in task.reusable:
        source, target = folder / shard.path, task.staging / task.path
        if shard.key != key or not source.is_file() or sha256_of_file(source) != shard.sha256:
            continue
        if source != target:
            target.unlink(missing_ok=True)
            link_or_copy(source, target)
        note_finished(task.staging, shard)
        return shard
    return None


def _key(task: ShardTask, inputs: dict[str, tuple[int, str]]) -> str:
    """A SHA-256 over everything that determines the shard's bytes and its entry in the manifest."""
    parts = {
        "format": _FORMAT,
        "writer": pa.__version__,
        "schema": sha256_of(task.schema),
        "split": task.split,
        "groups": [_expected(root, files) for root, files in task.groups],
        "inputs": inputs,
        "sources": task.sources,
        "scale": task.scale,
        "skip_faulty": task.skip_faulty,
    }
    return sha256_of(json.dumps(parts, sort_keys=True).encode())


def _expected(root: str, files: GroupFiles) -> list[Any]:
    """A group's expected files and its problems: a missing file does not show in the hashes of inputs."""
    problems = [str(problem) for problem in files.problems]
    places = [files.relative(path) for path in files.vote_files]
    return [root, *files.name, files.candidates, files.rule, sorted(files.images), places, files.facts(), problems]


def _named_inputs(root: str, inputs: Sequence[FileDigest]) -> dict[str, tuple[int, str]]:
    return {f"{root}/{file.path}": (file.size_bytes, file.sha256) for file in inputs}
