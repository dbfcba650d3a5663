"""What each annotator sees in which order: batches of votes, mixed with checks of quality.

Batches are also written to `batches/`, for other annotation tools.
"""

import random
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import ceil
from pathlib import Path

from hggt_data.annotate.round import Annotator, Item, Kind, Round, write_pictures
from hggt_data.errors import RoundError
from hggt_data.io.files import is_system_file, write_text
from hggt_data.io.text import format_examples, plural
from hggt_data.schema import ORIGINAL
from hggt_data.tree.hggt_folders import picture_name

BATCHES = "batches"


@dataclass(frozen=True)
class Checks:
    """Groups that annotators judge in addition to their votes.

    Attributes:
        practice: Groups with known answers that every annotator judges first.
        gold: Groups with known answers that every annotator judges once.
        repeats: Number of groups per batch that the same annotator judges twice.
    """

    practice: tuple[str, ...]
    gold: tuple[str, ...]
    repeats: int

    @classmethod
    def of(cls, round_: Round) -> "Checks":
        """The checks of an existing round."""
        items = [item for annotator in round_.annotators for item in annotator.items]
        practice, gold = (
            tuple(dict.fromkeys(item.group for item in items if item.kind is kind))
            for kind in (Kind.PRACTICE, Kind.GOLD)
        )
        batches = [batch for annotator in round_.annotators for batch in annotator.batches]
        repeats = (sum(item.kind is Kind.REPEAT for item in batch) for batch in batches)
        return cls(practice, gold, max(repeats, default=0))


def with_batches(
    annotator: Annotator,
    votes: Sequence[str],
    checks: Checks,
    per_batch: int,
    rng: random.Random,
    answered: Container[Item] = frozenset(),
) -> Annotator:
    """An annotator with batches for these votes.

    Existing batches keep the items that are answered or still assigned; practice comes first, new batches last.
    """
    assigned = frozenset(votes)
    kept = [
        [item for item in batch if item in answered or _stays(annotator, item, assigned)] for batch in annotator.batches
    ]
    existing = {item for batch in kept for item in batch}
    new = [group for group in votes if Item(Kind.VOTE, group) not in existing]
    batches = _cut(rng.sample(new, len(new)), per_batch)
    usual = max(map(len, kept), default=0)
    for batch in batches:
        share = min(1, len(batch) / usual) if usual else 1  # a small later batch gets fewer repeats
        _insert_repeats(batch, round(checks.repeats * share), rng)
    if batches:
        gold = [item for group in checks.gold if (item := Item(Kind.GOLD, group)) not in answered]
        again = set(gold)  # unanswered gold is mixed into the new work as well
        kept = [[item for item in batch if item not in again] for batch in kept]
        _insert_evenly(rng.sample(gold, len(gold)), [*kept, *batches], answered, rng)
        practice = [item for batch in kept for item in batch if item.kind is Kind.PRACTICE]
        missing = [item for group in checks.practice if (item := Item(Kind.PRACTICE, group)) not in existing]
        others = [[item for item in batch if item.kind is not Kind.PRACTICE] for batch in kept]
        kept = [[*practice, *missing], *others]
    return replace(annotator, batches=tuple(tuple(batch) for batch in (*kept, *batches) if batch))


def write_batches(round_: Round, folder: Path) -> None:
    """Write `PSEUDONYM/001` and so on: lists of groups, or folders of pictures in the official layout."""
    for annotator in round_.annotators:
        for number, batch in enumerate(annotator.batches if annotator.is_active else (), start=1):
            place = folder / annotator.pseudonym / f"{number:03d}"
            groups = dict.fromkeys(item.group for item in batch)
            if round_.batch_form == "lists":
                write_text(place.with_suffix(".txt"), "".join(f"{group}\n" for group in groups))
            else:
                write_pictures(round_, place, groups, copy=round_.batch_form == "copies")


def require_own_batches(round_: Round) -> None:
    """Refuse to replace files in `batches/` that hggt did not write."""
    folder = round_.folder / BATCHES
    files = [path for path in sorted(folder.rglob("*")) if not path.is_dir() and not is_system_file(path.name)]
    pseudonyms = "|".join(re.escape(annotator.pseudonym) for annotator in round_.annotators)
    own = re.compile(rf"({pseudonyms})/[0-9]{{3,}}(\.txt|/(?P<picture>.+))")
    pictures = {
        f"{name}/{picture_name(group, name)}"
        for group in {item.group for annotator in round_.annotators for item in annotator.items}
        for name in (ORIGINAL, *round_.candidates)
    }
    places = [path.relative_to(folder).as_posix() for path in files]
    unknown_files = [
        place
        for place in places
        if not (match := own.fullmatch(place)) or (match["picture"] and match["picture"] not in pictures)
    ]
    if unknown_files:
        raise RoundError(
            f"{folder} would be replaced, but contains {plural(len(unknown_files), 'file')} that hggt did not write: "
            f"{format_examples(unknown_files)}. Move answers to {round_.folder / Kind.VOTE.folder}/PSEUDONYM/"
            "GROUP.json and other files out of the folder, then run the command again."
        )


def _stays(annotator: Annotator, item: Item, votes: Container[str]) -> bool:
    """Whether an unanswered item stays with an annotator who has these votes; a repeat stays with its vote."""
    if item.kind is Kind.VOTE:
        return item.group in votes
    return annotator.is_active and (item.kind is not Kind.REPEAT or item.group in votes)


def _cut(groups: Sequence[str], per_batch: int) -> list[list[Item]]:
    """Batches of votes: as few as possible, sizes differing by at most one."""
    number = ceil(len(groups) / per_batch)
    edges = [len(groups) * k // number for k in range(number + 1)] if number else []
    return [[Item(Kind.VOTE, group) for group in groups[a:b]] for a, b in pairwise(edges)]


def _insert_repeats(batch: list[Item], repeats: int, rng: random.Random) -> None:
    """Repeat some groups of a batch, each at least a third of the batch later, evenly over the rest of it."""
    later = max(1, len(batch) // 3)
    places = len(batch) - later + 1
    number = min(repeats, max(1, len(batch) - later))
    left = list(range(len(batch)))
    inserted = []
    for place in _stratified(number, places, rng):
        first = rng.choice([index for index in left if index <= place])
        left.remove(first)
        inserted.append((later + place, Item(Kind.REPEAT, batch[first].group)))
    for place, item in reversed(inserted):
        batch.insert(place, item)


def _insert_evenly(
    gold: Sequence[Item], batches: Sequence[list[Item]], answered: Container[Item], rng: random.Random
) -> None:
    """Insert gold groups among the unanswered items of all batches, so that they check every part of the work."""
    unanswered = [
        [place for place, item in enumerate(batch) if item not in answered and item.kind is not Kind.PRACTICE]
        for batch in batches
    ]
    edges = [0, *accumulate(map(len, unanswered))]
    due = [int(len(gold) * edge / edges[-1] + 0.5) for edge in edges]
    for batch, places, (first, last) in zip(batches, unanswered, pairwise(due), strict=True):
        for k, place in reversed([*enumerate(_stratified(last - first, len(places) + 1, rng))]):
            batch.insert([*places, len(batch)][place], gold[first + k])


def _stratified(number: int, places: int, rng: random.Random) -> list[int]:
    """Places in ascending order, one drawn from each of `number` equal parts of `range(places)`."""
    return [int((k + rng.random()) * places / number) for k in range(number)]
