"""Building a dataset: what is in it, that it is the same every time, and what is refused."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow.parquet as pq
import pytest

from hggt_data.dataset.build import BuildResult, BuildSettings, build_dataset
from hggt_data.dataset.manifest import read_manifest
from hggt_data.errors import HggtError, OutputError, SettingsError, TableError, TreeError
from hggt_data.io.files import sha256_of
from hggt_data.io.images import encode_png, read_pixels
from hggt_data.loading import open_groups
from hggt_data.schema import ORIGINAL
from hggt_data.tree.hggt_folders import picture_name
from tests.hggt_data.trees import (
    FOUR,
    contents,
    edit_keeping_stat,
    edit_text,
    noise,
    write_annotation,
    write_bytes,
    write_tree,
)

IDS = tuple(f"p{k}-{16 * k}-0" for k in range(7))


def build(*trees: Path, output: Path, **options: Any) -> BuildResult:
    options = {"workers": 1, "groups_per_shard": 2, **options}
    return build_dataset(BuildSettings(trees=trees, output=output, **options))


def small_tree(root: Path, ids: tuple[str, ...] = IDS, **options: Any) -> Path:
    return write_tree(root, ids, **{"size": (8, 8), "candidates": ("01", "02"), **options})


def picture_of(tree: Path, group: str, name: str) -> Path:
    return tree / "images/0-9" / name / picture_name(group, name)


def rows(output: Path, split: str = "train") -> list[dict[str, Any]]:
    """The rows as stored, pictures as {"bytes", "path"}."""
    return [row for path in sorted((output / "data").glob(f"{split}-*")) for row in pq.read_table(path).to_pylist()]


def require_same_as_new(tree: Path, output: Path, **options: Any) -> None:
    """The dataset is what a build into a new folder gives."""
    with tempfile.TemporaryDirectory() as folder:
        build(tree, output=Path(folder, "new"), **options)
        assert contents(output) == contents(Path(folder, "new")), options


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return small_tree(tmp_path / "T")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "hggt"


class TestContent:
    def test_rows_are_the_groups_with_their_files_untouched(self, real_dataset: Path, fixtures: Path) -> None:
        home, lr = fixtures / "Test/GT/Test-mini", fixtures / "Test/Blind_Degradation_Benchmark_LQ/Test-mini/Blind_LR"
        found = rows(real_dataset, "test")
        assert [row["id"] for row in found] == [
            "astronaut-231-286",
            "astronaut-304-202",
            "chelsea-22-159",
            "coffee-27-433",
            "coffee-163-150",
            "rocket-214-329",
        ]
        for row in found:
            name = row["id"]
            files = {"original": home / f"images/original/{name}.png", "lr": lr / f"{name}.png"}
            files |= {f"enhanced_{k}": home / f"images/{k}/{name}_{k}.png" for k in FOUR}
            for column, path in files.items():
                assert row[column] == {"bytes": path.read_bytes(), "path": None}
            assert f"{row['image_name']}-{row['top']}-{row['left']}" == name
            assert (row["height"], row["width"]) == (160, 160)

    def test_annotations_and_consensus_are_those_of_the_json(self, real_dataset: Path, fixtures: Path) -> None:
        words = ["Positive", "Similar", "Negative"]
        for row in rows(real_dataset, "train"):
            for slot, annotation in zip("ABC", row["annotations"], strict=True):
                content = json.loads((fixtures / f"Train/labels/0-6/{slot}/{row['id']}.json").read_text())
                assert annotation["slot"] == slot
                assert annotation["annotator"] is None
                assert [words[k] for k in annotation["labels"]] == [
                    content[f"Picture_{k}"]["Label"] for k in range(2, 6)
                ]
                times = content["Time_cost"]
                assert annotation["start"] == times["Start"].replace(" ", "T")
                assert annotation["end"] == times["End"].replace(" ", "T")
                assert annotation["seconds"] == times["Total"]
            for k in range(4):
                votes = [annotation["labels"][k] for annotation in row["annotations"]]
                most = max(votes, key=votes.count)
                expected = (most, votes.count(most)) if votes.count(most) > 1 else (1, 1)
                assert (row["consensus"][k], row["agreement"][k], row["num_votes"][k]) == (*expected, 3)
            assert row["num_positive"] == row["consensus"].count(0)
            assert row["num_negative"] == row["consensus"].count(2)

    def test_the_light_config_has_the_same_rows_without_pictures(self, real_dataset: Path) -> None:
        for split in ("train", "test"):
            table = pq.read_table(real_dataset / "labels" / f"{split}.parquet")
            without = [{k: v for k, v in row.items() if k in table.column_names} for row in rows(real_dataset, split)]
            assert table.to_pylist() == without
            assert "original" not in table.column_names
        light, whole = (
            sum(path.stat().st_size for path in (real_dataset / name).iterdir()) for name in ("labels", "data")
        )
        assert light < whole / 50

    @pytest.mark.parametrize(("count", "slots"), [(5, "A"), (1, "ABCDE")])
    def test_any_number_of_candidates_and_annotators(
        self, tmp_path: Path, output: Path, load: Callable[..., Any], count: int, slots: str
    ) -> None:
        candidates = tuple(f"{k:02}" for k in range(1, count + 1))
        build(small_tree(tmp_path / "T", candidates=candidates, slots=slots, size=(8, 16)), output=output)
        found = load(str(output), split="train")
        assert [c for c in found.column_names if c.startswith("enhanced_")] == [f"enhanced_{c}" for c in candidates]
        for row in found:
            assert [a["slot"] for a in row["annotations"]] == list(slots)
            assert [len(a["labels"]) for a in row["annotations"]] == [count] * len(slots)
            assert (row["height"], row["width"], row["original"].size) == (8, 16, (16, 8))
            assert row["num_votes"] == [len(slots)] * count
            assert (row["consensus"] == [None] * count) == (slots == "A")

    def test_several_trees_become_one_split_in_order(self, tmp_path: Path, output: Path) -> None:
        first = small_tree(tmp_path / "one", IDS[::2])
        second = small_tree(tmp_path / "two", IDS[1::2])
        result = build(first, second, output=output)
        assert [row["id"] for row in rows(output)] == list(IDS)
        roots = {name.split("/")[0] for shard in result.manifest.shards for name in shard.inputs}
        assert roots == {"train-0", "train-1"}

    def test_annotators_csv_names_annotators(self, tree: Path, output: Path) -> None:
        (tree / "annotators.csv").write_text("group,slot,pseudonym\np0-0-0,B,owl\n")
        build(tree, output=output)
        assert [[a["annotator"] for a in row["annotations"]] for row in rows(output)][:2] == [
            [None, "owl", None],
            [None, None, None],
        ]

    def test_impossible_times_become_none_and_labels_stay(self, tree: Path, output: Path) -> None:
        edit_text(tree / "labels/0-9/A/p0-0-0.json", '"Total": ', '"Total": -')
        result = build(tree, output=output)
        assert [problem.kind for problem in result.problems] == ["impossible-time"]
        first = rows(output)[0]["annotations"][0]
        assert first["seconds"] is None
        assert len(first["labels"]) == 2


class TestSources:
    def test_its_columns_become_columns_of_the_dataset(self, tree: Path, output: Path) -> None:
        csv = write(output.parent / "sources.csv", "author,image,origin,mood\nAnna,p0,https://x,gay\n,p1,,\n")
        build(tree, output=output, sources=csv)
        assert [(row["origin"], row["author"]) for row in rows(output)][:3] == [
            ("https://x", "Anna"),
            (None, None),
            (None, None),
        ]
        assert list(rows(output)[0])[-2:] == ["origin", "author"]

    def test_a_table_of_another_form_is_refused(self, tree: Path, output: Path) -> None:
        for text, message in (
            ("picture,author\np0,x\n", "expected a column image and any of origin, author, licence"),
            ("image,author\np0,x\np0,y\n", "'p0' has two lines"),
        ):
            with pytest.raises(TableError, match=message):
                build(tree, output=output, sources=write(output.parent / "sources.csv", text))
        assert not output.exists()


class TestManifest:
    def test_every_input_and_output_is_named_with_its_size_and_hash(self, real_dataset: Path, fixtures: Path) -> None:
        manifest = read_manifest(real_dataset)
        roots = {"train-0": fixtures / "Train", "test-0": fixtures / "Test"}
        inputs = {name: place for shard in manifest.shards for name, place in shard.inputs.items()}
        for name, (size, digest) in inputs.items():
            root, _, path = name.partition("/")
            data = (roots[root] / path).read_bytes()
            assert (len(data), sha256_of(data)) == (size, digest)
        on_disk = {f"{root}/{name}" for root, folder in roots.items() for name in contents(folder)}
        assert inputs.keys() == on_disk
        outputs = contents(real_dataset)
        del outputs["manifest.json"]
        described = {shard.path: (shard.size_bytes, shard.sha256) for shard in manifest.shards}
        described |= {file.path: (file.size_bytes, file.sha256) for file in manifest.files}
        assert described == {name: (len(data), sha256_of(data)) for name, data in outputs.items()}

    def test_inputs_of_the_whole_dataset_are_named_too(self, tree: Path, output: Path) -> None:
        files = {
            "train-0/annotators.csv": (tree / "annotators.csv", b"group,slot,pseudonym\n"),
            "sources/s.csv": (output.parent / "s.csv", b"image,author\np0,x\n"),
            "citation/s.csv": (output.parent / "bib/s.csv", b"@misc{x}"),
        }
        for path, data in files.values():
            write_bytes(path, data)
        result = build(tree, output=output, sources=files["sources/s.csv"][0], citation=files["citation/s.csv"][0])
        found = {one.path: (one.size_bytes, one.sha256) for one in result.manifest.inputs}
        assert found == {name: (len(data), sha256_of(data)) for name, (_, data) in files.items()}

    def test_versions_settings_and_counts_are_recorded(self, tree: Path, output: Path) -> None:
        manifest = build(tree, output=output, license="cc0-1.0", groups_per_shard=3).manifest
        assert manifest.tool_version
        assert (manifest.splits, manifest.candidates) == ({"train": 7}, ["01", "02"])
        assert (manifest.settings["license"], manifest.settings["groups_per_shard"]) == ("cc0-1.0", 3)
        assert [len(shard.ids) for shard in manifest.shards] == [3, 3, 1]

    def test_no_place_on_the_builders_machine_is_in_any_file(self, tmp_path: Path, fixtures: Path) -> None:
        secret = tmp_path / "home-of-anna"
        train = Path(shutil.copytree(fixtures / "Train", secret / "Train"))
        (train / "images/0-6/01/rocket-197-355_01.png").write_bytes(b"")  # its message is recorded
        csv, bib = secret / "sources.csv", secret / "cite.bib"
        csv.write_text("image,author\nrocket,SpaceX\n")
        bib.write_text("@misc{x}")
        build(train, output=secret / "hggt", sources=csv, citation=bib, skip_faulty=True)
        for name, data in contents(secret / "hggt").items():
            assert b"home-of-anna" not in data, name
            assert str(tmp_path).encode() not in data, name


class Shuffled(list[os.DirEntry[str]]):
    """What `os.scandir` returns, in an order of our own."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class TestDeterminism:
    def test_any_number_of_workers_gives_the_same_bytes(self, tmp_path: Path) -> None:
        tree = small_tree(tmp_path / "T", lr=True)
        for workers in (1, 2):
            build(tree, output=tmp_path / f"w{workers}", workers=workers)
        assert contents(tmp_path / "w2") == contents(tmp_path / "w1")

    def test_places_and_the_order_in_which_folders_list_their_files_do_not_matter(
        self, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build(tree, output=tmp_path / "a")
        shutil.copytree(tree, tmp_path / "deep/other")
        listed = os.scandir

        def shuffled(path: Path) -> Shuffled:
            with listed(path) as entries:
                return Shuffled(sorted(entries, key=lambda entry: sha256_of(entry.name.encode())))

        monkeypatch.setattr(os, "scandir", shuffled)
        build(tmp_path / "deep/other", output=tmp_path / "deep/b")
        monkeypatch.undo()
        assert contents(tmp_path / "deep/b") == contents(tmp_path / "a")


class TestFaults:
    def test_a_fault_stops_the_build_and_all_faults_are_listed(self, tree: Path, output: Path) -> None:
        (tree / "images/0-9/01/p1-16-0_01.png").unlink()
        (tree / "images/0-9/01/p5-80-0_01.png").write_bytes(b"")
        (tree / "labels/0-9/B/p3-48-0.json").write_bytes(b"{")
        with pytest.raises(TreeError) as error:
            build(tree, output=output)
        message = str(error.value)
        assert message.startswith("3 errors; nothing was built.")
        for part in ("`skip_faulty`", "p1-16-0_01.png", "p5-80-0_01.png", "labels/0-9/B/p3-48-0.json", "missing-image"):
            assert part in message
        assert not output.exists()

    def test_faulty_groups_are_left_out_and_recorded(self, tree: Path, output: Path, load: Callable[..., Any]) -> None:
        (tree / "images/0-9/01/p1-16-0_01.png").unlink()
        (tree / "labels/0-9/B/p3-48-0.json").write_bytes(b"{")
        result = build(tree, output=output, skip_faulty=True)
        kept = [IDS[k] for k in (0, 2, 4, 5, 6)]
        assert [row["id"] for row in rows(output)] == kept
        assert [group for shard in result.manifest.shards for group in shard.dropped] == ["p1-16-0", "p3-48-0"]
        recorded = [problem for shard in result.manifest.shards for problem in shard.problems]
        assert recorded[0].path == "train-0/images/0-9/01/p1-16-0_01.png"
        again = build(tree, output=output, skip_faulty=True)
        assert again.kept == len(again.manifest.shards)
        assert again.problems == result.problems
        assert result.manifest.splits == {"train": 5}
        assert any("2 groups left out" in line for line in result.describe())
        assert {problem.kind for problem in result.problems} == {"missing-image", "broken-json"}
        assert {problem.path for problem in result.problems} == {
            f"{tree}/images/0-9/01/p1-16-0_01.png",
            f"{tree}/labels/0-9/B/p3-48-0.json",
        }
        assert load(str(output), split="train")["id"][:] == kept

    def test_shards_and_splits_without_groups_load(self, tree: Path, output: Path, load: Callable[..., Any]) -> None:
        test = small_tree(output.parent / "E", ("q-0-0",))
        faulty = [tree / f"images/0-9/original/{name}.png" for name in ("p0-0-0", "p3-48-0")]
        for path in (*faulty, test / "images/0-9/original/q-0-0.png"):
            path.write_bytes(b"")
        result = build(tree, output=output, test_tree=test, skip_faulty=True, groups_per_shard=1)
        assert result.manifest.splits == {"train": 5}
        for config in ("default", "labels"):
            found = load(str(output), config)
            assert {split: part["id"][:] for split, part in found.items()} == {
                "train": [IDS[k] for k in (1, 2, 4, 5, 6)]
            }

    def test_a_split_of_the_earlier_build_that_is_gone_is_named(self, tree: Path, output: Path) -> None:
        test = small_tree(output.parent / "E", ("q-0-0",))
        build(tree, output=output, test_tree=test)
        assert build(tree, output=output, test_tree=test).removed == {}
        lines = build(tree, output=output).describe()
        assert "Removed the split test of the earlier build in this folder (1 group)." in lines

    def test_a_fault_of_an_lr_image_is_named_by_its_path(self, output: Path) -> None:
        test = small_tree(output.parent / "E", ("q-0-0",))
        lr = output.parent / "LR"
        lr.mkdir()
        (lr / "q-0-0.png").write_bytes(b"")
        with pytest.raises(TreeError, match=f"{lr}/q-0-0.png"):
            build(output=output, test_tree=test, lr=lr)

    def test_nothing_to_build_is_an_error(self, tree: Path, output: Path) -> None:
        for path in (tree / "images/0-9/original").iterdir():
            path.write_bytes(b"")
        with pytest.raises(TreeError, match="every group has errors"):
            build(tree, output=output, skip_faulty=True)
        empty = output.parent / "empty"
        for name in ("images/original", "images/01", "labels/A"):
            (empty / name).mkdir(parents=True)
        with pytest.raises(TreeError, match=r"^the trees have no groups; nothing is left to build\n.*empty-slot"):
            build(empty, output=output)
        assert not output.exists()

    def test_files_that_fit_no_group_stop_the_build_but_not_with_skip_faulty(self, tree: Path, output: Path) -> None:
        shutil.copy(tree / "labels/0-9/A/p0-0-0.json", tree / "labels/0-9/A/z-0-0.json")
        (tree / "images/0-9/original/no-name.png").write_bytes(b"x")
        with pytest.raises(TreeError, match="2 errors"):
            build(tree, output=output)
        result = build(tree, output=output, skip_faulty=True)
        assert result.manifest.splits == {"train": 7}
        assert {problem.kind for problem in result.problems} == {"annotation-without-group", "bad-patch-id"}
        recorded = {problem.path for problem in read_manifest(output).problems}
        assert recorded == {"train-0/labels/0-9/A/z-0-0.json", "train-0/images/0-9/original/no-name.png"}
        assert build(tree, output=output, skip_faulty=True).problems == result.problems

    def test_a_folder_that_leaves_the_tree_is_never_followed(self, tree: Path, output: Path) -> None:
        (tree / "labels").rename(output.parent / "outside")
        (tree / "labels").symlink_to(output.parent / "outside")
        with pytest.raises(TreeError, match="link-leaves-tree"):
            build(tree, output=output, skip_faulty=True)

    def test_a_file_that_leaves_the_tree_drops_its_group(self, tree: Path, output: Path) -> None:
        path = tree / "images/0-9/01/p0-0-0_01.png"
        path.rename(output.parent / "outside.png")
        path.symlink_to(output.parent / "outside.png")
        for _ in range(2):
            result = build(tree, output=output, skip_faulty=True)
            assert [row["id"] for row in rows(output)] == list(IDS[1:])
        assert result.kept == 4  # also the shard of the dropped group

    def test_lr_must_fit_the_scale(self, tree: Path, output: Path) -> None:
        test = small_tree(output.parent / "E", ("q-0-0",), lr=True)
        with pytest.raises(TreeError, match="wrong-lr-size"):
            build(tree, output=output, test_tree=test, scale=2)

    def test_trees_with_other_candidates_or_the_same_group_are_refused(self, tree: Path, output: Path) -> None:
        other = small_tree(output.parent / "A", ("q-0-0",), candidates=("01",))
        with pytest.raises(TreeError, match="All groups of a dataset have the same candidates"):
            build(tree, other, output=output)
        other = small_tree(output.parent / "B", IDS[2:3], seed=1)
        with pytest.raises(TreeError, match="share groups: p2-32-0"):
            build(tree, other, output=output)

    def test_no_tree_at_all_is_refused(self, output: Path) -> None:
        with pytest.raises(SettingsError, match="pass `trees`, `test_tree` or both"):
            build(output=output)
        with pytest.raises(SettingsError, match="`lr` belongs to `test_tree`"):
            build(output, output=output, lr=output)


class TestOverlap:
    def test_a_source_picture_in_both_splits_is_refused(self, tree: Path, output: Path) -> None:
        test = small_tree(output.parent / "E", ("p3-0-0", "q-0-0"), seed=1)
        with pytest.raises(TreeError, match=r"share 1 source picture \(p3\).*`allow_overlap`"):
            build(tree, output=output, test_tree=test)
        assert not output.exists()

    def test_a_source_picture_that_looks_the_same_is_refused(self, tree: Path, output: Path) -> None:
        test = small_tree(output.parent / "E", ("P3-9-9", "q-0-0"), seed=1)
        with pytest.raises(TreeError, match=r"share 1 source picture \('P3' differs from 'p3' only in case\)"):
            build(tree, output=output, test_tree=test)

    @pytest.mark.parametrize(("of_train", "of_test"), [(ORIGINAL, ORIGINAL), ("01", "02"), ("02", ORIGINAL)])
    def test_equal_pictures_under_other_names_are_refused(
        self, tree: Path, output: Path, of_train: str, of_test: str
    ) -> None:
        test = small_tree(output.parent / "E", ("q-0-0",), seed=1)
        pixels = read_pixels(picture_of(tree, "p4-64-0", of_train))
        picture_of(test, "q-0-0", of_test).write_bytes(encode_png(pixels, 0))  # other bytes
        same = f"{of_test} of q-0-0 = {of_train} of p4-64-0"
        with pytest.raises(TreeError, match=rf"share 1 equal picture \({same}\)"):
            build(tree, output=output, test_tree=test)
        assert not output.exists()
        result = build(tree, output=output, test_tree=test, allow_overlap=True)
        assert read_manifest(output).overlap == {"source_pictures": [], "pictures": [same]}
        assert f"train and test share 1 equal picture: {same}" in result.describe()

    def test_equal_pictures_of_a_single_colour_are_no_evidence(self, tree: Path, output: Path) -> None:
        test = small_tree(output.parent / "E", ("q-0-0",), seed=1)
        for path in (
            picture_of(tree, IDS[0], "01"),
            picture_of(tree, "p4-64-0", "01"),
            picture_of(test, "q-0-0", "02"),
        ):
            path.write_bytes(encode_png(np.zeros(read_pixels(path).shape, np.uint8)))
        build(tree, output=output, test_tree=test)
        assert read_manifest(output).overlap == {"source_pictures": [], "pictures": []}
        assert list(open_groups(output, "train").find_equal_pictures()) == []

    def test_an_original_used_twice_in_train_is_found_by_either_name(self, tree: Path, output: Path) -> None:
        shutil.copy(tree / "images/0-9/original/p4-64-0.png", tree / "images/0-9/original/p5-80-0.png")
        test = small_tree(output.parent / "E", ("q-0-0",), seed=1)
        shutil.copy(tree / "images/0-9/original/p4-64-0.png", test / "images/0-9/original/q-0-0.png")
        build(tree, output=output, test_tree=test, allow_overlap=True)
        same = "original of q-0-0 = original of p4-64-0, original of p5-80-0"
        assert read_manifest(output).overlap["pictures"] == [same]


class TestUpdate:
    def test_a_changed_label_changes_its_shard_and_the_label_tables_only(self, tree: Path, output: Path) -> None:
        build(tree, output=output)
        before, places = contents(output), {path.name: path.stat().st_ino for path in (output / "data").iterdir()}
        path = tree / "labels/0-9/B/p2-32-0.json"
        content = json.loads(path.read_text())
        content["Picture_2"]["Label"] = {"Positive": "Negative"}.get(content["Picture_2"]["Label"], "Positive")
        path.write_text(json.dumps(content))
        result = build(tree, output=output)
        after = contents(output)
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        described = {"README.md", "croissant.json"}
        assert changed - described == {"manifest.json", "labels/train.parquet", "data/train-00001-of-00004.parquet"}
        assert result.kept == 3
        still = {name: place for name, place in places.items() if name != "train-00001-of-00004.parquet"}
        assert still.items() <= {path.name: path.stat().st_ino for path in (output / "data").iterdir()}.items()
        require_same_as_new(tree, output)

    def test_a_dropped_group_keeps_the_others_in_their_shards(self, tree: Path, output: Path) -> None:
        build(tree, output=output)
        whole = contents(output / "data")
        (tree / "images/0-9/01/p2-32-0_01.png").write_bytes(b"")
        build(tree, output=output, skip_faulty=True)
        assert len(contents(output / "data").items() & whole.items()) == 3
        before = contents(output)
        with pytest.raises(TreeError, match="1 error; nothing was built"):
            build(tree, output=output)
        assert contents(output) == before

    def test_nothing_is_left_out_for_a_slot_that_is_gone_again(self, tree: Path, output: Path) -> None:
        for name in IDS[:2]:
            write_annotation(tree / f"labels/0-9/D/{name}.json", name, "D", ("01", "02"))
        assert build(tree, output=output, skip_faulty=True).manifest.splits == {"train": 2}
        shutil.rmtree(tree / "labels/0-9/D")
        assert build(tree, output=output, skip_faulty=True).problems == ()
        require_same_as_new(tree, output, skip_faulty=True)

    def test_an_unreadable_picture_is_an_error_of_a_rebuild_too(self, tree: Path, output: Path) -> None:
        build(tree, output=output)
        (tree / "images/0-9/01/p2-32-0_01.png").unlink()
        os.mkfifo(tree / "images/0-9/01/p2-32-0_01.png")
        with pytest.raises(TreeError, match=r"unreadable-image .*\n.*p2-32-0_01\.png: not a regular file"):
            build(tree, output=output)
        for _ in range(2):
            problems = build(tree, output=output, skip_faulty=True).problems
            assert [problem.kind for problem in problems] == ["extra-file", "unreadable-image"]

    def test_every_other_setting_gives_what_a_new_build_gives(self, tree: Path, output: Path) -> None:
        build(tree, output=output)
        options: dict[str, Any] = {}
        for name, value in (
            ("license", "cc0-1.0"),
            ("scale", 2),
            ("skip_faulty", True),
            ("sources", write(output.parent / "s.csv", "image,author\np0,Anna\n")),
            ("citation", write(output.parent / "c.bib", "@misc{x}")),
        ):
            options[name] = value
            build(tree, output=output, **options)
            require_same_as_new(tree, output, **options)

    def test_other_annotators_and_slots_give_what_a_new_build_gives(self, tree: Path, output: Path) -> None:
        build(tree, output=output)
        write(tree / "annotators.csv", "group,slot,pseudonym\np0-0-0,A,owl\n")
        build(tree, output=output)
        require_same_as_new(tree, output)
        shutil.rmtree(tree / "labels/0-9/C")
        build(tree, output=output)
        require_same_as_new(tree, output)

    def test_another_source_line_rewrites_only_the_shards_of_that_picture(self, tree: Path, output: Path) -> None:
        csv = write(output.parent / "s.csv", "image,author\np0,Anna\np6,Ben\n")
        build(tree, output=output, sources=csv)
        edit_text(csv, "Ben", "Carl")
        assert build(tree, output=output, sources=csv).kept == 3
        assert rows(output)[-1]["author"] == "Carl"

    def test_damage_to_the_existing_dataset_is_repaired(self, tree: Path, output: Path) -> None:
        build(tree, output=output)
        expected = contents(output)
        changed, missing = (output / f"data/train-0000{k}-of-00004.parquet" for k in (1, 2))
        data = changed.read_bytes()
        edit_keeping_stat(changed, data[:100] + bytes([data[100] ^ 1]) + data[101:])
        missing.unlink()
        assert build(tree, output=output).kept == 2
        assert contents(output) == expected
        os.truncate(output / "manifest.json", 1000)
        build(tree, output=output)
        assert contents(output) == expected


class TestOutput:
    def test_the_folder_of_another_program_is_refused_and_unchanged(self, tree: Path, output: Path) -> None:
        write_bytes(output / "thesis.txt", b"years of work")
        with pytest.raises(OutputError, match="is not empty"):
            build(tree, output=output)
        write_bytes(output / "manifest.json", b'{"name": "my app"}')
        before = contents(output)
        with pytest.raises(OutputError, match=r"files that hggt did not write: .*manifest\.json"):
            build(tree, output=output)
        assert contents(output) == before

    def test_only_files_of_the_system_may_be_added_to_an_earlier_build(self, tree: Path, output: Path) -> None:
        build(tree, output=output)
        expected = contents(output)
        (output / ".DS_Store").touch()
        build(tree, output=output)
        assert contents(output) == expected
        write_bytes(output / "data/mine.png", b"years of work")
        before = contents(output)
        with pytest.raises(OutputError, match=r"files that hggt did not write: data/mine\.png"):
            build(tree, output=output)
        assert contents(output) == before


class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Any:
        place = tmp_path / "disk"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place], capture_output=True)
        if done.returncode:
            pytest.skip("run as root to mount a small tmpfs: the disk cannot be filled otherwise")
        yield place
        subprocess.run(["umount", "-l", place], check=True)

    def test_it_is_one_error_and_the_old_dataset_stays(
        self, small_disk: Path, tmp_path: Path, load: Callable[..., Any]
    ) -> None:
        output = small_disk / "hggt"
        small = small_tree(tmp_path / "S")
        build(small, output=output)
        before = contents(output)
        large = small_tree(tmp_path / "L", size=(96, 96))
        with pytest.raises(OSError, match="No space left on device") as error:
            build(large, output=output)
        assert not isinstance(error.value, HggtError)
        assert contents(output) == before
        assert len(load(str(output), "labels", split="train")) == 7
        subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
        build(large, output=output)
        require_same_as_new(large, output)


class TestStagedShards:
    """A killed build leaves finished shards; whether the next build keeps them depends on their content."""

    @pytest.fixture
    def staged(self, tree: Path, output: Path) -> Path:
        """The staging folder of a build that failed after all shards were written."""
        test = small_tree(output.parent / "copied", ("q-0-0",), seed=1)
        shutil.copy(tree / "images/0-9/original/p4-64-0.png", test / "images/0-9/original/q-0-0.png")
        with pytest.raises(TreeError, match="1 equal picture") as error:
            build(tree, output=output, test_tree=test)
        staging = output.parent / ".hggt.partial"
        assert any(f"Finished shards are kept in {staging}" in line for line in error.value.__notes__)
        assert not output.exists()
        return staging

    def test_an_unfinished_dataset_does_not_load(self, staged: Path, load: Callable[..., Any]) -> None:
        for config in ("default", "labels", None):
            with pytest.raises(Exception, match=r"."):
                load(str(staged), config)
        with pytest.raises(HggtError):
            open_groups(staged)

    @pytest.mark.parametrize("how", ["changed byte", "no shard", "no record", "damaged record"])
    def test_a_damaged_shard_is_written_again(self, staged: Path, tree: Path, output: Path, how: str) -> None:
        shard = staged / "data/train-00002-of-00004.parquet"
        record = staged / ".finished/train-00002-of-00004.parquet.json"
        data = shard.read_bytes()
        if how == "changed byte":
            edit_keeping_stat(shard, data[:100] + bytes([data[100] ^ 1]) + data[101:])
        elif how == "damaged record":
            record.write_bytes(b"{}")
        else:
            (shard if how == "no shard" else record).unlink()
        assert build(tree, output=output).kept == 3
        require_same_as_new(tree, output)

    @pytest.mark.parametrize("path", ["images/0-9/02/p4-64-0_02.png", "labels/0-9/C/p4-64-0.json"])
    def test_an_input_changed_behind_its_date_and_size_is_noticed(
        self, staged: Path, tree: Path, output: Path, path: str
    ) -> None:
        old = (tree / path).read_bytes()
        if path.endswith(".json"):
            new = old.replace(b'"Total": 30', b'"Total": 31')
        else:
            new = encode_png(255 - noise((8, 8), "0 p4-64-0 02"))
            assert len(new) == len(old)  # noise does not compress
        edit_keeping_stat(tree / path, new)
        assert build(tree, output=output).kept == 3
        require_same_as_new(tree, output)

    def test_finished_shards_are_kept_and_other_files_are_not(self, staged: Path, tree: Path, output: Path) -> None:
        for name in ("data/.train-00000-of-00004.parquet.1.tmp", "data/train-00000-of-00009.parquet", "labels/x"):
            write_bytes(staged / name, b"left by a killed build")
        assert build(tree, output=output).kept == 4
        require_same_as_new(tree, output)


class TestRefusals:
    def test_an_output_inside_a_tree(self, tree: Path) -> None:
        with pytest.raises(OutputError, match="is inside the tree"):
            build(tree, output=tree / "images/new")
        assert not (tree / "images/new").exists()

    def test_a_name_that_other_programs_cannot_open(self, tree: Path, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="udcff is not UTF-8"):
            build(tree, output=tmp_path / "o\udcff")
        assert [path.name for path in tmp_path.iterdir()] == ["T"]

    def test_text_that_is_not_a_citation(self, tree: Path, output: Path) -> None:
        for text, reason in (("", "is empty"), ("a\n```\nb", "contains ```")):
            with pytest.raises(TreeError, match=reason):
                build(tree, output=output, citation=write(output.parent / "c.bib", text))

    def test_a_pipe_in_place_of_a_csv_does_not_hang(self, tree: Path, output: Path) -> None:
        os.mkfifo(tree / "annotators.csv")
        with pytest.raises(TreeError, match=r"bad-annotators .*\n.*not a regular file"):
            build(tree, output=output, skip_faulty=True)

    def test_a_build_that_finishes_no_shard_leaves_nothing(self, tree: Path, output: Path) -> None:
        for path in (tree / "images/0-9/01").iterdir():
            path.write_bytes(b"")
        with pytest.raises(TreeError):
            build(tree, output=output)
        assert list(output.parent.glob(".*")) == []

    def test_a_build_whose_names_show_errors_writes_nothing_but_reports_all(self, tree: Path, output: Path) -> None:
        write_bytes(tree / "labels/0-9/A/q-0-0.json", b"{}")  # of no group
        picture_of(tree, IDS[-1], "01").write_bytes(b"")  # all other shards could be finished
        with pytest.raises(TreeError, match="2 errors; nothing was built") as error:
            build(tree, output=output)
        assert "annotation-without-group" in str(error.value)
        assert str(picture_of(tree, IDS[-1], "01")) in str(error.value)
        assert list(output.parent.glob(".*")) == []


class TestWarnings:
    def test_equal_pictures_of_two_groups(self, tree: Path, output: Path) -> None:
        for name in (ORIGINAL, "01"):
            pixels = read_pixels(picture_of(tree, IDS[0], name))
            picture_of(tree, IDS[3], name).write_bytes(encode_png(pixels, 0))  # other bytes
        found = [problem.message for problem in build(tree, output=output).problems]
        same = f"original of {IDS[3]} has the same pixels as original of {IDS[0]}"
        assert found == [f"{same}; so have 1 more picture of groups {IDS[3]} and {IDS[0]}"]

    def test_equal_pictures_inside_groups(self, tree: Path, output: Path) -> None:
        images = tree / "images/0-9"
        for path in (images / "original").iterdir():
            shutil.copy(path, images / "02" / f"{path.stem}_02.png")
        (problem,) = build(tree, output=output, groups_per_shard=9).problems
        assert (problem.kind, problem.severity) == ("equal-pictures", "warning")
        assert str(problem) == f"{images}/02: 7 pictures have the same pixels as in original/ (first: p0-0-0_02.png)"

    def test_unknown_columns_of_sources(self, tree: Path, output: Path) -> None:
        lines = [f"p{k},here,cc0-1.0,," for k in range(7)]
        csv = write(output.parent / "s.csv", "\n".join(["image,origin,license,,", *lines]))
        (problem,) = build(tree, output=output, sources=csv).problems
        assert (problem.kind, problem.severity) == ("unknown-column", "warning")
        assert str(problem) == f"{csv}: unknown column 'license'"
        assert problem.hint == "It is left out; did you mean 'licence'?"

    def test_source_pictures_of_two_trees_that_look_the_same(self, tree: Path, output: Path) -> None:
        other = small_tree(output.parent / "E", ("P3-9-9", "q-0-0"), seed=1)
        (problem,) = build(tree, other, output=output).problems
        assert (problem.kind, problem.severity) == ("lookalike-picture", "warning")
        assert (
            str(problem) == f"{other}: the source picture 'P3' differs from 'p3' only in case, which is in another tree"
        )

    def test_sources_that_look_the_same_as_pictures(self, tree: Path, output: Path) -> None:
        lines = [f"{'P' if k == 3 else 'p'}{k},here" for k in range(7)]
        csv = write(output.parent / "s.csv", "\n".join(["image,origin", *lines]))
        assert [problem.message for problem in build(tree, output=output, sources=csv).problems] == [
            "no line for the source picture 'p3'; 'p3' differs from 'P3' only in case",
            "a line for 'P3', which no tree contains; 'P3' differs from 'p3' only in case",
        ]

    def test_sources_that_do_not_fit(self, tree: Path, output: Path) -> None:
        lines = [f"p{k},here" for k in range(1, 7)]
        csv = write(output.parent / "s.csv", "\n".join(["image,origin", *lines, "q,there"]))
        found = {problem.message for problem in build(tree, output=output, sources=csv).problems}
        assert found == {"no line for the source picture 'p0'", "a line for 'q', which no tree contains"}


def test_a_manifest_does_not_record_where_the_lr_was(tmp_path: Path) -> None:
    write_tree(tmp_path / "T", ["a-0-0"], lr=True)
    texts = []
    for place in ("one/LR", "home/two/LR"):
        shutil.copytree(tmp_path / "T/Blind_LR", tmp_path / place)
        settings = BuildSettings((), tmp_path / place / "../hggt", tmp_path / "T", tmp_path / place, workers=1)
        texts.append(build_dataset(settings).manifest.to_text())
    assert texts[0] == texts[1]
    assert "test-0/lr/a-0-0.png" in texts[0]
