"""Read JSON and TOML from untrusted files, with limits on depth and numbers, and check the types of values.

Everything here raises ValueError, whatever the content is; the caller names the file. Sizes are limited where files are
read (`files.py`).
"""

import json
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

Kind = TypeVar("Kind")

_MOST_LEVELS = 32
_LARGEST = 2**63
_MOST_DOTS = 500  # in a line; Python's parser takes a minute for a key with 30,000 dots
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
_MOST_SHOWN = 60  # characters of a wrong value in a message


def parse_json(text: bytes | str) -> Any:
    """The content of a JSON text, without NaN, infinite numbers, whole numbers beyond 64 bits, or repeated keys.

    Texts with null characters and halves of surrogate pairs are refused, too: most texts in our files are names.
    """
    try:
        content = json.loads(text, parse_float=_finite, parse_constant=_finite, object_pairs_hook=unique_keys)
    except RecursionError:
        raise _too_deep() from None
    _require_plain(content, names_only=True)
    return content


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, as an `object_pairs_hook`; ValueError if a key occurs twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        ((repeated, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {_shown(repeated)} occurs twice")
    return content


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML text, limited as in `parse_json`."""
    if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
        raise ValueError(f"a line has more than {_MOST_DOTS} dots")
    try:
        content = tomllib.loads(text, parse_float=_finite)
    except RecursionError:
        raise _too_deep() from None
    _require_plain(content, names_only=False)
    return content


def read_value(kind: Callable[..., Kind], value: object) -> Kind:
    """A value of JSON as the type `kind`; ValueError names the place that has another type.

    Besides plain types, `kind` may be a dataclass or TypedDict (from an object with its fields; a TypedDict may have
    others), list, tuple, dict with texts as keys, Literal, a union, Any, or a class that values are instances of.
    """
    try:
        return _reader(kind)(value)  # type: ignore[no-any-return]
    except _MismatchError as error:
        raise ValueError(str(error)) from None


class _MismatchError(ValueError):
    """A value of another type; the containers around it add where it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.place: list[str] = []

    def __str__(self) -> str:
        return " ".join(["".join(reversed(self.place)).lstrip(".") or "the content", str(self.args[0])])


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """The function that reads a value of this kind; made once, as a manifest has a million values."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if kind in _NAMES:
        return _plain_reader(kind)
    if origin in (Union, UnionType):
        return _union_reader(kind, inner)
    if origin is Literal:
        return _literal_reader(inner)
    if origin in (dict, Mapping):
        return _mapping_reader(_reader(inner[1]))
    if origin is tuple and inner[-1] is not Ellipsis:
        return _tuple_reader([_reader(one) for one in inner])
    if origin in (list, tuple, Sequence):
        return _list_reader(_reader(inner[0]), list if origin is list else tuple)
    if is_dataclass(kind) or is_typeddict(kind):
        return _fields_reader(kind)
    return _instance_reader(kind)


def _plain_reader(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise _wrong(value, _NAMES[kind])

    def read_number(value: Any) -> Any:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
        raise _wrong(value, _NAMES[kind])

    return read_number if kind is float else read


def _instance_reader(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        raise _wrong(value, f"a {kind.__name__}")

    return read


def _union_reader(kind: Any, inner: Sequence[Any]) -> Callable[[Any], Any]:
    readers = [_reader(one) for one in inner]

    def read(value: Any) -> Any:
        found = None
        for reader in readers:
            try:
                return reader(value)
            except _MismatchError as error:
                found = error if found is None or error.place else found
        if found is not None and found.place:
            raise found  # says more
        raise _wrong(value, " or ".join(map(_name, inner)))

    return read


def _literal_reader(choices: Sequence[Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if any(value == choice and type(value) is type(choice) for choice in choices):
            return value
        raise _wrong(value, f"one of {', '.join(map(repr, choices))}")

    return read


def _list_reader(inner: Callable[[Any], Any], made: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not list:
            raise _wrong(value, "a list")
        items: list[Any] = []
        try:
            for item in value:
                items.append(inner(item))
        except _MismatchError as error:
            error.place.append(f"[{len(items)}]")
            raise
        return made(items)

    return read


def _tuple_reader(inner: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not list or len(value) != len(inner):
            raise _wrong(value, f"a list of {len(inner)}")
        return tuple(reader(item) for reader, item in zip(inner, value, strict=True))

    return read


def _mapping_reader(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong(value, "an object")
        key, items = "", {}
        try:
            for key, item in value.items():
                items[key] = inner(item)
        except _MismatchError as error:
            error.place.append(f".{key}")
            raise
        return items

    return read


def _fields_reader(kind: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    if is_typeddict(kind):
        required = set(kind.__required_keys__)
    else:
        required = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
    readers = {name: _reader(hint) for name, hint in hints.items()}

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong(value, "an object")
        if missing := required - value.keys():
            raise _MismatchError(f"lacks {min(missing)!r}")
        unknown = value.keys() - readers.keys() if is_dataclass(kind) else ()
        if unknown:
            raise _MismatchError(f"has the unknown key {_shown(min(unknown))}")
        key, values = "", {}
        try:
            for key, item in value.items():
                if key in readers:
                    values[key] = readers[key](item)
        except _MismatchError as error:
            error.place.append(f".{key}")
            raise
        return kind(**values)

    return read


def _finite(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise ValueError(f"a number is {_shown(text)}; expected a finite one")


def _require_plain(content: Any, *, names_only: bool) -> None:
    """ValueError for deep nesting, long numbers and, with `names_only`, texts that no file can have as its name."""
    nodes: list[dict[str, Any] | list[Any]] = [[content]]
    for _ in range(_MOST_LEVELS):
        items = [item for node in nodes for item in (node.values() if isinstance(node, dict) else node)]
        if any(type(item) is int and abs(item) >= _LARGEST for item in items):
            raise ValueError("a whole number has more than 64 bits")
        if names_only:
            keys = [key for node in nodes if isinstance(node, dict) for key in node]
            for text in (item for item in (*items, *keys) if type(item) is str):
                if "\0" in text:
                    raise ValueError(f"{_shown(text)} contains a null character")
                if not text.isascii():
                    text.encode("utf-8", "surrogateescape")  # UnicodeEncodeError is a ValueError
        nodes = [item for item in items if isinstance(item, dict | list)]
        if not nodes:
            return
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {_MOST_LEVELS} levels deep")


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return _NAMES.get(kind, "a list" if get_origin(kind) in (list, tuple, Sequence) else "an object")


def _wrong(value: object, expected: str) -> _MismatchError:
    return _MismatchError(f"is {_shown(value)}; expected {expected}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
