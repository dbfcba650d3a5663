import json
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hggt_data.annotate.round import Annotator, Item, Kind, Round
from hggt_data.annotate.web.store import Answer, AnswerStore, ConflictError
from hggt_data.errors import AnnotationError
from hggt_data.schema import Label, Protocol
from hggt_data.tree.hggt_labels import parse_annotation
from tests.full_disk import FullDisk
from tests.hggt_data.annotate.rounds import IDS, make_round, votes
from tests.hggt_data.kills import FORKED, die_at_rename

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
BODY: dict[str, Any] = {
    "labels": ["Positive", "Similar", "Negative", "Similar"],
    "seconds": 12.34,
    "pauses": [[3, 60]],
    "end_ms": 1_700_000_000_000,  # 2023-11-14 22:13:20 UTC
    "utc_offset_min": 60,
    "display": {"device_pixel_ratio": 1.25, "zoom": 3},
}


@pytest.fixture
def round_(tmp_path: Path) -> Round:
    return make_round(tmp_path, {"Ada": [votes(*IDS)], "Bob": [votes(*IDS)]})


@pytest.fixture
def store(round_: Round) -> AnswerStore:
    return AnswerStore(round_)


@pytest.fixture
def ada(round_: Round) -> Annotator:
    return round_.annotators[0]


def answer(*labels: Label, **changes: Any) -> Answer:
    return Answer.parse(BODY | {"labels": [label.value for label in labels or (P, S, N, S)]} | changes, 4)


def first(annotator: Annotator) -> Item:
    return annotator.items[0]


# What is shown


def test_candidates_are_shown_in_an_order_that_differs_by_annotator_and_item(tmp_path: Path) -> None:
    ids = [f"p{k}-0-0" for k in range(200)]
    round_ = make_round(tmp_path, {"Ada": [votes(*ids)], "Bob": [votes(*ids)]})
    store = AnswerStore(round_)
    ada, bob = round_.annotators
    orders = [store.order(ada, item) for item in ada.items]
    assert orders == [AnswerStore(round_).order(ada, item) for item in ada.items]
    assert all(sorted(order) == list(round_.candidates) for order in orders)
    assert len(set(orders)) == 24  # each of 4! orders occurs
    firsts = [order[0] for order in orders]
    assert all(30 <= firsts.count(name) <= 75 for name in round_.candidates)  # 50 expected, 4 sigma
    differing = sum(store.order(bob, item) != order for item, order in zip(ada.items, orders, strict=True))
    assert differing > 170
    again = [store.order(ada, Item(Kind.REPEAT, item.group)) for item in ada.items]
    assert sum(one != other for one, other in zip(orders, again, strict=True)) > 170


def test_ids_belong_to_one_annotator_and_depend_on_the_secret(store: AnswerStore, round_: Round) -> None:
    ada, bob = round_.annotators
    ids = [store.item_id(annotator, item) for annotator in (ada, bob) for item in annotator.items]
    assert len(set(ids)) == len(ids)
    assert all(store.find(ada, item_id) == item for item_id, item in zip(ids, ada.items, strict=False))
    assert all(store.find(ada, item_id) is None for item_id in ids[len(ada.items) :])
    other = AnswerStore(make_round(round_.folder.parent / "other", {"Ada": [votes(*IDS)], "Bob": [votes(*IDS)]}))
    other.round = Round(**{**vars(other.round), "secret": "another"})
    assert other.item_id(ada, first(ada)) not in ids


# Saving


def test_an_answer_is_one_file_in_the_official_format(store: AnswerStore, round_: Round, ada: Annotator) -> None:
    item = first(ada)
    saved = store.save(ada, item, answer(), None)
    path = round_.folder / "votes" / ada.pseudonym / f"{item.group}.json"
    content = json.loads(path.read_text())
    assert list(content) == ["Picture_1", "Picture_2", "Picture_3", "Picture_4", "Picture_5", "Time_cost"]
    assert content["Picture_1"] == {"Name": f"{item.group}.png", "File": "original", "Label": None}
    labels = {entry["File"]: entry["Label"] for key, entry in content.items() if key.startswith("Picture")}
    shown = dict(zip(store.order(ada, item), BODY["labels"], strict=True))
    assert labels == {"original": None, **shown}
    # The annotator's local time, UTC+1; the pause of a minute is between start and end.
    assert content["Time_cost"] == {"Start": "2023-11-14 23:12:07", "End": "2023-11-14 23:13:20", "Total": 12}
    assert [label and label.value for label in saved.labels] == BODY["labels"]
    assert parse_annotation(path.read_bytes(), item.group, "A", round_.candidates).labels


def test_how_a_group_was_shown_is_recorded(store: AnswerStore, round_: Round, ada: Annotator) -> None:
    store.save(ada, first(ada), answer(), None)
    content = json.loads((round_.folder / "shown" / "votes" / ada.pseudonym / f"{first(ada).group}.json").read_text())
    assert content.pop("received").endswith("Z")
    assert content == {
        "order": list(store.order(ada, first(ada))),
        "seconds": 12.34,
        "pauses": [{"after_s": 3, "seconds": 60}],
        "clock": "annotator's",
        "full_zoom_s": {},
        "display": {"device_pixel_ratio": 1.25, "zoom": 3},
        "earlier": [],
    }


def test_an_impossible_local_time_is_replaced_by_the_servers(round_: Round, ada: Annotator) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    store = AnswerStore(round_, clock=lambda: now)
    store.save(ada, first(ada), answer(end_ms=0), None)
    annotation = store.answers(ada)[first(ada)]
    assert annotation.start
    assert annotation.end == now.astimezone().replace(tzinfo=None)
    assert annotation.end - annotation.start == timedelta(seconds=73)
    assert "server's" in round_.shown_path(ada, first(ada)).read_text()


def test_the_same_answer_twice_is_saved_once(store: AnswerStore, round_: Round, ada: Annotator) -> None:
    same = answer(end_ms=0)  # the time is the server's, which differs
    one = store.save(ada, first(ada), same, None)
    stamp = round_.answer_path(ada, first(ada)).stat().st_mtime_ns
    restarted = AnswerStore(round_, clock=lambda: datetime.now(UTC) + timedelta(seconds=30))
    assert store.save(ada, first(ada), same, None) == restarted.save(ada, first(ada), same, None) == one
    assert round_.answer_path(ada, first(ada)).stat().st_mtime_ns == stamp


def test_a_change_must_name_the_version_it_replaces(store: AnswerStore, round_: Round, ada: Annotator) -> None:
    one = store.save(ada, first(ada), answer(P, P, P, P), None)
    for wrong in (None, "", "0" * 20):
        with pytest.raises(ConflictError, match="already has another answer, which is kept"):
            store.save(ada, first(ada), answer(N, N, N, N), wrong)
    assert AnswerStore(round_).read(ada, first(ada)) == one
    two = store.save(ada, first(ada), answer(N, N, N, N), one.version)
    assert two.version != one.version
    assert AnswerStore(round_).read(ada, first(ada)) == two
    store.save(ada, first(ada), answer(S, S, S, S), two.version)
    content = json.loads(round_.shown_path(ada, first(ada)).read_text())
    assert [entry["labels"] for entry in content["earlier"]] == [["Positive"] * 4, ["Negative"] * 4]


def test_simultaneous_answers_of_two_windows_leave_one_complete_answer(store: AnswerStore, ada: Annotator) -> None:
    outcomes: list[str] = []

    def save(label: Label) -> None:
        try:
            store.save(ada, first(ada), answer(label, label, label, label), None)
            outcomes.append("saved")
        except ConflictError:
            outcomes.append("conflict")

    threads = [threading.Thread(target=save, args=(label,)) for label in (P, S, N, P, S, N)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saved = store.read(ada, first(ada))
    assert saved is not None
    assert len(set(saved.labels)) == 1
    assert outcomes.count("saved") == 2  # the two with the same labels
    assert outcomes.count("conflict") == 4


def test_a_full_disk_keeps_the_earlier_answer(
    store: AnswerStore, round_: Round, ada: Annotator, full_disk: FullDisk
) -> None:
    one = store.save(ada, first(ada), answer(P, P, P, P), None)
    with full_disk(0), pytest.raises(OSError, match="No space left"):
        store.save(ada, first(ada), answer(N, N, N, N), one.version)
    assert store.read(ada, first(ada)) == AnswerStore(round_).read(ada, first(ada)) == one
    assert store.save(ada, first(ada), answer(N, N, N, N), one.version).labels == (N, N, N, N)


@pytest.mark.parametrize("moment", [0, 2, 3])  # before, between and after the two renames
def test_an_answer_killed_at_a_rename_is_complete_or_can_be_sent_again(
    round_: Round, ada: Annotator, moment: int
) -> None:
    process = FORKED.Process(target=_save_and_die, args=(round_, moment))
    process.start()
    process.join()
    store = AnswerStore(round_)
    assert (store.read(ada, first(ada)) is not None) == (moment == 3)
    assert store.save(ada, first(ada), answer(), None).labels == (P, S, N, S)


def _save_and_die(round_: Round, moment: int) -> None:
    ada = round_.annotators[0]
    store = AnswerStore(round_)
    die_at_rename(moment, lambda: store.save(ada, first(ada), answer(), None))


def test_files_that_are_not_answers_are_listed_and_kept(round_: Round, ada: Annotator) -> None:
    folder = round_.folder / "votes" / ada.pseudonym
    folder.mkdir(parents=True)
    (folder / f"{first(ada).group}.json").write_text("{")
    (folder / "notes.txt").write_text("x")
    (folder / f".{first(ada).group}.json.1.tmp").write_text("half")
    store = AnswerStore(round_)
    assert sorted(path.name for path in store.unreadable) == ["notes.txt", f"{first(ada).group}.json"]
    assert store.read(ada, first(ada)) is None
    store.save(ada, first(ada), answer(), None)
    assert (folder / f"{first(ada).group}.broken").read_text() == "{"
    assert [path.name for path in AnswerStore(round_).unreadable] == ["notes.txt"]


def test_an_answer_to_another_annotators_group_does_not_count(store: AnswerStore, round_: Round) -> None:
    ada = round_.annotators[0]
    store.save(ada, first(ada), answer(), None)
    reassigned = round_.with_annotators((Annotator("Ada", ada.pseudonym, (votes(IDS[1]),)),))
    again = AnswerStore(reassigned)
    assert not again.answers(ada)
    assert again.unreadable == {round_.answer_path(ada, first(ada)): "not assigned to this annotator"}


def test_a_vote_that_is_no_small_file_is_reported_and_blocks_nothing(round_: Round, ada: Annotator) -> None:
    paths = [round_.answer_path(ada, item) for item in ada.items]
    paths[0].parent.mkdir(parents=True)
    paths[0].symlink_to("/dev/zero")
    os.mkfifo(paths[1])
    paths[2].mkdir()
    paths[3].write_bytes(b" " * (1 << 20) + b"{}")
    skip = round_.skip_path(ada, first(ada))
    skip.parent.mkdir(parents=True)
    os.mkfifo(skip)
    store = AnswerStore(round_)
    assert [store.unreadable[path] for path in paths] == [
        "a symbolic link; expected the file itself",
        "not a regular file",
        "Is a directory",
        "larger than 1,048,576 bytes",
    ]
    assert "has no reason" in store.skips(ada)[first(ada)]


def test_a_round_that_moves_takes_no_answers_into_nowhere(round_: Round, ada: Annotator) -> None:
    store = AnswerStore(round_)
    moved = round_.folder.rename(round_.folder.with_name("moved"))
    for _ in range(2):  # first nothing, then another folder is at its place
        with pytest.raises(OSError, match="the round was moved, replaced or unmounted"):
            store.save(ada, first(ada), answer(), None)
        with pytest.raises(OSError, match="the round was moved, replaced or unmounted"):
            store.skip(ada, first(ada), "black")
        assert store.read(ada, first(ada)) is None
        round_.folder.mkdir(exist_ok=True)
        assert not list(round_.folder.iterdir())
    round_.folder.rmdir()
    moved.rename(round_.folder)
    saved = store.save(ada, first(ada), answer(), None)
    assert AnswerStore(round_).read(ada, first(ada)) == saved


@pytest.mark.parametrize("name", ["votes", "shown"])
def test_votes_that_move_alone_take_no_answers_into_a_new_folder(round_: Round, ada: Annotator, name: str) -> None:
    store = AnswerStore(round_)
    store.save(ada, first(ada), answer(), None)
    moved = (round_.folder / name).rename(round_.folder / "moved")
    with pytest.raises(OSError, match="the round was moved, replaced or unmounted") as error:
        store.save(ada, ada.items[1], answer(), None)
    assert error.value.filename == str(round_.folder / name)
    assert not (round_.folder / name).exists()
    moved.rename(round_.folder / name)
    store.save(ada, ada.items[1], answer(), None)
    assert len(AnswerStore(round_).answers(ada)) == 2


def test_whether_every_version_was_seen_at_100_percent_is_recorded(
    store: AnswerStore, round_: Round, ada: Annotator
) -> None:
    one, two, three, _ = ada.items
    store.save(ada, one, answer(full_zoom_s=[1, 2, 3.5, 4]), None)
    store.save(ada, two, answer(full_zoom_s=[5, 5, 0.9, 5]), None)
    store.save(ada, three, answer(), None)
    assert store.full_zoom(ada) == AnswerStore(round_).full_zoom(ada) == {one: True, two: False, three: None}
    shown = json.loads(round_.shown_path(ada, one).read_text())
    assert shown["full_zoom_s"] == dict(zip(store.order(ada, one), [1, 2, 3.5, 4], strict=True))


def test_a_round_can_require_100_percent(round_: Round, ada: Annotator) -> None:
    store = AnswerStore(replace(round_, protocol=Protocol(full_zoom=True)))
    for seconds in ([], [5, 5, 0.9, 5]):
        with pytest.raises(
            AnnotationError, match="; this round requires each part of every version to be in view at 100 %"
        ):
            store.save(ada, first(ada), answer(full_zoom_s=seconds), None)
    assert store.save(ada, first(ada), answer(full_zoom_s=[1, 1, 1, 1]), None)


# Skipping


def test_a_skip_has_a_reason_and_is_replaced_by_an_answer(store: AnswerStore, round_: Round, ada: Annotator) -> None:
    store.skip(ada, first(ada), " the picture is black ")
    assert AnswerStore(round_).skips(ada) == {first(ada): "the picture is black"}
    store.save(ada, first(ada), answer(), None)
    assert not store.skips(ada)
    assert not AnswerStore(round_).skips(ada)
    with pytest.raises(ConflictError):
        store.skip(ada, first(ada), "too late")


@pytest.mark.parametrize("reason", [None, "x" * 501, "\ud800abc"])
def test_a_reason_is_a_short_text(store: AnswerStore, ada: Annotator, reason: object) -> None:
    with pytest.raises(AnnotationError, match="expected a reason"):
        store.skip(ada, first(ada), reason)


# What the page may send


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["Positive"] * 3}, "expected 4 labels"),
        ({"labels": ["Positive", "Similar", "Negative", "positve"]}, "'positve'; expected one of Positive, Similar"),
        ({"labels": ["Positive", "Similar", "Negative", {}]}, "expected one of"),
        ({"pauses": [[0, 0]] * 1001}, "not a list of at most 1,000 pauses"),
        ({"pauses": [[1]]}, r"pauses contains \[1\]"),
        ({"full_zoom_s": [1]}, "full_zoom_s is not a list of 4 numbers of seconds"),
        ({"full_zoom_s": [1, 2, 3, "x"]}, "full_zoom_s is 'x'; expected a number"),
        ({"display": []}, "display is not a JSON object"),
    ],
)
def test_invalid_answers_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        Answer.parse(BODY | changes, 4)


INVALID_NUMBERS: list[object] = [None, True, "3", float("nan"), float("inf"), -1e20, 1e300, [], {}]


@settings(max_examples=20)
@given(
    st.sampled_from(INVALID_NUMBERS), st.sampled_from(["seconds", "end_ms", "utc_offset_min", "pauses", "display.zoom"])
)
def test_numbers_are_finite_and_in_range(value: object, name: str) -> None:
    changes = {name: value}
    if name == "pauses":
        changes = {name: [[0, value]]}
    elif name == "display.zoom":
        changes = {"display": {"zoom": value}}
    with pytest.raises(AnnotationError, match=f"^{name} is .*; expected a number from"):
        Answer.parse(BODY | changes, 4)


def test_an_answer_is_an_object_and_keeps_only_known_display_values() -> None:
    with pytest.raises(AnnotationError, match="expected a JSON object"):
        Answer.parse(None, 4)
    assert Answer.parse(BODY | {"display": {"zoom": 2, "ip": "10.0.0.1"}}, 4).display == {"zoom": 2}


def test_unusual_group_names_work(tmp_path: Path) -> None:
    round_ = make_round(tmp_path, {"Ada": [votes("my photo-é-0-0", "..-0-0")]})
    ada = round_.annotators[0]
    store = AnswerStore(round_)
    for item in ada.items:
        store.save(ada, item, answer(), None)
    assert len(AnswerStore(round_).answers(ada)) == 2
    assert "..-0-0" in {item.group for item in ada.items}
