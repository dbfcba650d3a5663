"""What `hggt-data push` and `hggt-models push` ask and print; what they send is tested with each of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hggt_data.cli.publishing import confirm_and_push
from hggt_data.hub.plan import Destination, Push
from hggt_data.hub.repository import Repository


class RecordedPush(Push):
    """A push that only counts how often it is done."""

    count = 0

    def describe(self) -> list[str]:
        return ["the plan"]

    def push(self) -> str:
        RecordedPush.count += 1
        return "0123456789abcdef"


def run(*, dry_run: bool = False, yes: bool = False, answer: str | None = None) -> tuple[Result, int]:
    """The result of a command, and how often it pushed."""
    RecordedPush.count = 0
    push = RecordedPush(
        source=Path("net"),
        destination=Destination(repo_id="lab/net", public=True, tag="v1", dry_run=dry_run),
        repository=Repository("lab/net", "model"),
        main=None,
        folder=Path(),
        contents=[],
        notes=[],
    )

    @contextmanager
    def opened() -> Iterator[Push]:
        yield push

    @click.command()
    def command() -> None:
        confirm_and_push(opened(), "load_network", push.destination, yes=yes)

    with pytest.MonkeyPatch.context() as patch:
        if answer is not None:
            patch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
        return CliRunner().invoke(command, input=answer), RecordedPush.count


def test_it_asks_and_says_how_to_load_the_result() -> None:
    result, count = run(answer="y\n")
    assert count == 1
    assert result.output.splitlines()[:2] == ["the plan", "Push this as a public model? [y/N]: y"]
    assert result.output.splitlines()[-2:] == [
        f"Pushed: {Repository('lab/net', 'model').url} (public), commit 0123456789ab.",
        'Load it: load_network("lab/net", revision="v1")',
    ]


def test_nothing_is_pushed_without_a_yes() -> None:
    declined, count = run(answer="n\n")
    assert (count, declined.exit_code, declined.output.splitlines()[-1]) == (0, 0, "Nothing was pushed.")
    dry, count = run(dry_run=True)
    assert (count, dry.exit_code, dry.output) == (0, 0, "the plan\nNothing was pushed (--dry-run).\n")
    unasked, count = run()
    assert (count, unasked.exit_code) == (0, 2)
    assert "not a terminal: pass --yes to push without confirmation" in " ".join(unasked.output.split())
    agreed, count = run(yes=True)
    assert (count, "?" in agreed.output) == (1, False)
