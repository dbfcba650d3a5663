"""Numbers, lists and hints in messages."""

import pytest

from hggt_data.io.text import (
    Lines,
    aligned,
    escape_markdown,
    format_examples,
    format_size,
    join_lines,
    nearest,
    plural,
    printable,
    printable_lines,
)


def test_a_number_has_its_noun() -> None:
    assert [plural(number, "group") for number in (0, 1, 2000)] == ["0 groups", "1 group", "2,000 groups"]


def test_a_size_is_height_by_width() -> None:
    assert format_size((40, 1200)) == "40 x 1,200"


def test_a_hint_names_the_nearest_word_or_all() -> None:
    assert nearest("negitive", ["positive", "negative"]) == "did you mean 'negative'?"
    assert nearest("x", ["positive", "negative"]) == "known ones are positive, negative"


@pytest.mark.parametrize(("count", "text"), [(0, ""), (1, "0"), (3, "0, 1, 2"), (5, "0, 1, 2 and 2 more")])
def test_examples_are_cut_short(count: int, text: str) -> None:
    assert format_examples(range(count)) == text


def test_names_are_left_aligned_and_numbers_right_aligned() -> None:
    assert aligned([["", "n"], ["one", "1"], ["three", "12"]]) == ["        n", "one     1", "three  12"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photo é 写真 -_[]", "photo é 写真 -_[]"),
        ("a\x1b[31mb\rc\td\x7fe\x9b", r"a\x1b[31mb\rc\td\x7fe\x9b"),  # control
        ("a\u202eb\u2066c\u061c", r"a\u202eb\u2066c\u061c"),  # direction
        ("a\u200bb\u200dc\ufeff\u00ad\U000e0041", r"a\u200bb\u200dc\ufeff\xad\U000e0041"),  # invisible
        ("a\nb\u2028c\u0085", r"a\nb\u2028c\x85"),  # ends of lines
        ("a\udcff", r"a\udcff"),
    ],
)
def test_text_shows_what_it_contains(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    assert aligned([[text, "1"]]) == [f"{shown}  1"]


def test_only_our_own_line_breaks_are_printed() -> None:
    lines = join_lines(["2 errors:", "  a\nerror: forged", Lines("b\nc")])
    assert lines == "2 errors:\n  a\\nerror: forged\nb\nc"
    assert printable_lines(lines) == lines
    assert printable_lines(str(lines)) == "2 errors:\\n  a\\nerror: forged\\nb\\nc"


def test_text_in_markdown_stays_text() -> None:
    assert escape_markdown("*a*\n\u202e|&lt; www.x.org ftp://x @y") == r"\*a\* \\u202e\|\&lt; www\.x.org ftp\://x \@y"
