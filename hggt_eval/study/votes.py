"""The votes of a user study as arrays: people's votes on pairs, or their choices of the best, under one question."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from hggt_data.schema import ORIGINAL, ChoiceVote, PairVote, PatchGroup
from hggt_data.statistics.other_votes import count_other

Design = Literal["pairs", "best-of"]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
TIE = 2  # an outcome of a pair, beside 0 for the version shown first and 1 for the other


@dataclass(frozen=True, slots=True)
class StudyVotes:
    """Votes that may be analysed together. A *picture* is a source picture; a group is one of its patches.

    Attributes:
        question: What was asked; None if unknown.
        design: Votes on pairs, or choices of the best.
        methods: The versions that were compared, in the order of tables.
        pictures: Names of the source pictures.
        people: Pseudonyms; None if the annotator of some vote is unknown.
        num_other: Votes that do not count, by kind: `by models`, `gold`, `repeat`, `practice`.
        num_unknown: Votes whose annotator is unknown.
        group: (votes,) number of the group.
        picture: (votes,) index into `pictures`.
        person: (votes,) index into `people`; 0 if they are unknown.
        shown: (votes, most shown) indices into `methods` in the order shown, then -1.
        outcome: (votes,) position in `shown` of the preferred method; `TIE` in pairs.
        weight: (votes,) how many votes it stands for; a part of them if only a share is known.
    """

    question: str | None
    design: Design
    methods: tuple[str, ...]
    pictures: tuple[str, ...]
    people: tuple[str, ...] | None
    num_other: Mapping[str, int]
    num_unknown: int
    group: IntArray
    picture: IntArray
    person: IntArray
    shown: IntArray
    outcome: IntArray
    weight: FloatArray

    @property
    def num_votes(self) -> int:
        """All votes."""
        return round(float(self.weight.sum()))

    @property
    def num_pictures(self) -> int:
        """Source pictures with a vote."""
        return len(np.unique(self.picture))

    @property
    def num_people(self) -> int | None:
        """People with a vote; None if unknown."""
        return None if self.people is None else len(np.unique(self.person))

    def without(self, people: Collection[str]) -> "StudyVotes":
        """The votes of all others."""
        if self.people is None:
            return self
        left_out = np.array([name in people for name in self.people])
        return self.select(~left_out[self.person])

    def select(self, kept: npt.NDArray[np.bool_]) -> "StudyVotes":
        """Those for which `kept`, (votes,), is true."""
        arrays = {name: getattr(self, name)[kept] for name in _ARRAYS}
        return replace(self, **arrays)


_ARRAYS = ("group", "picture", "person", "shown", "outcome", "weight")
_Vote = PairVote | ChoiceVote
# Shown versions, the position of the preferred one, and the weight.
_Answer = tuple[tuple[str, ...], int, float]


def collect_votes(
    groups: Iterable[PatchGroup],
    picture_of: Callable[[PatchGroup], str] = lambda group: group.image_name,
    methods: Sequence[str] = (),
) -> list[StudyVotes]:
    """The votes under each question, votes on pairs apart from choices; in the order in which they occur.

    Args:
        groups: Groups with votes.
        picture_of: The source picture of a group.
        methods: Methods in the order of tables; others follow in the order of candidates.
    """
    found: dict[tuple[str | None, Design], list[tuple[int, str, _Vote]]] = {}
    versions: dict[str, None] = dict.fromkeys(methods)
    for number, group in enumerate(groups):
        versions |= dict.fromkeys(group.candidates)
        picture = picture_of(group)
        for design, votes in (("pairs", group.pairs), ("best-of", group.choices)):
            for vote in votes:
                found.setdefault((vote.question, design), []).append((number, picture, vote))  # type: ignore[arg-type]
    ordered = [name for name in versions if name != ORIGINAL] + [ORIGINAL]
    return [_as_arrays(question, design, votes, ordered) for (question, design), votes in found.items()]


def _as_arrays(
    question: str | None, design: Design, votes: Sequence[tuple[int, str, _Vote]], versions: Sequence[str]
) -> StudyVotes:
    counted = [(number, picture, vote) for number, picture, vote in votes if vote.counts]
    num_unknown = sum(vote.count for _, _, vote in counted if vote.annotator is None)
    methods = _in_order(versions, (name for _, _, vote in counted for name in _shown(vote)))
    pictures = sorted({picture for _, picture, _ in counted})
    people = None if num_unknown else sorted({str(vote.annotator) for _, _, vote in counted})
    index, of_picture = ({name: k for k, name in enumerate(names)} for names in (methods, pictures))
    of_person = {name: k for k, name in enumerate(people or ())}
    rows = [
        (number, of_picture[picture], of_person.get(vote.annotator or "", 0), *answer)
        for number, picture, vote in counted
        for answer in _answers(vote)
    ]
    most = max((len(shown) for *_, shown, _, _ in rows), default=2)
    numbers = [[index[name] for name in shown] + [-1] * (most - len(shown)) for *_, shown, _, _ in rows]
    group, picture_, person, _, outcome, weight = zip(*rows, strict=True) if rows else ((),) * 6
    return StudyVotes(
        question=question,
        design=design,
        methods=methods,
        pictures=tuple(pictures),
        people=None if people is None else tuple(people),
        num_other=dict(sorted(sum((count_other([vote]) for _, _, vote in votes), Counter()).items())),
        num_unknown=num_unknown,
        group=np.array(group, dtype=np.int64),
        picture=np.array(picture_, dtype=np.int64),
        person=np.array(person, dtype=np.int64),
        shown=np.array(numbers, dtype=np.int64).reshape(-1, most),
        outcome=np.array(outcome, dtype=np.int64),
        weight=np.array(weight, dtype=np.float64),
    )


def _in_order(versions: Sequence[str], found: Iterable[str]) -> tuple[str, ...]:
    present = set(found)
    return tuple(name for name in versions if name in present)


def _shown(vote: _Vote) -> tuple[str, ...]:
    return (vote.first, vote.second) if isinstance(vote, PairVote) else vote.shown


def _answers(vote: _Vote) -> Iterator[_Answer]:
    """One answer, or both with the share of the votes that gave them."""
    shown = _shown(vote)
    if isinstance(vote, ChoiceVote):
        yield shown, shown.index(vote.preferred), float(vote.count)
    elif vote.preferred is not None:
        yield shown, ("first", "second", "tie").index(vote.preferred), float(vote.count)
    else:
        share = 0.5 if vote.share is None else vote.share
        for outcome, part in ((0, share), (1, 1 - share)):
            if part:
                yield shown, outcome, vote.count * part
