"""Wording of messages: numbers with their nouns, lists that stay short, near misses, columns side by side."""

import difflib
from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """Text that UTF-8 can hold: a byte of a file name that is no text becomes an escape such as `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plural(number: int, noun: str) -> str:
    """`1 group`, `6 groups`: a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_examples(items: Sequence[object], limit: int = 3) -> str:
    """`a, b, c and 9 more`, for messages that must stay short."""
    shown = ", ".join(str(item) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"


def nearest(word: str, known: Iterable[str]) -> str:
    """What to tell somebody who typed a word that is not known: the nearest that is, else all of them.

    Example:
        >>> nearest("negitive", ["positive", "negative"])
        "did you mean 'negative'?"
    """
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known ones are {', '.join(known)}"


def format_size(size: Sequence[int]) -> str:
    """`1,356 x 2,040`: height and width."""
    return " x ".join(f"{side:,}" for side in size)


def aligned(rows: Sequence[Sequence[str]], num_left: int = 1) -> list[str]:
    """Rows of cells as lines: the first `num_left` columns to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < num_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
