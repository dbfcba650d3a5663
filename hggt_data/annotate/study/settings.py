"""Settings of a new study, and whether they fit its methods and annotators."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from hggt_data.errors import SettingsError
from hggt_data.io.text import format_examples, plural
from hggt_data.licence import require_license_id
from hggt_data.ranges import Count, CountOrNone, Range, require_lists, require_ranges
from hggt_data.schema import is_candidate
from hggt_data.study_plan import Design, Enlargement, is_damaged_name

_LONGEST_QUESTION = 200
_MOST_AT_ONCE = 9  # a key for each


@dataclass(frozen=True)
class StudySettings:
    """Settings of a new study.

    Attributes:
        questions: What the page asks, in one line; repeatable. Every comparison is judged under each question.
        design: Show two versions at a time (pairs), or all at once, of which the best is chosen (best-of).
        votes: Annotators per comparison.
        primary: The two methods whose comparison the study is about.  [default: the first two]
        ties: Allow the answer that both are about the same.
        reference: Show the reference picture, or hide it.
        enlargement: How a low-resolution reference is enlarged for the page.
        gold: Comparisons with a visibly damaged version that every annotator judges.
        repeats: Comparisons per batch that the same annotator judges twice.
        least_gold_share: Exclude annotators who answer a smaller share of gold comparisons correctly.
        per_batch: Maximum number of votes per batch.
        require_full_zoom: Accept an answer only after all of every version was in view at 100 % for a second.
        seed: Random seed for the assignment and the order.
        license: Licence of the pictures: an id of the Hub such as cc-by-4.0, or other:NAME.  [default: the terms of the
            official data, which forbid showing them outside your organisation]

    Raises:
        SettingsError: A value is out of range, or values contradict each other.
    """

    questions: tuple[str, ...]
    design: Design = "pairs"
    votes: Annotated[int, Range(1, 1000)] = 3
    primary: tuple[str, ...] = ()
    ties: bool = False
    reference: Literal["shown", "hidden"] = "shown"
    enlargement: Enlargement = "bicubic"
    gold: CountOrNone = 0
    repeats: CountOrNone = 0
    least_gold_share: Annotated[float, Range(0, 1)] = 0.75
    per_batch: Count = 100
    require_full_zoom: bool = False
    seed: int = 0
    license: str | None = None

    def __post_init__(self) -> None:
        require_lists(questions=self.questions, primary=self.primary)
        require_ranges(self)
        if self.license is not None:
            require_license_id(self.license)
        faults = []
        for question in self.questions:
            if not (question.isprintable() and 0 < len(question.strip()) <= _LONGEST_QUESTION):
                faults.append(f"`questions` has {question!r}; expected one line of 1 to {_LONGEST_QUESTION} characters")
        stripped = tuple(question.strip() for question in self.questions)
        object.__setattr__(self, "questions", stripped)
        if not stripped:
            faults.append("`questions` is empty; expected at least one question")
        if len(set(stripped)) < len(stripped):
            faults.append("`questions` has one question twice")
        if self.ties and self.design == "best-of":
            faults.append("`ties` needs the design pairs; in best-of, one version is always chosen")
        if self.primary and len(set(self.primary)) != 2:
            faults.append(f"`primary` is {','.join(self.primary)}; expected two different methods")
        if faults:
            raise SettingsError(*faults)

    def require_fit(self, methods: Sequence[str], num_annotators: int, num_groups: int) -> None:
        """Check the settings against the methods, the annotators and the pictures; SettingsError lists all faults."""
        if faults := list(self._faults(methods, num_annotators, num_groups)):
            raise SettingsError(*faults)

    def _faults(self, methods: Sequence[str], num_annotators: int, num_groups: int) -> Iterator[str]:
        if len(methods) < 2:
            yield f"{plural(len(methods), 'method')} in `restored`; expected two or more to compare"
        if self.design == "best-of" and len(methods) > _MOST_AT_ONCE:
            yield f"{len(methods)} methods at once in best-of; expected at most {_MOST_AT_ONCE}, or the design pairs"
        unknown = [name for name in self.primary if name not in methods]
        if unknown:
            yield f"`primary` has {format_examples(unknown)}; expected two of {', '.join(methods)}"
        if strange := [name for name in methods if not is_candidate(name) or is_damaged_name(name)]:
            yield (
                f"{format_examples(strange)} cannot be the name of a method in a table of votes; choose another one "
                "with NAME=DIR, of letters, digits and ._+-, and neither original, lr nor damaged-NUMBER"
            )
        if num_annotators < self.votes:
            yield (
                f"{plural(num_annotators, 'annotator')} for {plural(self.votes, 'vote')} per comparison; expected at "
                "least as many `names` as `votes`"
            )
        if self.gold > num_groups:
            yield f"`gold` is {self.gold}; expected at most the {plural(num_groups, 'picture')}"


def parse_primary(text: str) -> tuple[str, ...]:
    """Read `A,B`."""
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != 2:
        raise SettingsError(f"primary is {text!r}; expected two methods, such as A,B")
    return names
