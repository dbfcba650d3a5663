import random
import shutil
import stat
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from hggt_data.annotate.deal import DealSettings, deal_groups, read_names, reassign_groups
from hggt_data.annotate.round import Annotator, Item, Kind, Round, read_round
from hggt_data.cli.main import main
from hggt_data.errors import OutputError, RoundError
from hggt_data.io.folders import lock_folder
from hggt_data.io.images import encode_png
from hggt_data.schema import Annotation, Label, PatchId
from hggt_data.tree.label_file import format_annotation
from tests.hggt_data.trees import contents, noise, write_bytes, write_tree

TWO = ("01", "02")
PEOPLE = ("Ada", "Bob", "Carol", "Dan")


def make_patches(folder: Path, number: int) -> Path:
    ids = [f"p{k}-0-0" for k in range(number)]
    return write_tree(folder / "t", ids, candidates=TWO, slots="", size=(4, 4)) / "images" / "0-9"


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    return make_patches(tmp_path, 30)


def votes_of(person: Annotator) -> set[PatchId]:
    return {item.group for item in person.items if item.kind is Kind.VOTE}


def judge(dealt: Round, person: Annotator, group: PatchId, kind: Kind = Kind.VOTE) -> None:
    rng = random.Random(f"{person.name} {group}")
    labels = tuple(rng.choice(list(Label)) for _ in dealt.candidates)
    start = datetime(2026, 1, 1) + timedelta(seconds=rng.randrange(10**6))
    annotation = Annotation("A", labels, start, start + timedelta(seconds=30), 30)
    text = format_annotation(annotation, group, dealt.candidates)
    write_bytes(dealt.answer_path(person, Item(kind, group)), text.encode())


def skip(dealt: Round, person: Annotator, group: PatchId) -> None:
    write_bytes(dealt.skip_path(person, Item(Kind.VOTE, group)), b'{"reason": "black"}')


def require_fair(dealt: Round) -> None:
    """Every group has its votes, nobody judges one twice, and loads are equal."""
    active = [person for person in dealt.annotators if person.is_active]
    items = [[item for item in person.items if item.kind is Kind.VOTE] for person in dealt.annotators]
    assert all(len(set(theirs)) == len(theirs) for theirs in items)
    counts = Counter(item.group for theirs in items for item in theirs)
    assert set(counts.values()) == {dealt.votes}
    loads = [len(votes_of(person)) for person in active]
    assert max(loads) - min(loads) <= 1


def test_a_round_is_dealt(patches: Path, tmp_path: Path) -> None:
    output = tmp_path / "round"
    result = deal_groups(patches, output, PEOPLE, DealSettings(votes=3, per_batch=10))
    dealt = read_round(output)
    require_fair(dealt)
    assert dealt.patches.resolve() == patches.resolve()
    assert all([len(batch) for batch in person.batches] in ([7, 8, 8], [7, 7, 8]) for person in dealt.annotators)
    orders = [[item.group for item in person.items] for person in dealt.annotators]
    assert all(order != sorted(order) for order in orders)
    assert stat.S_IMODE((output / "assignments.json").stat().st_mode) == 0o600
    assert "Compare every version with the original" in (output / "instructions.txt").read_text()
    text = "\n".join(result.describe())
    assert "30 groups (candidates 01, 02), 3 votes each, to 4 annotators: 22 to 23 each" in text
    assert f"hggt-data annotate {output}" in text


def test_the_seed_decides_all_but_the_pseudonyms(patches: Path, tmp_path: Path) -> None:
    rounds = []
    for k, seed in enumerate((0, 0, 1)):
        deal_groups(patches, tmp_path / f"round{k}", PEOPLE, DealSettings(seed=seed, repeats=1))
        rounds.append(read_round(tmp_path / f"round{k}"))
    batches = [[person.batches for person in dealt.annotators] for dealt in rounds]
    assert batches[0] == batches[1] != batches[2]
    assert len({person.pseudonym for dealt in rounds for person in dealt.annotators}) == 12
    assert len({dealt.secret for dealt in rounds}) == 3


def test_lists_have_the_groups_of_each_batch(patches: Path, tmp_path: Path) -> None:
    deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(per_batch=10))
    for person in read_round(tmp_path / "round").annotators:
        for number, batch in enumerate(person.batches, start=1):
            lines = (tmp_path / f"round/batches/{person.pseudonym}/{number:03d}.txt").read_text().splitlines()
            assert lines == [str(item.group) for item in batch]


@pytest.mark.parametrize("form", ["links", "copies"])
def test_pictures_on_request(patches: Path, tmp_path: Path, form: str) -> None:
    deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(batches=form))  # type: ignore[arg-type]
    [person, *_] = read_round(tmp_path / "round").annotators
    place = tmp_path / f"round/batches/{person.pseudonym}/001"
    for group in votes_of(person):
        for name, ending in {"original": "", "01": "_01", "02": "_02"}.items():
            source, target = (folder / name / f"{group}{ending}.png" for folder in (patches, place))
            assert target.read_bytes() == source.read_bytes()
            assert target.samefile(source) == (form == "links")


def known_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["group,01,02,note", *lines, ""]), "utf-8")
    return path


def test_practice_gold_and_repeats_are_kept_out_of_the_votes(patches: Path, tmp_path: Path) -> None:
    practice = known_csv(tmp_path / "practice.csv", "p3-0-0,Positive,,Look at {01}.", "p1-0-0,NEGATIVE,similar,")
    gold = known_csv(tmp_path / "gold.csv", *(f"p{k}-0-0,Positive,Negative," for k in range(10, 16)))
    settings = DealSettings(per_batch=9, practice=practice, gold=gold, repeats=2)
    deal_groups(patches, tmp_path / "round", PEOPLE, settings)
    dealt = read_round(tmp_path / "round")
    require_fair(dealt)
    assert dealt.known[PatchId("p3", 0, 0)].labels == (Label.POSITIVE, None)
    assert dealt.known[PatchId("p3", 0, 0)].note == "Look at {01}."
    assert dealt.known[PatchId("p1", 0, 0)].labels == (Label.NEGATIVE, Label.SIMILAR)
    for person in dealt.annotators:
        assert not votes_of(person) & dealt.known.keys()
        first, *batches = person.batches
        assert first == (Item(Kind.PRACTICE, PatchId("p3", 0, 0)), Item(Kind.PRACTICE, PatchId("p1", 0, 0)))
        golds = [[item.group.image for item in batch if item.kind is Kind.GOLD] for batch in batches]
        assert sorted(image for theirs in golds for image in theirs) == [f"p{k}" for k in range(10, 16)]
        assert {len(theirs) for theirs in golds} == {3}
        for batch in batches:
            repeated = [item for item in batch if item.kind is Kind.REPEAT]
            assert len(repeated) == 2
            for item in repeated:
                distance = batch.index(item) - batch.index(Item(Kind.VOTE, item.group))
                assert distance >= (sum(other.kind is Kind.VOTE for other in batch)) // 3


def test_faults_of_known_answers_are_told_together(patches: Path, tmp_path: Path) -> None:
    practice = known_csv(tmp_path / "practice.csv", "p0-0-0,Good,,", "p99-0-0,,,", "p1-0-0,,,", "p1-0-0,,,")
    gold = known_csv(tmp_path / "gold.csv", "p1-0-0,,,")
    with pytest.raises(RoundError) as caught:
        deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(practice=practice, gold=gold))
    text = str(caught.value)
    assert text.startswith("4 faults in the known answers:")
    assert "practice.csv, line 2: label 'good'; expected one of Positive, Similar, Negative, or nothing" in text
    assert "line 3: there is no group 'p99-0-0'" in text
    assert "line 5: group p1-0-0 is there twice" in text
    assert "group p1-0-0 is both practice and gold" in text
    assert not (tmp_path / "round").exists()
    (tmp_path / "bad.csv").write_text("group,01\n")
    with pytest.raises(RoundError, match="columns 02 are missing"):
        deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(gold=tmp_path / "bad.csv"))


def test_faults_of_pictures_are_told_together_and_nothing_is_written(patches: Path, tmp_path: Path) -> None:
    (patches / "01" / "p1-0-0_01.png").unlink()
    (patches / "02" / "p2-0-0_02.png").write_bytes(b"text")
    (patches / "02" / "p3-0-0_02.png").write_bytes(encode_png(noise((4, 6), "x")))
    with pytest.raises(RoundError) as caught:
        deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings())
    text = str(caught.value)
    assert "3 faults" in text
    assert "01/p1-0-0_01.png: the picture 01 of group p1-0-0 is missing" in text
    assert "02/p2-0-0_02.png: not a PNG" in text
    assert "02/p3-0-0_02.png: 4 x 6 px (height x width); the group's other pictures have 4 x 4" in text
    assert not (tmp_path / "round").exists()


def test_a_damaged_picture_is_seen_unless_only_heads_are_read(tmp_path: Path) -> None:
    patches = make_patches(tmp_path, 3)
    path = patches / "01" / "p1-0-0_01.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RoundError, match=r"(?s)1 fault in .*01/p1-0-0_01.png: "):
        deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings())
    assert not (tmp_path / "round").exists()
    deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(), decode=False)


def test_a_tree_has_only_so_many_slots(patches: Path, tmp_path: Path) -> None:
    names = [f"person {k}" for k in range(30)]
    with pytest.raises(RoundError, match="27 votes a group; expected 26 at most, the slots of a tree"):
        deal_groups(patches, tmp_path / "round", names, DealSettings(votes=27))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Ada", "Bob"], "2 names for 3 votes a group"),
        (["Ada", "Bob", "Ada", "Dan"], "'ada' is there 2 times"),
        (["Ada", "Bob", "ADA", "Dan"], "'ada' is there 2 times"),
        (["Ada", "Bob", "C\x1b[2J"], "is not a valid name; expected printable characters"),
    ],
)
def test_names_that_will_not_do(patches: Path, tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(RoundError, match=message.replace("[", r"\[")):
        deal_groups(patches, tmp_path / "round", names, DealSettings())


def test_names_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\ufeffAda\n\n# left\n  # left too\n  Bob  \nÇağla Öz\n", "utf-8")
    assert read_names(path) == ["Ada", "Bob", "Çağla Öz"]
    path.write_bytes("Ça".encode("latin-1"))
    with pytest.raises(RoundError, match="is not UTF-8"):
        read_names(path)


def test_a_round_is_never_written_over(patches: Path, tmp_path: Path) -> None:
    deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings())
    before = contents(tmp_path / "round")
    with pytest.raises(OutputError, match="not empty"):
        deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings())
    assert contents(tmp_path / "round") == before
    with pytest.raises(OutputError, match="is inside the pictures"):
        deal_groups(patches, patches / "round", PEOPLE, DealSettings())


# Dealing anew


@pytest.fixture
def begun(patches: Path, tmp_path: Path) -> Round:
    """Each of four people has judged the first half of what they have."""
    deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(per_batch=10))
    dealt = read_round(tmp_path / "round")
    for person in dealt.annotators:
        for item in person.items[: len(person.items) // 2]:
            judge(dealt, person, item.group)
    return dealt


def require_answers_stay(before: Round, after: Round) -> None:
    people = {person.name: person for person in after.annotators}
    for person in before.annotators:
        for item in person.items:
            if before.answer_path(person, item).exists():
                assert item in people[person.name].items


def test_who_joins_takes_a_share_and_little_else_changes(begun: Round) -> None:
    reassign_groups(begun.folder, add=["Eve"])
    after = read_round(begun.folder)
    require_fair(after)
    require_answers_stay(begun, after)
    *others, eve = after.annotators
    assert eve.name == "Eve"
    assert len(votes_of(eve)) == 18  # 90 votes, five people
    for old, new in zip(begun.annotators, others, strict=True):
        assert new.pseudonym == old.pseudonym
        assert votes_of(new) < votes_of(old)  # nothing else was moved about
        assert [item for item in old.items if item in new.items] == list(new.items)


def test_who_leaves_keeps_what_was_judged_and_the_rest_goes_to_others(begun: Round) -> None:
    result = reassign_groups(begun.folder, drop=["Bob"])
    after = read_round(begun.folder)
    require_answers_stay(begun, after)
    bob = after.annotator("Bob")
    assert not bob.is_active
    assert len(votes_of(bob)) == 11
    counts = Counter(group for person in after.annotators for group in votes_of(person))
    assert set(counts.values()) == {3}
    loads = [len(votes_of(person)) for person in after.annotators if person.is_active]
    assert max(loads) - min(loads) <= 1
    for old, new in zip(begun.annotators, after.annotators, strict=True):
        if new.is_active:
            assert new.batches[: len(old.batches)] == old.batches
    assert any(line.startswith("Bob: 0 more, ") for line in result.describe())
    assert not (begun.folder / "batches" / bob.pseudonym).exists()
    reassign_groups(begun.folder, add=["Bob"])
    again = read_round(begun.folder)
    require_fair(again)
    assert again.annotator("Bob").pseudonym == bob.pseudonym


def test_what_somebody_skipped_goes_to_another_and_never_back(begun: Round) -> None:
    ada = begun.annotator("Ada")
    skipped = [item.group for item in ada.items[-3:]]
    for group in skipped:
        skip(begun, ada, group)
    for add, drop in ((["Eve"], []), ([], ["Dan"]), (["Finn"], [])):
        reassign_groups(begun.folder, add, drop)
        after = read_round(begun.folder)
        assert not votes_of(after.annotator("Ada")) & set(skipped)
        counts = Counter(group for person in after.annotators for group in votes_of(person))
        assert set(counts.values()) == {3}
        require_answers_stay(begun, after)


def test_with_nobody_else_left_a_skipped_group_comes_back(patches: Path, tmp_path: Path) -> None:
    deal_groups(patches, tmp_path / "round", PEOPLE[:3], DealSettings())
    dealt = read_round(tmp_path / "round")
    group = dealt.annotators[0].items[0].group
    skip(dealt, dealt.annotators[0], group)
    reassign_groups(dealt.folder, add=["Dan"], drop=["Bob"])
    counts = Counter(group for person in read_round(dealt.folder).annotators for group in votes_of(person))
    assert counts[group] == 3


def test_who_joins_gets_practice_gold_and_repeats_too(patches: Path, tmp_path: Path) -> None:
    practice = known_csv(tmp_path / "practice.csv", "p3-0-0,Positive,,")
    gold = known_csv(tmp_path / "gold.csv", "p4-0-0,Positive,,")
    settings = DealSettings(practice=practice, gold=gold, repeats=2)
    deal_groups(patches, tmp_path / "round", PEOPLE, settings)
    reassign_groups(tmp_path / "round", add=["Eve"])
    dealt = read_round(tmp_path / "round")
    require_fair(dealt)
    kinds = Counter(item.kind for item in dealt.annotator("Eve").items)
    assert (kinds[Kind.PRACTICE], kinds[Kind.GOLD], kinds[Kind.REPEAT]) == (1, 1, 2)
    assert dealt.annotator("Eve").batches[0] == (Item(Kind.PRACTICE, PatchId("p3", 0, 0)),)
    for person in dealt.annotators:  # a repeat goes with the group that it repeats
        assert {item.group for item in person.items if item.kind is Kind.REPEAT} <= votes_of(person)


def test_who_was_dropped_and_comes_back_gets_the_checks_that_are_left(patches: Path, tmp_path: Path) -> None:
    practice = known_csv(tmp_path / "practice.csv", "p3-0-0,Positive,,", "p5-0-0,Positive,,")
    gold = known_csv(tmp_path / "gold.csv", *(f"p{k}-0-0,Positive,," for k in range(10, 16)))
    settings = DealSettings(practice=practice, gold=gold, repeats=3)
    deal_groups(patches, tmp_path / "round", PEOPLE, settings)
    before = read_round(tmp_path / "round")
    bob = before.annotator("Bob")
    for item in bob.items[:8]:
        judge(before, bob, item.group, item.kind)
    done = set(bob.items[:8])
    reassign_groups(tmp_path / "round", drop=["Bob"])
    assert set(read_round(tmp_path / "round").annotator("Bob").items) == done
    reassign_groups(tmp_path / "round", add=["Bob"])
    dealt = read_round(tmp_path / "round")
    require_fair(dealt)
    bob = dealt.annotator("Bob")
    assert done < set(bob.items)
    assert len(set(bob.items)) == len(bob.items)
    kinds = Counter(item.kind for item in bob.items)
    assert (kinds[Kind.PRACTICE], kinds[Kind.GOLD]) == (2, 6)
    assert kinds[Kind.REPEAT] >= 3
    for batch in bob.batches[1:]:
        assert {item.group for item in batch if item.kind is Kind.REPEAT} <= votes_of(bob)


def test_practice_that_was_begun_is_completed_in_one_batch(patches: Path, tmp_path: Path) -> None:
    practice = known_csv(tmp_path / "practice.csv", "p3-0-0,Positive,,", "p5-0-0,Positive,,")
    deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(practice=practice))
    before = read_round(tmp_path / "round")
    bob = before.annotator("Bob")
    judge(before, bob, bob.items[0].group, Kind.PRACTICE)
    reassign_groups(tmp_path / "round", drop=["Bob"])
    reassign_groups(tmp_path / "round", add=["Bob"])
    first, *others = read_round(tmp_path / "round").annotator("Bob").batches
    assert [str(item) for item in first] == ["practice p3-0-0", "practice p5-0-0"]
    assert not any(item.kind is Kind.PRACTICE for batch in others for item in batch)


def test_a_round_whose_pictures_were_moved_takes_them_from_there(begun: Round, tmp_path: Path) -> None:
    moved = begun.patches.resolve().rename(tmp_path / "moved")
    with pytest.raises(RoundError, match=f"reassign {begun.folder} --input DIR"):
        reassign_groups(begun.folder, add=["Eve"])
    result = CliRunner().invoke(main, ["reassign", str(begun.folder), "--input", str(moved)])
    assert result.exit_code == 0, result.output
    assert read_round(begun.folder).patches.resolve() == moved


def test_a_round_is_dealt_anew_through_a_short_link(begun: Round, tmp_path: Path) -> None:
    """Relative paths are those of where the round is, not of what it is called."""
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "far/away/link").symlink_to(begun.folder)
    patches = begun.patches.resolve()
    reassign_groups(tmp_path / "far/away/link", add=["Eve"])
    assert read_round(begun.folder).patches.resolve() == patches


def test_one_vote_is_no_consensus_and_said_so(patches: Path, tmp_path: Path) -> None:
    result = deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(votes=1))
    assert "One vote a group is no consensus" in "\n".join(result.describe())


def test_names_are_one_however_they_are_written(patches: Path, tmp_path: Path) -> None:
    composed, decomposed = "Jos\u00e9", "Jose\u0301"
    with pytest.raises(RoundError, match="is there 2 times"):
        deal_groups(patches, tmp_path / "round", [composed, decomposed, "Bob"], DealSettings())
    deal_groups(patches, tmp_path / "round", [decomposed, "Ada ", "Bob"], DealSettings())
    dealt = read_round(tmp_path / "round")
    assert [person.name for person in dealt.annotators] == [composed, "Ada", "Bob"]
    assert dealt.annotator(decomposed).name == composed
    with pytest.raises(RoundError, match="takes part already"):
        reassign_groups(tmp_path / "round", add=[decomposed])


def test_a_vote_that_is_damaged_is_none_and_its_group_goes_to_another(begun: Round) -> None:
    bob = begun.annotator("Bob")
    group = bob.items[0].group
    begun.answer_path(bob, bob.items[0]).write_bytes(b"")
    result = reassign_groups(begun.folder, drop=["Bob"])
    after = read_round(begun.folder)
    assert group not in votes_of(after.annotator("Bob"))
    assert sum(group in votes_of(person) for person in after.annotators) == 3
    place = f"votes/{bob.pseudonym}/{group}.json"
    assert f"1 file did not count as answers: {place}" in "\n".join(result.describe())


@pytest.mark.parametrize("form", ["lists", "links"])
def test_what_another_tool_has_put_among_the_batches_is_not_written_over(
    patches: Path, tmp_path: Path, form: str
) -> None:
    deal_groups(patches, tmp_path / "round", PEOPLE, DealSettings(batches=form))  # type: ignore[arg-type]
    dealt = read_round(tmp_path / "round")
    before = contents(tmp_path / "round")
    person = dealt.annotators[0]
    group = person.items[0].group
    for place in (f"{person.pseudonym}/001/labels/{group}.json", f"{person.pseudonym}/{group}.json", "notes.txt"):
        path = tmp_path / "round/batches" / place
        write_bytes(path, b"{}")
        with pytest.raises(
            RoundError, match=f"1 file of somebody else: {place}. Answers belong into .*/votes/PSEUDONYM/"
        ):
            reassign_groups(tmp_path / "round", add=["Eve"])
        assert path.read_bytes() == b"{}"
        path.unlink()
    assert contents(tmp_path / "round") == before
    (tmp_path / "round/batches/.DS_Store").touch()
    reassign_groups(tmp_path / "round", add=["Eve"])
    reassign_groups(tmp_path / "round", drop=["Eve"])
    for person in read_round(tmp_path / "round").annotators:
        assert (tmp_path / "round/batches" / person.pseudonym).is_dir() == person.is_active


def test_a_run_that_is_killed_before_the_end_is_run_again(
    begun: Round, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are there before `assignments.json`, whose writing fails here; the same command then does the same."""
    shutil.copytree(begun.folder, tmp_path / "other")
    before = (begun.folder / "assignments.json").read_bytes()

    def fail(_: Round) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("hggt_data.annotate.deal.write_round", fail)
        with pytest.raises(OSError, match="No space left"):
            reassign_groups(begun.folder, drop=["Bob"])
    assert (begun.folder / "assignments.json").read_bytes() == before
    for folder in (begun.folder, tmp_path / "other"):
        reassign_groups(folder, drop=["Bob"])
    assert contents(begun.folder) == contents(tmp_path / "other")


def test_a_round_that_is_served_is_left_alone(begun: Round) -> None:
    before = contents(begun.folder)
    with lock_folder(begun.folder), pytest.raises(OutputError, match=r"is served by .*; stop that first"):
        reassign_groups(begun.folder, add=["Eve"])
    assert contents(begun.folder) == before


@pytest.mark.parametrize(
    ("add", "drop", "message"),
    [
        (["Ada"], [], "Ada takes part already"),
        (["ADA"], [], "'ada' is there 2 times"),
        ([], ["Zoe"], "nobody called 'Zoe' takes part; expected one of Ada, Bob, Carol, Dan"),
        ([], ["Ada", "Bob"], "2 would be left to take part; expected 3 at least"),
        (["Eve"], ["Eve"], "'eve' is there 2 times"),
    ],
)
def test_changes_that_cannot_be(begun: Round, add: list[str], drop: list[str], message: str) -> None:
    before = contents(begun.folder)
    with pytest.raises(RoundError, match=message):
        reassign_groups(begun.folder, add=add, drop=drop)
    assert contents(begun.folder) == before


def test_the_commands(patches: Path, tmp_path: Path) -> None:
    names, output = tmp_path / "names.txt", tmp_path / "round"
    names.write_text("Ada\nBob\nCarol\n")
    options = ["deal", "--input", patches, "--output", output, "--annotators", names, "--per-batch", 20]
    result = CliRunner().invoke(main, [*map(str, options)])
    assert result.exit_code == 0, result.output
    assert "30 groups" in result.output
    result = CliRunner().invoke(main, ["reassign", str(output), "--add", "Dan"])
    assert result.exit_code == 0, result.output
    assert "Dan: 22 more, 0 fewer" in result.output or "Dan: 23 more, 0 fewer" in result.output
    assert len(read_round(output).annotators) == 4
