"""Source pictures of a tree that are one picture under several names."""

from collections.abc import Iterator
from pathlib import Path

from hggt_data.io.images import hash_pixels, read_beginning, read_pixels
from hggt_data.io.names import find_lookalikes
from hggt_data.io.workers import show_progress
from hggt_data.schema import ORIGINAL
from hggt_data.tree.listing import Listing


def find_twins(listing: Listing) -> list[list[str]]:
    """Sorted names of source pictures that share an original with equal pixels, or whose names look the same."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := leader.setdefault(name, name)) != name:
            name = above
        return name

    names = sorted({group_id.image for group_id in listing.ids})
    for name, other in [*find_lookalikes(names), *_equal_originals(listing)]:
        low, high = sorted((find(name), find(other)))
        leader[high] = low
    clusters: dict[str, list[str]] = {}
    for name in sorted(leader):
        clusters.setdefault(find(name), []).append(name)
    return [names for names in clusters.values() if len(names) > 1]


def _equal_originals(listing: Listing) -> Iterator[tuple[str, str]]:
    """Pairs of source pictures; only originals that begin with the same pixels are decoded."""
    beginnings: dict[object, list[tuple[str, Path]]] = {}
    for files in show_progress(listing, len(listing), "comparing pictures"):
        path = files.images[ORIGINAL]
        beginnings.setdefault(read_beginning(path), []).append((files.id.image, path))
    for originals in beginnings.values():
        if len({image for image, _ in originals}) > 1:
            first: dict[str, str] = {}
            for image, path in originals:
                twin = first.setdefault(hash_pixels(read_pixels(path)), image)
                if twin != image:
                    yield image, twin
