"""What the commands that push to the Hub share."""

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from hggt_data.hub.plan import Destination
    from hggt_data.hub.repository import Repository


class Prepared(Protocol):
    """What can be published on the Hub: a dataset or a network."""

    @property
    def settings(self) -> "Destination":
        """What was asked."""

    @property
    def repository(self) -> "Repository":
        """Where to."""

    def describe(self) -> list[str]:
        """What would happen, a line each."""

    def push(self) -> str:
        """Do it; the commit."""


def confirm_and_push(opened: AbstractContextManager[Prepared], function: str, *, dry_run: bool, yes: bool) -> None:
    """Show what would happen, ask, do it, and say how to load it.

    Args:
        opened: what to publish.
        function: the name of what loads it.
        dry_run: do not ask, and do nothing.
        yes: do not ask.
    """
    if not (dry_run or yes or sys.stdin.isatty()):
        raise click.UsageError("there is nobody to ask; pass --yes to publish, or --dry-run to look")
    with opened as prepared:
        settings, repository = prepared.settings, prepared.repository
        click.echo("\n".join(prepared.describe()))
        if dry_run:
            click.echo("Nothing was sent (--dry-run).")
            return
        if not yes and not click.confirm(f"Publish it as a {settings.visibility} {repository.kind}?"):
            click.echo("Nothing was sent.")
            return
        commit = prepared.push()
    click.echo(f"Published: {repository.url} ({settings.visibility}), commit {commit[:12]}.")
    revision = f', revision="{settings.tag}"' if settings.tag else ""
    click.echo(f'Load it: {function}("{settings.repo_id}"{revision})')
