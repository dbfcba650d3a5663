"""What all networks share: typed arguments, and what inference must know of a network besides its weights.

Arguments have the names of the official HGGT code and default to the published sizes. A network knows nothing of
files; `hggt_models.networks.checkpoint` reads and writes them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hggt_data.errors import HggtError

# The mean colour of DIV2K, which the official networks subtract from their input.
DIV2K_MEAN = (0.4488, 0.4371, 0.404)

Shapes = Mapping[str, torch.Size]


class NetworkError(HggtError, ValueError):
    """A network is asked for that does not exist or cannot be built."""


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Base of the networks' arguments. Every field has a default, and values must be of its kind.

    Raises:
        NetworkError: a value is of another kind, or values contradict each other; all of them in one message.
    """

    def __post_init__(self) -> None:
        faults = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # JSON has no tuples
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            if not _is_like(value, field.default):
                faults.append(f"{field.name} is {value!r}; expected a value like {field.default!r}")
        faults = faults or list(self.contradictions())
        if faults:
            raise NetworkError("; ".join(faults))

    def contradictions(self) -> Iterator[str]:
        """What cannot be built, one line for each fault."""
        yield from ()


class Network(nn.Module):
    """Maps images, float (N, 3, H, W) in [0, 1] of any size, to (N, 3, scale * H, scale * W), not clamped.

    Attributes:
        name: as `build_network` knows it.
        args: what it was built from.
        scale: side of the output over side of the input.
        window: a tile whose top and left are multiples of it computes what the whole picture does, but for its rim.
        receptive_field_px: width of that rim: input pixels farther away, in rows or in columns, have no influence.
            None if the whole input has.
        wraps: whether pixels near an edge also look around it at the opposite edge.
        channels_last: whether it is faster with weights in that memory format, see docs/benchmarks.md.
    """

    name: ClassVar[str]
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
        """Name and arguments, ready for JSON; `build_network(**config)` builds the same network."""
        return {"name": self.name, **asdict(self.args)}

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The arguments that a state dict's keys and shapes tell; None if they are not this network's.

        Arguments that leave no trace there are left out, and so get their default.
        """
        return None


class MeanShift(nn.Module):
    """What a network works on: (images - mean) * value_range, with one mean for each channel; and the way back."""

    mean: Tensor

    def __init__(self, mean: tuple[float, ...], value_range: float) -> None:
        super().__init__()
        self.value_range = value_range
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1], shifted and scaled."""
        return (images - self.mean) * self.value_range

    def inverse(self, images: Tensor) -> Tensor:
        """What `forward` gave, back in [0, 1]."""
        return images / self.value_range + self.mean


def count_keys(shapes: Shapes, pattern: str) -> int:
    """How many of `pattern.format(0)`, `pattern.format(1)`, ... a state dict holds in a row."""
    number = 0
    while pattern.format(number) in shapes:
        number += 1
    return number


def _is_like(value: object, example: object) -> bool:
    """Whether a value is of an example's kind: its type, tuples of any length, counts from 1; an int may be a float."""
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
