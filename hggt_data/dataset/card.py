"""The dataset card (README.md of a built dataset or of exported pairs): content, counts, licence.

`load_dataset` and the Hub read its YAML head: the configs, their files, features and sizes.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from hggt_data.dataset.features import candidates_of_columns, picture_of_column
from hggt_data.dataset.manifest import Shard
from hggt_data.io.files import sha256_of
from hggt_data.io.text import escape_markdown
from hggt_data.licence import card_license, is_restricted, terms_of
from hggt_data.schema import ConsensusRule, Label, Protocol, label_from_class_id

if TYPE_CHECKING:
    from datasets import Features

TITLE = "HGGT patch groups"
TAGS = ("super-resolution", "image-restoration", "human-preference")
# Columns of votes besides annotations, and what is counted in them.
_VOTES = {"pairs": "votes on pairs", "choices": "choices among versions", "scores": "opinion scores"}
_PAIRS_TEXT = (
    "Strengths follow Bradley and Terry, with ties by Davidson (1970); they sum to 0 in each group and have a normal "
    "prior of standard deviation 10. The MOS is that of SRIQA-Bench, where a tie is a vote for both versions; it is "
    "scaled to 0 to 100 in each group and therefore not comparable between groups. Only votes of people count. Both "
    "are null in a group that was judged under several questions."
)
_CITATIONS = {
    "hggt": """@inproceedings{chen2023human,
  title     = {Human Guided Ground-truth Generation for Realistic Image Super-resolution},
  author    = {Chen, Du and Liang, Jie and Zhang, Xindong and Liu, Ming and Zeng, Hui and Zhang, Lei},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2023}
}
""",
    "diffiqa": """@inproceedings{chen2025toward,
  title     = {Toward Generalized Image Quality Assessment: Relaxing the Perfect Reference Quality Assumption},
  author    = {Chen, Du and Wu, Tianhe and Ma, Kede and Zhang, Lei},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2025}
}
""",
}
_CITATIONS["sriqa"] = _CITATIONS["diffiqa"]


def format_card(
    tables: Mapping[str, pa.Table],
    *,
    shards: Sequence[Shard],
    features: "Features",
    label_features: "Features",
    license_id: str,
    citation: str | None,
    protocols: Mapping[str, Protocol],
    pseudonymous: bool = False,
    layout: str = "hggt",
    rule: ConsensusRule = "hggt",
    overlap: Sequence[str] = (),
) -> str:
    """The card of a built dataset.

    `tables` are each split's rows without pictures; `features` and `label_features` are those of the configs `default`
    and `labels`. Without `citation` the card carries the paper of the `layout`, if it has one. `protocols` say how the
    annotators of each split were asked, `rule` how their votes give a label, `overlap` what the splits share.
    `pseudonymous` means that annotators have pseudonyms and times are relative.
    """
    citation = find_citation(citation, layout)
    head = _yaml_head(tables, shards, features, label_features, license_id)
    candidates = candidates_of_columns(list(features))
    labelled = has_labels(tables)
    return (
        f"---\n{head}\n---\n\n"
        + "\n\n".join(
            [
                "# Patch groups with human-guided ground truth",
                f"{introduce(labelled)} Made with hggt.",
                "## Load it",
                _usage(list(tables), labelled),
                "## Content",
                _counts(tables, candidates, labelled),
                *([_overlap_text(overlap)] if overlap else []),
                "## Columns",
                _columns(features, pseudonymous),
                *(["## How the labels were made", _labels_text(tables, layout, rule)] if labelled else []),
                *(["## Votes on pairs", _PAIRS_TEXT] if "pairs" in features else []),
                "## How the annotators were asked",
                _protocols_text(protocols),
                "## Licence",
                _licence_text(license_id),
                *(["## Citation", f"```bibtex\n{citation.strip()}\n```"] if citation else []),
            ]
        )
        + "\n"
    )


def has_labels(tables: Mapping[str, pa.Table]) -> bool:
    """Whether the tables of any split have label votes by people."""
    return any((pc.max(pc.list_flatten(table["num_votes"])).as_py() or 0) > 0 for table in tables.values())


def is_counted(vote: Mapping[str, Any]) -> bool:
    """As `is_vote_of_person`; what version 3 added is null in the copy of an older dataset."""
    return vote["kind"] in (None, "vote") and vote["annotator_kind"] != "model"


def introduce(labelled: bool) -> str:
    """What a row is, in one sentence."""
    votes = (
        "the labels that several people gave each candidate in comparison with the original: `positive` (better), "
        "`similar` or `negative` (worse)."
    )
    return (
        "Each row is one *patch group*: an original high-resolution patch, enhanced candidates of it, and "
        f"{votes if labelled else 'votes on these versions.'}"
    )


def find_citation(citation: str | None, layout: str) -> str | None:
    """The citation of the data: the given one, or the paper of the layout, if it has one."""
    return citation or _CITATIONS.get(layout)


def _yaml_head(
    tables: Mapping[str, pa.Table],
    shards: Sequence[Shard],
    features: "Features",
    label_features: "Features",
    license_id: str,
) -> str:
    num_rows = {split: table.num_rows for split, table in tables.items()}
    pictures = _Config(
        features,
        num_rows,
        {split: sum(shard.size_bytes for shard in shards if shard.split == split) for split in tables},
        {split: [shard.path for shard in shards if shard.split == split] for split in tables},
    )
    labels = _Config(
        label_features,
        num_rows,
        {split: table.nbytes for split, table in tables.items()},
        {split: f"labels/{split}.parquet" for split in tables},
    )
    return _format_head(
        {"default": pictures, "labels": labels},
        pretty_name=TITLE,
        license_id=license_id,
        tags=[],
        content=sha256_of("".join(shard.sha256 for shard in shards).encode()),
    )


@dataclass(frozen=True)
class _Config:
    """A config of `load_dataset`. Each mapping is by split; `paths` has one file or a list of files."""

    features: "Features"
    num_rows: Mapping[str, int]
    sizes_bytes: Mapping[str, int]
    paths: Mapping[str, Any]


def _format_head(
    configs: Mapping[str, _Config], *, pretty_name: str, license_id: str, tags: Sequence[str], content: str
) -> str:
    """The YAML head; `content` is a hash of all data."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    def info(config: _Config) -> Any:
        splits = SplitDict()
        for split, num_rows in config.num_rows.items():
            splits.add(SplitInfo(split, num_bytes=config.sizes_bytes[split], num_examples=num_rows))
        total = sum(config.sizes_bytes.values())
        return DatasetInfo(features=config.features, splits=splits, download_size=total, dataset_size=total)

    license, license_name = card_license(license_id)
    data = DatasetCardData(
        pretty_name=pretty_name,
        license=license,
        license_name=license_name,
        task_categories=["image-to-image"],
        tags=[*TAGS, *tags, "hggt"],
        size_categories=_size_category(sum(configs["default"].num_rows.values())),
    )
    DatasetInfosDict({name: info(config) for name, config in configs.items()}).to_dataset_card_data(data)
    # `datasets` caches a local dataset under a hash of this head only: without `content` it would miss a changed label.
    entries = data["dataset_info"]
    for entry in entries if isinstance(entries, list) else [entries]:
        entry["description"] = f"Built by hggt; content {content}"
    # Every file by its name: with a pattern, streaming would silently skip a missing shard.
    MetadataConfigs(
        {
            name: {
                "data_files": [{"split": split, "path": path} for split, path in config.paths.items()],
                **({"default": True} if name == "default" else {}),
            }
            for name, config in configs.items()
        }
    ).to_dataset_card_data(data)
    return str(data.to_yaml()).strip()


def format_pairs_card(
    kinds: Mapping[str, Mapping[str, int]],
    *,
    paths: Mapping[str, Sequence[str]],
    sizes_bytes: Mapping[str, int],
    features: "Features",
    license_id: str,
    content: str,
) -> str:
    """The card of exported pairs.

    `kinds` are each split's numbers of pairs by kind, `paths` its Parquet files, `sizes_bytes` their total size;
    `content` is a hash of all rows.
    """
    num_pairs = {split: sum(counts.values()) for split, counts in kinds.items()}
    head = _format_head(
        {"default": _Config(features, num_pairs, sizes_bytes, paths)},
        pretty_name="HGGT preference pairs",
        license_id=license_id,
        tags=["preference-pairs", "dpo"],
        content=content,
    )
    lines = ["| column | content |", "|---|---|"]
    lines += [f"| `{column}` | {_PAIR_COLUMN_TEXTS[column]} |" for column in features]
    counted = [
        f"- `{split}`: {num_pairs[split]:,} pairs; "
        + ", ".join(f"{number:,} {kind}" for kind, number in counts.items() if number)
        for split, counts in kinds.items()
    ]
    return (
        f"---\n{head}\n---\n\n"
        + "\n\n".join(
            [
                "# Preference pairs of pictures",
                "Each row is a pair from one *patch group*: two versions of the same picture, of which people "
                "preferred one. Made with hggt from data in the format of HGGT.",
                "## Content",
                "\n".join(counted),
                "## Columns",
                "\n".join(lines),
                *([_MARGIN_TEXT] if "margin" in features else []),
                "## Licence",
                _licence_text(license_id),
            ]
        )
        + "\n"
    )


_MARGIN_TEXT = (
    "`margin` = (positive - negative votes of chosen) / votes - (positive - negative votes of rejected) / votes, where "
    "the original counts as 0. It ranges from -2 to 2; the larger it is, the clearer the preference. Of the kind "
    "`votes`, where people compared the two, it is the share of the votes for chosen minus the share for rejected."
)
_PAIR_COLUMN_TEXTS = {
    "lr": "low-resolution input, PNG; null if there is none",
    "chosen": "the preferred picture, PNG",
    "rejected": "the other picture, PNG",
    "original": "the untouched patch that both are versions of, PNG; null if the data has none",
    "group": "name of the patch group; `IMAGE-TOP-LEFT` in HGGT, where IMAGE is the source picture",
    "chosen_name": "name of the preferred picture: a candidate, or `original`",
    "rejected_name": "name of the other picture",
    "kind": "P>S, P>N, S>N, P>original, original>N: the consensus labels of the two (positive, similar, negative); "
    "votes: people compared the two",
    "votes_chosen": "how many annotators gave each label to the preferred picture; 0 for the original. Of the kind "
    "votes, the votes for it (positive), ties (similar) and votes for the other (negative); null where only shares are "
    "known",
    "votes_rejected": "the same for the other picture",
    "margin": "how clear the preference is; see below",
    "jpg_0": "bytes of the first picture, PNG despite the name of the column",
    "jpg_1": "bytes of the second picture",
    "label_0": "1 if the first picture is preferred, 0 if the second is, 0.5 if they are equally good",
    "caption": "that of the patch group; empty if it has none",
}


def _licence_text(license_id: str) -> str:
    if not is_restricted(license_id):
        return f"The data is under `{license_id}`."
    return (
        f"**{terms_of(license_id)} Do not make this dataset public** without the authors' permission. The software "
        "that built it is under Apache-2.0, which does not extend to the data."
    )


def _size_category(num_rows: int) -> str:
    """The Hub's category for a number of rows."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if num_rows < limit:
            return name
    return "1M<n<10M"


def _usage(splits: list[str], labelled: bool) -> str:
    positives = """
row = groups[0]
positives = [row[name] for name, label in zip(candidates, row["consensus"]) if label == 0]"""
    return f"""```python
from datasets import load_dataset

groups = load_dataset("PATH_OR_ID", split="{splits[0]}")             # with pictures
labels = load_dataset("PATH_OR_ID", "labels", split="{splits[0]}")   # labels only, small

candidates = [name for name in groups.column_names if name.startswith("enhanced_")]{positives if labelled else ""}
```

Labels are 0 positive, 1 similar, 2 negative, in the order of the candidates. A column that only one split has (`lr`) is
null in the other. For PyTorch, with hggt installed:

```python
from hggt_data import collate
from torch.utils.data import DataLoader

loader = DataLoader(groups.with_format("torch"), batch_size=4, collate_fn=collate)
batch = next(iter(loader))                       # batch["original"]: uint8 (4, 3, H, W)
positive = batch["consensus"] == 0               # (4, candidates)
```"""


def _counts(tables: Mapping[str, pa.Table], candidates: tuple[str, ...], labelled: bool) -> str:
    lines = []
    for split, table in tables.items():
        pictures = pc.count_distinct(table["image_name"]).as_py()
        with_positive = pc.sum(pc.greater(table["num_positive"], 0)).as_py()
        with_negative = pc.sum(pc.greater(table["num_negative"], 0)).as_py()
        with_labels = f"; {with_positive:,} groups have a positive, {with_negative:,} a negative" if labelled else ""
        votes = [
            f"{_count_votes(table[column]):,} {what}" for column, what in _VOTES.items() if column in table.schema.names
        ]
        lines.append(
            f"- `{split}`: {table.num_rows:,} groups from {pictures:,} source pictures, {len(candidates)} candidates "
            f"each{with_labels}{''.join(f'; {number}' for number in votes)}"
        )
    if not labelled:
        return "\n".join(lines)
    lines += ["", "Share of each consensus label:", "", "| split | candidate | positive | similar | negative | none |"]
    lines.append("|---|---|---|---|---|---|")
    for split, table in tables.items():
        consensus = table["consensus"].to_pylist()
        for k, candidate in enumerate(candidates):
            counts = Counter(label_from_class_id(labels[k]) for labels in consensus)
            shares = [f"{counts[label] / table.num_rows:.1%}" for label in (*Label, None)]
            lines.append(f"| {split} | {candidate} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _count_votes(votes: pa.ChunkedArray) -> int:
    """The number of people's votes in a column of votes."""
    people = [one for row in votes.to_pylist() for one in row if one["annotator_kind"] == "person"]
    return sum(one["count"] for one in people if one["kind"] == "vote")


_COLUMN_TEXTS = {
    "id": "name of the group; `IMAGE-TOP-LEFT` in HGGT",
    "image_name": "the source picture",
    "top": "first row of the patch in the source picture; null if there is no place",
    "left": "first column; null if there is no place",
    "width": "pixels",
    "height": "pixels",
    "original": "the untouched high-resolution patch, PNG; null if the data has none",
    "lr": "the low-resolution input of the test protocol, PNG; null if there is none",
    "consensus": "one label per candidate; null if there is none, see below",
    "agreement": "how many annotators gave the consensus label; 1 if they disagreed, 0 without consensus",
    "num_votes": "how many annotators voted",
    "num_positive": "candidates whose consensus is positive",
    "num_negative": "candidates whose consensus is negative",
    "strengths": "log odds of each version (the candidates in order, then the original) from the votes on pairs; null "
    "for a version without votes",
    "mos": "mean opinion score of each version as in SRIQA-Bench, 0 to 100 in each group; null for a version without "
    "votes",
    "caption": "what the pictures show, or the prompt they were made from; null if there is none",
    "origin": "origin of the source picture",
    "author": "author of the source picture",
    "licence": "licence of the source picture",
}


def _columns(features: "Features", pseudonymous: bool) -> str:
    lines = ["| column | content |", "|---|---|"]
    return "\n".join(
        [*lines, *(f"| `{name}` | {text} |" for name, text in column_texts(features, pseudonymous).items())]
    )


def column_texts(features: "Features", pseudonymous: bool) -> dict[str, str]:
    """What each column contains."""
    facts = _facts_text(pseudonymous)
    texts = {
        **_COLUMN_TEXTS,
        "annotations": "one entry per annotator: slot (a place in the source, not a person), labels (one per "
        "candidate, null where none was given), full_zoom (whether every candidate was seen at 100 %; null if "
        f"unknown), {facts}",
        "pairs": "one entry per vote on two versions: first (shown first, or left), second, preferred (first, second "
        "or tie; null if only results of several votes are known), share (of these, for the first; ties as half), "
        f"count (of votes), slot, {facts}",
        "choices": f"one entry per choice of the best: shown (versions), preferred, count, slot, {facts}",
        "scores": "one entry per opinion score: candidate (or original), score, std, votes (how many it is the mean "
        f"of), count, slot, {facts}",
    }
    return {
        column: texts.get(column)
        or f"candidate {picture_of_column(column)}: the patch made by one enhancer, PNG; null if the group lacks it"
        for column in features
    }


def _facts_text(pseudonymous: bool) -> str:
    person, times = ("a person or null", "local time such as 2022-08-05T17:01:12")
    if pseudonymous:
        person, times = (
            "a pseudonym or null",
            "counted from the annotator's first start, which is 1970-01-01T00:00:00",
        )
    return (
        f"annotator ({person}), start and end ({times}), seconds, annotator_kind (person or model), question, kind "
        "(vote, gold, repeat or practice; only a person's vote counts)"
    )


def _overlap_text(overlap: Sequence[str]) -> str:
    return f"**{'; '.join(map(escape_markdown, overlap))}.** Scores on such a test set are better than on new pictures."


_MAJORITY = "the label with strictly the most votes, if at least two gave it"
RULES: Mapping[ConsensusRule, str] = {
    "hggt": f"{_MAJORITY}; a tie, or votes that all differ, give `similar` with agreement 1; fewer than two votes give "
    "null. For three votes this is the rule of the official code of HGGT",
    "majority": f"{_MAJORITY}; a tie, votes that all differ, and fewer than two votes give null",
}


def _labels_text(tables: Mapping[str, pa.Table], layout: str, rule: ConsensusRule) -> str:
    rows = (row for table in tables.values() for row in table["annotations"].to_pylist())
    found = {annotation["slot"] for row in rows for annotation in row if is_counted(annotation)}
    slots = escape_markdown(", ".join(sorted(found)))
    return (
        f"Candidates were compared with their original by the annotators in the slots {slots}. The consensus is "
        f"{RULES[rule]}. A slot is a place in the source (layout `{layout}`), which several people may have filled."
    )


def _protocols_text(protocols: Mapping[str, Protocol]) -> str:
    """How the annotators were asked, for each split if that differs."""
    texts = {
        split: describe_protocol(protocol, lambda question: f"*{escape_markdown(question)}*")
        for split, protocol in protocols.items()
    }
    if len(set(texts.values())) <= 1:
        return "".join(set(texts.values()))
    return "\n".join(f"- `{split}`: {text}" for split, text in texts.items())


def describe_protocol(protocol: Protocol, quote: Callable[[str], str]) -> str:
    """How annotators were asked; `quote` marks the question."""
    return protocol.describe(quote) or "How the annotators were asked is not known."
