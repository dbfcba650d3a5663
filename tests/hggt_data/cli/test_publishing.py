"""What `hggt-data push` and `hggt-models push` ask and say; what they send is tested with each of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click
import pytest
from click.testing import CliRunner, Result

from hggt_data.cli.publishing import confirm_and_push
from hggt_data.hub.plan import Destination
from hggt_data.hub.repository import Repository


@dataclass
class Plan:
    """Something to publish, that remembers whether it was."""

    settings: Destination = field(default_factory=lambda: Destination(repo_id="lab/net", public=True, tag="v1"))
    repository: Repository = field(default_factory=lambda: Repository("lab/net", "model"))
    is_sent: bool = False

    def describe(self) -> list[str]:
        return ["the plan"]

    def push(self) -> str:
        self.is_sent = True
        return "0123456789abcdef"


def run(plan: Plan, *, dry_run: bool = False, yes: bool = False, answer: str | None = None) -> Result:
    @contextmanager
    def opened() -> Iterator[Plan]:
        yield plan

    @click.command()
    def command() -> None:
        confirm_and_push(opened(), "load_network", dry_run=dry_run, yes=yes)

    with pytest.MonkeyPatch.context() as patch:
        if answer is not None:
            patch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
        return CliRunner().invoke(command, input=answer)


def test_it_asks_and_says_how_to_load_it() -> None:
    plan = Plan()
    result = run(plan, answer="y\n")
    assert plan.is_sent
    assert "Publish it as a public model? [y/N]: y" in result.output
    assert result.output.splitlines()[-2:] == [
        f"Published: {plan.repository.url} (public), commit 0123456789ab.",
        'Load it: load_network("lab/net", revision="v1")',
    ]


@pytest.mark.parametrize(
    ("options", "last"),
    [({"answer": "n\n"}, "Nothing was sent."), ({"dry_run": True}, "Nothing was sent (--dry-run).")],
)
def test_nothing_is_sent_without_a_yes(options: dict[str, object], last: str) -> None:
    plan = Plan()
    result = run(plan, **options)  # type: ignore[arg-type]
    assert not plan.is_sent
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "the plan"
    assert result.output.splitlines()[-1] == last


def test_it_does_not_ask_where_yes_was_said_and_refuses_where_nobody_can_answer() -> None:
    plan = Plan()
    assert "nobody to ask; pass --yes" in run(plan).output
    assert not plan.is_sent
    assert "?" not in run(plan, yes=True).output
    assert plan.is_sent
