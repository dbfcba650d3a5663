"""KID and FID of two sets of pictures, from their features: arrays only, in float64.

Both are functions of weighted sets. The features of one group of pictures, such as all positives of a patch or all
patches of a picture, form a unit: they resemble each other, so that a kernel value of two of them says nothing of
independent pictures. Units belong to source pictures, which intervals leave out one by one, on both sides at once.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_Ints = NDArray[np.intp]
# Rows of a kernel matrix at a time: with 5,000 pictures, 20 MB.
_ROWS = 512
_MOST_PARTS = 50
_MOST_RESAMPLED = 2048


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The features of a set of pictures or patches.

    Attributes:
        features: (N, D).
        weights: (N,); 1 each, or shares of a unit whose sum is 1.
        units: (N,), the number of each one's unit.
        sources: (N,), the number of each one's source picture; units are parts of source pictures.
    """

    features: _Floats
    weights: _Floats
    units: _Ints
    sources: _Ints


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of weighted kernel values of two sets: of all pairs, and by source picture.

    Attributes:
        rows: (P,), of pairs whose first is of this source picture.
        columns: (P,), of pairs whose second is.
        both: (P,), of pairs of which both are.
    """

    rows: _Floats
    columns: _Floats
    both: _Floats

    def without_each(self) -> _Floats:
        """(P,): the sum over all pairs without one source picture."""
        return np.asarray(self.rows.sum() - self.rows - self.columns + self.both)


def kid(restored: FeatureSet, reference: FeatureSet) -> float:
    """Squared maximum mean discrepancy, unbiased, of the kernel (x·y / D + 1)³; it may be below 0.

    Pairs within a unit are left out of the means over pairs of one set. With one picture per unit and weights of 1
    this is the estimator of the paper; it takes all pairs, where other programs average over subsets.

    Source: Binkowski et al., Demystifying MMD GANs (ICLR 2018), section 4; Gretton et al., A Kernel Two-Sample Test
    (JMLR 2012), lemma 6.

    Example:
        >>> line = np.arange(3)
        >>> one, other = (FeatureSet(np.eye(3) + shift, np.ones(3), line, line) for shift in (0.0, 1.0))
        >>> round(kid(one, other), 4)
        13.716
    """
    return float(_kid_and_without(restored, reference)[0])


def kid_without_each(restored: FeatureSet, reference: FeatureSet) -> tuple[float, _Floats]:
    """KID, and KID (P,) without each source picture on either side."""
    return _kid_and_without(restored, reference)


def kid_exchanges(one: FeatureSet, other: FeatureSet, reference: FeatureSet) -> _Floats:
    """What each source picture, (P,), contributes to KID of `one` minus KID of `other`.

    If the two sets exchange their pictures of one source picture, its contribution changes its sign and all others
    stay the same; so sign flips of these are the exact permutation test. Both have the same units, in the same order.
    """
    num = _number(one, other, reference)
    between, own, others = (_sums(a, b, num, apart=True).rows for a, b in ((one, other), (one, one), (other, other)))
    back = _sums(other, one, num, apart=True).rows
    crossed = _sums(one, reference, num).rows - _sums(other, reference, num).rows
    total, pairs = one.weights.sum(), _pairs(one, num)[0]
    return np.asarray((own - others + between - back) / pairs - 2 * crossed / (total * reference.weights.sum()))


def _kid_and_without(restored: FeatureSet, reference: FeatureSet) -> tuple[float, _Floats]:
    num = _number(restored, reference)
    within = [(_sums(own, own, num, apart=True), *_pairs(own, num)) for own in (restored, reference)]
    across = _sums(restored, reference, num)
    total, other_total = restored.weights.sum(), reference.weights.sum()
    whole = sum(sums.rows.sum() / pairs for sums, pairs, _ in within) - 2 * across.rows.sum() / (total * other_total)
    left = (total - _by_source(restored, num)) * (other_total - _by_source(reference, num))
    with np.errstate(invalid="ignore", divide="ignore"):  # nothing may be left without a source picture
        without = sum(sums.without_each() / pairs for sums, _, pairs in within) - 2 * across.without_each() / left
    return float(whole), np.asarray(without)


def _number(*sets: FeatureSet) -> int:
    return int(max(own.sources.max() for own in sets)) + 1


def _by_source(own: FeatureSet, num: int) -> _Floats:
    return np.asarray(np.bincount(own.sources, own.weights, num), np.float64)


def _pairs(own: FeatureSet, num: int) -> tuple[float, _Floats]:
    """The weight of all pairs of different units, and of those without each source picture, (P,)."""
    of_unit = np.bincount(own.units, own.weights)
    source_of = np.zeros(len(of_unit), np.intp)
    source_of[own.units] = own.sources
    squares = np.bincount(source_of, of_unit**2, num)
    total, by_source = own.weights.sum(), _by_source(own, num)
    return float(total**2 - squares.sum()), (total - by_source) ** 2 - (squares.sum() - squares)


def _sums(one: FeatureSet, other: FeatureSet, num: int, apart: bool = False) -> _Sums:
    """The sums over all pairs; with `apart`, without those of one unit."""
    rows, columns, both = (np.zeros(num) for _ in range(3))
    for start in range(0, len(one.features), _ROWS):
        part = slice(start, start + _ROWS)
        kernel = one.features[part] @ other.features.T
        kernel /= one.features.shape[1]
        kernel += 1
        kernel *= kernel * kernel  # many times as fast as a power
        kernel *= one.weights[part, None]
        kernel *= other.weights
        if apart:
            kernel[one.units[part, None] == other.units] = 0
        rows += np.bincount(one.sources[part], kernel.sum(axis=1), num)
        columns += np.bincount(other.sources, kernel.sum(axis=0), num)
        kernel[one.sources[part, None] != other.sources] = 0
        both += np.bincount(one.sources[part], kernel.sum(axis=1), num)
    return _Sums(rows, columns, both)


def fid(restored: FeatureSet, reference: FeatureSet) -> float:
    """Squared Fréchet distance of the normal distributions with the sets' means and covariances.

    The trace of the square root of the product of both covariances is the sum of the singular values of A Bᵀ, where
    AᵀA and BᵀB are the covariances; so no root of a nearly singular matrix is taken. Covariances have the divisor
    N - 1, where N is the sum of the weights.

    Source: Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium
    (NeurIPS 2017), equation 6.

    Example:
        >>> line = np.arange(3)
        >>> one, other = (FeatureSet(np.eye(3) + shift, np.ones(3), line, line) for shift in (0.0, 1.0))
        >>> round(fid(one, other), 4)
        3.0
    """
    (mean, spread), (other_mean, other_spread) = _moments(restored), _moments(reference)
    root = np.linalg.svd(_reduced(spread) @ _reduced(other_spread).T, compute_uv=False).sum()
    return float(((mean - other_mean) ** 2).sum() + (spread**2).sum() + (other_spread**2).sum() - 2 * root)


def fid_without_each(restored: FeatureSet, reference: FeatureSet) -> tuple[float, _Floats]:
    """FID, and FID without each of at most 50 parts of the source pictures on either side.

    A part is one source picture if there are no more than that. Above 2,048 pictures, where each value takes minutes,
    there are no parts.
    """
    value = fid(restored, reference)
    num = _number(restored, reference)
    if max(len(restored.features), len(reference.features)) > _MOST_RESAMPLED:
        return value, np.zeros(0)
    return value, np.array([_fid_without(restored, reference, part) for part in range(min(num, _MOST_PARTS))])


def _fid_without(restored: FeatureSet, reference: FeatureSet, part: int) -> float:
    """FID without a part of the source pictures; NaN if too little is left for covariances."""
    one, other = (_without_part(own, part) for own in (restored, reference))
    return fid(one, other) if min(one.weights.sum(), other.weights.sum()) > 1.5 else math.nan


def _without_part(own: FeatureSet, part: int) -> FeatureSet:
    kept = own.sources % _MOST_PARTS != part
    return FeatureSet(own.features[kept], own.weights[kept], own.units[kept], own.sources[kept])


def _moments(own: FeatureSet) -> tuple[_Floats, _Floats]:
    """The mean (D,), and a matrix (N, D) whose product with its own transpose is the covariance."""
    total = own.weights.sum()
    mean = own.weights @ own.features / total
    return mean, (own.features - mean) * np.sqrt(own.weights / (total - 1))[:, None]


def _reduced(spread: _Floats) -> _Floats:
    """A matrix of D rows or fewer with the same covariance."""
    return np.asarray(np.linalg.qr(spread, mode="r")) if len(spread) > spread.shape[1] else spread
