"""Names that look the same to people although their characters differ.

They differ in case, or in Unicode form: an `é` is one character, or an `e` and an accent, which macOS writes.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence


def look(name: str) -> str:
    """A key that is equal for names that look the same.

    Source: canonical caseless matching, The Unicode Standard, definition D145.
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def by_look(names: Iterable[str]) -> dict[str, str]:
    """The key of each name to the first name that has it."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(look(name), name)
    return first


def find_lookalikes(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, earlier one that looks the same) for each such name."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(look(name), name)
        if other != name:
            yield name, other


def compare_names(name: str, other: str) -> str:
    """How two names that look the same differ: `'Chelsea' differs from 'chelsea' only in case`."""
    if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other):
        return f"{name!a} differs from {other!a} only in Unicode form"
    if name.casefold() == other.casefold():
        return f"{name!r} differs from {other!r} only in case"
    return f"{name!a} differs from {other!a} only in case and Unicode form"


def tell_apart(names: Sequence[str]) -> Sequence[str]:
    """The names as they are, or escaped if some of them look the same."""
    return names if len({look(name) for name in names}) == len(names) else [ascii(name) for name in names]


def note_lookalike(name: str, known: Mapping[str, str]) -> str:
    """The end of a message about an unknown name, if a known one looks the same; `known` is the result of `by_look`."""
    other = known.get(look(name), name)
    return "" if other == name else f"; {compare_names(name, other)}"
