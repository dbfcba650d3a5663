"""The columns of votes on pairs, choices and scores, and of the strengths that votes on pairs give.

Each is there only if the data has such votes. A row has a list of votes; `features.py` has all other columns.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from hggt_data.dataset.times import format_time, parse_time
from hggt_data.schema import AnnotatorKind, ChoiceVote, PairVote, PatchGroup, Score, Vote, VoteKind
from hggt_data.statistics.pair_votes import group_strengths, versions_of

if TYPE_CHECKING:
    from datasets import Features

VOTE_COLUMNS = ("pairs", "choices", "scores")
"""In the order of a row; `PatchGroup` has attributes of the same names."""


def vote_features(columns: Collection[str], candidates: Sequence[str]) -> "Features":
    """The types of those of `VOTE_COLUMNS` that the data has, and of `strengths` and `mos` with `pairs`."""
    from datasets import Features, List, Value

    facts = {
        "count": Value("int32"),
        "slot": Value("string"),
        "annotator": Value("string"),
        "annotator_kind": Value("string"),
        "question": Value("string"),
        "kind": Value("string"),
        "start": Value("string"),
        "end": Value("string"),
        "seconds": Value("float64"),
    }
    own = {
        "pairs": {
            "first": Value("string"),
            "second": Value("string"),
            "preferred": Value("string"),
            "share": Value("float64"),
        },
        "choices": {"shown": List(Value("string")), "preferred": Value("string")},
        "scores": {
            "candidate": Value("string"),
            "score": Value("float64"),
            "std": Value("float64"),
            "votes": Value("int32"),
        },
    }
    features = {column: List({**own[column], **facts}) for column in VOTE_COLUMNS if column in columns}
    if "pairs" in columns:
        size = len(versions_of(candidates))
        features |= {name: List(Value("float32"), length=size) for name in ("strengths", "mos")}
    return Features(features)


def votes_to_row(group: PatchGroup, columns: Collection[str]) -> dict[str, Any]:
    """The columns of a group's votes."""
    row: dict[str, Any] = {
        column: [_vote_to_row(vote) for vote in getattr(group, column)] for column in VOTE_COLUMNS if column in columns
    }
    if "pairs" in columns:
        row["strengths"], row["mos"] = group_strengths(group)
    return row


def _vote_to_row(vote: Vote) -> dict[str, Any]:
    row = asdict(vote) | {"start": format_time(vote.start), "end": format_time(vote.end)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}


class _FactsRow(TypedDict):
    count: int
    slot: str | None
    annotator: str | None
    annotator_kind: AnnotatorKind
    question: str | None
    kind: VoteKind
    start: str | None
    end: str | None
    seconds: float | None


class _PairRow(_FactsRow):
    first: str
    second: str
    preferred: Literal["first", "second", "tie"] | None
    share: float | None


class _ChoiceRow(_FactsRow):
    shown: list[str]
    preferred: str


class _ScoreRow(_FactsRow):
    candidate: str
    score: float
    std: float | None
    votes: int | None


class VotesRow(TypedDict, total=False):
    """Those of `VOTE_COLUMNS` that a row has, as pyarrow returns them."""

    pairs: list[_PairRow]
    choices: list[_ChoiceRow]
    scores: list[_ScoreRow]


class Votes(TypedDict):
    """The votes of a group beside its annotations, by their attribute in `PatchGroup`."""

    pairs: tuple[PairVote, ...]
    choices: tuple[ChoiceVote, ...]
    scores: tuple[Score, ...]


def votes_from_row(row: VotesRow, candidates: Sequence[str]) -> Votes:
    """The inverse of `votes_to_row`. ValueError if a vote cannot be one on these candidates."""
    votes = Votes(
        pairs=tuple(PairVote(**_with_times(one)) for one in row.get("pairs", ())),
        choices=tuple(
            ChoiceVote(**_with_times(one) | {"shown": tuple(one["shown"])}) for one in row.get("choices", ())
        ),
        scores=tuple(Score(**_with_times(one)) for one in row.get("scores", ())),
    )
    known = versions_of(candidates)
    for pair in votes["pairs"]:
        _require_versions((pair.first, pair.second), known)
        if (pair.preferred is None) == (pair.share is None) or not 0 <= (pair.share or 0) <= 1:
            raise ValueError("a vote on a pair needs either a preferred version or a share from 0 to 1")
    for choice in votes["choices"]:
        _require_versions(choice.shown, known)
        if choice.preferred not in choice.shown:
            raise ValueError(f"a choice prefers {choice.preferred!r}, which was not shown")
    for score in votes["scores"]:
        _require_versions((score.candidate,), known)
    if any(vote.count < 1 for vote in (*votes["pairs"], *votes["choices"], *votes["scores"])):
        raise ValueError("a vote counts less than once")
    return votes


def _with_times(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "start": parse_time(row["start"]), "end": parse_time(row["end"])}


def _require_versions(versions: Sequence[str], known: Sequence[str]) -> None:
    if len(set(versions)) < len(versions):
        raise ValueError(f"a vote compares a version with itself: {', '.join(versions)}")
    for name in versions:
        if name not in known:
            raise ValueError(f"a vote is on {name!r}, which is not a version of the group")
