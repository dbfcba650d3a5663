"""DiffIQA's layout: from the check of a tree to a dataset and scores."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from datasets import load_dataset

from hggt_data.cli.main import main
from hggt_data.counting import count_labels
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import SettingsError, TreeError
from hggt_data.exports.preferences import preference_pairs
from hggt_data.loading import open_groups, open_splits, split_or_default
from hggt_data.schema import Label, Protocol
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.listing import ListOptions
from hggt_data.tree.split import SplitSettings, split_tree
from hggt_data.tree.validate import validate_tree
from hggt_eval.cli import main as evaluate
from tests.hggt_data.diffiqa_tree import CANDIDATES, GROUPS, VOTES, write_diffiqa, write_splits
from tests.hggt_data.trees import write_tree

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE


def found(root: Path) -> list[tuple[str, str, str]]:
    return [(problem.kind, problem.severity, problem.path) for problem in validate_tree(root, workers=1).problems]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_diffiqa(tmp_path / "DiffIQA")


@pytest.mark.parametrize("original", ["Original", "original", "ORIGINAL"])
def test_it_is_recognised_with_the_original_in_any_case(tmp_path: Path, original: str) -> None:
    report = validate_tree(write_diffiqa(tmp_path, original=original), workers=1)
    assert report.problems == ()
    assert report.describe() == "3 groups (layout: diffiqa, candidates 01, 02, 03, slots A, B, C): 0 errors, 0 warnings"
    assert report.to_json()["layout"] == "diffiqa"


def test_a_group_has_its_place_and_a_label_only_with_a_majority(tree: Path) -> None:
    groups = open_groups(tree)
    assert (groups.layout, groups.consensus_rule, groups.candidates) == ("diffiqa", "majority", CANDIDATES)
    assert groups.protocol == Protocol(blind=True, versions_at_once=2)
    assert list(groups.ids) == ["000006x0y770", "000006x40y8", "000009x5y16"]
    group = groups["000006x0y770"]
    assert (group.image_name, group.top, group.left) == ("000006", 0, 770)
    assert (group.consensus, group.agreement, group.num_votes) == ((P, S, None), (2, 3, 0), (3, 3, 3))
    first = group.annotations[0]
    assert (first.slot, first.labels, first.annotator) == ("A", (P, S, P), None)
    assert (first.start, first.end) == (datetime(2024, 5, 8, 19, 34, 49), datetime(2024, 5, 8, 19, 34, 50))
    assert first.seconds == pytest.approx(3 * 1.5)
    assert group.read("original").shape == (16, 16, 3)


def test_a_missing_vote_is_none_and_counted_in_a_warning(tmp_path: Path) -> None:
    write_diffiqa(tmp_path, {GROUPS[0]: VOTES | {"02": (S, None, S)}, GROUPS[1]: VOTES})
    (problem,) = validate_tree(tmp_path, workers=1).problems
    assert (problem.kind, problem.severity, problem.path) == ("missing-votes", "warning", "labels/B/02")
    assert problem.message.startswith(f"1 vote of 2 missing: {GROUPS[0]};")
    group = open_groups(tmp_path)[0]
    assert group.annotations[1].labels == (P, None, S)
    assert (group.consensus[1], group.num_votes) == (S, (3, 2, 3))


def test_votes_without_pictures_and_pictures_without_votes_are_errors(tree: Path) -> None:
    for slot in "ABC":
        for name in CANDIDATES:
            (tree / f"labels/{slot}/{name}/{GROUPS[0]}_{name}.json").unlink()
    for name in ("Original", *CANDIDATES):
        ending = "" if name == "Original" else f"_{name}"
        (tree / f"images/{name}/{GROUPS[1]}{ending}.png").unlink()
    errors = [(kind, path) for kind, severity, path in found(tree) if severity == "error"]
    votes = [f"labels/{slot}/{name}/{GROUPS[1]}_{name}.json" for slot in "ABC" for name in CANDIDATES]
    assert errors == [
        *(("annotation-without-group", path) for path in votes),
        ("missing-annotation", f"images/Original/{GROUPS[0]}.png"),
    ]


def test_a_missing_candidate_is_an_error(tree: Path) -> None:
    (tree / f"images/02/{GROUPS[0]}_02.png").unlink()
    assert found(tree) == [("missing-image", "error", f"images/02/{GROUPS[0]}_02.png")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"Picture_AI": {"Label": "Better"}},
            "'Picture_AI' has label 'Better'; expected one of",
        ),
        ({"Picture_AI": {"Label": None}}, "'Picture_AI' (02) has no label"),
        ({"Picture_AI": {"Name": "x_02.png"}}, f"'Picture_AI' has Name 'x_02.png'; expected '{GROUPS[0]}_02.png'"),
        ({"Picture_AI": {"File": "01"}}, "'Picture_AI' has File '01'; expected '02'"),
        ({"picture_Original": {"Label": "Positive"}}, "'picture_Original' has label 'Positive'; expected null"),
        ({"picture_Original": {"Name": "y.png"}}, f"'picture_Original' has Name 'y.png'; expected '{GROUPS[0]}.png'"),
        ({"Picture_1": {}}, "unknown key 'Picture_1'; expected Picture_AI and picture_Original"),
    ],
)
def test_a_vote_that_says_something_else_is_named(
    tree: Path, change: dict[str, dict[str, object]], message: str
) -> None:
    path = tree / f"labels/B/02/{GROUPS[0]}_02.json"
    content = json.loads(path.read_bytes())
    for key, values in change.items():
        content[key] = content.get(key, {}) | values
    path.write_text(json.dumps(content))
    (problem,) = validate_tree(tree, workers=1).problems
    assert (problem.severity, problem.path) == ("error", f"labels/B/02/{GROUPS[0]}_02.json")
    assert problem.message.startswith(message)


def test_votes_of_two_layouts_are_refused(tree: Path) -> None:
    shutil.copy(tree / f"labels/A/01/{GROUPS[0]}_01.json", tree / f"labels/B/{GROUPS[0]}.json")
    with pytest.raises(TreeError, match="has the layouts hggt and diffiqa; expected one"):
        list_tree(tree)


def test_the_layout_that_comes_nearest_is_named(tree: Path) -> None:
    shutil.rmtree(tree / "labels")
    with pytest.raises(TreeError) as error:
        list_tree(tree)
    assert "The layout hggt needs labels/ beside images/." in str(error.value)
    assert "The layout diffiqa needs one JSON per candidate in labels/A/01/, labels/A/02/, ..." in str(error.value)


def test_low_resolution_images_are_refused(tree: Path) -> None:
    with pytest.raises(TreeError, match="has the layout diffiqa, which has no low-resolution images; leave out `lr`"):
        list_tree(tree, ListOptions(lr=tree))


class TestSplits:
    def test_the_folder_above_has_three(self, tmp_path: Path) -> None:
        root = write_splits(tmp_path)
        assert validate_tree(root, workers=1, expect_groups=6).problems == ()
        assert {name: len(groups) for name, groups in open_splits(root).items()} == {
            "train": 3,
            "validation": 1,
            "test": 2,
        }
        with pytest.raises(SettingsError, match="has the splits train, validation, test; choose one with `split`"):
            open_groups(root)
        assert list(open_groups(root, "validation").ids) == ["000006x80y8"]
        assert open_groups(root / "Test").split == "test"
        assert split_or_default(root, None, "test") == "test"
        assert split_or_default(root / "Train", None, "test") is None

    def test_a_group_in_two_of_them_is_an_error(self, tmp_path: Path) -> None:
        root = write_splits(tmp_path)
        write_diffiqa(root / "Test", {GROUPS[0]: VOTES})
        assert ("duplicate-group", "error", "Train/images") in found(root)

    @pytest.mark.parametrize("folders", [("",), ("Train", "Validation", "Test")])
    def test_they_become_splits_of_a_dataset_with_a_warning_of_shared_source_pictures(
        self, tmp_path: Path, folders: tuple[str, ...]
    ) -> None:
        root = write_splits(tmp_path / "DiffIQA")
        result = build_dataset(BuildSettings([root / name for name in folders], tmp_path / "built", workers=1))
        assert result.manifest.splits == {"train": 3, "validation": 1, "test": 2}
        (problem,) = [problem for problem in result.problems if problem.kind == "shared-pictures"]
        assert problem.message == "train, validation and test share 2 source pictures: 000006, 000009"
        assert "share 2 source pictures: 000006, 000009.** Scores" in (tmp_path / "built/README.md").read_text("utf-8")
        rows = load_dataset(str(tmp_path / "built"), split="validation", cache_dir=str(tmp_path / "cache"))
        assert rows["id"] == ["000006x80y8"]
        assert (rows["top"], rows["left"], rows["consensus"]) == ([80], [8], [[0, 1, None]])

    def test_equal_pictures_in_two_splits_stay_an_error(self, tmp_path: Path) -> None:
        root = write_splits(tmp_path / "DiffIQA")
        shutil.copy(root / f"Train/images/01/{GROUPS[0]}_01.png", root / "Test/images/02/000012x1y2_02.png")
        with pytest.raises(TreeError, match="share 1 equal picture"):
            build_dataset(BuildSettings([root], tmp_path / "built", workers=1))


def test_a_dataset_has_the_groups_of_the_tree_and_says_the_layout_and_the_rule(tree: Path, tmp_path: Path) -> None:
    manifest = build_dataset(BuildSettings([tree], tmp_path / "built", workers=1)).manifest
    assert (manifest.settings["layout"], manifest.settings["consensus"]) == ("diffiqa", "majority")
    ours, theirs = open_groups(tree), open_groups(tmp_path / "built")
    assert [(group, group.read_bytes("02")) for group in ours] == [(group, group.read_bytes("02")) for group in theirs]
    assert (theirs.layout, theirs.consensus_rule) == ("diffiqa", "majority")
    assert ours.labels_sha256() == theirs.labels_sha256()


def test_trees_of_two_layouts_are_not_one_dataset(tree: Path, tmp_path: Path) -> None:
    other = write_tree(tmp_path / "Train", ["a-0-0"], candidates=CANDIDATES)
    with pytest.raises(TreeError, match=r"has the layout hggt; .* has diffiqa"):
        build_dataset(BuildSettings([tree, other], tmp_path / "built", workers=1))


def test_stats_count_labels_by_slot_and_nothing_by_person(tree: Path) -> None:
    statistics = count_labels(tree)
    assert (statistics.num_groups, statistics.slots, statistics.annotators) == (3, ("A", "B", "C"), ())
    assert statistics.by_annotator is None


def test_annotators_are_known_only_from_their_file(tree: Path) -> None:
    (tree / "annotators.csv").write_text(f"group,slot,pseudonym\n{GROUPS[0]},B,owl\n")
    names = [annotation.annotator for annotation in open_groups(tree)[0].annotations]
    assert names == [None, "owl", None]


def test_both_sides_of_a_split_have_the_layout(tree: Path, tmp_path: Path) -> None:
    split_tree(tree, tmp_path / "out", SplitSettings(test_groups=1, min_positives=1))
    train, test = open_groups(tmp_path / "out/Train"), open_groups(tmp_path / "out/Test")
    assert (train.layout, train.split, len(train)) == ("diffiqa", "train", 2)
    assert (test.split, list(test.ids)) == ("test", ["000009x5y16"])
    assert not validate_tree(tmp_path / "out/Train", workers=1).problems


def test_the_commands_go_from_the_tree_to_scores(tmp_path: Path) -> None:
    root = write_diffiqa(tmp_path / "DiffIQA", size=(64, 64))
    run = CliRunner().invoke
    assert run(main, ["validate", str(root), "--workers", "1"]).exit_code == 0
    assert run(main, ["stats", str(root)]).exit_code == 0
    built = str(tmp_path / "built")
    assert run(main, ["build", "--tree", str(root), "--output", built, "--workers", "1"]).exit_code == 0
    restored = tmp_path / "restored"
    shutil.copytree(root / "images/Original", restored)
    for source in (str(root), built):
        output = tmp_path / f"scores-{Path(source).name}"
        arguments = ["--restored", str(restored), "--dataset", source, "--split", "train", "--metrics", "psnr"]
        arguments += ["--output", str(output)]
        result = run(evaluate, arguments)
        assert result.exit_code == 0, result.output
        scores = json.loads((output / "scores.json").read_text())
        [method] = scores["methods"]
        assert [(group["id"], group["image_name"]) for group in method["groups"]] == [
            (group, group.partition("x")[0]) for group in sorted(GROUPS)
        ]
        assert list(method["groups"][0]["positives"]) == ["01"]
        assert np.isfinite(method["mean"]["psnr"])


def test_pairs_never_have_a_candidate_without_a_majority(tree: Path) -> None:
    assert {pair.rejected for group in open_groups(tree) for pair in preference_pairs(group)} == {"02", "original"}
