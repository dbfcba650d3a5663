"""Allowed values of settings, written once in their annotations: checked by the settings, shown by the commands.

votes: Annotated[int, Range(1, 26)] = 3
batches: Literal["lists", "links"] = "lists"
"""

import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
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
    hints = get_type_hints(type(settings), include_extras=True)
    _require((name, hint, getattr(settings, name)) for name, hint in hints.items())


def require_arguments(function: Callable[..., object], **arguments: object) -> None:
    """The same for arguments of a function, whose annotations say what is allowed."""
    _require((name, function.__annotations__[name], value) for name, value in arguments.items())


def require_kind(kind: type, advice: str, **arguments: object) -> None:
    """SettingsError if an argument is of another class, such as a path where an opened thing is expected."""
    faults = [
        f"`{name}` is {value!r}; expected {kind.__name__}: {advice}"
        for name, value in arguments.items()
        if not isinstance(value, kind)
    ]
    if faults:
        raise SettingsError(*faults)


def _require(values: Iterable[tuple[str, Any, Any]]) -> None:
    """Check (name, annotation, value) of each setting."""
    faults = [
        f"`{name}` is {value!r}; expected {expected}"
        for name, annotation, value in values
        if (expected := _expected(annotation, value))
    ]
    if faults:
        raise SettingsError(*faults)


def require_lists(**values: Sequence[object]) -> None:
    """SettingsError if a text is given in place of a list of texts: type checkers take it for a list of letters."""
    for name, value in values.items():
        if isinstance(value, str):
            raise SettingsError(f"`{name}` is {value!r}; expected a list")


def _expected(annotation: Any, value: Any) -> str:
    """What was expected instead of this value; empty if it is allowed."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return "" if value is None else next(filter(None, (_expected(part, value) for part in arguments)), "")
    if origin is Literal and value not in arguments:
        return " or ".join(map(str, arguments))
    if origin is Annotated:
        kind, text = (Integral, "a whole number, ") if arguments[0] is int else (Real, "")
        is_number = isinstance(value, kind) and not isinstance(value, bool)
        ranges = [part for part in arguments[1:] if isinstance(part, Range)]
        return next((f"{'' if is_number else text}{part}" for part in ranges if not is_number or value not in part), "")
    return ""
