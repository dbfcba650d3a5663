"""Exports preference pairs with their pictures, as a dataset or as JSON lines beside image files.

Groups are read one after the other, so memory does not grow with their number.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from hggt_data.dataset.card import format_pairs_card
from hggt_data.dataset.features import arrow_schema
from hggt_data.dataset.shards import write_shard
from hggt_data.errors import DatasetError, SettingsError
from hggt_data.exports.preferences import (
    PairKind,
    PairName,
    PreferencePair,
    has_majority,
    preference_pairs,
    tied_pairs,
)
from hggt_data.exports.source import OpenedSource, as_opened, file_name, read_checked, write_png
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import atomic_file, write_text
from hggt_data.io.folders import new_folder
from hggt_data.io.images import hash_pixels
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import LICENSE_FILE
from hggt_data.ranges import Count, Range, require_ranges
from hggt_data.schema import LR, ORIGINAL, Label

if TYPE_CHECKING:
    from datasets import Features


_TIES = "ties"


@dataclass(frozen=True)
class PairSettings:
    """Which pairs to export, and how.

    Attributes:
        kinds: Kind of pairs to write, the preferred picture first: P positive, S similar, N negative; or votes of
            people who compared the two. Repeatable.  [default: all]
        min_margin: Smallest preference margin, from -2 to 2.  [default: no limit]
        format: File format: parquet contains the pictures, jsonl refers to their files.
        columns: Columns of parquet: hggt, or pickapic (jpg_0, jpg_1, label_0, caption), which Diffusion-DPO reads.
        ties: With the columns pickapic, also write pairs that people call equally good, with label_0 0.5.
        majority_only: Leave out candidates whose votes have no majority, which are Similar by HGGT's rule, and pairs
            of which at most half of the votes prefer one.
        pairs_per_shard: Pairs per Parquet file; 256 pairs of four 512 x 512 pictures take about 450 MB.

    Raises:
        SettingsError: A value is out of range, or a kind is unknown.
    """

    kinds: Collection[PairKind | PairName] = tuple(PairKind)
    min_margin: Annotated[float, Range(-2, 2)] | None = None
    format: Literal["parquet", "jsonl"] = "parquet"
    columns: Literal["hggt", "pickapic"] = "hggt"
    ties: bool = False
    majority_only: bool = False
    pairs_per_shard: Count = 256

    def __post_init__(self) -> None:
        require_ranges(self)
        known = {*PairKind, *(kind.value for kind in PairKind), *get_args(PairName)}
        if unknown := [kind for kind in self.kinds if kind not in known]:
            raise SettingsError(f"`kinds` has {format_examples(unknown)}; expected {' or '.join(get_args(PairName))}")
        if self.columns == "pickapic" and self.format != "parquet":
            raise SettingsError("`columns` pickapic requires `format` parquet")
        if self.ties and self.columns != "pickapic":
            raise SettingsError("`ties` requires `columns` pickapic: the columns of hggt name a preferred picture")

    def pairs(self, group: Group) -> list[PreferencePair]:
        """The pairs of a group to export."""
        found = preference_pairs(group, {PairKind(kind) for kind in self.kinds})
        if self.majority_only:
            found = [pair for pair in found if has_majority(group, pair)]
        if self.min_margin is not None:
            found = [pair for pair in found if pair.margin >= self.min_margin]
        return [*found, *(tied_pairs(group) if self.ties else [])]


def export_pairs(
    source: OpenedSource | str | Path, output: str | Path, settings: PairSettings | None = None
) -> list[str]:
    """Write the preference pairs as a dataset for `load_dataset`, or as JSON lines beside image files.

    Columns: lr (if the source has any), chosen, rejected, original (images), group, chosen_name, rejected_name, kind,
    votes_chosen, votes_rejected, margin; or those of Pick-a-Pic, see `PairSettings`. The rows follow the order of the
    groups and, in a group, of `preference_pairs`. Pairs of pictures with equal pixels are left out.

    Args:
        source: Data to export: see `open_source`.
        output: New or empty folder outside the source.
        settings: Which pairs to write, and how.

    Returns:
        What was written, one line each.

    Raises:
        DatasetError: A split has no such pairs.
        ImageError: An image is damaged.
        OutputError: The output is not empty, or is inside the source.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import PairSettings, export_pairs, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> lines = export_pairs(write_demo_tree(folder).test, folder / "pairs", PairSettings(["P-N"], format="jsonl"))
        >>> lines[0].removeprefix(str(folder))
        '/pairs, test: 7 pairs (7 P>N)'
    """
    source, output, settings = as_opened(source), Path(output), settings or PairSettings()
    source.require_outside(output)
    for groups in source.splits.values():  # before anything is written
        _require_pairs(any(settings.pairs(group) for group in groups), groups, source.location)
    counts = {split: _Counts.of(settings) for split in source.splits}
    has_lr = any(groups.has_picture(k, LR) for groups in source.splits.values() for k in range(len(groups)))
    with new_folder(output) as staging:
        write = _write_parquet if settings.format == "parquet" else _write_jsonl
        write(source, staging, settings, counts, has_lr)
        for split, groups in source.splits.items():
            _require_pairs(counts[split].kinds.total() > 0, groups, source.location)
        source.write_licence(staging / LICENSE_FILE)
        size = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    return [
        *(f"{output}, {split}: {of_split.describe()}" for split, of_split in counts.items()),
        f"{size / 1e6:,.1f} MB; {_usage(output, settings.format, list(counts))}",
    ]


def _usage(output: Path, form: str, splits: list[str]) -> str:
    if form == "parquet":
        return f'load_dataset("{output}")'
    return f"the paths in {' and '.join(f'{split}.jsonl' for split in splits)} are relative to {output}"


@dataclass
class _Counts:
    """The pairs of one split: how many of each kind were exported, in the order of the kinds, and left out as equal."""

    kinds: Counter[str]
    num_equal: int = 0

    @classmethod
    def of(cls, settings: PairSettings) -> Self:
        wanted = {PairKind(kind) for kind in settings.kinds}
        ties = {_TIES: 0} if settings.ties else {}
        return cls(Counter({kind.value: 0 for kind in PairKind if kind in wanted} | ties))

    def describe(self) -> str:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in self.kinds.items() if number)
        left_out = f"; left out {plural(self.num_equal, 'pair')} of equal pictures" if self.num_equal else ""
        return f"{plural(self.kinds.total(), 'pair')} ({kinds}){left_out}"


def _require_pairs(has_pairs: bool, groups: GroupSource, location: str) -> None:
    if not has_pairs:
        raise DatasetError(
            f"{location} has no such pairs of different pictures in {groups.split}; "
            "change `kinds` or lower `min_margin`. Pairs need label votes or votes on pairs"
        )


def pair_features(has_lr: bool) -> "Features":
    """The schema of exported pairs."""
    from datasets import Features, Image, Value

    votes = {label.class_name: Value("int32") for label in Label}
    return Features(
        {
            **{column: Image() for column in _picture_columns(has_lr)},
            **{column: Value("string") for column in ("group", "chosen_name", "rejected_name", "kind")},
            "votes_chosen": dict(votes),
            "votes_rejected": dict(votes),
            "margin": Value("float64"),
        }
    )


def pickapic_features() -> "Features":
    """The schema of exported pairs with the columns of Pick-a-Pic."""
    from datasets import Features, Value

    types = {"jpg_0": "binary", "jpg_1": "binary", "label_0": "float64", "caption": "string"}
    return Features({column: Value(kind) for column, kind in types.items()})


def _pickapic_row(group: Group, pair: PreferencePair, pngs: Mapping[str, bytes | None]) -> dict[str, Any]:
    """A pair as Pick-a-Pic has it; in half of the rows, by chance, the preferred picture is the second."""
    pictures, label = [pair.chosen, pair.rejected], 1.0 if pair.kind else 0.5
    if random.Random(f"{group.id}/{pair.chosen}/{pair.rejected}").random() < 0.5:
        pictures, label = pictures[::-1], 1 - label
    return {"jpg_0": pngs[pictures[0]], "jpg_1": pngs[pictures[1]], "label_0": label, "caption": group.caption or ""}


def _picture_columns(has_lr: bool) -> list[str]:
    return [*([LR] if has_lr else []), "chosen", "rejected", ORIGINAL]


def _pairs_of(
    groups: GroupSource, settings: PairSettings, counts: _Counts
) -> Iterator[tuple[Group, list[PreferencePair]]]:
    """The pairs of each group that has any, without those of equal pictures; adds them to `counts`."""
    for group in show_progress(groups, len(groups), f"exporting {groups.split}"):
        found = settings.pairs(group)
        names = sorted({name for pair in found for name in (pair.chosen, pair.rejected)})
        digests = {name: hash_pixels(group.read(name)) for name in names}
        pairs = [pair for pair in found if digests[pair.chosen] != digests[pair.rejected]]
        counts.kinds.update(pair.kind.value if pair.kind else _TIES for pair in pairs)
        counts.num_equal += len(found) - len(pairs)
        if pairs:
            yield group, pairs


def _names_of(group: Group, pairs: list[PreferencePair]) -> list[str]:
    """The pictures that a group's pairs need."""
    original = [ORIGINAL] if group.has_picture(ORIGINAL) else []
    return sorted({*original, *(name for pair in pairs for name in (pair.chosen, pair.rejected))})


def _labels_row(group: Group, pair: PreferencePair) -> dict[str, Any]:
    """The columns of a pair except the pictures."""
    return {
        "group": group.id,
        "chosen_name": pair.chosen,
        "rejected_name": pair.rejected,
        "kind": pair.kind and pair.kind.value,
        "votes_chosen": _votes_row(pair.votes_chosen),
        "votes_rejected": _votes_row(pair.votes_rejected),
        "margin": pair.margin,
    }


def _votes_row(votes: dict[Label, int] | None) -> dict[str, int] | None:
    return None if votes is None else {label.class_name: count for label, count in votes.items()}


def _write_parquet(
    source: OpenedSource, staging: Path, settings: PairSettings, counts: Mapping[str, _Counts], has_lr: bool
) -> None:
    is_pickapic = settings.columns == "pickapic"
    features = pickapic_features() if is_pickapic else pair_features(has_lr)
    columns = [] if is_pickapic else _picture_columns(has_lr)
    schema = arrow_schema(features)
    digest = hashlib.sha256()
    paths: dict[str, list[str]] = {}

    def rows(groups: GroupSource, counts: _Counts) -> Iterator[dict[str, Any]]:
        for group, pairs in _pairs_of(groups, settings, counts):
            pngs: dict[str, bytes | None] = {name: read_checked(group, name) for name in _names_of(group, pairs)}
            pngs[LR] = read_checked(group, LR) if group.has_picture(LR) and not is_pickapic else None
            for png in pngs.values():
                digest.update(png or b"")
            for pair in pairs:
                row = {"chosen": pngs[pair.chosen], "rejected": pngs[pair.rejected], ORIGINAL: pngs.get(ORIGINAL)}
                labels = _labels_row(group, pair)
                digest.update(repr(labels).encode())
                if is_pickapic:
                    yield _pickapic_row(group, pair, pngs)
                    continue
                yield {**({LR: pngs[LR]} if has_lr else {}), **row, **labels}

    (staging / "data").mkdir()
    for split, groups in source.splits.items():
        of_split = rows(groups, counts[split])
        parts: list[Path] = []
        for row in of_split:  # the number of shards is part of their names, and known at the end
            parts.append(staging / f"data/{split}-{len(parts):05d}.parquet")
            write_shard(parts[-1], schema, chain([row], islice(of_split, settings.pairs_per_shard - 1)), columns)
        paths[split] = [f"data/{split}-{number:05d}-of-{len(parts):05d}.parquet" for number in range(len(parts))]
        for part, path in zip(parts, paths[split], strict=True):
            part.rename(staging / path)
    sizes = {split: sum((staging / path).stat().st_size for path in names) for split, names in paths.items()}
    card = format_pairs_card(
        {split: of_split.kinds for split, of_split in counts.items()},
        paths=paths,
        sizes_bytes=sizes,
        features=features,
        license_id=source.license,
        content=digest.hexdigest(),
    )
    write_text(staging / "README.md", card)


def _write_jsonl(
    source: OpenedSource, staging: Path, settings: PairSettings, counts: Mapping[str, _Counts], has_lr: bool
) -> None:
    for split, groups in source.splits.items():
        with atomic_file(staging / f"{split}.jsonl") as file:
            for group, pairs in _pairs_of(groups, settings, counts[split]):
                names = [*_names_of(group, pairs), *([LR] if group.has_picture(LR) else [])]
                paths = {name: f"{split}/{name}/{file_name(group, name)}" for name in names}
                for name, path in paths.items():
                    write_png(staging / path, group, name)
                for pair in pairs:
                    row = {
                        "chosen": paths[pair.chosen],
                        "rejected": paths[pair.rejected],
                        ORIGINAL: paths.get(ORIGINAL),
                    }
                    line = {**({LR: paths.get(LR)} if has_lr else {}), **row, **_labels_row(group, pair)}
                    file.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())
