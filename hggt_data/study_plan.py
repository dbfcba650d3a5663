"""`plan.json` of a study: what was decided before the first vote, and what was changed later.

A study compares methods by people's votes on their restored images. The plan lies in the study's round, beside the
votes of the table that `merge` makes of it, and in a dataset built from that. It names no annotator.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Literal

from hggt_data.errors import RoundError
from hggt_data.io.files import read_json, write_json
from hggt_data.io.parsing import read_value
from hggt_data.schema import PatchGroup

PLAN_FILE = "plan.json"

Design = Literal["pairs", "best-of"]
Reference = Literal["gt", "lr"]
Enlargement = Literal["nearest", "bicubic"]

_FORMAT = 1
_LATER = ("extensions", "looks")  # what may be added after the first vote


@dataclass(frozen=True, slots=True)
class Extension:
    """A change of a running study.

    Attributes:
        time: When, in UTC (`2026-01-31T12:00:00Z`).
        votes: Votes per comparison from then on.
        annotators: Annotators who take part from then on.
        after_look: Whether somebody had already looked at the preferences.
    """

    time: str
    votes: int
    annotators: int
    after_look: bool


@dataclass(frozen=True, slots=True)
class Look:
    """The preferences of a study were looked at.

    Attributes:
        time: When, in UTC.
        votes: Votes that the study had by then.
        how: The command or function.
        missing: Votes that the study lacked then; None if not recorded.
    """

    time: str
    votes: int
    how: str
    missing: int | None = None


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """The plan of a study.

    Attributes:
        methods: Names of the methods.
        design: `pairs`: two versions at a time; `best-of`: all versions at once, of which the best is chosen.
        questions: What the page asks; each comparison is judged under every question.
        primary: The two methods whose comparison the study is about; all others are secondary.
        groups: Number of pictures.
        annotators: Number of annotators.
        votes: Votes per comparison; a comparison is a picture, its versions and a question.
        ties: Whether "both about the same" may be answered.
        reference: Whether the page shows a reference picture.
        reference_kind: Whether the reference is the ground truth or the low-resolution input; None without one.
        enlargement: How a low-resolution reference is enlarged; None for others.
        gold: Comparisons with a damaged version that each annotator judges.
        repeats: Comparisons per batch that the same annotator judges twice.
        least_gold_share: An annotator whose share of correct gold answers is smaller is excluded.
        seed: Random seed of the assignment and the order.
        created: When the plan was made, in UTC (`2026-01-31T12:00:00Z`).
        extensions: Later changes of the number of votes or annotators.
        looks: When the preferences were looked at, finished or not.
    """

    methods: tuple[str, ...]
    design: Design
    questions: tuple[str, ...]
    primary: tuple[str, str]
    groups: int
    annotators: int
    votes: int
    ties: bool
    reference: Literal["shown", "hidden"]
    reference_kind: Reference | None
    enlargement: Enlargement | None
    gold: int
    repeats: int
    least_gold_share: float
    seed: int
    created: str
    extensions: tuple[Extension, ...] = ()
    looks: tuple[Look, ...] = ()

    @property
    def votes_now(self) -> int:
        """Votes per comparison after all extensions."""
        return self.extensions[-1].votes if self.extensions else self.votes

    @property
    def num_votes(self) -> int:
        """Votes of the whole study, after all extensions."""
        return self.groups * len(self.sets_of_versions) * len(self.questions) * self.votes_now

    @property
    def extended_after_look(self) -> bool:
        """Whether the study was extended when preferences had been seen: p values would not be valid."""
        return any(extension.after_look for extension in self.extensions)

    @property
    def sets_of_versions(self) -> tuple[tuple[str, ...], ...]:
        """The versions that are compared with each other: all pairs of methods, or all methods at once."""
        return tuple(combinations(self.methods, 2)) if self.design == "pairs" else (self.methods,)

    def digest(self) -> str:
        """A digest of everything that must not change after the first vote."""
        fixed = {name: value for name, value in asdict(self).items() if name not in _LATER}
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()

    def with_look(self, votes: int, how: str, missing: int | None = None) -> "StudyPlan":
        """The plan with one more look at the preferences; the same if the last look saw the same votes."""
        if self.looks and (self.looks[-1].votes, self.looks[-1].missing) == (votes, missing):
            return self
        return replace(self, looks=(*self.looks, Look(format_now(), votes, how, missing)))

    def with_extension(self, votes: int, annotators: int) -> "StudyPlan":
        """The plan with other numbers of votes and annotators from now on."""
        extension = Extension(format_now(), votes, annotators, after_look=bool(self.looks))
        return replace(self, extensions=(*self.extensions, extension))


@dataclass(frozen=True)
class Study:
    """A study and its votes.

    Attributes:
        plan: What was planned.
        groups: One per picture: `pairs` or `choices` of all kinds (votes, gold, repeats) by pseudonym. In a vote of a
            pair `first` was shown on the left. Gold votes have versions named by `is_damaged_name`.
        complete: Whether each comparison has all its votes.
        license: Licence id of the pictures.
    """

    plan: StudyPlan
    groups: tuple[PatchGroup, ...]
    complete: bool
    license: str


def write_plan(folder: Path, plan: StudyPlan) -> None:
    """Write `plan.json`."""
    write_json(folder / PLAN_FILE, {"format": _FORMAT, **asdict(plan)})


def read_plan(folder: Path) -> StudyPlan:
    """The plan of the study in a folder: a round, a table made of one, or a dataset.

    Raises:
        RoundError: There is no plan, or it is damaged or contradicts itself.
    """
    path = folder / PLAN_FILE
    try:
        content = read_json(path, RoundError, "restore it from a copy")
    except FileNotFoundError as error:
        raise RoundError(
            f"{folder} has no study: {PLAN_FILE} is missing; make one with hggt-data deal-study"
        ) from error
    try:
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise ValueError(f"expected an object with format {_FORMAT}")
        plan = read_value(StudyPlan, content)
    except ValueError as error:
        raise RoundError(f"{path} is damaged ({error}); restore it from a copy") from error
    if faults := list(_faults(plan)):
        raise RoundError(f"{path} is damaged ({'; '.join(faults)}); restore it from a copy")
    return plan


def format_now() -> str:
    """The current time in UTC, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def damaged_name(number: int) -> str:
    """The name of a version that was damaged for gold comparisons, counted from 1."""
    return f"damaged-{number}"


def is_damaged_name(name: str) -> bool:
    """Whether a version has the name of a damaged one; methods must not."""
    return name.startswith("damaged-") and name.removeprefix("damaged-").isdecimal()


def _faults(plan: StudyPlan) -> Iterator[str]:
    """Why a plan cannot be one."""
    if len(plan.methods) < 2 or len(set(plan.methods)) < len(plan.methods):
        yield f"methods are {', '.join(plan.methods)}; expected two or more different ones"
    if len(set(plan.primary) & set(plan.methods)) < 2:
        yield f"primary is {' and '.join(plan.primary)}; expected two of the methods"
    if not plan.questions:
        yield "there is no question"
    if plan.ties and plan.design == "best-of":
        yield "ties are allowed in a best-of design"
    if (plan.reference == "shown") > (plan.reference_kind is not None):
        yield "the reference is shown, but there is none"
    for name in ("groups", "annotators", "votes"):
        if getattr(plan, name) < 1:
            yield f"{name} is {getattr(plan, name)}; expected 1 or more"
    if not 0 <= plan.least_gold_share <= 1:
        yield f"least_gold_share is {plan.least_gold_share}; expected 0 to 1"
