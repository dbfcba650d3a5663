"""Describes the pictures of the sets that KID and FID compare: every restored image, and what it is compared with.

Each picture passes through the network once per view. Features are kept by content while a run lasts, so that an
interrupted run resumes, and a finished run's file of features is read again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hggt_data.errors import ImageError, MatchError, SettingsError
from hggt_data.groups import Group, GroupSource
from hggt_data.io.files import read_regular_file, sha256_of
from hggt_data.io.images import Pixels, decode_png
from hggt_data.io.text import plural
from hggt_data.restored.matching import RestoredFiles
from hggt_data.schema import ORIGINAL
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics import SetMetric
from hggt_eval.metrics.comparer import LoadedMetric, SetMetricFeatures
from hggt_eval.scores.picture_sets import Features, PictureSets, SetGroup

# A covariance of fewer pictures is hardly more than noise; KID needs pairs.
_FEWEST = {"fid": 5, "kid": 2}


@dataclass(slots=True)
class SetShare:
    """What one process describes."""

    groups: list[SetGroup] = field(default_factory=list)
    restored: dict[str, dict[str, str]] = field(default_factory=dict)
    features: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)


class SetDescriber:
    """Describes groups for the metrics of sets among these metrics, if there are any.

    Args:
        source: The groups.
        restored: Each method's files.
        metrics: Metrics ready to run.
        cache: Keeps features of all pictures, if given.
        known: Features of an earlier run.

    Raises:
        SettingsError: A metric compares with positives, and the data has no labels.
        MatchError: A set has too few pictures.
    """

    def __init__(
        self,
        source: GroupSource,
        restored: Sequence[RestoredFiles],
        metrics: Sequence[LoadedMetric],
        cache: FeatureCache | None,
        known: Features,
    ) -> None:
        loaded = [metric for metric in metrics if isinstance(metric, SetMetricFeatures)]
        self._metrics = [metric.metric for metric in loaded]
        self._names_of_all = [metric.name for metric in metrics]
        self._by_view = {metric.metric.view: metric for metric in loaded}
        self._source = source
        self._restored = restored
        self._cache = cache
        self._known = known
        if self._metrics:
            self._require_pictures()

    @property
    def is_needed(self) -> bool:
        """Whether there is a metric of sets."""
        return bool(self._metrics)

    def describe(self, groups: Sequence[Group], progress: bool = False) -> SetShare:
        """Describe these groups' pictures; ImageError if one is damaged."""
        share = SetShare(restored={files.method.name: {} for files in self._restored})
        share.features = {view: {} for view in self._by_view}
        if not self.is_needed:
            return share
        for group in tqdm(groups, unit="group", desc="sets", disable=None if progress else True):
            present = [files for files in self._restored if group.id in files.files]
            names = [self._ground_truths(group), self._positives(group)]
            if not present or not any(names):
                continue
            ground_truths, positives = (
                {name: self._describe_reference(group, name, views, share) for name in own}
                for own, views in zip(names, (self._views(False), self._views(True)), strict=True)
            )
            share.groups.append(SetGroup(group.id, group.image_name, ground_truths, positives))
            for files in present:
                path = files.files[group.id]
                sha256 = self._describe(read_regular_file(path), str(path), list(self._by_view), share)
                share.restored[files.method.name][group.id] = sha256
        return share

    def join(
        self, shares: Sequence[SetShare], order: Mapping[str, int], unusable: Mapping[str, set[str]]
    ) -> PictureSets:
        """The sets of all processes, without unusable images, with groups in this order."""
        groups = sorted((group for share in shares for group in share.groups), key=lambda group: order[group.id])
        restored = {
            name: {
                group: sha256
                for share in shares
                for group, sha256 in share.restored[name].items()
                if group not in unusable[name]
            }
            for name in unusable
        }
        features = {
            view: {sha256: own for share in shares for sha256, own in share.features[view].items()}
            for view in self._by_view
        }
        return PictureSets(tuple(groups), restored, features)

    def _ground_truths(self, group: Group) -> tuple[str, ...]:
        """What metrics other than those of positives compare with."""
        if all(metric.takes_positives for metric in self._metrics):
            return ()
        if not self._source.has_labels:
            return group.ground_truths
        return (ORIGINAL,) if group.has_picture(ORIGINAL) else ()

    def _positives(self, group: Group) -> tuple[str, ...]:
        return group.ground_truths if any(metric.takes_positives for metric in self._metrics) else ()

    def _views(self, takes_positives: bool) -> list[str]:
        """The views of the metrics that compare with positives, or of the others."""
        return list(dict.fromkeys(one.view for one in self._metrics if one.takes_positives == takes_positives))

    def _describe_reference(self, group: Group, name: str, views: Sequence[str], share: SetShare) -> str:
        return self._describe(group.read_bytes(name), group.name_picture(name), views, share)

    def _describe(self, data: bytes, where: str, views: Sequence[str], share: SetShare) -> str:
        """Describe the picture in a file for these views, and return its SHA-256."""
        sha256 = sha256_of(data)
        decoded: Pixels | None = None
        for view in views:
            metric = self._by_view[view]
            if sha256 in share.features[view]:
                continue
            features = self._known.get(view, {}).get(sha256)
            if features is None:
                decoded = _decode(data, where) if decoded is None else decoded
                features = self._cache.describe(metric, decoded, sha256) if self._cache else metric.describe(decoded)
            share.features[view][sha256] = features
        return sha256

    def _require_pictures(self) -> None:
        groups = list(self._source)
        for metric in self._metrics:
            if metric.takes_positives and not self._source.has_labels:
                raise SettingsError(
                    f"{metric.name} compares with positives, but {self._source.location} has no labels; use "
                    f"{metric.distance}"
                )
            compared = {group.id for group in groups if self._names(metric, group)}
            fewest = _FEWEST[metric.distance]
            for files in self._restored:
                num = len(compared & files.files.keys())
                if num < fewest:
                    alike = {one.name for one in self._metrics if one.distance == metric.distance}
                    others = [name for name in self._names_of_all if name not in alike]
                    advice = f"leave it out, as by `metrics` {','.join(others)}" if others else "kid needs 2"
                    raise MatchError(
                        f"{metric.name} of {files.method.name} would compare {plural(num, 'picture')}; expected "
                        f"{fewest} or more; {advice}"
                    )

    def _names(self, metric: SetMetric, group: Group) -> tuple[str, ...]:
        return self._positives(group) if metric.takes_positives else self._ground_truths(group)


def _decode(data: bytes, where: str) -> Pixels:
    try:
        return decode_png(data)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from error
