"""The commands of `hggt-data`: exit codes, one-line errors and output. Their help: tests/test_commands.py."""

import contextlib
import json
import os
import pty
import re
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
    return CliRunner().invoke(build, [*map(str, arguments), "--workers", "1"])


def one_error(result: Result) -> str:
    """The message of a command that failed as it should: exit 1, no traceback."""
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), result.output
    assert result.stderr.startswith("Error: ")
    return result.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "T", ["a-0-0", "b-0-0"], candidates=("01", "02"))


class TestValidate:
    def test_errors_exit_1_and_are_shown_by_kind(self, tree: Path) -> None:
        for path in (tree / "images/0-9/01").iterdir():
            path.unlink()
        (tree / "images/0-9/notes.txt").touch()
        result = run("validate", tree, "--workers", 1)
        assert result.exit_code == 1
        assert "error: missing-image (2)\n" in result.stdout
        assert "warning: extra-file (1)\n" in result.stdout
        assert "images/0-9/01/a-0-0_01.png: " in result.stdout
        assert result.stdout.endswith(
            "2 groups (layout: hggt, candidates 01, 02, slots A, B, C): 2 errors, 1 warning\n"
        )

    def test_warnings_exit_1_only_with_strict(self, tree: Path) -> None:
        assert run("validate", tree, "--workers", 1, "--strict").exit_code == 0
        (tree / "images/0-9/notes.txt").touch()
        assert run("validate", tree, "--workers", 1).exit_code == 0
        assert run("validate", tree, "--workers", 1, "--strict").exit_code == 1

    def test_options_reach_the_library(self, tree: Path, fixtures: Path) -> None:
        path = tree / "images/0-9/01/a-0-0_01.png"
        path.write_bytes(path.read_bytes()[:-20])
        assert run("validate", tree, "--workers", 1).exit_code == 1
        assert run("validate", tree, "--workers", 1, "--fast", "--expect-groups", 2).exit_code == 0
        assert "2 groups; expected 20,193" in run("validate", tree, "--fast", "--expect-groups", 20193).stdout
        large = fixtures / "TestLarge"
        assert run("validate", large, "--lr", large / "LR", "--workers", 1).exit_code == 0
        assert run("validate", large, "--lr", large / "LR", "--workers", 1, "--scale", 2).exit_code == 1

    def test_the_json_has_all_problems_whatever_their_names(self, tree: Path, tmp_path: Path) -> None:
        (tree / "images/0-9/01/a-0-0_01.png").unlink()
        edit_text(tree / "labels/0-9/A/b-0-0.json", '"File": "01"', r'"File": "\ud800"')
        with open(os.fsencode(tree / "images/0-9/01") + b"/\xe9-0-0_01.png", "wb"):
            pass
        out = tmp_path / "new" / "report.json"
        assert run("validate", tree, "--workers", 1, "--json", out).exit_code == 1
        content = json.loads(out.read_text("utf-8"))
        assert content["num_groups"] == 2
        paths = {(problem["kind"], problem["path"]) for problem in content["problems"]}
        assert ("missing-image", "images/0-9/01/a-0-0_01.png") in paths

    def test_the_report_is_shown_even_if_the_file_cannot_be_written(self, tree: Path, tmp_path: Path) -> None:
        (tree / "images/0-9/01/a-0-0_01.png").unlink()
        (tmp_path / "file").touch()
        result = run("validate", tree, "--workers", 1, "--json", tmp_path / "file/x.json")
        assert "file" in one_error(result)
        assert "error: missing-image (1)" in result.stdout

    @pytest.mark.parametrize(
        "arguments", [[], ["absent"], ["{tree}", "--lr", "absent"], ["{tree}", "--workers", "0"], ["{tree}", "{tree}"]]
    )
    def test_wrong_usage_exits_2(self, tree: Path, arguments: list[str]) -> None:
        result = run("validate", *(argument.format(tree=tree) for argument in arguments))
        assert result.exit_code == 2
        assert "Usage: " in result.stderr

    def test_progress_is_shown_on_a_terminal_with_rate_and_time_left(self, tree: Path) -> None:
        reader, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 80))
        command = [sys.executable, "-m", "hggt_data", "validate", str(tree), "--workers", "1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # Linux reports the closed end as an error
            while piece := os.read(reader, 1000):
                shown += piece
        os.close(reader)
        out, _ = process.communicate()
        assert (process.returncode, out) == (
            0,
            b"2 groups (layout: hggt, candidates 01, 02, slots A, B, C): 0 errors, 0 warnings\n",
        )
        assert all(part in shown for part in (b"validating", b"2/2", b"group/s"))
        assert re.search(rb"\d\d:\d\d<", shown)


def test_the_statistics_of_a_tree_whose_name_is_not_utf8(tree: Path, tmp_path: Path) -> None:
    result = run("stats", tree.rename(tmp_path / "\udcff"), "--html", tmp_path / "x.html")
    assert result.exit_code == 0, result.output
    assert r"\udcff" in (tmp_path / "x.html").read_text()


class TestBuild:
    def test_both_names_of_the_command_build_the_same(self, tree: Path, tmp_path: Path) -> None:
        result = run("build", "--tree", tree, "--output", tmp_path / "a", "--workers", 1)
        assert result.exit_code == 0, result.output
        assert "2 groups in train; 1 shard" in result.stdout
        assert "Licence: HGGT terms: non-commercial academic research, no redistribution." in result.stdout
        assert run_build("--tree", tree, "--output", tmp_path / "b").exit_code == 0
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
        arguments += ["--skip-faulty", "--allow-overlap", "--groups-per-shard", 2, "--scale", 4]
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
        assert "b-0-0" in result.stdout
        assert "train and test share 1 source picture: a" in result.stdout

    def test_a_full_disk_is_one_line(self, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device", "a.parquet")

        monkeypatch.setattr(os, "fsync", full)
        message = one_error(run_build("--tree", tree, "--output", tmp_path / "hggt"))
        assert message == "Error: a.parquet: No space left on device; free some space and run again\n"

    @pytest.mark.parametrize(
        ("arguments", "part"),
        [
            (["--output", "x"], "pass --tree, --test-tree or both"),
            (["--tree", "{tree}"], "--output"),
            (["--tree", "{tree}", "--lr", "{tree}", "--output", "x"], "--lr belongs to --test-tree"),
            (["--tree", "{tree}", "--output", "x", "--license", "null"], "'null' is not a licence id"),
            (["--tree", "absent", "--output", "x"], "absent"),
            (["--tree", "{tree}", "--output", "x", "--groups-per-shard", "0"], "groups-per-shard"),
        ],
    )
    def test_wrong_usage_exits_2(self, tree: Path, arguments: list[str], part: str) -> None:
        result = run_build(*(argument.format(tree=tree) for argument in arguments))
        assert result.exit_code == 2
        assert part in result.stderr

    def test_ctrl_c_exits_130_and_the_next_run_resumes(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path / "T", [f"p{k}-0-0" for k in range(150)], size=(64, 64), candidates=("01",))
        arguments = ["--tree", tree, "--output", tmp_path / "hggt", "--groups-per-shard", "1"]
        command = [sys.executable, "-m", "hggt_data", "build", *map(str, arguments), "--workers", "1"]
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
        assert "kept from an earlier build" in result.stdout


def test_the_demo_is_a_tree_that_can_be_checked_and_built(tmp_path: Path) -> None:
    result = run("demo", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    train, test, sources, *restored = map(Path, result.stdout.splitlines())
    assert [place.name for place in restored] == ["bicubic", "sharper"]
    for tree in (train, test):
        assert run("validate", tree, "--strict", "--workers", 1).exit_code == 0
    arguments = ["--tree", train, "--test-tree", test, "--sources", sources, "--output", tmp_path / "hggt"]
    result = run_build(*arguments)
    assert result.exit_code == 0, result.output
    assert "6 groups in train, 6 groups in test" in result.stdout
