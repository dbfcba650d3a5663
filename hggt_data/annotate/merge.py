"""From the votes of a round to the official tree: `images/0-N/`, `labels/0-N/{A,B,C}/`, and who is behind each slot.

Only groups with all their votes make the tree, for a tree has every slot of every group; whatever is left out is
listed. People leave the round as pseudonyms.
"""

import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hggt_data.annotate.answers import find_strangers, read_answers
from hggt_data.annotate.round import PICTURES, Item, Kind, Round, read_round, write_pictures
from hggt_data.errors import RoundError
from hggt_data.io.files import csv_file, read_csv, write_json
from hggt_data.io.folders import new_folder, require_outside
from hggt_data.io.text import format_examples, plural
from hggt_data.schema import ORIGINAL, SLOTS, PatchId
from hggt_data.tree.annotators import ANNOTATORS_COLUMNS, ANNOTATORS_FILE
from hggt_data.tree.layout import official_train, tree_of_pictures
from hggt_data.tree.listing import Listing
from hggt_data.tree.validate import examine_groups

_MOST_SHOWN = 5
_REPORT = "merge.json"


@dataclass
class Ballot:
    """The votes of a round.

    Attributes:
        votes: group to who voted (pseudonyms, in their slots' order) and the file of each vote.
        skips: group to the reasons of those who could not judge it.
        conflicts: files that are no votes, with the reason: broken, of nobody known, not dealt to that person.
        extra: votes beyond what a group needs; they are left out.
    """

    votes: dict[PatchId, dict[str, Path]] = field(default_factory=dict)
    skips: dict[PatchId, list[str]] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class MergeResult:
    """What was written.

    Attributes:
        output: the tree.
        complete: groups in it.
        wanted: votes that a group needs.
        partial: each other group with the number of its votes.
        ballot: all that was found.
        people: votes in the tree, by pseudonym.
        faults: each group whose pictures are not those that were dealt, and which picture it is.
        is_compared: whether pictures could be compared with those that were dealt.
        unwritten: why the list of what was left out is not in the round; empty if it is.
    """

    output: Path
    complete: tuple[PatchId, ...]
    wanted: int
    partial: dict[PatchId, int]
    ballot: Ballot
    people: Counter[str]
    faults: dict[PatchId, str] = field(default_factory=dict)
    is_compared: bool = True
    unwritten: str = ""

    def describe(self) -> list[str]:
        """What was done and what was not, a line each."""
        lines = [
            f"{self.output}: {plural(len(self.complete), 'group')} with {plural(self.wanted, 'vote')} each, "
            f"by {plural(len(self.people), 'annotator')}"
        ]
        by_votes: dict[int, list[PatchId]] = defaultdict(list)
        for group, votes in self.partial.items():
            by_votes[votes].append(group)
        for votes, groups in sorted(by_votes.items(), reverse=True):
            shown = format_examples(groups, _MOST_SHOWN)
            lines.append(f"Left out, with {votes} of {self.wanted} votes: {plural(len(groups), 'group')}: {shown}")
        skipped = {group: reasons for group, reasons in self.ballot.skips.items() if group in self.partial}
        if skipped:
            shown = format_examples(
                [f"{group} ({'; '.join(reasons)})" for group, reasons in skipped.items()], _MOST_SHOWN
            )
            lines.append(f"Of these somebody could not judge {len(skipped):,}: {shown}")
        if self.faults:
            count = plural(len(self.faults), "group")
            lines.append(
                f"Left out, for their pictures are not those that were judged: {count}: {_format_faults(self.faults)}"
            )
        if not self.is_compared:
            lines.append("Dealt with --fast: whether the pictures are those that were judged is not known.")
        if self.ballot.conflicts:
            shown = format_examples([f"{path}: {why}" for path, why in self.ballot.conflicts.items()], _MOST_SHOWN)
            lines.append(f"{plural(len(self.ballot.conflicts), 'file')} did not count: {shown}")
        if self.ballot.extra:
            lines.append(f"More votes than slots, left out: {format_examples(self.ballot.extra, _MOST_SHOWN)}")
        if self.unwritten:
            lines.append(f"What was left out is not written down: {self.unwritten}")
        return lines

    def to_json(self) -> dict[str, object]:
        """All that is left out, as JSON takes it."""
        return {
            "complete": len(self.complete),
            "partial": {str(group): votes for group, votes in self.partial.items()},
            "pictures": {str(group): why for group, why in self.faults.items()},
            "skipped": {str(group): reasons for group, reasons in self.ballot.skips.items()},
            "conflicts": self.ballot.conflicts,
            "extra": self.ballot.extra,
        }


def merge_round(
    folder: Path, output: Path, *, copy: bool = False, patches: Path | None = None, workers: int | None = None
) -> MergeResult:
    """Write the tree of a round's votes; the round may go on and be merged again.

    Args:
        folder: the round.
        output: the tree, new or empty.
        copy: copy pictures also where a second name for the file (a hard link) would do.
        patches: where the pictures are, if they were moved.
        workers: processes that compare the pictures with those that were dealt; by default one per core, at most 8.

    Raises:
        RoundError: it is no round, or no group has all its votes.
        OutputError: the output is not empty, or lies inside the round or its pictures.
        OSError: something cannot be read or written.
    """
    dealt = read_round(folder, patches)
    require_outside(output, folder, "the round")
    require_outside(output, dealt.patches, "the pictures")
    ballot = count_votes(dealt)
    complete = tuple(sorted(group for group, votes in ballot.votes.items() if len(votes) == dealt.votes))
    if not complete:
        raise RoundError(
            f"{folder}: no group has all its {plural(dealt.votes, 'vote')} yet; "
            f"{plural(sum(map(len, ballot.votes.values())), 'vote')} so far"
        )
    faults = _faults_of_pictures(dealt, complete, workers)
    complete = tuple(group for group in complete if group not in faults)
    if not complete:
        raise RoundError(f"{dealt.patches}: no pictures are those that were judged: {_format_faults(faults)}")
    with new_folder(output) as staging:
        tree = official_train(staging, len(complete))
        write_pictures(dealt, tree.images, complete, copy=copy)
        with csv_file(staging / ANNOTATORS_FILE, ANNOTATORS_COLUMNS) as write_line:
            for group in complete:
                for slot, (pseudonym, path) in zip(SLOTS, ballot.votes[group].items(), strict=False):
                    target = tree.annotation(group, slot)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
                    write_line((group, slot, pseudonym))
    left_out = sorted(dealt.groups_to_vote_on - set(complete) - faults.keys())
    partial = {group: len(ballot.votes.get(group, ())) for group in left_out}
    people = Counter(pseudonym for group in complete for pseudonym in ballot.votes[group])
    is_compared = (folder / PICTURES).exists()
    result = MergeResult(output, complete, dealt.votes, partial, ballot, people, faults, is_compared)
    try:
        write_json(folder / _REPORT, result.to_json())
    except OSError as error:  # a round that is kept where nothing is written any more
        return replace(result, unwritten=f"{folder / _REPORT}: {error.strerror}")
    return result


def _faults_of_pictures(dealt: Round, groups: Sequence[PatchId], workers: int | None) -> dict[PatchId, str]:
    """The groups whose pictures are not those that were dealt, or are damaged since, with the first such picture."""
    path = dealt.folder / PICTURES
    lines = read_csv(path)[1] if path.exists() else []
    expected = {line["group"]: line for line in lines}
    listing = Listing(tree_of_pictures(dealt.patches))
    present = set(listing.ids)
    faults = {group: f"group {group} has no pictures any more" for group in groups if group not in present}
    groups = [group for group in groups if group in present]
    examined = examine_groups(
        listing, groups, workers=workers, decode=bool(expected), labelled=False, label="comparing pictures"
    )
    for group, (problems, digests) in zip(groups, examined, strict=True):
        errors = [str(problem) for problem in problems if problem.severity == "error"]
        files = listing.files(group)
        errors += [
            f"{files.relative(files.images[name])} was replaced since it was dealt"
            for name in (ORIGINAL, *dealt.candidates)
            if expected
            and not errors
            and digests[files.relative(files.images[name])] != expected.get(str(group), {}).get(name)
        ]
        if errors:
            faults[group] = errors[0]
    return faults


def _format_faults(faults: Mapping[PatchId, str]) -> str:
    return format_examples(list(faults.values()), _MOST_SHOWN)


def count_votes(dealt: Round) -> Ballot:
    """Read all votes of a round, and sort out what is none."""
    ballot = Ballot()
    found: dict[PatchId, list[str]] = defaultdict(list)
    by_pseudonym = {annotator.pseudonym: annotator for annotator in dealt.annotators}
    faults = dict.fromkeys(find_strangers(dealt), "of nobody who takes part")
    for annotator in dealt.annotators:
        answers = read_answers(dealt, annotator)
        faults |= {path: why for path, why in answers.faults.items() if path.is_relative_to(dealt.folder / "votes")}
        for item in annotator.items:
            if item.kind is Kind.VOTE and item in answers.given:
                found[item.group].append(annotator.pseudonym)
            elif item.kind is Kind.VOTE and item in answers.skips:
                ballot.skips.setdefault(item.group, []).append(answers.skips[item])
    ballot.conflicts = {path.relative_to(dealt.folder).as_posix(): why for path, why in sorted(faults.items())}
    for group, people in sorted(found.items()):
        paths = {name: dealt.answer_path(by_pseudonym[name], Item(Kind.VOTE, group)) for name in people}
        # The order of slots is drawn for each group, so that a slot is not a person.
        order = random.Random(f"slots {dealt.seed} {group}").sample(sorted(people), len(people))
        ballot.votes[group] = {name: paths[name] for name in order[: dealt.votes]}
        ballot.extra += [paths[name].relative_to(dealt.folder).as_posix() for name in order[dealt.votes :]]
    return ballot
