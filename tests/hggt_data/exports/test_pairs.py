"""What is taken out of trees and datasets: positives, pairs, the official tree."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from datasets import Features, Image, load_dataset

from hggt_data.cli.main import main
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import DatasetError
from hggt_data.exports.pairs import PairSettings, export_pairs, pair_features
from hggt_data.exports.preferences import PairKind, preference_pairs
from hggt_data.exports.source import OpenedSource, open_source
from hggt_data.exports.tree import export_tree
from hggt_data.groups import Group, GroupSource
from hggt_data.loading import open_groups
from hggt_data.schema import Annotation, Label, PatchGroup, PatchId
from hggt_data.tree.label_file import format_annotation
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.people import ALICE, ANNOTATORS, BOB, CAROL, REPO, Published, build_named, write_named_tree
from tests.hggt_data.trees import FOUR, contents, write_bytes, write_tree
from tests.hub_client import ForkServer, sign_in


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def done(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(message: str, *arguments: object) -> None:
    """One line, exit 1."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert message in result.stderr, result.stderr
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def read_table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shards(dataset: Path) -> dict[str, bytes]:
    return {path: data for path, data in contents(dataset).items() if path.endswith(".parquet")}


class Renamed(GroupSource):
    """Groups whose first slot has another name, as in a dataset that somebody has tampered with."""

    def __init__(self, groups: GroupSource, slot: str) -> None:
        self.location, self.candidates, self.ids, self.split = "strange", groups.candidates, groups.ids, groups.split
        self._groups = groups
        self._slot = slot

    def _read_labels(self, index: int) -> PatchGroup:
        group = self._groups[index]
        first, *others = group.annotations
        annotations = (replace(first, slot=self._slot), *others)
        return PatchGroup(group.id, group.candidates, annotations, group.consensus, group.agreement, group.num_votes)

    def read_bytes(self, index: int, name: str) -> bytes:
        return self._groups.read_bytes(index, name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "T", ["a-0-0", "a-8-0", "b-0-0", "b-0-8", *(f"c-{k}-0" for k in range(9))])


class TestPositives:
    def test_a_list_of_a_tree_has_paths_in_it(self, fixtures: Path, tmp_path: Path) -> None:
        done("positives", fixtures / "Train", "--output", tmp_path / "p.csv")
        groups = open_groups(fixtures / "Train")
        lines = read_table(tmp_path / "p.csv")
        assert [(line["group"], line["candidate"]) for line in lines] == [
            (str(group.id), name) for group in groups for name in group.positives
        ]
        for line in lines:
            assert (fixtures / "Train" / line["path"]).name == f"{line['group']}_{line['candidate']}.png"
            assert (fixtures / "Train" / line["path"]).is_file()
            group = next(group for group in groups if str(group.id) == line["group"])
            assert int(line["agreement"]) == group.agreement[group.candidates.index(line["candidate"])]
            assert line["num_votes"] == "3"

    def test_a_list_of_a_dataset_has_rows(self, real_dataset: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
        out = tmp_path / "new" / "p.csv"
        assert "positives of 6 groups" in done("positives", real_dataset, "--split", "test", "--output", out)
        rows = load(str(real_dataset), split="test")
        lines = read_table(out)
        assert lines
        for line in lines:
            row = rows[int(line["row"])]
            assert (row["id"], line["split"]) == (line["group"], "test")
            assert row["consensus"][FOUR.index(line["candidate"])] == 0
            assert row[f"enhanced_{line['candidate']}"] is not None

    def test_a_text_names_a_picture_a_line(self, fixtures: Path, real_dataset: Path, tmp_path: Path) -> None:
        done("positives", fixtures / "Train", "--output", tmp_path / "tree.txt")
        done("positives", real_dataset, "--split", "train", "--output", tmp_path / "data.txt")
        paths = (tmp_path / "tree.txt").read_text().splitlines()
        assert all((fixtures / "Train" / path).is_file() for path in paths)
        assert (tmp_path / "data.txt").read_text().splitlines() == [path.rsplit("/", 1)[1] for path in paths]

    @pytest.mark.parametrize("kind", ["tree", "dataset"])
    def test_the_pictures_themselves(self, fixtures: Path, real_dataset: Path, tmp_path: Path, kind: str) -> None:
        source = [fixtures / "Train"] if kind == "tree" else [real_dataset, "--split", "train"]
        done("positives", *source, "--output", tmp_path / "out", "--files")
        expected = {
            f"{group.id}_{name}.png": group.read_bytes(name)
            for group in open_groups(fixtures / "Train")
            for name in group.positives
        }
        assert contents(tmp_path / "out/gt") == expected
        assert [line["path"] for line in read_table(tmp_path / "out/positives.csv")] == [f"gt/{n}" for n in expected]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["LICENSE.txt", "gt", "positives.csv"]

    def test_only_those_on_which_all_agree(self, tree: Path, tmp_path: Path) -> None:
        done("positives", tree, "--output", tmp_path / "two.csv")
        done("positives", tree, "--output", tmp_path / "three.csv", "--min-agreement", 3)
        two, three = read_table(tmp_path / "two.csv"), read_table(tmp_path / "three.csv")
        assert three == [line for line in two if line["agreement"] == "3"]
        assert 0 < len(three) < len(two)

    def test_no_positive_is_an_error_and_leaves_nothing(self, tree: Path, tmp_path: Path) -> None:
        for out in ([tmp_path / "p.csv"], [tmp_path / "out", "--files"]):
            message = "no positives with an agreement of 4 or more"
            refused(message, "positives", tree, "--min-agreement", 4, "--output", *out)
        assert [path.name for path in tmp_path.iterdir()] == ["T"]

    def test_a_dataset_with_two_splits_needs_one_named(self, real_dataset: Path, tmp_path: Path) -> None:
        refused(
            "has the splits train, test; choose one with",
            "positives",
            real_dataset,
            "--output",
            tmp_path / "p.csv",
        )

    def test_another_ending_is_refused(self, tree: Path, tmp_path: Path) -> None:
        refused("a name that ends in .csv or .txt", "positives", tree, "--output", tmp_path / "p.json")

    def test_a_list_is_written_anew(self, tree: Path, tmp_path: Path) -> None:
        write_bytes(tmp_path / "p.csv", b"old")
        done("positives", tree, "--output", tmp_path / "p.csv")
        assert read_table(tmp_path / "p.csv")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """`load_dataset` with a cache of its own."""
    return lambda *arguments, **options: load_dataset(*arguments, cache_dir=str(tmp_path / "cache"), **options)


def require_pairs(groups: list[Group], rows: list[dict[str, Any]], read: Callable[[Any], bytes]) -> None:
    """The rows are the pairs of these groups, one by one, with the bytes of their pictures."""
    expected = [(group, pair) for group in groups for pair in preference_pairs(group)]
    assert len(rows) == len(expected) > 0
    for row, (group, pair) in zip(rows, expected, strict=True):
        assert (row["group"], row["chosen_name"], row["rejected_name"], row["kind"], row["margin"]) == (
            str(group.id),
            pair.chosen,
            pair.rejected,
            pair.kind.value,
            pair.margin,
        )
        for side in ("chosen", "rejected"):
            assert read(row[side]) == group.read_bytes(row[f"{side}_name"])
            votes = getattr(pair, f"votes_{side}")
            assert row[f"votes_{side}"] == {label.class_name: count for label, count in votes.items()}
        assert read(row["original"]) == group.read_bytes("original")
        if "lr" in row:
            assert (row["lr"] and read(row["lr"])) == (group.read_bytes("lr") if group.has_picture("lr") else None)


class TestPairs:
    def test_parquet_of_both_splits(self, real_dataset: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
        output = done("pairs", real_dataset, "--output", tmp_path / "pairs")
        assert f'load_dataset("{tmp_path / "pairs"}")' in output
        found = load(str(tmp_path / "pairs"))
        assert list(found) == ["train", "test"]
        for split, rows in found.items():
            assert list(rows.features) == [
                *("lr", "chosen", "rejected", "original", "group", "chosen_name", "rejected_name"),
                *("kind", "votes_chosen", "votes_rejected", "margin"),
            ]
            assert rows.features == pair_features(has_lr=True)
            assert isinstance(rows.features["chosen"], Image)
            plain = rows.cast(Features({**rows.features, **{c: Image(decode=False) for c in rows.column_names[:4]}}))
            require_pairs(list(open_groups(real_dataset, split)), list(plain), lambda value: value["bytes"])
        row = found["test"][0]
        np.testing.assert_array_equal(
            np.asarray(row["chosen"]), open_groups(real_dataset, "test")[0].read(row["chosen_name"])
        )
        assert row["lr"].size == (40, 40)

    def test_parquet_by_its_files_streaming_and_without_a_card(
        self, tree: Path, tmp_path: Path, load: Callable[..., Any]
    ) -> None:
        export_pairs(open_source(str(tree)), tmp_path / "pairs", PairSettings(pairs_per_shard=5))
        files = sorted((tmp_path / "pairs/data").iterdir())
        assert len(files) > 2
        groups = list(open_groups(tree))
        count = sum(len(preference_pairs(group)) for group in groups)
        assert [path.name for path in files][-1] == f"train-{len(files) - 1:05d}-of-{len(files):05d}.parquet"
        by_files = load("parquet", data_files=[str(path) for path in files], split="train")
        assert (len(by_files), by_files.features) == (count, pair_features(has_lr=False))
        streamed = list(load(str(tmp_path / "pairs"), split="train", streaming=True))
        assert [row["group"] for row in streamed] == by_files["group"][:]
        (tmp_path / "pairs/README.md").unlink()
        assert len(load(str(tmp_path / "pairs"), split="train")) == count

    def test_a_shard_that_is_lost_is_an_error(self, tree: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
        export_pairs(open_source(str(tree)), tmp_path / "pairs", PairSettings(pairs_per_shard=5))
        sorted((tmp_path / "pairs/data").iterdir())[1].unlink()
        with pytest.raises(FileNotFoundError, match="train-00001-of"):
            load(str(tmp_path / "pairs"))

    def test_jsonl_names_each_picture_once(self, fixtures: Path, tmp_path: Path) -> None:
        done("pairs", fixtures / "Test", "--output", tmp_path / "pairs", "--format", "jsonl")
        out = tmp_path / "pairs"
        rows = [json.loads(line) for line in (out / "test.jsonl").read_text("utf-8").splitlines()]
        require_pairs(list(open_groups(fixtures / "Test")), rows, lambda path: (out / path).read_bytes())
        assert list(rows[0])[:4] == ["lr", "chosen", "rejected", "original"]
        named = {row[column] for row in rows for column in ("lr", "chosen", "rejected", "original")}
        assert named == {path for path in contents(out) if path.endswith(".png")}

    def test_jsonl_of_a_dataset_with_lr_in_one_split(self, real_dataset: Path, tmp_path: Path) -> None:
        done("pairs", real_dataset, "--output", tmp_path / "pairs", "--format", "jsonl")
        for split in ("train", "test"):
            text = (tmp_path / "pairs" / f"{split}.jsonl").read_text("utf-8")
            rows = [json.loads(line) for line in text.splitlines()]
            read = lambda path: (tmp_path / "pairs" / path).read_bytes()  # noqa: E731
            require_pairs(list(open_groups(real_dataset, split)), rows, read)

    def test_some_kinds_and_margins(self, tree: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
        options = ["--kind", "P-N", "--kind", "original-N", "--min-margin", "0.9"]
        output = done("pairs", tree, "--output", tmp_path / "pairs", *options)
        rows = load(str(tmp_path / "pairs"), split="train")
        assert set(rows["kind"]) == {"P>N", "original>N"}
        assert min(rows["margin"]) >= 0.9
        kinds = {PairKind.POSITIVE_NEGATIVE, PairKind.ORIGINAL_NEGATIVE}
        pairs = [pair for group in open_groups(tree) for pair in preference_pairs(group, kinds)]
        assert len(rows) == sum(pair.margin >= 0.9 for pair in pairs) < len(pairs)
        assert f"{len(rows)} pairs (" in output

    def test_no_pair_is_an_error_and_leaves_nothing(self, tree: Path, tmp_path: Path) -> None:
        options = ["--kind", "S-N", "--min-margin", 2]
        refused("has no such pairs in train", "pairs", tree, "--output", tmp_path / "pairs", *options)
        assert [path.name for path in tmp_path.iterdir()] == ["T"]

    def test_the_same_source_gives_the_same_folder(self, real_dataset: Path, tmp_path: Path) -> None:
        for name in ("one", "two"):
            done("pairs", real_dataset, "--output", tmp_path / name)
        assert contents(tmp_path / "one") == contents(tmp_path / "two")

    def test_a_tree_and_its_dataset_give_the_same_rows(
        self, fixtures: Path, real_dataset: Path, tmp_path: Path
    ) -> None:
        done("pairs", fixtures / "Test", "--output", tmp_path / "tree")
        done("pairs", real_dataset, "--split", "test", "--output", tmp_path / "data")
        assert contents(tmp_path / "tree") == contents(tmp_path / "data")

    def test_a_changed_picture_changes_the_card(self, tree: Path, tmp_path: Path) -> None:
        done("pairs", tree, "--output", tmp_path / "one")
        shutil.copy(tree / "images/0-9/original/b-0-0.png", tree / "images/0-9/original/b-0-8.png")
        done("pairs", tree, "--output", tmp_path / "two")
        one, two = ((tmp_path / name / "README.md").read_bytes() for name in ("one", "two"))
        assert one != two  # or load_dataset would give the old rows from its cache

    @pytest.mark.parametrize("form", ["parquet", "jsonl"])
    def test_a_damaged_picture_ends_it_in_one_line(self, tree: Path, tmp_path: Path, form: str) -> None:
        path = tree / "images/0-9/original/b-0-8.png"
        path.write_bytes(path.read_bytes()[:-10])
        refused("original/b-0-8.png: cut off", "pairs", tree, "--output", tmp_path / "out", "--format", form)
        assert [path.name for path in tmp_path.iterdir()] == ["T"]

    @pytest.mark.parametrize(
        "arguments", [["--kind", "P>S"], ["--kind", "P"], ["--min-margin", "3"], ["--format", "x"]]
    )
    def test_wrong_usage_exits_2(self, tree: Path, tmp_path: Path, arguments: list[str]) -> None:
        assert run("pairs", tree, "--output", tmp_path / "out", *arguments).exit_code == 2


class TestTree:
    def build(self, output: Path, *trees: Path, test: Path | None = None, sources: Path | None = None) -> Path:
        options = {"allow_overlap": True, "groups_per_shard": 2, "workers": 1}
        build_dataset(BuildSettings(trees, output, test, sources=sources, **options))  # type: ignore[arg-type]
        return output

    def test_a_dataset_of_it_is_the_same_byte_for_byte(
        self, real_dataset: Path, fixtures: Path, tmp_path: Path
    ) -> None:
        output = done("tree", real_dataset, "--output", tmp_path / "out")
        assert output.splitlines() == [
            f"{tmp_path / 'out/Train'}: 6 groups, slots A, B, C",
            f"{tmp_path / 'out/Test'}: 6 groups, slots A, B, C, with LR",
        ]
        train, test = tmp_path / "out/Train", tmp_path / "out/Test"
        for tree in (train, test):
            report = validate_tree(tree, workers=1)
            assert report.problems == validate_tree(fixtures / tree.name, workers=1).problems
        again = self.build(tmp_path / "again", train, test=test)
        assert shards(again) == shards(real_dataset)
        assert (again / "README.md").read_bytes() == (real_dataset / "README.md").read_bytes()

    def test_pictures_and_labels_are_those_of_the_first_tree(
        self, real_dataset: Path, fixtures: Path, tmp_path: Path
    ) -> None:
        done("tree", real_dataset, "--output", tmp_path / "out")
        was = contents(fixtures / "Test")
        now = {path.replace("Test-6", "Test-mini"): data for path, data in contents(tmp_path / "out/Test").items()}
        assert now.keys() == was.keys()
        for path, data in now.items():
            if path.endswith(".json"):
                assert json.loads(data) == json.loads(was[path])
            else:
                assert data == was[path]

    def test_annotators_and_sources_come_back(self, tmp_path: Path) -> None:
        tree = write_named_tree(tmp_path / "T")
        sources = tmp_path / "sources.csv"
        sources.write_text('image,licence,origin\np0,CC0,"a, b"\np1,,\np2,,"x\ny"\n')
        dataset = self.build(tmp_path / "hggt", tree, sources=sources)
        done("tree", dataset, "--output", tmp_path / "out")
        lines = read_table(tmp_path / "out/Train/annotators.csv")
        assert {(line["group"], line["slot"]): line["pseudonym"] for line in lines} == ANNOTATORS
        again = self.build(tmp_path / "again", tmp_path / "out/Train", sources=tmp_path / "out/sources.csv")
        assert shards(again) == shards(dataset)

    def test_times_that_are_not_known_stay_unknown(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path / "T", ["a-0-0", "b-0-0"], candidates=("01",), slots="AB")
        for start, end, seconds, name in (
            (None, datetime(2022, 8, 1), 3.5, "A/a-0-0"),
            (datetime(2022, 8, 1), None, None, "B/a-0-0"),
            (None, None, 0.0, "A/b-0-0"),
        ):
            annotation = Annotation("A", (Label.SIMILAR,), start, end, seconds)
            text = format_annotation(annotation, PatchId.parse(name[2:]), ("01",))
            write_bytes(tree / f"labels/0-9/{name}.json", text.encode())
        dataset = self.build(tmp_path / "hggt", tree)
        done("tree", dataset, "--output", tmp_path / "out")
        assert shards(self.build(tmp_path / "again", tmp_path / "out/Train")) == shards(dataset)

    def test_rounds_with_other_slots_become_trees_of_their_own(self, tmp_path: Path) -> None:
        first = write_tree(tmp_path / "one", ["a-0-0", "a-8-0", "c-0-0"])
        second = write_tree(tmp_path / "two", ["b-0-0"], slots="DE")
        third = write_tree(tmp_path / "three", ["d-0-0", "e-0-0"], lr=True)
        dataset = self.build(tmp_path / "hggt", first, second, third)
        done("tree", dataset, "--output", tmp_path / "out")
        trees = sorted((tmp_path / "out").glob("Train*"))
        assert [tree.name for tree in trees] == ["Train", "Train-2", "Train-3"]
        for tree in trees:
            assert validate_tree(tree, workers=1).problems == ()
        assert shards(self.build(tmp_path / "again", *trees)) == shards(dataset)

    def test_a_tree_of_a_tree(self, fixtures: Path, tmp_path: Path) -> None:
        for name in ("Train", "Test"):
            done("tree", fixtures / name, "--output", tmp_path / name)
            assert {path.name for path in (tmp_path / name).iterdir()} == {name, "LICENSE.txt"}
            ours, theirs = open_groups(tmp_path / name / name), open_groups(fixtures / name)
            assert list(ours) == list(theirs)
            assert ours.labels_sha256() == theirs.labels_sha256()

    @pytest.mark.parametrize("slot", ["../../evil", "/evil", "", ".", "..", "a/b"])
    def test_a_slot_that_would_lead_elsewhere_is_refused(self, tree: Path, tmp_path: Path, slot: str) -> None:
        groups = Renamed(open_groups(tree), slot)
        with pytest.raises(DatasetError, match="has slots named"):
            export_tree(OpenedSource(str(tree), {"train": groups}, None), tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["T"]

    def test_candidates_that_would_lead_elsewhere_are_refused(self, dataset: Path, tmp_path: Path) -> None:
        path = dataset / "manifest.json"
        manifest = json.loads(path.read_text("utf-8"))
        manifest["candidates"] = ["../../evil"]
        path.write_text(json.dumps(manifest))
        refused("has candidates named ../../evil", "tree", dataset, "--output", tmp_path / "out")


class TestSources:
    FORMS = (["positives", "--files"], ["pairs"], ["pairs", "--format", "jsonl"], ["tree"])

    @pytest.mark.parametrize("form", FORMS)
    def test_an_output_in_the_source_is_refused(self, tree: Path, form: list[str]) -> None:
        before = contents(tree)
        refused("is inside the source", form[0], tree, *form[1:], "--output", tree / "out")
        assert contents(tree) == before

    def test_so_is_a_list(self, dataset: Path) -> None:
        refused("is inside the source", "positives", dataset, "--split", "test", "--output", dataset / "p.csv")

    @pytest.mark.parametrize("form", FORMS)
    def test_a_filled_output_is_left_alone(self, tree: Path, tmp_path: Path, form: list[str]) -> None:
        write_bytes(tmp_path / "out/thesis.txt", b"x")
        refused("is not empty", form[0], tree, *form[1:], "--output", tmp_path / "out")
        assert contents(tmp_path / "out") == {"thesis.txt": b"x"}

    @pytest.mark.parametrize("form", FORMS)
    def test_the_terms_go_with_it(self, tree: Path, tmp_path: Path, form: list[str]) -> None:
        done(form[0], tree, *form[1:], "--output", tmp_path / "hggt")
        assert "HGGT terms" in (tmp_path / "hggt/LICENSE.txt").read_text()
        done(form[0], tree, *form[1:], "--output", tmp_path / "own", "--license", "cc-by-4.0")
        assert (tmp_path / "own/LICENSE.txt").read_text() == (
            "The data here is under cc-by-4.0, like the data that it was taken from.\n"
        )

    def test_a_list_has_its_terms_beside_it(self, tree: Path, tmp_path: Path) -> None:
        done("positives", tree, "--output", tmp_path / "p.csv")
        assert "Its terms forbid copying" in (tmp_path / "p.csv.LICENSE.txt").read_text()

    def test_pairs_carry_the_licence_in_their_card(self, tree: Path, tmp_path: Path) -> None:
        done("pairs", tree, "--output", tmp_path / "hggt")
        card = (tmp_path / "hggt/README.md").read_text()
        assert "\nlicense: other\n" in card
        assert "\nlicense_name: hggt-terms\n" in card
        assert "Do not make this dataset public" in card
        dataset = build_named(write_named_tree(tmp_path / "N"), tmp_path / "named")
        done("pairs", dataset, "--output", tmp_path / "free")
        assert "license: cc0-1.0\n" in (tmp_path / "free/README.md").read_text()

    def test_a_dataset_tells_its_licence_itself(self, real_dataset: Path, tmp_path: Path) -> None:
        refused(
            "whose licence is read from it",
            "tree",
            real_dataset,
            "--output",
            tmp_path / "o",
            "--license",
            "cc0-1.0",
        )

    def test_a_licence_must_be_an_id(self, tree: Path, tmp_path: Path) -> None:
        result = run("tree", tree, "--output", tmp_path / "out", "--license", "Public Domain!")
        assert result.exit_code == 2
        assert "is not a licence id" in result.output

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        refused("no such folder", "tree", tmp_path / "absent", "--output", tmp_path / "out")

    def test_a_split_of_a_tree(self, tree: Path, tmp_path: Path) -> None:
        refused("has no splits", "tree", tree, "--split", "test", "--output", tmp_path / "out")

    def test_from_the_hub_with_times_that_the_format_takes(
        self, published: Published, processes: ForkServer, tmp_path: Path
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

    def test_pairs_and_positives_from_the_hub(
        self, published: Published, processes: ForkServer, tmp_path: Path
    ) -> None:
        reader = sign_in(published.hub, processes, tmp_path)
        for arguments in (["pairs", REPO, "--output", "pairs"], ["positives", REPO, "--output", "p.csv"]):
            outcome = reader.hggt_data("export", *arguments)
            assert outcome.exit_code == 0, outcome.err
        done("pairs", published.dataset, "--output", tmp_path / "pairs")
        assert contents(tmp_path / "pairs") == contents(reader.folder / "pairs")
        assert read_table(reader.folder / "p.csv")[0]["split"] == "train"
