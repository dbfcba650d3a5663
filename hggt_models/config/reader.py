"""Nested settings, as TOML and JSON have them, checked against the type hints of dataclasses."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hggt_data.errors import HggtError
from hggt_data.io.text import nearest


class ConfigError(HggtError, ValueError):
    """Settings that are not known, of another kind, or that do not fit each other."""


@dataclass(frozen=True)
class SettingsReader:
    """Reads settings into dataclasses.

    Attributes:
        special: types that are written in another way than by their fields, each with what makes one of a value and
            its dotted key.
        all_keys: gives every dotted key there is, for messages.
    """

    special: Mapping[type, Callable[[Any, str], Any]]
    all_keys: Callable[[], list[str]]

    def values(self, section: type[Any], settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        """(field, checked value) of a section's settings, whose dotted keys begin with `prefix`.

        Raises:
            ConfigError: a key is not known, or a value is of another kind.
        """
        hints = get_type_hints(section)
        known = [entry.name for entry in fields(section)]
        for key, value in settings.items():
            if key not in known:
                hint = nearest(f"{prefix}{key}", self.all_keys())
                raise ConfigError(f"config key '{prefix}{key}' is not known; {hint}")
            yield key, self._checked(value, hints[key], f"{prefix}{key}")

    def _checked(self, value: Any, hint: Any, key: str) -> Any:
        """A value of the kind that a type hint asks for; lists become tuples, and whole numbers stand for others."""
        if hint in self.special:
            return self.special[hint](value, key)
        if is_dataclass(hint) and isinstance(hint, type):
            table = require_kind(value, Mapping, "a table of settings", key)
            return hint(**dict(self.values(hint, table, f"{key}.")))
        origin, inner = get_origin(hint), get_args(hint)
        if origin is Literal:
            if value not in inner:
                raise ConfigError(f"config key '{key}' is {value!r}; expected one of {', '.join(map(str, inner))}")
            return value
        if origin is tuple:
            items = require_kind(value, (list, tuple), "a list", key)
            kinds = [inner[0]] * len(items) if inner[1:] == (Ellipsis,) else list(inner)
            if len(kinds) != len(items):
                raise ConfigError(f"config key '{key}' is {value!r}; expected {len(kinds)} values")
            return tuple(self._checked(item, kind, key) for item, kind in zip(items, kinds, strict=True))
        if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
            table = require_kind(value, Mapping, "a table", key)
            return {name: self._checked(item, inner[1], f"{key}.{name}") for name, item in table.items()}
        if hint is float:
            require_kind(value, (int, float), "a number", key)
            if not abs(value) <= sys.float_info.max:
                raise ConfigError(f"config key '{key}' is {value!r}; expected a finite number")
            return float(value)
        return require_kind(value, hint, {int: "a whole number", bool: "true or false", str: "a text"}[hint], key)


def require_kind(value: Any, kind: Any, expected: str, key: str) -> Any:
    """The value, if it is of a kind, or of one of several; true and false are no numbers.

    Raises:
        ConfigError: it is not; the message names what was `expected`.
    """
    is_bool_by_mistake = isinstance(value, bool) and kind is not bool
    if not isinstance(value, kind) or is_bool_by_mistake:
        raise ConfigError(f"config key '{key}' is {value!r}; expected {expected}")
    return value
