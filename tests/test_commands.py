"""All commands: each explains itself and all its options, quickly, with the defaults that Python has."""

import inspect
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from hggt_data.cli.group import HggtCommand
from hggt_data.cli.signature import REQUIRED, read_parameters
from tests.test_docs import COMMANDS

ROOT = Path(__file__).parents[1]


def walk(name: str, command: click.Command, parent: click.Context | None = None) -> Iterator[click.Context]:
    """The contexts of a command and those below it."""
    context = click.Context(command, parent, info_name=name, **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for child_name, child in command.commands.items():
            yield from walk(child_name, child, context)


CONTEXTS = [context for name, command in COMMANDS.items() for context in walk(name, command)]
TARGETS = sorted(
    {
        target.name
        for context in CONTEXTS
        if isinstance(context.command, HggtCommand)
        for target in context.command.targets
    }
)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.command_path)
def test_a_command_and_its_options_are_explained_in_sentences(context: click.Context) -> None:
    first = (context.command.help or "").partition("\n")[0]
    assert re.fullmatch(r"[A-Z].*[.:]", first), first
    for param in context.command.get_params(context):
        if isinstance(param, click.Option):
            assert re.fullmatch(r"[A-Z0-9].*[.\]]", param.help or ""), f"{param.opts[-1]}: {param.help!r}"


@pytest.mark.parametrize("columns", [80, 110])
def test_help_fits_its_width(columns: int) -> None:
    for context in CONTEXTS:
        context.terminal_width = columns
        lines = context.command.get_help(context).splitlines()
        assert max(map(len, lines)) <= columns, max(lines, key=len)
        listed = lines[lines.index("Commands:") :] if "Commands:" in lines else []
        assert not [line for line in listed if line.endswith("...")]


@pytest.mark.parametrize("name", TARGETS)
def test_options_are_read_as_python_reads_the_signature(name: str) -> None:
    """The reader works on source text; this compares it with the imported object."""
    module, _, attribute = name.partition(":")
    parameters = inspect.signature(getattr(import_module(module), attribute)).parameters
    read = {parameter.name: parameter for parameter in read_parameters(name)}
    assert set(read) == set(parameters)
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            assert read[key].default is REQUIRED
        elif isinstance(parameter.default, bool | int | float | str):
            assert read[key].default == parameter.default
    assert not [key for key in read if not read[key].help], "without an entry in the docstring"


HELP = """
import sys
from importlib import import_module
for program, *arguments in (
    ["hggt_data.cli.main"],
    ["hggt_data.cli.main", "build"],
    ["hggt_data.cli.main", "extract-subimages"],
    ["hggt_models.cli", "upscale"],
    ["hggt_models.cli", "train"],
    ["hggt_eval.cli", "compare"],
):
    import_module(program).main([*arguments, "--help"], standalone_mode=False)
    heavy = {"torch", "datasets", "pyarrow", "numpy", "PIL", "huggingface_hub"} & sys.modules.keys()
    assert not heavy, (program, arguments, heavy)
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: ") == 6


@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_are_installed(name: str) -> None:
    script = shutil.which(name, path=str(Path(sys.executable).parent))
    assert script, f"{name} is not beside {sys.executable}; install the project"


def test_the_page_of_commands_is_up_to_date() -> None:
    text = runpy.run_path(str(ROOT / "scripts/write_cli_docs.py"))["cli_docs"]()
    advice = "run python scripts/write_cli_docs.py and read the change"
    assert (ROOT / "docs/cli.md").read_text("utf-8").split() == text.split(), advice
