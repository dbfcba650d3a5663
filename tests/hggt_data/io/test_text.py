"""Numbers, lists and hints in messages."""

import pytest

from hggt_data.io.text import aligned, format_examples, format_size, nearest, plural


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
