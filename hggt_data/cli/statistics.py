"""The command that measures what was labelled."""

from pathlib import Path
from typing import Any

import click

from hggt_data.cli.group import HggtCommand, echo_all
from hggt_data.cli.options import NEW_FILE, TABLE, Argument
from hggt_data.schema import SPLITS


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.counting:count_labels",
    details={"source": Argument("SOURCE"), "split": click.Choice(SPLITS), **TABLE},
)
@click.option("--json", "json_file", type=NEW_FILE, metavar="FILE", help="Write the numbers to this JSON file.")
@click.option("--html", "html_file", type=NEW_FILE, metavar="FILE", help="Write a page with plots to this HTML file.")
def stats(arguments: dict[str, Any], json_file: Path | None, html_file: Path | None) -> None:
    """Show labels, agreement and times of annotators.

    SOURCE is a tree, a built dataset, or ORG/NAME on the Hub.
    """
    from hggt_data.counting import count_labels
    from hggt_data.io.files import write_json, write_text
    from hggt_data.io.text import printable
    from hggt_data.statistics.page import format_statistics_html
    from hggt_data.statistics.text import format_statistics

    statistics = count_labels(**arguments)
    echo_all([format_statistics(statistics)])
    if json_file:
        write_json(json_file, statistics.to_json())
    if html_file:
        title = printable(Path(arguments["source"]).resolve().name)
        write_text(html_file, format_statistics_html(statistics, title=title))
