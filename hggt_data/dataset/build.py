"""Build a Hugging Face dataset (Parquet shards, card, manifest) from checked trees.

Shards are written to a folder beside the output, which takes its place by a rename at the end: a killed build never
leaves a dataset that loads. A rerun keeps every shard that still fits, of the killed build or of the dataset in place,
and ends byte-identical. `shard_task.py` does the work of one shard.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hggt_data.dataset.build_shard import ShardTask, build_shard, in_root
from hggt_data.dataset.features import SOURCE_COLUMNS, dataset_features, image_columns
from hggt_data.dataset.folder import assemble, label_features, read_records, require_own_files
from hggt_data.dataset.manifest import CARD_FILE, MANIFEST_FILE, Manifest, Shard, read_manifest
from hggt_data.errors import DatasetError, TreeError
from hggt_data.io.files import FileDigest, read_csv, read_utf8, require_regular_file, sha256_of_file, write_text
from hggt_data.io.folders import open_staging, put_in_place, require_outside
from hggt_data.io.text import format_examples, nearest, plural
from hggt_data.io.workers import default_workers, run_tasks
from hggt_data.licence import require_license_id
from hggt_data.problems import Problem, summarise
from hggt_data.schema import PatchId
from hggt_data.tree.annotators import ANNOTATORS_FILE
from hggt_data.tree.layout import open_tree
from hggt_data.tree.listing import Listing
from hggt_data.tree.validate import DEFAULT_SCALE

TRAIN, TEST = "train", "test"
_SHARED = {"source_pictures": "source picture", "originals": "identical original"}
_UNFINISHED_CARD = """---
configs:
- config_name: unfinished
  data_files: the-build-has-not-ended/*
---
This build has not ended. Run the same command again; it goes on where it stopped.
"""


@dataclass(frozen=True)
class BuildSettings:
    """What to build; the names are those of the command's flags.

    Attributes:
        trees: the training trees.
        output: the dataset's folder. It must be new, empty, or an earlier build.
        test_tree: the test tree.
        lr: the test tree's low-resolution pictures, if they are not where the official Test has them.
        sources: a CSV with a column `image` and any of `origin`, `author`, `licence`, one line per source picture.
        license: an SPDX or Hub licence id for the card; without it the card carries the HGGT terms.
        citation: a BibTeX file for the card; without it the card cites the HGGT paper.
        skip_faulty: leave groups with errors out, and list them in the manifest, instead of stopping.
        allow_overlap: build although train and test share source pictures or originals, and list them in the manifest.
        groups_per_shard: 256 groups of five 512 x 512 pictures make about 540 MB.
        scale: how many times smaller LR pictures are.
        workers: processes; does not change the result.

    Raises:
        PublishError: `license` is no licence id.
    """

    trees: tuple[Path, ...]
    output: Path
    test_tree: Path | None = None
    lr: Path | None = None
    sources: Path | None = None
    license: str | None = None
    citation: Path | None = None
    skip_faulty: bool = False
    allow_overlap: bool = False
    groups_per_shard: int = 256
    scale: int = DEFAULT_SCALE
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.license is not None:
            require_license_id(self.license)


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        manifest: of the finished dataset.
        kept: how many shards were taken over from an earlier build.
        problems: warnings, and with `skip_faulty` the errors of what was left out.
    """

    manifest: Manifest
    kept: int
    problems: tuple[Problem, ...]
    output: Path

    def describe(self) -> list[str]:
        """What was built, a line each."""
        manifest = self.manifest
        size = sum(shard.size_bytes for shard in manifest.shards)
        groups = ", ".join(f"{plural(count, 'group')} in {split}" for split, count in manifest.splits.items())
        kept = f", {self.kept:,} of them kept from an earlier build" if self.kept else ""
        lines = [f"{self.output}: {groups}; {plural(len(manifest.shards), 'shard')}{kept}, {size / 1e6:,.1f} MB"]
        if TEST in manifest.splits and not manifest.has_lr:
            lines.append("No low-resolution pictures were found for the test split; pass --lr if there are any.")
        dropped = [group for shard in manifest.shards for group in shard.dropped]
        if dropped:
            lines.append(f"{plural(len(dropped), 'group')} left out because of errors: {format_examples(dropped)}")
        for kind, items in manifest.overlap.items():
            if items:
                lines.append(f"train and test share {plural(len(items), _SHARED[kind])}: {format_examples(items)}")
        if not manifest.settings["license"]:
            lines.append("The card carries the HGGT terms: non-commercial, no redistribution. Do not make it public.")
        return lines


def build_dataset(settings: BuildSettings) -> BuildResult:
    """Check the trees and write the dataset.

    If it fails, finished shards stay for the next run; a note of the error tells where.

    Raises:
        TreeError: a tree is missing, or has errors and `skip_faulty` is off (the message lists them by kind), or train
            and test overlap and `allow_overlap` is off.
        OutputError: the output folder holds something else, or another build is writing to it.
        OSError: the disk is full or not writable.
    """
    roots = _list_trees(settings)
    _require_outside(settings.output, roots)
    with open_staging(settings.output, marker=MANIFEST_FILE) as staging:
        try:
            require_own_files(settings.output)
            (staging / "data").mkdir(exist_ok=True)
            write_text(staging / CARD_FILE, _UNFINISHED_CARD)
            return _Build(settings, roots, staging).run()
        except Exception as error:
            if any(read_records(staging)) or (staging / MANIFEST_FILE).is_file():
                error.add_note(f"Finished shards are kept in {staging} for the next run; remove it if there is none.")
            else:  # nothing that a next run could go on with
                shutil.rmtree(staging, ignore_errors=True)
            raise


@dataclass(frozen=True)
class _Root:
    """One tree of the build and its name in the manifest (`train-0`)."""

    name: str
    split: str
    listing: Listing


class _Build:
    """One run of a build inside its staging folder."""

    def __init__(self, settings: BuildSettings, roots: list[_Root], staging: Path) -> None:
        self.settings = settings
        self.roots = roots
        self.staging = staging
        self.candidates = roots[0].listing.tree.candidates
        self.has_lr = any(root.listing.tree.lr_folders for root in roots)
        self.sources, self.source_columns, self.unknown_columns = _read_sources(settings.sources)
        self.citation = _read_citation(settings.citation)
        self.problems = [in_root(root.name, p) for root in roots for p in root.listing.problems if p.group is None]
        self.problems += self._source_problems()

    def run(self) -> BuildResult:
        self._require_no_overlap({"source_pictures": self._listed_overlap()})  # known before anything is written
        tasks = self._tasks()
        total = sum(len(root.listing) for root in self.roots)
        workers = self.settings.workers or default_workers()
        outcomes = list(run_tasks(build_shard, tasks, workers, total=total, label="building"))
        of_shards = [problem for outcome in outcomes for problem in outcome.problems]
        self._require_no_errors([*self.problems, *of_shards])
        shards = [outcome.shard for outcome in outcomes if outcome.shard is not None]
        if not any(shard.ids for shard in shards):
            reason = "every group has errors" if total else "the trees have no groups"
            raise TreeError(f"{reason}; nothing is left to build\n{summarise([*self.problems, *of_shards])}".rstrip())
        self.problems += _find_duplicates(shards)
        overlap = find_overlap(shards)
        self._require_no_overlap(overlap)
        manifest = self._finish(shards, overlap)
        kept = sum(outcome.kept for outcome in outcomes)
        return BuildResult(manifest, kept, (*self.problems, *of_shards), self.settings.output)

    def _tasks(self) -> list[ShardTask]:
        """The shards: groups in the order of their ids, always the same number each, faulty ones counted.

        So a group stays in its shard when a label changes or a picture turns out to be damaged.
        """
        features = dataset_features(self.candidates, self.has_lr, self.source_columns)
        schema = features.arrow_schema.serialize().to_pybytes()
        earlier = _earlier_shards(self.staging, self.settings.output)
        tasks = []
        for split in (TRAIN, TEST):
            groups = sorted(
                ((root.name, files) for root in self.roots if root.split == split for files in root.listing),
                key=lambda pair: pair[1].id,
            )
            size = self.settings.groups_per_shard
            chunks = [groups[start : start + size] for start in range(0, len(groups), size)]
            for number, chunk in enumerate(chunks):
                path = f"data/{split}-{number:05d}-of-{len(chunks):05d}.parquet"
                images = {files.id.image for _, files in chunk}
                tasks.append(
                    ShardTask(
                        staging=self.staging,
                        path=path,
                        split=split,
                        groups=chunk,
                        sources={image: self.sources[image] for image in sorted(images & self.sources.keys())},
                        schema=schema,
                        pictures=image_columns(self.candidates, self.has_lr),
                        scale=self.settings.scale,
                        skip_faulty=self.settings.skip_faulty,
                        reusable=earlier.get(path, []),
                    )
                )
        return tasks

    def _source_problems(self) -> Iterator[Problem]:
        """Columns of the sources CSV that are not known, source pictures without a line, lines without a picture."""
        if self.settings.sources is None:
            return
        pictures = {patch.image for root in self.roots for patch in root.listing.ids}
        path = f"sources/{self.settings.sources.name}"
        for column in sorted(self.unknown_columns):
            hint = f"It is left out; {nearest(column, SOURCE_COLUMNS)}"
            yield Problem("unknown-column", "warning", path, f"a column that is not known: {column!r}", hint)
        for name in sorted(pictures - self.sources.keys()):
            message, hint = f"no line for the source picture {name!r}", "It gets null; add a line."
            yield Problem("picture-without-source", "warning", path, message, hint)
        for name in sorted(self.sources.keys() - pictures):
            message, hint = f"a line for a picture that no tree has: {name!r}", "It is left out."
            yield Problem("source-without-picture", "warning", path, message, hint)

    def _listed_overlap(self) -> list[str]:
        ids = {
            split: [patch for root in self.roots if root.split == split for patch in root.listing.ids]
            for split in (TRAIN, TEST)
        }
        return _shared_pictures(ids[TRAIN], ids[TEST])

    def _require_no_overlap(self, overlap: dict[str, list[str]]) -> None:
        if not any(overlap.values()) or self.settings.allow_overlap:
            return
        found = "; ".join(
            f"{plural(len(items), _SHARED[kind])} ({format_examples(items)})"
            for kind, items in overlap.items()
            if items
        )
        raise TreeError(
            f"train and test share {found}. Scores on such a test set say nothing. Split by source picture, or pass "
            "--allow-overlap to build and record it."
        )

    def _require_no_errors(self, problems: Sequence[Problem]) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        # These belong to no single group that could be left out.
        kinds = ("link-leaves-tree", "unreadable-folder", "bad-folder-name", "bad-annotators")
        blocking = [problem for problem in errors if problem.kind in kinds and problem.group is None]
        if blocking or (errors and not self.settings.skip_faulty):
            errors.sort(key=lambda problem: (problem.kind, problem.path))
            advice = "Mend them." if blocking else "Mend them, or leave those groups out with --skip-faulty."
            raise TreeError(f"{plural(len(errors), 'error')}; nothing was built. {advice}\n{summarise(errors)}")

    def _finish(self, shards: list[Shard], overlap: dict[str, list[str]]) -> Manifest:
        """Write what belongs to the whole dataset, remove the records, and put the staging folder in its place."""
        splits = {split: sum(len(s.ids) for s in shards if s.split == split) for split in (TRAIN, TEST)}
        settings = self.settings
        draft = Manifest(
            tool_version=version("hggt"),
            settings={
                "license": settings.license,
                "citation": self.citation,
                "skip_faulty": settings.skip_faulty,
                "allow_overlap": settings.allow_overlap,
                "groups_per_shard": settings.groups_per_shard,
                "scale": settings.scale,
                "sources": {column: sorted(self.sources) for column in self.source_columns},
                "pseudonymous": False,
            },
            candidates=list(self.candidates),
            has_lr=self.has_lr,
            splits={split: count for split, count in splits.items() if count},
            inputs=self._other_inputs(),
            shards=shards,
            files=[],
            overlap=overlap,
            problems=self.problems,
        )
        schema = label_features(draft).arrow_schema
        labels = {split: self._read_labels(split, shards, schema) for split in draft.splits}
        manifest = assemble(self.staging, draft, labels)
        put_in_place(self.staging, settings.output)
        return manifest

    def _other_inputs(self) -> list[FileDigest]:
        """The input files that belong to no single group, which the shards' records do not name."""
        paths = {f"{root.name}/{ANNOTATORS_FILE}": root.listing.tree.root / ANNOTATORS_FILE for root in self.roots}
        given = {"sources": self.settings.sources, "citation": self.settings.citation}
        paths |= {f"{name}/{path.name}": path for name, path in given.items() if path}
        return [FileDigest(n, p.stat().st_size, sha256_of_file(p)) for n, p in paths.items() if p.is_file()]

    def _read_labels(self, split: str, shards: list[Shard], schema: pa.Schema) -> pa.Table:
        """All columns of a split's shards but the pictures."""
        paths = [self.staging / shard.path for shard in shards if shard.split == split]
        return pa.concat_tables(pq.read_table(path, columns=schema.names).cast(schema) for path in paths)


def find_overlap(shards: Sequence[Shard]) -> dict[str, list[str]]:
    """Source pictures, and originals with the same pixels, that train and test share: both must be empty."""
    ids = {split: [PatchId.parse(i) for s in shards if s.split == split for i in s.ids] for split in (TRAIN, TEST)}
    trained: dict[str, list[str]] = {}
    for shard in shards:
        if shard.split == TRAIN:
            for group, digest in shard.originals.items():
                trained.setdefault(digest, []).append(group)
    same = [
        f"{twin} = {group}"
        for shard in shards
        if shard.split == TEST
        for group, digest in shard.originals.items()
        for twin in trained.get(digest, ())
    ]
    return {"source_pictures": _shared_pictures(ids[TRAIN], ids[TEST]), "originals": sorted(same)}


def _find_duplicates(shards: Sequence[Shard]) -> Iterator[Problem]:
    """Originals with the same pixels inside a split."""
    first: dict[tuple[str, str], str] = {}
    for shard in shards:
        for group, digest in shard.originals.items():
            twin = first.setdefault((shard.split, digest), group)
            if twin != group:
                message = f"the original of {group} has the same pixels as that of {twin}"
                yield Problem("duplicate-picture", "warning", "", message, "Is one of them under a wrong name?")


def _shared_pictures(train: Iterable[PatchId], test: Iterable[PatchId]) -> list[str]:
    return sorted({patch.image for patch in train} & {patch.image for patch in test})


def _earlier_shards(staging: Path, output: Path) -> dict[str, list[tuple[Path, Shard]]]:
    """Shards that a killed build or the dataset in place have, by path; whether they still fit is not checked here."""
    found: dict[str, list[tuple[Path, Shard]]] = {}
    for shard in read_records(staging):
        found.setdefault(shard.path, []).append((staging, shard))
    for folder in (staging, output):
        with suppress(DatasetError):  # a damaged manifest keeps nothing and is mended by this build
            for shard in read_manifest(folder).shards:
                found.setdefault(shard.path, []).append((folder, shard))
    return found


def _list_trees(settings: BuildSettings) -> list[_Root]:
    """Find all trees and check that they fit together.

    Raises:
        TreeError: no tree, or trees with different candidates, or a group in two trees of a split.
    """
    roots = [_Root(f"{TRAIN}-{k}", TRAIN, Listing(open_tree(tree))) for k, tree in enumerate(settings.trees)]
    if settings.test_tree:
        roots.append(_Root(f"{TEST}-0", TEST, Listing(open_tree(settings.test_tree, settings.lr))))
    if not roots:
        raise TreeError("no tree to build from; pass --tree or --test-tree")
    candidates = roots[0].listing.tree.candidates
    owner: dict[tuple[str, PatchId], _Root] = {}
    for root in roots:
        tree = root.listing.tree
        if tree.candidates != candidates:
            raise TreeError(
                f"{tree.root} has the candidates {', '.join(tree.candidates)}; "
                f"{roots[0].listing.tree.root} has {', '.join(candidates)}. One dataset holds one set of candidates."
            )
        twice = [i for i in root.listing.ids if owner.setdefault((root.split, i), root) is not root]
        if twice:
            first = owner[root.split, twice[0]].listing.tree.root
            raise TreeError(f"{tree.root} and {first} share groups: {format_examples(twice)}")
    return roots


def _require_outside(output: Path, roots: Sequence[_Root]) -> None:
    """Refuse to write into a tree or among its LR pictures, which the next check would find full of strangers.

    Raises:
        OutputError: the output lies inside.
    """
    for root in roots:
        tree, *lr = root.listing.tree.given
        require_outside(output, tree, "the tree")
        for folder in lr:
            require_outside(output, folder, "the LR pictures in")


def _read_citation(path: Path | None) -> str | None:
    if path is None:
        return None
    require_regular_file(path)
    text = read_utf8(path, TreeError)
    if not text.strip() or "```" in text:
        raise TreeError(f"{path} {'holds ```' if text.strip() else 'is empty'}; expected BibTeX")
    return text


def _read_sources(path: Path | None) -> tuple[dict[str, dict[str, str | None]], tuple[str, ...], set[str]]:
    """The sources CSV: picture name to its line, which of the known columns it has, and those that are not known.

    Raises:
        TreeError: no column `image`, none of the known ones, or a picture or column named twice.
    """
    if path is None:
        return {}, (), set()
    names, lines = read_csv(path)
    columns = tuple(column for column in SOURCE_COLUMNS if column in names)
    if "image" not in names or not columns:
        expected = ", ".join(SOURCE_COLUMNS)
        raise TreeError(f"{path}: expected a column image and any of {expected}; found {', '.join(names)}")
    sources: dict[str, dict[str, str | None]] = {}
    for line in lines:
        if line["image"] in sources:
            raise TreeError(f"{path}: picture {line['image']!r} has two lines; expected one")
        sources[line["image"]] = {column: line[column] or None for column in columns}
    return sources, columns, set(names) - {"image", "", *columns}
