"""What every layout gives: the groups of a tree, the files of each, and every file or folder that does not belong.

`layouts/` has one module per layout, which subclasses `Listing` and `GroupFiles`. Only names are read to list a tree;
`validate.py` and `hggt_data.io.images` check what is inside the files.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hggt_data.consensus import judge_group
from hggt_data.errors import HggtError
from hggt_data.io.files import link_or_copy
from hggt_data.io.names import by_look, compare_names, find_lookalikes, look, note_lookalike
from hggt_data.problems import Problem, Severity
from hggt_data.schema import (
    SPLITS,
    Annotation,
    ChoiceVote,
    ConsensusRule,
    GroupOrder,
    PairVote,
    PatchGroup,
    Protocol,
    Score,
    group_order,
)
from hggt_data.study_plan import PLAN_FILE, StudyPlan, read_plan
from hggt_data.tree.annotators import ANNOTATORS_FILE, ListedAnnotator, read_annotators
from hggt_data.tree.folders import CheckedFolders, relative_path
from hggt_data.tree.protocol import PROTOCOL_FILE, read_protocol
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions

_Content = TypeVar("_Content")


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What the user says about a tree.

    Attributes:
        lr: folder of low-resolution images, if it is not in its usual place.
        table: where a table's files are, and what its words mean.
    """

    lr: Path | None = None
    table: TableOptions = NO_TABLE_OPTIONS


def _no_splits(folder: Path) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Layout:
    """How a kind of data lays out its pictures and votes in folders.

    Attributes:
        name: as reports and manifests name it.
        consensus: the rule for the label of a candidate.
        protocol: how the annotators were asked, as far as the layout tells.
        marks: what a folder of this layout contains, in words -> whether this folder does; all must be true.
        list: lists such a folder.
        license: the licence id of the data if the user gives none.
        shares_pictures: whether the official splits share source pictures.
        splits: the names of the splits that a folder contains, if there may be several.
        lacks_candidates: whether trees of a dataset, as groups of a tree, may lack candidates that others have.
    """

    name: str
    consensus: ConsensusRule
    protocol: Protocol
    marks: Callable[[Path], Mapping[str, bool]]
    list: "Callable[[Path, ListOptions], Listing]"
    license: str
    shares_pictures: bool = False
    splits: "Callable[[Path], Sequence[str]]" = _no_splits
    lacks_candidates: bool = False


@dataclass(frozen=True, slots=True)
class Votes:
    """The votes on one group, and the problems of the files that hold them."""

    annotations: tuple[Annotation, ...] = ()
    pairs: tuple[PairVote, ...] = ()
    choices: tuple[ChoiceVote, ...] = ()
    scores: tuple[Score, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> list[Problem]:
        """The problems because of which the group cannot be used."""
        return [problem for problem in self.problems if problem.severity == "error"]


class GroupName(NamedTuple):
    """The name of a group, its source picture, and its place there, if it has one."""

    id: str
    image_name: str
    top: int | None = None
    left: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFiles(ABC):
    """The files that a group should have; whether they exist and are intact has not been checked.

    Attributes:
        name: the group's id, source picture and place.
        root: the tree; problems name paths relative to it.
        candidates: names of the enhanced versions of the tree, in order.
        images: picture name (`original`, `01`, ..., `lr`) to file; without the pictures that this group lacks.
        rule: the rule for the consensus.
        annotators: slot to annotator, as far as `annotators.csv` names them.
        lookalikes: names of files in the tree that look the same as the group's id.
        problems: problems with the names of these files.
        others: as for `Listing`.
    """

    name: GroupName
    root: Path
    candidates: tuple[str, ...]
    images: Mapping[str, Path]
    rule: ConsensusRule
    annotators: Mapping[str, ListedAnnotator] = field(default_factory=dict)
    lookalikes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    others: Mapping[str, Path] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name of the group."""
        return self.name.id

    @property
    def image_name(self) -> str:
        """The source picture."""
        return self.name.image_name

    @property
    def order(self) -> GroupOrder:
        """The key that sorts groups."""
        return group_order(*self.name)

    @property
    @abstractmethod
    def vote_files(self) -> tuple[Path, ...]:
        """The files of votes on this group alone."""

    @abstractmethod
    def read_votes(self, read: Callable[[Path], bytes]) -> Votes:
        """The votes on this group; `read` reads one file, and raises OSError."""

    def facts(self) -> list[object]:
        """What decides the group's votes beside the contents of its files, as JSON."""
        return [{slot: list(listed) for slot, listed in self.annotators.items()}]

    def with_annotator(self, annotation: Annotation) -> Annotation:
        """The annotation with what `annotators.csv` says about its slot."""
        listed = self.annotators.get(annotation.slot)
        if listed is None:
            return annotation
        return replace(annotation, annotator=listed.pseudonym, full_zoom=listed.full_zoom)

    def judge(self, votes: Votes) -> PatchGroup:
        """The group with its consensus."""
        return judge_group(
            self.id,
            self.candidates,
            votes.annotations,
            image_name=self.image_name,
            top=self.name.top,
            left=self.name.left,
            rule=self.rule,
            pairs=votes.pairs,
            choices=votes.choices,
            scores=votes.scores,
        )

    def problem(self, kind: str, path: Path, message: str, hint: str, severity: Severity = "error") -> Problem:
        """A problem of one of the files; the group cannot be used if it is an error."""
        return Problem(kind, severity, self.relative(path), message, hint, self.id if severity == "error" else None)

    def note_lookalikes(self) -> str:
        """The end of a message about a missing file, if files have names that look the same."""
        return "".join(f"; {compare_names(other, self.id)}" for other in self.lookalikes)

    def relative(self, path: Path) -> str:
        """A path as problems and manifests name it: relative to the tree, with forward slashes."""
        return relative_path(path, self.root, self.others)


class Listing(ABC):
    """All groups of a tree, and the problems of its file and folder names.

    Args:
        layout: the layout of the tree.
        root: the tree.
        given: the folders that the user named; the first is the tree, or what contains its files.
        others: those that are not the tree, by the names that problems and manifests have for them.

    Attributes:
        consensus: the rule for the label of a candidate.
        candidates: names of the enhanced versions, in the order of the source.
        ids: the groups, sorted.
        image_names: the source picture of each group.
        slots: where each group has votes, sorted: the folders `A`, `B`, ... .
        splits: the split of each group for which the data says one.
        split: the split of the others.
        has_labels: whether groups have label votes.
        votes: the other kinds of votes that groups have: any of `pairs`, `choices`, `scores`.
        has_lr: whether the tree has low-resolution images.
        has_captions: whether groups have captions.
        protocol: how the annotators were asked.
        problems: misplaced files, links that point outside the tree, clashing names.
    """

    candidates: tuple[str, ...]
    slots: tuple[str, ...] = ()
    split: str = "train"
    has_labels: bool = False
    votes: tuple[str, ...] = ()
    has_lr: bool = False
    has_captions: bool = False

    def __init__(
        self, layout: Layout, root: Path, given: tuple[Path, ...], others: Mapping[str, Path] | None = None
    ) -> None:
        self.layout = layout
        self.root = root
        self.given = given
        self.others = others or {}
        self.folders = CheckedFolders(root, given, self.others)
        self.problems = self.folders.problems
        self.splits: dict[str, str] = {}
        no_annotators: dict[tuple[str, str], ListedAnnotator] = {}
        self._annotators = self._read_beside(ANNOTATORS_FILE, read_annotators, no_annotators)
        self.protocol, self.consensus = self._read_beside(
            PROTOCOL_FILE,
            lambda root: read_protocol(root, layout.protocol, layout.consensus),
            (Protocol(), layout.consensus),
        )

    def set_groups(self, names: Iterable[GroupName], unmatched: Iterable[str] = ()) -> None:
        """Set the groups, and report what can only be seen when all names are known.

        `unmatched` are ids in the names of files that belong to no group.
        """
        self._names = {name.id: name for name in sorted(names, key=lambda name: group_order(*name))}
        self.ids = list(self._names)
        self.image_names = [name.image_name for name in self._names.values()]
        self._lookalikes: dict[str, set[str]] = {}
        for name, other in find_lookalikes([*self.ids, *unmatched]):
            self._lookalikes.setdefault(look(name), {other}).add(name)
        self._check_annotators()
        self._check_pictures()
        self._problems_of: dict[str | None, list[Problem]] = {}
        for problem in self.problems:
            self._problems_of.setdefault(problem.group, []).append(problem)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[GroupFiles]:
        return map(self.files, self.ids)

    @abstractmethod
    def files(self, group_id: str) -> GroupFiles:
        """The files that one group should have."""

    def split_of(self, group_id: str) -> str:
        """The split of a group."""
        return self.splits.get(group_id, self.split)

    @property
    def split_names(self) -> list[str]:
        """The splits of the groups, in the order of `SPLITS`."""
        found = {self.split_of(group) for group in self.ids}
        return [split for split in SPLITS if split in found]

    def common_files(self) -> list[Path]:
        """The files that belong to no single group; some may be missing."""
        return [self.root / ANNOTATORS_FILE, self.root / PROTOCOL_FILE]

    def read_plan(self) -> StudyPlan | None:
        """The plan of the study that the tree was merged from; None if it is another tree."""
        if {"pairs", "choices"}.isdisjoint(self.votes) or not (self.root / PLAN_FILE).is_file():
            return None
        return read_plan(self.root)

    def locate(self, relative: str) -> Path:
        """The path that problems and manifests name so."""
        name, _, rest = relative.partition("/")
        lr = {"lr": self.given[1]} if len(self.given) > 1 else {}
        folder = {**lr, **self.others}.get(name)
        return folder / rest if folder and rest else self.root / relative

    def write_part(self, folder: Path, ids: Iterable[str], *, is_test: bool, copy: bool) -> Iterator[bool]:
        """Write some groups as a tree of the same layout; yield for each whether its pictures are hard links.

        Args:
            folder: the new tree.
            ids: the groups.
            is_test: whether it is the test set, for layouts that write it in another way.
            copy: copy the pictures instead of hard-linking them.
        """
        for files in map(self.files, ids):
            linked = not copy
            for path in files.images.values():
                linked &= link_or_copy(path, _new_place(folder, files, path), copy=copy)
            for path in files.vote_files:  # labels are corrected later, so they are never links
                if path.is_file():
                    link_or_copy(path, _new_place(folder, files, path), copy=True)
            yield linked

    def common_facts(self, group_id: str) -> dict[str, Any]:
        """Those fields of `GroupFiles` that are the same for all layouts."""
        places = {slot: (group_id, slot) for slot in self.slots}
        return {
            "name": self._names[group_id],
            "root": self.root,
            "candidates": self.candidates,
            "rule": self.consensus,
            "others": self.others,
            "annotators": {slot: self._annotators[at] for slot, at in places.items() if at in self._annotators},
            "lookalikes": tuple(sorted(self._lookalikes.get(look(group_id), {group_id}) - {group_id}))
            if self._lookalikes
            else (),
            "problems": tuple(self._problems_of.get(group_id, ())),
        }

    def _read_beside(self, name: str, read: Callable[[Path], _Content], without: _Content) -> _Content:
        """The content of annotators.csv or protocol.json; a faulty file is reported and otherwise ignored."""
        path = self.root / name
        if not self.folders.check_link(path, "file"):
            return without
        try:
            return read(self.root)
        except (HggtError, OSError) as error:
            message = str(error) if isinstance(error, HggtError) else f"cannot be read: {error.strerror}"
            message = message.removeprefix(f"{path}: ")
            self.folders.report(f"bad-{path.stem}", "error", path, message, "Correct the file, or remove it.")
            return without

    def _check_annotators(self) -> None:
        """Report lines of annotators.csv without a group or slot in the tree, and annotators that look the same."""
        path, ids = self.root / ANNOTATORS_FILE, dict.fromkeys(self.ids)
        unknown = [place for place in self._annotators if place[0] not in ids or place[1] not in self.slots]
        groups, slots = by_look(ids if unknown else ()), by_look(self.slots)
        for group, slot in unknown:
            message = f"lists group {group}, slot {slot}, which is not in the tree"
            message += note_lookalike(group, groups) + note_lookalike(slot, slots)
            hint = "Does the file belong to another tree?"
            self.folders.report("unknown-annotation", "warning", path, message, hint)
        for name, other in find_lookalikes(sorted({annotator.pseudonym for annotator in self._annotators.values()})):
            message, hint = compare_names(name, other), "If they are one person, write the same name for both."
            self.folders.report("lookalike-annotator", "warning", path, message, hint)

    def _check_pictures(self) -> None:
        """Report source pictures whose names look the same."""
        first = dict(zip(reversed(self.image_names), reversed(self.ids), strict=True))
        for name, other in find_lookalikes(sorted(first)):
            message = f"the source picture {compare_names(name, other)}"
            hint = "If they are one picture, rename the files of one."
            path = self.picture_path(first[name])
            self.folders.report("lookalike-picture", "warning", path, message, hint)

    @abstractmethod
    def picture_path(self, group_id: str) -> Path:
        """A picture that stands for the group in messages."""


def _new_place(folder: Path, files: GroupFiles, path: Path) -> Path:
    place = folder / files.relative(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
