"""Blind rounds: pairs without names, and the labels, files and trees that come out of them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hggt_data import open_groups
from hggt_data.annotate.merge import merge_round
from hggt_data.annotate.reassign import reassign_groups
from hggt_data.annotate.round import Annotator, Item, Kind, KnownAnswer, Round
from hggt_data.annotate.web.accounts import Account
from hggt_data.annotate.web.app import make_app
from hggt_data.annotate.web.guard import Guard
from hggt_data.annotate.web.progress import measure_progress
from hggt_data.annotate.web.store import AnswerStore, ConflictError
from hggt_data.annotate.web.study import open_store
from hggt_data.annotate.web.texts import texts_of_round
from hggt_data.errors import AnnotationError
from hggt_data.schema import ORIGINAL, Annotation, Label, Protocol
from hggt_data.tree.hggt_labels import format_annotation, parse_annotation
from tests.full_disk import FullDisk
from tests.hggt_data.annotate.rounds import IDS, make_round, votes
from tests.hggt_data.trees import FOUR, write_bytes

BLIND = Protocol(blind=True, question="Which version looks better?", versions_at_once=2, full_zoom=False)
BETTER = {"01": Label.POSITIVE, "02": Label.SIMILAR, "03": Label.NEGATIVE, "04": Label.POSITIVE}
BODY: dict[str, Any] = {"seconds": 5, "pauses": [], "end_ms": 1_700_000_000_000, "utc_offset_min": 0}


@pytest.fixture
def round_(tmp_path: Path) -> Round:
    return make_round(tmp_path, {"Ada": [votes(*IDS)], "Bob": [votes(*IDS)]}, protocol=BLIND)


@pytest.fixture
def ada(round_: Round) -> Annotator:
    return round_.annotators[0]


def client(round_: Round, name: str = "Ada") -> TestClient:
    accounts = {name: Account(name) for name in ("Ada", "Bob")}
    headers = {"Authorization": f"Bearer {name}"}
    texts = texts_of_round(round_)
    app = Guard(make_app(open_store(round_), texts), accounts.get, texts)
    return TestClient(app, "http://127.0.0.1:8000", headers=headers)


def pairs(store: AnswerStore, annotator: Annotator, item: Item | None = None) -> list[Item]:
    pages = [page for batch in annotator.batches for page in store.pages(annotator, batch)]
    return [page for page in pages if item is None or page.whole == item]


def choose(
    store: AnswerStore, annotator: Annotator, page: Item, label: Label, replaces: str | None = None, **more: Any
) -> Any:
    """Answer a pair as somebody who finds that the candidate deserves this label."""
    first, _ = store.shown(annotator, page)
    seen = {Label.POSITIVE: page.candidate, Label.NEGATIVE: ORIGINAL, Label.SIMILAR: None}[label]
    sent = "Similar" if seen is None else "Positive" if seen == first else "Negative"
    return store.save(annotator, page, store.parse(BODY | {"labels": [sent]} | more), replaces)


def judge(round_: Round, annotator: Annotator, items: tuple[Item, ...] | None = None) -> None:
    store = open_store(round_)
    for page in pairs(store, annotator):
        if items is None or page.whole in items:
            choose(store, annotator, page, BETTER[str(page.candidate)])


def read_label_file(round_: Round, annotator: Annotator, item: Item) -> Annotation:
    data = round_.answer_path(annotator, item).read_bytes()
    return parse_annotation(data, item.group, "A", round_.candidates)


# What is shown


def test_responses_do_not_tell_the_original_from_the_candidate(tmp_path: Path) -> None:
    """Two rounds that differ in one thing: what is the original in one is the candidate in the other."""
    one = make_round(tmp_path / "one", {"Ada": [votes("p0-0-0")]}, candidates=("01",), protocol=BLIND)
    other = make_round(
        tmp_path / "other", {"Ada": [votes("p0-0-0")]}, candidates=("01",), patches=tmp_path / "swapped", protocol=BLIND
    )
    for name, swapped in ((ORIGINAL, "01"), ("01", ORIGINAL)):
        path = other.picture(other.annotators[0].items[0].group, name)
        write_bytes(path, one.picture(one.annotators[0].items[0].group, swapped).read_bytes())

    def responses(round_: Round) -> Iterator[tuple[Any, ...]]:
        ada = client(round_)
        [item] = ada.get("/api/batches/0").json()
        paths = ["/api/texts", "/api/round", "/api/batches/0"]
        paths += [f"/api/items/{item['id']}/{end}" for end in ("answer", "pictures/0", "pictures/1", "pictures/2")]
        for path in paths:
            response = ada.get(path)
            yield path, response.status_code, dict(response.headers), response.content

    *rest, left, right, end = responses(one)
    *other_rest, other_left, other_right, other_end = responses(other)
    assert [*rest, end] == [*other_rest, other_end]
    assert left[1:] == other_right[1:] != right[1:] == other_left[1:]


def test_the_original_is_on_the_left_in_about_half_of_the_pairs(tmp_path: Path) -> None:
    groups = [f"p{k}-0-0" for k in range(60)]
    round_ = make_round(tmp_path, {"Ada": [votes(*groups)], "Bob": [votes(*groups)]}, patches=tmp_path, protocol=BLIND)
    store = open_store(round_)
    sides = [
        [store.shown(annotator, page)[0] == ORIGINAL for page in pairs(store, annotator)]
        for annotator in round_.annotators
    ]
    assert len(sides[0]) == 240
    assert all(90 < sum(side) < 150 for side in sides)
    assert sides[0] != sides[1]


def test_pairs_of_a_group_are_far_apart(tmp_path: Path) -> None:
    groups = [f"p{k}-0-0" for k in range(25)]
    repeats = tuple(replace(item, kind=Kind.REPEAT) for item in votes(*groups[:3]))
    batch = (*votes(*groups), *repeats)
    round_ = make_round(tmp_path, {"Ada": [batch]}, patches=tmp_path, protocol=BLIND)
    store, [ada] = open_store(round_), round_.annotators
    pages = pairs(store, ada)
    assert len(set(pages)) == len(pages) == 4 * 28
    for group in groups:
        places = [place for place, page in enumerate(pages) if str(page.group) == group and page.kind is Kind.VOTE]
        assert all(later - earlier >= 10 for earlier, later in pairwise(places))


# Answers


def test_choices_become_labels_in_an_official_file_once_all_pairs_are_judged(round_: Round, ada: Annotator) -> None:
    store, item = open_store(round_), ada.items[0]
    *pages, last = pairs(store, ada, item)
    for k, page in enumerate(pages):
        choose(store, ada, page, BETTER[str(page.candidate)], end_ms=BODY["end_ms"] + 60_000 * k)
        assert not round_.answer_path(ada, item).exists()
    choose(store, ada, last, BETTER[str(last.candidate)], end_ms=BODY["end_ms"] + 180_000, seconds=7.4)
    annotation = read_label_file(round_, ada, item)
    assert annotation.labels == tuple(BETTER.values())
    assert (str(annotation.start), str(annotation.end), annotation.seconds) == (
        "2023-11-14 22:13:15",
        "2023-11-14 22:16:20",
        22,
    )
    record = json.loads(round_.shown_path(ada, item).read_text())["pairs"]
    assert {name: tuple(pair["order"]) for name, pair in record.items()} == {
        str(page.candidate): store.shown(ada, page) for page in (*pages, last)
    }
    assert {name: pair["label"] for name, pair in record.items()} == {k: v.value for k, v in BETTER.items()}


def test_a_restart_in_the_middle_keeps_pairs_and_their_versions(round_: Round, ada: Annotator) -> None:
    store, item = open_store(round_), ada.items[0]
    first, second, *rest = pairs(store, ada, item)
    saved = choose(store, ada, first, Label.POSITIVE)
    again = open_store(round_)
    assert again.read(ada, first) == saved
    assert [again.state(ada, page) for page in (first, second)] == ["saved", "open"]
    changed = choose(again, ada, first, Label.NEGATIVE, saved.version)
    with pytest.raises(ConflictError):
        choose(again, ada, first, Label.SIMILAR, saved.version)
    for page in (second, *rest):
        choose(again, ada, page, Label.SIMILAR)
    assert open_store(round_).read(ada, first) == changed
    assert read_label_file(round_, ada, item).labels.count(Label.NEGATIVE) == 1
    corrected = choose(open_store(round_), ada, first, Label.POSITIVE, changed.version)
    assert corrected != changed
    assert read_label_file(round_, ada, item).labels.count(Label.POSITIVE) == 1


def test_an_answer_that_was_not_written_is_written_when_the_page_sends_the_last_pair_again(
    round_: Round, ada: Annotator, full_disk: FullDisk
) -> None:
    for item, is_restarted in zip(ada.items, (False, True), strict=False):
        store = open_store(round_)
        *pages, last = pairs(store, ada, item)
        for page in pages:
            choose(store, ada, page, Label.SIMILAR)
        with pytest.raises(OSError, match="No space"), full_disk(1):
            choose(store, ada, last, Label.POSITIVE)
        store = open_store(round_) if is_restarted else store
        assert [store.state(ada, page) for page in (*pages, last)] == ["saved", "saved", "saved", "open"]
        choose(store, ada, last, Label.POSITIVE)
        assert read_label_file(round_, ada, item).labels.count(Label.POSITIVE) == 1


def test_an_answer_of_another_tool_counts(round_: Round, ada: Annotator) -> None:
    item = ada.items[0]
    answer = Annotation("A", tuple(BETTER.values()), None, None, 20.0)
    write_bytes(round_.answer_path(ada, item), format_annotation(answer, item.group, FOUR).encode())
    store = open_store(round_)
    for page in pairs(store, ada, item):
        assert store.state(ada, page) == "saved"
        saved = store.read(ada, page)
        assert saved
        choose(store, ada, page, BETTER[str(page.candidate)], saved.version)
    assert read_label_file(round_, ada, item).labels == answer.labels


def test_a_skip_skips_the_pairs_of_the_group_that_are_not_judged(round_: Round, ada: Annotator) -> None:
    store, item = open_store(round_), ada.items[0]
    judged, *others = pairs(store, ada, item)
    choose(store, ada, judged, Label.POSITIVE)
    page, annotator = client(round_), store.item_id(ada, others[0])
    response = page.put(f"/api/items/{annotator}/skip", json={"reason": "too dark"})
    assert sorted(response.json()["skipped"]) == sorted(store.item_id(ada, other) for other in others)
    store = open_store(round_)
    assert [store.state(ada, one) for one in (judged, *others)] == ["saved", "skipped", "skipped", "skipped"]
    with pytest.raises(ConflictError):
        store.skip(ada, judged, "too late")
    for other in others:
        choose(store, ada, other, Label.SIMILAR)
    assert store.skips(ada) == {}


def test_100_percent_counts_for_the_less_seen_version_of_each_pair(round_: Round, ada: Annotator) -> None:
    strict = replace(round_, protocol=replace(BLIND, full_zoom=True))
    store = open_store(strict)
    for seconds in ([], [5, 0.9]):
        with pytest.raises(AnnotationError, match="at 100 %"):
            choose(store, ada, pairs(store, ada)[0], Label.SIMILAR, full_zoom_s=seconds)
    for item, least in zip(ada.items, (1, 0.5), strict=False):
        store = open_store(round_)
        for number, page in enumerate(pairs(store, ada, item)):
            choose(store, ada, page, Label.SIMILAR, full_zoom_s=[5, least if number == 2 else 2])
        assert store.full_zoom(ada)[item] == open_store(round_).full_zoom(ada)[item] == (least >= 1)


def test_practice_tells_the_original_after_the_answer(tmp_path: Path) -> None:
    [practice] = [replace(item, kind=Kind.PRACTICE) for item in votes("p9-0-0")]
    known = KnownAnswer((Label.POSITIVE, None, Label.NEGATIVE, Label.SIMILAR), "{03} has halos.")
    round_ = make_round(tmp_path, {"Ada": [(practice,)]}, known={practice.group: known}, protocol=BLIND)
    store, [ada] = open_store(round_), round_.annotators
    for page in pairs(store, ada):
        path = f"/api/items/{store.item_id(ada, page)}/answer"
        feedback = client(round_).put(path, json=BODY | {"labels": ["Similar"]}).json()["feedback"]
        first, second = store.shown(ada, page)
        assert feedback["original"] == ("1" if first == ORIGINAL else "2")
        expected = known.labels[FOUR.index(str(page.candidate))]
        words = [choice and choice.value for choice in store.correct(ada, page)]
        assert feedback["labels"] == words
        better = {"Positive": first, "Negative": second}.get(str(words[0]))
        assert better == {Label.POSITIVE: page.candidate, Label.NEGATIVE: ORIGINAL}.get(expected or Label.SIMILAR)
        shown = {first: "1", second: "2"}.get("03", "another one")
        assert feedback["note"] == f"{shown} has halos."


# From the round to the tree


def test_a_blind_round_becomes_a_tree_like_any_other(tmp_path: Path) -> None:
    gold = [replace(item, kind=Kind.GOLD) for item in votes("g0-0-0")]
    repeats = [replace(item, kind=Kind.REPEAT) for item in votes(IDS[0])]
    batch = (*votes(*IDS), *gold, *repeats)
    known = {gold[0].group: KnownAnswer(tuple(BETTER.values()))}
    round_ = make_round(tmp_path, {"Ada": [batch], "Bob": [batch]}, known=known, protocol=BLIND)
    for annotator in round_.annotators:
        judge(round_, annotator)
    merge_round(round_.folder, tmp_path / "tree", workers=1)
    groups = open_groups(tmp_path / "tree")
    assert [str(group.id) for group in groups] == list(IDS)
    assert all(group.consensus == tuple(BETTER.values()) for group in groups)
    assert groups.protocol == BLIND
    progress = measure_progress(open_store(round_)).annotators[0]
    assert (progress.done, progress.gold, progress.repeats) == (6, (4, 4), (4, 4))


def test_a_group_that_is_begun_stays_with_its_annotator(tmp_path: Path) -> None:
    groups = [f"p{k}-0-0" for k in range(8)]
    round_ = replace(make_round(tmp_path, {"Ada": [votes(*groups)], "Bob": [votes(*groups)]}, protocol=BLIND), votes=2)
    ada, _ = round_.annotators
    store = open_store(round_)
    for item in ada.items[:5]:
        choose(store, ada, pairs(store, ada, item)[0], Label.SIMILAR)
    after = reassign_groups(round_.folder, add=["Cleo"]).round
    assert len(after.annotator("Cleo").items) == 5
    assert set(ada.items[:5]) <= set(after.annotator("Ada").items)
