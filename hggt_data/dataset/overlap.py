"""Pictures that occur twice: shared by train and test, which makes scores meaningless, or inside a split."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hggt_data.dataset.inputs import TEST, TRAIN
from hggt_data.dataset.manifest import Shard
from hggt_data.errors import TreeError
from hggt_data.io.names import by_look, compare_names, look
from hggt_data.io.text import format_examples, plural
from hggt_data.problems import Problem
from hggt_data.tree.equal_pictures import DUPLICATE_HINT, RepeatedPictures

Overlap = Mapping[str, Sequence[str]]

_NOUNS = {"source_pictures": "source picture", "pictures": "equal picture"}


def shared_pictures(train: Iterable[str], test: Iterable[str]) -> dict[str, list[str]]:
    """Source pictures that are in both splits, or whose names look the same, as an overlap of that kind only."""
    trained, tested = set(train), set(test)
    known = by_look(sorted(trained))
    alike = sorted(name for name in tested - trained if look(name) in known)
    return {"source_pictures": [*sorted(trained & tested), *(compare_names(n, known[look(n)]) for n in alike)]}


def find_overlap(
    shards: Sequence[Shard], candidates: Sequence[str], image_names: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    """Source pictures, and originals or candidates with the same pixels, that train and test share.

    `image_names` are the source pictures of the groups of each split.
    """
    sources = {
        split: [image_names[split][group] for shard in shards if shard.split == split for group in shard.ids]
        for split in (TRAIN, TEST)
    }
    trained: dict[str, list[str]] = {}
    for _, digests in _pictures(shards, candidates, TRAIN):
        for picture, digest in digests.items():
            trained.setdefault(digest, []).append(picture)
    same = [
        f"{picture} = {format_examples(trained[digest])}"
        for _, digests in _pictures(shards, candidates, TEST)
        for picture, digest in digests.items()
        if digest in trained
    ]
    return {**shared_pictures(sources[TRAIN], sources[TEST]), "pictures": same}


def find_duplicates(shards: Sequence[Shard], candidates: Sequence[str]) -> Iterator[Problem]:
    """Groups of one split that have pictures with the same pixels."""
    for split in (TRAIN, TEST):
        repeated = RepeatedPictures()
        for group, digests in _pictures(shards, candidates, split):
            for picture, message in repeated.add(group, digests):
                yield Problem("duplicate-picture", "warning", "", f"{picture} {message}", DUPLICATE_HINT)


def _pictures(shards: Sequence[Shard], candidates: Sequence[str], split: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each group of a split, and digests of its pictures' pixels, by names for messages: `original of p0-0-0`."""
    for group, digests in (found for shard in shards if shard.split == split for found in shard.digests(candidates)):
        yield group, {f"{name} of {group}": digest for name, digest in digests.items()}


def require_no_overlap(overlap: Overlap) -> None:
    """TreeError if train and test share anything."""
    found = [f"{text} ({format_examples(items)})" for text, items in _counted(overlap)]
    if found:
        raise TreeError(
            f"train and test share {'; '.join(found)}. Scores on such a test set are meaningless. Split by source "
            "picture, or pass `allow_overlap` to build it and record the overlap."
        )


def describe_overlap(overlap: Overlap) -> list[str]:
    """What train and test share, one line per kind."""
    return [f"train and test share {text}: {format_examples(items)}" for text, items in _counted(overlap)]


def _counted(overlap: Overlap) -> Iterator[tuple[str, Sequence[str]]]:
    return ((plural(len(items), _NOUNS[kind]), items) for kind, items in overlap.items() if items)
