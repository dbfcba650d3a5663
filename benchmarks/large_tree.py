"""Write a tree of 512 x 512 groups, as large as wanted, from the demo's pictures, for the benchmarks.

The pictures are enlarged and given a little noise, so that a PNG is about as large as the official data's (420 KB).
A few groups are really written; the rest are hard links to them under other names, so a large tree costs little disk.
"""

import os
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from hggt_data.io.files import write_text
from hggt_data.io.images import encode_png
from hggt_data.schema import ORIGINAL, Annotation, Label, PatchId
from hggt_data.tree.demo import CANDIDATES
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.hggt_labels import format_annotation

_DISTINCT_GROUPS = 24
_SIDE = 512


def write_large_tree(folder: Path, num_groups: int) -> Path:
    """Write `folder/Train` with `num_groups` groups and three annotators, and return it."""
    tree = folder / "Train"
    rng = np.random.default_rng(0)
    names = (ORIGINAL, *CANDIDATES)
    for name in names:
        (tree / "images" / name).mkdir(parents=True)
    for slot in "ABC":
        (tree / "labels" / slot).mkdir(parents=True)
    distinct: list[dict[str, Path]] = []
    for number in range(num_groups):
        group_id = str(PatchId(f"{number:05d}", 0, 0))
        paths = {name: tree / "images" / name / picture_name(group_id, name) for name in names}
        if number < _DISTINCT_GROUPS:
            for name, path in paths.items():
                path.write_bytes(encode_png(_picture(number, name, rng)))
            distinct.append(paths)
        else:
            for name, path in paths.items():
                os.link(distinct[number % _DISTINCT_GROUPS][name], path)
        for k, slot in enumerate("ABC"):
            labels = tuple(list(Label)[(number + k // 2 + j) % 3] for j in range(len(CANDIDATES)))
            text = format_annotation(Annotation(slot, labels, seconds=30.0), group_id, CANDIDATES)
            write_text(tree / "labels" / slot / f"{group_id}.json", text)
    return tree


def _picture(number: int, name: str, rng: np.random.Generator) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    source = ("astronaut", "chelsea", "coffee", "rocket")[number % 4]
    with (files("hggt_data.tree") / "demo_pictures" / f"{source}.png").open("rb") as file:
        picture = Image.open(file).convert("RGB")
    left, top = rng.integers(0, 32, 2)
    picture = picture.crop((left, top, left + 256, top + 256)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    noisy = np.asarray(picture) + rng.normal(0, 1.2 if name == ORIGINAL else 0.9, (_SIDE, _SIDE, 3))
    return np.clip(noisy, 0, 255).round().astype(np.uint8)
