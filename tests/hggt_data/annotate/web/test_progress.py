from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from hggt_data.annotate.round import Annotator, Item, Kind, KnownAnswer, Round
from hggt_data.annotate.web.progress import AnnotatorProgress, Skip, disagreements, judged_groups, measure_progress
from hggt_data.annotate.web.store import Answer, AnswerStore
from hggt_data.annotate.web.texts import read_texts
from hggt_data.schema import Label
from hggt_data.statistics.agreement import krippendorff_alpha, votes_of
from tests.hggt_data.annotate.rounds import make_round, votes

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
TWO = ("01", "02")


def save(
    store: AnswerStore,
    annotator: Annotator,
    item: Item,
    labels: tuple[Label, Label],
    seconds: float = 20,
    full_zoom_s: tuple[float, ...] = (),
) -> None:
    """Answer with labels in the order of the candidates."""
    of_name = dict(zip(TWO, labels, strict=True))
    shown = tuple(of_name[name] for name in store.order(annotator, item))
    store.save(annotator, item, Answer(shown, seconds, (), datetime(2026, 1, 2, 3, 4, 5), full_zoom_s), None)


def round_of(tmp_path: Path, num_groups: int, **known: KnownAnswer) -> Round:
    ids = [f"p{k}-0-0" for k in range(num_groups)]
    return make_round(
        tmp_path,
        {"Ada": [votes(*ids)], "Bob": [votes(*ids)]},
        candidates=TWO,
        known={f"{image}-0-0": answer for image, answer in known.items()},
    )


def test_an_untouched_round(tmp_path: Path) -> None:
    progress = measure_progress(AnswerStore(round_of(tmp_path, 3)))
    assert (progress.groups, progress.complete, progress.votes, progress.wanted) == (3, 0, 0, 6)
    assert progress.alpha == {"nominal": None, "ordinal": None}
    ada = progress.to_json()["annotators"][0]
    assert (ada["name"], ada["assigned"], ada["done"], ada["seconds"], ada["last"]) == ("Ada", 3, 0, None, None)
    assert (ada["seconds_left"], ada["full_zoom"]) == (None, (0, 0))


def test_counts_pace_labels_and_agreement(tmp_path: Path) -> None:
    round_ = round_of(tmp_path, 4)
    store = AnswerStore(round_)
    ada, bob = round_.annotators
    for item, labels, seconds in zip(ada.items, [(P, P), (P, N), (S, N)], [10, 20, 90], strict=False):
        save(store, ada, item, labels, seconds)
    for item, labels in zip(bob.items, [(P, P), (N, N)], strict=False):
        save(store, bob, item, labels)
    store.skip(bob, bob.items[3], "black")
    progress = measure_progress(store)
    assert (progress.groups, progress.complete, progress.votes, progress.wanted) == (4, 2, 5, 8)
    one, two = progress.annotators
    assert (one.assigned, one.done, one.skipped, one.seconds, one.seconds_left) == (4, 3, 0, 20, 20)
    assert one.labels == {"Positive": 3, "Similar": 1, "Negative": 2}
    assert (two.assigned, two.done, two.skipped, two.seconds_left) == (4, 2, 1, 20)
    assert progress.skips == (Skip("Bob", "p3-0-0", "black"),)
    assert progress.compared == 4
    assert two.last == datetime(2026, 1, 2, 3, 4, 5)
    matrix, _ = votes_of(judged_groups(store))
    assert progress.alpha["nominal"] == pytest.approx(krippendorff_alpha(matrix))
    # 8 votes on 4 items, P 5 and N 3; one item differs: 1 - 7 * 2 / (64 - 25 - 9).
    assert progress.alpha["nominal"] == pytest.approx(1 - 14 / 30)
    assert progress.to_json()["annotators"][1]["last"] == "2026-01-02 03:04:05"


def test_disagreements_are_positive_against_negative_worst_first(tmp_path: Path) -> None:
    round_ = round_of(tmp_path, 4)
    store = AnswerStore(round_)
    ada, bob = round_.annotators
    for item, labels in zip(ada.items, [(P, S), (P, N), (P, P), (P, P)], strict=True):
        save(store, ada, item, labels)
    for item, labels in zip(bob.items, [(S, N), (N, N), (N, N), (P, P)], strict=True):
        save(store, bob, item, labels)
    assert [group.id for group in disagreements(store)] == ["p2-0-0", "p1-0-0"]
    assert {a.slot: a.annotator for a in disagreements(store)[0].annotations} == {
        ada.pseudonym: "Ada",
        bob.pseudonym: "Bob",
    }


def texts_of(annotator: AnnotatorProgress) -> list[str]:
    texts = read_texts(Path("a folder without texts.json"))
    return [texts[flag.text].format(**flag.values) for flag in annotator.flags]


def flags_of(store: AnswerStore) -> dict[str, list[str]]:
    return {annotator.name: texts_of(annotator) for annotator in measure_progress(store).annotators}


def test_fast_and_uniform_answers_are_flagged_from_the_third_group_on(tmp_path: Path) -> None:
    round_ = round_of(tmp_path, 4)
    store = AnswerStore(round_)
    ada, bob = round_.annotators
    for number, item in enumerate(ada.items):
        save(store, ada, item, (P, P), seconds=1)
        save(store, bob, item, ((P, S), (N, P), (S, N))[number % 3], seconds=3)
        if number == 1:
            assert flags_of(store) == {"Ada": [], "Bob": []}
    assert flags_of(store) == {
        "Ada": ["fast: 1.0 s per group (median of 4 groups)", "mostly one label: 8 of 8 labels are Positive"],
        "Bob": [],
    }


def test_who_saw_every_version_at_100_percent(tmp_path: Path) -> None:
    round_ = round_of(tmp_path, 4)
    store = AnswerStore(round_)
    ada, bob = round_.annotators
    for item, seconds in zip(ada.items, [(1, 9), (9, 0.9), (0, 0), ()], strict=True):
        save(store, ada, item, (P, N), full_zoom_s=seconds)
        save(store, bob, item, (P, N), full_zoom_s=(1, 1))
    one, two = measure_progress(store).annotators
    assert (one.full_zoom, two.full_zoom) == ((1, 3), (4, 4))
    assert flags_of(store) == {"Ada": ["all of every version seen at 100 % in only 1 of 3 groups"], "Bob": []}


def test_gold_and_repeats_are_measured_and_practice_is_not(tmp_path: Path) -> None:
    gold_ids = [f"g{k}" for k in range(5)]
    round_ = round_of(
        tmp_path, 5, **{image: KnownAnswer((P, None if k == 0 else N)) for k, image in enumerate(gold_ids)}
    )
    gold = tuple(Item(Kind.GOLD, f"{image}-0-0") for image in gold_ids)
    repeats = tuple(Item(Kind.REPEAT, item.group) for item in round_.annotators[0].items)
    practice = (Item(Kind.PRACTICE, "g0-0-0"),)
    annotators = tuple(replace(a, batches=(practice, *a.batches, gold, repeats)) for a in round_.annotators)
    store = AnswerStore(round_.with_annotators(annotators))
    ada, bob = annotators
    for item in ada.items:
        save(store, ada, item, (P, N))
        opposite = (N, P) if item.kind is not Kind.VOTE else (P, N)
        save(store, bob, item, opposite)
    progress = measure_progress(store)
    assert (progress.groups, progress.votes) == (5, 10)
    one, two = progress.annotators
    assert (one.gold, one.repeats, texts_of(one)) == ((9, 9), (10, 10), [])
    assert (two.gold, two.repeats) == ((0, 9), (0, 10))
    assert texts_of(two) == ["gold: only 0 of 9 labels correct", "repeats: only 0 of 10 labels equal"]
    assert (two.assigned, two.done, sum(two.labels.values())) == (15, 15, 30)


def test_gold_that_is_asked_again_counts_as_gold_and_as_a_repeat(tmp_path: Path) -> None:
    round_ = round_of(tmp_path, 1, g0=KnownAnswer((P, N)))
    gold, again = (Item(kind, "g0-0-0") for kind in (Kind.GOLD, Kind.REPEAT))
    ada, bob = (replace(annotator, batches=((gold, again),)) for annotator in round_.annotators)
    store = AnswerStore(round_.with_annotators((ada, bob)))
    save(store, ada, gold, (P, N))
    save(store, ada, again, (N, N))
    one, _ = measure_progress(store).annotators
    assert (one.gold, one.repeats) == ((3, 4), (1, 2))
