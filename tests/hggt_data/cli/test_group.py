"""Errors of commands."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hggt_data.cli.group import HggtCommand, ResumedCommand, echo_all
from hggt_data.errors import RUN_AGAIN, HggtError, SettingsError, TreeError
from hggt_data.io.text import join_lines


def run_with_lines(lines: list[str]) -> str:
    @click.command(cls=HggtCommand)
    def command() -> None:
        echo_all(lines)

    return CliRunner().invoke(command).output


def test_what_others_wrote_neither_controls_the_terminal_nor_forges_a_line() -> None:
    name = "a\x1b[2J\u202e\nWritten: all"
    shown = r"a\x1b[2J\u202e\nWritten: all"
    assert run_with_lines([name, "b"]) == f"{shown}\nb\n"
    assert run_with(TreeError(f"{name}: damaged")) == (1, f"Error: {shown}: damaged\n")
    assert run_with(TreeError(join_lines(["1 error:", name]))) == (1, f"Error: 1 error:\n{shown}\n")
    assert run_with(FileNotFoundError(2, "gone", name)) == (1, f"Error: {shown}: gone; check the path\n")
    assert run_with(TreeError("x" * 10**6)) == (1, f"Error: {'x' * 4000}...\n")
    assert run_with(click.ClickException(name)) == (1, f"Error: {shown}\n")


def run_with(error: BaseException) -> tuple[int, str]:
    @click.command(cls=HggtCommand)
    def command() -> None:
        raise error

    result = CliRunner().invoke(command)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("error", "code", "output"),
    [
        (TreeError("no tree"), 1, "Error: no tree\n"),
        (
            PermissionError(13, "Permission denied", "a"),
            1,
            "Error: a: Permission denied; change the permissions or choose",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "a"),
            1,
            "Error: a: No such file or directory; check the path",
        ),
        (
            OSError(28, "No space left on device", "from", None, "to"),
            1,
            "Error: to: No space left on device; free some",
        ),
        (OSError("odd"), 1, "Error: odd\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_expected_errors_are_one_line(error: BaseException, code: int, output: str) -> None:
    found_code, found = run_with(error)
    assert found_code == code
    assert found.startswith(output)
    assert found.count("\n") == 1


@pytest.mark.parametrize(("error", "code"), [(TreeError, 1), (SettingsError, 2)])
def test_an_error_names_flags_instead_of_parameters(error: type[HggtError], code: int) -> None:
    @click.command(cls=HggtCommand)
    @click.argument("folder", metavar="[ROUND]", required=False)
    @click.option("--tree", "trees", multiple=True)
    @click.option("--split")
    @click.option("-f", "--allow-overlap", is_flag=True)
    def command(**_: object) -> None:
        raise error("`folder`: `trees`, `split='train'`, `allow_overlap`, `allow_overlap=True`; `labels`, `a b` stay")

    result = CliRunner().invoke(command)
    assert result.exit_code == code
    message = "Error: ROUND: --tree, --split train, --allow-overlap, --allow-overlap; `labels`, `a b` stay\n"
    assert result.stderr.endswith(message)


def test_a_resumable_command_says_so() -> None:
    @click.command(cls=ResumedCommand)
    def command() -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(command)
    assert (result.exit_code, result.output) == (130, f"Interrupted. {RUN_AGAIN}\n")


def test_notes_of_an_error_are_printed_below_it() -> None:
    for error in (TreeError("3 errors"), OSError("odd")):
        error.add_note("Kept in x.")
        assert run_with(error) == (1, f"Error: {error}\nKept in x.\n")


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    script = tmp_path / "talk.py"
    script.write_text(
        "import click\nfrom hggt_data.cli.group import HggtCommand\n"
        "@click.command(cls=HggtCommand)\ndef talk():\n"
        "    for _ in range(100_000):\n        click.echo('word ' * 20)\n"
        "talk()\n"
    )
    pipe = f"'{sys.executable}' '{script}' | head -1"
    run = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, check=True)
    assert run.stdout == "word " * 20 + "\n"
    assert run.stderr == ""
