"""Commands on annotation rounds: make one, change its people, serve it, and convert its votes to a tree."""

from pathlib import Path
from typing import Any

import click

from hggt_data.cli.group import HggtCommand, HggtGroup, echo_all
from hggt_data.cli.options import FILE, FOLDER, NEW_FILE, Argument, Option, Parsed

_ROUND = Argument("ROUND", FOLDER)
_CSV = Option(type=FILE, metavar="CSV")
_INPUT = Option("--input", FOLDER)


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.annotate.deal:deal_groups",
    details={
        "patches": _INPUT,
        "names": Option("--annotators", Parsed("hggt_data.annotate.deal:read_names", "FILE", FILE)),
        "practice": _CSV,
        "gold": _CSV,
    },
)
def deal(arguments: dict[str, Any]) -> None:
    """Assign patch groups to annotators in a new round.

    Checks every picture, then gives each group to as many annotators as it needs votes. Loads are
    equal, and any two annotators share about the same number of groups.

    Practice, gold and repeated groups do not count as votes. The CSV files have the columns group, one per candidate
    (Positive, Similar, Negative, or empty if any label is right) and, optionally, note.
    """
    from hggt_data.annotate.deal import deal_groups

    echo_all(deal_groups(**arguments).describe())


@click.command(
    "deal-study",
    cls=HggtCommand,
    options_of="hggt_data.deal_study:deal_study",
    details={
        "restored": Option(metavar="[NAME=]DIR"),
        "names": Option("--annotators", Parsed("hggt_data.annotate.deal:read_names", "FILE", FILE)),
        "questions": Option("--question", metavar="TEXT"),
        "primary": Option(type=Parsed("hggt_data.annotate.study.settings:parse_primary", "A,B")),
        "gt": FOLDER,
        "lr": FOLDER,
        "dataset": Option(metavar="DIR"),
        "methods": FILE,
    },
)
def deal_study(arguments: dict[str, Any]) -> None:
    """Start a study in which people compare methods.

    Checks every picture and writes a round with a plan (plan.json), for hggt-data annotate, reassign and merge. Over
    the study, each method of a pair is shown on the left equally often.
    """
    from hggt_data.deal_study import deal_study as run

    echo_all(run(**arguments).describe())


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.annotate.reassign:reassign_groups",
    details={
        "round_folder": _ROUND,
        "add": Option(metavar="NAME"),
        "drop": Option(metavar="NAME"),
        "patches": _INPUT,
        "votes": Option(metavar="N"),
    },
)
def reassign(arguments: dict[str, Any]) -> None:
    """Change the people of a round, or extend a study.

    With --input, the round finds its patches in their new folder. Answered groups stay with their annotators.
    Unanswered groups of annotators who left, and skipped groups, go to others; then loads are made as equal as
    possible, with few changes. Stop hggt-data annotate first.
    """
    from hggt_data.annotate.reassign import reassign_groups

    echo_all(reassign_groups(**arguments).describe())


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.annotate.study.merge:merge_votes",
    details={"folder": Option("--round", FOLDER, "ROUND"), "patches": FOLDER},
)
def merge(arguments: dict[str, Any]) -> None:
    """Convert the votes of a round to a tree.

    The tree has the official layout. Groups with all their votes get the slots A, B, C and so on. Other groups, files
    that are not valid votes, and groups whose pictures have changed are listed on the screen and in ROUND/merge.json.
    annotators.csv gives the pseudonym of the annotator behind each slot; names stay in the round.

    A study gives votes.csv, the pictures and plan.json, once each comparison has all its votes.
    """
    from hggt_data.annotate.study.merge import merge_votes

    echo_all(merge_votes(**arguments).describe())


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.annotate.web.serve:serve_round",
    details={
        "folder": _ROUND,
        "host": Option(metavar="ADDRESS"),
        "annotator": Option(metavar="NAME"),
        "accounts": FILE,
        "allow_host": Option(metavar="NAME"),
        "tls_certificate": FILE,
        "tls_key": FILE,
        "patches": FOLDER,
        "print_line": None,
    },
)
def annotate(arguments: dict[str, Any]) -> None:
    """Serve an annotation round in the browser.

    Every answer is saved as a file before the page confirms it, so the server can be stopped and started at any time.
    /admin shows the progress. Other machines can connect only with --accounts, and only over https:// unless you pass
    --plain-http.
    """
    from hggt_data.annotate.web.serve import serve_round

    serve_round(**arguments, print_line=lambda line: echo_all([line]))


@click.group(cls=HggtGroup)
def accounts() -> None:
    """Manage accounts for hggt-data annotate."""


_FILE = "accounts.json"
_accounts_option = click.option(
    "--accounts", "file", type=NEW_FILE, default=_FILE, show_default=True, metavar="FILE", help="Accounts file."
)


@accounts.command(
    "add",
    options_of="hggt_data.annotate.web.accounts:make_personal_url",
    details={
        "accounts": Option(type=NEW_FILE, default=_FILE),
        "name": Argument("NAME"),
        "is_admin": Option("--admin"),
        "url": Option(metavar="URL"),
    },
)
def add_account(arguments: dict[str, Any]) -> None:
    """Print a personal URL for NAME.

    The URL is shown only once. Anyone who has it can answer as NAME.
    """
    from hggt_data.annotate.web.accounts import make_personal_url

    echo_all([make_personal_url(**arguments)])


@accounts.command("remove")
@click.argument("name")
@_accounts_option
def remove_account(name: str, file: Path) -> None:
    """Revoke the URL of NAME, even while the server is running. Answers are kept."""
    from hggt_data.annotate.web.accounts import remove_account as run

    run(file, name)


@accounts.command("list")
@_accounts_option
def list_accounts(file: Path) -> None:
    """List the accounts."""
    from hggt_data.annotate.web.accounts import Accounts

    for account in Accounts(file).all():
        echo_all([f"{account.name} (admin)" if account.is_admin else account.name])
