"""Own data: tables of votes and pictures, from the check to a dataset and scores."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from hggt_data.cli.main import main
from hggt_data.counting import count_labels
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import SettingsError, TreeError
from hggt_data.loading import open_groups
from hggt_data.schema import Label
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.table_options import TableOptions
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.table_tree import FORMS, copy_tables, write_pictures

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
            "labels in other words: 'better' (line 2), 'worse' (line 3), 'same' (line 5); expected Positive, Similar, "
            "Negative"
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
        assert [line[3] for line in found(tree) if line[1] == "error"] == [expected]

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
        [error] = [line[3] for line in found(tree) if line[1] == "error"]
        assert error.startswith(f"line 2: {message}")

    def test_two_annotators_in_a_slot_of_a_group_are_refused(self, tree: Path) -> None:
        lines = ("dog,esrgan,ann,same,A", "dog,esrgan,bob,same,A")
        write_votes(tree, "group,candidate,annotator,label,slot", *lines)
        [error] = [line[3] for line in found(tree) if line[1] == "error"]
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
            ("no-votes", "warning", "votes.csv", "1 group without votes: dog"),
        ]

    def test_other_pictures_are_reported(self, tree: Path) -> None:
        for name in ("dog/copy of esrgan.png", "dog/swinir.jpg", "loose.png", "notes/cow.png"):
            (tree / name).parent.mkdir(exist_ok=True)
            (tree / name).write_bytes(b"")
        (tree / "notes/read me.txt").write_text("")
        assert [line[:3] for line in found(tree)] == [
            ("extra-file", "warning", name)
            for name in ("dog/copy of esrgan.png", "dog/swinir.jpg", "loose.png", "notes/cow.png")
        ]

    def test_a_folder_of_two_layouts_is_refused(self, tree: Path) -> None:
        (tree / "images/original").mkdir(parents=True)
        (tree / "images/01").mkdir()
        (tree / "labels/A").mkdir(parents=True)
        (tree / "images/original/a-0-0.png").write_bytes(b"")
        (tree / "labels/A/a-0-0.json").write_text("{}")
        with pytest.raises(TreeError, match="mixes the layouts hggt and table"):
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
        assert list(open_groups(home, table=table)) == list(open_groups(tmp_path / "built"))

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
