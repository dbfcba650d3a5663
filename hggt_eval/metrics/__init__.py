"""The metrics by name. A metric's module, and with it torch or OpenCV, is imported when the metric is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from hggt_data.errors import HggtError, SettingsError
from hggt_data.io.text import nearest, parse_names
from hggt_eval.metrics.comparer import AnyComparer, MetricSettings, NoReference, SetMetricFeatures

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "NO_REFERENCE",
    "SET_METRICS",
    "AnyMetric",
    "FullReferenceMetric",
    "Metric",
    "MetricSettings",
    "NoReferenceMetric",
    "SetMetric",
    "UnknownMetricError",
    "metric_versions",
    "parse_decimals",
    "parse_metrics",
    "require_metric",
    "title_of",
]


class UnknownMetricError(HggtError, KeyError):
    """No metric has this name."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


@dataclass(frozen=True, slots=True)
class Metric:
    """Facts about a metric that are known before it is loaded.

    Attributes:
        name: Name as users type it; metrics of piq and pyiqa keep the names they have there.
        title: Name in reports.
        higher_is_better: Whether a larger score means a better image.
        needs: ImageNet backbones whose weights it loads. Scores files do not record them, so equality ignores them.
        package: Package that computes it; reports give its version.
    """

    name: str
    title: str
    higher_is_better: bool
    needs: tuple[str, ...] = field(default=(), compare=False)
    package: str = "hggt"

    @property
    def runs_on_torch(self) -> bool:
        """Whether torch computes it, on the device of its settings."""
        return self.package in ("lpips", "torchmetrics", "piq", "pyiqa", "torch-fidelity")


class FullReferenceMetric(Metric):
    """A metric that compares a restored image with a ground truth."""

    __slots__ = ()

    def load(self, settings: MetricSettings | None = None) -> AnyComparer:
        """The metric, ready to run.

        Raises:
            WeightsError: It needs weights, or a package, that are not available.
            DamagedWeightsError: A weights file is damaged or holds other layers.
        """
        if self.package == "piq":
            from hggt_eval.metrics.piq_metrics import PiqComparer

            return PiqComparer(self.name, settings)
        if self.package == "pyiqa":
            from hggt_eval.metrics.pyiqa_metrics import PyiqaComparer

            return PyiqaComparer(self.name, settings)
        comparer: AnyComparer = _own_class(self.name)(settings)
        return comparer


class NoReferenceMetric(Metric):
    """A metric that rates the restored image alone."""

    __slots__ = ()

    def load(self, settings: MetricSettings | None = None) -> NoReference:
        """The metric, ready to run; raises the errors of `FullReferenceMetric.load`."""
        if self.package == "pyiqa":
            from hggt_eval.metrics.pyiqa_metrics import PyiqaNoReference

            return PyiqaNoReference(self.name, settings)
        rater: NoReference = _own_class(self.name)(settings)
        return rater


def _own_class(name: str) -> Any:
    """The class of a metric that is computed here: PsnrPyiqa for psnr_pyiqa, in the module of pyiqa's formulas."""
    module = "pyiqa_formulas" if name.endswith("_pyiqa") else name.partition("-")[0]
    words = name.replace("-", "_").split("_")
    return getattr(import_module(f"hggt_eval.metrics.{module}"), "".join(map(str.capitalize, words)))


class SetMetric(Metric):
    """A metric that compares the set of a method's restored images with a set of pictures; no image has a value."""

    __slots__ = ()

    @property
    def distance(self) -> Literal["kid", "fid"]:
        """What is computed from the features."""
        return "kid" if "kid" in self.name else "fid"

    @property
    def view(self) -> str:
        """How pictures are brought to the network's size."""
        return _VIEWS.get(self.name, "tensorflow")

    @property
    def takes_positives(self) -> bool:
        """Whether the other set is the positives, instead of the ground truths of all groups."""
        return self.name.endswith("_positives")

    def load(self, settings: MetricSettings | None = None) -> SetMetricFeatures:
        """Its network, ready to run; raises the errors of `FullReferenceMetric.load`."""
        from hggt_eval.metrics.inception import InceptionFeatures

        return InceptionFeatures(self, settings)


_VIEWS = {"fid_clean": "clean", "fid_legacy_pytorch": "legacy_pytorch", "patch_fid": "patches"}
AnyMetric = FullReferenceMetric | NoReferenceMetric | SetMetric

METRICS = {
    metric.name: metric
    for metric in (
        FullReferenceMetric("psnr", "PSNR", True, (), "numpy"),
        FullReferenceMetric("ssim", "SSIM", True, (), "opencv-python-headless"),
        FullReferenceMetric("lpips", "LPIPS", False, ("alexnet",), "lpips"),
        FullReferenceMetric("lpips-vgg", "LPIPS (VGG)", False, ("vgg16",), "lpips"),
        FullReferenceMetric("dists", "DISTS", False, ("vgg16",), "torchmetrics"),
        FullReferenceMetric("psnr_pyiqa", "PSNR (pyiqa)", True, (), "numpy"),
        FullReferenceMetric("ssim_pyiqa", "SSIM (pyiqa)", True, (), "opencv-python-headless"),
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
NO_REFERENCE = {
    "niqe": NoReferenceMetric("niqe", "NIQE", False, (), "opencv-python-headless"),
    "niqe_pyiqa": NoReferenceMetric("niqe_pyiqa", "NIQE (pyiqa)", False, (), "opencv-python-headless"),
}
SET_METRICS = {
    name: SetMetric(name, title, False, ("Inception v3",), "torch-fidelity")
    for name, title in (
        ("kid", "KID"),
        ("fid", "FID"),
        ("fid_clean", "FID (clean)"),
        ("fid_legacy_pytorch", "FID (legacy_pytorch)"),
        ("kid_positives", "KID (positives)"),
        ("fid_positives", "FID (positives)"),
        ("patch_fid", "patch FID"),
    )
}
DEFAULT_METRICS = ("psnr", "ssim", "lpips", "dists")


def require_metric(name: str) -> AnyMetric:
    """The metric of this name, ours or pyiqa's.

    Raises:
        UnknownMetricError: No metric has this name; the message suggests the closest one.
    """
    own: dict[str, AnyMetric] = {**METRICS, **NO_REFERENCE, **SET_METRICS}
    if name in own:
        return own[name]
    from hggt_eval.metrics.pyiqa_metrics import find_metric, known_names

    if (metric := find_metric(name)) is not None:
        return metric
    hint = nearest(name.lower(), (*own, *known_names()))
    raise UnknownMetricError(f"metric {name!r} is not known; {hint}")


def parse_metrics(text: str) -> tuple[str, ...]:
    """Parse `psnr,ssim`: the names of known metrics, each once."""
    names = parse_names(text)
    if not names:
        raise UnknownMetricError("no metric is given")
    return tuple(dict.fromkeys(require_metric(name).name for name in names))


def parse_decimals(text: str) -> dict[str, int]:
    """Parse `3`, for all metrics (named `""`), or `psnr=2,lpips=3`."""
    decimals: dict[str, int] = {}
    for part in parse_names(text):
        name, equals, number = part.rpartition("=")
        metric = require_metric(name).name if equals else ""
        if not number.isdecimal() or int(number) > 10:
            raise SettingsError(f"{part!r}; expected a number from 0 to 10, or METRIC=NUMBER,...")
        decimals[metric] = int(number)
    return decimals


def title_of(name: str) -> str:
    """A metric's title in reports, even if its package is missing."""
    own = METRICS.get(name) or NO_REFERENCE.get(name) or SET_METRICS.get(name)
    return own.title if own else name.upper()


def metric_versions(metrics: Sequence[Metric]) -> dict[str, str]:
    """Package -> version, for hggt and every package that computes one of these metrics."""
    packages = {"hggt", "numpy", *(metric.package for metric in metrics)}
    if any(metric.runs_on_torch for metric in metrics):
        packages |= {"torch", "torchvision"}
    return {package: _version(package) for package in sorted(packages)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # cv2 from another distribution, or hggt run without being installed
        return "unknown"
