"""Commands that compare two versions, or a training set with test pictures."""

from pathlib import Path
from typing import Any

import click

from hggt_data.cli.group import HggtCommand, echo_all
from hggt_data.cli.options import NEW_FILE, Argument


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.comparison.difference:compare_versions",
    details={"first": Argument("FIRST"), "second": Argument("SECOND")},
)
@click.option("--output", type=NEW_FILE, metavar="CSV", help="Write all changes of groups to this CSV file.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if the versions differ.")
@click.pass_context
def diff(ctx: click.Context, arguments: dict[str, Any], output: Path | None, exit_code: bool) -> None:
    """Show what differs between two versions of the same data.

    FIRST and SECOND are trees, built datasets, or ORG/NAME or ORG/NAME@REVISION on the Hub. Votes are compared without
    who gave them and when.
    """
    from hggt_data.comparison.difference import compare_versions

    difference = compare_versions(**arguments)
    echo_all(difference.describe())
    if output:
        difference.write_csv(output)
    if exit_code and difference:
        ctx.exit(1)


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.comparison.overlap:find_shared_pictures",
    details={"training": Argument("TRAINING"), "test": Argument("TEST")},
)
@click.option("--output", type=NEW_FILE, metavar="CSV", help="Write all shared pictures to this CSV file.")
@click.pass_context
def overlap(ctx: click.Context, arguments: dict[str, Any], output: Path | None) -> None:
    """Find test pictures that a training set contains.

    TRAINING and TEST are trees, built datasets, folders of pictures, or ORG/NAME or ORG/NAME@REVISION on the Hub. It
    finds equal pixels, patches cut out of larger pictures, pictures that look alike, and source pictures of the same
    name. The exit code is 1 if there are any, or if a picture cannot be read.
    """
    from hggt_data.comparison.overlap import find_shared_pictures

    report = find_shared_pictures(**arguments)
    echo_all(report.describe())
    if output:
        report.write_csv(output)
    if report.shared or report.faults:
        ctx.exit(1)
