"""hggt-data where only `python` is at hand: python -m hggt_data validate TREE ..."""

from hggt_data.cli.main import main

main(prog_name="hggt-data")
