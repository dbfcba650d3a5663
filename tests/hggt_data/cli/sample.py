"""A function and its settings, whose options `test_options.py` derives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hggt_data.errors import SettingsError

SIZE_PX = 8


@dataclass(frozen=True)
class Base:
    """Settings that others extend.

    Attributes:
        mode: How to work.
    """

    mode: Literal["fast", "exact"] = "fast"


@dataclass(frozen=True)
class Settings(Base):
    """Settings.

    Attributes:
        size: Side of a tile, instead of
            `names`.
        names: Names to use [default: all].
    """

    size: int = SIZE_PX
    names: tuple[str, ...] = ()


def work(
    folder: Path, settings: Settings | None = None, *, tags: Sequence[str] = (), deep: bool = False, log: object = None
) -> None:
    """Work.

    Args:
        folder: Folder to work on.
        settings: How to work.
        tags: Tag; repeatable.
        deep: Include subfolders.
        log: Not an option.
    """


def parse_names(text: str) -> tuple[str, ...]:
    """Parse `a,b`."""
    if not text:
        raise SettingsError("no names")
    return tuple(text.split(","))
