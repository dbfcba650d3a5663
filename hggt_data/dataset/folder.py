"""The folder of a dataset that is being written: which shards are finished, and how it is completed from them.

Each finished shard has a note in `.finished/`; a shard without one is not used by the next run.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from hggt_data.dataset.card import format_card
from hggt_data.dataset.croissant import format_croissant
from hggt_data.dataset.features import arrow_schema, dataset_features
from hggt_data.dataset.manifest import (
    CARD_FILE,
    CROISSANT_FILE,
    DESCRIPTIONS,
    MANIFEST_FILE,
    PARQUET_PATH,
    Manifest,
    Shard,
    is_manifest,
    read_manifest,
)
from hggt_data.dataset.overlap import describe_overlap
from hggt_data.dataset.shards import write_table_file
from hggt_data.errors import DatasetError, OutputError
from hggt_data.io.files import FileDigest, digest_of_file, is_system_file, read_regular_file, sha256_of, write_text
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.io.text import format_examples
from hggt_data.study_plan import PLAN_FILE, StudyPlan, write_plan

if TYPE_CHECKING:
    from datasets import Features

_NOTES = ".finished"


def manifest_features(manifest: Manifest, with_images: bool = True) -> "Features":
    """The schema of the dataset, or without images that of the `labels` config."""
    return dataset_features(
        tuple(manifest.candidates),
        manifest.has_lr,
        tuple(manifest.settings["sources"]),
        manifest.votes,
        with_images,
        manifest.has_captions,
    )


def require_own_files(folder: Path) -> None:
    """Refuse to replace a folder that contains other files, or the `manifest.json` of another program."""
    files = (path for path in folder.rglob("*") if not path.is_dir() and not is_system_file(path.name))
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    own = {*DESCRIPTIONS, MANIFEST_FILE, *([PLAN_FILE] if _has_plan(folder) else [])}
    foreign = [name for name in names if name not in own and not PARQUET_PATH.fullmatch(name)]
    if (folder / MANIFEST_FILE).is_file() and not is_manifest(read_regular_file(folder / MANIFEST_FILE)):
        foreign.append(MANIFEST_FILE)
    if foreign:
        raise OutputError(
            f"{folder} contains files that hggt did not write: {format_examples(foreign)}. Move them elsewhere: the "
            "whole folder is replaced."
        )


def _has_plan(folder: Path) -> bool:
    """Whether the dataset in a folder has the plan of a study."""
    with suppress(DatasetError):
        return read_manifest(folder).has_plan
    return False


def complete_folder(
    folder: Path, draft: Manifest, labels: Mapping[str, pa.Table], plan: StudyPlan | None = None
) -> Manifest:
    """Write label tables, plan, manifest and `DESCRIPTIONS` beside the shards in `folder`; remove all else from it.

    `draft` is the manifest without `files`; `labels` are each split's rows without pictures; `plan` is that of a study.
    Return the manifest as written. The card is written last: until then `load_dataset` does not load the folder.
    """
    settings = draft.settings
    schema = arrow_schema(manifest_features(draft, with_images=False))
    for split, table in labels.items():
        path = folder / "labels" / f"{split}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_table_file(path, schema, [table])
    features, label_features = manifest_features(draft), manifest_features(draft, with_images=False)
    paths = [f"labels/{split}.parquet" for split in labels]
    if plan is not None:
        write_plan(folder, plan)
        paths.append(PLAN_FILE)
    contents = [digest_of_file(folder, path) for path in paths]
    described = replace(draft, files=contents)
    croissant = format_croissant(described, labels, features=features, label_features=label_features)
    card = format_card(
        labels,
        shards=draft.shards,
        features=features,
        label_features=label_features,
        license_id=draft.license,
        citation=settings["citation"],
        protocols={split: draft.protocol(split) for split in labels},
        pseudonymous=settings["pseudonymous"],
        layout=draft.layout,
        rule=draft.consensus_rule,
        overlap=describe_overlap(draft.overlap, draft.splits),
    )
    written = {CARD_FILE: card.encode(), CROISSANT_FILE: croissant.encode()}
    digests = [FileDigest(path, len(data), sha256_of(data)) for path, data in written.items()]
    manifest = replace(draft, files=[*digests, *contents])
    write_text(folder / CROISSANT_FILE, croissant)
    write_text(folder / MANIFEST_FILE, manifest.to_text())
    shutil.rmtree(folder / _NOTES, ignore_errors=True)
    remove_unknown_files(folder, manifest)
    write_text(folder / CARD_FILE, card)
    return manifest


def remove_unknown_files(folder: Path, manifest: Manifest) -> None:
    """Remove leftovers of interrupted runs: files that the manifest does not list."""
    known = {digest.path for digest in manifest.contents()} | {*DESCRIPTIONS, MANIFEST_FILE}
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in known:
            path.unlink()


def note_finished(staging: Path, shard: Shard) -> None:
    """Note that a shard is finished."""
    write_text(staging / _NOTES / f"{Path(shard.path).name}.json", json.dumps(asdict(shard)))


def finished_shards(staging: Path) -> Iterator[Shard]:
    """The shards that an interrupted run has finished; damaged notes are ignored, so their shards are written again."""
    for note in sorted((staging / _NOTES).glob("*.json")):
        with suppress(ValueError):
            yield read_value(Shard, parse_json(read_regular_file(note)))
