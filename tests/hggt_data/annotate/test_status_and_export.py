import json
from pathlib import Path

import pytest

from hggt_data.annotate.consent import Consents
from hggt_data.annotate.export import export_round
from hggt_data.annotate.round import Item, Kind, KnownAnswer, Round
from hggt_data.annotate.status import describe_round
from hggt_data.errors import OutputError
from hggt_data.io.files import read_csv, write_json
from hggt_data.schema import Label
from tests.hggt_data.annotate.rounds import IDS, judge, make_round, skip, votes

GOLD = Item(Kind.GOLD, "gold-0-0")
SHOWN = {"display": {"zoom": 4.5, "screen_width": 1919}, "full_zoom_s": {"01": 7.25}, "received": "2026"}


@pytest.fixture
def round_(tmp_path: Path) -> Round:
    """Ada judged two groups and gold, and skipped one; Bob has not begun."""
    known = {GOLD.group: KnownAnswer((Label.POSITIVE,) * 4)}
    round_ = make_round(tmp_path, {"Ada": [(*votes(*IDS), GOLD)], "Bob": [(*votes(*IDS), GOLD)]}, known=known)
    ada = round_.annotators[0]
    for item in (*votes(*IDS[:2]), GOLD):
        judge(round_, ada, str(item.group), item.kind)
        write_json(round_.shown_path(ada, item), SHOWN)
    skip(round_, ada, IDS[3])
    (round_.folder / "consent.md").write_text("Please read.")
    consents = Consents(round_.folder)
    text = consents.text()
    assert text
    consents.accept(ada, text.sha256)
    return round_


def test_status_says_who_how_far_how_long_and_how_carefully(round_: Round) -> None:
    head, columns, ada, bob, *flags = describe_round(round_.folder)
    assert head == "0 of 4 groups have all 2 votes; 2 of 8 votes given (25 %)"
    assert columns.split("  ")[0] == "annotator"
    assert columns.endswith("consent")
    assert [cell.strip() for cell in ada.split("  ") if cell.strip()][:5] == ["Ada", "3 of 5", "1", "30", "1 min"]
    assert ada.endswith("yes")
    assert bob.split()[:4] == ["Bob", "0", "of", "5"]
    assert flags[0].startswith("Ada: gold: only ")
    assert not [line for line in (head, columns, ada, bob) if "Positive" in line or "Negative" in line]


def test_the_export_has_all_answers_by_pseudonym(round_: Round, tmp_path: Path) -> None:
    output = tmp_path / "answers"
    lines = export_round(round_.folder, output).describe()
    assert lines[0] == f"{output}: 3 answers of 2 annotators"
    columns, rows = read_csv(output / "answers.csv")
    assert len(rows) == 3 * 4
    assert {row["pseudonym"] for row in rows} == {"annotator-000000"}
    assert {(row["kind"], row["version"]) for row in rows if row["item"] == GOLD.group} == {
        ("gold", f"0{k}") for k in range(1, 5)
    }
    assert {row["seconds"] for row in rows} == {"30.0"}
    people = {row["pseudonym"]: row for row in read_csv(output / "people.csv")[1]}
    ada, bob = people["annotator-000000"], people["annotator-000001"]
    assert (ada["assigned"], ada["answered"], ada["skipped"], bob["answered"]) == ("5", "3", "1", "0")
    assert (output / "consent" / f"{ada['consent_sha256']}.md").read_text() == "Please read."
    assert bob["consent_time"] == ""
    about = json.loads((output / "round.json").read_text())
    assert about["known"] == {GOLD.group: ["Positive"] * 4}
    readme = (output / "README.md").read_text()
    assert not [column for column in (*columns, *people["annotator-000000"]) if f"`{column}`" not in readme]
    with pytest.raises(OutputError, match="is not empty"):
        export_round(round_.folder, output)


def test_what_is_private_is_only_written_on_request(round_: Round, tmp_path: Path) -> None:
    def text_of(folder: Path) -> str:
        return "\n".join(path.read_text() for path in sorted(folder.rglob("*")) if path.is_file())

    export_round(round_.folder, tmp_path / "public")
    public = text_of(tmp_path / "public")
    for word in ("Ada", "Bob", "1919", "4.5", "7.25", "black", "received"):
        assert word not in public, word
    lines = export_round(round_.folder, tmp_path / "whole", private=True).describe()
    assert lines[1].endswith("3 records. Do not publish this folder.")
    private = text_of(tmp_path / "whole" / "private")
    assert "Ada" not in private
    for word in ("1919", "4.5", "7.25", "black"):
        assert word in private, word
    records = json.loads((tmp_path / "whole" / "private" / "records.json").read_text())
    assert records[0]["shown"] == SHOWN
