"""Reads settings into plain dataclasses with pydantic, and reports every fault with the key that has it."""

import json
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from itertools import repeat
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from hggt_data.errors import SettingsError

Section = TypeVar("Section")

# For `__pydantic_config__` of the outermost dataclass; those inside it follow.
READING = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "dataclass_type": "a table of settings",
    "missing": "more values",
}
_LIMITS = {
    "gt": (operator.gt, "more than {}"),
    "ge": (operator.ge, "{} or more"),
    "lt": (operator.lt, "less than {}"),
    "le": (operator.le, "at most {}"),
}


class ConfigError(SettingsError):
    """A setting is unknown, has a value of the wrong kind or out of range, or contradicts another setting."""


def read_settings(section: TypeAdapter[Section], settings: Mapping[str, Any], keys: Iterable[str]) -> Section:
    """Nested settings, as TOML and JSON have them, as a dataclass; `keys` are all dotted keys, for near misses.

    Raises:
        ConfigError: settings are faulty; the message names all faults.
    """
    # As JSON, strict reading takes whole numbers for floats, lists for tuples and tables for dataclasses, and no more.
    text = json.dumps(settings, default=str)
    try:
        return section.validate_json(text)
    except ValidationError as error:
        # A dict keeps the order and drops repetitions, such as of two values that are missing in one list.
        faults = dict.fromkeys(fault for one in error.errors(include_url=False) for fault in _describe(one, keys))
        raise ConfigError(*faults) from error


def limit_faults(value: Any, hint: Any, key: str = "") -> Iterator[str]:
    """Values outside the limits that type hints state, for dataclasses that were not read but made in Python."""
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(value):
        hints = get_type_hints(type(value), include_extras=True)
        for field in fields(value):
            name = f"{key}.{field.name}" if key else field.name
            yield from limit_faults(getattr(value, field.name), hints[field.name], name)
    elif origin is Annotated:
        for limit in (limit for one in inner[1:] for limit in getattr(one, "metadata", ())):
            yield from _limit_faults(key, value, {name: getattr(limit, name, None) for name in _LIMITS})
    elif origin is tuple:
        for item, kind in zip(value, repeat(inner[0]) if inner[-1] is Ellipsis else inner, strict=False):
            yield from limit_faults(item, kind, key)
    elif origin is Mapping:
        for name, item in value.items():
            yield from limit_faults(item, inner[1], f"{key}.{name}")


def _suggest(key: str, keys: Sequence[str]) -> str:
    """A hint for an unknown key: the nearest one, or those of its section, or the outermost ones."""
    section, _, name = key.rpartition(".")
    inside = [known.removeprefix(f"{section}.") for known in keys if section and known.startswith(f"{section}.")]
    if inside:
        near = [f"{section}.{known}" for known in get_close_matches(name, inside, n=1)]
    else:
        near = get_close_matches(key, keys, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    known = inside or dict.fromkeys(known.partition(".")[0] for known in keys)
    return f"known ones{f' in {section}' if inside else ''} are {', '.join(known)}"


def _limit_faults(key: str, value: Any, limits: Mapping[str, Any]) -> Iterator[str]:
    for name, (holds, text) in _LIMITS.items():
        limit = limits.get(name)
        if limit is not None and not holds(value, limit):
            yield f"{key} is {value}; expected {text.format(f'{limit:g}' if isinstance(limit, float) else limit)}"


def _describe(error: Any, keys: Iterable[str]) -> Iterator[str]:
    """What pydantic found in one place: `KEY is VALUE; expected ...`."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    # Parts in brackets are pydantic's, such as "[key]", or say which class of a union it has chosen.
    key = ".".join(part for part in error["loc"] if isinstance(part, str) and not part.startswith("["))
    if kind == "unexpected_keyword_argument":
        yield f"{key} is not known; {_suggest(key, list(keys))}"
    elif kind == "value_error":  # raised by the dataclass itself; its faults begin with its own keys
        if isinstance(context["error"], SettingsError):
            yield from (f"{key}.{fault}" if key else fault for fault in context["error"].faults)
        else:
            yield f"{key} is {value!r}; {context['error']}"
    elif faults := list(_limit_faults(key, value, context)):
        yield from faults
    elif kind == "literal_error":
        known = context["expected"].replace(" or ", ", ").replace("'", "")
        yield f"{key} is {'not known' if error['loc'][-1] == '[key]' else repr(value)}; expected one of {known}"
    else:
        expected = f"{context['max_length']} values" if kind == "too_long" else _KINDS.get(kind, error["msg"])
        yield f"{key} is {value!r}; expected {expected}"
