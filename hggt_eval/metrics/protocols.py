"""Scoring protocols of papers: which metrics, on which channel, without which border, averaged how.

Scores of two protocols are different measurements, even where the names of their metrics are equal. How annotators were
asked is another matter: `hggt_data.Protocol`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from hggt_data.errors import HggtError, SettingsError
from hggt_data.io.files import read_toml
from hggt_data.io.parsing import read_value
from hggt_data.io.text import nearest
from hggt_data.ranges import CountOrNone, require_ranges
from hggt_eval.metrics import (
    DEFAULT_METRICS,
    NO_REFERENCE,
    FullReferenceMetric,
    SetMetric,
    metric_versions,
    require_metric,
)
from hggt_eval.metrics.comparer import BORDER_PX, Colour

CUSTOM = "custom"
Aggregation = Literal["mean", "best"]
Sizes = Literal["equal", "common"]


@dataclass(frozen=True, slots=True)
class ScoringProtocol:
    """How scores are computed.

    Attributes:
        name: Name in tables and `scores.json`.
        border: Pixels cut off each side.
        colour: `rgb`, or `y` for PSNR and SSIM on BT.601 luma.
        metrics: Metric by its full name -> beginning of the version of the package that computes it; empty for any.
        aggregation: What counts of a group: the `mean` over its ground truths, or the `best` of them. Groups are then
            averaged.
        sizes: `equal`, or `common` to crop images and ground truths at the right and bottom to the size both have.

    Raises:
        SettingsError: The border is out of range, there is no metric, or a version is not installed.
    """

    name: str
    border: CountOrNone
    colour: Colour
    metrics: Mapping[str, str] = field(default_factory=dict)
    aggregation: Aggregation = "mean"
    sizes: Sizes = "equal"

    def __post_init__(self) -> None:
        require_ranges(self)
        if not self.metrics:
            raise SettingsError(f"the protocol {self.name} has no metrics")

    @property
    def sha256(self) -> str:
        """SHA-256 of the protocol's content."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def choose(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The metrics of these names, or all; SettingsError if one is not in the protocol, or has another version."""
        chosen = tuple(self.metrics) if names is None else tuple(names)
        if other := [name for name in chosen if name not in self.metrics]:
            raise SettingsError(
                f"the protocol {self.name} does not contain {', '.join(other)}; its metrics are "
                f"{', '.join(self.metrics)}"
            )
        for name in chosen:
            package, expected = require_metric(name).package, self.metrics[name]
            found = metric_versions([require_metric(name)])[package]
            if found != "unknown" and not found.startswith(expected):
                raise SettingsError(
                    f"the protocol {self.name} requires {package} {expected} for {name}, found {found}; install that, "
                    "or choose other `metrics`"
                )
        return chosen


_PYIQA = "0.1"
_OF_PYIQA = {"psnr_pyiqa": "", "ssim_pyiqa": "", "lpips": "0.1", "dists": "", "niqe_pyiqa": "", "fid_clean": ""}
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        ScoringProtocol("hggt", 4, "rgb", {"psnr": "", "ssim": "", "lpips": "0.1", "dists": ""}),
        ScoringProtocol(
            "osediff", 0, "y", {**_OF_PYIQA, **dict.fromkeys(("clipiqa", "musiq", "maniqa-pipal"), _PYIQA)}
        ),
        ScoringProtocol(
            "invsr",
            0,
            "y",
            {
                **_OF_PYIQA,
                "lpips-vgg": "0.1",
                "fid_legacy_pytorch": "",
                **dict.fromkeys(("clipiqa", "musiq", "maniqa", "pi", "tres", "dbcnn"), _PYIQA),
            },
            sizes="common",
        ),
        ScoringProtocol("basicsr", 4, "rgb", {"psnr": "", "ssim": "", "niqe": ""}),
    )
}
_KEYS = tuple(part.name for part in fields(ScoringProtocol))
_REQUIRED_KEYS = ("name", "border", "colour", "metrics")


def choose_protocol(
    name_or_file: str | Path | None,
    metrics: Sequence[str] | None,
    border: CountOrNone | None,
    colour: Colour | None,
    *,
    with_ground_truths: bool,
) -> tuple[ScoringProtocol, tuple[str, ...]]:
    """The protocol to score by, `custom` unless one is given, and its metrics to compute.

    Raises:
        SettingsError: The protocol is not known, or contradicts the other arguments; or a metric compares with ground
            truths, and there are none.
    """
    if name_or_file is None:
        default = DEFAULT_METRICS if with_ground_truths else ("niqe",)
        chosen = tuple(default if metrics is None else metrics)
        protocol = ScoringProtocol(
            CUSTOM, BORDER_PX if border is None else border, colour or "rgb", dict.fromkeys(chosen, "")
        )
    else:
        protocol = find_protocol(name_or_file)
        if border is not None or colour is not None:
            given = "border" if colour is None else "colour"
            raise SettingsError(f"`{given}` is set by the protocol {protocol.name}; leave it out")
        if metrics is None and not with_ground_truths:
            metrics = [name for name in protocol.metrics if not _compares(name)]
            if not metrics:
                raise SettingsError(
                    f"all metrics of the protocol {protocol.name} compare with ground truths, which `no_gt` excludes"
                )
        chosen = protocol.choose(metrics)
    if not with_ground_truths and (compared := list(filter(_compares, chosen))):
        raise SettingsError(
            f"{', '.join(compared)} {'compares' if len(compared) == 1 else 'compare'} with ground truths, which "
            f"`no_gt` excludes; pass no-reference `metrics` such as {', '.join(NO_REFERENCE)} or musiq"
        )
    return protocol, chosen


def _compares(name: str) -> bool:
    return isinstance(require_metric(name), FullReferenceMetric | SetMetric)


def find_protocol(name_or_file: str | Path) -> ScoringProtocol:
    """The protocol of this name, or of a TOML file with the attributes of `ScoringProtocol` as keys.

    `aggregation` and `sizes` may be left out. `metrics` is a table: full name -> beginning of the version of the
    package that computes it, `""` for any.

    Raises:
        SettingsError: There is no such protocol or file, or the file has other keys or values.
    """
    text = str(name_or_file)
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    path = Path(text)
    if path.suffix.lower() != ".toml":
        raise SettingsError(f"protocol {text!r} is neither a known name nor a file .toml; {nearest(text, PROTOCOLS)}")
    content = read_toml(path, SettingsError)
    if unknown := [key for key in content if key not in _KEYS]:
        raise SettingsError(f"{path}: unknown key {unknown[0]!r}; {nearest(unknown[0], _KEYS)}")
    if missing := [key for key in _REQUIRED_KEYS if key not in content]:
        raise SettingsError(f"{path}: missing {', '.join(missing)}; expected {', '.join(_KEYS)}")
    try:
        protocol = read_value(ScoringProtocol, {"aggregation": "mean", "sizes": "equal", **content})
        for metric in protocol.metrics:
            require_metric(metric)
    except (HggtError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if protocol.name in (CUSTOM, *PROTOCOLS):
        raise SettingsError(f"{path}: name {protocol.name!r} is taken; choose another name")
    return protocol
