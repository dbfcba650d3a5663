"""Commands that export a tree or a dataset in other forms."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hggt_data.cli.group import HggtGroup, ResumedCommand, echo_all
from hggt_data.cli.options import NEW_FILE, NEW_FOLDER, TABLE, Argument, Detail, Option

if TYPE_CHECKING:
    from hggt_data.exports.training.export import TrainingSettings

_SOURCE = "hggt_data.exports.source:open_source"
_DETAILS: dict[str, Detail] = {"source": Argument("SOURCE"), **TABLE}


@click.group(cls=HggtGroup)
def export() -> None:
    """Export data in the forms of other programs.

    SOURCE is a tree, a built dataset, or ORG/NAME on the Hub.
    """


@export.command(
    options_of=(_SOURCE, "hggt_data.exports.positives:export_positives"),
    details={
        **_DETAILS,
        "split": Option(help="Split to export, if `source` is a dataset.  [default: the only one]"),
        "output": Option(type=click.Path(path_type=Path), metavar="FILE"),
    },
)
def positives(source: dict[str, Any], arguments: dict[str, Any]) -> None:
    """List or copy the candidates with the consensus Positive.

    A CSV list has the columns group, candidate, agreement, num_votes, and the location of the picture: its path
    relative to the tree, or its split and row in the dataset. A text list has the absolute path of each picture.
    """
    from hggt_data.exports.positives import export_positives
    from hggt_data.exports.source import open_source

    echo_all(export_positives(open_source(**source), **arguments))


@export.command(
    options_of=(_SOURCE, "hggt_data.exports.pairs:export_pairs"),
    details={**_DETAILS, "kinds": Option("--kind"), "pairs_per_shard": None},
)
def pairs(source: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Write pairs of pictures for preference learning.

    Positives are preferred to similar and negative candidates and to the original, similar ones to negatives, and the
    original to negatives. Of two versions that people compared, that with more votes is preferred. The margin says how
    clearly, from -2 to 2. load_dataset opens the parquet format.
    """
    from hggt_data.exports.pairs import export_pairs
    from hggt_data.exports.source import open_source

    echo_all(export_pairs(open_source(**source), **arguments))


@export.command(
    cls=ResumedCommand,
    options_of=(_SOURCE, "hggt_data.exports.training.export:TrainingSettings"),
    details={
        **_DETAILS,
        "split": Option(help="Split to export, if `source` is a dataset.  [default: train, or the only one]"),
        "pairs_per_shard": None,
    },
)
@click.option("--output", type=NEW_FOLDER, required=True, metavar="DIR", help="New or empty folder outside the source.")
def training(source: dict[str, Any], settings: "TrainingSettings", output: Path) -> None:
    """Write training pairs as other trainers read them.

    lq/NAME.png is the LR of an original, gt/NAME.png what outputs are compared with, negative/NAME.png what they
    should differ from. LR images that the data does not have are made as in training, which needs the extra models.
    """
    from hggt_data.exports.source import open_source
    from hggt_data.exports.training.export import export_training

    echo_all(export_training(open_source(**source), output, settings))


@export.command("tree", options_of=(_SOURCE, "hggt_data.exports.tree:export_tree"), details=_DETAILS)
def export_tree(source: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Write the official folder tree, Train/ and Test/.

    Low-resolution images, annotators.csv and sources.csv are written if the source has them. A
    dataset built from this tree has the same rows.
    """
    from hggt_data.exports.source import open_source
    from hggt_data.exports.tree import export_tree as run

    echo_all(run(open_source(**source), **arguments))


@export.command(
    options_of=(_SOURCE, "hggt_data.exports.triplets:export_triplets"),
    details={
        **_DETAILS,
        "split": Option(help="Split to export, if `source` is a dataset.  [default: the only one]"),
        "output": NEW_FILE,
    },
)
def triplets(source: dict[str, Any], arguments: dict[str, Any]) -> None:
    """List who is better in pairs of versions, for training a metric.

    A line has the files of two versions and their original, then who is better of the two, of the first and the
    original, and of the second and the original. A-FINE reads such lists. Candidates without a majority are left out.
    """
    from hggt_data.exports.source import open_source
    from hggt_data.exports.triplets import export_triplets

    echo_all(export_triplets(open_source(**source), **arguments))


@export.command(options_of=(_SOURCE, "hggt_data.exports.votes:export_votes"), details=_DETAILS)
def votes(source: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Write all votes as CSV tables, votes.csv and groups.csv.

    The pictures stay where they are: the tables and the folders of pictures together are the same data.
    """
    from hggt_data.exports.source import open_source
    from hggt_data.exports.votes import export_votes

    echo_all(export_votes(open_source(**source), **arguments))
