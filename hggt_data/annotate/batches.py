"""What each person of a round is given, in which order: votes in batches, and checks of quality among them.

Batches are also written to `batches/`, for people who use another tool.
"""

import random
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from pathlib import Path

from hggt_data.annotate.round import Annotator, Item, Kind, Round, write_pictures
from hggt_data.errors import RoundError
from hggt_data.io.files import is_system_file, write_text
from hggt_data.io.text import format_examples, plural
from hggt_data.schema import ORIGINAL, PatchId
from hggt_data.tree.layout import picture_name

BATCHES = "batches"


@dataclass(frozen=True)
class Checks:
    """What people are given beside the votes.

    Attributes:
        practice, gold: groups with known answers; everybody judges each once.
        repeats: how many groups of a batch the same person judges twice.
    """

    practice: tuple[PatchId, ...]
    gold: tuple[PatchId, ...]
    repeats: int

    @classmethod
    def of(cls, dealt: Round) -> "Checks":
        """Those that people of a round have."""
        items = [item for annotator in dealt.annotators for item in annotator.items]
        practice, gold = (
            tuple(dict.fromkeys(item.group for item in items if item.kind is kind))
            for kind in (Kind.PRACTICE, Kind.GOLD)
        )
        batches = [batch for annotator in dealt.annotators for batch in annotator.batches]
        repeats = (sum(item.kind is Kind.REPEAT for item in batch) for batch in batches)
        return cls(practice, gold, max(repeats, default=0))


def with_batches(
    person: Annotator,
    votes: Sequence[PatchId],
    checks: Checks,
    per_batch: int,
    rng: random.Random,
    answered: Container[Item] = frozenset(),
) -> Annotator:
    """A person with their batches: those that they keep, practice first, and after them what is new.

    Args:
        person: who; batches that they have are kept as far as they are answered or still theirs.
        votes: the groups that are theirs to vote on.
        checks: what comes beside, as far as they have not had it.
        per_batch: how many votes a batch holds at most.
        rng: of the order.
        answered: what they have answered already.
    """
    theirs = frozenset(votes)
    kept = [[item for item in batch if item in answered or _stays(person, item, theirs)] for batch in person.batches]
    had = {item for batch in kept for item in batch}
    new = [group for group in votes if Item(Kind.VOTE, group) not in had]
    batches = _cut(rng.sample(new, len(new)), per_batch)
    usual = max(map(len, kept), default=0)
    for batch in batches:
        share = min(1, len(batch) / usual) if usual else 1  # few groups that come later are not repeated more often
        _insert_repeats(batch, round(checks.repeats * share), rng)
    gold = [item for group in checks.gold if (item := Item(Kind.GOLD, group)) not in had]
    for number, item in enumerate(rng.sample(gold, len(gold)) if batches else []):
        batch = batches[number % len(batches)]
        batch.insert(rng.randrange(len(batch) + 1), item)
    missing = [item for group in checks.practice if (item := Item(Kind.PRACTICE, group)) not in had]
    if missing and batches:
        practice = [item for batch in kept for item in batch if item.kind is Kind.PRACTICE]
        others = [[item for item in batch if item.kind is not Kind.PRACTICE] for batch in kept]
        kept = [[*practice, *missing], *others]
    return replace(person, batches=tuple(tuple(batch) for batch in (*kept, *batches) if batch))


def write_batches(dealt: Round, folder: Path) -> None:
    """Write lists of groups, or folders of pictures in the official layout: `PSEUDONYM/001` and so on.

    Raises:
        OSError: they cannot be written.
    """
    for person in dealt.annotators:
        for number, batch in enumerate(person.batches if person.is_active else (), start=1):
            place = folder / person.pseudonym / f"{number:03d}"
            groups = dict.fromkeys(item.group for item in batch)
            if dealt.batch_form == "lists":
                write_text(place.with_suffix(".txt"), "".join(f"{group}\n" for group in groups))
            else:
                write_pictures(dealt, place, groups, copy=dealt.batch_form == "copies")


def require_own_batches(dealt: Round) -> None:
    """Refuse to write batches anew over what somebody else has put among them.

    Raises:
        RoundError: there is such a file; the message says where answers belong.
    """
    folder = dealt.folder / BATCHES
    files = [path for path in sorted(folder.rglob("*")) if not path.is_dir() and not is_system_file(path.name)]
    people = "|".join(annotator.pseudonym for annotator in dealt.annotators)
    own = re.compile(rf"({people})/[0-9]{{3,}}(\.txt|/(?P<picture>.+))")
    pictures = {
        f"{name}/{picture_name(group, name)}"
        for group in {item.group for annotator in dealt.annotators for item in annotator.items}
        for name in (ORIGINAL, *dealt.candidates)
    }
    places = [path.relative_to(folder).as_posix() for path in files]
    strangers = [
        place
        for place in places
        if not (match := own.fullmatch(place)) or (match["picture"] and match["picture"] not in pictures)
    ]
    if strangers:
        raise RoundError(
            f"{folder} is written anew, but holds {plural(len(strangers), 'file')} of somebody else: "
            f"{format_examples(strangers)}. Answers belong into {dealt.folder / Kind.VOTE.folder}/PSEUDONYM/"
            "GROUP.json; move what is there, and run this again"
        )


def _stays(person: Annotator, item: Item, votes: Container[PatchId]) -> bool:
    """Whether what is not answered stays with a person who has these votes; a repeat goes with what it repeats."""
    if item.kind is Kind.VOTE:
        return item.group in votes
    return person.is_active and (item.kind is not Kind.REPEAT or item.group in votes)


def _cut(groups: Sequence[PatchId], per_batch: int) -> list[list[Item]]:
    """As few batches as will do, as equal as can be."""
    number = ceil(len(groups) / per_batch)
    edges = [len(groups) * k // number for k in range(number + 1)] if number else []
    return [[Item(Kind.VOTE, group) for group in groups[a:b]] for a, b in pairwise(edges)]


def _insert_repeats(batch: list[Item], repeats: int, rng: random.Random) -> None:
    """Show some groups of a batch again, a third of it later at least."""
    later = max(1, len(batch) // 3)
    early = batch[: max(1, len(batch) - later)]
    for item in rng.sample(early, min(repeats, len(early))):
        first = batch.index(item)
        batch.insert(rng.randint(min(first + later, len(batch)), len(batch)), Item(Kind.REPEAT, item.group))
