"""`deal-study`: what is compared, by whom, in which order; and what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hggt_data.annotate.round import Kind, read_round
from hggt_data.annotate.study.settings import StudySettings
from hggt_data.deal_study import deal_study
from hggt_data.errors import HggtError, MatchError, OutputError, RoundError, SettingsError
from hggt_data.io.images import encode_png, read_pixels
from hggt_data.study_plan import read_plan
from tests.hggt_data.annotate.study.studies import IDS, NAMES, QUESTION, make_study, write_methods
from tests.hggt_data.trees import contents, noise, write_bytes

TWO = (QUESTION, "Which looks more natural?")


def test_each_pair_is_judged_under_each_question_and_sides_are_balanced(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, ties=True, questions=TWO, gold=2, repeats=1)
    study = round_.study
    assert study is not None
    votes = [(one, item) for one in round_.annotators for item in one.items if item.kind is Kind.VOTE]
    judged = Counter((study.by_id[item.group].group, study.by_id[item.group].versions) for _, item in votes)
    pairs = {("a", "b"), ("a", "c"), ("b", "c")}
    assert judged == {(group, pair): 2 * len(TWO) for group in IDS for pair in pairs}
    left: Counter[tuple[tuple[str, ...], bool]] = Counter()
    for one, item in votes:
        versions = study.by_id[item.group].versions
        left[versions, study.orders[one.pseudonym, str(item)] == versions] += 1
    assert all(abs(left[pair, True] - left[pair, False]) <= 1 for pair in pairs)
    assert all(left[pair, is_canonical] for pair in pairs for is_canonical in (True, False))
    for one in round_.annotators:
        for batch in one.batches:
            assert len({study.by_id[item.group].question for item in batch if item.kind is Kind.VOTE}) == 1
        assert sum(item.kind is Kind.GOLD for item in one.items) == 2
        for item in one.items:
            if item.kind is Kind.REPEAT:
                first = study.orders[one.pseudonym, f"vote {item.group}"]
                assert study.orders[one.pseudonym, str(item)] == first[::-1]


def test_the_plan_is_there_before_the_first_vote_and_a_round_reads_as_it_was_written(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, gold=1, primary=("c", "a"), least_gold_share=0.5)
    plan = read_plan(round_.folder)
    assert (plan.primary, plan.votes, plan.gold, plan.least_gold_share) == (("c", "a"), 2, 1, 0.5)
    assert (plan.methods, plan.groups, plan.annotators, plan.questions) == (("a", "b", "c"), 4, 3, (QUESTION,))
    again = read_round(round_.folder)
    assert again.study == round_.study
    assert again.annotators == round_.annotators


def test_best_of_shows_all_versions_in_orders_that_differ(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, methods=("a", "b", "c", "d"), design="best-of", gold=1)
    study = round_.study
    assert study is not None
    orders = {order for (_, item), order in study.orders.items() if item.startswith("vote")}
    assert {tuple(sorted(order)) for order in orders} == {("a", "b", "c", "d")}
    assert len(orders) > 2
    [gold] = [one for one in study.by_id.values() if one.correct]
    assert sorted(gold.versions) == [str(gold.correct), "damaged-1", "damaged-2", "damaged-3"]


def test_a_damaged_version_differs_clearly_from_its_picture(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, gold=2)
    assert round_.study is not None
    for one in round_.study.by_id.values():
        if one.correct:
            intact, damaged = (read_pixels(round_.picture(one.group, name)).astype(int) for name in one.versions)
            assert np.abs(intact - damaged).mean() > 4


def test_a_low_resolution_reference_is_enlarged(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, lr=True, enlargement="nearest")
    small, large = (read_pixels(path / "p0-0-0.png") for path in (tmp_path / "lr", round_.folder / "enlarged"))
    assert np.array_equal(large, small.repeat(4, 0).repeat(4, 1))
    assert read_plan(round_.folder).reference_kind == "lr"


def test_another_study_in_the_same_folder_is_refused_with_the_differences(tmp_path: Path) -> None:
    round_ = make_study(tmp_path)
    before = contents(round_.folder)
    with pytest.raises(OutputError, match=r"another design .design pairs, not best-of.*hggt-data reassign"):
        make_study(tmp_path, design="best-of")
    assert contents(round_.folder) == before


def test_a_changed_plan_stops_the_study(tmp_path: Path) -> None:
    round_ = make_study(tmp_path)
    path = round_.folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ties": True}))
    with pytest.raises(RoundError, match="cannot go on with another design"):
        read_round(round_.folder)


def test_bad_methods_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    write_methods(tmp_path, ("a", "b", "c"))
    (tmp_path / "b/p1-0-0.png").unlink()
    write_bytes(tmp_path / "c/p2-0-0.png", encode_png(noise((8, 8), "small")))
    write_methods(tmp_path / "other", ("a",))

    def refused(error: type[HggtError], message: str, *restored: str, **settings: Any) -> None:
        values: dict[str, Any] = {"questions": (QUESTION,), "votes": 2, **settings}
        paths = [text.replace("=", f"={tmp_path}/") if "=" in text else str(tmp_path / text) for text in restored]
        with pytest.raises(error, match=message):
            deal_study(paths, tmp_path / "round", NAMES, StudySettings(**values), gt=tmp_path / "gt")
        assert not (tmp_path / "round").exists()

    refused(MatchError, "b: groups without a restored image: 1 of 4", "a", "b")
    refused(MatchError, r"p2-0-0.png: 8 x 8; expected 16 x 24", "a", "c")
    refused(MatchError, "two methods have the name 'x'", "x=a", "x=other/a")
    refused(MatchError, "a method cannot be compared with itself: x and y are the same files", "x=a", "y=a")
    refused(RoundError, "x and y have the same pixels in all 4 pictures", "x=a", "y=other/a")
    refused(SettingsError, "expected two or more to compare", "a")
    refused(SettingsError, "`primary` has z; expected two of a, b", "a", "b", primary=("a", "z"))
    refused(SettingsError, "expected two different methods", "a", "b", primary=("a", "a"))
    refused(SettingsError, "3 annotators for 4 votes per comparison", "a", "b", votes=4)
    refused(SettingsError, "one version is always chosen", "a", "b", design="best-of", ties=True)
    refused(SettingsError, "damaged-1 cannot be the name", "a", "damaged-1=b")
    refused(SettingsError, "has one question twice", "a", "b", questions=(QUESTION, QUESTION))
