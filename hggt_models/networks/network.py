"""The base of all networks: typed arguments, and what inference needs to know besides the weights.

Arguments have the names of the official HGGT code and default to the published sizes. Files of weights are read and
written in `checkpoint.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hggt_data.errors import SettingsError

# The mean colour of DIV2K, which the official networks subtract from their input.
DIV2K_MEAN = (0.4488, 0.4371, 0.404)

# Far above any published network. The layers of larger ones would fill memory, or take minutes to build.
LARGEST_ARG = 1024

Shapes = Mapping[str, torch.Size]


class NetworkError(SettingsError):
    """The requested network does not exist or cannot be built."""


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Base of the networks' arguments. Every field has a default, and its values must have the type of that default.

    NetworkError lists all values that have the wrong type or contradict each other.
    """

    def __post_init__(self) -> None:
        faults = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # JSON has no tuples
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            if not _is_like(value, field.default):
                faults.append(f"{field.name} is {value!r:.60}; expected a value like {field.default!r}")
            elif _largest(value) > LARGEST_ARG:
                faults.append(f"{field.name} is {value!r:.60}; expected at most {LARGEST_ARG:,}")
        faults = faults or list(self.contradictions())
        if faults:
            raise NetworkError(*faults)

    def contradictions(self) -> Iterator[str]:
        """Faults that prevent building the network, one line each."""
        yield from ()


class Network(nn.Module):
    """Maps images, float (N, 3, H, W) in [0, 1] of any size, to (N, 3, scale * H, scale * W), not clamped.

    Attributes:
        name: Name for `build_network`.
        args: Arguments the network was built with.
        scale: Output side divided by input side.
        window: Tiles give the whole picture's result, except at their rim, if their top and left are multiples of this.
        receptive_field_px: Width of that rim: pixels farther away, in rows or in columns, have no influence. None if
            the whole input does.
        wraps: Whether pixels near an edge also depend on the opposite edge.
        channels_last: Whether the channels-last memory format is faster, see docs/benchmarks.md.
    """

    name: str
    args_type: ClassVar[type[NetworkArgs]]
    scale: int
    window: int
    receptive_field_px: int | None
    wraps: bool = False
    channels_last: bool = False

    def __init__(self, args: NetworkArgs) -> None:
        super().__init__()
        self.args = args

    @property
    def config(self) -> dict[str, Any]:
        """Name and arguments for JSON; `build_network(**config)` builds the same network."""
        return {"name": self.name, **asdict(self.args)}

    def refresh(self) -> None:
        """Recompute what is derived from the weights, before they are saved; some classes of other projects need it."""

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Infer the arguments from a state dict's keys and shapes; None if they belong to another network.

        Arguments that cannot be inferred are left out and get their defaults.
        """
        return None


class MeanShift(nn.Module):
    """Normalisation of images, (images - mean) * value_range with one mean per channel, and its inverse."""

    mean: Tensor

    def __init__(self, mean: tuple[float, ...], value_range: float) -> None:
        super().__init__()
        self.value_range = value_range
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (N, C, H, W) in [0, 1]."""
        return (images - self.mean) * self.value_range

    def inverse(self, images: Tensor) -> Tensor:
        """Undo `forward`."""
        return images / self.value_range + self.mean


def count_keys(shapes: Shapes, pattern: str) -> int:
    """Count the consecutive keys `pattern.format(0)`, `pattern.format(1)`, ... of a state dict."""
    number = 0
    while pattern.format(number) in shapes:
        number += 1
    return number


def _largest(value: object) -> int:
    """The largest whole number of a value, or how many it has."""
    if isinstance(value, tuple):
        return max(len(value), *map(_largest, value))
    return value if type(value) is int else 0


def _is_like(value: object, example: object) -> bool:
    """Whether a value has the type of a default. Tuples may have any length, counts start at 1, int counts as float."""
    match example:
        case tuple():
            return isinstance(value, tuple) and len(value) > 0 and all(_is_like(item, example[0]) for item in value)
        case float():
            return type(value) in (int, float)
        case bool() | str():
            return type(value) is type(example)
        case int():
            return type(value) is int and value >= min(example, 1)
    raise AssertionError(f"no argument has a default like {example!r}")
