"""Whether a GPU gives the numbers that a CPU gives: looked at on one image before anything is scored on it.

`metrics/precision.py` is what keeps them alike. A library, a driver or an environment variable that makes a device
compute more coarsely all the same would otherwise go unnoticed into every score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import HggtError
from hggt_data.groups import GroupSource
from hggt_data.io.images import Pixels, read_pixels
from hggt_data.restored.matching import RestoredFiles
from hggt_eval.metrics import require_metric
from hggt_eval.metrics.comparer import AnyComparer, Comparer, LoadedMetric

LARGEST_DIFFERENCE = 1e-4


class PrecisionError(HggtError, ArithmeticError):
    """A device gives other numbers than a CPU."""


def compare_with_cpu(
    metrics: Sequence[LoadedMetric], source: GroupSource, restored: Sequence[RestoredFiles]
) -> Mapping[str, float]:
    """Score one image on the metrics' device and on the CPU: the first that has positives, against all of them.

    Metrics of pyiqa are left out: some draw random numbers, which each device has of its own, some need minutes.

    Returns:
        Metric -> largest absolute difference; empty where no metric runs elsewhere than on a CPU.

    Raises:
        PrecisionError: a score differs by more than `LARGEST_DIFFERENCE`.
        ImageError: a picture is damaged, or too small for a metric.
        OSError: a file cannot be read.
    """
    elsewhere = [metric for metric in metrics if isinstance(metric, Comparer) and _can_be_checked(metric)]
    scored = ((group, files.files[group.id]) for group in source for files in restored if group.id in files.files)
    first = next((pair for pair in scored if pair[0].positives), None) if elsewhere else None
    if first is None:
        return {}
    group, path = first
    image, positives = read_pixels(path), [group.read(name) for name in group.positives]
    differences = {}
    for metric in elsewhere:
        on_device, on_cpu = (_scores(own, image, positives) for own in (metric, _on_cpu(metric)))
        differences[metric.name] = float(np.abs(on_device - on_cpu).max())
        if not differences[metric.name] <= LARGEST_DIFFERENCE:
            device = metric.settings.device
            raise PrecisionError(
                f"{metric.name} of {path} is {_listed(on_device)} on {device} and {_listed(on_cpu)} on the CPU; "
                f"expected them within {LARGEST_DIFFERENCE:g}. Score with --device cpu, and tell whoever looks after "
                f"{device}"
            )
    return differences


def _scores(metric: AnyComparer, image: Pixels, positives: Sequence[Pixels]) -> NDArray[np.float64]:
    features = metric.describe(image)
    return np.array([metric.compare(features, metric.describe(positive)) for positive in positives])


def _listed(scores: NDArray[np.float64]) -> str:
    return ", ".join(f"{score:.6f}" for score in scores)


def _can_be_checked(metric: LoadedMetric) -> bool:
    known = require_metric(metric.name)
    return known.runs_on_torch and known.package != "pyiqa" and not metric.settings.device.startswith("cpu")


def _on_cpu(metric: AnyComparer) -> AnyComparer:
    """The same metric on the CPU."""
    loaded = require_metric(metric.name).load(replace(metric.settings, device="cpu"))
    assert isinstance(loaded, Comparer)
    return loaded
