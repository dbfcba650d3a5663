"""The commands: exit codes, one-line errors, help."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hggt_data.cli.main import build, main
from tests.hggt_data.trees import contents, edit_text, write_tree


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_build(*arguments: object) -> Result:
    return CliRunner().invoke(build, [str(argument) for argument in arguments])


def one_error(result: Result) -> str:
    """The message of a command that failed as it should: exit 1, no traceback."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert result.stderr.startswith("Error: ")
    return result.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "T", ["a-0-0", "b-0-0"], candidates=("01", "02"))


class TestValidate:
    def test_a_whole_tree_exits_0_and_says_how_much_there_is(self, tree: Path) -> None:
        result = run("validate", tree, "--workers", 1)
        assert (result.exit_code, result.stdout) == (
            0,
            "2 groups (candidates 01, 02, slots A, B, C): 0 errors, 0 warnings\n",
        )

    def test_it_runs_as_a_module_too(self, tree: Path) -> None:
        command = [sys.executable, "-m", "hggt_data", "validate", str(tree), "--workers", "1"]
        assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"2 groups")

    def test_errors_exit_1_and_are_shown_by_kind(self, tree: Path) -> None:
        for path in (tree / "images/0-9/01").iterdir():
            path.unlink()
        (tree / "images/0-9/notes.txt").touch()
        result = run("validate", tree, "--workers", 1)
        assert result.exit_code == 1
        assert "error: missing-image (2)\n" in result.stdout
        assert "warning: extra-file (1)\n" in result.stdout
        assert "images/0-9/01/a-0-0_01.png: " in result.stdout
        assert result.stdout.endswith("2 groups (candidates 01, 02, slots A, B, C): 2 errors, 1 warning\n")

    def test_warnings_exit_0_and_with_strict_1(self, tree: Path) -> None:
        (tree / "images/0-9/notes.txt").touch()
        assert run("validate", tree, "--workers", 1).exit_code == 0
        assert run("validate", tree, "--workers", 1, "--strict").exit_code == 1

    def test_strict_on_a_whole_tree_exits_0(self, tree: Path) -> None:
        assert run("validate", tree, "--workers", 1, "--strict").exit_code == 0

    def test_fast_does_not_see_damage(self, tree: Path) -> None:
        path = tree / "images/0-9/01/a-0-0_01.png"
        path.write_bytes(path.read_bytes()[:-20])
        assert run("validate", tree, "--workers", 1).exit_code == 1
        assert run("validate", tree, "--workers", 1, "--fast").exit_code == 0

    def test_the_number_of_groups_is_checked(self, tree: Path) -> None:
        assert run("validate", tree, "--workers", 1, "--expect-groups", 2).exit_code == 0
        result = run("validate", tree, "--workers", 1, "--expect-groups", 20193)
        assert result.exit_code == 1
        assert "2 groups; expected 20,193" in result.stdout

    def test_the_json_holds_all_problems(self, tree: Path, tmp_path: Path) -> None:
        (tree / "images/0-9/01/a-0-0_01.png").unlink()
        with open(os.fsencode(tree / "images/0-9/01") + b"/\xe9-0-0_01.png", "wb"):
            pass
        out = tmp_path / "new" / "report.json"
        result = run("validate", tree, "--workers", 1, "--json", out)
        assert result.exit_code == 1
        content = json.loads(out.read_text("utf-8"))
        assert content["num_groups"] == 2
        assert [(p["kind"], p["severity"]) for p in content["problems"]] == [
            ("bad-patch-id", "error"),
            ("missing-image", "error"),
        ]
        assert content["problems"][1]["path"] == "images/0-9/01/a-0-0_01.png"

    def test_the_report_is_shown_though_the_file_cannot_be_written(self, tree: Path, tmp_path: Path) -> None:
        (tree / "images/0-9/01/a-0-0_01.png").unlink()
        (tmp_path / "file").touch()
        result = run("validate", tree, "--workers", 1, "--json", tmp_path / "file/x.json")
        assert "file" in one_error(result)
        assert "error: missing-image (1)" in result.stdout

    def test_names_that_are_no_text_are_no_crash(self, tree: Path, tmp_path: Path) -> None:
        edit_text(tree / "labels/0-9/A/a-0-0.json", '"File": "01"', r'"File": "\ud800"')
        for path in ("images/0-9/01/\udcff", "\udcff"):
            (tree / path).mkdir()
        for folder in (tree, tree / "\udcff"):
            result = run("validate", folder, "--workers", 1, "--json", tmp_path / "x.json")
            assert (result.exit_code, type(result.exception)) == (1, SystemExit)
            assert json.loads((tmp_path / "x.json").read_text())["problems"]

    def test_the_page_of_a_tree_whose_name_is_no_text(self, tree: Path, tmp_path: Path) -> None:
        result = run("stats", tree.rename(tmp_path / "\udcff"), "--html", tmp_path / "x.html")
        assert result.exit_code == 0, result.output
        assert r"\udcff" in (tmp_path / "x.html").read_text()

    def test_a_folder_that_is_no_tree_exits_1_and_says_what_was_looked_for(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        result = run("validate", tmp_path / "x")
        assert result.exit_code == 1
        assert "Expected images/ and labels/" in result.stdout

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["absent"],
            ["{tree}", "--lr", "absent"],
            ["{tree}", "--workers", "0"],
            ["{tree}", "--workers", "many"],
            ["{tree}", "--expect-groups", "-1"],
            ["{tree}", "--unknown"],
            ["{tree}", "{tree}"],
        ],
    )
    def test_wrong_usage_exits_2(self, tree: Path, arguments: list[str]) -> None:
        result = run("validate", *(argument.format(tree=tree) for argument in arguments))
        assert result.exit_code == 2
        assert "Usage: " in result.stderr

    def test_lr_can_be_given(self, fixtures: Path) -> None:
        tree = fixtures / "TestLarge"
        assert run("validate", tree, "--lr", tree / "LR", "--workers", 1).exit_code == 0
        assert run("validate", tree, "--lr", tree / "LR", "--workers", 1, "--scale", 2).exit_code == 1

    def test_an_annotators_table_that_cannot_be_read_is_no_crash(self, tree: Path) -> None:
        (tree / "annotators.csv").write_bytes(b"\xff")
        result = run("validate", tree)
        assert result.exit_code == 1
        assert "annotators.csv is not UTF-8" in result.output

    def test_progress_is_shown_on_a_terminal_with_rate_and_time_left(self, tree: Path) -> None:
        reader, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 80))
        command = [str(Path(sys.executable).parent / "hggt-data"), "validate", str(tree), "--workers", "1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says so when the other end is closed
            while piece := os.read(reader, 1000):
                shown += piece
        os.close(reader)
        process.communicate()
        assert process.returncode == 0
        assert b"validating" in shown
        assert b"2/2" in shown
        assert b"group/s" in shown
        assert re.search(rb"\d\d:\d\d<", shown)


class TestBuild:
    def test_it_builds_and_says_what(self, tree: Path, tmp_path: Path) -> None:
        result = run_build("--tree", tree, "--output", tmp_path / "hggt", "--workers", 1)
        assert result.exit_code == 0, result.output
        assert "2 groups in train; 1 shard" in result.stdout
        assert "The card carries the HGGT terms: non-commercial, no redistribution." in result.stdout

    def test_both_names_of_the_command_build_the_same(self, tree: Path, tmp_path: Path) -> None:
        assert run("build", "--tree", tree, "--output", tmp_path / "a", "--workers", 1).exit_code == 0
        assert run_build("--tree", tree, "--output", tmp_path / "b", "--workers", 1).exit_code == 0
        assert contents(tmp_path / "a") == contents(tmp_path / "b")

    def test_every_option_reaches_the_build(self, tree: Path, tmp_path: Path) -> None:
        second = write_tree(tmp_path / "T2", ["c-0-0"], candidates=("01", "02"))
        test = write_tree(tmp_path / "E", ["a-16-0", "d-0-0"], candidates=("01", "02"), seed=1, lr=True)
        (test / "Blind_LR").rename(tmp_path / "LR")
        (tree / "images/0-9/01/b-0-0_01.png").unlink()
        (tmp_path / "s.csv").write_text("image,author\na,Anna\n")
        (tmp_path / "c.bib").write_text("@misc{ours}")
        arguments = ["--tree", tree, "--tree", second, "--test-tree", test, "--lr", tmp_path / "LR"]
        arguments += ["--sources", tmp_path / "s.csv", "--license", "cc0-1.0", "--citation", tmp_path / "c.bib"]
        arguments += ["--skip-faulty", "--allow-overlap", "--groups-per-shard", 2, "--scale", 4, "--workers", 1]
        result = run_build(*arguments, "--output", tmp_path / "hggt")
        assert result.exit_code == 0, result.output
        content = json.loads((tmp_path / "hggt/manifest.json").read_text())
        assert content["splits"] == {"train": 2, "test": 2}
        assert content["overlap"]["source_pictures"] == ["a"]
        assert content["has_lr"] is True
        assert [shard["dropped"] for shard in content["shards"]] == [["b-0-0"], [], []]
        card = (tmp_path / "hggt/README.md").read_text()
        assert "@misc{ours}" in card
        assert "license: cc0-1.0" in card
        assert "1 group left out because of errors: b-0-0" in result.stdout
        assert "train and test share 1 source picture: a" in result.stdout

    def test_faults_are_one_error(self, tree: Path, tmp_path: Path) -> None:
        edit_text(tree / "labels/0-9/B/a-0-0.json", '"File": "01"', '"File": "02"')
        message = one_error(run_build("--tree", tree, "--output", tmp_path / "hggt", "--workers", 1))
        assert "1 error; nothing was built" in message
        assert "wrong-file" in message

    def test_a_full_output_is_one_error(self, tree: Path, tmp_path: Path) -> None:
        (tmp_path / "hggt").mkdir()
        (tmp_path / "hggt/thesis.txt").touch()
        assert "is not empty" in one_error(run_build("--tree", tree, "--output", tmp_path / "hggt"))

    def test_a_full_disk_is_one_line(self, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device", "a.parquet")

        monkeypatch.setattr("hggt_data.io.files.os.fsync", full)
        message = one_error(run_build("--tree", tree, "--output", tmp_path / "hggt", "--workers", 1))
        assert message == "Error: a.parquet: No space left on device; free some space and run again\n"

    def test_a_bug_is_not_hidden(self, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("hggt_data.dataset.build.build_dataset", broken)
        result = run_build("--tree", tree, "--output", tmp_path / "hggt")
        assert isinstance(result.exception, ZeroDivisionError)

    @pytest.mark.parametrize(
        ("arguments", "part"),
        [
            (["--output", "x"], "pass --tree, --test-tree or both"),
            (["--tree", "{tree}"], "--output"),
            (["--tree", "{tree}", "--lr", "{tree}", "--output", "x"], "--lr belongs to --test-tree"),
            (["--tree", "absent", "--output", "x"], "absent"),
            (["--tree", "{tree}", "--output", "x", "--sources", "absent.csv"], "absent.csv"),
            (["--tree", "{tree}", "--output", "x", "--groups-per-shard", "0"], "groups-per-shard"),
        ],
    )
    def test_wrong_usage_exits_2(self, tree: Path, arguments: list[str], part: str) -> None:
        result = run_build(*(argument.format(tree=tree) for argument in arguments))
        assert result.exit_code == 2
        assert part in result.stderr

    def test_ctrl_c_exits_130_and_the_next_run_goes_on(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path / "T", [f"p{k}-0-0" for k in range(150)], size=(64, 64), candidates=("01",))
        arguments = ["--tree", tree, "--output", tmp_path / "hggt", "--workers", "1", "--groups-per-shard", "1"]
        command = [str(part) for part in (Path(sys.executable).parent / "hggt-build-dataset", *arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while not list(tmp_path.glob(".hggt.partial/.finished/*.json")) and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in error
        assert error.endswith("Interrupted.\n")
        result = run_build(*arguments)
        assert result.exit_code == 0
        assert "of them kept from an earlier build" in result.stdout


class TestDemo:
    def test_it_writes_what_the_other_commands_take(self, tmp_path: Path) -> None:
        result = run("demo", tmp_path / "demo")
        assert result.exit_code == 0, result.output
        places = [Path(line) for line in result.stdout.splitlines()]
        assert [place.name for place in places] == ["Train", "Test", "sources.csv", "bicubic", "sharper"]
        assert all(place.exists() for place in places)
        train, test, sources, *_ = places
        for tree in (train, test):
            assert run("validate", tree, "--strict", "--workers", 1).exit_code == 0
        arguments = ["--tree", train, "--test-tree", test, "--sources", sources, "--output", tmp_path / "hggt"]
        result = run_build(*arguments, "--workers", 1)
        assert result.exit_code == 0, result.output
        assert "6 groups in train, 6 groups in test" in result.stdout


class TestHelp:
    @pytest.mark.parametrize("command", [[], ["validate"], ["build"], ["stats"], ["demo"], ["extract-subimages"]])
    def test_every_command_explains_itself(self, command: list[str]) -> None:
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: ")
        assert run(*command, "-h").stdout == result.stdout

    def test_the_version_is_told(self) -> None:
        assert "0.1.0" in run("--version").stdout

    def test_an_unknown_command_exits_2(self) -> None:
        assert run("validat").exit_code == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--help"],
            ["validate", "--help"],
            ["build", "--help"],
            ["stats", "--help"],
            ["extract-subimages", "--help"],
        ],
    )
    def test_help_loads_nothing_heavy(self, arguments: list[str]) -> None:
        code = f"""
import sys
from hggt_data.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    assert end.code == 0
print(*{{"torch", "datasets", "pyarrow", "numpy", "PIL", "huggingface_hub"}} & sys.modules.keys(), file=sys.stderr)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stderr.split() == []

    @pytest.mark.parametrize("name", ["hggt-data", "hggt-build-dataset"])
    def test_the_commands_are_installed(self, name: str) -> None:
        script = shutil.which(name, path=str(Path(sys.executable).parent))
        assert script, f"{name} is not beside {sys.executable}; install the project"
        done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"Usage: {name} ")
