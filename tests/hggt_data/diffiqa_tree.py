"""Writes small trees in DiffIQA's layout."""

import json
from collections.abc import Mapping
from pathlib import Path

from hggt_data.io.images import encode_png
from hggt_data.schema import Label
from tests.hggt_data.trees import noise, write_bytes

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
CANDIDATES = ("01", "02", "03")
# Group to the labels of each candidate by the slots A, B, C: a majority for 01 and 02, none for 03.
VOTES = {"01": (P, P, N), "02": (S, S, S), "03": (P, S, N)}
GROUPS = ("000006x0y770", "000006x40y8", "000009x5y16")


def write_diffiqa(
    root: Path,
    groups: Mapping[str, Mapping[str, tuple[Label | None, ...]]] | None = None,
    *,
    original: str = "Original",
    size: tuple[int, int] = (16, 16),
) -> Path:
    """Write a tree; None in place of a label is a vote that is missing."""
    groups = dict.fromkeys(GROUPS, VOTES) if groups is None else groups
    for group, votes in groups.items():
        write_bytes(root / f"images/{original}/{group}.png", encode_png(noise(size, group)))
        for name, labels in votes.items():
            write_bytes(root / f"images/{name}/{group}_{name}.png", encode_png(noise(size, f"{group} {name}")))
            for slot, label in zip("ABC", labels, strict=True):
                if label is not None:
                    write_bytes(root / f"labels/{slot}/{name}/{group}_{name}.json", vote(group, name, label))
    return root


def vote(group: str, name: str, label: Label) -> bytes:
    """The JSON of one vote."""
    content = {
        "Picture_AI": {"Name": f"{group}_{name}.png", "File": name, "ImageSize": [], "Label": label.value},
        "picture_Original": {"Name": f"{group}.png", "File": "Original", "ImageSize": [], "Label": None},
        "Time_cost": {"Start": "2024-05-08 19:34:49", "End": "2024-05-08 19:34:50", "Total": 1.5},
    }
    return json.dumps(content).encode()


def write_splits(root: Path) -> Path:
    """Write `Train/`, `Validation/` and `Test/`, which share the source picture 000006, as the official ones do."""
    for split, names in (("Train", GROUPS), ("Validation", ("000006x80y8",)), ("Test", ("000009x50y0", "000012x1y2"))):
        write_diffiqa(root / split, dict.fromkeys(names, VOTES))
    return root
