"""Reads the votes of a study from its round."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from hggt_data.annotate.answers import Answers, read_answers
from hggt_data.annotate.round import Annotator, Item, Kind, Round, read_round
from hggt_data.annotate.study.comparisons import Comparison
from hggt_data.consensus import judge_group
from hggt_data.errors import RoundError
from hggt_data.io.files import read_regular_file
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.schema import Annotation, ChoiceVote, PairVote, group_order, source_picture
from hggt_data.study_plan import Study, StudyPlan, write_plan


@dataclass(frozen=True, slots=True)
class StudyVote:
    """An answer of a study.

    Attributes:
        comparison: What was compared.
        vote: The answer: in pairs, `first` was on the left.
        display: How it was looked at: zoom, window and screen, as far as recorded.
        full_zoom_s: Seconds for which each version was seen at 100 %, by version; empty if unknown.
    """

    annotator: Annotator
    item: Item
    comparison: Comparison
    vote: PairVote | ChoiceVote
    display: Mapping[str, float]
    full_zoom_s: Mapping[str, float]


def read_study(folder: str | Path) -> Study:
    """The plan and the votes of a study, from its round, complete or not.

    This records no look at the preferences; see `record_look`.

    Args:
        folder: Round of the study.

    Raises:
        RoundError: The folder is not a round of a study, or is damaged.
    """
    round_ = read_study_round(Path(folder))
    answers = [read_answers(round_, annotator) for annotator in round_.annotators]
    return collect_study(round_, list(read_votes(round_, answers)))


def record_look(folder: str | Path, how: str) -> StudyPlan:
    """Note in the plan of a study that its preferences were looked at, and return the plan as it is now.

    Args:
        folder: Round of the study.
        how: The command or function that looked.

    Raises:
        RoundError: The folder is not a round of a study, or is damaged.
    """
    round_ = read_study_round(Path(folder))
    assert round_.study is not None
    answers = [read_answers(round_, annotator) for annotator in round_.annotators]
    votes = list(read_votes(round_, answers))
    given = sum(one.item.kind is Kind.VOTE for one in votes)
    plan = round_.study.plan.with_look(given, how, count_missing(round_, votes))
    if plan != round_.study.plan:
        write_plan(Path(folder), plan)
    return plan


def collect_study(round_: Round, votes: list[StudyVote]) -> Study:
    """The study of a round with these votes."""
    assert round_.study is not None
    of_group: dict[str, list[PairVote | ChoiceVote]] = defaultdict(list)
    for one in votes:
        of_group[one.comparison.group].append(one.vote)
    groups = sorted({one.group for one in round_.study.by_id.values()}, key=group_order)
    judged = tuple(
        judge_group(
            group,
            round_.candidates,
            (),
            **_place_of(group),
            pairs=tuple(vote for vote in of_group[group] if isinstance(vote, PairVote)),
            choices=tuple(vote for vote in of_group[group] if isinstance(vote, ChoiceVote)),
        )
        for group in groups
    )
    return Study(round_.study.plan, judged, is_complete(round_, votes), round_.license)


def read_study_round(folder: Path) -> Round:
    """The round of a study; RoundError if it is another round."""
    round_ = read_round(folder)
    if round_.study is None:
        raise RoundError(f"{folder} is a round of labels, not a study; make a study with hggt-data deal-study")
    return round_


def read_votes(round_: Round, answers: Iterable[Answers]) -> Iterator[StudyVote]:
    """All answers of a study as votes, by annotator and item; gold and repeats have their kind.

    `answers` are those of each annotator of the round, in their order.
    """
    for annotator, found in zip(round_.annotators, answers, strict=True):
        for item in annotator.items:
            if item in found.annotations:
                yield _make_vote(round_, annotator, item, found.annotations[item])


def count_missing(round_: Round, votes: list[StudyVote]) -> int:
    """How many votes a study lacks until each comparison has all of its votes.

    If people withdrew, so that fewer remain than the votes per comparison, one vote of each remaining person is enough.
    """
    assert round_.study is not None
    counted = [one for one in votes if one.item.kind is Kind.VOTE]
    given = Counter(one.item.group for one in counted)
    of_former = Counter(one.item.group for one in counted if not one.annotator.is_active)
    num_active = sum(annotator.is_active for annotator in round_.annotators)
    wanted = [id_ for id_, one in round_.study.by_id.items() if one.correct is None]
    return sum(max(0, min(round_.votes, num_active + of_former[id_]) - given[id_]) for id_ in wanted)


def is_complete(round_: Round, votes: list[StudyVote]) -> bool:
    """Whether each comparison has all its votes."""
    return not count_missing(round_, votes)


def question_of(round_: Round, annotator: Annotator, item: Item) -> int:
    """The number of the question under which an item is judged: gold takes that of the votes in its batch."""
    assert round_.study is not None
    by_id = round_.study.by_id
    question = by_id[item.group].question
    if question is not None:
        return question
    batch = next((batch for batch in annotator.batches if item in batch), ())
    questions = (by_id[other.group].question for other in batch)
    return next((found for found in questions if found is not None), 0)


def _make_vote(round_: Round, annotator: Annotator, item: Item, answer: Annotation) -> StudyVote:
    assert round_.study is not None
    comparison = round_.study.by_id[item.group]
    order = round_.study.orders[annotator.pseudonym, str(item)]
    preferred = comparison.preferred(answer.labels)
    shown = _read_shown(round_, annotator, item)
    questions = round_.study.plan.questions
    facts: dict[str, Any] = {
        "annotator": annotator.pseudonym,
        "question": questions[question_of(round_, annotator, item)],
        "kind": item.kind.value,
        "start": answer.start,
        "end": answer.end,
        "seconds": answer.seconds,
    }
    vote: PairVote | ChoiceVote
    if round_.study.plan.design == "pairs":
        words = {order[0]: "first", order[1]: "second", None: "tie"}
        vote = PairVote(*order, preferred=words[preferred], **facts)  # type: ignore[misc, arg-type]
    else:
        assert preferred is not None
        vote = ChoiceVote(shown=order, preferred=preferred, **facts)
    return StudyVote(annotator, item, comparison, vote, shown["display"], shown["full_zoom_s"])


def _place_of(group: str) -> dict[str, Any]:
    """The source picture of a group and its place there, as its name tells."""
    image_name, top, left, _ = group_order(group)
    place = {"top": top, "left": left} if image_name != group else {}
    return {"image_name": source_picture(group), **place}


class _Shown(TypedDict):
    display: dict[str, float]
    full_zoom_s: dict[str, float]


def _read_shown(round_: Round, annotator: Annotator, item: Item) -> _Shown:
    """How a page was looked at, as far as it is recorded."""
    try:
        return read_value(_Shown, parse_json(read_regular_file(round_.shown_path(annotator, item))))
    except (OSError, ValueError):
        return {"display": {}, "full_zoom_s": {}}
