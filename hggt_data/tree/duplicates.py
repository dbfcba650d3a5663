"""Equal pictures: inside groups, when a folder was copied or an enhancer changes nothing, or in several groups."""

from collections.abc import Iterator, Mapping

from hggt_data.io.images import is_flat_digest
from hggt_data.io.text import plural
from hggt_data.problems import Problem

DUPLICATE_HINT = "Does one of them have the wrong name?"
_HINT = "Was one folder copied into the other? `hggt-data export pairs` leaves out pairs of equal pictures."


class EqualPictures:
    """Counts for each folder in how many groups it has the same pixels as another one."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], list[str]] = {}

    def add(self, digests: Mapping[str, str]) -> None:
        """Add one group: the path of each picture to a digest of its pixels."""
        first: dict[str, str] = {}
        for path, digest in digests.items():
            other = first.setdefault(digest, path)
            if other != path:
                folders = path.rpartition("/")[0], other.rpartition("/")[0]
                self._groups.setdefault(folders, []).append(path)

    def problems(self) -> Iterator[Problem]:
        """A warning for each folder."""

        def name_of(path: str) -> str:
            return path.rpartition("/")[2]

        for (folder, other), paths in self._groups.items():
            number = "1 picture has" if len(paths) == 1 else f"{len(paths):,} pictures have"
            message = f"{number} the same pixels as in {name_of(other)}/ (first: {name_of(paths[0])})"
            yield Problem("equal-pictures", "warning", folder, message, _HINT)


class RepeatedPictures:
    """Finds pictures that have the pixels of a picture of an earlier group, and more than one colour."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}

    def add(self, group: str, digests: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Add one group: each picture to a digest of its pixels.

        Return a picture and what is said of it, once for each earlier group with equal pictures.
        """
        repeated: dict[str, list[tuple[str, str]]] = {}
        for picture, digest in digests.items():
            if is_flat_digest(digest):
                continue
            other, first = self._first.setdefault(digest, (group, picture))
            if other != group:
                repeated.setdefault(other, []).append((picture, first))
        for other, ((picture, first), *more) in repeated.items():
            rest = f"; so have {plural(len(more), 'more picture')} of groups {group} and {other}" if more else ""
            yield picture, f"has the same pixels as {first}{rest}"
