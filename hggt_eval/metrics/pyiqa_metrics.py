"""Metrics of pyiqa under pyiqa's names, through the extra `iqa`: pip install 'hggt[iqa]'.

Some of these metrics sample patches at random or depend on the other pictures of a batch, so each picture is rated
alone and with the same seed. pyiqa (PolyForm Noncommercial) is imported only if one of its metrics is requested; it
manages and downloads its weights itself.
"""

import contextlib
import io
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from hggt_data.errors import WeightsError
from hggt_data.io.images import Pixels
from hggt_eval.metrics.comparer import Comparer, LoadedMetric, MetricSettings, NoReference

if TYPE_CHECKING:
    from torch import Tensor

    from hggt_eval.metrics import FullReferenceMetric, NoReferenceMetric

_SEED = 0
_INSTALL = "pip install 'hggt[iqa]' (PolyForm Noncommercial, 1.5 GB)"
# Names that count as pyiqa's if it is not installed; else its own list counts. Metrics of sets (FID) are excluded.
_WITHOUT_PYIQA = (
    *("arniqa", "brisque", "clipiqa", "clipiqa+", "cnniqa", "compare2score", "dbcnn", "entropy", "hyperiqa", "ilniqe"),
    *("laion_aes", "liqe", "liqe_mix", "maclip", "maniqa", "maniqa-kadid", "maniqa-pipal", "musiq", "musiq-ava"),
    *("musiq-paq2piq", "musiq-spaq", "nima", "nrqm", "paq2piq", "pi", "piqe", "qalign", "qualiclip", "topiq_iaa"),
    *("topiq_nr", "tres", "unique", "wadiqam_nr"),
    *("afine_fr", "ahiq", "ckdn", "cw_ssim", "deepdc", "mad", "nlpd", "pieapp", "stlpips", "topiq_fr"),
    *("vif", "wadiqam_fr"),
)
_SET_METRICS = ("fid", "sfid", "fid_dinov2", "inception_score")


def known_names() -> tuple[str, ...]:
    """pyiqa's metrics if it is installed, else its most popular ones."""
    return tuple(_configs() or _WITHOUT_PYIQA)


def find_metric(name: str) -> "FullReferenceMetric | NoReferenceMetric | None":
    """pyiqa's metric of this name, if it has one.

    A popular metric is found even without pyiqa; the error of loading it then says what to install.
    """
    from hggt_eval.metrics import FullReferenceMetric, NoReferenceMetric

    if name not in known_names():
        return None
    config = _configs().get(name, {})
    kind = FullReferenceMetric if config.get("metric_mode") == "FR" else NoReferenceMetric
    return kind(name, name.upper(), not config.get("lower_better", False), (), "pyiqa")


def _configs() -> dict[str, Any]:
    """pyiqa's name -> mode and direction; empty if pyiqa is not installed or cannot be imported."""
    if find_spec("pyiqa") is None:
        return {}
    try:
        from pyiqa.default_model_configs import DEFAULT_CONFIGS
    except ImportError:  # `_load` reports why
        return {}
    return {name: config for name, config in DEFAULT_CONFIGS.items() if name not in _SET_METRICS}


class _PyiqaMetric(LoadedMetric):
    """A metric of pyiqa; WeightsError if pyiqa, a package it needs, or its weights are not available."""

    def __init__(self, name: str, settings: MetricSettings | None = None) -> None:
        super().__init__(settings)
        self.name = name
        self._network = _load(name, self.settings.device)


class PyiqaNoReference(_PyiqaMetric, NoReference):
    """A no-reference metric of pyiqa."""

    def rate(self, pixels: Pixels) -> float:
        """pyiqa's score."""
        return _run(self._network, self.settings.device, _image(self.cropped(pixels), self.settings.device))


class PyiqaComparer(_PyiqaMetric, Comparer["Tensor"]):
    """A full-reference metric of pyiqa. Features: the cropped picture, float32 (1, 3, H, W), 0 to 1."""

    def describe(self, pixels: Pixels) -> "Tensor":
        """The cropped picture."""
        return _image(self.cropped(pixels), self.settings.device)

    def compare(self, restored: "Tensor", positive: "Tensor") -> float:
        """The score of the pair, with the positive as pyiqa's reference."""
        return _run(self._network, self.settings.device, restored, positive)


def _load(name: str, device: str) -> Any:
    """pyiqa's metric on the device."""
    try:
        import pyiqa

        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # pyiqa prints what it loads
            warnings.simplefilter("ignore")
            return pyiqa.create_metric(name, device=device)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if missing == "pyiqa":
            raise WeightsError(f"{name} is a metric of pyiqa, which is not installed; {_INSTALL}") from error
        advice = "'setuptools<82'" if missing == "pkg_resources" else missing
        raise WeightsError(f"{name} needs {missing}, which is not installed; pip install {advice}") from error
    except Exception as error:  # its downloads and loaders raise anything
        import torch

        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f'pyiqa cannot load {name} ({reason}). On a machine with network access run python -c "import pyiqa; '
            f"pyiqa.create_metric('{name}')\" and copy its {torch.hub.get_dir()} to the same path here"
        ) from error


def _image(cropped: Pixels, device: str) -> "Tensor":
    from hggt_eval.metrics.tensors import as_images

    return as_images(cropped, device).contiguous()


def _run(network: Any, device: str, *images: "Tensor") -> float:
    from hggt_eval.metrics.device import full_precision

    with full_precision(device), _seeded(images):
        return float(network(*images))


@contextmanager
def _seeded(images: Sequence["Tensor"]) -> Iterator[None]:
    """Use the same seed for every picture, and restore the global random states afterwards."""
    import torch

    devices = [image.device for image in images[:1] if image.is_cuda]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(_SEED)
            random.seed(_SEED)
            np.random.seed(_SEED)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
