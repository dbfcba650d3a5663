"""Statistics of choices and opinion scores, in hand-made cases."""

import json

from hggt_data import ChoiceVote, Score
from hggt_data.consensus import judge_group
from hggt_data.statistics.counts import measure_labels
from hggt_data.statistics.page import format_statistics_html
from hggt_data.statistics.text import format_statistics
from tests.hggt_data.memory_source import VotesSource

CANDIDATES = ("a", "b")


def test_choices_and_scores_of_people_are_counted_by_question() -> None:
    choices = (
        ChoiceVote(("a", "b", "original"), "original", count=2),
        ChoiceVote(("b", "original"), "b"),
        ChoiceVote(("a", "b"), "a", annotator_kind="model", count=5),
    )
    scores = (
        Score("a", 60, votes=3),
        Score("a", 20, votes=1),
        Score("b", 80),
        Score("b", 10, kind="practice"),
        Score("a", 2, question="sharpness"),
    )
    stats = measure_labels(
        VotesSource(
            judge_group("cat", CANDIDATES, [], choices=choices, scores=scores),
            judge_group("dog", CANDIDATES, [], scores=(Score("a", 10),)),
        )
    )
    content = json.loads(json.dumps(stats.to_json(), allow_nan=False))
    assert content["choices"] == [
        {
            "question": None,
            "num_votes": 3,
            "num_other": {"by models": 5},
            "versions": {
                "a": {"shown": 2, "chosen": 0},
                "b": {"shown": 3, "chosen": 1},
                "original": {"shown": 3, "chosen": 2},
            },
        }
    ]
    assert content["scores"] == [
        {
            "question": None,
            "num_scores": 6,
            "num_other": {"practice": 1},
            "versions": {"a": {"groups": 2, "mean": 30}, "b": {"groups": 1, "mean": 80}},
        },
        {
            "question": "sharpness",
            "num_scores": 1,
            "num_other": {},
            "versions": {"a": {"groups": 1, "mean": 2}},
        },
    ]
    text, page = format_statistics(stats), format_statistics_html(stats, "votes")
    for part in ("Choices among versions", "Opinion scores: sharpness", "Not counted: 5 by models."):
        assert part in text
        assert part in page


def test_votes_of_models_alone_are_counted() -> None:
    votes = (ChoiceVote(("a", "b"), "a", annotator_kind="model"),)
    stats = measure_labels(VotesSource(judge_group("cat", CANDIDATES, [], choices=votes)))
    assert [(one.num_votes, one.num_other, one.shown) for one in stats.choices] == [(0, {"by models": 1}, {})]
