"""What the commands that ask before they act share."""

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from hggt_data.cli.group import echo_all

if TYPE_CHECKING:
    from hggt_data.hub.plan import Destination, Push


def confirm_and_push(
    opened: "AbstractContextManager[Push]", function: str, destination: "Destination", *, yes: bool
) -> None:
    """Print the plan, ask unless `yes`, push, and print how to load it with `function`; a dry run prints the plan."""
    if not (destination.dry_run or yes):
        require_terminal("push", "--dry-run to see the plan")
    with opened as push:
        repository = push.repository
        echo_all(push.describe())
        if destination.dry_run:
            echo_all(["Nothing was pushed (--dry-run)."])
            return
        if not yes and not click.confirm(f"Push this as a {destination.visibility} {repository.kind}?"):
            echo_all(["Nothing was pushed."])
            return
        commit = push.push()
    echo_all([f"Pushed: {repository.url} ({destination.visibility}), commit {commit[:12]}."])
    revision = f', revision="{destination.tag}"' if destination.tag else ""
    echo_all([f'Load it: {function}("{destination.repo_id}"{revision})'])


def require_terminal(verb: str, way_out: str) -> None:
    """End the command if there is no terminal to ask on; `way_out` is what to pass instead of --yes."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"not a terminal: pass --yes to {verb} without confirmation, or {way_out}")
