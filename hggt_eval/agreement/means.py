"""Means over pairs or contents with intervals and tests by source picture; NaN marks values that are missing."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hggt_eval.scores.resampling import effective_number, holm, mean_interval, sign_flip_p_value

Floats = NDArray[np.float64]
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A mean over pairs, with its 95 % interval by source picture.

    Attributes:
        value: The mean.
        low: Lower end; None with fewer than two source pictures, or if all have the same mean, as that is no certainty.
        high: Upper end; None likewise.
        pairs: Number of pairs.
        pictures: Source pictures of these pairs.
        effective_pictures: How many source pictures with equally many pairs would be as informative.
    """

    value: float
    low: float | None
    high: float | None
    pairs: int
    pictures: int
    effective_pictures: float


@dataclass(frozen=True, slots=True)
class Keys:
    """A word for each pair, such as its source picture or kind.

    Attributes:
        names: The words, sorted.
        numbers: (n,), the position in `names` of each pair's word.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.intp]

    @classmethod
    def of(cls, words: Iterable[str]) -> "Keys":
        """The words of all pairs."""
        listed = list(words)
        names = tuple(sorted(set(listed)))
        number = {name: k for k, name in enumerate(names)}
        return cls(names, np.array([number[word] for word in listed], np.intp))

    def divide(self, values: Floats) -> dict[str, Floats]:
        """For each word that has any values, these values, and NaN elsewhere."""
        parts = {name: np.where(self.numbers == k, values, math.nan) for k, name in enumerate(self.names)}
        return {name: own for name, own in parts.items() if not np.isnan(own).all()}


def means_by_picture(asked: Mapping[_Key, Floats], pictures: Keys, lowest: float) -> dict[_Key, Accuracy]:
    """Means of arrays (n,) with intervals by source picture that are cut off at `lowest` and 1; none of an empty array.

    Intervals over the same source pictures are computed together, as drawing takes most of the time.
    """
    tables = {key: _by_picture(values, pictures) for key, values in asked.items()}
    of_pictures: dict[tuple[int, ...], list[_Key]] = defaultdict(list)
    for key, (present, _, _) in tables.items():
        if len(present):
            of_pictures[tuple(present.tolist())].append(key)
    ends: dict[_Key, tuple[float | None, float | None]] = {}
    for keys in of_pictures.values():
        if len(tables[keys[0]][0]) > 1:
            both = np.stack([tables[key][1] for key in keys]), np.stack([tables[key][2] for key in keys])
            ends |= zip(keys, np.clip(mean_interval(*both), lowest, 1).T.tolist(), strict=True)
    found = {}
    for key, (present, sums, counts) in tables.items():
        if not len(present):
            continue
        low, high = ends.get(key, (None, None))
        if low is not None and high is not None and math.isclose(low, high):
            low = high = None
        found[key] = Accuracy(
            value=math.fsum(sums) / float(counts.sum()),
            low=low,
            high=high,
            pairs=int(counts.sum()),
            pictures=len(present),
            effective_pictures=float(effective_number(counts)),
        )
    return found


def p_values(differences: Mapping[str, Floats], pictures: Keys) -> dict[str, tuple[float, float]]:
    """Name -> p of a mean of 0, and p by Holm; without names that have fewer than two source pictures."""
    sums = {name: _by_picture(values, pictures)[1] for name, values in differences.items()}
    found = {name: sign_flip_p_value(own) for name, own in sums.items() if len(own) > 1}
    return dict(zip(found, zip(found.values(), holm(list(found.values())), strict=True), strict=True))


def _by_picture(values: Floats, pictures: Keys) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Numbers of the source pictures that have values, the sum of each one's values, and how many these are."""
    known = ~np.isnan(values)
    size = len(pictures.names)
    counts = np.bincount(pictures.numbers[known], minlength=size).astype(np.float64)
    sums: Floats = np.bincount(pictures.numbers[known], values[known], size).astype(np.float64)
    present = np.flatnonzero(counts)
    return present, sums[present], counts[present]
