"""The metrics by name. A metric's file, and with it torch or OpenCV, is imported when the metric is loaded.

Example:
    >>> from hggt_eval.metrics import METRICS
    >>> METRICS["psnr"].higher_is_better, METRICS["lpips"].needs
    (True, ('alexnet',))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from hggt_data.errors import HggtError
from hggt_data.io.text import nearest
from hggt_eval.metrics.comparer import AnyComparer, MetricSettings, NoReference

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "NO_REFERENCE",
    "FullReferenceMetric",
    "Metric",
    "MetricSettings",
    "NoReferenceMetric",
    "UnknownMetricError",
    "metric_versions",
    "require_metric",
    "tell_metric",
]


class UnknownMetricError(HggtError, KeyError):
    """No metric has this name."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of a metric before it is loaded.

    Attributes:
        name: as users type it; metrics of piq and pyiqa keep the names they have there.
        title: as reports print it.
        higher_is_better: whether a larger score is a better picture.
        needs: names of the ImageNet backbones whose weights it loads.
        package: whose computation it is; reports carry the version.
    """

    name: str
    title: str
    higher_is_better: bool
    needs: tuple[str, ...] = ()
    package: str = "hggt"

    @property
    def runs_on_torch(self) -> bool:
        """Whether it is computed by torch, on the device of its settings."""
        return self.package in ("lpips", "torchmetrics", "piq", "pyiqa")


class FullReferenceMetric(Metric):
    """A metric that compares a restored image with a ground truth."""

    __slots__ = ()

    def load(self, settings: MetricSettings | None = None) -> AnyComparer:
        """The metric ready to run.

        Raises:
            WeightsError: it needs weights, or a package, that cannot be had.
            DamagedWeightsError: it needs weights whose file is damaged or holds other layers.
        """
        if self.package == "piq":
            from hggt_eval.metrics.piq_metrics import PiqComparer

            return PiqComparer(self.name, settings)
        if self.package == "pyiqa":
            from hggt_eval.metrics.pyiqa_metrics import PyiqaComparer

            return PyiqaComparer(self.name, settings)
        module = import_module(f"hggt_eval.metrics.{self.name}")
        comparer: AnyComparer = getattr(module, self.name.capitalize())(settings)
        return comparer


class NoReferenceMetric(Metric):
    """A metric that looks at the restored image alone."""

    __slots__ = ()

    def load(self, settings: MetricSettings | None = None) -> NoReference:
        """The metric ready to run; raises as `FullReferenceMetric.load`."""
        if self.package == "pyiqa":
            from hggt_eval.metrics.pyiqa_metrics import PyiqaNoReference

            return PyiqaNoReference(self.name, settings)
        from hggt_eval.metrics.niqe import Niqe

        return Niqe(settings)


METRICS = {
    metric.name: metric
    for metric in (
        FullReferenceMetric("psnr", "PSNR", True, (), "numpy"),
        FullReferenceMetric("ssim", "SSIM", True, (), "opencv-python-headless"),
        FullReferenceMetric("lpips", "LPIPS", False, ("alexnet",), "lpips"),
        FullReferenceMetric("dists", "DISTS", False, ("vgg16",), "torchmetrics"),
        FullReferenceMetric("multi_scale_ssim", "MS-SSIM", True, (), "piq"),
        FullReferenceMetric("fsim", "FSIM", True, (), "piq"),
        FullReferenceMetric("vsi", "VSI", True, (), "piq"),
        FullReferenceMetric("haarpsi", "HaarPSI", True, (), "piq"),
        FullReferenceMetric("vif_p", "VIFp", True, (), "piq"),
        FullReferenceMetric("dss", "DSS", True, (), "piq"),
        FullReferenceMetric("srsim", "SR-SIM", True, (), "piq"),
        FullReferenceMetric("gmsd", "GMSD", False, (), "piq"),
        FullReferenceMetric("multi_scale_gmsd", "MS-GMSD", False, (), "piq"),
        FullReferenceMetric("mdsi", "MDSI", False, (), "piq"),
    )
}
NO_REFERENCE = {"niqe": NoReferenceMetric("niqe", "NIQE", False, (), "opencv-python-headless")}
DEFAULT_METRICS = ("psnr", "ssim", "lpips", "dists")


# Metrics of packages that may not be here, as files of scores tell of them.
_told: dict[str, FullReferenceMetric | NoReferenceMetric] = {}


def tell_metric(metric: FullReferenceMetric | NoReferenceMetric) -> None:
    """Make known what a file of scores says of a metric: without its package nobody here knows its direction."""
    if metric.name not in METRICS and metric.name not in NO_REFERENCE:
        _told[metric.name] = metric


def require_metric(name: str) -> FullReferenceMetric | NoReferenceMetric:
    """The metric of this name: one of ours, one that a file of scores has told of, or one that pyiqa has.

    Raises:
        UnknownMetricError: there is none; the message names the nearest.
    """
    own: dict[str, FullReferenceMetric | NoReferenceMetric] = {**METRICS, **NO_REFERENCE, **_told}
    if name in own:
        return own[name]
    from hggt_eval.metrics.pyiqa_metrics import find_metric, known_names

    if (metric := find_metric(name)) is not None:
        return metric
    hint = nearest(name.lower(), (*own, *known_names()))
    raise UnknownMetricError(f"metric {name!r} is not known; {hint}")


def metric_versions(metrics: Sequence[Metric]) -> dict[str, str]:
    """Package -> version, of hggt and of every package whose computation these metrics are."""
    packages = {"hggt", "numpy", *(metric.package for metric in metrics)}
    if any(metric.runs_on_torch for metric in metrics):
        packages |= {"torch", "torchvision"}
    return {package: _version(package) for package in sorted(packages)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # cv2 of another distribution, or hggt run without being installed
        return "unknown"
