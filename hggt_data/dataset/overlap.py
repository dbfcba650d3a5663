"""Pictures that occur twice: shared by train and test, which makes scores meaningless, or inside a split."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hggt_data.dataset.inputs import TEST, TRAIN
from hggt_data.dataset.manifest import Shard
from hggt_data.errors import TreeError
from hggt_data.io.names import by_look, compare_names, look
from hggt_data.io.text import format_examples, plural
from hggt_data.problems import Problem
from hggt_data.tree.layout import is_candidate_name

Overlap = Mapping[str, Sequence[str]]

_NOUNS = {"source_pictures": "source picture", "originals": "identical original", "candidates": "identical candidate"}


def shared_pictures(train: Iterable[str], test: Iterable[str]) -> dict[str, list[str]]:
    """Source pictures that are in both splits, or whose names look the same, as an overlap of that kind only."""
    trained, tested = set(train), set(test)
    known = by_look(sorted(trained))
    alike = sorted(name for name in tested - trained if look(name) in known)
    return {"source_pictures": [*sorted(trained & tested), *(compare_names(n, known[look(n)]) for n in alike)]}


def find_overlap(shards: Sequence[Shard], image_names: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Source pictures, originals with the same pixels, and files of candidates that train and test share.

    `image_names` are the source pictures of the groups of each split.
    """
    pictures = {
        split: [image_names[split][group] for shard in shards if shard.split == split for group in shard.ids]
        for split in (TRAIN, TEST)
    }
    trained: dict[str, list[str]] = {}
    for group, digest in _originals(shards, TRAIN):
        trained.setdefault(digest, []).append(group)
    same = [f"{twin} = {group}" for group, digest in _originals(shards, TEST) for twin in trained.get(digest, ())]
    copied = dict(_candidates(shards, TRAIN))
    copies = [f"{name} = {copied[digest]}" for digest, name in _candidates(shards, TEST) if digest in copied]
    return {**shared_pictures(pictures[TRAIN], pictures[TEST]), "originals": sorted(same), "candidates": sorted(copies)}


def find_duplicates(shards: Sequence[Shard]) -> Iterator[Problem]:
    """Originals with the same pixels inside a split."""
    for split in (TRAIN, TEST):
        first: dict[str, str] = {}
        for group, digest in _originals(shards, split):
            twin = first.setdefault(digest, group)
            if twin != group:
                message = f"the original of {group} has the same pixels as that of {twin}"
                yield Problem("duplicate-picture", "warning", "", message, "Does one of them have the wrong name?")


def _originals(shards: Sequence[Shard], split: str) -> Iterator[tuple[str, str]]:
    return (item for shard in shards if shard.split == split for item in shard.originals.items())


def _candidates(shards: Sequence[Shard], split: str) -> Iterator[tuple[str, str]]:
    """SHA-256 and name of each candidate's file."""
    for shard in shards:
        for path, (_, digest) in shard.inputs.items() if shard.split == split else ():
            *_, folder, name = path.split("/")
            if name.endswith(".png") and is_candidate_name(folder):
                yield digest, name


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
