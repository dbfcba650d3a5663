"""Places of patch groups in whole pictures: a grid with random offsets, a test for detail, a score of change.

Pure functions on pixels, without files. Random numbers come from a function, so that tests can replay known ones.

Source: official `patch_select.py`. Its two doubtful steps are called `official`: a Laplacian in 8 bits, which loses all
negative responses, and a score in which lighter and darker changes cancel.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hggt_data.io.images import Pixels
from hggt_data.ranges import Count, Range, require_ranges

JITTER_PX = 16  # largest offset from the grid in each direction
MIN_STD = 30.0  # of the grey values
MIN_VARIANCE = 30.0  # of the Laplacian of the grey values

Corner = tuple[int, int]
Draw = Callable[[int, int], int]
"""Draws an integer between two bounds, both included."""
DetailRule = Literal["official", "signed"]
ScoreRule = Literal["official", "absolute"]

_LAST_STARTS = ((2400, 128), (1200, 64), (0, 32))  # (side of the picture, largest start of the grid), in pixels


@dataclass(frozen=True)
class PatchSettings:
    """How patches are selected.

    Attributes:
        crop: Side of a patch.
        step: Distance between patch positions, before each is moved by up to 16 pixels.
        seed: Random seed for patch positions.
        detail: How detail is measured: official clips the Laplacian to 0..255, signed does not.
        score: How the change made by an enhancer is measured, in grey levels: official is |mean(difference)|, absolute
            is mean(|difference|).
        min_difference: Leave out patches if no candidate reaches this score.
        max_per_image: Maximum number of patches per picture; those with the highest scores are kept.  [default: all]

    Raises:
        SettingsError: A value is out of range.
    """

    crop: Count = 512
    step: Annotated[int, Range(33)] = 288  # two positions could coincide with 2 * JITTER_PX or less
    seed: int = 0
    detail: DetailRule = "official"
    score: ScoreRule = "absolute"
    min_difference: Annotated[float, Range(0, 255)] = 0.0
    max_per_image: Count | None = None

    def __post_init__(self) -> None:
        require_ranges(self)


class Verdict(Enum):
    """Whether a place is kept, or why not; the value is written to `patches.csv`."""

    KEPT = "kept"
    OVERHANGS = "overhangs"
    SMOOTH = "smooth"
    LITTLE_CHANGED = "little-changed"
    OVER_LIMIT = "over-limit"


@dataclass(frozen=True, slots=True)
class Measure:
    """Standard deviation of a version's grey values, variance of their Laplacian, and change from the original.

    The change (`score`) is in grey levels, and 0 for the original.
    """

    std: float
    variance: float
    score: float = 0.0

    @property
    def detail(self) -> float:
        """The smaller of both values relative to its threshold: a version with 1 or more has enough detail."""
        return min(self.std / MIN_STD, self.variance / MIN_VARIANCE)


@dataclass(frozen=True, slots=True)
class Place:
    """One cell of a picture's grid.

    Attributes:
        top: Row of its upper edge in pixels.
        left: Column of its left edge in pixels.
        verdict: Whether it is kept, or why not.
        measures: Of the original, then of each candidate; empty if the patch would overhang.
        rank: 1 for the kept patch with the highest score of the picture; None if it is not kept.
    """

    top: int
    left: int
    verdict: Verdict
    measures: tuple[Measure, ...] = ()
    rank: int | None = None

    @property
    def most_detailed(self) -> Measure:
        """The measure of the version with the most detail, which decides whether there is enough."""
        return max(self.measures, key=lambda measure: measure.detail)

    @property
    def score(self) -> float:
        """The highest score of the candidates."""
        return max(measure.score for measure in self.measures[1:])


def seeded_draw(seed: int, image: str) -> Draw:
    """Random numbers for one picture, always the same for the same seed and name.

    Example:
        >>> draw = seeded_draw(0, "0001")
        >>> [draw(-16, 16) for _ in range(6)]
        [4, 1, 11, -8, 0, 1]
    """
    source = random.Random(f"{seed} {image}")
    # `random()` is the only method whose numbers Python promises to keep.
    return lambda low, high: low + int(source.random() * (high - low + 1))


def draw_grid(size: tuple[int, int], step: int, draw: Draw) -> list[Corner]:
    """(top, left) of every cell in a picture of `size` (height, width), including those whose patch would overhang.

    `draw` gives the first row and the first column, then each cell's vertical and horizontal offset.
    """
    top, left = (draw(0, next(last for least, last in _LAST_STARTS if side >= least)) for side in size)
    return [
        (max(row + draw(-JITTER_PX, JITTER_PX), 0), max(column + draw(-JITTER_PX, JITTER_PX), 0))
        for row in range(top, size[0], step)
        for column in range(left, size[1], step)
    ]


def measure_detail(pixels: Pixels, rule: DetailRule = "official") -> tuple[float, float]:
    """Standard deviation of the grey values of a patch, uint8 (H, W, 3), and variance of their Laplacian.

    Source: official `patch_select.py`: Pillow's grey, the 3 x 3 Laplacian (0 1 0, 1 -4 1, 0 1 0) with rows and columns
        reflected at the border without repeating the outermost.
    """
    grey = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))
    response = _laplacian(grey)
    if rule == "official":
        np.clip(response, 0, 255, out=response)
    return float(grey.std()), float(response.var())


def _laplacian(grey: NDArray[np.uint8]) -> NDArray[np.int16]:
    padded = np.pad(grey, 1, mode="reflect").astype(np.int16)
    response: NDArray[np.int16] = padded[1:-1, 1:-1] * np.int16(-4)
    for neighbours in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        response += neighbours
    return response


def measure_change(original: Pixels, candidate: Pixels, rule: ScoreRule = "absolute") -> float:
    """Difference between candidate and original in grey levels; both uint8 (H, W, 3), `rule` as in `PatchSettings`."""
    if rule == "official":
        return abs(_sum(original) - _sum(candidate)) / original.size
    return _sum(np.maximum(original, candidate) - np.minimum(original, candidate)) / original.size


def _sum(values: NDArray[Any]) -> int:
    return int(values.sum(dtype=np.int64))


def select_patches(versions: Iterable[Pixels], settings: PatchSettings, draw: Draw) -> list[Place]:
    """Measure every place of one picture's grid and select patches.

    `versions` are the original, then its candidates, each uint8 (H, W, 3) of the same size; only the original and one
    candidate are in memory at a time. `draw` as in `draw_grid`.
    """
    rest = iter(versions)
    original = next(rest)
    size = original.shape[:2]
    corners = draw_grid(size, settings.step, draw)
    inside = [at for at in corners if at[0] + settings.crop <= size[0] and at[1] + settings.crop <= size[1]]
    columns = [[Measure(*measure_detail(cut(original, at, settings.crop), settings.detail)) for at in inside]]
    measure = partial(_measure_candidate, original, corners=inside, settings=settings)
    columns += map(measure, rest)  # a loop would keep one candidate while the next is read
    assert len(columns) > 1, "the original has no candidates"
    measured = dict(zip(inside, zip(*columns, strict=True), strict=True))
    return _rank([_decide(corner, measured.get(corner, ()), settings) for corner in corners], settings.max_per_image)


def cut(pixels: Pixels, corner: Corner, side: int) -> Pixels:
    """The patch at (top, left), uint8 (side, side, 3); a view of `pixels`."""
    top, left = corner
    return pixels[top : top + side, left : left + side]


def _measure_candidate(
    original: Pixels, candidate: Pixels, corners: Sequence[Corner], settings: PatchSettings
) -> list[Measure]:
    measures = []
    for corner in corners:
        enhanced = cut(candidate, corner, settings.crop)
        change = measure_change(cut(original, corner, settings.crop), enhanced, settings.score)
        measures.append(Measure(*measure_detail(enhanced, settings.detail), change))
    return measures


def _decide(corner: Corner, measures: tuple[Measure, ...], settings: PatchSettings) -> Place:
    if not measures:
        return Place(*corner, Verdict.OVERHANGS)
    place = Place(*corner, Verdict.KEPT, measures)
    if place.most_detailed.detail < 1:
        return replace(place, verdict=Verdict.SMOOTH)
    if place.score < settings.min_difference:
        return replace(place, verdict=Verdict.LITTLE_CHANGED)
    return place


def _rank(places: Sequence[Place], limit: int | None) -> list[Place]:
    """Rank the kept places by descending score, ties in grid order; those beyond the limit are not kept."""
    ordered = sorted(
        (number for number, place in enumerate(places) if place.verdict is Verdict.KEPT),
        key=lambda number: -places[number].score,
    )
    ranked = list(places)
    for rank, number in enumerate(ordered, 1):
        if limit is None or rank <= limit:
            ranked[number] = replace(places[number], rank=rank)
        else:
            ranked[number] = replace(places[number], verdict=Verdict.OVER_LIMIT)
    return ranked
