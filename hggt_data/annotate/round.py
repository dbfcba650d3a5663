"""An annotation round on disk: who judges what, and the path of each answer.

`assignments.json` holds the assignments and the annotators' names; it never leaves the round. Answers are stored by
pseudonym in the official format: `votes/PSEUDONYM/GROUP.json`, and in `practice/`, `gold/` and `repeats/` those that do
not count as votes. `shown/` records how each group was shown, `skips/` why it was skipped, in the same subfolders.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

from hggt_data.annotate.study.comparisons import Comparison, Comparisons, StudyEntry, parse_comparisons
from hggt_data.errors import RoundError
from hggt_data.io.files import link_or_copy, read_json, write_json
from hggt_data.io.folders import lock_folder
from hggt_data.io.names import by_look, note_lookalike
from hggt_data.io.parsing import read_value
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.schema import HGGT_PROTOCOL, ORIGINAL, Label, Protocol, group_order, require_group_id
from hggt_data.study_plan import read_plan
from hggt_data.tree.annotators import clean_name
from hggt_data.tree.hggt_folders import picture_name

ASSIGNMENTS = "assignments.json"
TEXTS = "texts.json"
PICTURES = "pictures.csv"  # columns: group, and for each of its pictures a digest of the pixels when it was assigned

BatchForm = Literal["lists", "links", "copies"]

_FORMAT = 1


class Kind(Enum):
    """The purpose of an answer; the value is the word in `assignments.json`.

    Only votes count for the consensus. Gold groups have known answers, repeats (of votes or gold) are judged a second
    time by the same annotator; the annotator recognises neither.
    """

    VOTE = "vote"
    PRACTICE = "practice"
    GOLD = "gold"
    REPEAT = "repeat"

    @property
    def folder(self) -> str:
        """The folder of these answers in a round."""
        return {Kind.VOTE: "votes", Kind.REPEAT: "repeats"}.get(self, self.value)


SUBFOLDERS = (*(kind.folder for kind in Kind), "shown", "skips")  # of a round, with its answers


@dataclass(frozen=True, slots=True)
class Item:
    """One group that one annotator judges once.

    Attributes:
        candidate: In a blind round, the candidate of one pair on the page; None for the whole group.
    """

    kind: Kind
    group: str
    candidate: str | None = None

    @property
    def whole(self) -> "Item":
        """The whole group of a pair."""
        return Item(self.kind, self.group)

    def __str__(self) -> str:
        pair = "" if self.candidate is None else f" {self.candidate}"
        return f"{self.kind.value} {self.group}{pair}"

    @classmethod
    def parse(cls, text: str) -> "Item":
        """Read `KIND GROUP`, the form in `assignments.json`."""
        kind, _, group = text.partition(" ")
        return cls(Kind(kind), require_group_id(group))


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """The correct labels of a practice or gold group.

    Attributes:
        labels: One per candidate; None if any label is correct.
        note: An explanation, shown after a practice answer.
    """

    labels: tuple[Label | None, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Annotator:
    """An annotator of a round.

    Attributes:
        name: Never leaves the round.
        pseudonym: Names the folders of answers; replaces the name outside the round.
        batches: Items in the order shown; practice is a separate first batch.
        is_active: False after the annotator was dropped; answers stay.
    """

    name: str
    pseudonym: str
    batches: tuple[tuple[Item, ...], ...] = ()
    is_active: bool = True

    @property
    def items(self) -> tuple[Item, ...]:
        """All assigned items, in order."""
        return tuple(item for batch in self.batches for item in batch)

    @property
    def groups_to_vote_on(self) -> set[str]:
        """The groups on which the annotator votes."""
        return groups_to_vote_on(self.items)


@dataclass(frozen=True)
class Checks:
    """Groups that annotators judge in addition to their votes.

    Attributes:
        practice: Groups with known answers that every annotator judges first.
        gold: Groups with known answers that every annotator judges once.
        repeats: Number of groups per batch that the same annotator judges twice.
    """

    practice: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()
    repeats: int = 0


@dataclass(frozen=True)
class Round:
    """An annotation round; see the module.

    Attributes:
        patches: Folder of `original/GROUP.png`, `01/GROUP_01.png` and so on.
        candidates: Names of the enhanced versions, sorted.
        votes: Votes per group.
        per_batch: Maximum number of votes per batch.
        seed: Random seed of the assignment.
        secret: Determines the order in which candidates are shown, so that it cannot be predicted.
        known: Correct labels of practice and gold groups.
        batch_form: Form of the batches for other annotation tools.
        protocol: How the annotators are asked.
        checks: What they judge in addition to their votes.
        license: Licence id of the pictures; by default the terms of the official data.
        study: In a study of methods, what is compared: each group is then a comparison, and `patches` has the pictures.
    """

    folder: Path
    patches: Path
    candidates: tuple[str, ...]
    votes: int
    per_batch: int
    seed: int
    secret: str
    annotators: tuple[Annotator, ...]
    known: Mapping[str, KnownAnswer] = field(default_factory=dict)
    batch_form: BatchForm = "lists"
    protocol: Protocol = HGGT_PROTOCOL
    checks: Checks = Checks()
    study: Comparisons | None = None
    license: str = HGGT_LICENSE_NAME

    @property
    def groups_to_vote_on(self) -> set[str]:
        """The groups on which any annotator votes."""
        return set[str]().union(*(annotator.groups_to_vote_on for annotator in self.annotators))

    def annotator(self, name: str) -> Annotator:
        """The annotator with this name."""
        for annotator in self.annotators:
            if annotator.name == clean_name(name):
                return annotator
        names = [annotator.name for annotator in self.annotators]
        hint = note_lookalike(name, by_look(names)) or f"; expected one of {', '.join(names)}"
        raise RoundError(f"{self.folder}: {name!r} is not an annotator of this round{hint}")

    def comparison(self, item: Item) -> Comparison | None:
        """What an item of a study compares; None in other rounds."""
        return None if self.study is None else self.study.by_id[item.group]

    def versions(self, item: Item) -> tuple[str, ...]:
        """What an answer labels, in the order of its labels: the candidates, or in a study those that are compared."""
        comparison = self.comparison(item)
        return self.candidates if comparison is None else comparison.versions

    def picture(self, group: str, name: str) -> Path:
        """Path of an original or a candidate."""
        return self.patches / name / picture_name(group, name)

    def answer_path(self, annotator: Annotator, item: Item) -> Path:
        """Path of an answer, in the official format."""
        return self.folder / _relative_path(annotator, item)

    def shown_path(self, annotator: Annotator, item: Item) -> Path:
        """Path of the record of how the group was shown: order, pauses, display."""
        return self.folder / "shown" / _relative_path(annotator, item)

    def skip_path(self, annotator: Annotator, item: Item) -> Path:
        """Path of the reason why the annotator skipped a group."""
        return self.folder / "skips" / _relative_path(annotator, item)

    def with_annotators(self, annotators: tuple[Annotator, ...]) -> "Round":
        """The same round with these annotators."""
        return replace(self, annotators=annotators)


def lock_round(folder: Path) -> AbstractContextManager[None]:
    """Prevent other processes from serving or changing the round."""
    if not folder.is_dir():
        raise RoundError(f"{folder}: no such folder; expected an annotation round")
    return lock_folder(folder, f"{folder} is in use by hggt-data annotate or hggt-data reassign; stop that first")


def groups_to_vote_on(items: Iterable[Item]) -> set[str]:
    """The groups of the items that are votes."""
    return {item.group for item in items if item.kind is Kind.VOTE}


def write_round(round_: Round) -> None:
    """Write `assignments.json`, readable by its owner only."""
    content = {
        "format": _FORMAT,
        "patches": os.path.relpath(round_.patches.resolve(), round_.folder.resolve()),
        "candidates": list(round_.candidates),
        "votes": round_.votes,
        "per_batch": round_.per_batch,
        "seed": round_.seed,
        "secret": round_.secret,
        "batch_form": round_.batch_form,
        "protocol": asdict(round_.protocol),
        "checks": asdict(round_.checks),
        "license": round_.license,
        "known": {
            str(group): {"labels": [label and label.value for label in answer.labels], "note": answer.note}
            for group, answer in sorted(round_.known.items(), key=lambda entry: group_order(entry[0]))
        },
        "annotators": [
            {
                "name": annotator.name,
                "pseudonym": annotator.pseudonym,
                "active": annotator.is_active,
                "batches": [[str(item) for item in batch] for batch in annotator.batches],
            }
            for annotator in round_.annotators
        ],
    }
    if round_.study is not None:
        content["study"] = round_.study.to_json()
    write_json(round_.folder / ASSIGNMENTS, content, private=True)


def read_round(folder: Path, patches: Path | None = None) -> Round:
    """Read the round in a folder.

    Args:
        folder: Round to read.
        patches: Folder of the patches, if they were moved.
    """
    path = folder / ASSIGNMENTS
    try:
        content = read_json(path, RoundError, "restore it from a copy")
    except FileNotFoundError as error:
        raise RoundError(
            f"{folder} is not an annotation round: {ASSIGNMENTS} is missing; create a round with hggt-data deal"
        ) from error
    try:
        round_ = _parse_round(folder, content)
    except RoundError:
        raise
    except ValueError as error:
        raise RoundError(f"{path} is damaged ({error}); restore it from a copy") from error
    if patches is not None:
        round_ = replace(round_, patches=patches)
    if not round_.patches.is_dir():
        raise RoundError(f"{round_.patches}: the patches of this round are missing; pass their new folder as `patches`")
    return round_


def write_pictures(round_: Round, images: Path, groups: Iterable[str], *, copy: bool) -> None:
    """Write the pictures of groups to `original/`, `01/` and so on: copies, or hard links if possible."""
    groups = list(groups)
    for name in (ORIGINAL, *round_.candidates):
        (images / name).mkdir(parents=True)
        for group in groups:
            link_or_copy(round_.picture(group, name), images / name / picture_name(group, name), copy=copy)


class _AnnotatorEntry(TypedDict):
    name: str
    pseudonym: str
    active: bool
    batches: list[list[str]]


class _KnownEntry(TypedDict):
    labels: list[Literal["Positive", "Similar", "Negative"] | None]
    note: str


class _Assignments(TypedDict):
    patches: str
    candidates: list[str]
    votes: int
    per_batch: int
    seed: int
    secret: str
    batch_form: BatchForm
    protocol: NotRequired[Protocol]
    require_full_zoom: NotRequired[bool]  # of rounds that were dealt before there were protocols
    checks: NotRequired[Checks]
    annotators: list[_AnnotatorEntry]
    known: dict[str, _KnownEntry]
    study: NotRequired[StudyEntry]
    license: NotRequired[str]


def _parse_round(folder: Path, content: object) -> Round:
    """The round that `write_round` wrote; ValueError if it is another content, or names lead out of the folder."""
    if isinstance(content, dict) and content.get("format") != _FORMAT:
        raise ValueError(f"format {content.get('format')!r}, expected {_FORMAT}")
    values: _Assignments = read_value(_Assignments, content)
    names = [*values["candidates"], *(entry["pseudonym"] for entry in values["annotators"])]
    if strange := [name for name in names if name in ("", ".", "..") or "/" in name]:
        raise ValueError(f"{strange[0]!r} is not the name of a folder")
    annotators = tuple(
        Annotator(
            name=entry["name"],
            pseudonym=entry["pseudonym"],
            batches=tuple(tuple(Item.parse(text) for text in batch) for batch in entry["batches"]),
            is_active=entry["active"],
        )
        for entry in values["annotators"]
    )
    study = parse_comparisons(read_plan(folder), values["study"]) if "study" in values else None
    if study is not None:
        for annotator in annotators:
            if lacking := [item for item in annotator.items if (annotator.pseudonym, str(item)) not in study.orders]:
                raise ValueError(f"{lacking[0]} has no order")
    return Round(
        study=study,
        license=values.get("license", HGGT_LICENSE_NAME),
        folder=folder,
        patches=folder / values["patches"],
        candidates=tuple(values["candidates"]),
        votes=values["votes"],
        per_batch=values["per_batch"],
        seed=values["seed"],
        secret=values["secret"],
        batch_form=values["batch_form"],
        protocol=values.get("protocol") or _early_protocol(values),
        checks=values.get("checks") or _early_checks(annotators),
        annotators=annotators,
        known={
            require_group_id(group): KnownAnswer(
                tuple(None if label is None else Label(label) for label in answer["labels"]), answer["note"]
            )
            for group, answer in values["known"].items()
        },
    )


def _early_protocol(values: _Assignments) -> Protocol:
    """The protocol of a round that was dealt before rounds recorded it."""
    return replace(
        HGGT_PROTOCOL,
        versions_at_once=len(values["candidates"]) + 1,
        full_zoom=values.get("require_full_zoom", False),
    )


def _early_checks(annotators: Iterable[Annotator]) -> Checks:
    """The checks of a round that was dealt before rounds recorded them."""
    batches = [batch for annotator in annotators for batch in annotator.batches]
    practice, gold = (
        tuple(dict.fromkeys(item.group for batch in batches for item in batch if item.kind is kind))
        for kind in (Kind.PRACTICE, Kind.GOLD)
    )
    repeats = (sum(item.kind is Kind.REPEAT for item in batch) for batch in batches)
    return Checks(practice, gold, max(repeats, default=0))


def _relative_path(annotator: Annotator, item: Item) -> Path:
    return Path(item.kind.folder, annotator.pseudonym, f"{item.group}.json")
