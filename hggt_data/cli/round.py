"""Commands on a round, or study, that is under way: consent, status, withdrawal, and an export of the answers."""

from pathlib import Path
from typing import Any

import click

from hggt_data.cli.group import HggtGroup, echo_all
from hggt_data.cli.options import FILE, FOLDER, Argument, Option

_ROUND = Argument("ROUND", FOLDER)


@click.group("round", cls=HggtGroup)
def round_() -> None:
    """Look after a round, or a study, under way."""


@round_.command("status", options_of="hggt_data.annotate.status:describe_round", details={"folder": _ROUND})
def status(arguments: dict[str, Any]) -> None:
    """Print progress and quality.

    Prints who has done how much, how long it takes, and how carefully. Shows no labels, so a study may be looked at
    before it is complete. The round may be served meanwhile.
    """
    from hggt_data.annotate.status import describe_round

    echo_all(describe_round(**arguments))


@round_.command("export", options_of="hggt_data.annotate.export:export_round", details={"folder": _ROUND})
def export(arguments: dict[str, Any]) -> None:
    """Write all answers as CSV and JSON.

    Pseudonyms stand for names. README.md in the folder explains the columns. The round may be served meanwhile.
    """
    from hggt_data.annotate.export import export_round

    echo_all(export_round(**arguments).describe())


@round_.command(
    "withdraw",
    options_of="hggt_data.withdraw:withdraw_person",
    details={
        "round_folder": _ROUND,
        "code": Argument("CODE"),
        "accounts": Option(type=FILE, metavar="FILE"),
        "datasets": Option("--dataset", FOLDER),
        "repositories": Option("--repository", metavar="ORG/NAME"),
    },
)
def withdraw(arguments: dict[str, Any]) -> None:
    """Remove a person, by their withdrawal code.

    Removes answers, records, consent, name and account. Then says which folders, datasets and versions on the Hub may
    still hold the votes, and how to remove them there. Stop hggt-data annotate first. After an interruption, run the
    same command again.
    """
    from hggt_data.withdraw import withdraw_person

    echo_all(withdraw_person(**arguments))


@round_.command("consent")
@click.argument("folder", metavar="ROUND", type=FOLDER)
def consent(folder: Path) -> None:
    """Write a template of consent.md.

    Everyone must accept this text before they see pictures; fill it in first.
    """
    from hggt_data.annotate.consent import write_template

    echo_all([f"{write_template(folder)}: replace each TODO; hggt-data annotate then asks everyone to accept it."])
