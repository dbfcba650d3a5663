"""What is to be removed from data, and from everything made of it: groups, source pictures, and people's votes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from hggt_data.schema import Annotation, PatchGroup, Vote

AnyVote = TypeVar("AnyVote", bound=Annotation | Vote)
_LETTER = re.compile(r"[A-Z]")  # an official slot, which several people may have filled


@dataclass(frozen=True, slots=True)
class Unwanted:
    """What to remove.

    Attributes:
        groups: Groups by id.
        source_pictures: Source pictures with all their groups.
        annotators: Names and pseudonyms of people whose votes are removed.
    """

    groups: frozenset[str] = frozenset()
    source_pictures: frozenset[str] = frozenset()
    annotators: frozenset[str] = frozenset()

    def has_group(self, group: str, image_name: str) -> bool:
        """Whether a group is removed as a whole."""
        return group in self.groups or image_name in self.source_pictures

    def is_by(self, annotator: str | None, slot: str | None) -> bool:
        """Whether a vote is by one of the annotators; a slot may have a person's name, but not a single letter."""
        is_name = slot is not None and not _LETTER.fullmatch(slot)
        return annotator in self.annotators or (is_name and slot in self.annotators)

    def votes_in(self, group: PatchGroup) -> list[Annotation | Vote]:
        """The votes on a group that are removed."""
        votes: Iterable[Annotation | Vote] = (*group.annotations, *group.pairs, *group.choices, *group.scores)
        return [vote for vote in votes if self.is_by(vote.annotator, vote.slot)]

    def without(self, votes: Iterable[AnyVote]) -> tuple[AnyVote, ...]:
        """The votes that remain."""
        return tuple(vote for vote in votes if not self.is_by(vote.annotator, vote.slot))

    def is_mentioned(self, text: str) -> bool:
        """Whether a text, such as a path, has one of the names in it."""
        names = "|".join(re.escape(name) for name in sorted(self.groups | self.source_pictures | self.annotators))
        return bool(names) and re.search(rf"(?<![\w-])(?:{names})(?![^\W_])", text) is not None
