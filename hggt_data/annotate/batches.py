"""What each annotator sees in which order: batches of votes, mixed with checks of quality.

Batches are also written to `batches/`, for other annotation tools.
"""

import random
import re
from collections.abc import Container, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import ceil
from operator import itemgetter
from pathlib import Path

from hggt_data.annotate.answers import Answers
from hggt_data.annotate.round import Annotator, Checks, Item, Kind, Round, write_pictures
from hggt_data.annotate.study.comparisons import Comparisons
from hggt_data.errors import RoundError
from hggt_data.io.files import is_system_file, write_text
from hggt_data.io.text import format_examples, plural
from hggt_data.schema import ORIGINAL
from hggt_data.tree.hggt_folders import picture_name

BATCHES = "batches"


def with_batches(
    annotator: Annotator,
    votes: Sequence[str],
    checks: Checks,
    per_batch: int,
    rng: random.Random,
    answers: Answers | None = None,
    study: Comparisons | None = None,
) -> Annotator:
    """An annotator with batches for these votes; in a study, each new batch has one question.

    Existing batches keep what is answered or still assigned; practice comes first, new batches last. Whenever the votes
    change, repeats and gold are spread again over all unanswered votes.
    """
    answers = answers or Answers()
    assigned = frozenset(votes)
    if annotator.is_active and assigned == annotator.groups_to_vote_on:
        return annotator
    settled = set(answers.annotations)
    if annotator.is_active:
        first = {*assigned, *checks.gold}  # a repeat of other groups would be their first time
        settled |= {
            item
            for item in (*answers.begun, *answers.skips)
            if item.kind is not Kind.VOTE and (item.kind is not Kind.REPEAT or item.group in first)
        }
    kept = [
        [item for item in batch if item in settled or (item.kind is Kind.VOTE and item.group in assigned)]
        for batch in annotator.batches
    ]
    existing = {item for batch in kept for item in batch}
    new = [group for group in votes if Item(Kind.VOTE, group) not in existing]
    new = rng.sample(new, len(new))
    batches = [*kept, *(batch for block in _by_question(new, study, rng) for batch in _cut(block, per_batch))]
    if any(item.kind is Kind.VOTE and item not in settled for batch in batches for item in batch):
        _insert_repeats(batches, checks.repeats, per_batch, settled, rng)
        _insert_evenly(_choose_gold(batches, checks.gold, answers, settled, rng), batches, settled, rng)
        practice = [item for batch in batches for item in batch if item.kind is Kind.PRACTICE]
        missing = [item for group in checks.practice if (item := Item(Kind.PRACTICE, group)) not in existing]
        others = [[item for item in batch if item.kind is not Kind.PRACTICE] for batch in batches]
        batches = [[*practice, *missing], *others]
    return replace(annotator, batches=tuple(tuple(batch) for batch in batches if batch))


def write_batches(round_: Round, folder: Path) -> None:
    """Write `PSEUDONYM/001` and so on: lists of groups, or folders of pictures in the official layout.

    A group that is judged again in a later batch is listed once.
    """
    for annotator in round_.annotators:
        listed: set[str] = set()
        for number, batch in enumerate(annotator.batches if annotator.is_active else (), start=1):
            place = folder / annotator.pseudonym / f"{number:03d}"
            groups = dict.fromkeys(item.group for item in batch if item.group not in listed)
            listed |= groups.keys()
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


def _by_question(votes: Sequence[str], study: Comparisons | None, rng: random.Random) -> list[list[str]]:
    """The votes of each question of a study, in random order of the questions; all votes of other rounds."""
    if study is None:
        return [list(votes)]
    questions = range(len(study.plan.questions))
    blocks = [[vote for vote in votes if study.by_id[vote].question == question] for question in questions]
    return rng.sample(blocks, len(blocks))


def _cut(groups: Sequence[str], per_batch: int) -> list[list[Item]]:
    """Batches of votes: as few as possible, sizes differing by at most one."""
    number = ceil(len(groups) / per_batch)
    edges = [len(groups) * k // number for k in range(number + 1)] if number else []
    return [[Item(Kind.VOTE, group) for group in groups[a:b]] for a, b in pairwise(edges)]


def _insert_repeats(
    batches: Sequence[list[Item]], repeats: int, per_batch: int, settled: Container[Item], rng: random.Random
) -> None:
    """Repeat some groups of each batch that has unanswered votes: evenly, and each at least a third of a batch later.

    A batch with fewer unanswered votes than usual gets fewer, but at least one. A batch that is too small to repeat its
    own groups repeats those of earlier batches.
    """
    repeated = {item.group for batch in batches for item in batch if item.kind is Kind.REPEAT}
    sizes = [sum(item.kind is Kind.VOTE for item in batch) for batch in batches]
    load = sum(sizes)
    usual = max(*sizes, ceil(load / ceil(load / per_batch)))
    earlier: list[str] = []
    owed = 0
    for batch in batches:
        votes = [item.group for item in batch if item.kind is Kind.VOTE]
        later = max(ceil(min(usual, len(earlier) + len(votes)) / 3), min(2, load))  # never at once
        before = [0, *accumulate(item.kind is Kind.VOTE for item in batch)]  # votes before each place
        unanswered = [place for place, item in enumerate(batch) if item.kind is Kind.VOTE and item not in settled]
        ends = (*unanswered, len(batch))
        places = [place for place in ends if before[place] >= later] or [
            place for place in ends if len(earlier) + before[place] >= later
        ]
        number = owed + min(repeats, ceil(repeats * len(unanswered) / usual)) if unanswered else 0
        inserted: list[tuple[int, Item]] = []
        for k in _stratified(min(number, len(places)), len(places), rng):
            for place in places[k:]:
                edge = before[place] - later + 1  # the votes up to here were judged long enough ago
                own = [group for group in votes[: max(0, edge)] if group not in repeated]
                if choice := own or [g for g in earlier[: len(earlier) + min(0, edge)] if g not in repeated]:
                    group = rng.choice(choice)
                    repeated.add(group)
                    inserted.append((place, Item(Kind.REPEAT, group)))
                    break
        if unanswered:
            owed = int(number > 0 and not inserted)
        for place, item in sorted(inserted, key=itemgetter(0), reverse=True):
            batch.insert(place, item)
        earlier += votes


def _choose_gold(
    batches: Sequence[Sequence[Item]],
    gold: Sequence[str],
    answers: Answers,
    settled: Container[Item],
    rng: random.Random,
) -> list[Item]:
    """All gold groups that are not judged yet, and repeats if there are too few for the unanswered votes.

    The repeats are of gold groups, and of votes when all gold was repeated; the earliest answered first.
    """
    items = [item for batch in batches for item in batch]
    votes = [item for item in items if item.kind is Kind.VOTE]
    left = [item for group in gold if (item := Item(Kind.GOLD, group)) not in settled]
    share = sum(item not in settled for item in votes) / len(votes)
    wanted = max(1, round(len(gold) * share)) if gold else 0
    answered = [item for item in items if item in answers.annotations]
    again = [item.group for kind in (Kind.GOLD, Kind.VOTE) for item in answered if item.kind is kind]
    repeated = {item.group for item in items if item.kind is Kind.REPEAT}
    repeats = [Item(Kind.REPEAT, group) for group in again if group not in repeated][: max(0, wanted - len(left))]
    is_first = rng.sample([True] * len(left) + [False] * len(repeats), len(left) + len(repeats))
    first, second = iter(rng.sample(left, len(left))), iter(repeats)
    return [next(first) if is_ else next(second) for is_ in is_first]


def _insert_evenly(
    checks: Sequence[Item], batches: Sequence[list[Item]], settled: Container[Item], rng: random.Random
) -> None:
    """Insert checks among the unanswered items of all batches, so that they reach every part of the work."""
    unanswered = [
        [place for place, item in enumerate(batch) if item not in settled and item.kind is not Kind.PRACTICE]
        for batch in batches
    ]
    edges = [0, *accumulate(map(len, unanswered))]
    # Each check has an equal part of the work, and is in the batch that has the middle of its part.
    part = edges[-1] / max(1, len(checks))
    due = [int(len(checks) * edge / edges[-1] + 0.5) for edge in edges]
    for number, (batch, places) in enumerate(zip(batches, unanswered, strict=True)):
        start, end = edges[number : number + 2]
        first, last = due[number : number + 2]
        for k in reversed(range(first, last)):
            place = rng.uniform(max(start, k * part), min(end, (k + 1) * part)) - start
            batch.insert([*places, len(batch)][int(place + 0.5)], checks[k])


def _stratified(number: int, places: int, rng: random.Random) -> list[int]:
    """Places in ascending order, one drawn from each of `number` equal parts of `range(places)`."""
    return [int((k + rng.random()) * places / number) for k in range(number)]
