"""What all hggt commands share: an error that hggt or the system raises on purpose ends in one message and exit 1."""

from typing import Any

import click

from hggt_data.errors import HggtError


class HggtCommand(click.Command):
    """A command whose expected errors are printed without a traceback.

    Exit codes: 0 done, 1 an error or, for checks, faults found; 2 wrong usage; 130 interrupted.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (HggtError, OSError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)


class HggtGroup(click.Group):
    """A group of `HggtCommand`s."""

    command_class = HggtCommand
