"""Options derived from a function, its settings class and their docstrings."""

from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from hggt_data.cli.group import HggtCommand
from hggt_data.cli.options import Argument, Option, Parsed
from tests.hggt_data.cli.sample import Settings

NAME = "tests.hggt_data.cli.sample"
calls: list[dict[str, Any]] = []


@click.command(
    cls=HggtCommand,
    options_of=f"{NAME}:work",
    details={
        "folder": Argument("FOLDER"),
        "tags": Option("--tag"),
        "names": Parsed(f"{NAME}:parse_names", "NAME,..."),
        "log": None,
    },
)
@click.option("--yes", is_flag=True)
def command(arguments: dict[str, Any], yes: bool) -> None:
    """Work."""
    calls.append({**arguments, "yes": yes})


def run(*arguments: str) -> Result:
    calls.clear()
    return CliRunner().invoke(command, arguments)


def test_the_function_gets_what_was_passed_and_keeps_its_own_defaults() -> None:
    assert run("F").exit_code == 0
    assert [(str(call.pop("folder")), call) for call in calls] == [("F", {"settings": Settings(), "yes": False})]
    run("F", "--mode", "exact", "--size", "3", "--names", "a,b", "--tag", "x", "--tag", "y", "--deep", "--yes")
    assert calls[0]["settings"] == Settings("exact", 3, ("a", "b"))
    assert (calls[0]["tags"], calls[0]["deep"], calls[0]["yes"]) == (("x", "y"), True, True)


@pytest.mark.parametrize("arguments", [[], ["F", "--mode", "slow"], ["F", "--size", "x"], ["F", "--names", ""]])
def test_wrong_values_are_wrong_usage(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, calls) == (2, [])
    assert "Error: " in result.stderr


def test_help_has_flags_choices_and_defaults() -> None:
    text = " ".join(run("--help").output.split())
    for part in (
        "[OPTIONS] FOLDER",
        "--mode [fast|exact] How to work. [default: fast]",
        "--size N Side of a tile, instead of --names. [default: 8]",
        "--names NAME,... Names to use. [default: all]",
        "--tag TEXT Tag; repeatable.",
        "--deep Include subfolders.",
    ):
        assert part in text
    assert "--log" not in text
