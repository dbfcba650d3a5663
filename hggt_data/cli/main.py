"""The commands `hggt-data` and `hggt-build-dataset`. Each calls one function of the library and prints the result."""

import click

from hggt_data.cli import annotate, comparison, dataset, exports, patches, round, statistics, tree
from hggt_data.cli.group import HggtGroup

build = dataset.build  # hggt-build-dataset


@click.group(cls=HggtGroup)
@click.version_option(package_name="hggt")
def main() -> None:
    """Check, measure, split, build, push and export HGGT data."""


for command in (
    *(tree.validate, tree.split, tree.demo, statistics.stats),
    *(dataset.build, dataset.push, dataset.publish, dataset.download, dataset.remove, exports.export),
    *(comparison.diff, comparison.overlap),
    *(patches.extract_subimages, patches.select_patches),
    *(annotate.deal, annotate.deal_study, annotate.reassign, annotate.annotate, annotate.accounts),
    *(annotate.merge, round.round_),
):
    main.add_command(command)
