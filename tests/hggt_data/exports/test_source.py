"""What all exports share: source, output and licence."""

from datetime import datetime
from pathlib import Path

import pytest

from hggt_data.loading import open_groups
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.exports.commands import done, read_table, refused, run
from tests.hggt_data.named_tree import ALICE, BOB, CAROL, REPO, Published, build_named, write_named_tree
from tests.hggt_data.trees import contents, write_bytes
from tests.hub_client import ForkServer, sign_in

FORMS = (["positives", "--files"], ["pairs"], ["pairs", "--format", "jsonl"], ["tree"])


@pytest.mark.parametrize("form", FORMS)
def test_an_output_in_the_source_is_refused(tree: Path, form: list[str]) -> None:
    before = contents(tree)
    refused("is inside the source", form[0], tree, *form[1:], "--output", tree / "out")
    assert contents(tree) == before


def test_a_list_in_the_source_is_refused(dataset: Path) -> None:
    refused("is inside the source", "positives", dataset, "--split", "test", "--output", dataset / "p.csv")


@pytest.mark.parametrize("form", FORMS)
def test_an_output_with_other_files_is_refused_and_unchanged(tree: Path, tmp_path: Path, form: list[str]) -> None:
    write_bytes(tmp_path / "out/thesis.txt", b"x")
    refused("is not empty", form[0], tree, *form[1:], "--output", tmp_path / "out")
    assert contents(tmp_path / "out") == {"thesis.txt": b"x"}


@pytest.mark.parametrize("form", FORMS)
def test_the_licence_is_written_beside_it(tree: Path, tmp_path: Path, form: list[str]) -> None:
    done(form[0], tree, *form[1:], "--output", tmp_path / "hggt")
    assert "HGGT terms" in (tmp_path / "hggt/LICENSE.txt").read_text()
    done(form[0], tree, *form[1:], "--output", tmp_path / "own", "--license", "cc-by-4.0")
    assert (tmp_path / "own/LICENSE.txt").read_text() == (
        "The data here is under cc-by-4.0, like the data that it was taken from.\n"
    )


def test_a_list_has_its_licence_beside_it(tree: Path, tmp_path: Path) -> None:
    done("positives", tree, "--output", tmp_path / "p.csv")
    assert "Its terms forbid copying" in (tmp_path / "p.csv.LICENSE.txt").read_text()


def test_pairs_carry_the_licence_in_their_card(tree: Path, tmp_path: Path) -> None:
    done("pairs", tree, "--output", tmp_path / "hggt")
    card = (tmp_path / "hggt/README.md").read_text()
    assert "\nlicense: other\n" in card
    assert "\nlicense_name: hggt-terms\n" in card
    assert "Do not make this dataset public" in card
    dataset = build_named(write_named_tree(tmp_path / "N"), tmp_path / "named")
    done("pairs", dataset, "--output", tmp_path / "free")
    assert "license: cc0-1.0\n" in (tmp_path / "free/README.md").read_text()


def test_the_licence_of_a_dataset_is_read_from_it(real_dataset: Path, tmp_path: Path) -> None:
    result = run("tree", real_dataset, "--output", tmp_path / "out", "--license", "cc0-1.0")
    assert result.exit_code == 2
    assert "whose licence is read from it; omit --license" in " ".join(result.output.split())


def test_a_licence_must_be_an_id(tree: Path, tmp_path: Path) -> None:
    result = run("tree", tree, "--output", tmp_path / "out", "--license", "Public Domain!")
    assert result.exit_code == 2
    assert "is not a licence id" in result.output


def test_a_source_must_exist_and_have_the_split(tree: Path, tmp_path: Path) -> None:
    refused("no such folder", "tree", tmp_path / "absent", "--output", tmp_path / "out")
    result = run("tree", tree, "--split", "test", "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "has no split 'test'; it has train" in " ".join(result.output.split())


def test_a_tree_from_the_hub_has_times_in_the_official_format(
    published: Published, processes: ForkServer, tmp_path: Path
) -> None:
    reader = sign_in(published.hub, processes, tmp_path)
    outcome = reader.hggt_data("export", "tree", REPO, "--revision", "v1.0", "--output", "out")
    assert outcome.exit_code == 0, outcome.err
    tree = reader.folder / "out/Train"
    assert validate_tree(tree, workers=1).problems == ()
    mine, theirs = open_groups(tree), open_groups(published.dataset)
    assert mine.labels_sha256() == theirs.labels_sha256()
    starts = [annotation.start for group in mine for annotation in group.annotations]
    assert min(start for start in starts if start) == datetime(2000, 1, 1)
    assert [[a.seconds for a in group.annotations] for group in mine] == [[30.0] * 3] * 3
    text = "".join(path.read_text("utf-8") for path in tree.rglob("*") if path.suffix in (".json", ".csv"))
    assert not [name for name in (ALICE, BOB, CAROL) if name in text]


def test_pairs_and_positives_from_the_hub(published: Published, processes: ForkServer, tmp_path: Path) -> None:
    reader = sign_in(published.hub, processes, tmp_path)
    for arguments in (["pairs", REPO, "--output", "pairs"], ["positives", REPO, "--output", "p.csv"]):
        outcome = reader.hggt_data("export", *arguments)
        assert outcome.exit_code == 0, outcome.err
    done("pairs", published.dataset, "--output", tmp_path / "pairs")
    assert contents(tmp_path / "pairs") == contents(reader.folder / "pairs")
    assert read_table(reader.folder / "p.csv")[0]["split"] == "train"
