"""Commands on trees: check one, split one, write a small one."""

from pathlib import Path
from typing import Any

import click

from hggt_data.cli.group import HggtCommand, echo_all
from hggt_data.cli.options import NEW_FILE, NEW_FOLDER, TABLE, TREE, Argument


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.tree.validate:validate_tree",
    details={"tree": Argument("TREE", TREE), "lr": TREE, **TABLE},
)
@click.option("--json", "json_file", type=NEW_FILE, metavar="FILE", help="Write all problems to this JSON file.")
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings as well.")
@click.pass_context
def validate(ctx: click.Context, arguments: dict[str, Any], json_file: Path | None, strict: bool) -> None:
    """Check a tree of any known layout and list every problem.

    TREE is Train/, Test/, another folder with images/ and labels/, a folder with votes.csv and pictures, a zip file of
    one of these, or a folder of zip files. The exit code is 1 if there are errors.
    """
    from hggt_data.io.files import write_json
    from hggt_data.problems import summarise
    from hggt_data.tree.validate import validate_tree

    report = validate_tree(**arguments)
    echo_all([*([summarise(report.problems)] if report.problems else []), report.describe()])
    if json_file:
        write_json(json_file, report.to_json())
    if report.errors or (strict and report.warnings):
        ctx.exit(1)


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.tree.split:split_tree",
    details={"tree": Argument("TREE", TREE), **TABLE},
)
def split(arguments: dict[str, Any]) -> None:
    """Split a tree into training and test by source picture.

    All groups of a source picture go to the same side. Groups of a test picture that have too few positives,
    or that exceed the size of the test set, are left out of both. Source pictures are chosen to leave out as few groups
    as possible, or with --max-per-picture drawn at random. The command that makes the low-resolution images of the test
    set is printed at the end.
    """
    from hggt_data.tree.split import split_tree

    echo_all(split_tree(**arguments).describe())


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.tree.demo:write_demo",
    details={"folder": Argument("FOLDER", NEW_FOLDER)},
)
def demo(arguments: dict[str, Any]) -> None:
    """Write a small tree to try the commands on.

    Writes Train/, Test/, sources.csv and restored/ to FOLDER. The pictures are real, the annotators are simulated.
    """
    from hggt_data.tree.demo import write_demo

    echo_all(write_demo(**arguments))
