"""`hggt-data remove` on datasets, rounds and trees."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hggt_data.annotate.reassign import reassign_groups
from hggt_data.annotate.round import Checks, Item, Kind, read_round, write_round
from hggt_data.cli.main import main
from hggt_data.hub.pseudonyms import read_pseudonyms
from hggt_data.io.images import encode_png
from hggt_data.loading import open_groups
from hggt_data.tree.annotators import read_annotators
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.annotate.rounds import make_round, votes
from tests.hggt_data.named_tree import ALICE, BOB, IDS, REPO, Published, build_named, write_named_tree
from tests.hggt_data.trees import contents, noise, write_annotation, write_bytes
from tests.hub_server import HubServer

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # the client's own


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["remove", "--yes", *map(str, arguments)])


@pytest.fixture
def named(published: Published, tmp_path: Path) -> Path:
    """A dataset with names, and its pseudonyms beside it."""
    shutil.copy(published.dataset.with_name("hggt.pseudonyms.csv"), tmp_path)
    return Path(shutil.copytree(published.dataset, tmp_path / "hggt"))


def test_a_persons_name_leaves_the_file_of_pseudonyms_and_the_pseudonym_stays_taken(named: Path) -> None:
    file = named.with_name("hggt.pseudonyms.csv")
    before = read_pseudonyms(file)
    result = run(named, "--annotator", ALICE, "--workers", "1")
    assert result.exit_code == 0, result.output
    assert f"the name of {before[ALICE]} was removed" in result.output
    assert "The next build from the trees would bring this back" in result.output
    assert "Not searched" in result.output
    after = read_pseudonyms(file)
    assert ALICE not in after
    assert sorted(after.values()) == sorted(before.values())
    assert ALICE not in file.read_text()
    assert all(one.annotator != ALICE for group in open_groups(named) for one in group.annotations)


def test_nothing_is_changed_in_place_without_a_yes(named: Path) -> None:
    before = contents(named)
    result = CliRunner().invoke(main, ["remove", str(named), "--annotator", ALICE])
    assert result.exit_code == 2
    assert "pass --yes to remove without confirmation, or --output" in " ".join(result.output.split())
    assert contents(named) == before


def test_a_pseudonym_names_the_same_person(named: Path) -> None:
    pseudonym = read_pseudonyms(named.with_name("hggt.pseudonyms.csv"))[BOB]
    assert run(named, "--annotator", pseudonym, "--workers", "1").exit_code == 0
    assert all(one.annotator != BOB for group in open_groups(named) for one in group.annotations)


@pytest.mark.usefixtures("online")
def test_the_next_version_can_be_pushed_without_the_name(
    filled_hub: HubServer, named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(named, "--annotator", ALICE, "--workers", "1", "--repository", REPO)
    assert result.exit_code == 0, result.output
    assert f"{REPO} still holds it in 1 commit" in result.output
    assert f"hf repos tag delete {REPO} v1.0 --type dataset --yes" in result.output
    monkeypatch.chdir(named.parent)
    pushed = CliRunner().invoke(main, ["push", "hggt", REPO, "--yes", "--workers", "1"])
    assert pushed.exit_code == 0, pushed.output


def test_nothing_to_remove_is_refused(named: Path) -> None:
    before = contents(named.parent)
    assert "nothing to remove" in run(named).output
    result = run(named, "--group", "p9-0-0", "--annotator", "nobody")
    assert result.exit_code == 2
    assert "has nothing to remove" in result.output
    assert contents(named.parent) == before


def test_the_next_version_goes_to_output(named: Path, tmp_path: Path) -> None:
    before = contents(named)
    result = run(named, "--group", IDS[0], "--output", tmp_path / "next", "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "still has what was removed" in result.output
    assert contents(named) == before
    assert open_groups(tmp_path / "next").ids == [*IDS[1:]]


def test_a_run_that_was_killed_while_replacing_the_dataset_is_completed(named: Path) -> None:
    named.rename(named.with_name(".hggt.previous"))
    result = run(named, "--group", IDS[0], "--workers", "1")
    assert result.exit_code == 0, result.output
    assert open_groups(named).ids == [*IDS[1:]]


def test_a_group_of_a_tree_is_deleted_with_its_lines_and_nothing_else(tmp_path: Path) -> None:
    tree = write_named_tree(tmp_path / "Train")
    write_bytes(tree / "notes.txt", b"mine")
    before = contents(tree)
    result = run(tree, "--source-picture", "p1")
    assert result.exit_code == 0, result.output
    assert "removed 1 group (6 files, 2 rows of tables)" in result.output
    gone = {path for path in before if "p1-0-0" in path}
    after = contents(tree)
    assert before.keys() - after.keys() == gone
    assert {place[0] for place in read_annotators(tree)} == {IDS[0], IDS[2]}
    assert {path: data for path, data in before.items() if path in after and path != "annotators.csv"} == {
        path: data for path, data in after.items() if path != "annotators.csv"
    }
    assert not validate_tree(tree, workers=1).errors
    build_named(tree, tmp_path / "set")


def test_an_annotator_of_a_tree_is_refused_with_the_way(tmp_path: Path) -> None:
    tree = write_named_tree(tmp_path / "Train")
    result = run(tree, "--annotator", ALICE)
    assert result.exit_code == 1
    assert "export tree" in result.output


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Own data: two groups of one candidate, each judged by Ann and Ben."""
    tree = tmp_path / "T"
    for group in ("g", "h"):
        for name in ("original", "01"):
            write_bytes(tree / f"{group}/{name}.png", encode_png(noise((16, 16), group + name)))
    rows = [f"{group},01,{person},Positive" for group in ("g", "h") for person in ("Ann", "Ben")]
    (tree / "votes.csv").write_text("\n".join(["group,candidate,annotator,label", *rows, ""]))
    (tree / "groups.csv").write_text("group,image\ng,cat\nh,dog\n")
    return tree


def test_rows_and_pictures_of_own_data_are_deleted(tables: Path) -> None:
    result = run(tables, "--source-picture", "cat")
    assert result.exit_code == 0, result.output
    assert "removed 1 group (2 files, 3 rows of tables)" in result.output
    assert sorted(contents(tables)) == ["groups.csv", "h/01.png", "h/original.png", "votes.csv"]
    assert (tables / "votes.csv").read_text() == (
        "group,candidate,annotator,label\nh,01,Ann,Positive\nh,01,Ben,Positive\n"
    )
    assert not validate_tree(tables, workers=1).errors


def test_a_persons_rows_of_own_data_are_deleted(tables: Path) -> None:
    result = run(tables, "--annotator", "Ann")
    assert result.exit_code == 0, result.output
    assert "removed 0 groups (0 files, 2 rows of tables)" in result.output
    assert "Ann" not in (tables / "votes.csv").read_text()
    before = contents(tables)
    assert "no vote would remain" in run(tables, "--annotator", "Ben").output
    assert contents(tables) == before


def test_groups_that_lose_their_last_vote_stay_unlabelled(tables: Path) -> None:
    (tables / "groups.csv").unlink()
    (tables / "votes.csv").write_text(
        "group,candidate,annotator,label\ng,01,Ann,Positive\nh,01,Ann,Positive\nh,01,Ben,Positive\n"
    )
    assert run(tables, "--annotator", "Ann").exit_code == 0
    assert (tables / "groups.csv").read_text() == "group\ng\n"
    assert not validate_tree(tables, workers=1).errors


def test_exported_votes_lose_the_rows(named: Path, tmp_path: Path) -> None:
    out = tmp_path / "votes"
    assert CliRunner().invoke(main, ["export", "votes", str(named), "--output", str(out)]).exit_code == 0
    assert run(out, "--source-picture", "p0", "--annotator", ALICE).exit_code == 0
    text = (out / "votes.csv").read_text() + (out / "groups.csv").read_text()
    assert "p0" not in text
    assert ALICE not in text
    assert BOB in text


@pytest.fixture
def round_folder(tmp_path: Path) -> Path:
    """A round in which Ann and Ben have answered two groups each, one of them together."""
    items = {
        "Ann": [votes("p0-0-0", "p1-0-0")],
        "Ben": [votes("p0-0-0", "p2-0-0")],
        "Cleo": [votes("p1-0-0", "p2-0-0")],
    }
    round_ = make_round(tmp_path, items)
    for annotator in round_.annotators[:2]:
        for item in annotator.items:
            write_annotation(round_.answer_path(annotator, item), item.group, annotator.pseudonym, round_.candidates)
            write_bytes(round_.shown_path(annotator, item), b"{}")
    return round_.folder


def test_an_annotators_answers_and_name_leave_a_round_and_others_take_over(round_folder: Path) -> None:
    pseudonym = read_round(round_folder).annotator("Ann").pseudonym
    result = run(round_folder, "--annotator", "Ann")
    assert result.exit_code == 0, result.output
    assert "Deleted 4 files" in result.output
    assert "Ann" not in (round_folder / "assignments.json").read_text()
    assert not [path for path in contents(round_folder) if pseudonym in path]
    assert len([path for path in contents(round_folder) if path.startswith("votes/")]) == 2
    after = reassign_groups(round_folder).round
    assert after.groups_to_vote_on == {"p0-0-0", "p1-0-0", "p2-0-0"}
    assert Item(Kind.VOTE, "p0-0-0") in after.annotator("Cleo").items


def test_a_group_leaves_a_round_with_its_answers(round_folder: Path) -> None:
    write_round(replace(read_round(round_folder), checks=Checks(gold=("p0-0-0", "gold"))))
    result = run(round_folder, "--group", "p0-0-0")
    assert result.exit_code == 0, result.output
    assert "Deleted 4 files" in result.output
    assert read_round(round_folder).groups_to_vote_on == {"p1-0-0", "p2-0-0"}
    assert read_round(round_folder).checks == Checks(gold=("gold",))
    assert not [path for path, data in contents(round_folder).items() if "p0-0-0" in path or b"p0-0-0" in data]
    assert run(round_folder, "--group", "p0-0-0").exit_code == 2


def test_a_round_without_groups_is_refused(round_folder: Path) -> None:
    before = contents(round_folder)
    result = run(round_folder, "--group", "p0-0-0", "--group", "p1-0-0", "--source-picture", "p2")
    assert "no group would remain" in result.output
    assert contents(round_folder) == before
