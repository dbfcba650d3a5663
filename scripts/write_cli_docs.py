"""Write docs/cli.md: the help of every command.

python scripts/write_cli_docs.py [--check]

With --check, nothing is written; the exit code is 1 if the file is outdated.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import hggt_data.cli.main
import hggt_eval.cli
import hggt_models.cli
from hggt_data.io.files import write_text

_FILE = Path(__file__).parents[1] / "docs" / "cli.md"
_COMMANDS = {
    "hggt-data": hggt_data.cli.main.main,
    "hggt-build-dataset": hggt_data.cli.main.build,
    "hggt-eval": hggt_eval.cli.main,
    "hggt-models": hggt_models.cli.main,
}


def main() -> None:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = "# Commands\n\nWhat `--help` says, written by `scripts/write_cli_docs.py`.\n"
    for name, command in _COMMANDS.items():
        for path, help_text in helps(name, command):
            text += f"\n## {path}\n```\n{help_text.rstrip()}\n```\n"
    if not check:
        write_text(_FILE, text)
    elif not _FILE.exists() or _FILE.read_text("utf-8").split() != text.split():
        sys.exit(f"{_FILE.name} is outdated; run python scripts/write_cli_docs.py and check the change")


def helps(name: str, command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """(name, help) of a command and its subcommands."""
    settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
    context = click.Context(command, parent, info_name=name, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child_name, child in sorted(command.commands.items()):
            if not child.hidden:
                yield from helps(child_name, child, context)


if __name__ == "__main__":
    main()
