"""The metrics by name. A metric's file, and with it torch or OpenCV, is imported when the metric is loaded.

Example:
    >>> from hggt_eval.metrics import METRICS
    >>> METRICS["psnr"].higher_is_better, METRICS["lpips"].needs
    (True, ('alexnet',))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from hggt_data.errors import HggtError
from hggt_data.schema import nearest
from hggt_eval.metrics.comparer import AnyComparer, MetricSettings

__all__ = ["DEFAULT_METRICS", "METRICS", "Metric", "MetricSettings", "UnknownMetricError", "require_metric"]


class UnknownMetricError(HggtError, KeyError):
    """No metric has this name."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of a metric before it is loaded.

    Attributes:
        name: as users type it; piq's metrics keep the names of piq's functions.
        title: as reports print it.
        higher_is_better: whether a larger score is a better picture.
        needs: names of the ImageNet backbones whose weights it loads.
        package: whose computation it is; reports carry the version.
    """

    name: str
    title: str
    higher_is_better: bool
    needs: tuple[str, ...]
    package: str

    @property
    def runs_on_torch(self) -> bool:
        """Whether it is computed by torch, on the device of its settings."""
        return self.package in ("lpips", "torchmetrics", "piq")

    def load(self, settings: MetricSettings | None = None) -> AnyComparer:
        """The metric ready to run.

        Raises:
            WeightsError: it needs weights that cannot be had.
            DamagedWeightsError: it needs weights whose file is damaged or holds other layers.
        """
        if self.package == "piq":
            from hggt_eval.metrics.full_reference import FullReference

            return FullReference(self.name, settings)
        module = import_module(f"hggt_eval.metrics.{self.name}")
        comparer: AnyComparer = getattr(module, self.name.capitalize())(settings)
        return comparer


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR", True, (), "numpy"),
        Metric("ssim", "SSIM", True, (), "opencv-python-headless"),
        Metric("lpips", "LPIPS", False, ("alexnet",), "lpips"),
        Metric("dists", "DISTS", False, ("vgg16",), "torchmetrics"),
        Metric("multi_scale_ssim", "MS-SSIM", True, (), "piq"),
        Metric("fsim", "FSIM", True, (), "piq"),
        Metric("vsi", "VSI", True, (), "piq"),
        Metric("haarpsi", "HaarPSI", True, (), "piq"),
        Metric("vif_p", "VIFp", True, (), "piq"),
        Metric("dss", "DSS", True, (), "piq"),
        Metric("srsim", "SR-SIM", True, (), "piq"),
        Metric("gmsd", "GMSD", False, (), "piq"),
        Metric("multi_scale_gmsd", "MS-GMSD", False, (), "piq"),
        Metric("mdsi", "MDSI", False, (), "piq"),
    )
}
DEFAULT_METRICS = ("psnr", "ssim", "lpips", "dists")


def require_metric(name: str, known: Sequence[str] = tuple(METRICS)) -> Metric:
    """The metric of this name.

    Raises:
        UnknownMetricError: there is none; the message names the nearest.
    """
    if name not in known:
        raise UnknownMetricError(f"metric {name!r} is not known; {nearest(name.lower(), known)}")
    return METRICS[name]
