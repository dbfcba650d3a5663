"""Write docs/cli.md, the help of every command: python scripts/write_cli_docs.py."""

from collections.abc import Iterator
from pathlib import Path

import click

import hggt_data.cli.main
import hggt_eval.cli
import hggt_models.cli
from hggt_data.io.files import write_text

_FILE = Path(__file__).parents[1] / "docs" / "cli.md"
COMMANDS = {
    "hggt-data": hggt_data.cli.main.main,
    "hggt-build-dataset": hggt_data.cli.main.build,
    "hggt-eval": hggt_eval.cli.main,
    "hggt-models": hggt_models.cli.main,
}


def cli_docs() -> str:
    """The text of the page."""
    text = "# Commands\n\nThe output of `--help`, written by `scripts/write_cli_docs.py`.\n"
    for name, command in COMMANDS.items():
        for path, help_text in helps(name, command):
            text += f"\n## {path}\n```\n{help_text.rstrip()}\n```\n"
    return text


def helps(name: str, command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """(full name, help) of a command and those below it, without hidden ones."""
    settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
    context = click.Context(command, parent, info_name=name, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child_name, child in sorted(command.commands.items()):
            if not child.hidden:
                yield from helps(child_name, child, context)


if __name__ == "__main__":
    write_text(_FILE, cli_docs())
