"""Checks, before anything is scored on a GPU, that it gives a CPU's scores on one image.

`full_precision` in `metrics/device.py` keeps them alike. If a library, driver or environment variable lowers a device's
precision all the same, every score would silently be wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import HggtError
from hggt_data.groups import GroupSource
from hggt_data.io.images import Pixels, read_pixels
from hggt_data.restored.matching import RestoredFiles
from hggt_eval.metrics import require_metric
from hggt_eval.metrics.comparer import AnyComparer, Comparer, LoadedMetric, SetMetricFeatures

LARGEST_DIFFERENCE = 1e-4


class PrecisionError(HggtError, ArithmeticError):
    """A device gives other scores than a CPU."""


_Checkable = AnyComparer | SetMetricFeatures


def load_on_cpu(metric: _Checkable) -> _Checkable:
    """The same metric on the CPU."""
    loaded = require_metric(metric.name).load(replace(metric.settings, device="cpu"))
    assert isinstance(loaded, Comparer | SetMetricFeatures)
    return loaded


def compare_with_cpu(
    metrics: Sequence[LoadedMetric],
    source: GroupSource,
    restored: Sequence[RestoredFiles],
    load_on_cpu: Callable[[Any], Any] = load_on_cpu,
) -> Mapping[str, float]:
    """Score the first image that has ground truths on the metrics' device and on the CPU; see `compare_image`."""
    if not _checked(metrics):
        return {}
    scored = ((group, files) for group in source for files in restored if group.id in files.files)
    first = next((pair for pair in scored if pair[0].ground_truths), None)
    if first is None:
        return {}
    group, files = first
    path, (height, width) = files.files[group.id], files.sizes[group.id]
    image, *positives = (
        pixels[:height, :width] for pixels in (read_pixels(path), *map(group.read, group.ground_truths))
    )
    return compare_image(metrics, str(path), image, positives, load_on_cpu)


def compare_image(
    metrics: Sequence[LoadedMetric],
    where: str,
    image: Pixels,
    references: Sequence[Pixels],
    load_on_cpu: Callable[[Any], Any] = load_on_cpu,
) -> Mapping[str, float]:
    """Score one image against its references on the metrics' device and on the CPU; `where` names it in messages.

    Of a metric of sets the image's features are compared, as parts of the largest one.

    Metrics of pyiqa are not checked: some draw random numbers, which differ between devices, and some need minutes.
    Returns metric -> largest absolute difference, for metrics that run elsewhere than on a CPU; PrecisionError if one
    exceeds `LARGEST_DIFFERENCE`.
    """
    differences = {}
    for metric in _checked(metrics):
        on_device, on_cpu = (_scores(own, image, references) for own in (metric, load_on_cpu(metric)))
        unit = np.abs(on_cpu).max() if isinstance(metric, SetMetricFeatures) else 1.0
        differences[metric.name] = float(np.abs(on_device - on_cpu).max() / unit)
        if not differences[metric.name] <= LARGEST_DIFFERENCE:
            raise PrecisionError(
                f"{metric.name} of {where} is {_listed(on_device)} on {metric.settings.device} and {_listed(on_cpu)} "
                f"on the CPU; they must agree within {LARGEST_DIFFERENCE:g}. Score with `device='cpu'`"
            )
    return differences


def _checked(metrics: Sequence[LoadedMetric]) -> list[_Checkable]:
    compared = [metric for metric in metrics if isinstance(metric, Comparer | SetMetricFeatures)]
    return [metric for metric in compared if _needs_check(metric)]


def _scores(metric: _Checkable, image: Pixels, positives: Sequence[Pixels]) -> NDArray[np.float64]:
    features = metric.describe(image)
    if isinstance(metric, SetMetricFeatures):
        return features.astype(np.float64).ravel()
    return np.array([metric.compare(features, metric.describe(positive)) for positive in positives])


def _listed(scores: NDArray[np.float64]) -> str:
    return ", ".join(f"{score:.6f}" for score in scores[:5])


def _needs_check(metric: LoadedMetric) -> bool:
    known = require_metric(metric.name)
    return known.runs_on_torch and known.package != "pyiqa" and not metric.settings.device.startswith("cpu")
