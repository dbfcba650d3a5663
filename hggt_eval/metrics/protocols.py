"""Scoring protocols of papers: which metrics, on which channel, without which border, averaged how.

Scores of two protocols are different measurements, even where the names of their metrics are equal. How annotators were
asked is another matter: `hggt_data.Protocol`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from hggt_data.errors import SettingsError
from hggt_data.io.files import read_toml
from hggt_data.io.parsing import read_value
from hggt_data.io.text import nearest
from hggt_data.ranges import CountOrNone, require_ranges
from hggt_eval.metrics import metric_versions, require_metric
from hggt_eval.metrics.comparer import Colour

CUSTOM = "custom"
Aggregation = Literal["mean"]


@dataclass(frozen=True, slots=True)
class ScoringProtocol:
    """How scores are computed.

    Attributes:
        name: Name in tables and `scores.json`.
        border: Pixels cut off each side.
        colour: `rgb`, or `y` for PSNR and SSIM on BT.601 luma.
        metrics: Metric by its full name -> beginning of the version of the package that computes it; empty for any.
        aggregation: `mean`: over the ground truths of a group, then over groups.

    Raises:
        SettingsError: The border is out of range, there is no metric, or a version is not installed.
    """

    name: str
    border: CountOrNone
    colour: Colour
    metrics: Mapping[str, str] = field(default_factory=dict)
    aggregation: Aggregation = "mean"

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
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        ScoringProtocol("hggt", 4, "rgb", {"psnr": "", "ssim": "", "lpips": "0.1", "dists": ""}),
        ScoringProtocol(
            "osediff",
            0,
            "y",
            {
                **{"psnr_pyiqa": "", "ssim_pyiqa": "", "lpips": "0.1", "dists": "", "niqe_pyiqa": ""},
                **dict.fromkeys(("clipiqa", "musiq", "maniqa-pipal"), _PYIQA),
            },
        ),
    )
}
_KEYS = ("name", "border", "colour", "metrics", "aggregation")


def find_protocol(name_or_file: str | Path) -> ScoringProtocol:
    """The protocol of this name, or of a TOML file with the keys name, border, colour, metrics and aggregation.

    `metrics` is a table: full name -> beginning of the version of the package that computes it, `""` for any.

    Raises:
        SettingsError: There is no such protocol or file, or the file has other keys or values.
    """
    text = str(name_or_file)
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    path = Path(text)
    if path.suffix.lower() != ".toml":
        raise SettingsError(f"protocol {text!r} is not known; {nearest(text, PROTOCOLS)}; or pass a file FILE.toml")
    content = read_toml(path, SettingsError)
    if unknown := [key for key in content if key not in _KEYS]:
        raise SettingsError(f"{path}: unknown key {unknown[0]!r}; {nearest(unknown[0], _KEYS)}")
    if missing := [key for key in _KEYS[:4] if key not in content]:
        raise SettingsError(f"{path}: missing {', '.join(missing)}; expected {', '.join(_KEYS)}")
    try:
        protocol = read_value(ScoringProtocol, {"aggregation": "mean", **content})
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error
    if protocol.name in (CUSTOM, *PROTOCOLS):
        raise SettingsError(f"{path}: name {protocol.name!r} is taken; choose another name")
    for metric in protocol.metrics:
        require_metric(metric)
    return protocol
