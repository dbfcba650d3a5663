"""The dataset card (README.md of a built dataset): what is in it, counted, and how it may be used.

The YAML head is what `load_dataset` and the Hub read: the two configs, their files, features and sizes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from hggt_data.features import candidates_of_columns
from hggt_data.files import sha256_of
from hggt_data.manifest import Shard
from hggt_data.schema import Label, label_from_class_id

if TYPE_CHECKING:
    from datasets import Features

HGGT_LICENSE_NAME = "hggt-terms"
HGGT_TERMS = (
    "The official HGGT data is for non-commercial academic research only. Its terms forbid copying, publishing or "
    "distributing any portion of it further; copies may be made only inside one organisation."
)
_HGGT_LICENCE_TEXT = f"""**{HGGT_TERMS} Do not make this dataset public** without the authors' permission. The software
that built it is under Apache-2.0, which does not extend to the data."""
_HGGT_CITATION = """@inproceedings{chen2023human,
  title     = {Human Guided Ground-truth Generation for Realistic Image Super-resolution},
  author    = {Chen, Du and Liang, Jie and Zhang, Xindong and Liu, Ming and Zeng, Hui and Zhang, Lei},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2023}
}
"""


def format_card(
    tables: Mapping[str, pa.Table],
    *,
    shards: Sequence[Shard],
    features: "Features",
    label_features: "Features",
    license_id: str | None,
    citation: str | None,
    pseudonymous: bool = False,
) -> str:
    """The text of the card.

    Args:
        tables: split to its rows without pictures.
        shards: all Parquet files with pictures.
        features, label_features: of the configs `default` and `labels`.
        license_id: a licence id of the Hub; null for the HGGT terms.
        citation: BibTeX; null for the HGGT paper.
        pseudonymous: whether annotators have pseudonyms and times are relative, see `pseudonyms.py`.
    """
    head = _yaml_head(tables, shards, features, label_features, license_id)
    candidates = candidates_of_columns(list(features))
    return (
        f"---\n{head}\n---\n\n"
        + "\n\n".join(
            [
                "# Patch groups with human-guided ground truth",
                "Each row is one *patch group*: an original high-resolution patch, enhanced candidates of it, and what "
                "several people said of each candidate compared with the original: `positive` (better), `similar` or "
                "`negative` (worse). Made with hggt in the form of HGGT (CVPR 2023).",
                "## Load it",
                _usage(list(tables)),
                "## What is in it",
                _counts(tables, candidates),
                "## Columns",
                _columns(features, pseudonymous),
                "## How the labels were made",
                _labels_text(tables),
                "## Licence",
                _HGGT_LICENCE_TEXT if license_id is None else f"The data is under `{license_id}`.",
                "## Citation",
                f"```bibtex\n{(citation or _HGGT_CITATION).strip()}\n```",
            ]
        )
        + "\n"
    )


def _yaml_head(
    tables: Mapping[str, pa.Table],
    shards: Sequence[Shard],
    features: "Features",
    label_features: "Features",
    license_id: str | None,
) -> str:
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    def info(columns: "Features", sizes: Mapping[str, int]) -> Any:
        splits = SplitDict()
        for split, table in tables.items():
            splits.add(SplitInfo(split, num_bytes=sizes[split], num_examples=table.num_rows))
        total = sum(sizes.values())
        return DatasetInfo(features=columns, splits=splits, download_size=total, dataset_size=total)

    data = DatasetCardData(
        pretty_name="HGGT patch groups",
        license=license_id or "other",
        license_name=None if license_id else HGGT_LICENSE_NAME,
        task_categories=["image-to-image"],
        tags=["super-resolution", "image-restoration", "human-preference", "hggt"],
        size_categories=_size_category(sum(table.num_rows for table in tables.values())),
    )
    picture_bytes = {split: sum(shard.size_bytes for shard in shards if shard.split == split) for split in tables}
    label_bytes = {split: table.nbytes for split, table in tables.items()}
    infos = {"default": info(features, picture_bytes), "labels": info(label_features, label_bytes)}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    # `datasets` caches a local dataset under a hash of this head only: without it, a changed label would not be seen.
    content = sha256_of("".join(shard.sha256 for shard in shards).encode())
    for entry in data["dataset_info"]:
        entry["description"] = f"Built by hggt; content {content}"
    # Every file by its name: with a pattern, streaming would pass over a lost shard in silence.
    paths = {split: [shard.path for shard in shards if shard.split == split] for split in tables}
    MetadataConfigs(
        {
            "default": {
                "data_files": [{"split": split, "path": paths[split]} for split in tables],
                "default": True,
            },
            "labels": {"data_files": [{"split": split, "path": f"labels/{split}.parquet"} for split in tables]},
        }
    ).to_dataset_card_data(data)
    return str(data.to_yaml()).strip()


def _size_category(num_rows: int) -> str:
    """The Hub's word for a number of rows."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if num_rows < limit:
            return name
    return "1M<n<10M"


def _usage(splits: list[str]) -> str:
    return (
        "```python\nfrom datasets import load_dataset\n\n"
        f'groups = load_dataset("PATH_OR_ID", split="{splits[0]}")             # with pictures\n'
        f'labels = load_dataset("PATH_OR_ID", "labels", split="{splits[0]}")   # labels only, small\n```'
    )


def _counts(tables: Mapping[str, pa.Table], candidates: tuple[str, ...]) -> str:
    lines = []
    for split, table in tables.items():
        pictures = pc.count_distinct(table["image_name"]).as_py()
        with_positive = pc.sum(pc.greater(table["num_positive"], 0)).as_py()
        with_negative = pc.sum(pc.greater(table["num_negative"], 0)).as_py()
        lines.append(
            f"- `{split}`: {table.num_rows:,} groups from {pictures:,} source pictures, {len(candidates)} candidates "
            f"each; {with_positive:,} groups have a positive, {with_negative:,} a negative"
        )
    lines += ["", "Share of each consensus label:", "", "| split | candidate | positive | similar | negative | none |"]
    lines.append("|---|---|---|---|---|---|")
    for split, table in tables.items():
        consensus = table["consensus"].to_pylist()
        for k, candidate in enumerate(candidates):
            counts = Counter(label_from_class_id(labels[k]) for labels in consensus)
            shares = [f"{counts[label] / table.num_rows:.1%}" for label in (*Label, None)]
            lines.append(f"| {split} | {candidate} | {' | '.join(shares)} |")
    return "\n".join(lines)


_COLUMN_TEXTS = {
    "id": "`IMAGE-TOP-LEFT`, the name of the patch",
    "image_name": "the source picture",
    "top": "first row of the patch in the source picture",
    "left": "first column",
    "width": "pixels",
    "height": "pixels",
    "original": "the untouched high-resolution patch, PNG",
    "lr": "the low-resolution input of the test protocol, PNG; null where there is none",
    "consensus": "one label per candidate; null with fewer than two votes",
    "agreement": "how many annotators gave the consensus label; 1 when they disagreed, 0 without consensus",
    "num_votes": "how many annotators voted",
    "num_positive": "candidates whose consensus is positive",
    "num_negative": "candidates whose consensus is negative",
    "origin": "where the source picture is from",
    "author": "who made the source picture",
    "licence": "licence of the source picture",
}


def _columns(features: "Features", pseudonymous: bool) -> str:
    lines = ["| column | content |", "|---|---|"]
    texts = {**_COLUMN_TEXTS, "annotations": _annotations_text(pseudonymous)}
    for column in features:
        text = texts.get(column) or f"candidate {column.split('_')[1]}: the patch made by one enhancer, PNG"
        lines.append(f"| `{column}` | {text} |")
    return "\n".join(lines)


def _annotations_text(pseudonymous: bool) -> str:
    person, times = ("a person or null", "local time")
    if pseudonymous:
        person, times = ("a pseudonym or null", "counted from the annotator's first start, which is 1970-01-01")
    return (
        f"one entry per annotator: slot (the official folder), annotator ({person}), labels (one per candidate), "
        f"start and end ({times}), seconds"
    )


def _labels_text(tables: Mapping[str, pa.Table]) -> str:
    slots = sorted({a["slot"] for table in tables.values() for row in table["annotations"].to_pylist() for a in row})
    return (
        f"Every candidate was compared with its original by the annotators in the slots {', '.join(slots)}. The "
        "consensus is the label with strictly most votes, if at least two gave it; a tie, or votes that all differ, "
        "give `similar` with agreement 1; fewer than two votes give null. For three votes this is the rule of the "
        "official code. A slot is a folder of the official data, which several people may have filled."
    )
