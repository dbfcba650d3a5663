import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from hggt_data import open_groups
from hggt_data.annotate.merge import MergeResult, merge_round
from hggt_data.annotate.round import Item, Kind, Round, read_round, write_round
from hggt_data.cli.main import main
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import OutputError, RoundError
from hggt_data.io.files import write_json
from hggt_data.schema import HGGT_PROTOCOL, Protocol
from hggt_data.tree.protocol import read_protocol
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.annotate.rounds import judge, skip
from tests.hggt_data.annotate.test_deal import TWO, deal, known_csv, make_patches
from tests.hggt_data.trees import contents, write_bytes, write_tree

merge = partial(merge_round, workers=1)
NAMES = ("Ada Lovelace", "Bob", "Carol", "Dan", "Eve")


def make_judged(folder: Path) -> Round:
    """Twelve groups with all their votes, except three groups that lack one, one and all three votes."""
    gold = known_csv(folder / "gold.csv", "p11-0-0,Positive,,")
    deal(make_patches(folder, 12), folder / "round", NAMES, gold=gold, repeats=1)
    round_ = read_round(folder / "round")
    for annotator in round_.annotators:
        for item in annotator.items:
            if item.kind is Kind.VOTE:
                judge(round_, annotator, item.group)
            else:
                write_bytes(round_.answer_path(annotator, item), b"not a vote")
    for image, number in {"p0": 1, "p1": 1, "p2": 3}.items():
        group = f"{image}-0-0"
        for annotator in [p for p in round_.annotators if Item(Kind.VOTE, group) in p.items][:number]:
            round_.answer_path(annotator, Item(Kind.VOTE, group)).unlink()
            if image == "p1":
                skip(round_, annotator, group)
    return round_


@pytest.fixture
def judged(tmp_path: Path) -> Round:
    return make_judged(tmp_path)


@dataclass(frozen=True)
class Merged:
    """A merged round, for tests that only read it."""

    round: Round
    tree: Path
    result: MergeResult

    def slots(self) -> list[list[str]]:
        """Group, slot and pseudonym of each vote."""
        header, *lines = (self.tree / "annotators.csv").read_text().splitlines()
        assert header == "group,slot,pseudonym"
        return [line.split(",") for line in lines]


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Merged:
    round_ = make_judged(tmp_path_factory.mktemp("merged"))
    tree = round_.folder.parent / "Train"
    return Merged(round_, tree, merge(round_.folder, tree))


def test_the_tree_says_how_annotators_were_asked(merged: Merged) -> None:
    assert read_protocol(merged.tree, Protocol(), "hggt")[0] == merged.round.protocol != HGGT_PROTOCOL


def test_votes_are_copied_unchanged_and_pictures_linked(merged: Merged) -> None:
    assert len(merged.result.complete) == 8
    images, labels = merged.tree / "images/0-8", merged.tree / "labels/0-8"
    assert sorted(path.name for path in labels.iterdir()) == ["A", "B", "C"]
    assert len(merged.slots()) == 24
    for group, slot, pseudonym in merged.slots():
        vote = merged.round.folder / "votes" / pseudonym / f"{group}.json"
        assert (labels / slot / f"{group}.json").read_bytes() == vote.read_bytes()
        source = merged.round.patches / "01" / f"{group}_01.png"
        assert (images / "01" / source.name).samefile(source)


def test_the_tree_holds_no_names_and_slots_do_not_stand_for_annotators(merged: Merged) -> None:
    for slot in "ABC":
        assert len({pseudonym for _, other, pseudonym in merged.slots() if other == slot}) >= 3
    for path, data in contents(merged.tree).items():
        for name in NAMES:
            assert name not in path
            assert path.endswith(".png") or name.encode() not in data


def test_groups_left_out_are_listed(merged: Merged) -> None:
    text = "\n".join(merged.result.describe())
    assert "8 groups with 3 votes each, by 5 annotators" in text
    assert "Left out 2 groups with 2 of 3 votes: p0-0-0, p1-0-0" in text
    assert "Left out 1 group with 0 of 3 votes: p2-0-0" in text
    assert "Among these, annotators skipped 1 group: p1-0-0 (black)" in text
    record = json.loads((merged.round.folder / "merge.json").read_text())
    assert record["partial"] == {"p0-0-0": 2, "p1-0-0": 2, "p2-0-0": 0}
    assert record["skipped"] == {"p1-0-0": ["black"]}
    assert record["conflicts"] == {}


def test_the_tree_says_who_saw_100_percent(judged: Round, tmp_path: Path) -> None:
    item = Item(Kind.VOTE, "p3-0-0")
    one, two, three = (annotator for annotator in judged.annotators if item in annotator.items)
    for annotator, seconds in ((one, 1), (two, 0.5)):
        write_json(judged.shown_path(annotator, item), {"full_zoom_s": {"01": 2, "02": seconds}})
    merge(judged.folder, tmp_path / "Train")
    header, *lines = (tmp_path / "Train/annotators.csv").read_text().splitlines()
    assert header == "group,slot,pseudonym,full_zoom"
    votes = [line.split(",") for line in lines]
    found = {name: seen for group, _, name, seen in votes if group == str(item.group)}
    assert found == {one.pseudonym: "yes", two.pseudonym: "no", three.pseudonym: ""}
    assert {seen for group, _, _, seen in votes if group != str(item.group)} == {""}


def test_the_same_votes_make_the_same_tree(merged: Merged, tmp_path: Path) -> None:
    merge(merged.round.folder, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(merged.tree)


def test_the_tree_is_valid_and_builds_with_its_annotators(judged: Round, tmp_path: Path) -> None:
    merge(judged.folder, tmp_path / "Train", copy=True)
    report = validate_tree(tmp_path / "Train", expect_groups=8, workers=1)
    assert report.problems == ()
    build_dataset(BuildSettings((tmp_path / "Train",), tmp_path / "hggt", license="cc0-1.0", workers=1))
    pseudonyms = {annotator.pseudonym for annotator in judged.annotators}
    groups = open_groups(tmp_path / "hggt", "train")
    assert len(groups) == 8
    for group in groups:
        assert {annotation.annotator for annotation in group.annotations} < pseudonyms
        assert len(group.annotations) == 3


def test_a_damaged_reason_is_listed(judged: Round, tmp_path: Path) -> None:
    [path] = (judged.folder / "skips").rglob("*.json")
    path.write_text("{bad")
    text = "\n".join(merge(judged.folder, tmp_path / "Train").describe())
    assert f"Among these, annotators skipped 1 group: p1-0-0 ({path} is damaged and has no reason)" in text


def test_files_that_are_not_votes_are_listed_and_do_not_count(judged: Round, tmp_path: Path) -> None:
    ada = judged.annotators[0]
    folder = judged.folder / "votes" / ada.pseudonym
    own_votes = sorted(folder.glob("*.json"))
    group = "p5-0-0"
    broken = next(path for path in own_votes if path.stem not in ("p0-0-0", "p1-0-0", str(group)))
    broken.write_text("{")
    judge(judged, ada, "p11-0-0")  # a gold group
    judge(judged, next(p for p in judged.annotators if Item(Kind.VOTE, group) not in p.items), group)
    write_bytes(folder / "notes.txt", b"x")
    write_bytes(folder / ".p3-0-0.json.7.tmp", b"half")
    write_bytes(judged.folder / "votes/annotator-stray/p3-0-0.json", own_votes[0].read_bytes())
    result = merge(judged.folder, tmp_path / "Train")
    assert broken.stem in result.partial
    assert len(result.votes.by_group[group]) == 3
    conflicts = {Path(path).name: why for path, why in result.votes.conflicts.items()}
    assert conflicts == {
        broken.name: conflicts[broken.name],
        "p11-0-0.json": "not assigned to this annotator",
        "p5-0-0.json": "not assigned to this annotator",
        "notes.txt": "the name is not GROUP.json",
        "annotator-stray": "not a pseudonym of this round",
    }
    assert "broken JSON" in conflicts[broken.name]
    assert "5 files not counted as votes" in "\n".join(result.describe())


def test_more_votes_than_slots_are_listed(judged: Round, tmp_path: Path) -> None:
    group = "p5-0-0"
    item = Item(Kind.VOTE, group)
    other = next(annotator for annotator in judged.annotators if item not in annotator.items)
    judge(judged, other, group)
    assigned = replace(other, batches=(*other.batches, (item,)))
    write_round(judged.with_annotators(tuple(assigned if p is other else p for p in judged.annotators)))
    result = merge(judged.folder, tmp_path / "Train")
    assert len(result.votes.extra) == 1
    assert "Left out votes beyond the slots" in "\n".join(result.describe())
    assert not validate_tree(tmp_path / "Train", workers=1).errors


def test_refusals(judged: Round, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="inside the round"):
        merge(judged.folder, judged.folder / "Train")
    with pytest.raises(OutputError, match="inside the pictures"):
        merge(judged.folder, judged.patches / "Train")
    merge(judged.folder, tmp_path / "Train")
    with pytest.raises(OutputError, match="not empty"):
        merge(judged.folder, tmp_path / "Train")
    deal(judged.patches, tmp_path / "fresh", NAMES)
    write_bytes(tmp_path / "fresh/votes/Bob/p3-0-0.json", b"{}")
    with pytest.raises(RoundError, match="no group has all its 3 votes yet; 0 votes so far") as caught:
        merge(tmp_path / "fresh", tmp_path / "tree")
    bob = read_round(tmp_path / "fresh").annotator("Bob").pseudonym
    assert f"votes/Bob: the name of an annotator; expected the pseudonym, {bob}. Go on with" in str(caught.value)
    assert not (tmp_path / "tree").exists()


def test_groups_whose_pictures_changed_after_the_assignment_are_left_out(judged: Round, tmp_path: Path) -> None:
    before = merge(judged.folder, tmp_path / "before")
    first, second, third, *rest = before.complete
    replaced = judged.picture(first, "01")
    write_bytes(replaced, judged.picture(first, "original").read_bytes())
    judged.picture(second, "02").write_bytes(b"cut")
    for name in ("original", *judged.candidates):
        judged.picture(third, name).unlink()
    result = merge(judged.folder, tmp_path / "after")
    assert result.complete == tuple(rest)
    assert result.faults[first] == f"01/{first}_01.png was replaced after it was assigned"
    assert result.faults[second].startswith(f"02/{second}_02.png: ")
    assert result.faults[third] == f"group {third} is missing"
    assert not result.faults.keys() & result.partial.keys()
    text = "\n".join(result.describe())
    assert "Left out 3 groups whose pictures differ from those that were judged: " in text
    recorded = json.loads((judged.folder / "merge.json").read_text())["pictures"]
    assert set(recorded) == {str(group) for group in (first, second, third)}
    (judged.folder / "pictures.csv").unlink()
    result = merge(judged.folder, tmp_path / "fast")
    assert first in result.complete
    assert any(line.startswith("The pictures were not compared") for line in result.describe())


def test_a_read_only_round_can_be_merged(judged: Round, tmp_path: Path) -> None:
    (judged.folder / "merge.json").mkdir()
    result = merge(judged.folder, tmp_path / "Train")
    assert validate_tree(tmp_path / "Train").errors == ()
    assert result.describe()[-2].startswith(f"The report could not be written: {judged.folder / 'merge.json'}: ")


def test_votes_of_another_tool_have_the_form_of_the_documents_example(tmp_path: Path) -> None:
    text = Path("docs/annotation.md").read_text("utf-8")
    example = text.split("```json\n")[1].split("```")[0]
    group = json.loads(example)["Picture_1"]["Name"].removesuffix(".png")
    tree = write_tree(tmp_path / "pictures", [group], slots="", size=(4, 4))
    deal(tree / "images/0-9", tmp_path / "round", NAMES[:1], votes=1)
    [annotator] = read_round(tmp_path / "round").annotators
    write_bytes(tmp_path / "round/votes" / annotator.pseudonym / f"{group}.json", example.encode())
    result = merge(tmp_path / "round", tmp_path / "Train")
    assert result.complete == (group,)
    assert not result.votes.conflicts
    assert result.describe()[-1] == (
        f"Next: hggt-data validate {tmp_path / 'Train'}; then hggt-data split {tmp_path / 'Train'} --output DIR"
    )


def test_the_command(merged: Merged, tmp_path: Path) -> None:
    arguments = ["merge", "--round", str(merged.round.folder), "--output", str(tmp_path / "Train"), "--workers", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "8 groups with 3 votes each" in result.output
    assert open_groups(tmp_path / "Train").candidates == TWO
