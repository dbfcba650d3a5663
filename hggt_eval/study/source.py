"""Opens the votes of a study: a round, a tree, a dataset, or a table of votes without pictures."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hggt_data.annotate.round import ASSIGNMENTS
from hggt_data.annotate.study.votes import read_study
from hggt_data.errors import MatchError, NameFormatError, TableError
from hggt_data.io.names import compare_names, find_lookalikes
from hggt_data.io.text import format_examples
from hggt_data.licence import UNKNOWN_LICENSE
from hggt_data.loading import open_splits
from hggt_data.schema import ORIGINAL, PatchGroup, PatchId, Vote
from hggt_data.study_plan import PLAN_FILE, StudyPlan, is_damaged_name, read_plan
from hggt_data.tree.aliases import join_pairs
from hggt_data.tree.table_groups import GROUPS_FILE, read_group_table
from hggt_data.tree.table_rows import RowReader
from hggt_data.tree.table_votes import VOTES_FILE, VoteTable, read_vote_table
from hggt_eval.protocol import find_same_pictures


@dataclass(frozen=True, slots=True)
class StudySource:
    """The votes of a study.

    Attributes:
        location: Where they are from.
        groups: Groups with votes on pairs or choices, of all kinds.
        same_pictures: Source pictures that count as one.
        plan: What was planned; None if there is no plan.
        complete: Whether each comparison has all its votes; None without a plan.
        license: Licence id of the data.
        is_round: Whether it is a round, whose plan records each look at preferences.
    """

    location: str
    groups: tuple[PatchGroup, ...]
    same_pictures: tuple[tuple[str, ...], ...] = ()
    plan: StudyPlan | None = None
    complete: bool | None = None
    license: str = UNKNOWN_LICENSE
    is_round: bool = False

    @property
    def num_votes(self) -> int:
        """People's votes, without gold, repeats and practice."""
        votes = (vote for group in self.groups for vote in (*group.pairs, *group.choices))
        return sum(vote.count for vote in votes if vote.counts)

    def picture_of(self, group: PatchGroup) -> str:
        """The source picture of a group, one name for those that count as one."""
        return next((names[0] for names in self.same_pictures if group.image_name in names), group.image_name)

    def find_failed(self) -> frozenset[str] | None:
        """People whose share of correct gold answers is below that of the plan; None without a plan or gold votes."""
        right: dict[str, list[bool]] = {}
        for vote, preferred in _gold_votes(self.groups):
            if vote.annotator is not None:
                right.setdefault(vote.annotator, []).append(preferred is not None and not is_damaged_name(preferred))
        if self.plan is None or not right:
            return None
        least = self.plan.least_gold_share
        return frozenset(name for name, answers in right.items() if sum(answers) / len(answers) < least)


def open_study(source: str | Path, split: str | None = None, revision: str | None = None) -> StudySource:
    """The votes of a study.

    Raises:
        MatchError: There are no votes on pairs and no choices, or names of methods look the same.
        TableError: Rows of a table are faulty.
        RoundError: A round is damaged, or is not a study.
        TreeError: The source is not a tree, a round or a table.
        DatasetError: The dataset is incomplete.
    """
    path = Path(source)
    opened = _open_round(path) or _open_table(path) or _open_groups(source, split, revision)
    _require_votes(opened)
    return opened


def _open_round(path: Path) -> StudySource | None:
    if not (path / ASSIGNMENTS).is_file():
        return None
    study = read_study(path)
    return StudySource(
        str(path), study.groups, plan=study.plan, complete=study.complete, license=study.license, is_round=True
    )


def _open_table(path: Path) -> StudySource | None:
    """A file of votes, or a folder that has nothing but tables."""
    if (path / VOTES_FILE).is_file() and not any(place.is_dir() for place in path.iterdir()):
        path = path / VOTES_FILE
    if path.suffix.lower() != ".csv" or path.is_dir():
        return None
    if not path.is_file():
        raise TableError(f"{path} does not exist; expected a CSV file of votes")
    table = read_vote_table(path)
    if table.kind not in ("pairs", "choices"):
        raise _no_votes(str(path), [table.kind])
    groups = tuple(_read_groups(table))
    plan = read_plan(path.parent) if (path.parent / PLAN_FILE).is_file() else None
    return _with_plan(StudySource(str(path), groups), plan)


def _read_groups(table: VoteTable) -> Iterable[PatchGroup]:
    """The groups of a table; TableError with the faults of all rows."""
    versions = list(dict.fromkeys(version for version in sorted(table.versions) if version != ORIGINAL))
    images = read_group_table(table.path.parent / GROUPS_FILE).values("image")
    groups, faults = [], []
    for name in table.groups:
        rows = table.rows_of(name)
        reader = RowReader({*versions, ORIGINAL}, tuple(versions), {})
        if rows is not None:
            reader.read(rows)
        faults += [f"{message}. {hint}" for _, _, message, hint in reader.faults]
        none = (None,) * len(versions), (0,) * len(versions), (0,) * len(versions)
        image = images.get(name) or _image_of(name)
        pairs, choices = tuple(reader.pairs), tuple(reader.choices)
        groups.append(PatchGroup(name, image, None, None, tuple(versions), (), *none, pairs=pairs, choices=choices))
    if faults:
        raise TableError(f"{table.path}: {'; '.join(faults[:5])}{f'; and {len(faults) - 5} more' * (len(faults) > 5)}")
    return groups


def _image_of(group: str) -> str:
    try:
        return PatchId.parse(group).image
    except NameFormatError:
        return group


def _open_groups(source: str | Path, split: str | None, revision: str | None) -> StudySource:
    splits = open_splits(source, split, revision=revision)
    groups = tuple(group for part in splits.values() for group in part)
    if not any(group.pairs or group.choices for group in groups):
        raise _no_votes(str(source), ["labels"] if any(group.annotations for group in groups) else [])
    same = join_pairs(pair for part in splits.values() for pair in find_same_pictures(part))
    first = next(iter(splits.values()))
    found = StudySource(first.location, groups, tuple(map(tuple, same)), license=first.license)
    return _with_plan(found, first.read_plan())


def _with_plan(source: StudySource, plan: StudyPlan | None) -> StudySource:
    """With the plan, and whether the study was complete when it was merged: votes may have been withdrawn since."""
    if plan is None:
        return source
    missing = plan.looks[-1].missing if plan.looks else None
    if missing is None:
        missing = plan.num_votes - source.num_votes
    return replace(source, plan=plan, complete=missing <= 0)


def _require_votes(source: StudySource) -> None:
    votes: list[Vote] = [vote for group in source.groups for vote in (*group.pairs, *group.choices)]
    if not any(vote.counts for vote in votes):
        kinds = sorted({"votes by models" if vote.annotator_kind == "model" else vote.kind for vote in votes})
        raise MatchError(
            f"{source.location} has no people's votes on pairs and no choices"
            f"{f', only {format_examples(kinds)}' if kinds else ''}; a study needs them"
        )
    names = sorted({name for group in source.groups for name in group.candidates})
    if alike := [compare_names(name, other) for name, other in find_lookalikes(names)]:
        raise MatchError(
            f"{source.location} has two methods of one name: {format_examples(alike)}; rename one, or write one name "
            "for both"
        )


def _no_votes(location: str, kinds: list[str]) -> MatchError:
    only = f", only {' and '.join(kinds)}" if kinds else ""
    return MatchError(
        f"{location} has no votes on pairs and no choices{only}; hggt-data stats counts labels and scores, and "
        "hggt-eval agree compares them with metrics"
    )


def _gold_votes(groups: Iterable[PatchGroup]) -> Iterable[tuple[Vote, str | None]]:
    """Gold votes, and the version that each preferred; None for a tie."""
    for group in groups:
        for pair in group.pairs:
            if pair.kind == "gold":
                yield pair, {"first": pair.first, "second": pair.second}.get(pair.preferred or "tie")
        for choice in group.choices:
            if choice.kind == "gold":
                yield choice, choice.preferred
