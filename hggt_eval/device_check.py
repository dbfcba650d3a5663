"""Checks, before anything is scored on a GPU, that it gives a CPU's scores on one image.

`full_precision` in `metrics/device.py` keeps them alike. If a library, driver or environment variable lowers a device's
precision all the same, every score would silently be wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

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


_Checked = AnyComparer | SetMetricFeatures


def load_on_cpu(metric: _Checked) -> _Checked:
    """The same metric on the CPU."""
    loaded = require_metric(metric.name).load(replace(metric.settings, device="cpu"))
    assert isinstance(loaded, Comparer | SetMetricFeatures)
    return loaded


def compare_with_cpu(
    metrics: Sequence[LoadedMetric],
    source: GroupSource,
    restored: Sequence[RestoredFiles],
    load_on_cpu: Callable[[_Checked], _Checked] = load_on_cpu,
) -> Mapping[str, float]:
    """Score the first image that has ground truths on the metrics' device and on the CPU.

    Of a metric of sets the image's features are compared, as parts of the largest one.

    Metrics of pyiqa are not checked: some draw random numbers, which differ between devices, and some need minutes.
    Returns metric -> largest absolute difference, for metrics that run elsewhere than on a CPU; PrecisionError if one
    exceeds `LARGEST_DIFFERENCE`.
    """
    checked = [
        metric for metric in metrics if isinstance(metric, Comparer | SetMetricFeatures) and _needs_check(metric)
    ]
    scored = ((group, files.files[group.id]) for group in source for files in restored if group.id in files.files)
    first = next((pair for pair in scored if pair[0].ground_truths), None) if checked else None
    if first is None:
        return {}
    group, path = first
    image, positives = read_pixels(path), [group.read(name) for name in group.ground_truths]
    differences = {}
    for metric in checked:
        on_device, on_cpu = (_scores(own, image, positives) for own in (metric, load_on_cpu(metric)))
        unit = np.abs(on_cpu).max() if isinstance(metric, SetMetricFeatures) else 1.0
        differences[metric.name] = float(np.abs(on_device - on_cpu).max() / unit)
        if not differences[metric.name] <= LARGEST_DIFFERENCE:
            raise PrecisionError(
                f"{metric.name} of {path} is {_listed(on_device)} on {metric.settings.device} and {_listed(on_cpu)} on "
                f"the CPU; they must agree within {LARGEST_DIFFERENCE:g}. Score with `device='cpu'`"
            )
    return differences


def _scores(metric: _Checked, image: Pixels, positives: Sequence[Pixels]) -> NDArray[np.float64]:
    features = metric.describe(image)
    if isinstance(metric, SetMetricFeatures):
        return features.astype(np.float64).ravel()
    return np.array([metric.compare(features, metric.describe(positive)) for positive in positives])


def _listed(scores: NDArray[np.float64]) -> str:
    return ", ".join(f"{score:.6f}" for score in scores[:5])


def _needs_check(metric: LoadedMetric) -> bool:
    known = require_metric(metric.name)
    return known.runs_on_torch and known.package != "pyiqa" and not metric.settings.device.startswith("cpu")
