"""Reads a small, safe part of Markdown: what instructions and a consent form need.

The result is data, not HTML, from which the page builds elements: text from a file never becomes an element, a script
or a request. Headings, paragraphs, lists, `**strong**`, `*emphasis*`, `` `code` ``, links and pictures are read;
everything else, HTML too, stays the text that it is. Pictures are files in one folder beside the text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Style = Literal["plain", "strong", "em", "code", "link"]

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_ANCHOR = re.compile(r"\s*\{#([\w-]+)\}\s*$")
_ITEM = re.compile(r"(?:[-*+]|(\d{1,9})[.)])\s+(.*)")
# Lengths are limited, because long texts without an end mark would take quadratic time.
_PICTURE = re.compile(r"!\[([^\]\n]{0,300})\]\(([^)\s]{1,300})\)")
_SPAN = re.compile(
    r"\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|`(?P<code>[^`]{1,300})`"
    r"|\*\*(?P<strong>(?=\S)(?:[^*]|\*(?!\*)){1,300}?(?<=\S))\*\*"
    r"|\*(?P<em>(?=\S)[^*]{1,300}?(?<=\S))\*"
    r"|\[(?P<link>[^\]]{1,300})\]\((?P<href>(?:https?://|mailto:)[^)\s]{1,300})\)"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text in one style; `href` is the target of a link."""

    text: str
    style: Style = "plain"
    href: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its path as written, and the words below it."""

    path: str
    words: str


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph or a list.

    Attributes:
        kind: What it is.
        items: Its lines of spans: one, or those of a list.
        pictures: Pictures of a paragraph, shown in a row below it.
        level: Of a heading, 1 to 6.
        anchor: The name of a heading, in a file `{#name}` at its end; if it has none, its words in lower case.
    """

    kind: Literal["heading", "paragraph", "bullets", "numbers"]
    items: tuple[tuple[Span, ...], ...] = ()
    pictures: tuple[Picture, ...] = ()
    level: int = 0
    anchor: str = ""

    def to_json(self) -> dict[str, Any]:
        """The content that the page renders."""
        return {
            "kind": self.kind,
            "level": self.level,
            "items": [
                [{"text": span.text, "style": span.style, "href": span.href} for span in item] for item in self.items
            ],
            "pictures": [{"path": picture.path, "words": picture.words} for picture in self.pictures],
        }


def parse_markdown(text: str) -> tuple[Block, ...]:
    """The blocks of a text."""
    return tuple(_parse_blocks(text.expandtabs(4).splitlines()))


def plain_block(text: str) -> Block:
    """A paragraph that shows a text as it is."""
    return Block("paragraph", ((Span(text),),))


def _parse_blocks(lines: Sequence[str]) -> Iterator[Block]:
    kind: Literal["paragraph", "bullets", "numbers"] = "paragraph"
    items: list[str] = []
    for line in [*lines, ""]:
        stripped = line.strip()
        heading, item = _HEADING.fullmatch(stripped), _ITEM.fullmatch(stripped)
        item_kind: Literal["bullets", "numbers"] | None = None
        if item and (items == [] or kind != "paragraph" or item[1] is None):
            item_kind = "bullets" if item[1] is None else "numbers"
        is_rest = bool(stripped) and heading is None and item_kind is None
        if items and not is_rest and item_kind != kind:
            yield _block(kind, items)
            items = []
        if heading:
            words, anchor = heading[2], _ANCHOR.search(heading[2])
            words = words[: anchor.start()] if anchor else words
            yield Block(
                "heading", (_parse_spans(words),), level=len(heading[1]), anchor=anchor[1] if anchor else words.lower()
            )
        elif item and item_kind:
            kind = item_kind
            items.append(item[2])
        elif is_rest and items:
            pause = "\n" if items[-1].endswith("\\") else " "
            items[-1] = items[-1].removesuffix("\\") + pause + stripped
        elif is_rest:
            kind = "paragraph"
            items.append(stripped)


def _block(kind: Literal["paragraph", "bullets", "numbers"], items: Sequence[str]) -> Block:
    if kind != "paragraph":
        return Block(kind, tuple(map(_parse_spans, items)))
    [text] = items
    pictures = tuple(Picture(match[2], match[1]) for match in _PICTURE.finditer(text))
    rest = " ".join(_PICTURE.sub("", text).split(" ")).strip()
    return Block("paragraph", (_parse_spans(rest),) if rest else (), pictures)


def _parse_spans(text: str) -> tuple[Span, ...]:
    spans: list[Span] = []

    def add(span: Span) -> None:
        if span.style == "plain" and spans and spans[-1].style == "plain":
            span = Span(spans.pop().text + span.text)
        if span.text:
            spans.append(span)

    end = 0
    for match in _SPAN.finditer(text):
        add(Span(text[end : match.start()]))
        end = match.end()
        if match["escaped"] is not None:
            add(Span(match["escaped"]))
        elif match["link"] is not None:
            add(Span(match["link"], "link", match["href"]))
        else:
            for style in ("code", "strong", "em"):
                if match[style] is not None:
                    add(Span(match[style], style))
    add(Span(text[end:]))
    return tuple(spans)
