import json
from pathlib import Path

import pytest

from hggt_data.annotate.round import Checks, Item, Kind, read_round
from hggt_data.schema import QUESTION, Protocol
from tests.hggt_data.annotate.rounds import make_round, votes


@pytest.mark.parametrize("required", [True, False])
def test_a_round_dealt_before_protocols_keeps_what_it_requires(tmp_path: Path, required: bool) -> None:
    round_ = make_round(tmp_path, {"Ada": [votes("p0-0-0")]})
    path = round_.folder / "assignments.json"
    content = json.loads(path.read_text())
    del content["protocol"]
    path.write_text(json.dumps({**content, "require_full_zoom": required}))
    expected = Protocol(blind=False, question=QUESTION, versions_at_once=5, full_zoom=required)
    assert read_round(round_.folder).protocol == expected


def test_a_round_dealt_before_checks_were_recorded_keeps_those_that_it_has(tmp_path: Path) -> None:
    practice, gold = Item(Kind.PRACTICE, "p1-0-0"), Item(Kind.GOLD, "p2-0-0")
    batch = (*votes("p0-0-0"), gold, Item(Kind.REPEAT, "p0-0-0"))
    round_ = make_round(tmp_path, {"Ada": [(practice,), batch], "Bob": [votes("p0-0-0")]})
    path = round_.folder / "assignments.json"
    content = json.loads(path.read_text())
    del content["checks"]
    path.write_text(json.dumps(content))
    assert read_round(round_.folder).checks == Checks(("p1-0-0",), ("p2-0-0",), 1)
