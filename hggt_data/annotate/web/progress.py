"""Progress of a round for its administrator: counts, pace, agreement, and annotators to talk to.

Computed from the answers in memory at each request. Shows real names. For a study it shows no preferences, because
administrators who have seen them may stop or extend the study.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from statistics import median
from typing import Any

from hggt_data.annotate.round import Annotator, Item, Kind
from hggt_data.annotate.web.store import AnswerStore
from hggt_data.consensus import judge_group
from hggt_data.schema import Annotation, Label, PatchGroup, group_order
from hggt_data.statistics.agreement import krippendorff_alpha, votes_of

# Limits for flags: in less than two seconds a page can hardly be compared.
FASTEST_S = 2.0
ONE_LABEL_SHARE = 0.95
GOLD_SHARE = 0.7
REPEAT_SHARE = 0.6
FULL_ZOOM_SHARE = 0.5
_FEWEST_GROUPS = 3  # one label in all versions of a group or two, or a quick decision, is nothing unusual
_FEWEST_CHOICES = 8  # of one position in a row by chance
_MOST_SKIPS = 100

_Labels = tuple[Label | None, ...]


@dataclass(frozen=True)
class Flag:
    """A reason to talk to an annotator: the key of a text of the page, and the values in its braces."""

    text: str
    values: Mapping[str, int | float | str]


@dataclass(frozen=True)
class AnnotatorProgress:
    """Progress of one annotator, without practice.

    Attributes:
        seconds: Median per group; None before the first answer.
        seconds_left: For the groups that are neither answered nor skipped, at that pace.
        full_zoom: (groups of which every version was seen at 100 %, groups of which this is recorded).
        last: End of the latest answer.
        labels: Count of each label; empty in a study.
        gold: (correct, given) labels of gold groups, also when they are asked again; in a study, comparisons.
        repeats: (same, given) labels of groups judged twice; in a study, comparisons.
    """

    name: str
    is_active: bool
    assigned: int
    done: int
    skipped: int
    seconds: float | None
    seconds_left: float | None
    full_zoom: tuple[int, int]
    last: datetime | None
    labels: Mapping[str, int]
    gold: tuple[int, int]
    repeats: tuple[int, int]
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class Skip:
    """A group without an answer, and why."""

    name: str
    group: str
    reason: str


@dataclass(frozen=True)
class RoundProgress:
    """Progress of a round.

    Attributes:
        complete: Groups with all their votes.
        wanted: Votes when the round is complete.
        alpha: Krippendorff's alpha, nominal and ordinal; None while undefined.
        compared: Versions with two votes or more, on which alpha rests.
        skips: The first skipped groups, by annotator.
        unreadable: Files that are not answers.
        is_study: Whether the groups are comparisons of a study, whose preferences and agreement are not shown.
    """

    groups: int
    complete: int
    votes: int
    wanted: int
    alpha: Mapping[str, float | None]
    compared: int
    annotators: tuple[AnnotatorProgress, ...]
    skips: tuple[Skip, ...]
    unreadable: tuple[str, ...]
    is_study: bool = False

    def to_json(self) -> dict[str, Any]:
        """The content of the progress request."""
        content = asdict(self)
        for annotator in content["annotators"]:
            annotator["last"] = annotator["last"] and annotator["last"].isoformat(sep=" ")
        return content


def measure_progress(store: AnswerStore) -> RoundProgress:
    """Measure a round and each of its annotators."""
    wanted = store.round.groups_to_vote_on
    given = Counter(
        item.group
        for annotator in store.round.annotators
        for item in list(store.answers(annotator))  # a copy: an answer may arrive meanwhile
        if item.kind is Kind.VOTE
    )
    judged = [] if store.round.study else list(judged_groups(store))
    votes = given.total()
    return RoundProgress(
        groups=len(wanted | given.keys()),
        complete=sum(number >= store.round.votes for number in given.values()),
        votes=votes,
        wanted=max(votes, len(wanted) * store.round.votes),
        alpha=_alpha(judged),
        compared=sum(votes > 1 for group in judged for votes in group.num_votes),
        annotators=tuple(_measure_annotator(store, annotator) for annotator in store.round.annotators),
        skips=tuple(islice(_skips(store), _MOST_SKIPS)),
        unreadable=tuple(str(path) for path in store.unreadable),
        is_study=store.round.study is not None,
    )


def judged_groups(store: AnswerStore) -> Iterator[PatchGroup]:
    """The groups with at least one vote, sorted; slots are annotators."""
    votes: dict[str, list[Annotation]] = defaultdict(list)
    for annotator in store.round.annotators:
        for item, annotation in list(store.answers(annotator).items()):  # a copy: an answer may arrive meanwhile
            if item.kind is Kind.VOTE:
                votes[item.group].append(annotation)
    for group in sorted(votes, key=group_order):
        yield judge_group(group, store.round.candidates, votes[group])


def disagreements(store: AnswerStore) -> list[PatchGroup]:
    """Groups with a candidate that is Positive for one annotator and Negative for another; the worst first.

    There are none in a study, in which people may prefer different versions.
    """
    if store.round.study is not None:
        return []
    counted = [(_num_contradicted(group), group) for group in judged_groups(store)]
    return [group for count, group in sorted(counted, key=lambda pair: -pair[0]) if count]


def _num_contradicted(group: PatchGroup) -> int:
    given = [{annotation.labels[k] for annotation in group.annotations} for k in range(len(group.candidates))]
    return sum({Label.POSITIVE, Label.NEGATIVE} <= labels for labels in given)


def _alpha(judged: list[PatchGroup]) -> dict[str, float | None]:
    if not judged:
        return {"nominal": None, "ordinal": None}
    votes, _ = votes_of(judged)
    found = {"nominal": krippendorff_alpha(votes), "ordinal": krippendorff_alpha(votes, "ordinal")}
    return {level: None if value != value else value for level, value in found.items()}  # NaN is not itself


def _measure_annotator(store: AnswerStore, annotator: Annotator) -> AnnotatorProgress:
    answers = {
        item: answer for item, answer in list(store.answers(annotator).items()) if item.kind is not Kind.PRACTICE
    }
    labels = Counter(label for answer in answers.values() for label in answer.labels if label is not None)
    study = store.round.study
    positions = _positions(store, annotator, answers) if study is not None else Counter()
    gold_share = GOLD_SHARE if study is None else study.plan.least_gold_share
    times = [answer.seconds for answer in answers.values() if answer.seconds is not None]
    seconds = median(times) if times else None
    gold, repeats = _gold(store, answers), _repeats(store, answers)
    open_items = {item for item in annotator.items if item.kind is not Kind.PRACTICE} - answers.keys()
    skipped = sum(item in store.skips(annotator) for item in open_items)
    seen = store.full_zoom(annotator)
    recorded = [seen[item] for item in answers if seen[item] is not None]
    full_zoom = sum(map(bool, recorded)), len(recorded)
    fastest = FASTEST_S * (len(store.round.candidates) if store.round.protocol.blind else 1)
    return AnnotatorProgress(
        name=annotator.name,
        is_active=annotator.is_active,
        assigned=len(open_items) + len(answers),
        done=len(answers),
        skipped=skipped,
        seconds=seconds,
        seconds_left=None if seconds is None else seconds * (len(open_items) - skipped),
        full_zoom=full_zoom,
        last=max((answer.end for answer in answers.values() if answer.end), default=None),
        labels={} if study is not None else {label.value: labels[label] for label in Label},
        gold=gold,
        repeats=repeats,
        flags=(
            *_flags(len(times), seconds, fastest, gold, repeats, full_zoom, gold_share),
            *(_flag_position(positions) if study is not None else _flag_label(len(times), labels)),
        ),
    )


def _skips(store: AnswerStore) -> Iterator[Skip]:
    for annotator in store.round.annotators:
        skips = dict(store.skips(annotator))  # a copy: an answer may arrive meanwhile
        yield from (Skip(annotator.name, str(item.group), skips[item]) for item in annotator.items if item in skips)


def _gold(store: AnswerStore, answers: Mapping[Item, Annotation]) -> tuple[int, int]:
    known = store.round.known
    pairs = [
        pair
        for item, answer in answers.items()
        if item.kind in (Kind.GOLD, Kind.REPEAT) and item.group in known
        for pair in _compared(store, answer.labels, known[item.group].labels)
        if pair[1] is not None
    ]
    return sum(given == correct for given, correct in pairs), len(pairs)


def _repeats(store: AnswerStore, answers: Mapping[Item, Annotation]) -> tuple[int, int]:
    pairs = [
        pair
        for item, answer in answers.items()
        if item.kind is Kind.REPEAT
        and (first := answers.get(Item(Kind.VOTE, item.group)) or answers.get(Item(Kind.GOLD, item.group)))
        for pair in _compared(store, answer.labels, first.labels)
    ]
    return sum(again == first for again, first in pairs), len(pairs)


def _compared(store: AnswerStore, given: _Labels, other: _Labels) -> list[tuple[object, object]]:
    """Pairs of labels; in a study, whose answers are one choice, all labels together."""
    return [(given, other)] if store.round.study else list(zip(given, other, strict=True))


def _positions(store: AnswerStore, annotator: Annotator, answers: Mapping[Item, Annotation]) -> Counter[int]:
    """How often the versions in each position, counted from 1, were chosen; 0 stands for ties."""
    found: Counter[int] = Counter()
    for item, answer in answers.items():
        comparison = store.round.comparison(item)
        assert comparison is not None
        chosen = comparison.preferred(answer.labels)
        found[0 if chosen is None else store.order(annotator, item).index(chosen) + 1] += 1
    return found


def _flags(
    done: int,
    seconds: float | None,
    fastest: float,
    gold: tuple[int, int],
    repeats: tuple[int, int],
    full_zoom: tuple[int, int],
    gold_share: float,
) -> Iterator[Flag]:
    """What to talk about, from the first groups on; each says how many groups or labels it rests on."""
    if done >= _FEWEST_GROUPS and seconds is not None and seconds < fastest:
        yield Flag("admin_flag_fast", {"seconds": round(seconds, 1), "groups": done})
    for (right, given), least, text in (
        (gold, gold_share, "admin_flag_gold"),
        (repeats, REPEAT_SHARE, "admin_flag_repeats"),
        (full_zoom, FULL_ZOOM_SHARE, "admin_flag_full_zoom"),
    ):
        if right < least * given:
            yield Flag(text, {"right": right, "given": given})


def _flag_label(done: int, labels: Counter[Label]) -> Iterator[Flag]:
    if done >= _FEWEST_GROUPS:
        (label, count), *_ = labels.most_common()
        if count >= ONE_LABEL_SHARE * labels.total():
            yield Flag("admin_flag_one_label", {"count": count, "given": labels.total(), "label": label.value})


def _flag_position(positions: Counter[int]) -> Iterator[Flag]:
    """Somebody who nearly always chooses the same position has hardly looked."""
    total = positions.total()
    if total >= _FEWEST_CHOICES:
        (position, count), *_ = positions.most_common()
        if count >= ONE_LABEL_SHARE * total:
            text = "admin_flag_one_position" if position else "admin_flag_ties"
            yield Flag(text, {"count": count, "given": total, "position": position})
