"""A round of annotation on disk: who is to judge what, and where each answer lies.

`assignments.json` says what was dealt (`deal.py` writes it), and stays with whoever runs the round: it holds the names
of people. Answers lie by pseudonym: `votes/PSEUDONYM/GROUP.json` in the official format, and beside `votes/` the
answers that do not count as votes, in `practice/`, `gold/` and `repeats/`. How a group was shown is in `shown/`, what
people could not judge in `skips/`, each with the same folders below.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from hggt_data.errors import RoundError
from hggt_data.io.files import link_or_copy, read_json, write_json
from hggt_data.io.folders import lock_folder
from hggt_data.schema import ORIGINAL, Label, PatchId
from hggt_data.tree.annotators import clean_name
from hggt_data.tree.layout import picture_name

ASSIGNMENTS = "assignments.json"
INSTRUCTIONS = "instructions.txt"
TEXTS = "texts.json"
PICTURES = "pictures.csv"  # group, and a digest of the pixels of each of its pictures when it was dealt

BatchForm = Literal["lists", "links", "copies"]

_FORMAT = 1


class Kind(Enum):
    """What an answer is for. The value is the word in `assignments.json`.

    Votes make the consensus. Of the others a person does not know, but for practice: gold groups have a known answer,
    repeats are groups that the same person judges a second time.
    """

    VOTE = "vote"
    PRACTICE = "practice"
    GOLD = "gold"
    REPEAT = "repeat"

    @property
    def folder(self) -> str:
        """Where answers of this kind lie in a round."""
        return {Kind.VOTE: "votes", Kind.REPEAT: "repeats"}.get(self, self.value)


@dataclass(frozen=True, slots=True)
class Item:
    """One group for one person to judge, once."""

    kind: Kind
    group: PatchId

    def __str__(self) -> str:
        return f"{self.kind.value} {self.group}"

    @classmethod
    def parse(cls, text: str) -> "Item":
        """Read `KIND GROUP`, the form in `assignments.json`.

        Raises:
            ValueError: it is something else.
        """
        kind, _, group = text.partition(" ")
        return cls(Kind(kind), PatchId.parse(group))


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """What is right for a practice or gold group.

    Attributes:
        labels: one per candidate; null where any label will do.
        note: why, for practice: shown once the person has answered.
    """

    labels: tuple[Label | None, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Annotator:
    """A person who takes part.

    Attributes:
        name: stays in the round.
        pseudonym: names the folders of answers, and is all that leaves the round.
        batches: what to judge, in order; practice, where there is any, is a batch of its own and the first.
        is_active: false once dropped; what was answered stays.
    """

    name: str
    pseudonym: str
    batches: tuple[tuple[Item, ...], ...] = ()
    is_active: bool = True

    @property
    def items(self) -> tuple[Item, ...]:
        """Everything dealt to the person, in order."""
        return tuple(item for batch in self.batches for item in batch)

    @property
    def groups_to_vote_on(self) -> set[PatchId]:
        """The groups whose votes the person was dealt."""
        return groups_to_vote_on(self.items)


@dataclass(frozen=True)
class Round:
    """A round of annotation; see the module.

    Attributes:
        folder: where it lies.
        patches: the pictures: `original/GROUP.png`, `01/GROUP_01.png` and so on.
        candidates: names of the enhanced versions, sorted.
        votes: how many people judge each group.
        per_batch: how many votes a batch holds at most.
        seed: of the dealing.
        batch_form: how batches are written for people who use another tool: `lists`, `links` or `copies` of pictures.
        secret: the order in which candidates are shown follows from it, so that nobody can tell it beforehand.
        annotators: in the order in which they were named.
        known: the right answers of practice and gold groups.
    """

    folder: Path
    patches: Path
    candidates: tuple[str, ...]
    votes: int
    per_batch: int
    seed: int
    secret: str
    annotators: tuple[Annotator, ...]
    known: Mapping[PatchId, KnownAnswer] = field(default_factory=dict)
    batch_form: BatchForm = "lists"

    @property
    def groups_to_vote_on(self) -> set[PatchId]:
        """The groups whose votes were dealt to anybody."""
        return set[PatchId]().union(*(annotator.groups_to_vote_on for annotator in self.annotators))

    def annotator(self, name: str) -> Annotator:
        """The person of a name.

        Raises:
            RoundError: nobody is called so; the message names those who take part.
        """
        for annotator in self.annotators:
            if annotator.name == clean_name(name):
                return annotator
        names = ", ".join(annotator.name for annotator in self.annotators)
        raise RoundError(f"{self.folder}: nobody called {name!r} takes part; expected one of {names}")

    def picture(self, group: PatchId, name: str) -> Path:
        """Where an original or a candidate lies."""
        return self.patches / name / picture_name(group, name)

    def answer_path(self, annotator: Annotator, item: Item) -> Path:
        """Where a person's answer lies, in the official format."""
        return self.folder / _place(annotator, item)

    def shown_path(self, annotator: Annotator, item: Item) -> Path:
        """Where it lies how the group was shown and judged: order, pauses, display."""
        return self.folder / "shown" / _place(annotator, item)

    def skip_path(self, annotator: Annotator, item: Item) -> Path:
        """Where it lies why a person could not judge a group."""
        return self.folder / "skips" / _place(annotator, item)

    def with_annotators(self, annotators: tuple[Annotator, ...]) -> "Round":
        """The same round with other people or other batches."""
        return replace(self, annotators=annotators)


def lock_round(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from serving a round, or from dealing it anew.

    Raises:
        OutputError: one does.
        OSError: it is not there.
    """
    return lock_folder(folder, f"{folder} is served by hggt-data annotate, or dealt anew just now; stop that first")


def groups_to_vote_on(items: Iterable[Item]) -> set[PatchId]:
    """The groups of those items that are votes."""
    return {item.group for item in items if item.kind is Kind.VOTE}


def write_round(dealt: Round) -> None:
    """Write `assignments.json`, for the eyes of its owner only.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    content = {
        "format": _FORMAT,
        "patches": os.path.relpath(dealt.patches.resolve(), dealt.folder.resolve()),
        "candidates": list(dealt.candidates),
        "votes": dealt.votes,
        "per_batch": dealt.per_batch,
        "seed": dealt.seed,
        "secret": dealt.secret,
        "batch_form": dealt.batch_form,
        "known": {
            str(group): {"labels": [label and label.value for label in answer.labels], "note": answer.note}
            for group, answer in sorted(dealt.known.items())
        },
        "annotators": [
            {
                "name": annotator.name,
                "pseudonym": annotator.pseudonym,
                "active": annotator.is_active,
                "batches": [[str(item) for item in batch] for batch in annotator.batches],
            }
            for annotator in dealt.annotators
        ],
    }
    write_json(dealt.folder / ASSIGNMENTS, content, private=True)


def read_round(folder: Path, patches: Path | None = None) -> Round:
    """Read the round in a folder.

    Args:
        folder: what `hggt-data deal` wrote.
        patches: where the pictures are, if they were moved since.

    Raises:
        RoundError: it is no round, `assignments.json` is damaged, or the pictures are not where they were.
        OSError: it cannot be read.
    """
    path = folder / ASSIGNMENTS
    try:
        content = read_json(path, RoundError, "restore it from a copy")
    except FileNotFoundError as error:
        raise RoundError(f"{folder} is no round (no {ASSIGNMENTS} in it); hggt-data deal makes one") from error
    try:
        dealt = _round_of(folder, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RoundError(f"{path} is damaged ({error!r}); restore it from a copy") from error
    if patches is not None:
        dealt = replace(dealt, patches=patches)
    if not dealt.patches.is_dir():
        raise RoundError(
            f"{dealt.patches}: the patches of this round are missing; pass `patches`, or record their new folder with "
            f"hggt-data reassign {folder} --input DIR"
        )
    return dealt


def write_pictures(dealt: Round, images: Path, groups: Iterable[PatchId], *, copy: bool) -> None:
    """Write the pictures of groups into `original/`, `01/` and so on: copies, or else links where that can be.

    Raises:
        OSError: it cannot be done.
    """
    groups = list(groups)
    for name in (ORIGINAL, *dealt.candidates):
        (images / name).mkdir(parents=True)
        for group in groups:
            link_or_copy(dealt.picture(group, name), images / name / picture_name(group, name), copy=copy)


def _round_of(folder: Path, content: dict[str, Any]) -> Round:
    if content["format"] != _FORMAT:
        raise ValueError(f"format {content['format']!r}, expected {_FORMAT}")
    return Round(
        folder=folder,
        patches=folder / content["patches"],
        candidates=tuple(content["candidates"]),
        votes=content["votes"],
        per_batch=content["per_batch"],
        seed=content["seed"],
        secret=content["secret"],
        batch_form=content["batch_form"],
        annotators=tuple(
            Annotator(
                name=entry["name"],
                pseudonym=entry["pseudonym"],
                batches=tuple(tuple(Item.parse(text) for text in batch) for batch in entry["batches"]),
                is_active=entry["active"],
            )
            for entry in content["annotators"]
        ),
        known={
            PatchId.parse(group): KnownAnswer(
                tuple(None if label is None else Label(label) for label in answer["labels"]), answer["note"]
            )
            for group, answer in content["known"].items()
        },
    )


def _place(annotator: Annotator, item: Item) -> Path:
    return Path(item.kind.folder, annotator.pseudonym, f"{item.group}.json")
