"""Features of ground truths, kept on disk, so that a method scored later costs one forward pass an image.

A file is found by the content of the picture and by all that its features depend on: metric, weights, border, versions,
kind of device. Files are written whole or not at all and carry checksums; a damaged one is computed anew. Nothing is
ever deleted here: the folder may be, at any time.
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
from hggt_eval.metrics.comparer import AnyComparer


class FeatureCache:
    """A folder of features.

    Args:
        folder: made if need be. With 512 x 512 pixels a picture takes 11 MB for LPIPS and 127 MB for DISTS.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self, metric: AnyComparer, pixels: Pixels, sha256: str) -> Any:
        """What `metric.describe(pixels)` gives, to the bit.

        Args:
            metric: ready to run, one whose features are worth keeping.
            pixels: uint8 (H, W, 3) RGB.
            sha256: of the picture's file.

        Raises:
            ImageError: as `Comparer.describe`.
            OutputError: the features cannot be written.
        """
        path = self.folder / metric.name / _fingerprint(metric) / sha256[:2] / f"{sha256}.npz"
        if (arrays := _read(path)) is not None:
            return metric.unpack(arrays)
        features = metric.describe(pixels)
        _write(path, metric.pack(features))
        return features


def _fingerprint(metric: AnyComparer) -> str:
    """All that features depend on but the picture."""
    known = {
        "border": metric.settings.border,
        "device": metric.settings.device.partition(":")[0],  # the last bits differ between kinds of device
        "weights": metric.weights_sha256,
        "versions": metric_versions([require_metric(metric.name)]),
    }
    return sha256_of(json.dumps(known, sort_keys=True).encode())[:16]


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file; null where there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (FileNotFoundError, NotADirectoryError, zipfile.BadZipFile, ValueError, EOFError):
        return None


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # taken for the switch of newer versions
    except OSError as error:
        raise OutputError(
            f"{path}: features cannot be kept: {error.strerror or error}; what is scored so far is not lost. Free some "
            "space, name another --cache, or leave it out"
        ) from error
