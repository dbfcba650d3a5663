"""Every command that the documents, scripts and docstrings name has the options it is given there."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import hggt_data.cli.main
import hggt_eval.cli
import hggt_models.cli

ROOT = Path(__file__).parents[1]
COMMANDS: dict[str, click.Command] = {
    "hggt-data": hggt_data.cli.main.main,
    "hggt-build-dataset": hggt_data.cli.main.build,
    "hggt-eval": hggt_eval.cli.main,
    "hggt-models": hggt_models.cli.main,
}
WRITTEN_BY_A_SCRIPT = ROOT / "docs" / "cli.md"
TEXTS = [
    path
    for pattern in ("*.md", "docs/*.md", "scripts/*", "hggt_*/**/*.py")
    for path in sorted(ROOT.glob(pattern))
    if path.is_file() and path != WRITTEN_BY_A_SCRIPT
]


def named_commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """(name, words after it) of each command in a text, as far as its line or its quotes go."""
    names = "|".join(COMMANDS)
    for name, words in re.findall(rf"({names})((?: +[^\s`|;'\"]+)+)", text.replace("\\\n", " ")):
        given = words.split()
        ends = (
            number for number, word in enumerate(given, start=1) if word.endswith((",", ":"))
        )  # of a sentence's part
        yield name, given[: next(ends, None)]


def strange_options(name: str, words: list[str]) -> list[str]:
    """Those of the words that look like options and are none of the command's."""
    command = COMMANDS[name]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    if command is hggt_eval.cli.main:
        command = hggt_eval.cli.main.commands["score"]  # need not be said
    known = {
        option
        for parameter in command.get_params(click.Context(command))
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    given = {word.split("=")[0].rstrip(".,:)") for word in words if word.startswith("--")}
    return sorted(given - known - {"--help", "--version"})


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_have_the_options_that_a_text_gives_them(path: Path) -> None:
    text = path.read_text("utf-8").replace("-m hggt_", "hggt-")
    strange = {f"{name}: {option}" for name, words in named_commands(text) for option in strange_options(name, words)}
    assert not strange


def test_strange_options_are_seen() -> None:
    assert list(named_commands("run `hggt-data build --tree T \\\n --outptu D` now")) == [
        ("hggt-data", ["build", "--tree", "T", "--outptu", "D"])
    ]
    assert strange_options("hggt-data", ["build", "--tree", "T", "--outptu", "D"]) == ["--outptu"]
    assert strange_options("hggt-eval", ["--dataset", "D", "--baseline=b"]) == []
