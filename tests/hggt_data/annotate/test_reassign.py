"""Annotators who leave and join."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from hggt_data.annotate.reassign import reassign_groups
from hggt_data.annotate.round import Kind, Round, read_round
from hggt_data.cli.main import main
from hggt_data.errors import OutputError, RoundError
from hggt_data.io.folders import lock_folder
from tests.full_disk import FullDisk
from tests.hggt_data.annotate.rounds import judge, skip
from tests.hggt_data.annotate.simulated_rounds import simulate
from tests.hggt_data.annotate.test_assignment import optimal_loads
from tests.hggt_data.annotate.test_deal import NAMES, deal, known_csv, make_patches, require_fair, votes_of
from tests.hggt_data.trees import contents, write_bytes


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    return make_patches(tmp_path, 30)


@pytest.fixture(scope="module")
def begun_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round of four annotators who have each judged the first half of their groups; its pictures are beside it."""
    folder = tmp_path_factory.mktemp("begun")
    deal(make_patches(folder, 30), folder / "round", per_batch=10)
    round_ = read_round(folder / "round")
    for annotator in round_.annotators:
        for item in annotator.items[: len(annotator.items) // 2]:
            judge(round_, annotator, item.group)
    return folder


@pytest.fixture
def begun(begun_folder: Path, tmp_path: Path) -> Round:
    shutil.copytree(begun_folder, tmp_path, dirs_exist_ok=True)
    return read_round(tmp_path / "round")


def require_answers_stay(before: Round, after: Round) -> None:
    by_name = {annotator.name: annotator for annotator in after.annotators}
    for annotator in before.annotators:
        for item in annotator.items:
            if before.answer_path(annotator, item).exists():
                assert item in by_name[annotator.name].items


def test_a_new_annotator_takes_a_share_and_nothing_else_moves(begun: Round) -> None:
    reassign_groups(begun.folder, add=["Eve"])
    after = read_round(begun.folder)
    require_fair(after)
    require_answers_stay(begun, after)
    *others, eve = after.annotators
    assert eve.name == "Eve"
    assert len(votes_of(eve)) == 18  # 90 votes, five annotators
    for old, new in zip(begun.annotators, others, strict=True):
        assert new.pseudonym == old.pseudonym
        assert votes_of(new) < votes_of(old)  # nothing else moved
        assert [item for item in old.items if item in new.items] == list(new.items)


def test_a_dropped_annotator_keeps_answers_and_the_rest_goes_to_others(begun: Round) -> None:
    result = reassign_groups(begun.folder, drop=["Bob"])
    after = read_round(begun.folder)
    require_answers_stay(begun, after)
    bob = after.annotator("Bob")
    assert not bob.is_active
    assert len(votes_of(bob)) == 11
    counts = Counter(group for annotator in after.annotators for group in votes_of(annotator))
    assert set(counts.values()) == {3}
    loads = [len(votes_of(annotator)) for annotator in after.annotators if annotator.is_active]
    assert max(loads) - min(loads) <= 1
    for old, new in zip(begun.annotators, after.annotators, strict=True):
        if new.is_active:
            assert new.batches[: len(old.batches)] == old.batches
    assert any(line.startswith("Bob: 0 groups added, ") for line in result.describe())
    assert not (begun.folder / "batches" / bob.pseudonym).exists()
    reassign_groups(begun.folder, add=["Bob"])
    again = read_round(begun.folder)
    require_fair(again)
    assert again.annotator("Bob").pseudonym == bob.pseudonym


def test_loads_that_cannot_be_equal_are_reported(begun: Round) -> None:
    for annotator in begun.annotators[:3]:
        for item in annotator.items:
            judge(begun, annotator, item.group)
    lines = reassign_groups(begun.folder, add=["Eve"]).describe()
    [line] = [line for line in lines if line.startswith("Loads differ by more than one group: Ada has ")]
    eve = len(votes_of(read_round(begun.folder).annotator("Eve")))
    assert line.endswith(f", Eve {eve}; answers stay with their annotators.")


def test_the_required_zoom_stays_with_the_round(patches: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES))
    command = ["deal", "--input", str(patches), "--output", str(tmp_path / "round"), "--annotators", str(names)]
    result = CliRunner().invoke(main, [*command, "--require-full-zoom"])
    assert "An answer is accepted only after all of every version was in view at 100 % for a second." in result.output
    reassign_groups(tmp_path / "round", drop=["Dan"])
    assert read_round(tmp_path / "round").protocol.full_zoom


def test_a_skipped_group_goes_to_another_annotator_and_never_back(begun: Round) -> None:
    ada = begun.annotator("Ada")
    skipped = [item.group for item in ada.items[-3:]]
    for group in skipped:
        skip(begun, ada, group)
    changes: list[tuple[list[str], list[str]]] = [([], []), (["Eve"], []), ([], ["Dan"]), (["Finn"], [])]
    for add, drop in changes:
        reassign_groups(begun.folder, add, drop)
        after = read_round(begun.folder)
        assert not votes_of(after.annotator("Ada")) & set(skipped)
        counts = Counter(group for annotator in after.annotators for group in votes_of(annotator))
        assert set(counts.values()) == {3}
        require_answers_stay(begun, after)


def test_a_skipped_group_comes_back_if_no_one_else_is_left(patches: Path, tmp_path: Path) -> None:
    deal(patches, tmp_path / "round", NAMES[:3])
    round_ = read_round(tmp_path / "round")
    group = round_.annotators[0].items[0].group
    skip(round_, round_.annotators[0], group)
    reassign_groups(round_.folder, add=["Dan"], drop=["Bob"])
    counts = Counter(group for annotator in read_round(round_.folder).annotators for group in votes_of(annotator))
    assert counts[group] == 3


def test_new_and_returning_annotators_get_the_checks_that_they_have_not_answered(patches: Path, tmp_path: Path) -> None:
    practice = known_csv(tmp_path / "practice.csv", "p3-0-0,Positive,,", "p5-0-0,Positive,,")
    gold = known_csv(tmp_path / "gold.csv", *(f"p{k}-0-0,Positive,," for k in range(10, 16)))
    deal(patches, tmp_path / "round", practice=practice, gold=gold, repeats=3)
    before = read_round(tmp_path / "round")
    bob = before.annotator("Bob")
    done = {bob.items[0], *bob.items[2:8]}  # one of the two practice groups is left
    for item in done:
        judge(before, bob, item.group, item.kind)
    reassign_groups(tmp_path / "round", drop=["Bob"])
    assert set(read_round(tmp_path / "round").annotator("Bob").items) == done
    reassign_groups(tmp_path / "round", add=["Bob", "Eve"])
    round_ = read_round(tmp_path / "round")
    require_fair(round_)
    bob, eve = round_.annotator("Bob"), round_.annotator("Eve")
    assert done < set(bob.items)
    for annotator in (bob, eve):
        assert len(set(annotator.items)) == len(annotator.items)
        kinds = Counter(item.kind for item in annotator.items)
        assert (kinds[Kind.PRACTICE], kinds[Kind.GOLD]) == (2, 6)
        assert kinds[Kind.REPEAT] >= 3
        assert [str(item) for item in annotator.batches[0]] == ["practice p3-0-0", "practice p5-0-0"]
    for annotator in round_.annotators:  # a repeat stays with its vote
        assert {item.group for item in annotator.items if item.kind is Kind.REPEAT} <= votes_of(annotator)


def test_a_new_folder_of_the_patches_is_recorded(begun: Round, tmp_path: Path) -> None:
    moved = begun.patches.resolve().rename(tmp_path / "moved")
    with pytest.raises(RoundError, match="the patches of this round are missing; pass their new folder as `patches`"):
        reassign_groups(begun.folder, add=["Eve"])
    (tmp_path / "other").mkdir()
    with pytest.raises(RoundError, match=r"other lacks \d+ pictures of \d+ of this round: .*/original/"):
        reassign_groups(begun.folder, patches=tmp_path / "other")
    result = CliRunner().invoke(main, ["reassign", str(begun.folder), "--input", str(moved)])
    assert result.exit_code == 0, result.output
    assert read_round(begun.folder).patches.resolve() == moved


def test_relative_paths_are_right_through_a_linked_folder(begun: Round, tmp_path: Path) -> None:
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "far/away/link").symlink_to(begun.folder)
    patches = begun.patches.resolve()
    reassign_groups(tmp_path / "far/away/link", add=["Eve"])
    assert read_round(begun.folder).patches.resolve() == patches


def test_a_damaged_vote_does_not_count_and_its_group_goes_to_another(begun: Round) -> None:
    bob = begun.annotator("Bob")
    group = bob.items[0].group
    begun.answer_path(bob, bob.items[0]).write_bytes(b"")
    result = reassign_groups(begun.folder, drop=["Bob"])
    after = read_round(begun.folder)
    assert group not in votes_of(after.annotator("Bob"))
    assert sum(group in votes_of(annotator) for annotator in after.annotators) == 3
    place = f"votes/{bob.pseudonym}/{group}.json"
    assert f"Groups assigned again because of 1 unusable answer file: {place}" in "\n".join(result.describe())


@pytest.mark.parametrize("form", ["lists", "links"])
def test_files_of_other_tools_among_the_batches_are_not_replaced(patches: Path, tmp_path: Path, form: str) -> None:
    deal(patches, tmp_path / "round", batches=form)
    round_ = read_round(tmp_path / "round")
    before = contents(tmp_path / "round")
    annotator = round_.annotators[0]
    group = annotator.items[0].group
    for place in (f"{annotator.pseudonym}/001/labels/{group}.json", f"{annotator.pseudonym}/{group}.json", "notes.txt"):
        path = tmp_path / "round/batches" / place
        write_bytes(path, b"{}")
        with pytest.raises(
            RoundError, match=f"1 file that hggt did not write: {place}. Move answers to .*/votes/PSEUDONYM/"
        ):
            reassign_groups(tmp_path / "round", add=["Eve"])
        assert path.read_bytes() == b"{}"
        path.unlink()
    assert contents(tmp_path / "round") == before
    (tmp_path / "round/batches/.DS_Store").touch()
    reassign_groups(tmp_path / "round", add=["Eve"])
    reassign_groups(tmp_path / "round", drop=["Eve"])
    for annotator in read_round(tmp_path / "round").annotators:
        assert (tmp_path / "round/batches" / annotator.pseudonym).is_dir() == annotator.is_active


def test_after_a_failure_at_the_last_file_the_same_command_gives_the_same_result(
    begun: Round, tmp_path: Path, full_disk: FullDisk
) -> None:
    shutil.copytree(begun.folder, tmp_path / "other")
    before = (begun.folder / "assignments.json").read_bytes()
    reassign_groups(tmp_path / "other", drop=["Bob"])
    lists = len(list((tmp_path / "other/batches").rglob("*.txt")))
    with full_disk(lists), pytest.raises(OSError, match="No space left"):
        reassign_groups(begun.folder, drop=["Bob"])
    assert not list((begun.folder / "batches" / begun.annotator("Bob").pseudonym).glob("*"))  # batches are replaced
    assert (begun.folder / "assignments.json").read_bytes() == before
    reassign_groups(begun.folder, drop=["Bob"])
    assert contents(begun.folder) == contents(tmp_path / "other")


def test_a_served_round_is_not_changed(begun: Round) -> None:
    before = contents(begun.folder)
    with lock_folder(begun.folder), pytest.raises(OutputError, match=r"is in use by .*; stop that first"):
        reassign_groups(begun.folder, add=["Eve"])
    assert contents(begun.folder) == before


@pytest.mark.parametrize(
    ("add", "drop", "message"),
    [
        (["Ada"], [], "Ada is already an annotator"),
        ([], ["ADA"], "'ADA' is not an annotator of this round; 'ADA' differs from 'Ada' only in case"),
        ([], ["Zoe"], "'Zoe' is not an annotator of this round; expected one of Ada, Bob, Carol, Dan"),
        ([], ["Ada", "Bob"], "2 annotators would remain; 3 votes per group need at least 3"),
        (["Eve"], ["Eve"], "'Eve' occurs 2 times"),
    ],
)
def test_impossible_changes_change_nothing(begun: Round, add: list[str], drop: list[str], message: str) -> None:
    before = contents(begun.folder)
    with pytest.raises(RoundError, match=message):
        reassign_groups(begun.folder, add=add, drop=drop)
    assert contents(begun.folder) == before


@pytest.mark.parametrize("seed", range(60))
def test_checks_reach_all_work_when_annotators_leave_and_join(seed: int) -> None:
    simulation = simulate(seed)
    assert simulation.checked
    assert simulation.faults == []


@pytest.mark.parametrize("seed", range(20))
def test_loads_are_as_equal_as_answers_allow_and_a_difference_is_explained(seed: int) -> None:
    simulation = simulate(seed)
    for result, answered, skipped in simulation.reassigned:
        names = [annotator.name for annotator in result.round.annotators if annotator.is_active]
        loads = sorted(len(result.round.annotator(name).groups_to_vote_on) for name in names)
        groups = {group for annotator in result.round.annotators for group in annotator.groups_to_vote_on}
        kept = {group: {name for name, group_ in answered if group_ == group} for group in sorted(groups)}
        assert loads == optimal_loads(kept, names, result.round.votes, skipped)
        assert bool(result.difference) == (loads[-1] - loads[0] > 1)
