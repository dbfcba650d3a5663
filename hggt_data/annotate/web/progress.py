"""How a round is going, for whoever looks after it: progress and pace, agreement, and people to talk to.

Computed from the answers in memory each time it is asked for. Names stay names here: the page is for the round's owner.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any

from hggt_data.annotate.round import Annotator, Item, Kind
from hggt_data.annotate.web.store import AnswerStore
from hggt_data.consensus import judge_group
from hggt_data.schema import Annotation, Label, PatchGroup, PatchId
from hggt_data.statistics.agreement import krippendorff_alpha, votes_of

# When somebody is pointed out. One sees so little of a group in two seconds that it was hardly compared.
FASTEST_S = 2.0
ONE_LABEL_SHARE = 0.95
GOLD_SHARE = 0.7
REPEAT_SHARE = 0.6
_FEWEST_GROUPS = 20
_FEWEST_LABELS = 8


@dataclass(frozen=True)
class Flag:
    """Something to talk about with a person.

    Attributes:
        text: key of its sentence in the words of the pages.
        values: what stands in that sentence's braces.
    """

    text: str
    values: Mapping[str, int | float | str]


@dataclass(frozen=True)
class PersonProgress:
    """How one person is getting on.

    Attributes:
        dealt, done, skipped: votes and quality checks, without practice.
        seconds: the median per group; null before the first.
        last: the end of the latest answer.
        labels: how often each label was given, by its word.
        gold: (right, given) labels of gold groups.
        repeats: (same, given) labels of groups judged twice.
        flags: what to talk about.
    """

    name: str
    is_active: bool
    dealt: int
    done: int
    skipped: int
    seconds: float | None
    last: datetime | None
    labels: Mapping[str, int]
    gold: tuple[int, int]
    repeats: tuple[int, int]
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class RoundProgress:
    """How a round is getting on.

    Attributes:
        groups, complete: groups to vote on, and those with all their votes.
        votes, wanted: votes so far, and in the end.
        alpha: Krippendorff's, nominal and ordinal, over what has two votes; null while it is undefined.
        unreadable: files that are no answers.
    """

    groups: int
    complete: int
    votes: int
    wanted: int
    alpha: Mapping[str, float | None]
    people: tuple[PersonProgress, ...]
    unreadable: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        content = asdict(self)
        for person in content["people"]:
            person["last"] = person["last"] and person["last"].isoformat(sep=" ")
        return content


def measure_progress(store: AnswerStore) -> RoundProgress:
    """Count what is done."""
    wanted = store.round.groups_to_vote_on
    judged = list(judged_groups(store))
    votes = sum(len(group.annotations) for group in judged)
    return RoundProgress(
        groups=len(wanted | {group.id for group in judged}),
        complete=sum(len(group.annotations) >= store.round.votes for group in judged),
        votes=votes,
        wanted=max(votes, len(wanted) * store.round.votes),
        alpha=_alpha(judged),
        people=tuple(_measure_person(store, annotator) for annotator in store.round.annotators),
        unreadable=tuple(str(path) for path in store.unreadable),
    )


def judged_groups(store: AnswerStore) -> Iterator[PatchGroup]:
    """The groups with a vote, sorted; a slot is a person's name here."""
    votes: dict[PatchId, list[Annotation]] = defaultdict(list)
    for annotator in store.round.annotators:
        for item, annotation in list(store.answers(annotator).items()):  # the store may take an answer meanwhile
            if item.kind is Kind.VOTE:
                votes[item.group].append(annotation)
    for group, annotations in sorted(votes.items()):
        yield judge_group(group, store.round.candidates, annotations)


def disagreements(store: AnswerStore) -> list[PatchGroup]:
    """Groups with a candidate that one takes for better and another for worse than the original; the worst first."""
    found = [(_num_contrary(group), group) for group in judged_groups(store)]
    return [group for contrary, group in sorted(found, key=lambda pair: -pair[0]) if contrary]


def _num_contrary(group: PatchGroup) -> int:
    given = [{annotation.labels[k] for annotation in group.annotations} for k in range(len(group.candidates))]
    return sum({Label.POSITIVE, Label.NEGATIVE} <= labels for labels in given)


def _alpha(judged: list[PatchGroup]) -> dict[str, float | None]:
    votes, _ = votes_of(judged)
    found = {"nominal": krippendorff_alpha(votes), "ordinal": krippendorff_alpha(votes, "ordinal")}
    return {level: None if value != value else value for level, value in found.items()}  # NaN is not itself


def _measure_person(store: AnswerStore, annotator: Annotator) -> PersonProgress:
    answers = {
        item: answer for item, answer in list(store.answers(annotator).items()) if item.kind is not Kind.PRACTICE
    }
    labels = Counter(label for answer in answers.values() for label in answer.labels)
    times = [answer.seconds for answer in answers.values() if answer.seconds is not None]
    seconds = median(times) if times else None
    gold, repeats = _gold(store, answers), _repeats(answers)
    open_items = {item for item in annotator.items if item.kind is not Kind.PRACTICE} - answers.keys()
    return PersonProgress(
        name=annotator.name,
        is_active=annotator.is_active,
        dealt=len(open_items) + len(answers),
        done=len(answers),
        skipped=sum(item in store.skips(annotator) for item in open_items),
        seconds=seconds,
        last=max((answer.end for answer in answers.values() if answer.end), default=None),
        labels={label.value: labels[label] for label in Label},
        gold=gold,
        repeats=repeats,
        flags=tuple(_flags(len(answers), seconds, labels, gold, repeats)),
    )


def _gold(store: AnswerStore, answers: Mapping[Item, Annotation]) -> tuple[int, int]:
    pairs = [
        (given, right)
        for item, answer in answers.items()
        if item.kind is Kind.GOLD and item.group in store.round.known
        for given, right in zip(answer.labels, store.round.known[item.group].labels, strict=True)
        if right is not None
    ]
    return sum(given is right for given, right in pairs), len(pairs)


def _repeats(answers: Mapping[Item, Annotation]) -> tuple[int, int]:
    pairs = [
        pair
        for item, answer in answers.items()
        if item.kind is Kind.REPEAT and (first := answers.get(Item(Kind.VOTE, item.group)))
        for pair in zip(answer.labels, first.labels, strict=True)
    ]
    return sum(again is first for again, first in pairs), len(pairs)


def _flags(
    done: int, seconds: float | None, labels: Counter[Label], gold: tuple[int, int], repeats: tuple[int, int]
) -> Iterator[Flag]:
    if done >= _FEWEST_GROUPS:
        if seconds is not None and seconds < FASTEST_S:
            yield Flag("admin_flag_fast", {"seconds": seconds})
        (label, count), *_ = labels.most_common()
        if count >= ONE_LABEL_SHARE * labels.total():
            yield Flag("admin_flag_one_label", {"percent": round(100 * count / labels.total()), "label": label.value})
    for (right, given), least, text in (
        (gold, GOLD_SHARE, "admin_flag_gold"),
        (repeats, REPEAT_SHARE, "admin_flag_repeats"),
    ):
        if given >= _FEWEST_LABELS and right < least * given:
            yield Flag(text, {"right": right, "given": given})
