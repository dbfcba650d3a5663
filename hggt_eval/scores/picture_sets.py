"""The sets of pictures that KID and FID compare, with their features, and these distances.

Features are kept by the content of their pictures, in a file beside `scores.json`: with them, methods that were scored
at different times are compared without pictures.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hggt_data.schema import GroupOrder, group_order
from hggt_eval.metrics import SetMetric
from hggt_eval.metrics.set_distances import FeatureSet, fid_without_each, kid_exchanges, kid_without_each

_Floats = NDArray[np.float64]
Features = Mapping[str, Mapping[str, NDArray[np.float32]]]
FEATURES_PATTERN = "set_features-*.npz"
_PACKED_KEYS = ("features", "counts", "sha256")


@dataclass(frozen=True, slots=True)
class SetGroup:
    """A group's pictures in the set that restored images are compared with.

    Attributes:
        id: The group.
        image_name: Its source picture.
        ground_truths: Name -> SHA-256 of its file: the original, or all ground truths in data without labels.
        positives: The same for the positives.
    """

    id: str
    image_name: str
    ground_truths: Mapping[str, str]
    positives: Mapping[str, str] = field(default_factory=dict)

    @property
    def order(self) -> GroupOrder:
        """The key that sorts groups, as in `GroupScores`."""
        named = group_order(self.id)
        return named if named[0] == self.image_name else group_order(self.id, self.image_name)

    def pictures(self, metric: SetMetric) -> Mapping[str, str]:
        """Name -> SHA-256 of the pictures that a metric compares with."""
        return self.positives if metric.takes_positives else self.ground_truths


@dataclass(frozen=True)
class PictureSets:
    """The sets of a run.

    Attributes:
        groups: All groups with a restored image, in order.
        restored: Method -> group -> SHA-256 of its restored image.
        features: View -> SHA-256 of a picture's file -> float32 (1, 2048), or (patches, 2048).
    """

    groups: tuple[SetGroup, ...]
    restored: Mapping[str, Mapping[str, str]]
    features: Features = field(compare=False, repr=False)

    def groups_of(self, metric: SetMetric, method: str) -> list[str]:
        """The groups that have pictures in both sets."""
        own = self.restored[method]
        return [group.id for group in self.groups if group.id in own and group.pictures(metric)]

    def used(self) -> Iterator[str]:
        """SHA-256 of all pictures."""
        for group in self.groups:
            yield from group.ground_truths.values()
            yield from group.positives.values()
        for own in self.restored.values():
            yield from own.values()

    @cached_property
    def packed(self) -> bytes:
        """The features as the bytes of an npz file, the same for the same features."""
        wanted = set(self.used())
        arrays: dict[str, NDArray[np.generic]] = {}
        for view, known in sorted(self.features.items()):
            names = sorted(wanted & known.keys())
            arrays[f"{view}.features"] = np.concatenate([known[name] for name in names])
            arrays[f"{view}.counts"] = np.array([len(known[name]) for name in names])
            arrays[f"{view}.sha256"] = np.array(names)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # newer numpy types take an array for its switch
        return buffer.getvalue()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of `packed`."""
        return hashlib.sha256(self.packed).hexdigest()

    @property
    def file_name(self) -> str:
        """The file of the features; its name changes with its content, so that it always fits its `scores.json`."""
        return FEATURES_PATTERN.replace("*", self.sha256[:12])


def join_sets(parts: Sequence[PictureSets | None], metrics: Sequence[SetMetric]) -> PictureSets:
    """The sets of several runs that agree on the pictures of each group, for metrics that all of them have."""
    groups: dict[str, SetGroup] = {}
    restored: dict[str, Mapping[str, str]] = {}
    features: dict[str, dict[str, NDArray[np.float32]]] = {metric.view: {} for metric in metrics}
    for sets in parts:
        assert sets is not None
        for group in sets.groups:
            known = groups.get(group.id, group)
            pictures = {**known.ground_truths, **group.ground_truths}, {**known.positives, **group.positives}
            groups[group.id] = SetGroup(group.id, group.image_name, *pictures)
        for method, own in sets.restored.items():
            restored.setdefault(method, own)  # the first file's, as for other scores
        for view, known_features in features.items():
            known_features |= sets.features[view]
    return PictureSets(tuple(sorted(groups.values(), key=lambda group: group.order)), restored, features)


def unpack_features(data: bytes) -> Features:
    """The features in the bytes of a file; ValueError if it is damaged."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise ValueError("it is no npz file") from error
    found: dict[str, Mapping[str, NDArray[np.float32]]] = {}
    for view in {name.rpartition(".")[0] for name in arrays}:
        try:
            features, counts, names = (arrays[f"{view}.{key}"] for key in _PACKED_KEYS)
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is missing") from error
        if features.ndim != 2 or len(names) != len(counts) or counts.sum() != len(features):
            raise ValueError(f"{view} has arrays of other sizes")
        parts = np.split(features, np.cumsum(counts)[:-1])
        found[view] = dict(zip(names.tolist(), parts, strict=True))
    return found


@dataclass(frozen=True, slots=True)
class SetDistance:
    """KID or FID of a method.

    Attributes:
        value: The distance.
        without: The distance without each source picture, or each of fewer parts of them; for its interval.
        num_images: Restored images in the set; as many groups have pictures in the other one.
        num_sources: Source pictures of these groups.
        num_patches: Patches of the restored images; 0 if whole pictures are compared.
        by_source: Number of images of each source picture.
    """

    value: float
    without: _Floats
    num_images: int
    num_sources: int
    num_patches: int
    by_source: _Floats


class SetDistances:
    """Computes distances of sets, each once.

    Args:
        sets: The sets.
        true_names: Source picture -> the name that it counts under.
    """

    def __init__(self, sets: PictureSets, true_names: Mapping[str, str]) -> None:
        self._sets = sets
        self._true_names = true_names
        self._known: dict[tuple[str, str, tuple[str, ...]], SetDistance] = {}

    def groups_of(self, metric: SetMetric, method: str) -> list[str]:
        """The groups that have pictures in both sets."""
        return self._sets.groups_of(metric, method)

    def of(self, metric: SetMetric, method: str, groups: Sequence[str] | None = None) -> SetDistance:
        """The distance of a method's restored images from the other set, both of these groups [default: all]."""
        ids = tuple(self.groups_of(metric, method) if groups is None else groups)
        key = metric.name, method, ids
        if key not in self._known:
            self._known[key] = self._compute(metric, method, ids)
        return self._known[key]

    def exchanges(self, metric: SetMetric, method: str, baseline: str, groups: Sequence[str]) -> _Floats:
        """What each source picture contributes to the difference of two methods' KID, see `kid_exchanges`."""
        one, other = (self._restored(metric, name, groups) for name in (method, baseline))
        return kid_exchanges(one, other, self._reference(metric, groups))

    def _compute(self, metric: SetMetric, method: str, groups: Sequence[str]) -> SetDistance:
        restored = self._restored(metric, method, groups)
        compute = kid_without_each if metric.distance == "kid" else fid_without_each
        value, without = compute(restored, self._reference(metric, groups))
        sources = self._sources(groups)
        by_source = np.bincount(sources).astype(np.float64)
        num_patches = len(restored.features) if metric.view == "patches" else 0
        return SetDistance(value, without, len(groups), len(by_source), num_patches, by_source)

    def _sources(self, groups: Sequence[str]) -> NDArray[np.intp]:
        """The number of each group's source picture."""
        wanted = frozenset(groups)
        names = {group.id: group.image_name for group in self._sets.groups if group.id in wanted}
        true = [self._true_names.get(names[group], names[group]) for group in groups]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(true))}
        return np.array([numbers[name] for name in true], np.intp)

    def _restored(self, metric: SetMetric, method: str, groups: Sequence[str]) -> FeatureSet:
        own = self._sets.restored[method]
        return self._feature_set(metric.view, groups, [[own[group]] for group in groups])

    def _reference(self, metric: SetMetric, groups: Sequence[str]) -> FeatureSet:
        by_id = {group.id: group for group in self._sets.groups}
        return self._feature_set(
            metric.view, groups, [list(by_id[group].pictures(metric).values()) for group in groups]
        )

    def _feature_set(self, view: str, groups: Sequence[str], pictures: Sequence[Sequence[str]]) -> FeatureSet:
        """Pictures of each group, which share the weight of one picture, or of its patches."""
        known = self._sets.features[view]
        parts = [(unit, 1 / len(own), known[sha256]) for unit, own in enumerate(pictures) for sha256 in own]
        units = np.concatenate([np.full(len(part), unit) for unit, _, part in parts])
        return FeatureSet(
            features=np.concatenate([part for *_, part in parts]).astype(np.float64),
            weights=np.concatenate([np.full(len(part), weight) for _, weight, part in parts]),
            units=units,
            sources=self._sources(groups)[units],
        )
