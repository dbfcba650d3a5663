"""Own data: tables of votes and pictures, from the check to a dataset and scores."""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import load_dataset

from hggt_data.cli.main import main
from hggt_data.counting import count_labels
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import SettingsError, TreeError
from hggt_data.exports.pairs import PairSettings, export_pairs
from hggt_data.exports.source import open_source
from hggt_data.exports.votes import export_votes
from hggt_data.groups import GroupSource
from hggt_data.loading import open_groups, open_splits
from hggt_data.schema import ChoiceVote, Label, PairVote, Score
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.split import SplitSettings, split_tree
from hggt_data.tree.table_options import TableOptions
from hggt_data.tree.validate import validate_tree
from hggt_eval.cli import main as evaluate
from tests.hggt_data.diffiqa_tree import write_diffiqa
from tests.hggt_data.sriqa_tree import write_sriqa_tree
from tests.hggt_data.table_tree import FORMS, copy_tables, write_pictures
from tests.hggt_data.trees import zip_folder

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
WORDS = TableOptions(label_words={"better": P, "same": S, "worse": N})
LABELLED = {"cat-0-16": ("original", "esrgan", "swinir"), "dog": ("original", "esrgan")}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_pictures(copy_tables("labels", tmp_path / "tree"), LABELLED)


def write_votes(root: Path, *lines: str) -> Path:
    (root / "votes.csv").write_text("\n".join([*lines, ""]))
    return root


def found(root: Path, table: TableOptions = WORDS) -> list[tuple[str, str, str, str]]:
    problems = validate_tree(root, workers=1, table=table).problems
    return [(problem.kind, problem.severity, problem.path, problem.message) for problem in problems]


class TestLabels:
    @pytest.mark.parametrize("form", FORMS)
    def test_pictures_may_be_named_in_three_ways(self, tmp_path: Path, form: str) -> None:
        groups = {group: (*versions, "lr") for group, versions in LABELLED.items()}
        write_pictures(copy_tables("labels", tmp_path), groups, form)
        report = validate_tree(tmp_path, workers=1, table=WORDS)
        assert report.problems == ()
        assert (
            report.describe() == "2 groups (layout: table, candidates esrgan, swinir, slots none): 0 errors, 0 warnings"
        )
        cat, dog = open_groups(tmp_path, table=WORDS)
        assert [(group.id, group.image_name, group.top, group.left) for group in (cat, dog)] == [
            ("cat-0-16", "cat", 0, 16),
            ("dog", "dog", None, None),
        ]
        assert cat.read("lr").shape == (4, 4, 3)
        assert [dog.has_picture(name) for name in ("original", "esrgan", "swinir")] == [True, True, False]

    def test_the_votes_of_one_annotator_on_a_group_are_one_annotation(self, tree: Path) -> None:
        cat, dog = open_groups(tree, table=WORDS)
        assert [(one.slot, one.annotator, one.labels, one.kind) for one in cat.annotations] == [
            ("A", "ann", (P, N), "vote"),
            ("B", "bob", (P, S), "vote"),
            ("C", None, (N, None), "vote"),
            ("D", None, (N, None), "vote"),
            ("E", None, (P, None), "vote"),
            ("F", "judge-v1", (None, P), "vote"),
            ("G", "carl", (N, None), "gold"),
        ]
        first = cat.annotations[0]
        assert (first.start, first.end) == (datetime(2026, 3, 1, 10), datetime(2026, 3, 1, 10, 0, 11))
        assert (first.seconds, cat.annotations[5].annotator_kind) == (10.5, "model")
        assert (cat.consensus, cat.agreement, cat.num_votes) == ((P, None), (3, 0), (5, 2))
        assert (dog.consensus, dog.num_votes, dog.annotations[2].kind) == ((S, None), (2, 0), "repeat")

    def test_an_annotator_is_a_person(self, tree: Path) -> None:
        statistics = count_labels(tree, table=WORDS)
        assert statistics.annotators == ("ann", "bob")
        assert statistics.by_annotator is not None

    def test_a_dataset_has_the_groups_of_the_tree(self, tree: Path, tmp_path: Path) -> None:
        manifest = build_dataset(BuildSettings([tree], tmp_path / "built", workers=1, table=WORDS)).manifest
        assert (manifest.settings["layout"], manifest.settings["consensus"]) == ("table", "majority")
        assert {file.path for file in manifest.inputs} == {"train-0/votes.csv"}
        ours, theirs = open_groups(tree, table=WORDS), open_groups(tmp_path / "built")
        assert list(ours) == list(theirs)

    def test_another_label_builds_its_shard_again(self, tree: Path, tmp_path: Path) -> None:
        settings = BuildSettings([tree], tmp_path / "built", groups_per_shard=1, workers=1, table=WORDS)
        build_dataset(settings)
        assert build_dataset(settings).kept == 2
        text = (tree / "votes.csv").read_text()
        (tree / "votes.csv").write_text(text.replace("dog,esrgan,ann,same", "dog,esrgan,ann,better"))
        assert build_dataset(settings).kept == 1
        assert open_groups(tmp_path / "built")["dog"].consensus == (None, None)

    def test_labels_in_other_words_are_named_with_the_option(self, tree: Path, tmp_path: Path) -> None:
        [(kind, severity, path, message)] = found(tree, TableOptions())
        assert (kind, severity, path) == ("unknown-label", "error", "votes.csv")
        assert message == (
            "unknown labels: 'better' (line 2), 'worse' (line 3), 'same' (line 5); expected Positive, Similar, Negative"
        )
        with pytest.raises(TreeError, match="unknown-label"):
            build_dataset(BuildSettings([tree], tmp_path / "built", workers=1, skip_faulty=True))
        assert not (tmp_path / "built").exists()

    def test_without_an_original_there_is_no_consensus(self, tree: Path) -> None:
        (tree / "dog/original.png").unlink()
        [(kind, severity, _, message)] = found(tree)
        assert (kind, severity, message) == ("no-original", "warning", "1 group with labels but no original: dog")
        dog = open_groups(tree, table=WORDS)["dog"]
        assert (dog.consensus, dog.agreement, dog.num_votes) == ((None, None), (0, 0), (2, 0))

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["dog,esrgan,ann,same"] * 2, "line 3: the same vote as line 2"),
            (["dog,original,ann,same"], "line 2: a label for the original, with which candidates are compared"),
            (
                ["dog,esrgun,ann,same"],
                "line 2: a vote on esrgun, of which group dog has no picture; it has esrgan, original",
            ),
        ],
    )
    def test_a_row_that_cannot_be_used_is_named(self, tree: Path, lines: list[str], message: str) -> None:
        write_votes(tree, "group,candidate,annotator,label", "cat-0-16,esrgan,ann,same", *lines)
        expected = message.replace("line 3", "line 4").replace("line 2", "line 3")
        assert [line[3] for line in found(tree) if line[1] == "error" and line[0] != "no-votes"] == [expected]

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("count", "-1", "count is '-1'; expected a whole number of 1 or more"),
            ("count", "2", "count is 2; expected 1, as the annotator is one"),
            ("annotator_kind", "bot", "annotator_kind is 'bot'; expected person, model"),
            ("kind", "test", "kind is 'test'; expected vote, gold, repeat, practice"),
            ("seconds", "nan", "seconds is 'nan'; expected a number of 0 or more"),
            ("start", "noon", "start is 'noon'; expected a local time such as 2022-08-05T17:01:12"),
            ("end", "2026-03-01T10:00:00Z", "end is '2026-03-01T10:00:00Z'; expected a local time"),
        ],
    )
    def test_a_wrong_value_is_named(self, tree: Path, column: str, value: str, message: str) -> None:
        write_votes(tree, f"group,candidate,annotator,label,{column}", f"dog,esrgan,ann,same,{value}")
        [error] = [line[3] for line in found(tree) if line[1] == "error" and line[0] != "no-votes"]
        assert error.startswith(f"line 2: {message}")

    def test_two_annotators_in_a_slot_of_a_group_are_refused(self, tree: Path) -> None:
        lines = ("dog,esrgan,ann,same,A", "dog,esrgan,bob,same,A")
        write_votes(tree, "group,candidate,annotator,label,slot", *lines)
        [error] = [line[3] for line in found(tree) if line[1] == "error" and line[0] != "no-votes"]
        assert error == "line 3: slot A of the group has annotator ann and bob; expected one of them"


class TestTables:
    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ("group,candidate,label,score", "mixes tables of labels and scores; expected one kind of vote"),
            ("group,picture,vote", "has the columns group, picture, vote; expected those of one kind of vote: labels"),
            ("group,candidate,label,anotator", "unknown column 'anotator', did you mean 'annotator'?"),
            ("candidate,score", "is a table of scores: column group is missing"),
            ("group,first,second", "column preferred is missing (or preferred_share and votes, for totals)"),
            ("group;candidate;label", "its columns are separated by semicolons; save it as CSV with commas"),
            ("group,candidate,label\na,b", "line 2: 2 values; expected 3"),
            ("group,candidate,label", "has no rows"),
        ],
    )
    def test_columns_of_no_kind_are_refused(self, tree: Path, header: str, message: str) -> None:
        write_votes(tree, header)
        [(kind, severity, _, text)] = found(tree)
        assert (kind, severity) == ("no-tree", "error")
        assert message in text

    def test_votes_without_pictures_and_pictures_without_votes_are_reported(self, tree: Path) -> None:
        write_votes(tree, "group,candidate,label", "cat-0-16,esrgan,same", "Dog,esrgan,same", "cow,a,same")
        assert found(tree) == [
            (
                "annotation-without-group",
                "error",
                "votes.csv",
                "2 groups without pictures: Dog; 'Dog' differs from 'dog' only in case, cow",
            ),
            ("no-votes", "error", "votes.csv", "1 group without votes: dog"),
        ]
        (tree / "groups.csv").write_text("group,image\ndog,dog\n")
        assert ("no-votes", "warning", "votes.csv", "1 group without votes: dog") in found(tree)

    def test_other_pictures_are_reported(self, tree: Path) -> None:
        for name in ("dog/copy of esrgan.png", "dog/swinir.jpg", "loose.png", "notes/cow.png"):
            (tree / name).parent.mkdir(exist_ok=True)
            (tree / name).write_bytes(b"")
        (tree / "notes/read me.txt").write_text("")
        assert [line[:3] for line in found(tree)] == [
            ("extra-file", "warning", name)
            for name in ("dog/copy of esrgan.png", "dog/swinir.jpg", "loose.png", "notes/cow.png")
        ]

    def test_tables_of_other_kinds_may_be_beside_it(self, tree: Path, tmp_path: Path) -> None:
        (tree / "scores.csv").write_text("group,candidate,score\ndog,esrgan,3.5\n")
        build_dataset(BuildSettings([tree], tmp_path / "built", workers=1, table=WORDS))
        dog = open_groups(tmp_path / "built")["dog"]
        assert (dog.scores, len(dog.annotations)) == ((Score("esrgan", 3.5),), 3)

    def test_a_folder_of_two_layouts_is_refused(self, tree: Path) -> None:
        (tree / "images/original").mkdir(parents=True)
        (tree / "images/01").mkdir()
        (tree / "labels/A").mkdir(parents=True)
        (tree / "images/original/a-0-0.png").write_bytes(b"")
        (tree / "labels/A/a-0-0.json").write_text("{}")
        with pytest.raises(TreeError, match="has the layouts hggt and table"):
            list_tree(tree)


class TestOptions:
    def test_the_table_and_the_pictures_may_be_elsewhere(self, tree: Path, tmp_path: Path) -> None:
        home, votes = tmp_path / "home", tmp_path / "elsewhere/my votes.csv"
        home.mkdir()
        votes.parent.mkdir()
        (tree / "votes.csv").rename(votes)
        (tree / "dog/esrgan.png").unlink()
        table = TableOptions(votes, tree, WORDS.label_words)
        assert {line[:3] for line in found(home, table)} == {("vote-without-picture", "error", "votes/my votes.csv")}
        write_pictures(tree, {"dog": ("esrgan", "extra/x")})
        assert [line[2] for line in found(home, table)] == ["pictures/dog/extra/x.png"]
        result = build_dataset(BuildSettings([home], tmp_path / "built", workers=1, table=table))
        assert [problem.path for problem in result.problems] == [str(tree / "dog/extra/x.png")]
        groups = open_groups(home, table=table)
        assert list(groups) == list(open_groups(tmp_path / "built"))
        assert (home / (groups.find_file(0, "esrgan") or "")).read_bytes() == groups[0].read_bytes("esrgan")

    def test_a_regular_expression_names_the_source_picture(self, tree: Path) -> None:
        table = TableOptions(None, None, WORDS.label_words, r"(?P<image>\w)\w+(-(?P<top>\d+)-(?P<left>\d+))?")
        groups = open_groups(tree, table=table)
        assert [(group.image_name, group.top, group.left) for group in groups] == [("c", 0, 16), ("d", None, None)]
        with pytest.raises(TreeError, match="`source_pattern` does not fit 1 group: cat-0-16"):
            open_groups(tree, table=TableOptions(source_pattern="(?P<image>d.*)"))

    @pytest.mark.parametrize(
        ("pattern", "message"), [("(", "missing \\)"), ("(.*)", "expected a group \\(\\?P<image>")]
    )
    def test_a_faulty_expression_is_refused(self, pattern: str, message: str) -> None:
        with pytest.raises(SettingsError, match=message):
            TableOptions(source_pattern=pattern)

    def test_other_layouts_refuse_them(self, fixtures: Path) -> None:
        with pytest.raises(TreeError, match="has the layout hggt; `votes`, `pictures`, `label_words` and"):
            open_groups(fixtures / "Train", table=WORDS)

    def test_commands_take_them(self, tree: Path, tmp_path: Path) -> None:
        words = ["--labels", "better=Positive,same=similar,worse=Negative"]
        run = CliRunner().invoke
        assert run(main, ["validate", str(tree), "--workers", "1", *words]).exit_code == 0
        assert run(main, ["stats", str(tree), *words]).exit_code == 0
        result = run(main, ["validate", str(tree), "--labels", "better=good"])
        assert (result.exit_code, "unknown label 'good'" in result.output) == (2, True)


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[4] / "docs/data.md").read_text("utf-8")
    section = text.partition("## Your own data")[2].partition("\n## ")[0]
    names, table, commands = re.findall(r"^```\w*\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    pictures = [Path(name) for name in names.split() if name.endswith(".png")]
    write_pictures(tmp_path / "mydata", {path.parent.name: [other.stem for other in pictures] for path in pictures})
    (tmp_path / "mydata/votes.csv").write_text(table)
    for command in commands.replace("hggt-build-dataset", "hggt-data build").splitlines():
        result = CliRunner().invoke(main, command.split()[1:])
        assert result.exit_code == 0, result.output
    assert open_groups("hggt")["cat"].consensus == (P, None)


# Each table of `tests/data/tables`: the versions of its groups, how their pictures are named, and what scoring says.
NO_LABELS = "The data has no labels: restored images are compared with the originals, not with positives."
SHAPES: dict[str, tuple[dict[str, tuple[str, ...]], str, str]] = {
    "bapps": (
        dict.fromkeys(("cnn-000000", "cnn-000001", "traditional-000000"), ("original", "p0", "p1")),
        "VERSION/GROUP.png",
        NO_LABELS,
    ),
    "kadid": ({"I01": ("01_01", "01_02"), "I02": ("01_01", "01_02")}, "GROUP/VERSION.png", NO_LABELS),
    "pipal": (dict.fromkeys(("A0001", "A0002"), ("original", "00_00", "00_01")), "HGGT", NO_LABELS),
    "pickapic": (dict.fromkeys(("p1", "p2"), ("sdxl", "dreamlike")), "GROUP/VERSION.png", "nothing to score"),
    "best-of": ({"s1": ("original", "a", "b"), "s2": ("original", "a")}, "GROUP/VERSION.png", NO_LABELS),
}


def write_shape(name: str, root: Path) -> Path:
    groups, form, _ = SHAPES[name]
    write_pictures(copy_tables(name, root), groups, form, (64, 64))
    if name == "kadid":  # its originals are in a folder that groups.csv names
        write_pictures(root, dict.fromkeys(groups, ("pristine",)), "VERSION/GROUP.png", (64, 64))
    return root


@pytest.mark.parametrize("name", SHAPES)
def test_every_kind_of_table_goes_from_the_check_to_scores(tmp_path: Path, name: str) -> None:
    root, built, restored = write_shape(name, tmp_path / "tree"), tmp_path / "built", tmp_path / "restored"
    run = CliRunner().invoke
    assert run(main, ["validate", str(root), "--workers", "1", "--strict"]).exit_code == 0
    split = open_splits(root).popitem()[0]
    assert run(main, ["stats", str(root), "--split", split]).exit_code == 0
    assert run(main, ["build", "--tree", str(root), "--output", str(built), "--workers", "1"]).exit_code == 0
    rows = load_dataset(str(built), split=split, cache_dir=str(tmp_path / "cache"))
    groups = open_groups(built, split)
    assert rows["id"] == groups.ids
    assert list(groups) == list(open_groups(root, split))
    restored.mkdir()
    for group in groups:
        (restored / f"{group.id}.png").write_bytes(group.read_bytes(group.candidates[0]))
    for source in (root, built):
        arguments = ["--restored", str(restored), "--dataset", str(source), "--split", split, "--metrics", "psnr"]
        result = run(evaluate, [*arguments, "--output", str(tmp_path / f"scores-{source.name}")])
        assert (result.exit_code, SHAPES[name][2] in result.output) == (int(name == "pickapic"), True), result.output


class TestOtherKinds:
    def test_totals_of_pairs_have_shares(self, tmp_path: Path) -> None:
        groups = open_groups(write_shape("bapps", tmp_path))
        assert [group.pairs for group in groups] == [
            (PairVote("p0", "p1", share=share, count=count),) for share, count in ((0.2, 5), (0.5, 2), (1.0, 5))
        ]

    def test_votes_on_pairs_have_annotators_and_ties(self, tmp_path: Path) -> None:
        [group] = open_groups(write_shape("pickapic", tmp_path), "train")
        assert group.pairs == (
            PairVote("sdxl", "dreamlike", "first", annotator="7"),
            PairVote("dreamlike", "sdxl", "tie", annotator="9"),
        )
        assert (group.annotations, group.has_picture("original")) == ((), False)

    def test_choices_have_what_was_shown_in_order(self, tmp_path: Path) -> None:
        first, second = open_groups(write_shape("best-of", tmp_path))
        assert first.choices == (
            ChoiceVote(("a", "b", "original"), "b", annotator="ann", slot="1", seconds=2.5),
            ChoiceVote(("b", "original", "a"), "original", annotator="bob", slot="2"),
        )
        assert not second.has_picture("b")

    def test_scores_may_be_means(self, tmp_path: Path) -> None:
        first, _ = open_groups(write_shape("kadid", tmp_path))
        assert first.scores == (Score("01_01", 4.57, 0.496, 30), Score("01_02", 4.33, 0.869, 30))
        assert first.read("original").shape == (64, 64, 3)
        assert first.candidates == ("01_01", "01_02")

    def test_a_caption_becomes_a_column_and_that_of_pickapic(self, tmp_path: Path) -> None:
        root = write_shape("pickapic", tmp_path / "tree")
        build_dataset(BuildSettings([root], tmp_path / "built", workers=1))
        assert [group.caption for group in open_groups(tmp_path / "built", "test")] == ['a "dog"']
        assert "| `caption` | what the pictures show" in (tmp_path / "built/README.md").read_text()
        labelled = write_pictures(copy_tables("labels", tmp_path / "labelled"), LABELLED)
        (labelled / "groups.csv").write_text("group,caption\ncat-0-16,a cat\n")
        pairs = PairSettings(columns="pickapic")
        export_pairs(open_source(labelled, table=WORDS), tmp_path / "pairs", pairs)
        rows = load_dataset(str(tmp_path / "pairs"), split="train", cache_dir=str(tmp_path / "cache"))
        assert set(rows["caption"]) == {"a cat"}

    @pytest.mark.parametrize(
        ("name", "columns", "row", "message"),
        [
            ("pickapic", "group,first,second,preferred", "p1,sdxl,sdxl,first", "compares sdxl with itself"),
            (
                "pickapic",
                "group,first,second,preferred",
                "p1,sdxl,dreamlike,left",
                "preferred is 'left'; expected first",
            ),
            (
                "pickapic",
                "group,first,second,preferred",
                "p1,sdxl,original,tie",
                "a vote on original, of which",
            ),
            ("bapps", "group,first,second,preferred_share,votes", "cnn-000000,p0,p1,1.5,5", "a number from 0 to 1"),
            ("bapps", "group,first,second,preferred_share,votes", "cnn-000000,p0,p1,0.5,", "needs the number of votes"),
            (
                "bapps",
                "group,first,second,preferred_share,votes",
                "cnn-000000,p0,p1,,5",
                "expected either preferred",
            ),
            ("best-of", "group,shown,preferred", "s1,a;b,original", "preferred is 'original', which was not shown"),
            ("best-of", "group,shown,preferred", "s1,a;b;a,b", "compares a with itself"),
            ("best-of", "group,shown,preferred", "s1,a,a", "expected two versions or more, joined by ;"),
            ("pipal", "group,candidate,score", "A0001,00_00,inf", "score is 'inf'; expected a number"),
            ("pipal", "group,candidate,score", "A0001,00_00,", "no score"),
            ("pipal", "group,candidate,score,std", "A0001,00_00,1,-2", "std is '-2'; expected a number of 0 or more"),
            ("pipal", "group,candidate,score,votes", "A0001,00_00,1,0", "votes is '0'; expected a whole number"),
        ],
    )
    def test_a_row_that_cannot_be_used_is_named(
        self, tmp_path: Path, name: str, columns: str, row: str, message: str
    ) -> None:
        write_votes(write_shape(name, tmp_path), columns, row)
        [(kind, _, path, error)] = [
            line for line in found(tmp_path, TableOptions()) if line[1] == "error" and line[0] != "no-votes"
        ]
        assert (path, error[:8]) == ("votes.csv", "line 2: ")
        assert message in error
        assert kind == ("vote-without-picture" if "of which" in message else "bad-vote")

    @pytest.mark.parametrize(
        ("name", "columns", "rows", "is_same"),
        [
            ("pickapic", "group,first,second,annotator,preferred", ["p1,sdxl,dreamlike,7,first"] * 2, True),
            ("pickapic", "group,first,second,annotator,preferred", ["p1,sdxl,dreamlike,,first"] * 2, False),
            ("bapps", "group,first,second,preferred_share,votes", ["cnn-000000,p0,p1,0.5,2"] * 2, True),
            ("best-of", "group,shown,preferred,start", ["s1,a;b,a,2026-01-01T10:00:00"] * 2, True),
            ("pipal", "group,candidate,score,question", ["A0001,00_00,1,sharp?", "A0001,00_00,1,nice?"], False),
        ],
    )
    def test_the_same_vote_twice_is_an_error_if_it_is_known_to_be_the_same(
        self, tmp_path: Path, name: str, columns: str, rows: list[str], is_same: bool
    ) -> None:
        write_votes(write_shape(name, tmp_path), columns, *rows)
        errors = [line[0] for line in found(tmp_path, TableOptions()) if line[1] == "error" and line[0] != "no-votes"]
        assert errors == ["duplicate-vote"] * is_same


class TestGroupTable:
    def test_it_overrules_names_and_gives_splits(self, tree: Path, tmp_path: Path) -> None:
        (tree / "groups.csv").write_text("group,image,split\ncat-0-16,felix,train\ndog,rex,test\n")
        build_dataset(BuildSettings([tree], tmp_path / "built", workers=1, table=WORDS))
        splits = open_splits(tmp_path / "built")
        assert [(name, group.image_name) for name, groups in splits.items() for group in groups] == [
            ("train", "felix"),
            ("test", "rex"),
        ]
        (tree / "groups.csv").write_text("group,image,split\ncat-0-16,rex,train\ndog,rex,test\n")
        with pytest.raises(TreeError, match="share 1 source picture"):
            build_dataset(BuildSettings([tree], tmp_path / "built", workers=1, table=WORDS))

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ("group,picture", "unknown column 'picture'"),
            ("image\nx", "column group is missing"),
            ("group,split\ndog,val", "group dog has the split 'val'; expected train, validation, test"),
            ("group,image\ndog,a\ndog,b", "group dog has two lines; expected one"),
            ("group,image\ndog,a/b", "group dog: image: 'a/b' is not a group id"),
            ("group,original\ndog,../dog.png", "'../dog.png'; expected a path in the folder of pictures"),
            ("group,lr\ndog,/etc/dog.png", "'/etc/dog.png'; expected a path in the folder of pictures"),
            ("group,original\ndog,dog/gone.png", "group dog has the original dog/gone.png, which does not exist"),
        ],
    )
    def test_a_faulty_one_stops_a_build(self, tree: Path, tmp_path: Path, lines: str, message: str) -> None:
        (tree / "groups.csv").write_text(f"{lines}\n")
        [(kind, severity, path, text)] = found(tree)
        assert (kind, severity, path) == ("bad-groups", "error", "groups.csv")
        assert message in text
        with pytest.raises(TreeError, match="bad-groups"):
            build_dataset(BuildSettings([tree], tmp_path / "built", workers=1, table=WORDS, skip_faulty=True))

    def test_a_line_of_no_group_is_a_warning(self, tree: Path) -> None:
        (tree / "groups.csv").write_text("group,split\ncow,test\n")
        assert found(tree) == [
            ("unknown-group", "warning", "groups.csv", "1 line for groups that do not exist: cow"),
        ]


def test_both_sides_of_a_split_have_their_rows(tree: Path, tmp_path: Path) -> None:
    (tree / "groups.csv").write_text("group,image\ncat-0-16,felix\ndog,rex\n")
    split_tree(tree, tmp_path / "out", SplitSettings(test_groups=1, min_positives=1), WORDS)
    sides = [open_groups(tmp_path / "out" / name, table=WORDS) for name in ("Train", "Test")]
    assert [(side.split, list(side.ids), list(side.image_names)) for side in sides] == [
        ("train", ["dog"], ["rex"]),
        ("test", ["cat-0-16"], ["felix"]),
    ]
    assert [side.candidates for side in sides] == [("esrgan",), ("esrgan", "swinir")]
    settings = BuildSettings(
        [tmp_path / "out/Train"], tmp_path / "built", test_tree=tmp_path / "out/Test", workers=1, table=WORDS
    )
    build_dataset(settings)
    groups = [group for split in ("test", "train") for group in open_groups(tmp_path / "built", split)]
    assert groups == list(open_groups(tree, table=WORDS))


def test_it_is_read_from_a_zip_file(tree: Path, tmp_path: Path) -> None:
    place = zip_folder(tree, tmp_path / "own.zip", "own")
    assert list(open_groups(place, table=WORDS)) == list(open_groups(tree, table=WORDS))


def test_splits_of_a_table_in_a_zip_file_can_be_chosen(tree: Path, tmp_path: Path) -> None:
    (tree / "groups.csv").write_text("group,split\ncat-0-16,train\ndog,test\n")
    place = zip_folder(tree, tmp_path / "own.zip", "own")
    for options in (
        replace(WORDS, votes=place / "own/votes.csv", pictures=tree),
        replace(WORDS, votes=place / "own/votes.csv"),
        replace(WORDS, pictures=tree),
    ):
        source = tree if options.pictures is None else place
        assert list(open_groups(source, "test", table=options).ids) == ["dog"], options


class TestExportedVotes:
    """`export votes` and the same folders of pictures are the same data."""

    def same(self, source: Path, pictures: Path, tmp_path: Path, split: str | None = None) -> GroupSource:
        export_votes(source, tmp_path / "votes")
        table = TableOptions(pictures=pictures)
        result = build_dataset(BuildSettings([tmp_path / "votes"], tmp_path / "built", workers=1, table=table))
        assert [problem.kind for problem in result.problems if problem.severity == "error"] == []
        ours = open_groups(source, split)
        theirs = open_groups(tmp_path / "built", ours.split)
        assert list(ours) == list(theirs)
        assert (ours.protocol, ours.consensus_rule) == (theirs.protocol, theirs.consensus_rule)
        return theirs

    def test_of_hggt(self, fixtures: Path, tmp_path: Path) -> None:
        self.same(fixtures / "Train", fixtures / "Train/images", tmp_path)

    def test_of_diffiqa(self, tmp_path: Path) -> None:
        source = write_diffiqa(tmp_path / "DiffIQA")
        (source / "annotators.csv").write_text("group,slot,pseudonym\n000006x0y770,B,owl\n")
        groups = self.same(source, source / "images", tmp_path)
        assert (groups["000006x0y770"].top, groups["000006x0y770"].left) == (0, 770)

    def test_of_sriqa(self, tmp_path: Path) -> None:
        source = write_sriqa_tree(tmp_path / "SRIQA-Bench")
        self.same(source, source, tmp_path, "test")

    def test_of_pairs(self, tmp_path: Path) -> None:
        source = write_shape("pickapic", tmp_path / "tree")
        self.same(source, source, tmp_path, "test")
