"""Converts a round's votes to an official tree: `images/0-N/`, `labels/0-N/{A,B,C}/` and `annotators.csv`.

The tree has only groups with all their votes, because a tree needs every slot of every group; the other groups are
listed. Annotators appear by pseudonym only.
"""

import random
import shlex
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hggt_data.annotate.answers import find_unknown_folders, read_answers, read_full_zoom
from hggt_data.annotate.batches import BATCHES
from hggt_data.annotate.copies import note_copy
from hggt_data.annotate.round import PICTURES, Item, Kind, Round, read_round, write_pictures
from hggt_data.errors import RoundError
from hggt_data.io.files import csv_file, read_csv, write_json
from hggt_data.io.folders import new_folder, require_outside
from hggt_data.io.text import format_examples, plural
from hggt_data.ranges import Count, require_arguments
from hggt_data.schema import ORIGINAL, SLOTS, group_order
from hggt_data.tree.annotators import ANNOTATORS_COLUMNS, ANNOTATORS_FILE, FULL_ZOOM_COLUMN, FULL_ZOOM_WORDS
from hggt_data.tree.hggt_folders import official_train
from hggt_data.tree.layouts.hggt import list_pictures
from hggt_data.tree.protocol import write_protocol
from hggt_data.tree.validate import examine_groups

_MOST_SHOWN = 5
REPORT = "merge.json"


@dataclass
class RoundVotes:
    """The votes of a round.

    Attributes:
        by_group: Group to pseudonyms, in the order of the slots, and the file of each vote; sorted by group.
        full_zoom: Whether an annotator saw every version of a group at 100 %, by group and pseudonym, if recorded.
        skips: Group to the reasons of the annotators who skipped it.
        conflicts: Files that are not valid votes, and why.
        extra: Votes beyond the number that a group needs; they are left out.
    """

    by_group: dict[str, dict[str, Path]] = field(default_factory=dict)
    full_zoom: dict[tuple[str, str], bool] = field(default_factory=dict)
    skips: dict[str, list[str]] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class MergeResult:
    """The tree, and what was left out of it.

    Attributes:
        complete: Groups in the tree.
        wanted: Votes per group.
        partial: Each group with too few votes, with their number.
        per_annotator: Votes in the tree by pseudonym.
        faults: Groups whose pictures are missing, damaged or changed since they were assigned, and why.
        is_compared: Whether the pictures could be compared with those that were assigned.
        unwritten: Why the report could not be written to the round; empty if it was written.
    """

    output: Path
    complete: tuple[str, ...]
    wanted: int
    partial: dict[str, int]
    votes: RoundVotes
    per_annotator: Counter[str]
    faults: dict[str, str] = field(default_factory=dict)
    is_compared: bool = True
    unwritten: str = ""

    def describe(self) -> list[str]:
        """Summary lines."""
        lines = [
            f"{self.output}: {plural(len(self.complete), 'group')} with {plural(self.wanted, 'vote')} each, "
            f"by {plural(len(self.per_annotator), 'annotator')}"
        ]
        by_number: dict[int, list[str]] = defaultdict(list)
        for group, number in self.partial.items():
            by_number[number].append(group)
        for number, groups in sorted(by_number.items(), reverse=True):
            shown = format_examples(groups, _MOST_SHOWN)
            lines.append(f"Left out {plural(len(groups), 'group')} with {number} of {self.wanted} votes: {shown}")
        if skipped := {group: reasons for group, reasons in self.votes.skips.items() if group in self.partial}:
            reasons = [f"{group} ({'; '.join(reasons)})" for group, reasons in skipped.items()]
            shown = format_examples(reasons, _MOST_SHOWN)
            lines.append(f"Among these, annotators skipped {plural(len(skipped), 'group')}: {shown}")
        if self.faults:
            count, shown = plural(len(self.faults), "group"), _format_faults(self.faults)
            lines.append(f"Left out {count} whose pictures differ from those that were judged: {shown}")
        if not self.is_compared:
            lines.append(
                "The pictures were not compared with those that were judged, because deal did not decode them."
            )
        if self.votes.conflicts:
            lines.append(_format_conflicts(self.votes))
        if self.votes.extra:
            lines.append(f"Left out votes beyond the slots: {format_examples(self.votes.extra, _MOST_SHOWN)}")
        if self.unwritten:
            lines.append(f"The report could not be written: {self.unwritten}")
        output = shlex.quote(str(self.output))
        return [*lines, f"Next: hggt-data validate {output}; then hggt-data split {output} --output DIR"]

    def to_json(self) -> dict[str, object]:
        """The content of `merge.json`: everything that was left out."""
        return {
            "complete": len(self.complete),
            "partial": self.partial,
            "pictures": self.faults,
            "skipped": self.votes.skips,
            "conflicts": self.votes.conflicts,
            "extra": self.votes.extra,
        }


def merge_round(
    folder: str | Path,
    output: str | Path,
    *,
    copy: bool = False,
    patches: str | Path | None = None,
    workers: Count | None = None,
) -> MergeResult:
    """Convert a round's votes to an official tree; the round is not changed and can be merged again.

    Args:
        folder: Round to merge.
        output: New or empty folder for the tree.
        copy: Copy the pictures [default: hard links, if both folders are on the same disk].
        patches: Folder of the patches, if they were moved.
        workers: Worker processes that compare the pictures with those that were assigned [default: one per core, at
            most 8].

    Returns:
        The groups in the tree, and what was left out of it.

    Raises:
        RoundError: This is not a round, or no group has all its votes.
        OutputError: The output is not empty, or is inside the round or its pictures.

    Example:
        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> from hggt_data import DealSettings, deal_groups, merge_round, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> train = write_demo_tree(folder).train
        >>> settings = DealSettings(votes=2)
        >>> round_ = deal_groups(train / "images/0-6", folder / "round", ["Ann", "Ben"], settings, workers=1).round
        >>> for annotator in round_.annotators:  # the labels of the demo stand for their answers, all but the last
        ...     for item in annotator.items[:-1]:
        ...         answer = round_.answer_path(annotator, item)
        ...         answer.parent.mkdir(parents=True, exist_ok=True)
        ...         _ = shutil.copy(train / f"labels/0-6/A/{item.group}.json", answer)
        >>> merged = merge_round(folder / "round", folder / "merged", workers=1)
        >>> len(merged.complete), list(merged.partial.values())
        (4, [1, 1])
    """
    require_arguments(merge_round, workers=workers)
    folder, output = Path(folder), Path(output)
    patches = None if patches is None else Path(patches)
    round_ = read_round(folder, patches)
    if round_.study is not None:
        raise RoundError(f"{folder} is a study, whose votes are no labels; merge it with `merge_study`")
    require_outside(output, folder, "the round")
    require_outside(output, round_.patches, "the pictures")
    votes = count_votes(round_)
    complete = tuple(group for group, files in votes.by_group.items() if len(files) == round_.votes)
    if not complete:
        so_far = plural(sum(map(len, votes.by_group.values())), "vote")
        reasons = f". {_format_conflicts(votes)}" if votes.conflicts else ""
        raise RoundError(
            f"{folder}: no group has all its {plural(round_.votes, 'vote')} yet; {so_far} so far{reasons}. Go on with "
            f"hggt-data annotate {shlex.quote(str(folder))}, or add label files of another tool as "
            f"{folder / Kind.VOTE.folder}/PSEUDONYM/GROUP.json; the lists in {folder / BATCHES} say who judges what"
        )
    faults = _compare_pictures(round_, complete, workers)
    complete = tuple(group for group in complete if group not in faults)
    if not complete:
        raise RoundError(
            f"{round_.patches}: none of the pictures match those that were judged: {_format_faults(faults)}"
        )
    with new_folder(output) as staging:
        tree = official_train(staging, len(complete))
        write_pictures(round_, tree.images, complete, copy=copy)
        write_protocol(staging, round_.protocol)
        columns = (*ANNOTATORS_COLUMNS, *([FULL_ZOOM_COLUMN] if votes.full_zoom else []))
        with csv_file(staging / ANNOTATORS_FILE, columns) as write_line:
            for group in complete:
                for slot, (pseudonym, path) in zip(SLOTS, votes.by_group[group].items(), strict=False):
                    target = tree.annotation(group, slot)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
                    seen = FULL_ZOOM_WORDS[votes.full_zoom.get((group, pseudonym))]
                    write_line((group, slot, pseudonym, seen)[: len(columns)])
    left_out = sorted(round_.groups_to_vote_on - set(complete) - faults.keys(), key=group_order)
    partial = {group: len(votes.by_group.get(group, ())) for group in left_out}
    per_annotator = Counter(pseudonym for group in complete for pseudonym in votes.by_group[group])
    is_compared = (folder / PICTURES).exists()
    result = MergeResult(output, complete, round_.votes, partial, votes, per_annotator, faults, is_compared)
    note_copy(folder, output, "hggt-data merge")
    try:
        write_json(folder / REPORT, result.to_json())
    except OSError as error:  # a read-only round can be merged too
        return replace(result, unwritten=f"{folder / REPORT}: {error.strerror}")
    return result


def count_votes(round_: Round) -> RoundVotes:
    """Read all votes of a round and set aside files that are not valid votes."""
    votes = RoundVotes()
    found: dict[str, list[str]] = defaultdict(list)
    by_pseudonym = {annotator.pseudonym: annotator for annotator in round_.annotators}
    faults = {path: _explain_folder(round_, path.name) for path in find_unknown_folders(round_)}
    for annotator in round_.annotators:
        answers = read_answers(round_, annotator)
        faults |= {path: why for path, why in answers.faults.items() if path.is_relative_to(round_.folder / "votes")}
        for item in annotator.items:
            if item.kind is Kind.VOTE and item in answers.annotations:
                found[item.group].append(annotator.pseudonym)
                if (seen := read_full_zoom(round_, annotator, item)) is not None:
                    votes.full_zoom[item.group, annotator.pseudonym] = seen
            elif item.kind is Kind.VOTE and item in answers.skips:
                votes.skips.setdefault(item.group, []).append(answers.skips[item])
    votes.conflicts = {path.relative_to(round_.folder).as_posix(): why for path, why in sorted(faults.items())}
    for group in sorted(found, key=group_order):
        pseudonyms = found[group]
        paths = {name: round_.answer_path(by_pseudonym[name], Item(Kind.VOTE, group)) for name in pseudonyms}
        # Slots are drawn per group, so that a slot does not stand for one annotator.
        order = random.Random(f"slots {round_.seed} {group}").sample(sorted(pseudonyms), len(pseudonyms))
        votes.by_group[group] = {name: paths[name] for name in order[: round_.votes]}
        votes.extra += [paths[name].relative_to(round_.folder).as_posix() for name in order[round_.votes :]]
    return votes


def _compare_pictures(round_: Round, groups: Sequence[str], workers: int | None) -> dict[str, str]:
    """Groups whose pictures are missing, damaged or changed since they were assigned, with the first such picture."""
    path = round_.folder / PICTURES
    expected = {line["group"]: line for line in read_csv(path)[1]} if path.exists() else {}
    listing = list_pictures(round_.patches)
    present = set(listing.ids)
    faults = {group: f"group {group} is missing" for group in groups if group not in present}
    groups = [group for group in groups if group in present]
    examined = examine_groups(
        listing, groups, workers=workers, decode=bool(expected), labelled=False, label="comparing pictures"
    )
    for group, (problems, digests) in zip(groups, examined, strict=True):
        errors = [str(problem) for problem in problems if problem.severity == "error"]
        if expected and not errors:
            files = listing.files(group)
            paths = {name: files.relative(files.images[name]) for name in (ORIGINAL, *round_.candidates)}
            judged = expected.get(group, {})
            changed = [path for name, path in paths.items() if digests[path] != judged.get(name)]
            errors = [f"{path} was replaced after it was assigned" for path in changed]
        if errors:
            faults[group] = errors[0]
    return faults


def _explain_folder(round_: Round, name: str) -> str:
    """Why a folder of votes does not count."""
    own = [annotator.pseudonym for annotator in round_.annotators if annotator.name == name]
    if own:
        return f"the name of an annotator; expected the pseudonym, {own[0]}"
    return "not a pseudonym of this round"


def _format_conflicts(votes: RoundVotes) -> str:
    shown = format_examples([f"{path}: {why}" for path, why in votes.conflicts.items()], _MOST_SHOWN)
    return f"{plural(len(votes.conflicts), 'file')} not counted as votes: {shown}"


def _format_faults(faults: Mapping[str, str]) -> str:
    return format_examples(list(faults.values()), _MOST_SHOWN)
