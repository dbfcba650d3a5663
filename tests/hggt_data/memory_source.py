"""A group source that holds its pictures in memory, for tests that need odd groups."""

from collections.abc import Mapping

import numpy as np

from hggt_data.consensus import judge_group
from hggt_data.groups import GroupSource
from hggt_data.io.images import Pixels, encode_png
from hggt_data.schema import ORIGINAL, Annotation, Label, PatchGroup, group_order


class MemorySource(GroupSource):
    """Groups from id -> candidate -> (pixels, the label that two annotators give it).

    Every original is black and as large as the group's first candidate.
    """

    def __init__(self, groups: Mapping[str, Mapping[str, tuple[Pixels, Label]]]) -> None:
        self.location = "memory"
        self._groups = dict(groups)
        self.ids = sorted(self._groups, key=group_order)
        self.candidates = tuple(next(iter(self._groups.values())))

    def _read_labels(self, index: int) -> PatchGroup:
        group = self._groups[self.ids[index]]
        labels = tuple(label for _, label in group.values())
        return judge_group(self.ids[index], tuple(group), [Annotation(slot, labels) for slot in "AB"])

    def read_bytes(self, index: int, name: str) -> bytes:
        group = self._groups[self.ids[index]]
        if name == ORIGINAL:
            return encode_png(np.zeros_like(next(iter(group.values()))[0]))
        return encode_png(group[name][0])


class VotesSource(GroupSource):
    """Groups made by hand, without pictures."""

    def __init__(self, *groups: PatchGroup) -> None:
        self.location = "memory"
        self.candidates = groups[0].candidates
        self.ids = [group.id for group in groups]
        self._groups = groups

    def _read_labels(self, index: int) -> PatchGroup:
        return self._groups[index]

    def read_bytes(self, index: int, name: str) -> bytes:
        raise KeyError(name)
