"""Votes of a study: what the page sends, what is saved, and what `read_study` makes of it."""

from collections import Counter
from pathlib import Path

import pytest

from hggt_data.annotate.round import Annotator, Item
from hggt_data.annotate.study.votes import read_study
from hggt_data.annotate.web.study import open_store
from hggt_data.errors import RoundError
from tests.hggt_data.annotate.rounds import IDS, make_round, votes
from tests.hggt_data.annotate.study.studies import QUESTION, best, body, client, judge, make_study


def test_votes_on_pairs_keep_side_question_and_kind(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, ties=True, gold=1, repeats=1)

    def choose(annotator: Annotator, item: Item, order: tuple[str, ...]) -> str | None:
        return None if "c" in order and "b" in order else best("b", "a", "c")(annotator, item, order)

    judge(round_, choose)
    study = read_study(round_.folder)
    assert study.complete
    found = [vote for group in study.groups for vote in group.pairs]
    counted = [vote for vote in found if vote.counts]
    assert len(counted) == 3 * 4 * 2
    for vote in counted:
        assert vote.question == QUESTION
        assert vote.annotator in {one.pseudonym for one in round_.annotators}
        winner = {"first": vote.first, "second": vote.second, "tie": "tie"}[str(vote.preferred)]
        assert winner == (
            "tie" if {vote.first, vote.second} == {"b", "c"} else "b" if "b" in (vote.first, vote.second) else "a"
        )
    assert {(vote.first, vote.second) for vote in counted} >= {("a", "b"), ("b", "a")}
    gold = [vote for vote in found if vote.kind == "gold"]
    assert len(gold) == 3
    assert all({"first": vote.first, "second": vote.second}[str(vote.preferred)] in "abc" for vote in gold)
    assert Counter(vote.kind for vote in found)["repeat"] == 3


def test_votes_on_the_best_of_several_keep_the_order_shown(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, design="best-of", votes=1)
    judge(round_, best("c", "a", "b"))
    study = read_study(round_.folder)
    choices = [vote for group in study.groups for vote in group.choices]
    assert {vote.preferred for vote in choices} == {"c"}
    assert {tuple(sorted(vote.shown)) for vote in choices} == {("a", "b", "c")}
    assert [group.image_name for group in study.groups] == ["p0", "p1", "p2", "p3"]


def test_a_study_is_complete_when_the_last_vote_is_there(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, votes=3)
    judge(round_, best("a"), ["Ada", "Bob"])
    assert not read_study(round_.folder).complete
    judge(round_, best("a"), ["Cleo"], most=11)
    assert not read_study(round_.folder).complete
    judge(round_, best("a"), ["Cleo"])
    assert read_study(round_.folder).complete


@pytest.mark.parametrize(
    ("labels", "is_allowed"),
    [
        (["Positive", "Negative"], True),
        (["Similar", "Similar"], False),  # ties are not allowed here
        (["Positive", "Positive"], False),
        (["Positive", "Similar"], False),
        (["Positive"], False),
    ],
)
def test_only_answers_of_the_design_are_saved(tmp_path: Path, labels: list[str], is_allowed: bool) -> None:
    round_ = make_study(tmp_path)
    browser = client(round_)
    [page, *_] = browser.get("/api/batches/0").json()
    response = browser.put(f"/api/items/{page['id']}/answer", json=body((), None) | {"labels": labels})
    assert response.status_code == (200 if is_allowed else 422)
    assert len(list(round_.folder.glob("votes/*/*.json"))) == is_allowed


def test_the_page_learns_neither_methods_nor_gold(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, methods=("swinir", "rrdb", "esrgan"), gold=2, repeats=1)
    browser = client(round_)
    judge(round_, best("rrdb"), ["Ada"], most=3)
    texts = [browser.get(f"/api/{path}").text for path in ("round", "batches/0")]
    for page in browser.get("/api/batches/0").json():
        assert set(page) == {"id", "state", "question"}
        answer = browser.get(f"/api/items/{page['id']}/answer")
        pictures = [browser.get(f"/api/items/{page['id']}/pictures/{k}") for k in range(4)]
        assert [picture.status_code for picture in pictures] == [200, 200, 200, 404]
        texts += [answer.text, *(str(picture.headers) for picture in pictures)]
    for word in ("swinir", "rrdb", "esrgan", "damaged", "gold", "p0-0-0", "c0000"):
        assert not [text for text in texts if word in text]


def test_pictures_are_those_of_the_order(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, lr=True)
    store, [ada, *_] = open_store(round_), round_.annotators
    item = ada.items[0]
    assert round_.study is not None
    group = round_.study.by_id[item.group].group
    left, right = store.order(ada, item)
    paths = [store.picture(ada, item, position) for position in range(3)]
    assert paths == [
        round_.folder / f"enlarged/{group}.png",
        round_.picture(group, left),
        round_.picture(group, right),
    ]


def test_a_round_of_labels_is_not_a_study(tmp_path: Path) -> None:
    round_ = make_round(tmp_path, {"Ada": [votes(*IDS)]})
    with pytest.raises(RoundError, match="is a round of labels, not a study"):
        read_study(round_.folder)
