"""Scores of one group: each picture is read and decoded once for all metrics, and described once for all methods."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import ImageError
from hggt_data.groups import Group
from hggt_data.io.files import read_regular_file, sha256_of
from hggt_data.io.images import Pixels, decode_png
from hggt_data.restored.matching import RestoredFiles
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics.comparer import AnyComparer, Comparer, LoadedMetric, NoReference
from hggt_eval.scores.journal import Journal
from hggt_eval.scores.scores import GroupScores


class UnusableImageError(ImageError):
    """A metric is undefined for a restored image; the text does not name the file."""


class GroupScorer:
    """Scores restored images against the ground truths of one group.

    Ground truths are described when the first image needs them; if the journal has all images, they are not decoded.

    Args:
        group: The group.
        names: Its positives, then its negatives if they are requested.
        size: (height, width) that all pictures must have.
        may_crop: Whether larger pictures are cropped to it at the right and bottom.
        metrics: Metrics ready to run.
        threads: Decode pictures and run metrics that use a single core.
        cache: Keeps features, if given.
    """

    def __init__(
        self,
        group: Group,
        names: Sequence[str],
        size: tuple[int, int],
        metrics: Sequence[LoadedMetric],
        threads: Executor,
        cache: FeatureCache | None,
        *,
        may_crop: bool,
    ) -> None:
        self._group = group
        self._names = names
        self.size = size
        self._may_crop = may_crop
        self._comparers: list[AnyComparer] = [metric for metric in metrics if isinstance(metric, Comparer)]
        self._no_reference = [metric for metric in metrics if isinstance(metric, NoReference)]
        self._threads = threads
        self._cache = cache
        self._files = [group.read_bytes(name) for name in names]
        self._sha256 = {name: sha256_of(data) for name, data in zip(names, self._files, strict=True)}

    def score(self, files: RestoredFiles, journal: Journal | None) -> GroupScores:
        """The scores of one method's restored image, from the journal if it has them."""
        path = files.files[self._group.id]
        data = read_regular_file(path)
        sha256 = sha256_of(data)
        name, file = files.method.name, files.method.file_name(path)
        if journal and (known := journal.find(name, self._group.id, sha256, self._sha256)):
            return replace(known, file=file)  # it may have been renamed
        scores = self._compute(path, data, sha256, file)
        if journal:
            journal.add(name, scores)
        return scores

    def _compute(self, path: Path, data: bytes, sha256: str, file: str) -> GroupScores:
        group = self._group
        # While its ground truths are decoded and described, as most of the time of simple metrics is decoding.
        decoding = self._threads.submit(self._decode, data, str(path))
        truths = self._whole
        whole = decoding.result()
        picture = self._cropped(whole)
        own_features = [self._start_describing(metric, picture) for metric in self._comparers]
        scores: dict[str, dict[str, float]] = {name: {} for name in self._names}
        for metric, own, features in zip(self._comparers, own_features, self._features, strict=True):
            compare = partial(metric.compare, own())
            values = self._threads.map(compare, features) if metric.threadable else map(compare, features)
            for name, value in zip(self._names, values, strict=True):
                _require_number(value, f"{metric.name} against {name} of {group.id}")
                scores[name][metric.name] = value
        return GroupScores(
            id=group.id,
            image_name=group.image_name,
            file=file,
            labels=dict(zip(group.candidates, group.consensus, strict=True)),
            positives={name: scores[name] for name in group.ground_truths},
            alone={metric.name: _rate(metric, picture) for metric in self._no_reference},
            negatives={name: scores[name] for name in self._names if name in group.negatives},
            agreement={
                name: number for name, number in zip(group.candidates, group.agreement, strict=True) if name in scores
            },
            is_flat=bool((picture[0] == picture[0, 0]).all() and (picture == picture[0]).all()),
            looks_swapped=bool(self._pictures) and _looks_swapped(picture, self._pictures[0]),
            is_cropped=any(one.shape[:2] != self.size for one in (whole, *truths)),
            sha256=sha256,
            ground_truths_sha256=self._sha256,
        )

    @cached_property
    def _whole(self) -> list[Pixels]:
        places = map(self._group.name_picture, self._names)
        return list(self._threads.map(self._decode, self._files, places))

    @property
    def _pictures(self) -> list[Pixels]:
        return list(map(self._cropped, self._whole))

    @cached_property
    def _features(self) -> list[list[Any]]:
        """The features of all pictures, for each metric."""
        return [self._describe(metric) for metric in self._comparers]

    def _start_describing(self, metric: AnyComparer, picture: Pixels) -> Callable[[], Any]:
        """What returns a picture's features, which are computed meanwhile if the metric uses a single core."""
        if metric.threadable:
            return self._threads.submit(metric.describe, picture).result
        return partial(metric.describe, picture)

    def _describe(self, metric: AnyComparer) -> list[Any]:
        if self._cache is not None and metric.worth_caching:
            part = f"-{self.size[0]}x{self.size[1]}" if self._may_crop else ""
            keys = [sha256 + part for sha256 in self._sha256.values()]
            return list(map(partial(self._cache.describe, metric), self._pictures, keys))
        over = self._threads.map if metric.threadable else map
        return list(over(metric.describe, self._pictures))

    def _decode(self, data: bytes, where: str) -> Pixels:
        """A whole picture, which must have the size it had when the restored images were matched."""
        try:
            picture = decode_png(data)
        except ImageError as error:
            raise ImageError(f"{where}: {error}") from error
        size = picture.shape[:2]
        if size != self.size and not (self._may_crop and min(size[0] - self.size[0], size[1] - self.size[1]) >= 0):
            found, expected = (f"{height} x {width}" for height, width in (size, self.size))
            raise ImageError(f"{where} is {found}; expected {expected}, its size when it was checked")
        return picture

    def _cropped(self, picture: Pixels) -> Pixels:
        return picture[: self.size[0], : self.size[1]]


def _looks_swapped(restored: Pixels, positive: Pixels) -> bool:
    """Whether exchanging red and blue more than halves the squared difference, as if OpenCV had been given RGB."""
    small, reference = (picture[::4, ::4].astype(np.float32) for picture in (restored, positive))
    unchanged, exchanged = (_squared_error(pixels, reference) for pixels in (small, small[..., ::-1]))
    return exchanged < unchanged / 2


def _squared_error(pixels: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    return float(((pixels - reference) ** 2).mean())


def _rate(metric: NoReference, picture: Pixels) -> float:
    try:
        value = metric.rate(picture)
    except ImageError as error:
        raise UnusableImageError(str(error)) from error
    _require_number(value, metric.name)
    return value


def _require_number(value: float, what: str) -> None:
    if math.isnan(value):
        raise UnusableImageError(f"{what} is NaN")
