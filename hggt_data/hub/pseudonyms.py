"""A copy of a built dataset to push, which does not show who labelled it.

Names become pseudonyms, which a file of the dataset's owner keeps the same from one version to the next. Times count
from each annotator's first start, so pace and pauses stay but dates do not. How people looked at pictures (`full_zoom`)
is left out, even if names and times are kept. Pictures and labels are unchanged.
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median_low
from typing import Any

import pyarrow as pa

from hggt_data.dataset.features import arrow_schema, image_columns
from hggt_data.dataset.folder import complete_folder, finished_shards, manifest_features, note_finished
from hggt_data.dataset.manifest import SCHEMA_VERSION, Manifest, Shard
from hggt_data.dataset.shards import read_pictures, write_shard
from hggt_data.dataset.times import format_time, parse_time
from hggt_data.dataset.vote_columns import VOTE_COLUMNS
from hggt_data.errors import DatasetError
from hggt_data.io.files import csv_writer, read_csv, sha256_of, sha256_of_file, write_text
from hggt_data.io.workers import advance, run_tasks
from hggt_data.study_plan import read_plan
from hggt_data.tree.annotators import draw_pseudonym

# Raise it when the code changes the content of a copy.
_FORMAT = 4
_COLUMNS = ("annotations", *VOTE_COLUMNS)
_FIRST_START = datetime(1970, 1, 1)
# A clock that was reset starts at a known day, and its distance to the other times would reveal their date.
_LONGEST_ROUND = timedelta(days=365)
_OFFICIAL_SLOT = re.compile(r"[A-Z]")  # two letters may be initials


# Whose clock gave a time: ("annotator", name), or ("slot", name) if the annotator is not known.
Clock = tuple[str, str]


@dataclass(frozen=True)
class Pseudonymizer:
    """Replaces the names and times of one dataset.

    Attributes:
        pseudonyms: Pseudonym of every name that occurs.
        median_starts: Median start by clock.
        starts: Earliest start by clock, of those near the median.
    """

    pseudonyms: Mapping[str, str]
    median_starts: Mapping[Clock, datetime]
    starts: Mapping[Clock, datetime]

    def replace(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of votes in a row, as pyarrow returns them, with pseudonyms and relative times."""
        columns = [column for column in _COLUMNS if column in row]
        # Sorted, because the old order may be that of the names.
        return {column: sorted(map(self._replace_vote, row[column]), key=_voter) for column in columns}

    def _replace_vote(self, vote: dict[str, Any]) -> dict[str, Any]:
        clock = _clock(vote)
        times = {key: self._relative(clock, parse_time(vote[key])) for key in ("start", "end")}
        return _without_zoom(vote) | times | {key: self.pseudonyms[name] for key, name in _named(vote)}

    def _relative(self, clock: Clock | None, time: datetime | None) -> str | None:
        if time is None or clock is None or clock not in self.starts:
            return None
        if abs(time - self.median_starts[clock]) > _LONGEST_ROUND:
            return None
        return format_time(_FIRST_START + (time - self.starts[clock]))


@dataclass(frozen=True)
class NameKeeper:
    """Keeps the names and times of a dataset, and leaves out only how people looked at pictures."""

    def replace(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of votes in a row, as pyarrow returns them."""
        return {column: list(map(_without_zoom, row[column])) for column in _COLUMNS if column in row}


def find_names(labels: Mapping[str, pa.Table]) -> set[str]:
    """The names of people who voted, and of slots named after them instead of `A`, `B`, `C`."""
    return {name for vote in _votes(labels) for _, name in _named(vote)}


def has_times(labels: Mapping[str, pa.Table]) -> bool:
    """Whether any vote has timestamps."""
    return any(vote["start"] or vote["end"] for vote in _votes(labels))


def has_zoom(labels: Mapping[str, pa.Table]) -> bool:
    """Whether it is recorded of any vote if every version was seen at 100 %."""
    return any(vote.get("full_zoom") is not None for vote in _votes(labels))


def make_pseudonymizer(labels: Mapping[str, pa.Table], known: Mapping[str, str]) -> Pseudonymizer:
    """Draw random pseudonyms for the names not in `known`, and find where each clock starts."""
    pseudonyms = dict(known)
    for name in sorted(find_names(labels) - known.keys()):
        pseudonyms[name] = draw_pseudonym(pseudonyms.values())
    starts: dict[Clock, list[datetime]] = {}
    for vote in _votes(labels):
        clock, start = _clock(vote), parse_time(vote["start"])
        if clock is not None and start is not None:
            starts.setdefault(clock, []).append(start)
    medians = {clock: median_low(times) for clock, times in starts.items()}
    near = {
        clock: min(time for time in times if abs(time - medians[clock]) <= _LONGEST_ROUND)
        for clock, times in starts.items()
    }
    # Sorted as in the file, so that a rerun gives the same shard keys.
    return Pseudonymizer(dict(sorted(pseudonyms.items())), medians, near)


def read_pseudonyms(path: Path) -> dict[str, str]:
    """Name to pseudonym, as kept from earlier pushes; empty if the file does not exist."""
    if not path.exists():
        return {}
    columns, lines = read_csv(path)
    pairs = {line["name"]: line["pseudonym"] for line in lines} if columns == ["name", "pseudonym"] else {}
    if len(set(pairs.values())) != len(lines) or columns != ["name", "pseudonym"]:
        raise DatasetError(f"{path}: expected the columns name,pseudonym, each name and each pseudonym once")
    return pairs


def write_pseudonyms(path: Path, pseudonyms: Mapping[str, str]) -> None:
    """Keep the pseudonyms for the next push, in a file that only the owner can read."""
    text = io.StringIO()
    write_line = csv_writer(text, quote_all=True)
    write_line(["name", "pseudonym"])
    for line in sorted(pseudonyms.items()):
        write_line(line)
    write_text(path, text.getvalue(), private=True)


def write_copy(
    dataset: Path,
    manifest: Manifest,
    labels: Mapping[str, pa.Table],
    pseudonymizer: Pseudonymizer | NameKeeper,
    copy: Path,
    *,
    workers: int,
    keep_shards: bool = True,
) -> Manifest:
    """Write the copy, or resume an interrupted one, and return its manifest.

    The manifest lists pictures as inputs but no label files, because times could be guessed from their hashes.

    Args:
        dataset: a built dataset that agrees with its manifest.
        manifest: of the dataset.
        labels: rows without pictures, by split.
        pseudonymizer: replaces names and times, or keeps them.
        copy: an empty folder, or the one of the interrupted run.
        workers: worker processes; the result does not depend on them.
        keep_shards: if false, only sizes and hashes are computed, which needs room for one shard per worker.
    """
    schema = arrow_schema(manifest_features(manifest)).serialize().to_pybytes()
    pictures = image_columns(tuple(manifest.candidates), manifest.has_lr)
    finished = {record.key: record for record in finished_shards(copy)}
    tasks = []
    first_rows = dict.fromkeys(labels, 0)
    for shard in manifest.shards:
        key = sha256_of(repr((_FORMAT, pa.__version__, shard.sha256, pseudonymizer)).encode())
        rows = labels[shard.split].slice(first_rows[shard.split], len(shard.ids))
        first_rows[shard.split] += len(shard.ids)
        tasks.append(
            _CopyTask(
                dataset,
                shard,
                copy,
                schema,
                pictures,
                _write_ipc(rows),
                pseudonymizer,
                key,
                finished.get(key),
                keep_shards,
            )
        )
    total = sum(len(shard.ids) for shard in manifest.shards)
    shards = list(run_tasks(_write_shard, tasks, workers, total=total, label="replacing names"))
    settings = {"pseudonymous": True, "num_pseudonyms": len(find_names(labels))}
    draft = replace(
        manifest,
        settings=manifest.settings | (settings if isinstance(pseudonymizer, Pseudonymizer) else {}),
        inputs=[],
        problems=[],  # their texts may name slots and people
        # A shard's key depends on times and names.
        shards=[replace(shard, key=shard.sha256) for shard in shards],
        schema_version=SCHEMA_VERSION,
    )
    table_schema = arrow_schema(manifest_features(draft, with_images=False))
    replaced = {split: _replace_in_table(table, pseudonymizer, table_schema) for split, table in labels.items()}
    return complete_folder(copy, draft, replaced, read_plan(dataset) if manifest.has_plan else None)


@dataclass(frozen=True)
class _CopyTask:
    """One shard of the copy; `finished` is the record of an interrupted run that wrote the same shard.

    `rows` are those of the label table, as an Arrow stream.
    """

    dataset: Path
    shard: Shard
    copy: Path
    schema: bytes
    pictures: list[str]
    rows: bytes
    pseudonymizer: Pseudonymizer | NameKeeper
    key: str
    finished: Shard | None
    keep: bool


def _write_shard(task: _CopyTask) -> Shard:
    path = task.copy / task.shard.path
    if task.finished and path.is_file() and sha256_of_file(path) == task.finished.sha256:
        for _ in task.shard.ids:
            advance()
        return task.finished
    path.parent.mkdir(parents=True, exist_ok=True)
    write_shard(path, pa.ipc.read_schema(pa.py_buffer(task.schema)), _replaced_rows(task), task.pictures)
    shard = replace(
        task.shard,
        size_bytes=path.stat().st_size,
        sha256=sha256_of_file(path),
        key=task.key,
        inputs={name: record for name, record in task.shard.inputs.items() if _is_picture(name)},
        problems=[problem for problem in task.shard.problems if _is_picture(problem.path)],
    )
    if task.keep:
        note_finished(task.copy, shard)
    else:
        path.unlink()
    return shard


def _replaced_rows(task: _CopyTask) -> Iterator[dict[str, Any]]:
    rows = pa.ipc.open_stream(task.rows).read_all().to_pylist()
    shown = read_pictures(task.dataset / task.shard.path, len(rows), task.pictures)
    for row, pictures in zip(rows, shown, strict=True):
        yield row | pictures | task.pseudonymizer.replace(row)
        advance()


def _write_ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _replace_in_table(table: pa.Table, pseudonymizer: Pseudonymizer | NameKeeper, schema: pa.Schema) -> pa.Table:
    columns = [column for column in _COLUMNS if column in table.column_names]
    rows = [pseudonymizer.replace(row) for row in table.select(columns).to_pylist()]
    for column in columns:
        number = schema.get_field_index(column)
        values = pa.array([row[column] for row in rows], type=schema.field(number).type)
        table = table.set_column(number, schema.field(number), values)
    return table.cast(schema)


def _is_picture(path: str) -> bool:
    return path.lower().endswith(".png")


def _without_zoom(vote: dict[str, Any]) -> dict[str, Any]:
    return vote | {"full_zoom": None} if "full_zoom" in vote else vote


def _voter(vote: Mapping[str, Any]) -> tuple[str, str]:
    return vote["slot"] or "", vote["annotator"] or ""


def _named(vote: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys of a vote that name a person, and the names."""
    if vote.get("annotator_kind") == "model":
        return
    if vote["annotator"] is not None:
        yield "annotator", vote["annotator"]
    if vote["slot"] is not None and not _OFFICIAL_SLOT.fullmatch(vote["slot"]):
        yield "slot", vote["slot"]


def _clock(vote: Mapping[str, Any]) -> Clock | None:
    """The annotator's clock, the slot's if the annotator is not known, or none."""
    for kind in ("annotator", "slot"):
        if vote[kind] is not None:
            return kind, str(vote[kind])
    return None


def _votes(labels: Mapping[str, pa.Table]) -> Iterator[dict[str, Any]]:
    for table in labels.values():
        for column in _COLUMNS:
            if column in table.column_names:
                for row in table[column].to_pylist():
                    yield from row
