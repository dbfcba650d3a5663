"""Finds the pictures of a table of votes: `GROUP/VERSION.png`, `VERSION/GROUP.png`, or HGGT's names.

The last are `VERSION/GROUP_VERSION.png`; a scale may follow, as in SRIQA-Bench's `SwinIR/x1_SwinIRx4.png`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hggt_data.errors import NameFormatError
from hggt_data.io.pictures import CONVERT_HINT, looks_like_picture
from hggt_data.schema import LR, ORIGINAL, is_candidate, require_group_id
from hggt_data.tree.folders import CheckedFolders
from hggt_data.tree.table_votes import version_name

_ENDING = ".png"
_DEEPEST = 6  # folders inside each other


@dataclass(slots=True)
class TablePictures:
    """The pictures of the groups.

    Attributes:
        folder: where they are.
        places: group, and version to the file's folder and name.
    """

    folder: Path
    folders: CheckedFolders
    places: dict[str, dict[str, tuple[Path, str]]] = field(default_factory=dict)

    def of(self, group_id: str) -> Mapping[str, Path]:
        """The picture of each version of a group: the original, candidates in order, then the low-resolution one."""
        found = self.places[group_id]
        order = {ORIGINAL: 0, LR: 2}
        return {
            version: found[version][0] / found[version][1]
            for version in sorted(found, key=lambda version: (order.get(version, 1), version))
        }

    def candidates(self) -> tuple[str, ...]:
        """All candidates, sorted."""
        return tuple(sorted({version for found in self.places.values() for version in found} - {ORIGINAL, LR}))

    def find(self, groups: Collection[str], versions: Collection[str], given: Collection[Path]) -> None:
        """Find the pictures of groups and versions, mostly those of the table; `given` files have a place already."""
        known = {*versions, ORIGINAL, LR}
        files = list(self._walk(self.folder, given))

        def by_group(folder: Path, name: str) -> tuple[str, str]:
            return folder.name, version_name(name.removesuffix(_ENDING))

        def by_version(folder: Path, name: str) -> tuple[str, str]:
            version, stem = version_name(folder.name), name.removesuffix(_ENDING)
            shorter = re.sub(rf"_{re.escape(folder.name)}(x[0-9]+)?\Z", "", stem)
            return shorter if shorter in groups or (stem not in groups and version != ORIGINAL) else stem, version

        def number_in_table(read: Callable[[Path, str], tuple[str, str]]) -> int:
            return sum(group in groups and version in known for group, version in (read(*file) for file in files))

        read = max((by_group, by_version), key=number_in_table)
        for folder, name in files:
            group, version = read(folder, name)
            if (group not in groups and version not in known) or not (version in known or is_candidate(version)):
                message = "expected GROUP/VERSION.png or VERSION/GROUP.png, with a group or version of the table"
                self.folders.report_extra(folder / name, message)
            else:
                self.add(group, version, folder, name)

    def add(self, group: str, version: str, folder: Path, name: str) -> None:
        """Add a picture; a second one of the same version is reported."""
        try:
            require_group_id(group)
        except NameFormatError as error:
            self.folders.report("bad-patch-id", "error", folder / name, str(error), "Rename or remove the picture.")
            return
        found = self.places.setdefault(group, {})
        first = found.setdefault(version, (folder, name))
        if first != (folder, name):
            message = f"group {group} has {version} also in {first[0].name}/{first[1]}; expected each picture once"
            self.folders.report("duplicate-group", "error", folder / name, message, "Remove one of the two.", group)

    def _walk(self, folder: Path, given: Collection[Path], depth: int = 0) -> Iterator[tuple[Path, str]]:
        """(folder, name) of each PNG in folders of the folder; other pictures are reported."""
        for entry in self.folders.scan(folder):
            path = folder / entry.name
            if entry.name.startswith(".") or path in given:
                continue
            if entry.is_dir():
                if depth < _DEEPEST and self.folders.check_link(path, "folder") and self.folders.check_name(path):
                    yield from self._walk(path, given, depth + 1)
            elif not looks_like_picture(entry.name):
                continue
            elif not entry.name.endswith(_ENDING):
                self.folders.report_extra(
                    path, f"expected a PNG named *{_ENDING}", f"{CONVERT_HINT} Now it is ignored."
                )
            elif not depth:
                self.folders.report_extra(path, "expected pictures in folders: GROUP/VERSION.png or VERSION/GROUP.png")
            elif self.folders.check_link(path, "file"):
                yield folder, entry.name
