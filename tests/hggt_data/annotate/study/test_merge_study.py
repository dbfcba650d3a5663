"""`merge` of a study, looks at its preferences, and what it does not show before it is complete."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from hggt_data import merge_study, open_groups, reassign_groups
from hggt_data.annotate.copies import read_copies
from hggt_data.annotate.merge import merge_round
from hggt_data.annotate.remove import remove_from_round
from hggt_data.annotate.round import Kind
from hggt_data.annotate.status import describe_round
from hggt_data.annotate.study.merge import merge_votes
from hggt_data.annotate.study.votes import read_study, record_look
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import RoundError, SettingsError
from hggt_data.study_plan import read_plan
from hggt_data.tree.validate import validate_tree
from hggt_data.unwanted import Unwanted
from tests.hggt_data.annotate.rounds import IDS, make_round, votes
from tests.hggt_data.annotate.study.studies import BODY, again, best, client, judge, make_study


@pytest.mark.parametrize("design", ["pairs", "best-of"])
def test_a_study_becomes_a_table_that_validates_builds_and_has_the_same_votes(tmp_path: Path, design: str) -> None:
    round_ = make_study(tmp_path, design=design, gold=1, repeats=1)
    judge(round_, best("b", "a", "c"))
    merged = merge_study(round_.folder, tmp_path / "tree")
    assert merged.votes == {"vote": 24 if design == "pairs" else 8, "gold": 3, "repeat": 3}
    report = validate_tree(tmp_path / "tree", workers=1)
    assert not [problem for problem in report.problems if problem.severity == "error"]
    assert report.layout == "table"
    study = read_study(round_.folder)
    build_dataset(BuildSettings(trees=(tmp_path / "tree",), output=tmp_path / "data", workers=1))
    for source in (tmp_path / "tree", tmp_path / "data"):
        found = open_groups(source)
        assert list(found.ids) == list(IDS)
        for group, expected in zip(found, study.groups, strict=True):
            assert sorted(group.pairs, key=repr) == sorted(expected.pairs, key=repr)
            assert sorted(group.choices, key=repr) == sorted(expected.choices, key=repr)
            assert group.has_picture("original")
    assert read_plan(tmp_path / "tree").digest() == study.plan.digest()
    assert read_plan(tmp_path / "data") == read_plan(tmp_path / "tree")
    assert [copy.path for copy in read_copies(round_.folder)] == [str(tmp_path / "tree")]
    names = [one.name for one in round_.annotators]
    assert not [path for path in (tmp_path / "tree").glob("*.*") if any(name in path.read_text() for name in names)]


def test_viewing_has_the_zoom_and_the_side(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, votes=1, names=("Ada",), methods=("a", "b"))
    browser = client(round_)
    for page in browser.get("/api/batches/0").json():
        more = {"labels": ["Positive", "Negative"], "display": {"zoom": 3, "flips": 2}, "full_zoom_s": [1.5, 2]}
        assert browser.put(f"/api/items/{page['id']}/answer", json=BODY | more).status_code == 200
    merge_study(round_.folder, tmp_path / "tree")
    lines = list(csv.DictReader((tmp_path / "tree/viewing.csv").open()))
    assert {(line["zoom"], line["flips"], line["full_zoom_s"]) for line in lines} == {("3.0", "2.0", "1.5")}
    assert {(line["first"], line["second"]) for line in lines} == {("a", "b"), ("b", "a")}


def test_an_unfinished_study_is_merged_only_on_request_and_the_look_is_recorded(tmp_path: Path) -> None:
    round_ = make_study(tmp_path)
    judge(round_, best("a"), ["Ada"])
    with pytest.raises(RoundError, match="16 of 24 votes are missing"):
        merge_study(round_.folder, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert not read_plan(round_.folder).looks
    merged = merge_votes(round_.folder, tmp_path / "tree", unfinished=True)
    assert "plan records that the preferences were looked at" in " ".join(merged.describe())
    [look] = read_plan(round_.folder).looks
    assert (look.votes, look.how) == (8, "hggt-data merge")
    assert read_plan(tmp_path / "tree").looks == (look,)
    reassign_groups(round_.folder, votes=3)
    plan = read_plan(round_.folder)
    assert plan.extended_after_look
    assert plan.votes_now == 3


def test_an_extended_study_keeps_its_votes_and_gets_new_ones(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, repeats=1, gold=1)
    judge(round_, best("a"), ["Ada", "Bob"])
    before = {one.pseudonym: set(one.items) for one in round_.annotators}
    result = reassign_groups(round_.folder, add=["Dan"], votes=3)
    after = again(round_)
    plan = read_plan(round_.folder)
    assert [(one.votes, one.annotators, one.after_look) for one in plan.extensions] == [(3, 4, False)]
    assert not plan.extended_after_look
    assert after.study is not None
    assert round_.study is not None
    assert any("Dan" in line for line in result.describe())
    assert (
        after.study.orders.items()
        >= {key: order for key, order in round_.study.orders.items() if key in after.study.orders}.items()
    )
    for one in after.annotators[:2]:
        assert {item for item in before[one.pseudonym] if item.kind is Kind.VOTE} <= set(one.items)
    judge(after, best("a"))
    assert read_study(round_.folder).complete


def test_without_those_who_withdrew_a_study_is_complete_when_the_others_have_judged_everything(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, votes=3)
    judge(round_, best("a"), ["Ada", "Bob"])
    with pytest.raises(RoundError, match="12 of 36 votes are missing"):
        merge_study(round_.folder, tmp_path / "early")
    remove_from_round(round_.folder, Unwanted(annotators=frozenset(["Cleo"])))
    assert merge_study(round_.folder, tmp_path / "tree").missing == 0
    assert read_study(round_.folder).complete
    assert read_plan(tmp_path / "tree").looks[-1].missing == 0


def test_what_one_who_withdrew_had_judged_is_missing_as_long_as_others_can_judge_it(tmp_path: Path) -> None:
    round_ = make_study(tmp_path)
    judge(round_, best("a"))
    remove_from_round(round_.folder, Unwanted(annotators=frozenset(["Cleo"])))
    with pytest.raises(RoundError, match="8 of 24 votes are missing"):
        merge_study(round_.folder, tmp_path / "tree")
    reassign_groups(round_.folder)
    judge(again(round_), best("a"))
    assert merge_study(round_.folder, tmp_path / "tree").missing == 0


def test_a_study_is_only_extended_by_its_own_design(tmp_path: Path) -> None:
    round_ = make_study(tmp_path)
    with pytest.raises(RoundError, match="expected more than the 2 votes"):
        reassign_groups(round_.folder, votes=1)
    with pytest.raises(RoundError, match="3 annotators would remain; 5 votes per group"):
        reassign_groups(round_.folder, votes=5)
    assert not read_plan(round_.folder).extensions
    labels = make_round(tmp_path / "labels", {"Ada": [votes(*IDS)], "Bob": [votes(*IDS)]})
    with pytest.raises(RoundError, match="is not a study"):
        reassign_groups(labels.folder, votes=3)


def test_looking_at_a_finished_study_counts_when_it_is_extended(tmp_path: Path) -> None:
    round_ = make_study(tmp_path)
    judge(round_, best("a"))
    assert record_look(round_.folder, "test") == record_look(round_.folder, "test")
    reassign_groups(round_.folder, votes=3)
    assert read_plan(round_.folder).extended_after_look


def test_progress_shows_quality_but_no_preferences(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, gold=2, repeats=1, per_batch=6)
    judge(round_, best("a", "b", "c"), ["Ada"])
    judge(round_, lambda _, __, order: order[0], ["Bob"])  # always the left one
    admin = client(round_, "Boss", is_admin=True)
    progress = admin.get("/api/admin/progress").json()
    ada, bob, cleo = progress["annotators"]
    assert progress["is_study"]
    assert (progress["groups"], progress["votes"], progress["wanted"]) == (12, 16, 24)
    assert (ada["gold"], ada["repeats"]) == ([2, 2], [2, 2])
    assert (bob["gold"][1], bob["repeats"]) == (2, [0, 2])
    assert (cleo["done"], ada["labels"], bob["labels"]) == (0, {}, {})
    flag = next(flag for flag in bob["flags"] if flag["text"] == "admin_flag_one_position")
    assert flag["values"] == {"count": 12, "given": 12, "position": 1}
    assert progress["alpha"] == {"nominal": None, "ordinal": None}
    assert admin.get("/api/admin/disagreements").json() == {"total": 0, "groups": []}
    assert admin.get("/api/admin/answers.csv").status_code == 403
    assert admin.get("/api/admin/pictures/c00001/a").status_code == 404
    status = describe_round(round_.folder)
    assert "s per comparison" in status[1]
    assert "Bob: repeats: only 0 of 2 answers equal" in status


def test_a_replaced_picture_stops_the_merge(tmp_path: Path) -> None:
    round_ = make_study(tmp_path)
    judge(round_, best("a"))
    (tmp_path / "a/p1-0-0.png").write_bytes((tmp_path / "b/p1-0-0.png").read_bytes())  # a hard link of the round's
    with pytest.raises(RoundError, match=r"1 picture of 16 cannot be used.*p1-0-0_a\.png was replaced"):
        merge_study(round_.folder, tmp_path / "tree")


def test_options_of_rounds_of_labels_and_of_studies_are_told_apart(tmp_path: Path) -> None:
    round_ = make_study(tmp_path)
    with pytest.raises(SettingsError, match="pictures of a study are in its round"):
        merge_votes(round_.folder, tmp_path / "tree", patches=tmp_path)
    with pytest.raises(RoundError, match="is a study"):
        merge_round(round_.folder, tmp_path / "tree")
    labels = make_round(tmp_path / "labels", {"Ada": [votes(*IDS)], "Bob": [votes(*IDS)]})
    with pytest.raises(SettingsError, match="`unfinished` is for studies"):
        merge_votes(labels.folder, tmp_path / "tree", unfinished=True)


def test_pairs_with_ground_truths_and_low_resolution_fit_sriqa(tmp_path: Path) -> None:
    round_ = make_study(tmp_path, ties=True, gold=1, both=True)
    judge(round_, lambda _, __, order: None if "c" in order else best("a", "b")(_, __, order))
    merge_study(round_.folder, tmp_path / "tree", layout="sriqa")
    report = validate_tree(tmp_path / "tree", workers=1)
    assert (report.layout, report.slots) == ("sriqa", ("A", "B"))
    missing = [problem.message for problem in report.problems if problem.kind == "missing-votes"]
    assert not [message for message in missing if "Original" in message]  # which were not compared
    assert [problem for problem in report.problems if problem.severity == "error"] == []
    pairs = [vote for group in open_groups(tmp_path / "tree") for vote in group.pairs]
    found = Counter("tie" if vote.preferred == "tie" else getattr(vote, str(vote.preferred)) for vote in pairs)
    assert found == {"tie": 16, "a": 8}
    assert open_groups(tmp_path / "tree")[0].has_picture("lr")
    other = make_study(tmp_path / "other")
    judge(other, best("a"))
    with pytest.raises(RoundError, match="does not fit the layout sriqa: it has no lr pictures"):
        merge_study(other.folder, tmp_path / "none", layout="sriqa")
    assert not (tmp_path / "none").exists()
