"""JSON and TOML that anybody may have written, and values of stated types."""

from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from hggt_data.io.parsing import parse_json, parse_toml, read_value


@dataclass(frozen=True)
class Point:
    x: int
    tags: list[str] = field(default_factory=list)


class Line(TypedDict):
    ends: tuple[Point, Point]
    weight: NotRequired[float | None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested more than 32 levels deep"),
        ("[" * 33 + "]" * 33, "nested more than 32 levels deep"),
        ('{"a": 1e999}', "a number is '1e999'; expected a finite one"),
        ("[NaN]", "a number is 'NaN'; expected a finite one"),
        ("[-9223372036854775808]", "a whole number has more than 64 bits"),
        ('{"a\\u0000": 1}', "contains a null character"),
        ('["\\ud800"]', "surrogates not allowed"),
        ('[{"a": 1, "b": 2, "a": 3}]', "key 'a' occurs twice"),
        ("{", "Expecting property name"),
    ],
)
def test_json_that_no_program_of_ours_writes_is_a_value_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_other_json_is_read_as_usual() -> None:
    assert parse_json(b'{"a": [1, -2.5, null, "\\udcff"]}') == {"a": [1, -2.5, None, "\udcff"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 50_000, "nested more than 32 levels deep"),
        ("a." * 30_000 + "b = 1", "a line has more than 500 dots"),
        ("a.b." * 20 + "c = 1", "nested more than 32 levels deep"),
        ("a = inf", "a number is 'inf'; expected a finite one"),
        ("a = 0x" + "f" * 16, "a whole number has more than 64 bits"),
    ],
)
def test_toml_too(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_toml(text)


def test_values_get_their_types() -> None:
    line = read_value(Line, {"ends": [{"x": 1}, {"x": 2, "tags": ["a"]}], "weight": 3, "more": 0})
    assert line == {"ends": (Point(1), Point(2, ["a"])), "weight": 3.0}
    assert read_value(dict[str, Literal["a", 1] | None], {"k": 1, "l": None}) == {"k": 1, "l": None}


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (int, True, "the content is True; expected a whole number"),
        (float, float("nan"), "the content is nan; expected a number"),
        (list[Point], [{"x": 1}, {"x": "1"}], r"\[1\]\.x is '1'; expected a whole number"),
        (Point, {}, "the content lacks 'x'"),
        (Point, {"x": 1, "y": 2}, "the content has the unknown key 'y'"),
        (Line, {"ends": [{"x": 1}]}, "ends is .*; expected a list of 2"),
        (dict[str, int | None], {"a": {"b": "x"}}, "a is .*; expected a whole number or null"),
        (Literal["a", "b"], "A" * 200, r"the content is 'A{59}\.\.\.; expected one of 'a', 'b'"),
    ],
)
def test_a_wrong_type_is_named_with_its_place(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        read_value(kind, value)
