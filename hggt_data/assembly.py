"""What belongs to a whole dataset, from its finished shards: the light `labels` tables, the card and the manifest."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from hggt_data.card import format_card
from hggt_data.features import dataset_features
from hggt_data.files import sha256_of, write_text
from hggt_data.manifest import (
    CARD_FILE,
    MANIFEST_FILE,
    FileRecord,
    Manifest,
    describe_file,
    remove_records,
    remove_strangers,
)
from hggt_data.shards import write_table_file

if TYPE_CHECKING:
    from datasets import Features


def label_features(manifest: Manifest) -> "Features":
    """The schema of the `labels` config: all columns but the pictures."""
    return dataset_features(tuple(manifest.candidates), manifest.has_lr, _source_columns(manifest), with_images=False)


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
    card_record = FileRecord(CARD_FILE, len(card.encode()), sha256_of(card.encode()))
    tables = [describe_file(folder, f"labels/{split}.parquet") for split in labels]
    manifest = replace(draft, files=[card_record, *tables])
    write_text(folder / MANIFEST_FILE, manifest.to_text())
    remove_records(folder)
    remove_strangers(folder, manifest)
    write_text(folder / CARD_FILE, card)
    return manifest


def _source_columns(manifest: Manifest) -> tuple[str, ...]:
    return tuple(manifest.settings["sources"])
