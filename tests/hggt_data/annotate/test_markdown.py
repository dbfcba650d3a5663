import time

import pytest

from hggt_data.annotate.markdown import Block, Picture, Span, parse_markdown


def test_blocks_and_spans() -> None:
    text = """
# Look *closely* {#look}
A **bold**, *slanted* word, `a*b`, [a page](https://example.org/x?y=1)
and the same paragraph\\
after a break. \\*not slanted\\*
- one
  goes on
- two

2. first
3) second

1986 was a year. 2 * 3 * 4
"""
    plain = Span
    assert parse_markdown(text) == (
        Block("heading", ((plain("Look "), Span("closely", "em")),), level=1, anchor="look"),
        Block(
            "paragraph",
            (
                (
                    *(plain("A "), Span("bold", "strong"), plain(", "), Span("slanted", "em"), plain(" word, ")),
                    *(Span("a*b", "code"), plain(", "), Span("a page", "link", "https://example.org/x?y=1")),
                    plain(" and the same paragraph\nafter a break. *not slanted*"),
                ),
            ),
        ),
        Block("bullets", ((plain("one goes on"),), (plain("two"),))),
        Block("numbers", ((plain("first"),), (plain("second"),))),
        Block("paragraph", ((plain("1986 was a year. 2 * 3 * 4"),),)),
    )


def test_pictures_of_a_paragraph_stand_in_a_row_below_it() -> None:
    [block] = parse_markdown("Compare: ![good](instructions/a.png) ![](instructions/b.png)")
    assert block.items == ((Span("Compare:"),),)
    assert block.pictures == (Picture("instructions/a.png", "good"), Picture("instructions/b.png", ""))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<img src="https://example.org/x.png" onerror="alert(1)">',
        "[x](javascript:alert(1))",
        "[x](data:text/html,x)",
        "[x](//example.org)",
    ],
)
def test_html_and_other_addresses_stay_text(text: str) -> None:
    assert parse_markdown(text) == (Block("paragraph", ((Span(text),),)),)


def test_marks_without_an_end_take_no_time() -> None:
    started = time.monotonic()
    for mark in ("**a", "*a ", "![", "[a", "`", "[a](https://a"):
        parse_markdown(mark * (30_000 // len(mark)))
    assert time.monotonic() - started < 5
