"""Build a Hugging Face dataset (Parquet shards, card, manifest) from checked trees.

Shards are written to a staging folder beside the output, which is renamed into place when complete: a killed build
never leaves a dataset that loads. The next build keeps every shard that would come out the same, of the killed build
or of the existing dataset, and ends with the same bytes.
"""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hggt_data.dataset.build_shard import ShardTask, build_shard
from hggt_data.dataset.features import arrow_schema, dataset_features, image_columns
from hggt_data.dataset.folder import complete_folder, finished_shards, manifest_features, require_own_files
from hggt_data.dataset.inputs import Inputs, read_inputs
from hggt_data.dataset.manifest import CARD_FILE, MANIFEST_FILE, Manifest, Shard, read_manifest
from hggt_data.dataset.overlap import (
    Overlap,
    describe_overlap,
    find_duplicates,
    find_overlap,
    require_no_overlap,
    shared_pictures,
    warn_of_shared_pictures,
)
from hggt_data.errors import RUN_AGAIN, DatasetError, SettingsError, TreeError
from hggt_data.io.files import write_text
from hggt_data.io.folders import open_staging, put_in_place, require_outside
from hggt_data.io.text import format_examples, join_lines, plural
from hggt_data.io.workers import default_workers, run_tasks
from hggt_data.licence import describe_license, is_restricted, require_license_id
from hggt_data.problems import Problem, summarise
from hggt_data.ranges import Count, require_lists, require_ranges
from hggt_data.schema import SPLITS
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions
from hggt_data.tree.validate import DEFAULT_SCALE

_UNFINISHED_CARD = f"""---
configs:
- config_name: unfinished
  data_files: the-build-has-not-finished/*
---
This build has not finished. {RUN_AGAIN}
"""

# Problems that belong to no single group, so that no group can be left out because of them.
_BLOCKING = (
    "link-leaves-tree",
    "unreadable-folder",
    "bad-folder-name",
    "bad-annotators",
    "bad-protocol",
    "bad-groups",
    "unknown-label",
)


@dataclass(frozen=True)
class BuildSettings:
    """What to build, and from what.

    Attributes:
        trees: Training tree, tree that names its splits, or a zip file of one; repeatable.
        output: Folder of the dataset: new, empty or an earlier build.
        test_tree: Test tree or its zip file.
        lr: Folder of the test tree's low-resolution images, if it is not Test/.../Blind_LR.
        sources: CSV file that describes the source pictures: a column image and any of origin, author, licence.
        license: Licence of the data: an id of the Hub such as cc-by-4.0, or other:NAME.  [default: the terms
            of the layout, if they are known]
        citation: BibTeX file for the dataset card.  [default: the paper of the layout, if any]
        skip_faulty: Leave out groups with errors and list them in the manifest.
        allow_overlap: Build even if train and test share source pictures, or originals or candidates with equal pixels.
        groups_per_shard: Groups per Parquet file. 256 groups of five 512 x 512 pictures take about 540 MB.
        scale: Scale factor between the low-resolution images and the originals.
        workers: Worker processes.  [default: one per core, at most 8]
        table: Where a table of votes and its pictures are, and what its words mean.

    Raises:
        SettingsError: There is no tree, `lr` is given without `test_tree`, or a value is not allowed.
    """

    trees: Sequence[str | Path]
    output: str | Path
    test_tree: str | Path | None = None
    lr: str | Path | None = None
    sources: str | Path | None = None
    license: str | None = None
    citation: str | Path | None = None
    skip_faulty: bool = False
    allow_overlap: bool = False
    groups_per_shard: Count = 256
    scale: Count = DEFAULT_SCALE
    workers: Count | None = None
    table: TableOptions = NO_TABLE_OPTIONS

    def __post_init__(self) -> None:
        require_ranges(self)
        require_lists(trees=self.trees)
        if self.license is not None:
            require_license_id(self.license)
        if not self.trees and self.test_tree is None:
            raise SettingsError("nothing to build from; pass `trees`, `test_tree` or both")
        if self.lr is not None and self.test_tree is None:
            raise SettingsError("`lr` belongs to `test_tree`, which is missing")
        if self.table.names_files and len(self.trees) + (self.test_tree is not None) > 1:
            raise SettingsError("`votes` and `pictures` are those of one tree; several are given")


@dataclass(frozen=True)
class BuildResult:
    """What a build wrote.

    Attributes:
        manifest: Manifest of the dataset.
        kept: Number of shards kept from an earlier build.
        problems: Warnings and, with `skip_faulty`, the errors of the groups that were left out; with whole paths.
        output: Folder of the dataset.
        removed: Splits that the earlier build in this folder had and this one has not, with their numbers of groups.
    """

    manifest: Manifest
    kept: int
    problems: tuple[Problem, ...]
    output: Path
    removed: Mapping[str, int] = field(default_factory=dict)

    def describe(self) -> list[str]:
        """Lines for the user."""
        manifest = self.manifest
        size = sum(shard.size_bytes for shard in manifest.shards)
        groups = ", ".join(f"{plural(count, 'group')} in {split}" for split, count in manifest.splits.items())
        kept = f", {self.kept:,} of them kept from an earlier build" if self.kept else ""
        lines = [f"{self.output}: {groups}; {plural(len(manifest.shards), 'shard')}{kept}, {size / 1e6:,.1f} MB"]
        for split, count in self.removed.items():
            lines.append(f"Removed the split {split} of the earlier build in this folder ({plural(count, 'group')}).")
        if "test" in manifest.splits and not manifest.has_lr:
            lines.append("No low-resolution images were found for the test split; if you have any, pass `lr`.")
        dropped = [group for shard in manifest.shards for group in shard.dropped]
        if dropped:
            lines.append(f"{plural(len(dropped), 'group')} left out because of errors: {format_examples(dropped)}")
        lines += describe_overlap(manifest.overlap, manifest.splits)
        if is_restricted(manifest.license):
            lines.append(f"Licence: {describe_license(manifest.license)}. Do not make the dataset public.")
        return lines


def build_dataset(settings: BuildSettings) -> BuildResult:
    """Check the trees and write the dataset.

    A build that fails or is killed keeps its finished shards for the next one. The worker processes import the calling
    script, so its own work must be under `if __name__ == "__main__":`.

    Args:
        settings: What to build.

    Returns:
        The manifest, and the problems that were found.

    Raises:
        OSError: The disk is full or not writable.
        OutputError: The output folder contains other files, or another process is writing to it.
        RoundError: The `plan.json` of a study is damaged.
        TableError: `sources` is not a CSV file of the expected columns.
        TreeError: A tree is missing, or has errors and `skip_faulty` is off (the message lists them by kind), or train
            and test overlap and `allow_overlap` is off.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import BuildSettings, build_dataset, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> demo = write_demo_tree(folder)
        >>> settings = BuildSettings([demo.train], folder / "hggt", test_tree=demo.test, license="cc0-1.0", workers=1)
        >>> build_dataset(settings).manifest.splits
        {'train': 6, 'test': 6}
    """
    output = Path(settings.output)
    trees = [Path(tree) for tree in settings.trees]
    others = (settings.test_tree, settings.lr, settings.sources, settings.citation)
    test_tree, lr, sources, citation = (None if path is None else Path(path) for path in others)
    inputs = read_inputs(trees, test_tree, lr, sources, citation, settings.table)
    for root in inputs.roots:
        tree, *beside = root.listing.given
        require_outside(output, tree, "the tree")
        for folder in beside:
            require_outside(output, folder, "the data in")
    with open_staging(output, marker=MANIFEST_FILE) as staging:
        try:
            require_own_files(output)
            (staging / "data").mkdir(exist_ok=True)
            write_text(staging / CARD_FILE, _UNFINISHED_CARD)
            return _build(settings, inputs, staging, output)
        except Exception as error:
            if any(finished_shards(staging)) or (staging / MANIFEST_FILE).is_file():
                error.add_note(
                    f"Finished shards are kept in {staging} for the next run; remove it if you do not plan one."
                )
            else:  # nothing that the next run could use
                shutil.rmtree(staging, ignore_errors=True)
            raise


def _build(settings: BuildSettings, inputs: Inputs, staging: Path, output: Path) -> BuildResult:
    """Plan the shards, write them, check them together, and complete the dataset."""
    problems = inputs.check()
    image_names = {split: names for split in SPLITS if (names := inputs.image_names(split))}
    may_share = settings.allow_overlap or inputs.layout.shares_pictures
    if not may_share:  # as far as it is known before pictures are read
        shared = shared_pictures({split: names.values() for split, names in image_names.items()})
        require_no_overlap(shared, image_names)
    total = sum(len(root.listing) for root in inputs.roots)
    tasks = _plan_shards(settings, inputs, staging, output)
    if _refuses([*problems, *inputs.group_problems()], settings.skip_faulty):
        tasks = [replace(task, is_check=True) for task in tasks]
    outcomes = list(run_tasks(build_shard, tasks, settings.workers or default_workers(), total=total, label="building"))
    shard_problems = [problem for outcome in outcomes for problem in outcome.problems]
    found = [inputs.located(problem) for problem in (*problems, *shard_problems)]
    _require_no_errors(found, settings.skip_faulty)
    shards = [outcome.shard for outcome in outcomes if outcome.shard is not None]
    if not any(shard.ids for shard in shards):
        reason = "every group has errors" if total else "the trees have no groups"
        raise TreeError(join_lines([f"{reason}; nothing is left to build", *([summarise(found)] if found else [])]))
    duplicates = list(find_duplicates(shards, inputs.candidates))
    overlap = find_overlap(shards, inputs.candidates, image_names)
    if not settings.allow_overlap:
        require_no_overlap(overlap | ({"source_pictures": []} if may_share else {}), image_names)
        duplicates += warn_of_shared_pictures(overlap, image_names)
    manifest = _complete(settings, inputs, staging, shards, overlap, [*problems, *duplicates])
    earlier = _read_splits(output)
    put_in_place(staging, output)
    return BuildResult(
        manifest,
        kept=sum(outcome.kept for outcome in outcomes),
        problems=(*found, *duplicates),
        output=output,
        removed={split: count for split, count in earlier.items() if split not in manifest.splits},
    )


def _read_splits(output: Path) -> Mapping[str, int]:
    """The splits of the dataset in a folder; empty if there is none, or it is damaged."""
    with suppress(DatasetError):
        return read_manifest(output).splits
    return {}


def _plan_shards(settings: BuildSettings, inputs: Inputs, staging: Path, output: Path) -> list[ShardTask]:
    """The shards: groups in order, always the same number each, faulty ones counted.

    So a group stays in its shard when a label changes or a picture turns out to be damaged.
    """
    features = dataset_features(
        inputs.candidates, inputs.has_lr, inputs.source_columns, inputs.votes, has_captions=inputs.has_captions
    )
    schema = arrow_schema(features).serialize().to_pybytes()
    earlier = _earlier_shards(staging, output)
    tasks = []
    for split in SPLITS:
        groups, size = inputs.groups(split), settings.groups_per_shard
        chunks = [groups[start : start + size] for start in range(0, len(groups), size)]
        for number, chunk in enumerate(chunks):
            path = f"data/{split}-{number:05d}-of-{len(chunks):05d}.parquet"
            images = {files.image_name for _, files in chunk}
            tasks.append(
                ShardTask(
                    staging=staging,
                    path=path,
                    split=split,
                    groups=chunk,
                    sources={
                        image: inputs.source_lines[image] for image in sorted(images & inputs.source_lines.keys())
                    },
                    schema=schema,
                    pictures=image_columns(inputs.candidates, inputs.has_lr),
                    votes=inputs.votes,
                    has_captions=inputs.has_captions,
                    scale=settings.scale,
                    skip_faulty=settings.skip_faulty,
                    reusable=earlier.get(path, []),
                )
            )
    return tasks


def _earlier_shards(staging: Path, output: Path) -> dict[str, list[tuple[Path, Shard]]]:
    """Shards of a killed build and of the existing dataset, by path; `build_shard` checks whether they still fit."""
    found: dict[str, list[tuple[Path, Shard]]] = {}
    for shard in finished_shards(staging):
        found.setdefault(shard.path, []).append((staging, shard))
    for folder in (staging, output):
        with suppress(DatasetError):  # a damaged manifest keeps no shards; this build replaces it
            for shard in read_manifest(folder).shards:
                found.setdefault(shard.path, []).append((folder, shard))
    return found


def _refuses(problems: Sequence[Problem], skip_faulty: bool) -> bool:
    """Whether a build with these problems is refused."""
    errors = [problem for problem in problems if problem.severity == "error"]
    return any(map(_is_blocking, errors)) or (bool(errors) and not skip_faulty)


def _is_blocking(error: Problem) -> bool:
    return error.kind in _BLOCKING and error.group is None


def _require_no_errors(problems: Sequence[Problem], skip_faulty: bool) -> None:
    if _refuses(problems, skip_faulty):
        errors = [problem for problem in problems if problem.severity == "error"]
        blocking = any(map(_is_blocking, errors))
        errors.sort(key=lambda problem: (problem.kind, problem.path))
        advice = "Correct them." if blocking else "Correct them, or pass `skip_faulty` to leave out those groups."
        heading = f"{plural(len(errors), 'error')}; nothing was built. {advice}"
        raise TreeError(join_lines([heading, summarise(errors)]))


def _complete(
    settings: BuildSettings,
    inputs: Inputs,
    staging: Path,
    shards: list[Shard],
    overlap: Overlap,
    problems: list[Problem],
) -> Manifest:
    """Write the label tables, the manifest and the card of the finished shards."""
    splits = {split: sum(len(shard.ids) for shard in shards if shard.split == split) for split in SPLITS}
    draft = Manifest(
        tool_version=version("hggt"),
        settings={
            "license": settings.license or inputs.layout.license,
            "citation": inputs.citation_text,
            "skip_faulty": settings.skip_faulty,
            "allow_overlap": settings.allow_overlap,
            "groups_per_shard": settings.groups_per_shard,
            "scale": settings.scale,
            "sources": {column: sorted(inputs.source_lines) for column in inputs.source_columns},
            "pseudonymous": False,
            "layout": inputs.layout.name,
            "consensus": inputs.consensus,
            "protocol": {split: asdict(inputs.protocol(split)) for split, count in splits.items() if count},
        },
        candidates=list(inputs.candidates),
        has_lr=inputs.has_lr,
        votes=list(inputs.votes),
        has_captions=inputs.has_captions,
        splits={split: count for split, count in splits.items() if count},
        inputs=inputs.other_files(),
        shards=shards,
        files=[],
        overlap={kind: list(items) for kind, items in overlap.items()},
        problems=problems,
    )
    schema = arrow_schema(manifest_features(draft, with_images=False))
    labels = {split: _read_labels(staging, split, shards, schema) for split in draft.splits}
    return complete_folder(staging, draft, labels, inputs.plan)


def _read_labels(folder: Path, split: str, shards: list[Shard], schema: pa.Schema) -> pa.Table:
    """All columns of a split's shards except the pictures."""
    paths = [folder / shard.path for shard in shards if shard.split == split]
    return pa.concat_tables(pq.read_table(path, columns=schema.names).cast(schema) for path in paths)
