"""What the annotators of a study judge: comparisons of versions, and the order in which each annotator sees them.

In a study's round a comparison takes the place of a patch group: items, answers and batches name it by its id. An
answer has a label for each version: the preferred one is Positive and the others Negative; of a tie, both are Similar.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from hggt_data.errors import RoundError
from hggt_data.schema import Label, require_group_id
from hggt_data.study_plan import PLAN_FILE, StudyPlan

Orders = Mapping[tuple[str, str], tuple[str, ...]]
_VOTE, _REPEAT = "vote ", "repeat "  # how items begin; see `Item`


@dataclass(frozen=True, slots=True)
class Comparison:
    """Versions of one picture that are compared under one question.

    Attributes:
        group: The picture.
        versions: Names of the versions, in the order of an answer's labels.
        question: Number of the question in the plan; None for gold, which is asked as the votes around it are.
        correct: The intact version of a gold comparison, in which all others are damaged; None for others.
    """

    group: str
    versions: tuple[str, ...]
    question: int | None
    correct: str | None = None

    def labels(self, preferred: str | None) -> tuple[Label, ...]:
        """The labels of an answer that prefers this version; None for a tie."""
        if preferred is None:
            return (Label.SIMILAR,) * len(self.versions)
        return tuple(Label.POSITIVE if name == preferred else Label.NEGATIVE for name in self.versions)

    def preferred(self, labels: Sequence[Label | None]) -> str | None:
        """The version that an answer prefers; None for a tie. The inverse of `labels`."""
        return next((name for name, label in zip(self.versions, labels, strict=True) if label is Label.POSITIVE), None)

    def allows(self, labels: Sequence[Label | None], *, ties: bool) -> bool:
        """Whether an answer may have these labels."""
        preferences = (*self.versions, *([None] if ties else []))
        return any(tuple(labels) == self.labels(preferred) for preferred in preferences)


@dataclass(frozen=True)
class Comparisons:
    """All comparisons of a study.

    Attributes:
        plan: The plan of the study.
        by_id: The comparisons by id.
        orders: The versions in the order shown, by pseudonym and item (as `str(item)`); the first is on the left.
    """

    plan: StudyPlan
    by_id: Mapping[str, Comparison]
    orders: Orders

    def with_orders(self, items: Iterable[tuple[str, Sequence[str]]], rng: random.Random) -> "Comparisons":
        """The same with an order for each item of the annotators; those that have one keep it.

        Args:
            items: Pseudonym and items of each annotator.
            rng: Draws the orders.
        """
        return replace(self, orders=_draw_orders(self, list(items), rng))

    def to_json(self) -> dict[str, Any]:
        """The content of `study` in `assignments.json`."""
        orders: dict[str, dict[str, str]] = defaultdict(dict)
        for (pseudonym, item), names in self.orders.items():
            versions = self.by_id[item.partition(" ")[2]].versions
            orders[pseudonym][item] = "".join(str(versions.index(name)) for name in names)
        comparisons = {
            id_: {"group": one.group, "versions": list(one.versions), "question": one.question, "correct": one.correct}
            for id_, one in self.by_id.items()
        }
        return {"plan": self.plan.digest(), "comparisons": comparisons, "orders": orders}


class ComparisonEntry(TypedDict):
    """A comparison in `assignments.json`."""

    group: str
    versions: list[str]
    question: int | None
    correct: str | None


class StudyEntry(TypedDict):
    """The study in `assignments.json`; `plan` is the digest of the plan."""

    plan: str
    comparisons: dict[str, ComparisonEntry]
    orders: dict[str, dict[str, str]]


def parse_comparisons(plan: StudyPlan, content: StudyEntry) -> Comparisons:
    """The comparisons that `to_json` gave; ValueError if they do not fit each other, RoundError if the plan changed."""
    if content["plan"] != plan.digest():
        raise RoundError(
            f"{PLAN_FILE} is not the plan that this study was dealt with; a study cannot go on with another design. "
            "Restore the file from a copy, or make another study"
        )
    by_id = {
        require_group_id(id_): Comparison(
            require_group_id(one["group"]), tuple(one["versions"]), one["question"], one["correct"]
        )
        for id_, one in content["comparisons"].items()
    }
    for id_, one in by_id.items():
        if one.question is not None and one.question not in range(len(plan.questions)):
            raise ValueError(f"comparison {id_} has question {one.question} of {len(plan.questions)}")
        if strange := [name for name in one.versions if name in ("", ".", "..") or "/" in name]:
            raise ValueError(f"{strange[0]!r} is not the name of a version")
    orders = {}
    for pseudonym, items in content["orders"].items():
        for item, digits in items.items():
            one = by_id.get(item.partition(" ")[2], Comparison("", (), None))
            if sorted(digits) != [str(k) for k in range(len(one.versions))] or not digits:
                raise ValueError(f"the order of {item} is {digits!r}")
            orders[pseudonym, item] = tuple(one.versions[int(digit)] for digit in digits)
    return Comparisons(plan, by_id, orders)


def _draw_orders(study: Comparisons, items: Sequence[tuple[str, Sequence[str]]], rng: random.Random) -> Orders:
    """Random orders; of a pair, each version is on the left equally often, over all votes of the study.

    A repeat shows a pair the other way round, so that a preference for a side is seen.
    """
    known = {(pseudonym, item) for pseudonym, own in items for item in own}
    orders = {key: order for key, order in study.orders.items() if key in known}
    on_left: Counter[tuple[str, ...]] = Counter()  # how much more often the first version of a pair was on the left

    def balance_of(item: str) -> tuple[str, ...]:
        one = study.by_id[item.partition(" ")[2]]
        return ("gold",) if one.correct else one.versions

    def sign(item: str, order: Sequence[str]) -> int:
        return 1 if order[0] == study.by_id[item.partition(" ")[2]].versions[0] else -1

    for (_, item), order in orders.items():
        if not item.startswith(_REPEAT):
            on_left[balance_of(item)] += sign(item, order)
    new = [(pseudonym, item) for pseudonym, own in items for item in rng.sample(own, len(own))]
    new = [key for key in new if key not in orders]
    # One question after the other, and one annotator after the other, so that each of these is nearly balanced, too.
    new.sort(key=lambda key: (key[1].startswith(_REPEAT), study.by_id[key[1].partition(" ")[2]].question or 0))
    for pseudonym, item in new:
        id_ = item.partition(" ")[2]
        versions = study.by_id[id_].versions
        order = tuple(rng.sample(versions, len(versions)))
        if item.startswith(_REPEAT):
            first = orders.get((pseudonym, _VOTE + id_)) or orders.get((pseudonym, f"gold {id_}"))
            order = first[::-1] if first and len(first) == 2 else order
        elif len(versions) == 2:
            if on_left[balance_of(item)] * sign(item, order) > 0:
                order = order[::-1]
            on_left[balance_of(item)] += sign(item, order)
        orders[pseudonym, item] = order
    return orders
