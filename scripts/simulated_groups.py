"""Simulated groups for `small_experiment.py`: candidates with known faults, and people who mostly see them.

A candidate is the original, passed through a trained enhancer and spoilt by one of the faults that the published
enhancers show: over-sharpening, ringing, false texture, a colour shift. One candidate of each group is clean and a
little sharper. Three simulated people judge how much a candidate gains and how badly it is spoilt, with errors.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from hggt_data.io.files import write_text
from hggt_data.io.images import Pixels, write_png
from hggt_data.schema import ORIGINAL, Annotation, Label, PatchId
from hggt_data.tree.hggt_folders import Section, picture_name
from hggt_data.tree.hggt_labels import format_annotation

Values = NDArray[np.float64]
PATCH_PX = 192
CANDIDATES = ("01", "02", "03", "04")
_PATCHES_PER_PICTURE = 4
_SHORT_SIDE_PX = 512
_JUDGES = "ABC"
_JUDGE_ERROR = 0.2  # standard deviation of a judgement, on the scale of a fault's amount
_SEEN, _SPOILT = 0.2, 0.45  # amounts of a fault below which a candidate is Positive, above which it is Negative


def read_photograph(path: Path) -> Pixels:
    """The picture reduced to a short side of 512 pixels, which makes it sharp; smaller ones stay as they are."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    shrink = max(1.0, min(picture.size) / _SHORT_SIDE_PX)
    size = (round(picture.width / shrink), round(picture.height / shrink))
    return np.asarray(picture.resize(size, Image.Resampling.BOX, reducing_gap=None))


def detailed_patches(name: str, pixels: Pixels) -> Iterator[tuple[PatchId, Pixels]]:
    """Four of sixteen random patches of a picture, those with most detail."""
    rng = random.Random(f"patches {name}")
    height, width = pixels.shape[:2]
    places = {(rng.randint(0, height - PATCH_PX), rng.randint(0, width - PATCH_PX)) for _ in range(16)}
    patches = {(top, left): pixels[top : top + PATCH_PX, left : left + PATCH_PX] for top, left in sorted(places)}

    def detail(place: tuple[int, int]) -> float:
        grey = patches[place].mean(2)
        return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())

    for top, left in sorted(patches, key=detail, reverse=True)[:_PATCHES_PER_PICTURE]:
        yield PatchId(name, top, left), patches[top, left]


def write_group(section: Section, group_id: str, original: Pixels, enhanced: Sequence[Pixels]) -> None:
    """Write the original, four candidates and the labels of three people.

    Args:
        section: Folders to write to.
        group_id: Name of the group.
        original: The original, (H, W, 3).
        enhanced: The same picture from each enhancer.
    """
    rng = random.Random(f"candidates {group_id}")
    noise = np.random.default_rng(rng.getrandbits(64))
    faults = rng.sample(list(_FAULTS), 3)
    amounts = [0.0, *(rng.random() for _ in faults)]
    candidates = [_unit(_sharpened(_values(rng.choice(enhanced)), 0.6))]
    for fault, amount in zip(faults, amounts[1:], strict=True):
        candidates.append(_unit(_FAULTS[fault](_values(rng.choice(enhanced)), amount, noise)))
    order = rng.sample(range(4), 4)  # a fault is not a matter of the candidate's name
    versions = dict(zip(CANDIDATES, (candidates[index] for index in order), strict=True))
    for name, version in {ORIGINAL: original, **versions}.items():
        path = section.images / name / picture_name(group_id, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, version)
    for judge in _JUDGES:
        labels = tuple(_judged(amounts[index], rng) for index in order)
        start = datetime(2026, 1, 1, 9) + timedelta(seconds=rng.randrange(8 * 3600))
        annotation = Annotation(judge, labels, start, start + timedelta(seconds=20), 20)
        write_text(section.annotation(group_id, judge), format_annotation(annotation, group_id, CANDIDATES))


def _judged(amount: float, rng: random.Random) -> Label:
    seen = amount + rng.gauss(0, _JUDGE_ERROR)
    return Label.POSITIVE if seen < _SEEN else Label.NEGATIVE if seen > _SPOILT else Label.SIMILAR


def _sharpened(values: Values, strength: float, sigma: float = 1.0) -> Values:
    return np.asarray(values + strength * (values - _blurred(values, sigma)))


def _over_sharpened(values: Values, amount: float, noise: np.random.Generator) -> Values:
    return _sharpened(values, 0.6 + 4 * amount, 1.5)


def _ringing(values: Values, amount: float, noise: np.random.Generator) -> Values:
    """Ripples beside edges: detail around one frequency, exaggerated."""
    ripples = _blurred(values, 1.2) - _blurred(values, 2.4)
    return _sharpened(values, 0.6) + 5 * amount * (ripples - _blurred(ripples, 2.4))


def _false_texture(values: Values, amount: float, noise: np.random.Generator) -> Values:
    """A grain of two pixels where there is detail."""
    grain = noise.normal(size=values.shape[:2])
    grain = np.asarray(gaussian_filter(grain, 0.8) - gaussian_filter(grain, 2.0))
    detail = gaussian_filter(np.abs(values - _blurred(values, 1.0)).mean(2), 4.0)
    return np.asarray(_sharpened(values, 0.6) + (60 * amount * grain * np.minimum(1, detail / 4))[..., None])


def _colour_shift(values: Values, amount: float, noise: np.random.Generator) -> Values:
    shift = noise.choice([-1, 1], size=3) * np.array([12, 6, 16]) * amount
    return np.asarray(_sharpened(values, 0.6) + shift)


_FAULTS: Mapping[str, Callable[[Values, float, np.random.Generator], Values]] = {
    "over-sharpened": _over_sharpened,
    "ringing": _ringing,
    "false texture": _false_texture,
    "colour shift": _colour_shift,
}


def _blurred(values: Values, sigma: float) -> Values:
    return np.asarray(gaussian_filter(values, (sigma, sigma, 0)))


def _values(pixels: Pixels) -> Values:
    return pixels.astype(np.float64)


def _unit(values: Values) -> Pixels:
    return np.asarray(np.clip(values.round(), 0, 255), np.uint8)
