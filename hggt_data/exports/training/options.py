"""Lists and option files that make trainers read exported pairs.

Source: BasicSR `basicsr/data/paired_image_dataset.py`, neosr `neosr/data/paired_dataset.py`, traiNNer-redux
`traiNNer/data/paired_image_dataset.py` and `traiNNer/utils/redux_options.py`, OSEDiff
`dataloaders/realsr_dataset.py`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hggt_data.exports.training.files import GT, LQ, SOURCE
from hggt_data.exports.training.pairs import Size

Format = Literal["basicsr", "neosr", "trainner-redux", "paths", "webdataset"]
META_INFO = "meta_info.txt"
_CROP_PX = 256  # side of a target's crop, and the flips below: as in the published runs
_SOURCE_NOTE = "# source/ has originals of full size: `lq` is to be degraded in training.\n"
_OPTIONS: dict[str, tuple[str, str]] = {
    "basicsr": (
        "basicsr.yml",
        """\
scale: {scale}
datasets:
  train:
    name: HGGT
    type: PairedImageDataset
    dataroot_gt: {gt}
    dataroot_lq: {lq}
    meta_info_file: {meta_info}
    io_backend:
      type: disk
    gt_size: {gt_px}
    use_hflip: true
    use_rot: false
    use_shuffle: true
    num_worker_per_gpu: 4
    batch_size_per_gpu: 12
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
""",
    ),
    # The others read the folders: with `meta_info`, their loaders of November 2026 do not find the files of a pair.
    "neosr": (
        "neosr.toml",
        """\
scale = {scale}

[datasets.train]
type = "paired"
dataroot_gt = {gt}
dataroot_lq = {lq}
patch_size = {lq_px}
batch_size = 12
use_hflip = true
use_rot = false
""",
    ),
    "trainner-redux": (
        "trainner-redux.yml",
        """\
scale: {scale}
datasets:
  train:
    name: HGGT
    type: PairedImageDataset
    dataroot_gt: [{gt}]
    dataroot_lq: [{lq}]
    io_backend:
      type: disk
    lq_size: {lq_px}
    use_hflip: true
    use_rot: false
    num_worker_per_gpu: 4
    batch_size_per_gpu: 12
""",
    ),
}


def format_meta_info(names: Sequence[str], sizes: Sequence[Size]) -> str:
    """One target a line: its file and its size, `a-0-0.png (512,512,3)`."""
    lines = [f"{name}.png ({size[0]},{size[1]},3)\n" for name, size in zip(names, sizes, strict=True)]
    return "".join(lines)


def format_paths(folder: Path, names: Sequence[str]) -> str:
    """The absolute path of each file, one a line."""
    return "".join(f"{folder / name}.png\n" for name in names)


def format_options(form: Format, folder: Path, title: str, scale: int | None, smallest_px: int) -> dict[str, str]:
    """The option file of a trainer, by its name; none for formats of no single trainer.

    Args:
        form: The format.
        folder: Final place of the export.
        title: What the pairs are, in one line.
        scale: Side of a target divided by side of its LR; None for pairs of target and source.
        smallest_px: Smallest side of a target.
    """
    if form not in _OPTIONS:
        return {}
    lq_px = min(_CROP_PX, smallest_px) // (scale or 1)
    places = {"gt": folder / GT, "lq": folder / (LQ if scale else SOURCE), "meta_info": folder / META_INFO}
    values = {name: json.dumps(str(path), ensure_ascii=False) for name, path in places.items()}  # quoted
    name, text = _OPTIONS[form]
    note = "" if scale else _SOURCE_NOTE
    text = text.format(**values, scale=scale or 1, lq_px=lq_px, gt_px=lq_px * (scale or 1))
    return {name: f"# {title}\n# Copy these lines into your options.\n{note}{text}"}
