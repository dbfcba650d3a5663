"""Features of pictures, kept on disk, so that a method scored later costs one forward pass per image.

A file is found by the picture's content and by everything its features depend on: metric, weights, border, versions,
kind of device. Files are written atomically and carry checksums; damaged ones are computed again. Nothing is deleted
here; the folder may be deleted at any time.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hggt_data.errors import OutputError
from hggt_data.io.files import atomic_file, sha256_of
from hggt_data.io.images import Pixels
from hggt_eval.metrics import metric_versions, require_metric
from hggt_eval.metrics.comparer import AnyComparer, SetMetricFeatures


class FeatureCache:
    """A folder of features, created if missing; a 512 x 512 picture takes 11 MB for LPIPS and 127 MB for DISTS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self, metric: AnyComparer | SetMetricFeatures, pixels: Pixels, key: str) -> Any:
        """The same bits as `metric.describe(pixels)`; `key` is the SHA-256 of the picture's file, and its part."""
        path = self.folder / metric.features_name / _fingerprint(metric) / key[:2] / f"{key}.npz"
        if (arrays := _read(path)) is not None:
            return metric.unpack(arrays)
        features = metric.describe(pixels)
        _write(path, metric.pack(features))
        return features


def _fingerprint(metric: AnyComparer | SetMetricFeatures) -> str:
    """Everything that features depend on, except the picture."""
    known = {
        "border": metric.settings.border,
        "device": metric.settings.device.partition(":")[0],  # the last bits differ between kinds of device
        "weights": metric.weights_sha256,
        "versions": metric_versions([require_metric(metric.name)]),
    }
    return sha256_of(json.dumps(known, sort_keys=True).encode())[:16]


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file; None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (FileNotFoundError, NotADirectoryError, zipfile.BadZipFile, ValueError, EOFError):
        return None


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # newer numpy types take an array for its switch
    except OSError as error:
        raise OutputError(
            f"{path}: features cannot be written: {error.strerror or error}. Free some space, choose another "
            "`cache` folder, or omit it; scores computed so far are kept"
        ) from error
