"""Pictures that occur twice: shared by two splits, which makes scores meaningless, or inside a split."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from hggt_data.dataset.manifest import Shard
from hggt_data.errors import TreeError
from hggt_data.io.images import is_flat_digest
from hggt_data.io.names import by_look, compare_names, look
from hggt_data.io.text import format_examples, plural
from hggt_data.problems import Problem
from hggt_data.schema import SPLITS
from hggt_data.tree.duplicates import DUPLICATE_HINT, RepeatedPictures

Overlap = Mapping[str, Sequence[str]]

_NOUNS = {"source_pictures": "source picture", "pictures": "equal picture"}


def shared_pictures(image_names: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Source pictures that are in two splits, or whose names look the same, as an overlap of that kind only.

    `image_names` are the source pictures of each split.
    """
    found: dict[str, None] = {}
    for one, other in combinations(map(set, image_names.values()), 2):
        known = by_look(sorted(one))
        alike = sorted(name for name in other - one if look(name) in known)
        found |= dict.fromkeys([*sorted(one & other), *(compare_names(n, known[look(n)]) for n in alike)])
    return {"source_pictures": list(found)}


def find_overlap(
    shards: Sequence[Shard], candidates: Sequence[str], image_names: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    """Source pictures, and originals or candidates with the same pixels of more than one colour, that splits share.

    `image_names` are the source pictures of the groups of each split.
    """
    sources = {
        split: [names[group] for shard in shards if shard.split == split for group in shard.ids]
        for split, names in image_names.items()
    }
    earlier: dict[str, list[str]] = {}  # digest to pictures of earlier splits
    same = []
    for split in image_names:
        own: dict[str, list[str]] = {}
        for _, digests in _pictures(shards, candidates, split):
            for picture, digest in digests.items():
                if is_flat_digest(digest):
                    continue
                own.setdefault(digest, []).append(picture)
                if digest in earlier:
                    same.append(f"{picture} = {format_examples(earlier[digest])}")
        for digest, pictures in own.items():
            earlier.setdefault(digest, []).extend(pictures)
    return {**shared_pictures(sources), "pictures": same}


def find_duplicates(shards: Sequence[Shard], candidates: Sequence[str]) -> Iterator[Problem]:
    """Groups of one split that have pictures with the same pixels."""
    for split in SPLITS:
        repeated = RepeatedPictures()
        for group, digests in _pictures(shards, candidates, split):
            for picture, message in repeated.add(group, digests):
                yield Problem("duplicate-picture", "warning", "", f"{picture} {message}", DUPLICATE_HINT)


def _pictures(shards: Sequence[Shard], candidates: Sequence[str], split: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each group of a split, and digests of its pictures' pixels, by names for messages: `original of p0-0-0`."""
    for group, digests in (found for shard in shards if shard.split == split for found in shard.digests(candidates)):
        yield group, {f"{name} of {group}": digest for name, digest in digests.items()}


def require_no_overlap(overlap: Overlap, splits: Iterable[str]) -> None:
    """TreeError if splits share anything."""
    found = [f"{text} ({format_examples(items)})" for text, items in _counted(overlap)]
    if found:
        raise TreeError(
            f"{_in_words(splits)} share {'; '.join(found)}. Scores on such a test set are meaningless. Split by source "
            "picture, or pass `allow_overlap` to build it and record the overlap."
        )


def describe_overlap(overlap: Overlap, splits: Iterable[str]) -> list[str]:
    """What splits share, one line per kind."""
    return [f"{_in_words(splits)} share {text}: {format_examples(items)}" for text, items in _counted(overlap)]


def warn_of_shared_pictures(overlap: Overlap, splits: Iterable[str]) -> Iterator[Problem]:
    """A warning for official splits that share source pictures."""
    for message in describe_overlap({"source_pictures": overlap["source_pictures"]}, splits):
        hint = "The official split is like that; scores on its test set are better than on new pictures."
        yield Problem("shared-pictures", "warning", "", message, hint)


def _in_words(splits: Iterable[str]) -> str:
    *others, last = splits
    return f"{', '.join(others)} and {last}" if others else last


def _counted(overlap: Overlap) -> Iterator[tuple[str, Sequence[str]]]:
    return ((plural(len(items), _NOUNS[kind]), items) for kind, items in overlap.items() if items)
