"""Draw one group of the demo with its labels, as README shows it.

python scripts/group_picture.py OUTPUT.jpg [--dataset DIR] [--split SPLIT] [--group ID]

Without --dataset, a training group of the demo is drawn.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hggt_data import Group, open_groups
from hggt_data.io.files import atomic_file
from hggt_data.palette import PALETTE
from hggt_data.schema import ORIGINAL
from hggt_data.tree.demo import write_demo_tree

_SIDE, _GAP, _TEXT = 256, 12, 62
_GREY = "#5c6570"


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--group", default="chelsea-16-96")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = open_groups(arguments.dataset or write_demo_tree(Path(folder)).train, arguments.split)
        ids = list(source.ids)
        if arguments.group not in ids:
            parser.error(f"no group {arguments.group!r}; the first are {', '.join(ids[:5])}")
        picture = draw_group(source[ids.index(arguments.group)])
    with atomic_file(arguments.output) as file:
        picture.save(file, "JPEG", quality=90)


def draw_group(group: Group) -> Image.Image:
    """The original and its candidates in a row, with the consensus and the votes of each candidate below."""
    names = (ORIGINAL, *group.candidates)
    width = len(names) * (_SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, _SIDE + _TEXT + 2 * _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(20), ImageFont.load_default(15)
    for k, name in enumerate(names):
        left = _GAP + k * (_SIDE + _GAP)
        picture = Image.fromarray(np.asarray(group.read(name))).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left, _GAP))
        top = _GAP + _SIDE + 8
        if name == ORIGINAL:
            draw.text((left, top), "original", "black", large)
            draw.text((left, top + 28), group.id, _GREY, small)
            continue
        label = group.consensus[k - 1]
        words = "no consensus" if label is None else f"{label.value} ({group.agreement[k - 1]})"
        draw.text((left, top), f"{name}  {words}", _GREY if label is None else PALETTE[label].on_light, large)
        given = ((one.slot, one.labels[k - 1]) for one in group.annotations)
        votes = "   ".join(f"{slot}: {vote.value if vote else '-'}" for slot, vote in given)
        draw.text((left, top + 28), votes, _GREY, small)
    return sheet


if __name__ == "__main__":
    main()
