"""Commands quoted in documents, scripts and docstrings have the options that are quoted with them."""

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
GENERATED = ROOT / "docs" / "cli.md"
TEXTS = [
    path
    for pattern in ("*.md", "docs/*.md", "scripts/*", "hggt_*/**/*.py")
    for path in sorted(ROOT.glob(pattern))
    if path.is_file() and path != GENERATED
]


def quoted_commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """(name, words after it) of each command in a text, up to the end of its line, quotation or clause."""
    names = "|".join(COMMANDS)
    for name, words in re.findall(rf"({names})((?: +[^\s`|;'\"]+)+)", text.replace("\\\n", " ")):
        given = words.split()
        ends = (number for number, word in enumerate(given, start=1) if word.endswith((",", ":")))
        yield name, given[: next(ends, None)]


def unknown_options(name: str, words: list[str]) -> list[str]:
    """Words that look like options, but that the command does not have."""
    command = COMMANDS[name]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    if command is hggt_eval.cli.main:
        command = hggt_eval.cli.main.commands["score"]  # the default command
    known = {
        option
        for parameter in command.get_params(click.Context(command, **command.context_settings))
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    given = {word.split("=")[0].rstrip(".,:)") for word in words if word.startswith("--")}
    return sorted(given - known - {"--help", "--version"})


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_quoted_options_exist(path: Path) -> None:
    text = path.read_text("utf-8").replace("-m hggt_", "hggt-")
    unknown = {f"{name}: {option}" for name, words in quoted_commands(text) for option in unknown_options(name, words)}
    assert not unknown


def test_unknown_options_are_detected() -> None:
    words = ["build", "--tree", "T", "--outptu", "D"]
    assert list(quoted_commands("run `hggt-data build --tree T \\\n --outptu D` now")) == [("hggt-data", words)]
    assert unknown_options("hggt-data", words) == ["--outptu"]
    assert unknown_options("hggt-eval", ["--dataset", "D", "--baseline=b"]) == []
