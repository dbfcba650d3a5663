"""What settings of a degradation may be; each check yields one sentence for each fault."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hggt_data.errors import SettingsError

LARGEST_KERNEL_PX = 99  # a kernel of 100,000 would take 40 GB


class DegradationError(SettingsError):
    """Degradation settings are impossible or contradictory, or images do not fit them."""


def scale_faults(scale: int) -> Iterator[str]:
    """A scale below 1."""
    if scale < 1:
        yield f"scale is {scale}; expected 1 or more"


def kernel_size_faults(sizes_px: Sequence[int]) -> Iterator[str]:
    """Widths of kernels that are not odd or too large."""
    if not sizes_px or any(not 1 <= size <= LARGEST_KERNEL_PX or size % 2 == 0 for size in sizes_px):
        yield f"kernel_sizes_px is {sizes_px}; expected one or more odd numbers, at most {LARGEST_KERNEL_PX}"


def range_faults(settings: Any, limits: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """Ranges, by the names of their settings, outside their limits."""
    for name, (least, most) in limits.items():
        low, high = getattr(settings, name)
        if not least <= low <= high <= most:
            yield f"{name} is {(low, high)}; expected (lowest, highest) within {least:g} to {most:g}"


def number_faults(settings: Any, limits: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """Numbers, by the names of their settings, outside their limits."""
    for name, (least, most) in limits.items():
        if not least <= getattr(settings, name) <= most:
            yield f"{name} is {getattr(settings, name)}; expected {least:g} to {most:g}"


def choice_faults(name: str, given: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """Names in a setting that are not known, or none at all."""
    if not given or not set(given) <= set(known):
        yield f"{name} has {', '.join(given) or 'nothing'}; expected one or more of {', '.join(known)}"


def weight_faults(name: str, weights: Mapping[Any, float], known: Sequence[str]) -> Iterator[str]:
    """Weights of choices that are not known or cannot be drawn."""
    yield from choice_faults(name, tuple(weights), known)
    if min(weights.values(), default=0) < 0 or sum(weights.values()) <= 0:
        yield f"{name} is {dict(weights)}; expected weights of 0 or more, one of them above 0"
