"""Take out of a tree or a dataset what other programs want: its positives, preference pairs, or the official tree.

Groups are read one after the other, so memory does not grow with their number. A result appears whole or not at all,
and a note beside it tells under which licence its data is. Which pairs there are is for `preferences.py`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hggt_data.annotation import format_annotation, picture_name
from hggt_data.card import LICENSE_FILE, format_licence_note, format_pairs_card
from hggt_data.errors import DatasetError, ImageError, OutputError
from hggt_data.features import SOURCE_COLUMNS
from hggt_data.files import atomic_file, csv_file, write_text
from hggt_data.hub import is_hub_id
from hggt_data.images import parse_png
from hggt_data.loading import Group, GroupSource, is_built_dataset, open_splits
from hggt_data.preferences import PairKind, PreferencePair, preference_pairs
from hggt_data.schema import LR, ORIGINAL, Annotation, Label
from hggt_data.shards import write_shard
from hggt_data.staging import new_folder, require_outside
from hggt_data.tree import (
    ANNOTATORS_COLUMNS,
    ANNOTATORS_FILE,
    Section,
    is_candidate_name,
    official_test,
    official_train,
)
from hggt_data.wording import format_examples, plural
from hggt_data.workers import show_progress

if TYPE_CHECKING:
    from datasets import Features

LIST_ENDINGS = (".csv", ".txt")
_PAIRS_PER_SHARD = 256  # about 450 MB of 512 x 512 pictures, four to a pair
# A published dataset counts times from 1970, which the official format takes for a clock that was reset.
_RELATIVE_TIMES_SHIFT = datetime(2000, 1, 1) - datetime(1970, 1, 1)


@dataclass(frozen=True)
class ExportSource:
    """What is exported.

    Attributes:
        location: as the user named it.
        splits: name to groups.
        license: licence id of the data; null for the HGGT terms.
    """

    location: str
    splits: Mapping[str, GroupSource]
    license: str | None

    @property
    def only_split(self) -> GroupSource:
        """The groups, where one split is exported.

        Raises:
            DatasetError: there are several.
        """
        if len(self.splits) > 1:
            raise DatasetError(f"{self.location} has the splits {', '.join(self.splits)}; name one")
        return next(iter(self.splits.values()))

    def require_outside(self, output: Path) -> None:
        """Refuse to write into what is being read.

        Raises:
            OutputError: the output lies inside.
        """
        if Path(self.location).is_dir():
            require_outside(output, Path(self.location), "the source")


def open_source(
    source: str, split: str | None = None, *, revision: str | None = None, license_id: str | None = None
) -> ExportSource:
    """Open what is to be exported.

    Args:
        source, split, revision: as for `loading.open_splits`.
        license_id: the licence of a tree's data, which no file of it tells; null for the HGGT terms.

    Raises:
        DatasetError: it cannot be opened, names strange candidates, or is a dataset, which tells its licence itself.
        HubError, TreeError: it cannot be opened.
    """
    if license_id is not None and (is_hub_id(source) or is_built_dataset(Path(source))):
        raise DatasetError(f"{source} is a dataset and tells its licence itself; --license is for a tree")
    splits = open_splits(source, split, revision=revision)
    first = next(iter(splits.values()))
    strange = [name for name in first.candidates if not is_candidate_name(name)]
    if strange:  # they become names of folders, and a dataset may come from anywhere
        raise DatasetError(f"{source} has candidates named {format_examples(strange)}; expected 01, 02 ..")
    return ExportSource(source, splits, first.license or license_id)


def export_positives(source: ExportSource, output: Path, *, files: bool = False, min_agreement: int = 1) -> list[str]:
    """List the candidates whose consensus is Positive, or write their pictures.

    Args:
        source: one split.
        output: `NAME.csv` (group, candidate, agreement, num_votes and, of a tree, the path in it, or, of a dataset,
            split and row), or `NAME.txt` (a picture each line). With `files` a new folder for `gt/` and
            `positives.csv`.
        files: write the pictures.
        min_agreement: how many annotators must have said so.

    Returns:
        What was written, a line each.

    Raises:
        DatasetError: there are several splits, or no such candidates.
        ImageError: a picture is damaged; nothing was written.
        OutputError: the output has another ending, lies in the source or, for pictures, is not empty.
        OSError: a file cannot be read, or the disk is full.
    """
    groups = source.only_split
    source.require_outside(output)
    if files:
        with new_folder(output) as staging:
            count = _write_positives(staging / "positives.csv", groups, min_agreement, folder="gt")
            write_text(staging / LICENSE_FILE, format_licence_note(source.license))
        return [f"{output}: {plural(count, 'positive')} in gt/, listed in positives.csv"]
    if output.suffix.lower() not in LIST_ENDINGS:
        raise OutputError(f"{output}: expected a name that ends in {' or '.join(LIST_ENDINGS)}; for pictures --files")
    count = _write_positives(output, groups, min_agreement)
    note = output.with_name(f"{output.name}.{LICENSE_FILE}")
    write_text(note, format_licence_note(source.license))
    return [f"{output}: {plural(count, 'positive')} of {plural(len(groups), 'group')}", str(note)]


def _write_positives(path: Path, groups: GroupSource, min_agreement: int, folder: str | None = None) -> int:
    """Write the list and, with `folder`, the pictures into that folder beside it; returns how many there are.

    Raises:
        DatasetError: there are none; the list is not written.
    """
    is_tree = groups.find_file(0, ORIGINAL) is not None
    where = ("path",) if folder or is_tree else ("split", "row")
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_list(path, ("group", "candidate", "agreement", "num_votes", *where)) as write_line:
        for group in show_progress(groups, len(groups), "exporting"):
            for k, name in enumerate(group.candidates):
                if group.consensus[k] is not Label.POSITIVE or group.agreement[k] < min_agreement:
                    continue
                picture = groups.find_file(group.index, name) or picture_name(group.id, name)
                if folder:
                    picture = f"{folder}/{picture_name(group.id, name)}"
                    _write_png(path.parent / picture, group, name)
                place = (picture,) if where == ("path",) else (groups.split, group.index)
                write_line((group.id, name, group.agreement[k], group.num_votes[k], *place), picture)
                count += 1
        if not count:
            raise DatasetError(f"{groups.location} has no positives with an agreement of {min_agreement} or more")
    return count


@contextmanager
def _open_list(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Iterable[object], str], object]]:
    """Open a list by its ending: as CSV a line has all values, as text the picture alone."""
    if path.suffix.lower() == ".csv":
        with csv_file(path, columns) as write_values:
            yield lambda values, _: write_values(values)
    else:
        with atomic_file(path) as file:
            yield lambda _, picture: file.write(f"{picture}\n".encode())


@dataclass(frozen=True)
class PairSettings:
    """Which pairs, in what form; the names are those of the command's flags.

    Attributes:
        kinds: see `PairKind`.
        min_margin: the smallest margin; null for all.
        format: `parquet` holds the pictures; `jsonl` names their files, which lie beside it.
        pairs_per_shard: 256 pairs of four 512 x 512 pictures make about 450 MB.
    """

    kinds: Collection[PairKind] = tuple(PairKind)
    min_margin: float | None = None
    format: Literal["parquet", "jsonl"] = "parquet"
    pairs_per_shard: int = _PAIRS_PER_SHARD

    def pairs(self, group: Group) -> list[PreferencePair]:
        """The pairs of a group that are wanted."""
        found = preference_pairs(group, self.kinds)
        return [pair for pair in found if self.min_margin is None or pair.margin >= self.min_margin]


def export_pairs(source: ExportSource, output: Path, settings: PairSettings | None = None) -> list[str]:
    """Write all preference pairs as a dataset that `load_dataset` opens, or as JSON lines with the pictures beside.

    Columns: lr (where the source has any), chosen, rejected, original (pictures), group, chosen_name, rejected_name,
    kind, votes_chosen, votes_rejected, margin. Rows stand in the order of the groups, each group's in that of
    `preference_pairs`.

    Args:
        source: one split or several.
        output: a new or empty folder outside the source.
        settings: which pairs, in what form.

    Returns:
        What was written, a line each.

    Raises:
        DatasetError: a split has no such pairs.
        ImageError: a picture is damaged.
        OutputError: the output is not empty, or lies in the source.
        OSError: a file cannot be read, or the disk is full.
    """
    settings = settings or PairSettings()
    source.require_outside(output)
    counts = {split: _count_kinds(groups, settings, source.location) for split, groups in source.splits.items()}
    has_lr = any(groups.has_picture(k, LR) for groups in source.splits.values() for k in range(len(groups)))
    with new_folder(output) as staging:
        write = _write_parquet if settings.format == "parquet" else _write_jsonl
        write(source, staging, settings, counts, has_lr)
        write_text(staging / LICENSE_FILE, format_licence_note(source.license))
        size = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    return [
        *(
            f"{output}, {split}: {plural(kinds.total(), 'pair')} "
            f"({', '.join(f'{number:,} {kind}' for kind, number in kinds.items())})"
            for split, kinds in counts.items()
        ),
        f"{size / 1e6:,.1f} MB; {_usage(output, settings.format, list(counts))}",
    ]


def _usage(output: Path, form: str, splits: list[str]) -> str:
    if form == "parquet":
        return f'load_dataset("{output}")'
    return f"the paths in {' and '.join(f'{split}.jsonl' for split in splits)} count from {output}"


def _count_kinds(groups: GroupSource, settings: PairSettings, location: str) -> Counter[str]:
    """How many pairs there are of each kind, in the order of the kinds."""
    counts = Counter({kind.value: 0 for kind in PairKind if kind in settings.kinds})
    for group in show_progress(groups, len(groups), f"counting {groups.split}"):
        counts.update(pair.kind.value for pair in settings.pairs(group))
    if not counts.total():
        raise DatasetError(f"{location} has no such pairs in {groups.split}; ask for other kinds or a smaller margin")
    return counts


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


def _picture_columns(has_lr: bool) -> list[str]:
    return [*([LR] if has_lr else []), "chosen", "rejected", ORIGINAL]


def _pairs_of(groups: GroupSource, settings: PairSettings) -> Iterator[tuple[Group, list[PreferencePair]]]:
    for group in show_progress(groups, len(groups), f"exporting {groups.split}"):
        pairs = settings.pairs(group)
        if pairs:
            yield group, pairs


def _names_of(pairs: list[PreferencePair]) -> list[str]:
    """The pictures that a group's pairs need."""
    return sorted({ORIGINAL, *(name for pair in pairs for name in (pair.chosen, pair.rejected))})


def _labels_row(group: Group, pair: PreferencePair) -> dict[str, Any]:
    """The columns of a pair that are no pictures."""
    return {
        "group": str(group.id),
        "chosen_name": pair.chosen,
        "rejected_name": pair.rejected,
        "kind": pair.kind.value,
        "votes_chosen": {label.class_name: count for label, count in pair.votes_chosen.items()},
        "votes_rejected": {label.class_name: count for label, count in pair.votes_rejected.items()},
        "margin": pair.margin,
    }


def _write_parquet(
    source: ExportSource, staging: Path, settings: PairSettings, counts: Mapping[str, Counter[str]], has_lr: bool
) -> None:
    features, columns = pair_features(has_lr), _picture_columns(has_lr)
    schema = features.arrow_schema
    digest = hashlib.sha256()
    paths: dict[str, list[str]] = {}

    def rows(groups: GroupSource) -> Iterator[dict[str, Any]]:
        for group, pairs in _pairs_of(groups, settings):
            pngs: dict[str, bytes | None] = {name: _read_checked(group, name) for name in _names_of(pairs)}
            pngs[LR] = _read_checked(group, LR) if group.has_picture(LR) else None
            for png in pngs.values():
                digest.update(png or b"")
            for pair in pairs:
                row = {"chosen": pngs[pair.chosen], "rejected": pngs[pair.rejected], ORIGINAL: pngs[ORIGINAL]}
                labels = _labels_row(group, pair)
                digest.update(repr(labels).encode())
                yield {**({LR: pngs[LR]} if has_lr else {}), **row, **labels}

    (staging / "data").mkdir()
    for split, groups in source.splits.items():
        num_shards = -(-counts[split].total() // settings.pairs_per_shard)
        paths[split] = [f"data/{split}-{number:05d}-of-{num_shards:05d}.parquet" for number in range(num_shards)]
        of_split = rows(groups)
        for path in paths[split]:
            write_shard(staging / path, schema, islice(of_split, settings.pairs_per_shard), columns)
        for _ in of_split:  # lets the progress bar come to its end
            pass
    sizes = {split: sum((staging / path).stat().st_size for path in names) for split, names in paths.items()}
    card = format_pairs_card(
        counts,
        paths=paths,
        sizes_bytes=sizes,
        features=features,
        license_id=source.license,
        content=digest.hexdigest(),
    )
    write_text(staging / "README.md", card)


def _write_jsonl(
    source: ExportSource, staging: Path, settings: PairSettings, counts: Mapping[str, Counter[str]], has_lr: bool
) -> None:
    for split, groups in source.splits.items():
        with atomic_file(staging / f"{split}.jsonl") as file:
            for group, pairs in _pairs_of(groups, settings):
                names = [*_names_of(pairs), *([LR] if group.has_picture(LR) else [])]
                paths = {name: f"{split}/{name}/{_file_name(group, name)}" for name in names}
                for name, path in paths.items():
                    _write_png(staging / path, group, name)
                for pair in pairs:
                    row = {"chosen": paths[pair.chosen], "rejected": paths[pair.rejected], ORIGINAL: paths[ORIGINAL]}
                    line = {**({LR: paths.get(LR)} if has_lr else {}), **row, **_labels_row(group, pair)}
                    file.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())


def _file_name(group: Group, name: str) -> str:
    return f"{group.id}.png" if name == LR else picture_name(group.id, name)


def _write_png(path: Path, group: Group, name: str) -> None:
    data = _read_checked(group, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def export_tree(source: ExportSource, output: Path) -> list[str]:
    """Write the official tree: `Train/` and `Test/` with pictures, one JSON per annotator, `annotators.csv`, and LR.

    A dataset that is built of it has the same rows. Where groups have other slots than the most, as after several
    rounds of annotation, or no LR where most have, they get a tree of their own (`Train-2/`): in a tree, every slot
    holds every group. What the dataset tells of source pictures goes to `sources.csv`, for `--sources`. The relative
    times of a published dataset count from 2000-01-01 instead of 1970-01-01, which the format does not take.

    Args:
        source: one split or both.
        output: a new or empty folder outside the source.

    Returns:
        What was written, a line each.

    Raises:
        DatasetError: a slot's name cannot be a folder's.
        ImageError: a picture is damaged.
        OutputError: the output is not empty, or lies in the source.
        OSError: a file cannot be read, or the disk is full.
    """
    source.require_outside(output)
    told = []
    with new_folder(output) as staging:
        pictures: dict[str, dict[str, str | None]] = {}
        for split, groups in source.splits.items():
            plans = _plan_trees(groups, split)
            with ExitStack() as stack:
                trees = {plan.kind: stack.enter_context(_open_tree(staging, plan, groups)) for plan in plans}
                for group in show_progress(groups, len(groups), f"exporting {split}"):
                    trees[_kind_of(group)](group)
            told += [plan.describe(output) for plan in plans]
            pictures |= groups.read_sources()
        if pictures:
            columns = [column for column in SOURCE_COLUMNS if any(column in line for line in pictures.values())]
            with csv_file(staging / "sources.csv", ["image", *columns]) as write_line:
                for name, line in sorted(pictures.items()):
                    write_line([name, *(line.get(column) or "" for column in columns)])
            told.append(f"{output / 'sources.csv'}: {plural(len(pictures), 'source picture')}")
        write_text(staging / LICENSE_FILE, format_licence_note(source.license))
    return told


@dataclass(frozen=True)
class _GroupKind:
    """What all groups of a tree have in common."""

    slots: tuple[str, ...]
    has_lr: bool


def _kind_of(group: Group) -> _GroupKind:
    return _GroupKind(tuple(annotation.slot for annotation in group.annotations), group.has_picture(LR))


@dataclass(frozen=True)
class _TreePlan:
    """A tree for the groups of one kind.

    Attributes:
        name: of its folder.
        has_names: whether any annotator is known.
    """

    name: str
    kind: _GroupKind
    num_groups: int
    has_names: bool
    is_test: bool

    def section(self, root: Path) -> Section:
        return official_test(root, self.num_groups) if self.is_test else official_train(root, self.num_groups)

    def describe(self, output: Path) -> str:
        lr = ", with LR" if self.kind.has_lr else ""
        return f"{output / self.name}: {plural(self.num_groups, 'group')}, slots {', '.join(self.kind.slots)}{lr}"


def _plan_trees(groups: GroupSource, split: str) -> list[_TreePlan]:
    """One tree, or several if not all groups are of one kind, the largest first."""
    counts: Counter[_GroupKind] = Counter()
    named: set[_GroupKind] = set()
    for group in show_progress(groups, len(groups), f"reading labels of {split}"):
        kind = _kind_of(group)
        counts[kind] += 1
        if any(annotation.annotator is not None for annotation in group.annotations):
            named.add(kind)
    strange = sorted({slot for kind in counts for slot in kind.slots if not _is_folder_name(slot)})
    if strange:  # a dataset may come from anywhere
        raise DatasetError(f"{groups.location} has slots named {format_examples(strange)}; expected names of folders")
    title = split.capitalize()
    return [
        _TreePlan(title if number == 1 else f"{title}-{number}", kind, count, kind in named, split == "test")
        for number, (kind, count) in enumerate(counts.most_common(), start=1)
    ]


def _is_folder_name(name: str) -> bool:
    return name not in ("", "..") and "\0" not in name and Path(name).name == name


@contextmanager
def _open_tree(staging: Path, plan: _TreePlan, groups: GroupSource) -> Iterator[Callable[[Group], None]]:
    """Make the folders of a tree and yield what writes a group to it."""
    root = staging / plan.name
    section = plan.section(root)
    names = (ORIGINAL, *groups.candidates, *([LR] if plan.kind.has_lr else []))
    for slot in plan.kind.slots:
        (section.labels / slot).mkdir(parents=True)
    with ExitStack() as stack:
        write_line = None
        if plan.has_names:
            write_line = stack.enter_context(csv_file(root / ANNOTATORS_FILE, ANNOTATORS_COLUMNS))

        def write_group(group: Group) -> None:
            for name in names:
                _write_png(section.picture(group.id, name), group, name)
            for annotation in group.annotations:
                text = format_annotation(_with_late_times(annotation), group.id, group.candidates)
                section.annotation(group.id, annotation.slot).write_text(text, "utf-8")
                if write_line and annotation.annotator is not None:
                    write_line([group.id, annotation.slot, annotation.annotator])

        yield write_group


def _with_late_times(annotation: Annotation) -> Annotation:
    """The annotation with relative times moved to where the official format takes them."""

    def late(time: datetime | None) -> datetime | None:
        return time + _RELATIVE_TIMES_SHIFT if time and time.year < 2000 else time

    return replace(annotation, start=late(annotation.start), end=late(annotation.end))


def _read_checked(group: Group, name: str) -> bytes:
    """The PNG file of a picture, whole.

    Raises:
        ImageError: it is cut or damaged.
    """
    data = group.read_bytes(name)
    try:
        parse_png(data)
    except ImageError as error:
        raise ImageError(f"{group.name_picture(name)}: {error}") from error
    return data
