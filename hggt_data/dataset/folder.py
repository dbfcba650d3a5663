"""What belongs to a whole dataset, from its finished shards: the light `labels` tables, the card and the manifest."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from hggt_data.dataset.card import format_card
from hggt_data.dataset.features import dataset_features
from hggt_data.dataset.manifest import (
    CARD_FILE,
    MANIFEST_FILE,
    PARQUET_PATH,
    RECORDS,
    Manifest,
    Shard,
    is_manifest,
    shard_from_json,
)
from hggt_data.dataset.shards import write_table_file
from hggt_data.errors import OutputError
from hggt_data.io.files import FileDigest, digest_of_file, is_system_file, sha256_of, write_text
from hggt_data.io.text import format_examples

if TYPE_CHECKING:
    from datasets import Features


def label_features(manifest: Manifest) -> "Features":
    """The schema of the `labels` config: all columns but the pictures."""
    return dataset_features(tuple(manifest.candidates), manifest.has_lr, _source_columns(manifest), with_images=False)


def require_own_files(folder: Path) -> None:
    """Refuse to replace a folder that holds anything else than a dataset; it would go with it.

    Raises:
        OutputError: there are other files, or `manifest.json` is that of another program.
    """
    files = (path for path in folder.rglob("*") if not path.is_dir() and not is_system_file(path.name))
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    foreign = [name for name in names if name not in (CARD_FILE, MANIFEST_FILE) and not PARQUET_PATH.fullmatch(name)]
    if (folder / MANIFEST_FILE).is_file() and not is_manifest((folder / MANIFEST_FILE).read_bytes()):
        foreign.append(MANIFEST_FILE)
    if foreign:
        raise OutputError(
            f"{folder} holds files that no build writes: {format_examples(foreign)}. Move them elsewhere: the "
            "folder is replaced as a whole."
        )


def assemble(folder: Path, draft: Manifest, labels: Mapping[str, pa.Table]) -> Manifest:
    """Complete a dataset whose shards lie in `folder`, and remove everything else from it.

    The card is written last: until then the folder does not load.

    Args:
        folder: holds the shards that the draft names.
        draft: the manifest, but for `files`.
        labels: split to its rows without pictures.

    Returns:
        The manifest as written.
    """
    settings = draft.settings
    schema = label_features(draft).arrow_schema
    for split, table in labels.items():
        path = folder / "labels" / f"{split}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_table_file(path, schema, [table])
    card = format_card(
        labels,
        shards=draft.shards,
        features=dataset_features(tuple(draft.candidates), draft.has_lr, _source_columns(draft)),
        label_features=label_features(draft),
        license_id=settings["license"],
        citation=settings["citation"],
        pseudonymous=settings["pseudonymous"],
    )
    card_record = FileDigest(CARD_FILE, len(card.encode()), sha256_of(card.encode()))
    tables = [digest_of_file(folder, f"labels/{split}.parquet") for split in labels]
    manifest = replace(draft, files=[card_record, *tables])
    write_text(folder / MANIFEST_FILE, manifest.to_text())
    remove_records(folder)
    remove_strangers(folder, manifest)
    write_text(folder / CARD_FILE, card)
    return manifest


def _source_columns(manifest: Manifest) -> tuple[str, ...]:
    return tuple(manifest.settings["sources"])


def remove_strangers(folder: Path, manifest: Manifest) -> None:
    """Remove what an interrupted run has left in the folder and the manifest does not name."""
    known = {record.path for record in manifest.contents()} | {CARD_FILE, MANIFEST_FILE}
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in known:
            path.unlink()


def write_record(staging: Path, shard: Shard) -> None:
    """Remember that a shard is finished."""
    write_text(staging / RECORDS / f"{Path(shard.path).name}.json", json.dumps(asdict(shard)))


def read_records(staging: Path) -> Iterator[Shard]:
    """The shards that a run which did not end has finished; damaged records are passed over, and so made anew."""
    for record in sorted((staging / RECORDS).glob("*.json")):
        with suppress(AttributeError, KeyError, TypeError, ValueError):
            yield shard_from_json(json.loads(record.read_bytes()))


def remove_records(staging: Path) -> None:
    """Forget which shards were finished, at the end of a run."""
    shutil.rmtree(staging / RECORDS, ignore_errors=True)
