"""Parts of messages: numbers with their nouns, short lists, hints for misspelt words, columns of text."""

import difflib
import html
import re
import unicodedata
from collections.abc import Iterable, Sequence

# Characters that control a terminal, break a line, are invisible or turn the direction of text.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def encodable(text: str) -> str:
    """Text that can be encoded as UTF-8: undecodable bytes of a file name are escaped, such as `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    """Text on one line that shows what it contains: control, direction and zero-width characters are escaped."""
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _UNPRINTABLE else letter
        for letter in text
    )


class Lines(str):
    """Text whose line breaks are ours. Of any other text, a line break is printed escaped, as it may forge a line."""

    __slots__ = ()


def join_lines(lines: Iterable[str]) -> Lines:
    """Several lines of text, each of which is made printable; `Lines` keep their breaks."""
    return Lines("\n".join(printable_lines(line) for line in lines))


def printable_lines(text: str) -> Lines:
    """Text as commands print it: all of it on one line, unless it is `Lines`."""
    return Lines("\n".join(map(printable, text.split("\n") if isinstance(text, Lines) else [text])))


_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~@$]|&(?=#?\w+;)|:(?=//)|(?<=\bwww)\.", re.IGNORECASE)


def escape_markdown(text: str) -> str:
    """Text as it is, on one line of a Markdown file or in a cell: no emphasis, HTML, links or mentions."""
    return _MARKDOWN.sub(r"\\\g<0>", printable(" ".join(filter(None, text.splitlines()))))


def escape_html(text: str) -> str:
    """Text for a page: names and other text from files cannot add HTML or reverse the direction of the text."""
    return html.escape(printable(text))


def plural(number: int, noun: str) -> str:
    """A number with its noun: `1 group`, `6 groups`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_examples(items: Sequence[object], limit: int = 3) -> str:
    """The first items and the number of the others: `a, b, c and 9 more`."""
    shown = ", ".join(str(item) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"


def parse_names(text: str) -> tuple[str, ...]:
    """The names in a list such as `psnr, ssim`; empty ones are skipped."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: the closest known one (`did you mean 'negative'?`), or all of them."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known ones are {', '.join(known)}"


def format_size(size: Sequence[int]) -> str:
    """Height and width: `1,356 x 2,040`."""
    return " x ".join(f"{side:,}" for side in size)


def aligned(rows: Sequence[Sequence[str]], num_left: int = 1) -> list[str]:
    """Rows of cells as lines: the first `num_left` columns left-aligned, the others right-aligned."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < num_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
