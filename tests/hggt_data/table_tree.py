"""Writes folders of tables of votes, with noise as pictures."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hggt_data.io.images import encode_png
from tests.hggt_data.trees import noise, write_bytes

TABLES = Path(__file__).parents[1] / "data/tables"

# The three ways in which a folder may name the picture of a version of a group.
FORMS: Mapping[str, Callable[[str, str], str]] = {
    "GROUP/VERSION.png": lambda group, version: f"{group}/{version}.png",
    "VERSION/GROUP.png": lambda group, version: f"{version}/{group}.png",
    "HGGT": lambda group, version: (
        f"images/{version}/{group}.png" if version in ("original", "lr") else f"images/{version}/{group}_{version}.png"
    ),
}


def write_pictures(
    root: Path,
    groups: Mapping[str, Sequence[str]],
    form: str = "GROUP/VERSION.png",
    size: tuple[int, int] = (16, 16),
) -> Path:
    """Write the pictures of each group's versions."""
    for group, versions in groups.items():
        for version in versions:
            small = (size[0] // 4, size[1] // 4) if version == "lr" else size
            write_bytes(root / FORMS[form](group, version), encode_png(noise(small, f"{group} {version}")))
    return root


def copy_tables(name: str, root: Path) -> Path:
    """Write the CSV files of one of the tables in `tests/data`."""
    shutil.copytree(TABLES / name, root, dirs_exist_ok=True)
    return root
