import shutil
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hggt_data.annotate.deal import DealResult, DealSettings, deal_groups, read_names
from hggt_data.annotate.round import Annotator, Item, Kind, Round, read_round
from hggt_data.annotate.web.texts import read_texts
from hggt_data.cli.main import main
from hggt_data.errors import OutputError, RoundError, SettingsError
from hggt_data.io.images import encode_png
from hggt_data.schema import Label, Protocol
from tests.hggt_data.trees import contents, noise, write_tree

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
    assert "Compare every version with the original" in (output / "instructions.md").read_text()
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


def test_the_question_is_asked_on_the_page_and_in_the_instructions(patches: Path, tmp_path: Path) -> None:
    question = "Which looks more <i>natural</i>?"
    round_ = deal(patches, tmp_path / "round", question=f" {question} ").round
    assert read_round(round_.folder).protocol == Protocol(False, question, 3, False)
    assert "\n\nWhich looks more \\<i\\>natural\\</i\\>?\n\n" in (round_.folder / "instructions.md").read_text()
    texts = read_texts(round_.folder, round_.protocol)
    assert (texts["title"], texts["positive_hint"]) == (question, "this version, not the original")
    for wrong in (" ", "two\nlines", "long " * 50):
        with pytest.raises(SettingsError, match=r"`question` is .*; expected one line of 1 to 200 characters"):
            DealSettings(question=wrong)


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
