"""What a build reads: the trees, the CSV of source pictures and the citation, checked before anything is written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from pathlib import Path

from hggt_data.dataset.features import SOURCE_COLUMNS
from hggt_data.dataset.vote_columns import VOTE_COLUMNS
from hggt_data.errors import TableError, TreeError
from hggt_data.io.files import FileDigest, read_csv, read_regular_file, read_utf8, sha256_of
from hggt_data.io.names import by_look, compare_names, look, note_lookalike
from hggt_data.io.text import format_examples, nearest
from hggt_data.problems import Problem
from hggt_data.schema import SPLITS, ConsensusRule, Protocol
from hggt_data.study_plan import PLAN_FILE, StudyPlan
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.listing import GroupFiles, Layout, Listing, ListOptions
from hggt_data.tree.protocol import PROTOCOL_FILE
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions


@dataclass(frozen=True)
class Root:
    """One tree of the build.

    Attributes:
        name: Its name in the manifest (`train-0`).
        split: The split of its groups; None if the data says it, or all are for training.
    """

    name: str
    split: str | None
    listing: Listing

    def groups(self, split: str) -> dict[str, str]:
        """The source picture of each group of a split."""
        names = zip(self.listing.ids, self.listing.image_names, strict=True)
        return {group: image for group, image in names if self._split_of(group) == split}

    def _split_of(self, group: str) -> str:
        return self.split or self.listing.splits.get(group, "train")


@dataclass(frozen=True)
class SourceTable:
    """The CSV of source pictures.

    Attributes:
        columns: Those of `SOURCE_COLUMNS` that it has.
        lines: Picture to its values.
        unknown_columns: Columns that are ignored.
    """

    path: Path
    columns: tuple[str, ...]
    lines: Mapping[str, Mapping[str, str | None]]
    unknown_columns: tuple[str, ...]

    def check(self, pictures: set[str]) -> Iterator[Problem]:
        """Unknown columns, source pictures without a line, and lines without a picture."""
        path = f"sources/{self.path.name}"
        for column in self.unknown_columns:
            hint = f"It is left out; {nearest(column, SOURCE_COLUMNS)}"
            yield Problem("unknown-column", "warning", path, f"unknown column {column!r}", hint)
        missing, unknown = sorted(pictures - self.lines.keys()), sorted(self.lines.keys() - pictures)
        of_lines, of_pictures = by_look(unknown), by_look(sorted(pictures))
        for name in missing:
            message = f"no line for the source picture {name!r}{note_lookalike(name, of_lines)}"
            yield Problem("picture-without-source", "warning", path, message, "Its columns are null; add a line.")
        for name in unknown:
            message = f"a line for {name!r}, which no tree contains{note_lookalike(name, of_pictures)}"
            yield Problem("source-without-picture", "warning", path, message, "It is left out.")


@dataclass(frozen=True)
class Inputs:
    """Everything that a build reads; `plan` is that of a study, if the tree was merged from one."""

    roots: tuple[Root, ...]
    sources: SourceTable | None
    citation: Path | None
    citation_text: str | None
    plan: StudyPlan | None

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the enhanced versions, the same in all trees."""
        return self.roots[0].listing.candidates

    @property
    def layout(self) -> Layout:
        """The layout of all trees."""
        return self.roots[0].listing.layout

    @property
    def consensus(self) -> ConsensusRule:
        """The rule for the consensus, the same in all trees."""
        return self.roots[0].listing.consensus

    @property
    def has_lr(self) -> bool:
        """Whether any tree has low-resolution images."""
        return any(root.listing.has_lr for root in self.roots)

    @property
    def votes(self) -> tuple[str, ...]:
        """Those of `VOTE_COLUMNS` that any tree has."""
        return tuple(column for column in VOTE_COLUMNS if any(column in root.listing.votes for root in self.roots))

    @property
    def has_captions(self) -> bool:
        """Whether any tree has captions."""
        return any(root.listing.has_captions for root in self.roots)

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Columns of the dataset that are filled from the CSV of source pictures."""
        return self.sources.columns if self.sources else ()

    @property
    def source_lines(self) -> Mapping[str, Mapping[str, str | None]]:
        """Source picture to its values."""
        return self.sources.lines if self.sources else {}

    def image_names(self, split: str) -> dict[str, str]:
        """The source picture of each group of a split."""
        return {group: image for root in self.roots for group, image in root.groups(split).items()}

    def groups(self, split: str) -> list[tuple[str, GroupFiles]]:
        """The root's name and the files of each group of a split, sorted by `group_order`."""
        found = [(root.name, root.listing.files(group)) for root in self.roots for group in root.groups(split)]
        return sorted(found, key=lambda group: group[1].order)

    def protocol(self, split: str) -> Protocol:
        """How the annotators of a split were asked, as far as all of its trees agree."""
        protocols = [root.listing.protocol for root in self.roots if root.groups(split)]
        return reduce(Protocol.shared, protocols) if protocols else Protocol()

    def check(self) -> list[Problem]:
        """Problems that concern no single group; those of a group are found with its shard."""
        problems = [in_root(root.name, p) for root in self.roots for p in root.listing.problems if p.group is None]
        problems += self._find_lookalikes()
        problems += self._compare_protocols()
        if self.sources:
            problems += self.sources.check({name for root in self.roots for name in root.listing.image_names})
        return problems

    def group_problems(self) -> list[Problem]:
        """Problems of single groups that their names show; they are found again with the groups' shards."""
        return [in_root(root.name, p) for root in self.roots for p in root.listing.problems if p.group is not None]

    def located(self, problem: Problem) -> Problem:
        """The problem with the path that the user knows; manifests have the name of the tree (`train-0`) instead."""
        name, _, rest = problem.path.partition("/")
        if name == "sources" and self.sources:
            return replace(problem, path=str(self.sources.path))
        for listing in (root.listing for root in self.roots if root.name == name):
            return replace(problem, path=str(listing.locate(rest)))
        return problem

    def _find_lookalikes(self) -> Iterator[Problem]:
        """Source pictures of two trees of a split whose names look the same."""
        first: dict[tuple[str, str], tuple[str, Root]] = {}
        for root, split in product(self.roots, SPLITS):
            for name in sorted(set(root.groups(split).values())):
                other, owner = first.setdefault((split, look(name)), (name, root))
                if other != name and owner is not root:
                    message = f"the source picture {compare_names(name, other)}, which is in another tree"
                    hint = "If they are one picture, rename the files of one."
                    yield Problem("lookalike-picture", "warning", root.name, message, hint)

    def _compare_protocols(self) -> Iterator[Problem]:
        """Trees whose annotators were asked differently from those of the first tree."""
        first, *others = self.roots
        for root in others:
            if differences := first.listing.protocol.differences(root.listing.protocol):
                message = f"annotators were asked differently from those of {first.name}: {'; '.join(differences)}"
                hint = "Labels of different protocols are not the same measurement; consider two datasets."
                yield Problem("protocol-differs", "warning", f"{root.name}/{PROTOCOL_FILE}", message, hint)

    def other_files(self) -> list[FileDigest]:
        """The files that belong to no single group, which the shards' inputs do not list."""
        beside = [(root, path) for root in self.roots for path in root.listing.common_files()]
        if self.plan is not None:
            beside.append((self.roots[0], self.roots[0].listing.root / PLAN_FILE))
        paths = {f"{root.name}/{path.name}": path for root, path in beside}
        given = {"sources": self.sources and self.sources.path, "citation": self.citation}
        paths |= {f"{name}/{path.name}": path for name, path in given.items() if path}
        contents = {name: read_regular_file(path) for name, path in paths.items() if path.is_file()}
        return [FileDigest(name, len(data), sha256_of(data)) for name, data in contents.items()]


def read_inputs(
    trees: Sequence[Path],
    test_tree: Path | None = None,
    lr: Path | None = None,
    sources: Path | None = None,
    citation: Path | None = None,
    table: TableOptions = NO_TABLE_OPTIONS,
) -> Inputs:
    """Open and list the trees and read the other files; see `BuildSettings` for the parameters.

    TreeError if a tree is missing, trees have different layouts or candidates, two trees of a split share groups, or
    one of several trees has the plan of a study.
    """
    roots = [Root(f"train-{k}", None, list_tree(tree, ListOptions(table=table))) for k, tree in enumerate(trees)]
    if test_tree:
        roots.append(Root("test-0", "test", list_tree(test_tree, ListOptions(lr, table))))
    if all(root.listing.layout.lacks_candidates for root in roots):
        candidates = {name for root in roots for name in root.listing.candidates}
        for root in roots:
            root.listing.candidates = tuple(sorted(candidates))
    plan = _read_plan(roots)
    _require_fitting(roots)
    return Inputs(
        tuple(roots),
        None if sources is None else _read_sources(sources),
        citation,
        None if citation is None else _read_citation(citation),
        plan,
    )


def _read_plan(roots: Sequence[Root]) -> StudyPlan | None:
    """The plan of the study that the tree was merged from; None if it is another tree."""
    plans = {root.listing.root: plan for root in roots if (plan := root.listing.read_plan()) is not None}
    if plans and len(roots) > 1:
        raise TreeError(
            f"{next(iter(plans)) / PLAN_FILE} is the plan of a study, which does not hold for several trees together; "
            "build a dataset of each study"
        )
    return next(iter(plans.values()), None)


def _require_fitting(roots: Sequence[Root]) -> None:
    first = roots[0].listing
    owner: dict[tuple[str, str], Root] = {}
    for root in roots:
        listing = root.listing
        if listing.layout != first.layout:
            raise TreeError(
                f"{listing.root} has the layout {listing.layout.name}; {first.root} has {first.layout.name}. All trees "
                "of a dataset have the same layout."
            )
        if listing.consensus != first.consensus:
            raise TreeError(
                f"{listing.root} has the consensus rule {listing.consensus}; {first.root} has {first.consensus}. All "
                "trees of a dataset have the same rule."
            )
        if listing.candidates != first.candidates:
            raise TreeError(
                f"{listing.root} has the candidates {', '.join(listing.candidates)}; {first.root} has "
                f"{', '.join(first.candidates)}. All groups of a dataset have the same candidates."
            )
        for split in SPLITS:
            twice = [group for group in root.groups(split) if owner.setdefault((split, group), root) is not root]
            if twice:
                other = owner[split, twice[0]].listing.root
                raise TreeError(f"{listing.root} and {other} share groups: {format_examples(twice)}")


def _read_citation(path: Path) -> str:
    text = read_utf8(path, TreeError)
    if not text.strip() or "```" in text:
        raise TreeError(f"{path} {'contains ```' if text.strip() else 'is empty'}; expected BibTeX")
    return text


def _read_sources(path: Path) -> SourceTable:
    names, lines = read_csv(path)
    columns = tuple(column for column in SOURCE_COLUMNS if column in names)
    if "image" not in names or not columns:
        expected = ", ".join(SOURCE_COLUMNS)
        raise TableError(f"{path}: expected a column image and any of {expected}; found {', '.join(names)}")
    sources: dict[str, dict[str, str | None]] = {}
    for line in lines:
        if line["image"] in sources:
            raise TableError(f"{path}: picture {line['image']!r} has two lines; expected one")
        sources[line["image"]] = {column: line[column] or None for column in columns}
    return SourceTable(path, columns, sources, tuple(sorted(set(names) - {"image", "", *columns})))


def in_root(root: str, problem: Problem) -> Problem:
    """A problem of one tree with the tree's name before its path."""
    return replace(problem, path=f"{root}/{problem.path}")
