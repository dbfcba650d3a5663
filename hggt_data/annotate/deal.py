"""Assigns patch groups to annotators in a new round.

Every picture is checked first, as a build checks it, so that no annotator judges groups that cannot be used.
"""

import random
import secrets
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Annotated

from hggt_data.annotate.assignment import Assignment
from hggt_data.annotate.batches import BATCHES, with_batches, write_batches
from hggt_data.annotate.instructions import INSTRUCTIONS, format_instructions
from hggt_data.annotate.round import (
    PICTURES,
    Annotator,
    BatchForm,
    Checks,
    Kind,
    KnownAnswer,
    Round,
    write_round,
)
from hggt_data.errors import RoundError, SettingsError
from hggt_data.io.files import csv_file, read_csv, read_utf8, write_text
from hggt_data.io.folders import new_folder, require_outside
from hggt_data.io.names import by_look, compare_names, find_lookalikes, note_lookalike
from hggt_data.io.text import format_examples, join_lines, plural
from hggt_data.licence import HGGT_LICENSE_NAME, require_license_id
from hggt_data.ranges import Count, CountOrNone, Range, require_arguments, require_lists, require_ranges
from hggt_data.schema import BLIND_QUESTION, ORIGINAL, QUESTION, Label, Protocol
from hggt_data.tree.annotators import clean_name, draw_pseudonym
from hggt_data.tree.duplicates import EqualPictures
from hggt_data.tree.layouts.hggt import list_pictures
from hggt_data.tree.listing import Listing
from hggt_data.tree.validate import examine_groups

_LABELS = {label.class_name: label for label in Label}
_MOST_SHOWN = 10
_LONGEST_QUESTION = 200


@dataclass(frozen=True)
class DealSettings:
    """Settings of a new round.

    Attributes:
        votes: Annotators per group.
        per_batch: Maximum number of votes per batch.
        seed: Random seed for the assignment and its order.
        practice: CSV file of practice groups with known answers, shown first.
        gold: CSV file of groups with known answers, to check annotators.
        repeats: Groups per batch that the same annotator sees twice.
        batches: Form of the batches for other annotation tools: lists of groups, or folders of linked or copied
            pictures.
        require_full_zoom: Accept an answer only after all of every version was in view at 100 % for a second.
        question: What the page asks, in one line.  [default: which versions look better than the original, or in a
            blind round, which version looks better]
        blind: Hide which version is the original: show it and one candidate side by side, in random order.
        license: Licence of the pictures: an id of the Hub such as cc-by-4.0, or other:NAME.  [default: the terms of the
            official data, which forbid showing them outside your organisation]

    Raises:
        SettingsError: A value is out of range.
    """

    votes: Annotated[int, Range(1, 26)] = 3
    per_batch: Count = 1000
    seed: int = 0
    practice: str | Path | None = None
    gold: str | Path | None = None
    repeats: CountOrNone = 0
    batches: BatchForm = "lists"
    require_full_zoom: bool = False
    question: str | None = None
    blind: bool = False
    license: str | None = None

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.license is not None:
            require_license_id(self.license)
        if self.question is not None and not (
            self.question.isprintable() and 0 < len(self.question.strip()) <= _LONGEST_QUESTION
        ):
            expected = f"one line of 1 to {_LONGEST_QUESTION} characters"
            raise SettingsError(f"`question` is {self.question!r}; expected {expected}")

    def protocol(self, num_candidates: int) -> Protocol:
        """How the annotators of a round with so many candidates are asked."""
        usual = BLIND_QUESTION if self.blind else QUESTION
        question = usual if self.question is None else self.question.strip()
        return Protocol(self.blind, question, 2 if self.blind else num_candidates + 1, self.require_full_zoom)


@dataclass(frozen=True)
class DealResult:
    """The assignments of a round.

    Attributes:
        round: The round as it is now.
        before: The round before it was reassigned; None for a new round.
        faults: Answer files that do not count; their groups were assigned again.
        warnings: Folders whose pictures equal those of another one.
        difference: Why loads differ by more than one; empty if they do not.
    """

    round: Round
    before: Round | None = None
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    difference: str = ""

    def describe(self) -> list[str]:
        """Summary lines, and what to do next."""
        round_ = self.round
        active = [annotator for annotator in round_.annotators if annotator.is_active]
        votes = {annotator.name: annotator.groups_to_vote_on for annotator in round_.annotators}
        loads = [len(votes[annotator.name]) for annotator in active]
        what = "group" if round_.study is None else "comparison"
        lines = [
            f"{plural(len(round_.groups_to_vote_on), what)} (candidates {', '.join(round_.candidates)}), "
            f"{plural(round_.votes, 'vote')} each; {plural(len(active), 'annotator')} with {_span(loads, what)} "
            f"each, in batches of at most {round_.per_batch:,}"
        ]
        if self.difference:
            lines.append(self.difference)
        if len(active) > 1:
            shared = [len(votes[one.name] & votes[other.name]) for one, other in combinations(active, 2)]
            lines.append(f"Any two annotators share {_span(shared, what)}.")
        for kind, noun in ((Kind.PRACTICE, f"practice {what}"), (Kind.GOLD, f"gold {what}"), (Kind.REPEAT, "repeat")):
            numbers = [sum(item.kind is kind for item in annotator.items) for annotator in active]
            if any(numbers):
                lines.append(f"Each annotator also judges {_span(numbers, noun)} (not counted as votes).")
        if self.before:
            earlier = {annotator.name: annotator.groups_to_vote_on for annotator in self.before.annotators}
            for name, groups in votes.items():
                if groups != (before := earlier.get(name, set())):
                    lines.append(
                        f"{name}: {plural(len(groups - before), what)} added, {len(before - groups):,} removed"
                    )
        if self.faults:
            count = plural(len(self.faults), "unusable answer file")
            lines.append(f"Groups assigned again because of {count}: {format_examples(self.faults)}")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        if round_.protocol.blind:
            lines.append("The page shows one candidate at a time beside the original, and does not say which is which.")
        if round_.protocol.question not in (QUESTION, BLIND_QUESTION):
            lines.append(f"The page asks: {round_.protocol.question}")
        if round_.protocol.full_zoom:
            lines.append("An answer is accepted only after all of every version was in view at 100 % for a second.")
        if round_.study is not None:
            after = " after a look at the preferences" if round_.study.plan.extended_after_look else ""
            lines.append(f"The study was changed {plural(len(round_.study.plan.extensions), 'time')}{after}.")
        elif round_.votes < 2:
            lines.append(
                "Warning: a consensus needs two votes per group; with one, no candidate becomes positive or negative."
            )
        several = " --annotator NAME, or --accounts FILE for several annotators" if len(active) > 1 else ""
        return [*lines, f"Next: hggt-data annotate {shlex.quote(str(round_.folder))}{several}"]


def deal_groups(
    patches: str | Path,
    output: str | Path,
    names: Sequence[str],
    settings: DealSettings,
    *,
    workers: Count | None = None,
    fast: bool = False,
) -> DealResult:
    """Assign all groups of a folder to annotators and write a new round.

    Args:
        patches: Patches in `original/`, `01/` and so on, as `hggt-data select-patches` writes them.
        output: New or empty folder for the round.
        names: Names of the annotators, one per line in a file.
        settings: Settings of the round.
        workers: Worker processes that check the pictures [default: one per core, at most 8].
        fast: Check only the headers of the pictures; do not detect damaged or turned pictures.

    Returns:
        The round, and lines that describe it.

    Raises:
        SettingsError: There are fewer annotators than votes per group.
        RoundError: A name cannot be used, or pictures or known answers have faults; all are listed at once.
        OutputError: The output is not empty, or is inside the pictures.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import DealSettings, deal_groups, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> patches = write_demo_tree(folder).train / "images/0-6"
        >>> names, settings = ["Ann", "Ben", "Cleo"], DealSettings(votes=2)
        >>> round_ = deal_groups(patches, folder / "round", names, settings, workers=1).round
        >>> [(annotator.name, len(annotator.items)) for annotator in round_.annotators]
        [('Ann', 4), ('Ben', 4), ('Cleo', 4)]
    """
    require_lists(names=names)
    require_arguments(deal_groups, workers=workers)
    patches, output = Path(patches), Path(output)
    names = require_names(names)
    if len(names) < settings.votes:
        raise SettingsError(
            f"{plural(len(names), 'annotator')} for {plural(settings.votes, 'vote')} per group; expected at least as "
            "many `names` as `votes`"
        )
    require_outside(output, patches, "the pictures")
    listing = list_pictures(patches)
    equal = EqualPictures()
    digests = _check_pictures(listing, workers, not fast, equal)
    practice, gold = _read_known_answers(settings, listing)
    known = practice | gold
    groups = [group for group in listing.ids if group not in known]
    if not groups:
        reason = "all groups are practice or gold" if listing.ids else "it has no patch groups"
        raise RoundError(f"{patches} has no group to vote on: {reason}")
    rng = random.Random(f"deal {settings.seed}")
    assignment = Assignment(rng)
    checks = Checks(tuple(practice), tuple(gold), settings.repeats)
    for group in rng.sample(groups, len(groups)):
        assignment.fill(group, names, settings.votes)
    with new_folder(output) as folder:
        annotators: list[Annotator] = []
        for name in names:
            annotator = Annotator(name, draw_pseudonym({annotator.pseudonym for annotator in annotators}))
            rng = random.Random(f"batches {settings.seed} {name}")
            annotators.append(with_batches(annotator, assignment.groups_of(name), checks, settings.per_batch, rng))
        round_ = Round(
            folder=folder,
            patches=patches.resolve(),
            candidates=listing.candidates,
            votes=settings.votes,
            per_batch=settings.per_batch,
            seed=settings.seed,
            secret=secrets.token_hex(16),
            annotators=tuple(annotators),
            known=known,
            checks=checks,
            batch_form=settings.batches,
            protocol=settings.protocol(len(listing.candidates)),
            license=settings.license or HGGT_LICENSE_NAME,
        )
        write_text(folder / INSTRUCTIONS, format_instructions(round_.protocol))
        write_batches(round_, folder / BATCHES)
        if digests:
            with csv_file(folder / PICTURES, ("group", ORIGINAL, *round_.candidates)) as write_line:
                for group in listing.ids:
                    group_files = listing.files(group)
                    paths = (group_files.images[name] for name in (ORIGINAL, *round_.candidates))
                    write_line([group, *(digests[group_files.relative(path)] for path in paths)])
        write_round(round_)
    return DealResult(replace(round_, folder=output), warnings=tuple(map(str, equal.problems())))


def read_names(path: Path) -> list[str]:
    """The names in a file, one per line; empty lines and lines that start with # are skipped."""
    stripped = [line.strip() for line in read_utf8(path, RoundError).splitlines()]
    return [line for line in stripped if line and not line.startswith("#")]


def require_names(names: Sequence[str]) -> list[str]:
    """The names in normal form; RoundError if one is invalid, occurs twice, or looks the same as another."""
    cleaned, faults = [], []
    for name in names:
        try:
            cleaned.append(clean_name(name))
        except RoundError as error:
            faults.append(str(error))
    faults += [f"{name!r} occurs {count} times" for name, count in Counter(cleaned).items() if count > 1]
    faults += [compare_names(name, other) for name, other in find_lookalikes(dict.fromkeys(cleaned))]
    if faults:
        raise RoundError(f"{plural(len(faults), 'name')} cannot be used: {format_examples(faults)}")
    return cleaned


def read_known(path: Path, listing: Listing) -> tuple[dict[str, KnownAnswer], list[str]]:
    """Read known answers from a CSV file with the columns group, one per candidate and, optionally, note.

    Returns the answers in the order of the file, and a message for each faulty line.
    """
    columns, lines = read_csv(path)
    candidates = listing.candidates
    missing = [name for name in ("group", *candidates) if name not in columns]
    if missing:
        raise RoundError(f"{path}: columns {', '.join(missing)} are missing; found {', '.join(columns)}")
    ids = frozenset(listing.ids)
    looks = by_look(listing.ids)
    known: dict[str, KnownAnswer] = {}
    faults = []
    for number, line in enumerate(lines, start=2):
        words = [line[name].strip().lower() for name in candidates]
        wrong = [word for word in words if word and word not in _LABELS]
        group = line["group"]
        if group not in ids:
            faults.append(f"{path}, line {number}: unknown group {group!r}{note_lookalike(group, looks)}")
        elif group in known:
            faults.append(f"{path}, line {number}: group {group} occurs twice")
        elif wrong:
            expected = ", ".join(label.value for label in Label)
            faults.append(f"{path}, line {number}: unknown label {wrong[0]!r}; expected {expected} or an empty cell")
        else:
            labels = tuple(_LABELS[word] if word else None for word in words)
            known[group] = KnownAnswer(labels, line.get("note", "").strip())
    return known, faults


def _read_known_answers(
    settings: DealSettings, listing: Listing
) -> tuple[dict[str, KnownAnswer], dict[str, KnownAnswer]]:
    practice, faults = read_known(Path(settings.practice), listing) if settings.practice else ({}, [])
    gold, more = read_known(Path(settings.gold), listing) if settings.gold else ({}, [])
    faults += [*more, *(f"group {group} is both practice and gold" for group in practice.keys() & gold.keys())]
    _require_none(faults, "the known answers")
    return practice, gold


def _check_pictures(listing: Listing, workers: int | None, decode: bool, equal: EqualPictures) -> dict[str, str]:
    """Refuse groups that a build would refuse; return path to pixel digest of all pictures, if they are decoded.

    Each group is added to `equal`.
    """
    problems = [problem for problem in listing.problems if problem.group is None]
    digests: dict[str, str] = {}
    for found, group_digests in examine_groups(
        listing, workers=workers, decode=decode, labelled=False, label="checking"
    ):
        problems += found
        digests |= group_digests
        equal.add(group_digests)
    _require_none([str(problem) for problem in problems if problem.severity == "error"], str(listing.root))
    return digests


def _require_none(faults: Sequence[str], place: str) -> None:
    if faults:
        rest = [f"and {len(faults) - _MOST_SHOWN:,} more"] if len(faults) > _MOST_SHOWN else []
        lines = [f"  {fault}" for fault in [*faults[:_MOST_SHOWN], *rest]]
        raise RoundError(join_lines([f"{plural(len(faults), 'error')} in {place}:", *lines]))


def _span(numbers: Sequence[int], noun: str) -> str:
    """`4 groups` or `4 to 5 groups`."""
    low, high = min(numbers), max(numbers)
    return plural(low, noun) if low == high else f"{low:,} to {plural(high, noun)}"
