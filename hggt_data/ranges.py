"""Allowed values of settings, written once in their annotations: checked by the settings, shown by the commands.

votes: Annotated[int, Range(1, 26)] = 3
batches: Literal["lists", "links"] = "lists"
"""

import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hggt_data.errors import SettingsError


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both included; None for no bound."""

    low: float | None = None
    high: float | None = None

    def __contains__(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low} or more"
        return f"{self.low} to {self.high}"


Count = Annotated[int, Range(1)]
CountOrNone = Annotated[int, Range(0)]


def require_ranges(settings: object) -> None:
    """SettingsError, with all faults, if fields of a dataclass have values that their annotations do not allow."""
    faults = []
    for name, annotation in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        if expected := _expected(annotation, value):
            faults.append(f"`{name}` is {value!r}, expected {expected}")
    if faults:
        raise SettingsError("; ".join(faults))


def require_lists(**values: Sequence[object]) -> None:
    """SettingsError if a text is given in place of a list of texts: type checkers take it for a list of letters."""
    for name, value in values.items():
        if isinstance(value, str):
            raise SettingsError(f"`{name}` is {value!r}, expected a list")


def _expected(annotation: Any, value: Any) -> str:
    """What was expected instead of this value; empty if it is allowed."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return "" if value is None else next(filter(None, (_expected(part, value) for part in arguments)), "")
    if origin is Literal and value not in arguments:
        return " or ".join(map(str, arguments))
    if origin is Annotated:
        return next((str(part) for part in arguments[1:] if isinstance(part, Range) and value not in part), "")
    return ""
