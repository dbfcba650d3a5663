"""What `enhance`, `upscale` and `degrade` read: pictures of a folder or a dataset, and networks by name."""

import re
from collections.abc import Sequence
from pathlib import Path

from hggt_data.errors import SettingsError
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.picture_job import Source
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import print_line
from hggt_data.loading import open_groups, split_or_default
from hggt_models.inference.folders import list_lr, list_pictures, require_output_outside
from hggt_models.networks.weights import WEIGHTS_ENDINGS


def open_sources(
    folder: Path | None = None,
    data: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    *,
    output: Path,
) -> tuple[list[Source], str]:
    """The pictures of a folder, or the low-resolution ones of a dataset or tree; and their origin, for the record.

    Args:
        folder: Folder of pictures.
        data: Tree, built dataset, or ORG/NAME on the Hub, whose low-resolution images are restored.
        split: Split of the dataset.  [default: test]
        revision: Tag, branch or commit on the Hub.  [default: main]
        output: New or empty folder, or the output of an interrupted run with the same options.

    Raises:
        SettingsError: Not exactly one of `folder` and `data` is given, or `output` lies inside `folder`.
    """
    if (folder is None) == (data is None):
        raise SettingsError("expected exactly one of `folder` and `data`")
    if data is not None:
        split = split_or_default(data, split, "test")
        groups = open_groups(data, split, revision=revision)
        return list_lr(groups), f"{groups.location if is_hub_id(data) else data} {split or ''}".rstrip()
    if split is not None or revision is not None:
        raise SettingsError("`split` and `revision` belong to `data`, which is missing")
    assert folder is not None
    require_output_outside(output, folder, "folder")
    sources, others = list_pictures(folder)
    if others:
        print_line(f"Skipped {plural(len(others), 'non-picture file')}: {format_examples(others)}")
    return sources, str(folder)


def parse_candidate_weights(values: Sequence[str]) -> dict[str, str]:
    """Parse `01=FILE`, one for each candidate."""
    weights: dict[str, str] = {}
    for value in values:
        name, equals, file = value.partition("=")
        if not equals or not re.fullmatch(r"[0-9]{2,}", name):
            raise SettingsError(f"`weights` {value!r}: expected CANDIDATE=FILE, such as 01=enhance-01.pth")
        if name in weights:
            raise SettingsError(f"`weights`: candidate {name} is given twice")
        weights[name] = require_weights(file)
    return weights


def require_weights(source: str) -> str:
    """Check that a network's name is a file, a training run's folder, or ORG/NAME on the Hub."""
    path = Path(source)
    if path.exists():
        return source
    if path.suffix in WEIGHTS_ENDINGS and "://" in source:
        raise SettingsError(f"{source} is an address; download the file and pass its path")
    if not is_hub_id(source) or path.suffix in WEIGHTS_ENDINGS:
        raise SettingsError(f"{source!r} is neither a file or folder nor a name on the Hub (ORG/NAME)")
    return source


def parse_tile(text: str) -> int | None:
    """Parse the side of a tile in pixels; None for `auto`."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{text!r}: expected a number of pixels, or auto")
    return int(text)
