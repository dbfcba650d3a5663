import random
import shutil
import stat
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hggt_data.annotate.deal import DealResult, DealSettings, deal_groups, read_names, reassign_groups
from hggt_data.annotate.round import Annotator, Item, Kind, Round, read_round
from hggt_data.annotate.web.app import read_texts
from hggt_data.cli.main import main
from hggt_data.errors import OutputError, RoundError, SettingsError
from hggt_data.io.folders import lock_folder
from hggt_data.io.images import encode_png
from hggt_data.schema import Annotation, Label, Protocol
from hggt_data.tree.hggt_labels import format_annotation
from tests.full_disk import FullDisk
from tests.hggt_data.trees import contents, noise, write_bytes, write_tree

TWO = ("01", "02")
NAMES = ("Ada", "Bob", "Carol", "Dan")


def make_patches(folder: Path, number: int) -> Path:
    ids = [f"p{k}-0-0" for k in range(number)]
    return write_tree(folder / "t", ids, candidates=TWO, slots="", size=(4, 4)) / "images" / "0-9"


def deal(patches: Path, output: Path, names: Sequence[str] = NAMES, fast: bool = False, **settings: Any) -> DealResult:
    """Make a round in this process."""
    return deal_groups(patches, output, names, DealSettings(**settings), workers=1, fast=fast)


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    return make_patches(tmp_path, 30)


def votes_of(annotator: Annotator) -> set[str]:
    return {item.group for item in annotator.items if item.kind is Kind.VOTE}


def judge(round_: Round, annotator: Annotator, group: str, kind: Kind = Kind.VOTE) -> None:
    rng = random.Random(f"{annotator.name} {group}")
    labels = tuple(rng.choice(list(Label)) for _ in round_.candidates)
    start = datetime(2026, 1, 1) + timedelta(seconds=rng.randrange(10**6))
    annotation = Annotation("A", labels, start, start + timedelta(seconds=30), 30)
    text = format_annotation(annotation, group, round_.candidates)
    write_bytes(round_.answer_path(annotator, Item(kind, group)), text.encode())


def skip(round_: Round, annotator: Annotator, group: str) -> None:
    write_bytes(round_.skip_path(annotator, Item(Kind.VOTE, group)), b'{"reason": "black"}')


def require_fair(round_: Round) -> None:
    """Every group has all its votes, from different annotators, and loads are equal."""
    active = [annotator for annotator in round_.annotators if annotator.is_active]
    items = [[item for item in annotator.items if item.kind is Kind.VOTE] for annotator in round_.annotators]
    assert all(len(set(assigned)) == len(assigned) for assigned in items)
    counts = Counter(item.group for assigned in items for item in assigned)
    assert set(counts.values()) == {round_.votes}
    loads = [len(votes_of(annotator)) for annotator in active]
    assert max(loads) - min(loads) <= 1


def test_a_round_has_fair_assignments_and_lists_of_batches(patches: Path, tmp_path: Path) -> None:
    output = tmp_path / "round"
    result = deal(patches, output, votes=3, per_batch=10)
    round_ = read_round(output)
    require_fair(round_)
    assert round_.patches.resolve() == patches.resolve()
    assert all([len(batch) for batch in annotator.batches] in ([7, 8, 8], [7, 7, 8]) for annotator in round_.annotators)
    orders = [[item.group for item in annotator.items] for annotator in round_.annotators]
    assert all(order != sorted(order) for order in orders)
    assert stat.S_IMODE((output / "assignments.json").stat().st_mode) == 0o600
    assert "Compare every version with the original" in (output / "instructions.txt").read_text()
    text = "\n".join(result.describe())
    assert "30 groups (candidates 01, 02), 3 votes each; 4 annotators with 22 to 23 groups each" in text
    assert text.endswith(
        f"Next: hggt-data annotate {output} --annotator NAME, or --accounts FILE for several annotators"
    )
    for annotator in round_.annotators:
        for number, batch in enumerate(annotator.batches, start=1):
            lines = (output / f"batches/{annotator.pseudonym}/{number:03d}.txt").read_text().splitlines()
            assert lines == [str(item.group) for item in batch]


def test_the_seed_determines_everything_except_pseudonyms_and_secret(patches: Path, tmp_path: Path) -> None:
    rounds = []
    for k, seed in enumerate((0, 0, 1)):
        deal(patches, tmp_path / f"round{k}", seed=seed, repeats=1)
        rounds.append(read_round(tmp_path / f"round{k}"))
    batches = [[annotator.batches for annotator in round_.annotators] for round_ in rounds]
    assert batches[0] == batches[1] != batches[2]
    assert len({annotator.pseudonym for round_ in rounds for annotator in round_.annotators}) == 12
    assert len({round_.secret for round_ in rounds}) == 3


@pytest.mark.parametrize("form", ["links", "copies"])
def test_batches_of_linked_or_copied_pictures(patches: Path, tmp_path: Path, form: str) -> None:
    deal(patches, tmp_path / "round", batches=form)
    [annotator, *_] = read_round(tmp_path / "round").annotators
    batch = tmp_path / f"round/batches/{annotator.pseudonym}/001"
    for group in votes_of(annotator):
        for name, ending in {"original": "", "01": "_01", "02": "_02"}.items():
            source, target = (folder / name / f"{group}{ending}.png" for folder in (patches, batch))
            assert target.read_bytes() == source.read_bytes()
            assert target.samefile(source) == (form == "links")


def test_a_copied_folder_is_a_warning(patches: Path, tmp_path: Path) -> None:
    for path in (patches / "01").iterdir():
        shutil.copy(path, patches / "02" / path.name.replace("_01", "_02"))
    lines = deal(patches, tmp_path / "round").describe()
    assert "Warning: 02: 30 pictures have the same pixels as in 01/ (first: p0-0-0_02.png)" in lines


def known_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["group,01,02,note", *lines, ""]), "utf-8")
    return path


def test_practice_gold_and_repeats_are_kept_out_of_the_votes(patches: Path, tmp_path: Path) -> None:
    practice = known_csv(tmp_path / "practice.csv", "p3-0-0,Positive,,Look at {01}.", "p1-0-0,NEGATIVE,similar,")
    gold = known_csv(tmp_path / "gold.csv", *(f"p{k}-0-0,Positive,Negative," for k in range(10, 16)))
    deal(patches, tmp_path / "round", per_batch=9, practice=practice, gold=gold, repeats=2)
    round_ = read_round(tmp_path / "round")
    require_fair(round_)
    assert round_.known["p3-0-0"].labels == (Label.POSITIVE, None)
    assert round_.known["p3-0-0"].note == "Look at {01}."
    assert round_.known["p1-0-0"].labels == (Label.NEGATIVE, Label.SIMILAR)
    for annotator in round_.annotators:
        assert not votes_of(annotator) & round_.known.keys()
        first, *batches = annotator.batches
        assert first == (Item(Kind.PRACTICE, "p3-0-0"), Item(Kind.PRACTICE, "p1-0-0"))
        golds = [[item.group.split("-")[0] for item in batch if item.kind is Kind.GOLD] for batch in batches]
        assert sorted(image for batch in golds for image in batch) == [f"p{k}" for k in range(10, 16)]
        assert {len(batch) for batch in golds} == {3}
        for batch in batches:
            repeated = [item for item in batch if item.kind is Kind.REPEAT]
            assert len(repeated) == 2
            for item in repeated:
                distance = batch.index(item) - batch.index(Item(Kind.VOTE, item.group))
                assert distance >= (sum(other.kind is Kind.VOTE for other in batch)) // 3


def test_errors_in_known_answers_are_listed_together(patches: Path, tmp_path: Path) -> None:
    practice = known_csv(tmp_path / "practice.csv", "p0-0-0,Good,,", "p99-0-0,,,", "p1-0-0,,,", "p1-0-0,,,")
    gold = known_csv(tmp_path / "gold.csv", "p1-0-0,,,")
    with pytest.raises(RoundError) as caught:
        deal(patches, tmp_path / "round", practice=practice, gold=gold)
    text = str(caught.value)
    assert text.startswith("4 errors in the known answers:")
    assert "practice.csv, line 2: unknown label 'good'; expected Positive, Similar, Negative or an empty cell" in text
    assert "line 3: unknown group 'p99-0-0'" in text
    assert "line 5: group p1-0-0 occurs twice" in text
    assert "group p1-0-0 is both practice and gold" in text
    assert not (tmp_path / "round").exists()
    (tmp_path / "bad.csv").write_text("group,01\n")
    with pytest.raises(RoundError, match="columns 02 are missing"):
        deal(patches, tmp_path / "round", gold=tmp_path / "bad.csv")


def test_errors_in_pictures_are_listed_together_and_nothing_is_written(patches: Path, tmp_path: Path) -> None:
    (patches / "01" / "p1-0-0_01.png").unlink()
    (patches / "02" / "p2-0-0_02.png").write_bytes(b"text")
    (patches / "02" / "p3-0-0_02.png").write_bytes(encode_png(noise((4, 6), "x")))
    cut = patches / "01" / "p4-0-0_01.png"
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(RoundError) as caught:
        deal(patches, tmp_path / "round")
    text = str(caught.value)
    assert "4 errors" in text
    assert "01/p1-0-0_01.png: " in text
    assert "02/p2-0-0_02.png: not a PNG" in text
    assert "02/p3-0-0_02.png: 4 x 6 px (height x width); the group's other pictures have 4 x 4" in text
    assert "01/p4-0-0_01.png: " in text
    with pytest.raises(RoundError, match="3 errors"):  # the headers are intact
        deal(patches, tmp_path / "round", fast=True)
    assert not (tmp_path / "round").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Ada", "Bob", "ADA", "Dan"], "'ADA' differs from 'Ada' only in case"),
        (["Jos\u00e9", "Jose\u0301", "Bob"], "'Jos\u00e9' occurs 2 times"),
        (["Ada", "Bob", "C\x1b[2J"], "is not a valid name; expected printable characters"),
    ],
)
def test_names_that_cannot_be_used(patches: Path, tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(RoundError, match=message):
        deal(patches, tmp_path / "round", names)


def test_each_vote_needs_an_annotator(patches: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="2 annotators for 3 votes per group; expected at least as many `names`"):
        deal(patches, tmp_path / "round", ["Ada", "Bob"])


def test_a_folder_without_patches(tmp_path: Path) -> None:
    for name in ("original", "01"):
        (tmp_path / "patches" / name).mkdir(parents=True)
    with pytest.raises(RoundError, match="has no group to vote on: it has no patch groups"):
        deal(tmp_path / "patches", tmp_path / "round")


def test_a_single_vote_gives_a_warning(patches: Path, tmp_path: Path) -> None:
    result = deal(patches, tmp_path / "single", votes=1)
    assert "Warning: a consensus needs two votes per group" in "\n".join(result.describe())


def test_names_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\ufeffAda\n\n# left\n  # left too\n  Bob  \nÇağla Öz\n", "utf-8")
    assert read_names(path) == ["Ada", "Bob", "Çağla Öz"]
    path.write_bytes("Ça".encode("latin-1"))
    with pytest.raises(RoundError, match="is not UTF-8"):
        read_names(path)


def test_a_round_is_never_overwritten(patches: Path, tmp_path: Path) -> None:
    deal(patches, tmp_path / "round")
    before = contents(tmp_path / "round")
    with pytest.raises(OutputError, match="not empty"):
        deal(patches, tmp_path / "round")
    assert contents(tmp_path / "round") == before
    with pytest.raises(OutputError, match="is inside the pictures"):
        deal(patches, patches / "round")


# Reassigning


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


def test_the_question_is_asked_on_the_page_and_in_the_instructions(patches: Path, tmp_path: Path) -> None:
    question = "Which looks more <i>natural</i>?"
    round_ = deal(patches, tmp_path / "round", question=f" {question} ").round
    assert read_round(round_.folder).protocol == Protocol(False, question, 3, False)
    assert f"\n\n{question}\n\n" in (round_.folder / "instructions.txt").read_text()
    texts = read_texts(round_.folder, round_.protocol)
    assert (texts["title"], texts["positive_hint"]) == (question, "this version, not the original")
    for wrong in (" ", "two\nlines", "long " * 50):
        with pytest.raises(SettingsError, match=r"`question` is .*; expected one line of 1 to 200 characters"):
            DealSettings(question=wrong)


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


def test_the_commands(patches: Path, tmp_path: Path) -> None:
    names, output = tmp_path / "names.txt", tmp_path / "round"
    names.write_text("Ada\nBob\nCarol\n")
    options = ["deal", "--input", patches, "--output", output, "--annotators", names, "--per-batch", 20, "--workers", 1]
    result = CliRunner().invoke(main, [*map(str, options)])
    assert result.exit_code == 0, result.output
    assert "30 groups" in result.output
    result = CliRunner().invoke(main, ["reassign", str(output), "--add", "Dan"])
    assert result.exit_code == 0, result.output
    assert "Dan: 22 groups added, 0 removed" in result.output or "Dan: 23 groups added" in result.output
    assert len(read_round(output).annotators) == 4
