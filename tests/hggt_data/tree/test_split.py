"""Training and test trees that share no source picture."""

import csv
import itertools
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from hggt_data.cli.main import main
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import TreeError
from hggt_data.loading import open_groups
from hggt_data.schema import Annotation, Label, PatchId, group_order
from hggt_data.tree.hggt_labels import format_annotation
from hggt_data.tree.split import GroupChoice, SplitSettings, choose_test, split_tree
from hggt_data.tree.validate import validate_tree
from tests.full_disk import FullDisk
from tests.hggt_data.trees import contents, write_bytes, write_tree

P, S = Label.POSITIVE, Label.SIMILAR
CANDIDATES = ("01", "02")
# Number of positives in the groups of each source picture.
POSITIVES = {"a": [2, 2], "b": [2, 0], "c": [0], "d": [2], "e": [2, 1, 0]}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["split", *map(str, arguments)])


def numbered(counts: Mapping[str, list[int]]) -> dict[str, int]:
    """Group id to number of positives."""
    return {f"{image}-{k}-0": number for image, numbers in counts.items() for k, number in enumerate(numbers)}


def write_labelled(root: Path, positives: Mapping[str, int], **options: object) -> Path:
    """A tree whose groups have these numbers of positives, on which all three annotators agree."""
    write_tree(root, list(positives), candidates=CANDIDATES, **options)  # type: ignore[arg-type]
    for group_id, number in positives.items():
        for day, slot in enumerate("ABC", start=1):
            labels = tuple(P if k < number else S for k in range(len(CANDIDATES)))
            times = datetime(2022, 8, day, 9), datetime(2022, 8, day, 10)
            text = format_annotation(Annotation(slot, labels, *times, 30.0), group_id, CANDIDATES)
            write_bytes(root / f"labels/0-9/{slot}/{group_id}.json", text.encode())
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_labelled(tmp_path / "T", numbered(POSITIVES))


def image_of(group_id: str) -> str:
    return PatchId.parse(group_id).image


def images_of(ids: list[str]) -> set[str]:
    return set(map(image_of, ids))


def choose(
    positives: Mapping[str, int], settings: SplitSettings, together: Mapping[str, str] | None = None
) -> GroupChoice:
    pictures = {group_id: (together or {}).get(image_of(group_id), image_of(group_id)) for group_id in positives}
    return choose_test(positives, pictures, settings)


def fewest_lost(counts: Mapping[str, list[int]], settings: SplitSettings) -> int | None:
    """The minimum without a limit by trying all sets of pictures; None if no set is sufficient."""
    lost = []
    for taken in itertools.product((False, True), repeat=len(counts)):
        test = [numbers for numbers, is_taken in zip(counts.values(), taken, strict=True) if is_taken]
        fit = sum(sum(number >= settings.min_positives for number in numbers) for numbers in test)
        if fit >= settings.test_groups and not all(taken):
            lost.append(sum(map(len, test)) - settings.test_groups)
    return min(lost, default=None)


def accounted(choice: GroupChoice) -> list[str]:
    return sorted([*choice.test, *choice.train, *choice.too_few, *choice.spare], key=group_order)


counts_of_pictures = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.integers(0, 4), min_size=1, max_size=4), min_size=1, max_size=7
)


class TestChoice:
    @examples(max_examples=60)
    @given(
        counts=counts_of_pictures,
        test_groups=st.integers(1, 12),
        min_positives=st.integers(0, 4),
        max_per_picture=st.none() | st.integers(1, 3),
        seed=st.integers(-3, 3),
        data=st.data(),
    )
    def test_no_picture_is_on_both_sides_and_without_a_limit_the_fewest_groups_are_left_out(
        self,
        counts: dict[str, list[int]],
        test_groups: int,
        min_positives: int,
        max_per_picture: int | None,
        seed: int,
        data: st.DataObject,
    ) -> None:
        settings = SplitSettings(test_groups, min_positives, max_per_picture, seed)
        positives = numbered(counts)
        least = fewest_lost(counts, settings)
        try:
            choice = choose(positives, settings)
        except TreeError:
            assert max_per_picture or least is None
            return
        assert max_per_picture or choice.lost == least
        assert len(choice.test) == test_groups
        assert choice.train
        assert all(positives[i] >= min_positives for i in [*choice.test, *choice.spare])
        assert all(positives[i] < min_positives for i in choice.too_few)
        assert not images_of(choice.train) & images_of([*choice.test, *choice.too_few, *choice.spare])
        assert images_of([*choice.too_few, *choice.spare]) <= images_of(choice.test)
        assert accounted(choice) == sorted(positives, key=group_order)
        assert max(Counter(map(image_of, choice.test)).values()) <= (max_per_picture or 99)
        shuffled = dict(data.draw(st.permutations(list(positives.items()))))
        assert choose(shuffled, settings) == choice

    @examples(max_examples=30)
    @given(counts=counts_of_pictures, seed=st.integers(0, 3), data=st.data())
    def test_pictures_that_belong_together_stay_together(
        self, counts: dict[str, list[int]], seed: int, data: st.DataObject
    ) -> None:
        together = {name: data.draw(st.sampled_from(["a", "b", name])) for name in counts}
        together |= {name: name for name in "ab"}
        try:
            choice = choose(numbered(counts), SplitSettings(2, 1, seed=seed), together)
        except TreeError:
            return
        sides = [images_of(choice.train), images_of([*choice.test, *choice.too_few, *choice.spare])]
        leaders = [{together[name] for name in side} for side in sides]
        assert not leaders[0] & leaders[1]

    @pytest.mark.parametrize("seed", range(20))
    def test_a_source_picture_that_is_drawn_but_not_needed_is_trained_on(self, seed: int) -> None:
        positives = numbered({"a": [2], "b": [2, 2], "c": [2, 2], "d": [2], "e": [2, 2]})
        choice = choose(positives, SplitSettings(6, 0, max_per_picture=2, seed=seed))
        assert images_of([*choice.spare, *choice.too_few]) <= images_of(choice.test)

    def test_each_of_the_equally_good_sets_is_as_likely(self) -> None:
        # Nothing is lost by three of a, b, c, d, or by e and one of them: eight sets; f would lose two groups.
        positives = numbered({**{name: [2] for name in "abcd"}, "e": [2, 2], "f": [2, 0, 0]})
        drawn = Counter(
            "".join(sorted(images_of(choose(positives, SplitSettings(3, 2, seed=seed)).test))) for seed in range(800)
        )
        assert sorted(drawn) == ["abc", "abd", "acd", "ae", "bcd", "be", "ce", "de"]
        assert all(60 < count < 140 for count in drawn.values())  # 100 expected, standard deviation 9

    def test_with_a_limit_every_picture_that_qualifies_is_as_likely(self) -> None:
        sizes = {**{f"s{k}": 2 for k in range(10)}, **{f"b{k}": 13 for k in range(20)}}
        positives = numbered({name: [2] * size for name, size in sizes.items()} | {"none": [1, 1]})
        choices = [choose(positives, SplitSettings(10, 2, 1, seed)) for seed in range(300)]
        drawn = Counter(name for choice in choices for name in images_of(choice.test))
        assert drawn.keys() == sizes.keys()
        assert all(65 < count < 140 for count in drawn.values())  # 100 expected, standard deviation 8
        assert all(choice.lost == sum(sizes[name] - 1 for name in images_of(choice.test)) for choice in choices)

    def test_the_choice_never_changes(self) -> None:
        """A published seed identifies a test set: another choice would be another benchmark."""
        positives = numbered({f"{k:04d}": [k % 5, (k + 2) % 5, (3 * k) % 5] for k in range(1, 31)})
        choice = choose(positives, SplitSettings(8, 3, seed=7))
        expected = "0003-0-0 0003-2-0 0016-1-0 0016-2-0 0018-0-0 0018-2-0 0021-1-0 0021-2-0"
        assert " ".join(map(str, choice.test)) == expected
        assert choice.lost == 4  # no picture has more than two of three

    def test_all_groups_of_a_large_tree(self) -> None:
        positives = numbered({f"{k:04d}": [(k * j) % 5 for j in range(13)] for k in range(1600)})
        for max_per_picture, num_pictures in ((None, 13), (2, 50), (1, 100)):
            choice = choose(positives, SplitSettings(100, 2, max_per_picture))
            assert (len(choice.test), len(images_of(choice.test))) == (100, num_pictures)
            assert accounted(choice) == sorted(positives, key=group_order)

    def test_too_few_are_counted(self) -> None:
        with pytest.raises(TreeError, match=r"^only 5 of 9 groups .* \(2 positives or more\); expected at least 6"):
            choose(numbered(POSITIVES), SplitSettings(6, 2))
        with pytest.raises(TreeError, match=r"2 positives or more, at most 1 per source picture\); e"):
            choose(numbered(POSITIVES), SplitSettings(5, 2, 1))

    def test_some_groups_must_remain_for_training(self) -> None:
        with pytest.raises(
            TreeError, match=r"takes all 2 source pictures and leaves none for training\. Lower `test_groups`"
        ):
            choose(numbered({"a": [2], "b": [2]}), SplitSettings(2, 2))


class TestTrees:
    def test_both_are_valid_and_in_the_official_layout(self, tree: Path, tmp_path: Path) -> None:
        before = contents(tree)
        result = split_tree(tree, tmp_path / "out", SplitSettings(3, 2))
        assert result.choice.lost == 0
        assert images_of(result.choice.test) == {"a", "d"}
        out = tmp_path / "out"
        assert {p.parent.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == {
            ".",
            *(f"Train/images/0-6/{name}" for name in ("original", *CANDIDATES)),
            *(f"Train/labels/0-6/{slot}" for slot in "ABC"),
            *(f"Test/GT/Test-3/images/{name}" for name in ("original", *CANDIDATES)),
            *(f"Test/GT/Test-3/labels/{slot}" for slot in "ABC"),
        }
        files = {path.rsplit("/", 1)[1]: data for path, data in contents(out).items() if path != "split.json"}
        expected = {path.rsplit("/", 1)[1]: data for path, data in before.items()}
        assert files.keys() == expected.keys()
        for side, number in (("Train", 6), ("Test", 3)):
            report = validate_tree(out / side, workers=1)
            assert (report.num_groups, report.problems) == (number, ())
        for side in ("Train", "Test"):
            for group in open_groups(out / side):
                twin = next(other for other in open_groups(tree) if other.id == group.id)
                assert (group.annotations, group.consensus) == (twin.annotations, twin.consensus)
                assert all(group.read_bytes(n) == twin.read_bytes(n) for n in ("original", *CANDIDATES))
        assert contents(tree) == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["T", "out"]

    def test_pictures_are_linked_and_labels_are_not(self, tree: Path, tmp_path: Path) -> None:
        assert split_tree(tree, tmp_path / "out", SplitSettings(1, 2)).linked
        for path in (tmp_path / "out").rglob("*-0-0*.*"):
            assert (path.stat().st_nlink == 2) == (path.suffix == ".png"), path

    def test_with_copy_nothing_is_shared(self, tree: Path, tmp_path: Path) -> None:
        result = run(tree, "--output", tmp_path / "out", "--test-groups", 1, "--copy")
        assert "Pictures are copied, labels are copied." in result.output
        assert all(p.stat().st_nlink == 1 for p in (tmp_path / "out").rglob("*") if p.is_file())

    def test_where_links_cannot_be_made_pictures_are_copied(
        self, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", fail)
        assert not split_tree(tree, tmp_path / "out", SplitSettings(1, 2)).linked
        assert validate_tree(tmp_path / "out/Train", workers=1).problems == ()

    def test_links_inside_the_tree_become_files(self, tree: Path, tmp_path: Path) -> None:
        picture = tree / "images/0-9/01/a-0-0_01.png"
        picture.rename(tree / "elsewhere.png")
        picture.symlink_to("../../../elsewhere.png")
        split_tree(tree, tmp_path / "out", SplitSettings(3, 2))
        assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))

    def test_annotators_csv_is_kept_with_all_columns(self, tree: Path, tmp_path: Path) -> None:
        lines = [["slot", "group", "note", "pseudonym"], ["A", "a-0-0", "1, 2", "ann"], ["B", "b-0-0", "", "Bö"]]
        with open(tree / "annotators.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
        out = tmp_path / "out"
        split_tree(tree, out, SplitSettings(3, 2))
        assert (out / "Test/annotators.csv").read_text("utf-8").splitlines() == [
            "slot,group,note,pseudonym",
            'A,a-0-0,"1, 2",ann',
        ]
        assert open_groups(out / "Train")[0].annotations[1].annotator == "Bö"
        assert validate_tree(out / "Train", workers=1).problems == ()

    def test_the_licence_is_copied_to_both(self, tree: Path, tmp_path: Path) -> None:
        (tree / "LICENSE.txt").write_text("terms")
        split_tree(tree, tmp_path / "out", SplitSettings(1, 2))
        assert {(tmp_path / "out" / side / "LICENSE.txt").read_text() for side in ("Train", "Test")} == {"terms"}

    @pytest.mark.parametrize("copy", ["original/e-2-0.png", "02/e-2-0_02.png"])
    def test_one_photograph_under_two_names_stays_on_one_side(self, tree: Path, tmp_path: Path, copy: str) -> None:
        images = tree / "images/0-9"
        Image.open(images / "original/a-1-0.png").save(images / copy, compress_level=1)
        for seed in range(6):
            result = split_tree(tree, tmp_path / f"out{seed}", SplitSettings(4, 2, seed=seed))
            assert result.aliases == [["a", "e"]]
            assert len(images_of(result.choice.train) & {"a", "e"}) in (0, 2)
            record = json.loads((tmp_path / f"out{seed}/split.json").read_text())
            assert record["same_picture"] == [["a", "e"]]
        assert any(line.endswith("were kept together: a = e") for line in result.describe())

    def test_source_pictures_whose_names_look_the_same_stay_on_one_side(self, tmp_path: Path) -> None:
        counts = {"caf\u00e9": [2, 2], "cafe\u0301": [2, 2], "b": [2, 2], "B": [2, 2], "c": [2, 2]}
        tree = write_labelled(tmp_path / "T", numbered(counts))
        for seed in range(8):
            result = split_tree(tree, tmp_path / f"out{seed}", SplitSettings(4, 2, seed=seed))
            assert len(images_of(result.choice.train) & {"caf\u00e9", "cafe\u0301"}) in (0, 2)
            assert len(images_of(result.choice.train) & {"b", "B"}) in (0, 2)
        shown = r"together: 'B' = 'b', 'cafe\u0301' = 'caf\xe9'"
        assert any(line.endswith(shown) for line in result.describe())

    def test_several_range_levels_become_one(self, tmp_path: Path) -> None:
        tree = write_labelled(tmp_path / "T", numbered(POSITIVES))
        write_tree(tree, ["z-0-0"], candidates=CANDIDATES, level="9-10")
        split_tree(tree, tmp_path / "out", SplitSettings(3, 2))
        assert [path.name for path in (tmp_path / "out/Train/images").iterdir()] == ["0-7"]

    def test_the_record_lists_what_was_left_out(self, tree: Path, tmp_path: Path) -> None:
        result = run(tree, "--output", tmp_path / "out", "--test-groups", 5)
        assert result.exit_code == 0, result.output
        record = json.loads((tmp_path / "out/split.json").read_text())
        assert record["test_pictures"] == ["a", "b", "d", "e"]
        assert record["left_out"] == {"too_few_positives": ["b-1-0", "e-1-0", "e-2-0"], "spare": []}
        assert record["groups"] == {"train": 1, "test": 5}
        assert record["settings"]["seed"] == 0
        lost = "Left out 3 of 9 groups, as they belong to source pictures of the test set: 3 with fewer positives\n"
        assert lost in result.output

    def test_the_command_for_lr_survives_spaces_in_names(self, tree: Path, tmp_path: Path) -> None:
        result = run(tree, "--output", tmp_path / "my out", "--test-groups", 1)
        command = shlex.split(result.output.splitlines()[-1])
        assert command[:3] == ["hggt-models", "degrade", "--input"]
        assert Path(command[3]) == tmp_path / "my out/Test/GT/Test-1/images/original"
        assert Path(command[3]).is_dir()


class TestRefusals:
    def refused(self, message: str, *arguments: object) -> None:
        """One line, exit 1."""
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert re.search(message, result.stderr), result.stderr
        assert result.stderr.startswith("Error: ")
        assert len(result.stderr.splitlines()) == 1

    def test_too_few_groups_leave_nothing_behind(self, tree: Path, tmp_path: Path) -> None:
        self.refused("only 5 of 9 groups can be in the test set", tree, "--output", tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["T"]

    def test_a_filled_output_is_left_alone(self, tree: Path, tmp_path: Path) -> None:
        write_bytes(tmp_path / "out/thesis.txt", b"x")
        self.refused("is not empty", tree, "--output", tmp_path / "out", "--test-groups", 1)
        assert contents(tmp_path / "out") == {"thesis.txt": b"x"}

    def test_an_output_in_the_tree(self, tree: Path) -> None:
        before = contents(tree)
        self.refused("is inside the tree", tree, "--output", tree / "images/out", "--test-groups", 1)
        assert contents(tree) == before

    def test_a_picture_that_is_missing(self, tree: Path, tmp_path: Path) -> None:
        (tree / "images/0-9/02/c-0-0_02.png").unlink()
        message = r"1 picture missing: images/0-9/02/c-0-0_02\.png; run `hggt-data validate`"
        self.refused(message, tree, "--output", tmp_path / "out", "--test-groups", 1)

    def test_labels_that_cannot_be_read(self, tree: Path, tmp_path: Path) -> None:
        write_bytes(tree / "labels/0-9/B/c-0-0.json", b"{")
        self.refused("c-0-0.json: broken JSON", tree, "--output", tmp_path / "out", "--test-groups", 1)

    def test_a_dataset(self, real_dataset: Path, tmp_path: Path) -> None:
        self.refused("is a built dataset; expected a tree", real_dataset, "--output", tmp_path / "out")

    def test_a_number_below_its_minimum_exits_2(self, tree: Path, tmp_path: Path) -> None:
        for option in (["--test-groups", 0], ["--min-positives", -1]):
            assert run(tree, "--output", tmp_path / "out", *option).exit_code == 2

    def test_a_full_disk_leaves_nothing_behind(self, tree: Path, tmp_path: Path, full_disk: FullDisk) -> None:
        with full_disk(0):
            self.refused("No space left on device", tree, "--output", tmp_path / "out", "--test-groups", 1)
        assert [path.name for path in tmp_path.iterdir()] == ["T"]

    def test_leftovers_of_a_killed_run_are_removed(self, tree: Path, tmp_path: Path) -> None:
        write_bytes(tmp_path / ".out.new/Train/images/0-9/01/old.png", b"x")
        split_tree(tree, tmp_path / "out", SplitSettings(3, 2))
        assert "old.png" not in {path.name for path in (tmp_path / "out").rglob("*")}
        assert validate_tree(tmp_path / "out/Train", workers=1).problems == ()


def test_lr_of_the_tree_is_not_copied(tmp_path: Path) -> None:
    tree = write_labelled(tmp_path / "T", numbered(POSITIVES), lr=True)
    result = split_tree(tree, tmp_path / "out", replace(SplitSettings(), test_groups=3))
    assert "The tree's LR images were not copied." in result.describe()
    assert not list((tmp_path / "out").rglob("*lr*"))


def test_a_build_refuses_trees_that_share_source_pictures(tree: Path, tmp_path: Path) -> None:
    split_tree(tree, tmp_path / "out", SplitSettings(3, 2))
    settings = BuildSettings(trees=(tree,), test_tree=tmp_path / "out/Test", output=tmp_path / "hggt", workers=1)
    with pytest.raises(TreeError, match="train and test share 2 source pictures"):
        build_dataset(settings)
