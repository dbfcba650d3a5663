"""`plan.json`: what was decided before the first vote."""

import json
from pathlib import Path
from typing import Any

import pytest

from hggt_data.errors import RoundError
from hggt_data.study_plan import PLAN_FILE, StudyPlan, read_plan, write_plan

PLAN = StudyPlan(
    methods=("a", "b", "c"),
    design="pairs",
    questions=("Which is sharper?",),
    primary=("a", "b"),
    groups=4,
    annotators=3,
    votes=2,
    ties=True,
    reference="shown",
    reference_kind="gt",
    enlargement=None,
    gold=1,
    repeats=0,
    least_gold_share=0.7,
    seed=0,
    created="2026-01-31T12:00:00Z",
)


def test_a_plan_is_read_as_it_was_written_and_its_digest_ignores_what_comes_later(tmp_path: Path) -> None:
    later = PLAN.with_look(7, "merge").with_extension(3, 5)
    write_plan(tmp_path, later)
    found = read_plan(tmp_path)
    assert found == later
    assert found.digest() == PLAN.digest()
    assert (found.votes_now, PLAN.votes_now) == (3, 2)
    assert found.extended_after_look
    assert not PLAN.with_extension(3, 5).extended_after_look


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["a", "a"]}, "expected two or more different ones"),
        ({"primary": ["a", "z"]}, "expected two of the methods"),
        ({"design": "triples"}, "design is 'triples'"),
        ({"design": "best-of"}, "ties are allowed in a best-of design"),
        ({"votes": "2"}, "votes is '2'; expected a whole number"),
        ({"format": 9}, "expected an object with format 1"),
        ({"colour": 1}, "unknown key 'colour'"),
    ],
)
def test_a_damaged_plan_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_plan(tmp_path, PLAN)
    path = tmp_path / PLAN_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RoundError, match=message):
        read_plan(tmp_path)


def test_a_folder_without_a_plan_has_no_study(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match=r"has no study: plan\.json is missing"):
        read_plan(tmp_path)
