"""Source pictures that are one picture under several names."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hggt_data.errors import ImageError
from hggt_data.io.images import hash_pixels, is_flat_digest, read_beginning, read_pixels
from hggt_data.io.names import find_lookalikes
from hggt_data.io.workers import show_progress
from hggt_data.schema import LR
from hggt_data.tree.listing import GroupFiles, Listing


def find_aliases(listing: Listing) -> list[list[str]]:
    """Sorted names of source pictures that share a picture with equal pixels, or whose names look the same."""
    names = sorted(set(listing.image_names))
    groups = show_progress(listing, len(listing), "comparing pictures")
    return join_pairs([*find_lookalikes(names), *find_equal(list_pictures(groups))])


def list_pictures(groups: Iterable[GroupFiles]) -> Iterator[tuple[str, Path]]:
    """The source picture and the file of every original and candidate."""
    return ((files.image_name, path) for files in groups for name, path in files.images.items() if name != LR)


def find_equal(pictures: Iterable[tuple[str, Path]], *, skip_faulty: bool = False) -> Iterator[tuple[str, str]]:
    """Pairs of names that have equal pictures of more than one colour, from the name and file of each.

    A name may have several files. Only those that begin with the same pixels are decoded. Pictures other than intact
    8-bit RGB PNG raise ImageError or OSError, or are skipped.
    """
    faults = (ImageError, OSError) if skip_faulty else ()
    beginnings: dict[object, list[tuple[str, Path]]] = {}
    for name, path in pictures:
        try:
            beginnings.setdefault(read_beginning(path), []).append((name, path))
        except faults:
            continue
    for alike in beginnings.values():
        if len({name for name, _ in alike}) > 1:
            first: dict[str, str] = {}
            for name, path in alike:
                try:
                    digest = hash_pixels(read_pixels(path))
                except faults:
                    continue
                first_name = first.setdefault(digest, name)
                if first_name != name and not is_flat_digest(digest):
                    yield name, first_name


def join_pairs(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Sorted lists of names that are connected by pairs."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := leader.setdefault(name, name)) != name:
            name = above
        return name

    for pair in pairs:
        low, high = sorted(map(find, pair))
        leader[high] = low
    clusters: dict[str, list[str]] = {}
    for name in sorted(leader):
        clusters.setdefault(find(name), []).append(name)
    return [names for names in clusters.values() if len(names) > 1]
