"""Commands that cut pictures: crops for pretraining, patches for annotation."""

from typing import Any

import click

from hggt_data.cli.group import HggtCommand, echo_outcome
from hggt_data.cli.options import FOLDER, Detail, Option, Parsed

_PIXELS = Option(metavar="PX")
_SIZES: dict[str, Detail] = {"crop": _PIXELS, "step": _PIXELS}


@click.command(
    "extract-subimages",
    cls=HggtCommand,
    options_of="hggt_data.patches.subimages:extract_subimages",
    details={
        **_SIZES,
        "inputs": Option("--input", FOLDER),
        "scales": Option(type=Parsed("hggt_data.patches.subimages:parse_scales", "LIST"), default="0.75,0.5,1/3"),
        "short_side": _PIXELS,
        "threshold": _PIXELS,
        "choose": Option(metavar="N"),
    },
)
def extract_subimages(arguments: dict[str, Any]) -> None:
    """Cut large pictures into crops for pretraining.

    Each picture is cut at its own size and in scaled versions: NAME_s001.png, NAMET0_s001.png and so on. After an
    interruption, run it again: it resumes. Pictures that cannot be read are skipped; the exit code is then 1.
    """
    from hggt_data.patches.subimages import extract_subimages as run

    echo_outcome(run(**arguments))


@click.command(
    "select-patches",
    cls=HggtCommand,
    options_of="hggt_data.patches.selection:cut_patches",
    details={**_SIZES, "folder": Option("--input", FOLDER)},
)
def select_patches(arguments: dict[str, Any]) -> None:
    """Select patches of enhanced pictures for annotation.

    Writes original/IMAGE-TOP-LEFT.png, 01/IMAGE-TOP-LEFT_01.png and so on for positions where any version shows enough
    detail. Also writes patches.csv (all positions examined), crop_area_info.txt (those selected), and contact sheets.
    After an interruption, run it again: it resumes. Pictures that cannot be read are skipped; the exit code is then 1.
    """
    from hggt_data.patches.selection import cut_patches

    echo_outcome(cut_patches(**arguments))
