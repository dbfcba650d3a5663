"""Writes the next version of a built dataset, without some groups or without some people's votes.

Shards that contain nothing of it are kept byte for byte. The others list no inputs afterwards, and a build never takes
them for its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from hggt_data.consensus import judge_group
from hggt_data.dataset.features import arrow_schema, image_columns, labels_to_row
from hggt_data.dataset.folder import complete_folder, manifest_features, require_own_files
from hggt_data.dataset.manifest import DESCRIPTIONS, SCHEMA_VERSION, Manifest, Shard, read_manifest, require_whole
from hggt_data.dataset.overlap import find_overlap
from hggt_data.dataset.reader import DatasetSource
from hggt_data.dataset.shards import read_pictures, write_shard
from hggt_data.errors import DatasetError
from hggt_data.groups import Group
from hggt_data.io.files import link_or_copy, sha256_of_file
from hggt_data.io.folders import new_folder, replaced_folder
from hggt_data.io.workers import advance, run_tasks
from hggt_data.schema import PatchGroup
from hggt_data.study_plan import read_plan
from hggt_data.unwanted import Unwanted


@dataclass(frozen=True)
class Found:
    """What of the unwanted a dataset contains.

    Attributes:
        image_names: The source picture of each group of each split.
        gone: Groups that are removed as a whole.
        rejudged: The other groups with votes that are removed, as they are without these.
        num_votes: How many votes on them are removed.
        unwanted: The part of the unwanted that occurs.
    """

    image_names: Mapping[str, Mapping[str, str]]
    gone: Mapping[str, frozenset[str]]
    rejudged: Mapping[str, Mapping[str, PatchGroup]]
    num_votes: int
    unwanted: Unwanted

    def __bool__(self) -> bool:
        return any(self.gone.values()) or any(self.rejudged.values())


def find_in_dataset(folder: Path, unwanted: Unwanted) -> Found:
    """What of the unwanted a dataset contains; no pictures are read."""
    image_names, gone, rejudged = {}, {}, {}
    names = dict[str, set[str]](groups=set(), pictures=set(), annotators=set())
    num_votes = 0
    for split in read_manifest(folder).splits:
        source = DatasetSource(folder, split, str(folder))
        image_names[split] = dict(zip(source.ids, source.image_names, strict=True))
        gone[split] = frozenset(
            group for group, image in image_names[split].items() if unwanted.has_group(group, image)
        )
        names["groups"] |= gone[split]
        names["pictures"] |= {image_names[split][group] for group in gone[split]}
        rejudged[split] = dict[str, PatchGroup]()
        for group in source if unwanted.annotators else ():
            votes = unwanted.votes_in(group)
            names["annotators"] |= {name for vote in votes for name in (vote.annotator, vote.slot) if name}
            if votes and group.id not in gone[split]:
                num_votes += len(votes)
                rejudged[split][group.id] = _without(group, unwanted, source)
    occurring = Unwanted(
        unwanted.groups & names["groups"],
        unwanted.source_pictures & names["pictures"],
        unwanted.annotators & names["annotators"],
    )
    return Found(image_names, gone, rejudged, num_votes, occurring)


def _without(group: Group, unwanted: Unwanted, source: DatasetSource) -> PatchGroup:
    """A group without the unwanted votes, and with the consensus of the others."""
    return judge_group(
        group.id,
        group.candidates,
        unwanted.without(group.annotations),
        image_name=group.image_name,
        top=group.top,
        left=group.left,
        rule=source.consensus_rule,
        pairs=unwanted.without(group.pairs),
        choices=unwanted.without(group.choices),
        scores=unwanted.without(group.scores),
    )


@dataclass(frozen=True)
class Rewritten:
    """The next version of a dataset.

    Attributes:
        manifest: Its manifest.
        kept: How many shards are kept byte for byte.
        edited: Those of `DESCRIPTIONS` that had been edited, and were written anew.
    """

    manifest: Manifest
    kept: int
    edited: list[str]


def remove_from_dataset(folder: Path, output: Path, found: Found, unwanted: Unwanted, workers: int) -> Rewritten:
    """Write the next version to `output`: to another, empty folder, or to `folder` itself, which is replaced.

    DatasetError if the dataset does not agree with its manifest, or no group would remain.
    """
    manifest = read_manifest(folder)
    remaining = {
        split: {group: name for group, name in names.items() if group not in found.gone[split]}
        for split, names in found.image_names.items()
    }
    if not any(remaining.values()):
        raise DatasetError(f"{folder}: no group would remain; delete the folder instead")
    require_whole(folder, manifest.contents())
    require_own_files(folder)
    schema = arrow_schema(manifest_features(manifest)).serialize().to_pybytes()
    pictures = image_columns(tuple(manifest.candidates), manifest.has_lr)
    names = replace(unwanted, groups=unwanted.groups.union(*found.gone.values()))
    is_same = folder.resolve() == output.resolve()
    with replaced_folder(output) if is_same else new_folder(output) as staging:
        (staging / "data").mkdir()
        tables = {split: _label_rows(folder, split, found) for split in remaining if remaining[split]}
        is_latest = manifest.schema_version == SCHEMA_VERSION
        tasks = []
        for shard in manifest.shards:
            updates = _updates(shard, tables.get(shard.split, {}), found, is_latest)
            tasks.append(_Task(folder, staging, shard, schema, pictures, updates))
        total = sum(len(shard.ids) for shard in manifest.shards)
        written = list(run_tasks(_write_shard, tasks, workers, total=total, label="removing"))
        shards = [_without_mentions(shard, names) for shard in written if shard is not None]
        draft = replace(
            manifest,
            settings=_settings(manifest, remaining, found),
            inputs=[],  # as in the shards, they are not what this version was made from
            shards=shards,
            splits={split: len(remaining[split]) for split in tables},
            overlap=find_overlap(shards, manifest.candidates, {split: remaining[split] for split in tables}),
            problems=[problem for problem in manifest.problems if not names.is_mentioned(str(problem))],
            schema_version=SCHEMA_VERSION,
        )
        table_schema = arrow_schema(manifest_features(draft, with_images=False))
        labels = {split: pa.Table.from_pylist(list(rows.values()), table_schema) for split, rows in tables.items()}
        done = complete_folder(staging, draft, labels, read_plan(folder) if manifest.has_plan else None)
        edited = [path for path in DESCRIPTIONS if _is_edited(folder / path, manifest)]
    kept = sum(task.updates is None for task in tasks)
    return Rewritten(done, kept, edited)


def _is_edited(path: Path, manifest: Manifest) -> bool:
    return path.is_file() and not manifest.is_as_built(path.name, path.read_bytes())


def _label_rows(folder: Path, split: str, found: Found) -> dict[str, dict[str, Any]]:
    """The rows of a split's label table that remain, in today's form."""
    source = DatasetSource(folder, split, str(folder))
    votes = read_manifest(folder).votes
    rows = {}
    for group, row in zip(source, source.label_table().to_pylist(), strict=True):
        if group.id not in found.gone[split]:
            rows[group.id] = row | labels_to_row(found.rejudged[split].get(group.id, group), votes)
    return rows


def _updates(
    shard: Shard, rows: Mapping[str, dict[str, Any]], found: Found, is_latest: bool
) -> dict[str, dict[str, Any]] | None:
    """The columns of labels of a shard's groups that remain; None if the shard is kept."""
    changed = found.gone[shard.split] | found.rejudged[shard.split].keys()
    if is_latest and changed.isdisjoint(shard.ids):
        return None
    return {group: rows[group] for group in shard.ids if group in rows}


@dataclass(frozen=True)
class _Task:
    """One shard; `updates` has new columns for each row that remains, and is None if the shard is kept."""

    folder: Path
    staging: Path
    shard: Shard
    schema: bytes
    pictures: list[str]
    updates: dict[str, dict[str, Any]] | None


def _write_shard(task: _Task) -> Shard | None:
    """The shard as it is now; None if nothing of it remains."""
    shard, path = task.shard, task.staging / task.shard.path
    if task.updates is None:
        link_or_copy(task.folder / shard.path, path)
        if sha256_of_file(path) != shard.sha256:
            raise DatasetError(f"{task.folder / shard.path} has changed meanwhile; run again")
    if not task.updates:
        for _ in shard.ids:
            advance()
        return shard if task.updates is None else None
    write_shard(path, pa.ipc.read_schema(pa.py_buffer(task.schema)), _rows(task, task.updates), task.pictures)
    sha256 = sha256_of_file(path)
    pixels = dict(zip(shard.ids, shard.pixels, strict=True))
    return replace(
        shard,
        ids=list(task.updates),
        size_bytes=path.stat().st_size,
        sha256=sha256,
        key=sha256,
        inputs={},
        pixels=[pixels[group] for group in task.updates],
    )


def _rows(task: _Task, updates: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    shown = read_pictures(task.folder / task.shard.path, len(task.shard.ids), task.pictures)
    for group, pictures in zip(task.shard.ids, shown, strict=True):
        if group in updates:
            yield updates[group] | pictures
        advance()


def _without_mentions(shard: Shard, unwanted: Unwanted) -> Shard:
    """A shard whose record does not name what was removed."""
    return replace(
        shard,
        dropped=[group for group in shard.dropped if not unwanted.is_mentioned(group)],
        problems=[problem for problem in shard.problems if not unwanted.is_mentioned(str(problem))],
    )


def _settings(manifest: Manifest, remaining: Mapping[str, Mapping[str, str]], found: Found) -> dict[str, Any]:
    images = {name for names in remaining.values() for name in names.values()}
    removed = {name for names in found.image_names.values() for name in names.values()} - images
    settings = manifest.settings | {
        "pseudonymous": manifest.settings.get("pseudonymous", False),
        "sources": {
            column: [name for name in names if name not in removed]
            for column, names in manifest.settings["sources"].items()
        },
    }
    if "protocol" in settings:
        settings["protocol"] = {split: one for split, one in settings["protocol"].items() if remaining.get(split)}
    if "num_pseudonyms" in settings:
        settings["num_pseudonyms"] -= len(found.unwanted.annotators)
    return settings
