"""Deal patch groups to people, and deal anew what is not yet judged when people come or go.

Loads are equal and pairs of people mixed, so that any two can be compared. Every picture is checked first, as a build
will: nobody's time goes into what cannot be used. Who judges what is written to `assignments.json` (`rounds.py`).
"""

import random
import secrets
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import combinations
from pathlib import Path

from hggt_data.annotate.answers import Answers, read_answers
from hggt_data.annotate.assignment import Barred, Movable, Seating
from hggt_data.annotate.batches import BATCHES, Checks, require_own_batches, with_batches, write_batches
from hggt_data.annotate.round import (
    INSTRUCTIONS,
    PICTURES,
    Annotator,
    BatchForm,
    Kind,
    KnownAnswer,
    Round,
    groups_to_vote_on,
    lock_round,
    read_round,
    write_round,
)
from hggt_data.errors import RoundError
from hggt_data.io.files import csv_file, read_csv, read_utf8
from hggt_data.io.folders import new_folder, replaced_folder, require_outside
from hggt_data.io.text import format_examples, plural
from hggt_data.schema import ORIGINAL, SLOTS, Label, PatchId
from hggt_data.tree.annotators import clean_name, draw_pseudonym
from hggt_data.tree.layout import tree_of_pictures
from hggt_data.tree.listing import Listing
from hggt_data.tree.validate import examine_groups

_LABELS = {label.class_name: label for label in Label}
_MOST_SHOWN = 10


@dataclass(frozen=True)
class DealSettings:
    """How to deal; the names are those of the command's flags.

    Attributes:
        votes: how many people judge each group.
        per_batch: how many votes a batch holds at most.
        seed: of who gets what, and in which order.
        practice, gold: CSV files of groups with known answers, which are kept out of the votes.
        repeats: how many groups of each batch are shown a second time to the same person.
        batches: how batches are written for people who use another tool.
    """

    votes: int = 3
    per_batch: int = 1000
    seed: int = 0
    practice: Path | None = None
    gold: Path | None = None
    repeats: int = 0
    batches: BatchForm = "lists"


@dataclass(frozen=True)
class DealResult:
    """What was dealt.

    Attributes:
        before: the round as it was, where it was dealt anew.
        faults: files among the answers that did not count; what they should answer was dealt anew.
    """

    dealt: Round
    before: Round | None = None
    faults: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """What was done and what comes next, a line each."""
        dealt = self.dealt
        active = [annotator for annotator in dealt.annotators if annotator.is_active]
        votes = {annotator.name: annotator.groups_to_vote_on for annotator in dealt.annotators}
        groups = dealt.groups_to_vote_on
        loads = [len(votes[annotator.name]) for annotator in active]
        lines = [
            f"{plural(len(groups), 'group')} (candidates {', '.join(dealt.candidates)}), {plural(dealt.votes, 'vote')} "
            f"each, to {plural(len(active), 'annotator')}: {_span(loads)} each, in "
            f"batches of {dealt.per_batch:,} at most"
        ]
        if len(active) > 1:
            shared = [len(votes[one.name] & votes[other.name]) for one, other in combinations(active, 2)]
            lines.append(f"Any two people share {_span(shared)}.")
        for kind, what in ((Kind.PRACTICE, "practice"), (Kind.GOLD, "gold"), (Kind.REPEAT, "repeats")):
            numbers = [sum(item.kind is kind for item in annotator.items) for annotator in active]
            if any(numbers):
                lines.append(f"Beside the votes, {what}: {_span(numbers)} each")
        if self.before:
            lines += self._describe_changes(votes)
        if self.faults:
            lines.append(f"{plural(len(self.faults), 'file')} did not count as answers: {format_examples(self.faults)}")
        if dealt.votes < 2:
            lines.append("One vote a group is no consensus, which needs two: nothing will be positive or negative.")
        return [
            *lines,
            f"Next: hggt-data annotate {shlex.quote(str(dealt.folder))} --annotator NAME, or --accounts FILE for "
            "several people",
        ]

    def _describe_changes(self, votes: Mapping[str, set[PatchId]]) -> Iterator[str]:
        assert self.before
        earlier = {annotator.name: annotator.groups_to_vote_on for annotator in self.before.annotators}
        for name, groups in votes.items():
            had = earlier.get(name, set())
            if groups != had:
                yield f"{name}: {len(groups - had):,} more, {len(had - groups):,} fewer"


def deal_groups(
    patches: Path,
    output: Path,
    names: Sequence[str],
    settings: DealSettings,
    *,
    workers: int | None = None,
    decode: bool = True,
) -> DealResult:
    """Deal all groups of a folder to people and write the round.

    Args:
        patches: `original/`, `01/` and so on, as `hggt-data select-patches` writes them.
        output: the round's folder, new or empty.
        names: of the people.
        settings: how.
        workers: processes that check the pictures; by default one per core, at most 8.
        decode: check every pixel; without it only the heads of pictures are read, and damage stays unseen.

    Raises:
        RoundError: there are fewer people than votes or more votes than slots; the files of known answers have faults;
            or pictures are missing, damaged, no 8-bit RGB PNGs or differ in size. All faults are told at once, and
            nothing is written.
        TreeError: there are no pictures.
        OutputError: the output is not empty, or lies inside the pictures.
        OSError: something cannot be read or written.
    """
    names = require_names(names)
    if len(names) < settings.votes:
        found = f"{plural(len(names), 'name')} for {plural(settings.votes, 'vote')} a group"
        raise RoundError(f"{found}; expected as many people as votes at least, for nobody judges a group twice")
    if settings.votes > len(SLOTS):
        raise RoundError(f"{settings.votes} votes a group; expected {len(SLOTS)} at most, the slots of a tree")
    require_outside(output, patches, "the pictures")
    listing = Listing(tree_of_pictures(patches))
    digests = _require_whole(listing, workers, decode)
    practice, gold = _read_all_known(settings, listing)
    known = practice | gold
    groups = [group for group in listing.ids if group not in known]
    if not groups:
        raise RoundError(f"{patches} has no group to vote on; every one of them is practice or gold")
    rng = random.Random(f"deal {settings.seed}")
    seating = Seating(rng)
    checks = Checks(tuple(practice), tuple(gold), settings.repeats)
    for group in rng.sample(groups, len(groups)):
        seating.fill(group, names, settings.votes)
    with new_folder(output) as folder:
        dealt = Round(
            folder=folder,
            patches=patches.resolve(),
            candidates=listing.tree.candidates,
            votes=settings.votes,
            per_batch=settings.per_batch,
            seed=settings.seed,
            secret=secrets.token_hex(16),
            annotators=(),
            known=known,
            batch_form=settings.batches,
        )
        people: list[Annotator] = []
        for name in names:
            person = Annotator(name, draw_pseudonym({person.pseudonym for person in people}))
            rng = random.Random(f"batches {settings.seed} {name}")
            people.append(with_batches(person, seating.groups_of(name), checks, settings.per_batch, rng))
        dealt = dealt.with_annotators(tuple(people))
        (folder / INSTRUCTIONS).write_bytes((files("hggt_data.annotate") / INSTRUCTIONS).read_bytes())
        write_batches(dealt, folder / BATCHES)
        if digests:
            with csv_file(folder / PICTURES, ("group", ORIGINAL, *dealt.candidates)) as write_line:
                for group in listing.ids:
                    files_of = listing.files(group)
                    paths = (files_of.images[name] for name in (ORIGINAL, *dealt.candidates))
                    write_line([group, *(digests[files_of.relative(path)] for path in paths)])
        write_round(dealt)
    return DealResult(replace(dealt, folder=output))


def reassign_groups(
    round_folder: Path, add: Sequence[str] = (), drop: Sequence[str] = (), *, patches: Path | None = None
) -> DealResult:
    """Reassign unanswered groups after annotators join or leave.

    Answers stay with their annotators, loads become equal again, and as few groups as possible change hands. A group
    that an annotator skipped goes to another one.

    Args:
        round_folder: Round to change.
        add: Names of annotators who join, or who come back after they were dropped.
        drop: Names of annotators who leave; their answers stay.
        patches: New folder of the patches, if they were moved.

    Raises:
        RoundError: This is not a round, a name is unknown or already taken, or too few annotators are left.
        OutputError: The round is being served.
    """
    with lock_round(round_folder):
        before = read_round(round_folder, patches)
        require_own_batches(before)
        people = _change_people(before, add, drop)
        active = [person.name for person in people if person.is_active]
        if len(active) < before.votes:
            left = f"{len(active)} would be left to take part"
            raise RoundError(f"{left}; expected {before.votes} at least, as many as each group has votes: add somebody")
        answers = {person.name: read_answers(before, person) for person in people}
        seating, movable, barred = _seat_again(before, people, answers)
        for group in seating.rng.sample(sorted(seating.seats), len(seating.seats)):
            willing = [name for name in active if (name, group) not in barred]
            earlier = set(seating.seats[group])
            seating.fill(group, willing, before.votes)
            seating.fill(group, active, before.votes)  # if nobody else is left, who skipped it gets it again
            for name in sorted(seating.seats[group] - earlier):
                movable[name][group] = None
        seating.level(active, movable, barred)
        checks = Checks.of(before)
        dealt = before.with_annotators(
            tuple(
                with_batches(
                    person,
                    seating.groups_of(person.name),
                    checks,
                    before.per_batch,
                    seating.rng,
                    answers[person.name].given,
                )
                for person in people
            )
        )
        with replaced_folder(round_folder / BATCHES) as staging:
            write_batches(dealt, staging)
        write_round(dealt)  # last: until then the same command does the same again
    faults = [path.relative_to(round_folder).as_posix() for theirs in answers.values() for path in theirs.faults]
    return DealResult(dealt, before, tuple(faults))


def read_names(path: Path) -> list[str]:
    """The names in a file, one a line; empty lines and those that start with # do not count.

    Raises:
        RoundError: it is not UTF-8.
        OSError: it cannot be read.
    """
    stripped = [line.strip() for line in read_utf8(path, RoundError).splitlines()]
    return [line for line in stripped if line and not line.startswith("#")]


def require_names(names: Sequence[str]) -> list[str]:
    """The names as a round has them, if each can stand for one person.

    Raises:
        RoundError: a name is there twice, differs from another only in case, or is none.
    """
    cleaned, faults = [], []
    for name in names:
        try:
            cleaned.append(clean_name(name))
        except RoundError as error:
            faults.append(str(error))
    counts = Counter(name.casefold() for name in cleaned)
    faults += [f"{name!r} is there {count} times" for name, count in counts.items() if count > 1]
    if faults:
        raise RoundError(f"{plural(len(faults), 'name')} cannot be used: {format_examples(faults)}")
    return cleaned


def read_known(path: Path, listing: Listing) -> tuple[dict[PatchId, KnownAnswer], list[str]]:
    """Read known answers from a CSV with the columns group, one for each candidate, and, if wanted, note.

    Args:
        path: the file; a label may be left empty where any will do.
        listing: the groups there are.

    Returns:
        The answers in the order of the file, and what is wrong with the other lines.

    Raises:
        TableError: it is not a CSV file.
        RoundError: a column is missing.
        OSError: it cannot be read.
    """
    columns, lines = read_csv(path)
    candidates = listing.tree.candidates
    missing = [name for name in ("group", *candidates) if name not in columns]
    if missing:
        raise RoundError(f"{path}: columns {', '.join(missing)} are missing; found {', '.join(columns)}")
    ids = {str(group): group for group in listing.ids}
    known: dict[PatchId, KnownAnswer] = {}
    faults = []
    for number, line in enumerate(lines, start=2):
        words = [line[name].strip().lower() for name in candidates]
        wrong = [word for word in words if word and word not in _LABELS]
        group = ids.get(line["group"])
        if group is None:
            faults.append(f"{path}, line {number}: there is no group {line['group']!r}")
        elif group in known:
            faults.append(f"{path}, line {number}: group {group} is there twice")
        elif wrong:
            expected = ", ".join(label.value for label in Label)
            faults.append(f"{path}, line {number}: label {wrong[0]!r}; expected one of {expected}, or nothing")
        else:
            labels = tuple(_LABELS[word] if word else None for word in words)
            known[group] = KnownAnswer(labels, line.get("note", "").strip())
    return known, faults


def _read_all_known(
    settings: DealSettings, listing: Listing
) -> tuple[dict[PatchId, KnownAnswer], dict[PatchId, KnownAnswer]]:
    practice, faults = read_known(settings.practice, listing) if settings.practice else ({}, [])
    gold, more = read_known(settings.gold, listing) if settings.gold else ({}, [])
    faults += [*more, *(f"group {group} is both practice and gold" for group in practice.keys() & gold.keys())]
    if faults:
        raise RoundError("\n".join([f"{plural(len(faults), 'fault')} in the known answers:", *_shown(faults)]))
    return practice, gold


def _require_whole(listing: Listing, workers: int | None, decode: bool) -> dict[str, str]:
    """Refuse groups that a build would refuse; path to pixel digest of all pictures, if they are decoded."""
    problems = [problem for problem in listing.problems if problem.group is None]
    digests: dict[str, str] = {}
    for found, of_group in examine_groups(listing, workers=workers, decode=decode, labelled=False, label="checking"):
        problems += found
        digests |= of_group
    faults = [str(problem) for problem in problems if problem.severity == "error"]
    if faults:
        raise RoundError("\n".join([f"{plural(len(faults), 'fault')} in {listing.tree.root}:", *_shown(faults)]))
    return digests


def _shown(faults: list[str]) -> list[str]:
    rest = [f"and {len(faults) - _MOST_SHOWN:,} more"] if len(faults) > _MOST_SHOWN else []
    return [f"  {fault}" for fault in [*faults[:_MOST_SHOWN], *rest]]


def _change_people(before: Round, add: Sequence[str], drop: Sequence[str]) -> list[Annotator]:
    add, drop = require_names(add), require_names(drop)
    require_names([*add, *drop])
    by_name = {annotator.name: annotator for annotator in before.annotators}
    for name in drop:
        by_name[name] = replace(before.annotator(name), is_active=False)
    for name in add:
        if name in by_name and by_name[name].is_active:
            raise RoundError(f"{name} takes part already")
        taken = {person.pseudonym for person in by_name.values()}
        by_name[name] = replace(by_name.get(name, Annotator(name, draw_pseudonym(taken))), is_active=True)
    require_names(list(by_name))
    return list(by_name.values())


def _seat_again(
    before: Round, people: Sequence[Annotator], answers: Mapping[str, Answers]
) -> tuple[Seating, Movable, Barred]:
    """The seats that stay, what of them may still change hands, and who skipped what."""
    groups = sorted(before.groups_to_vote_on)
    answered = {name: groups_to_vote_on(theirs.given) for name, theirs in answers.items()}
    skipped = {name: groups_to_vote_on(theirs.skips) for name, theirs in answers.items()}
    names = " ".join(person.name for person in people if person.is_active)
    seating = Seating(random.Random(f"deal again {before.seed} {sum(map(len, answered.values()))} {names}"))
    movable: Movable = {person.name: {} for person in people}
    dealt_to = {person.name: person.groups_to_vote_on for person in people}
    for group in seating.rng.sample(groups, len(groups)):
        seating.seats[group] = set()
        for person in people:
            name = person.name
            if group in answered[name]:
                seating.add(group, name)
            elif person.is_active and group in dealt_to[name] and group not in skipped[name]:
                seating.add(group, name)
                movable[name][group] = None
    return seating, movable, {(name, group) for name, theirs in skipped.items() for group in theirs}


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
