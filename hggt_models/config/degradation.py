"""How the table of a degradation is read: which class it is of, and which published settings it changes."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from hggt_models.config.reader import ConfigError
from hggt_models.degradation.settings import PUBLISHED, DegradationSettings, ShuffledSettings


def published_degradation(changes: dict[str, Any]) -> DegradationSettings | ShuffledSettings:
    """The published settings that the table of a degradation changes; takes their name out of the table.

    A table with the other `order` than the settings it names was written out in full, and changes the settings of its
    own order. ConfigError if the name is not known.
    """
    name = changes.pop("published", "sr")
    if not isinstance(name, str) or name not in PUBLISHED:
        raise ConfigError(f"degradation.published is {name!r}; expected one of {', '.join(PUBLISHED)}")
    published = PUBLISHED[name]
    other = PUBLISHED["sr" if isinstance(published, ShuffledSettings) else "bsrgan"]
    return other if changes.get("order") == other.order else published


def _order_tag(value: Any) -> str:
    """What tells the reader the class of a degradation; in brackets, which keeps it out of the names of keys."""
    is_shuffled = isinstance(value, Mapping) and value.get("order") == "shuffled"
    return "[shuffled]" if is_shuffled else "[fixed]"


DegradationConfig = Annotated[
    Annotated[DegradationSettings, Tag("[fixed]")] | Annotated[ShuffledSettings, Tag("[shuffled]")],
    Discriminator(_order_tag),
]
