"""The official JSON of one annotator: read, checked, written back."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hggt_data.errors import AnnotationError
from hggt_data.schema import Annotation, Label, PatchId
from hggt_data.tree.label_file import check_annotation, format_annotation, parse_annotation
from hggt_data.tree.layout import picture_name
from tests.hggt_data.trees import FOUR

GROUP = PatchId("0001", 586, 1469)
Content = dict[str, Any]


def official() -> Content:
    """The form of the official data (README of the official repository)."""
    labels = {"01": "Positive", "02": "Similar", "03": "Negative", "04": "Positive"}
    pictures = {
        f"Picture_{k}": {"Name": f"0001-586-1469_{name}.png", "File": name, "Label": label}
        for k, (name, label) in enumerate(labels.items(), start=2)
    }
    return {
        "Picture_1": {"Name": "0001-586-1469.png", "File": "original", "Label": None},
        **pictures,
        "Time_cost": {"Start": "2022-08-05 17:01:12", "End": "2022-08-05 17:01:55", "Total": 42},
    }


def checked(data: bytes) -> tuple[Annotation | None, list[tuple[str, str]]]:
    annotation, problems = check_annotation(data, "labels/B/0001-586-1469.json", GROUP, "B", FOUR)
    assert all(problem.path == "labels/B/0001-586-1469.json" for problem in problems)
    assert all(problem.hint for problem in problems)
    return annotation, [(problem.kind, problem.severity) for problem in problems]


def changed(change: Callable[[Content], object]) -> bytes:
    content = official()
    change(content)
    return json.dumps(content).encode()


def test_the_official_form_is_read() -> None:
    annotation = parse_annotation(json.dumps(official()).encode(), GROUP, "B", FOUR, "owl")
    assert annotation == Annotation(
        "B",
        (Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE, Label.POSITIVE),
        datetime(2022, 8, 5, 17, 1, 12),
        datetime(2022, 8, 5, 17, 1, 55),
        42.0,  # the official sample's total differs from its span, which is no fault
        "owl",
    )


def test_every_real_file_is_written_back_byte_for_byte(fixtures: Path) -> None:
    paths = sorted(fixtures.rglob("*.json"))
    assert len(paths) >= 36
    for path in paths:
        group_id = PatchId.parse(path.stem)
        annotation = parse_annotation(path.read_bytes(), group_id, path.parent.name, FOUR)
        assert format_annotation(annotation, group_id, FOUR).encode() == path.read_bytes(), path


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0))


@given(
    st.text("ab-0", min_size=1),
    st.lists(st.sampled_from(Label), min_size=1, max_size=12),
    st.none() | st.lists(MOMENTS, min_size=2, max_size=2).map(sorted),
    st.none() | st.floats(0, 1e8) | st.integers(0, 10**8).map(float),
    st.none() | st.text(),
)
def test_an_annotation_is_read_back_as_it_was_written(
    image: str, labels: list[Label], times: list[datetime] | None, seconds: float | None, annotator: str | None
) -> None:
    group_id, candidates = PatchId(image, 3, 4), tuple(f"{k:02}" for k in range(1, len(labels) + 1))
    start, end = times or (None, None)
    if start and end and seconds is not None:  # more would be impossible
        seconds = min(seconds, (end - start).total_seconds())
    annotation = Annotation("C", tuple(labels), start, end, seconds, annotator)
    text = format_annotation(annotation, group_id, candidates)
    assert parse_annotation(text.encode(), group_id, "C", candidates, annotator) == annotation


def test_names_of_pictures() -> None:
    assert picture_name(GROUP, "original") == "0001-586-1469.png"
    assert picture_name(GROUP, "03") == "0001-586-1469_03.png"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda c: c.pop("Picture_3"), "missing-picture"),
        (lambda c: c.pop("Picture_1"), "missing-picture"),
        (lambda c: c.update(Picture_6=c["Picture_5"]), "extra-picture"),
        (lambda c: c.update(Comment="x"), "extra-picture"),
        (lambda c: c["Picture_2"].update(Name="0001-586-1468_01.png"), "wrong-name"),
        (lambda c: c["Picture_2"].update(Name=None), "wrong-name"),
        (lambda c: c["Picture_2"].pop("Name"), "wrong-name"),
        (lambda c: c["Picture_2"].update(File="02"), "wrong-file"),
        (lambda c: c["Picture_2"].update(File=1), "wrong-file"),
        (lambda c: c["Picture_1"].update(File="01"), "wrong-file"),
        (lambda c: c["Picture_3"].update(Label="positve"), "unknown-label"),
        (lambda c: c["Picture_3"].update(Label="positive"), "unknown-label"),
        (lambda c: c["Picture_3"].update(Label="Positive "), "unknown-label"),
        (lambda c: c["Picture_3"].update(Label=1), "unknown-label"),
        (lambda c: c["Picture_3"].update(Label=["Positive"]), "unknown-label"),
        (lambda c: c["Picture_3"].update(Label="\ud800"), "unknown-label"),
        (lambda c: c["Picture_3"].update(Label=None), "empty-label"),
        (lambda c: c["Picture_3"].update(Label=""), "empty-label"),
        (lambda c: c["Picture_3"].pop("Label"), "empty-label"),
        (lambda c: c["Picture_1"].update(Label="Positive"), "label-on-original"),
        (lambda c: c["Picture_1"].update(Label=""), "label-on-original"),
        (lambda c: c.update(Picture_4="Positive"), "broken-json"),
    ],
)
def test_each_fault_of_the_pictures_has_its_kind(change: Callable[[Content], object], kind: str) -> None:
    annotation, kinds = checked(changed(change))
    assert annotation is None
    assert kinds == [(kind, "error")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        json.dumps(official()).encode()[:-1],
        json.dumps(official()).encode() + b"}",
        json.dumps(official()).replace('"Label": "Similar"', '"Label": "Similar", "Label": "Negative"').encode(),
        json.dumps(official()).replace('"Picture_3"', '"Picture_2"').encode(),
        json.dumps(official()).replace("42", "9" * 5000).encode(),  # more digits than Python reads
        b"[" * 100_000,  # deeper than Python reads
    ],
    ids=["empty", "open", "null", "list", "text", "cut", "tail", "label twice", "picture twice", "digits", "depth"],
)
def test_what_is_no_json_object_is_broken_json(data: bytes) -> None:
    assert checked(data) == (None, [("broken-json", "error")])


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(official()).encode("utf-16"),
        json.dumps(official()).replace("Similar", "Ähnlich").encode("latin-1"),
        json.dumps(official()).encode().replace(b"Similar", b"Sim\xfflar"),
    ],
    ids=["utf-16", "latin-1", "stray byte"],
)
def test_another_encoding_is_named(data: bytes) -> None:
    annotation, problems = check_annotation(data, "x", GROUP, "B", FOUR)
    assert annotation is None
    assert [(problem.kind, problem.severity) for problem in problems] == [("wrong-encoding", "error")]
    assert "not UTF-8: byte 0x" in problems[0].message


def test_utf8_with_a_byte_order_mark_is_read_as_it_stands() -> None:
    annotation, kinds = checked(b"\xef\xbb\xbf" + json.dumps(official()).encode())
    assert kinds == []
    assert annotation is not None


@pytest.mark.parametrize(
    ("change", "start_known", "seconds"),
    [
        (lambda t: t.update(Start="2022-02-30 10:00:00"), False, 42.0),
        (lambda t: t.update(Start="yesterday"), False, 42.0),
        (lambda t: t.update(Start=None), False, 42.0),
        (lambda t: t.pop("Start"), False, 42.0),
        (lambda t: t.update(End="2022-08-05 25:00:00"), True, 42.0),
        (lambda t: t.update(End="2022-08-05 17:01:11"), False, 42.0),  # before the start: neither can be trusted
        (lambda t: t.update(Total=-1), True, None),
        (lambda t: t.update(Total="42"), True, None),
        (lambda t: t.update(Total=True), True, None),
        (lambda t: t.update(Total=None), True, None),
        (lambda t: t.update(Total=float("nan")), True, None),
        (lambda t: t.update(Total=float("inf")), True, None),
        (lambda t: t.pop("Total"), True, None),
        (lambda t: t.update(Total=99999), True, None),  # in the 43 s from Start to End
    ],
)
def test_an_impossible_time_is_a_warning_and_counts_as_unknown(
    change: Callable[[Content], object], start_known: bool, seconds: float | None
) -> None:
    annotation, kinds = checked(changed(lambda c: change(c["Time_cost"])))
    assert kinds == [("impossible-time", "warning")]
    assert annotation is not None
    assert annotation.labels == (Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE, Label.POSITIVE)
    assert (annotation.start is not None) == start_known
    assert annotation.seconds == seconds


@pytest.mark.parametrize("total", [44, 3643, 0])
def test_a_total_that_clocks_set_back_or_pauses_explain_is_no_fault(total: int) -> None:
    annotation, kinds = checked(changed(lambda c: c["Time_cost"].update(Total=total)))
    assert kinds == []
    assert annotation is not None
    assert annotation.seconds == total


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["Picture_1"].update(Label="x" * 10**6),
        lambda c: c["Picture_2"].update(Label="x" * 10**6),
        lambda c: c["Picture_2"].update(File="x" * 10**6),
        lambda c: c.update(Picture_2="x" * 10**6),
        lambda c: c.update({"x" * 10**6: None}),
        lambda c: c.update(Time_cost="x" * 10**6),
        lambda c: c["Time_cost"].update(Start="x" * 10**6),
        lambda c: c["Time_cost"].update(Total=10**400),
    ],
)
def test_a_huge_value_is_shown_in_part(change: Callable[[Content], object]) -> None:
    _, problems = check_annotation(changed(change), "x.json", GROUP, "B", FOUR)
    assert len(problems) == 1
    assert len(f"{problems[0]}{problems[0].hint}") < 300


def test_a_repeated_key_among_many_is_found_at_once() -> None:
    pairs = ", ".join(f'"k{k}": 1' for k in [*range(50_000), 49_999])
    _, (problem,) = check_annotation(f"{{{pairs}}}".encode(), "x.json", GROUP, "B", FOUR)
    assert problem.message == "key 'k49999' occurs twice"


@pytest.mark.parametrize("cost", [None, "42", 42, []])
def test_a_missing_time_is_a_warning(cost: object) -> None:
    annotation, kinds = checked(changed(lambda c: c.update(Time_cost=cost)))
    assert kinds == [("impossible-time", "warning")]
    assert annotation is not None
    assert (annotation.start, annotation.end, annotation.seconds) == (None, None, None)


def test_all_faults_of_a_file_are_reported_at_once() -> None:
    def spoil(content: Content) -> None:
        content["Picture_1"]["Label"] = "Similar"
        content["Picture_2"]["Label"] = "positve"
        content["Picture_3"]["Name"] = "x"
        del content["Picture_5"]
        content["Time_cost"]["Total"] = -3

    _, kinds = checked(changed(spoil))
    assert sorted(kinds) == [
        ("impossible-time", "warning"),
        ("label-on-original", "error"),
        ("missing-picture", "error"),
        ("unknown-label", "error"),
        ("wrong-name", "error"),
    ]
    with pytest.raises(AnnotationError) as error:
        parse_annotation(changed(spoil), GROUP, "B", FOUR)
    assert all(f"'Picture_{k}'" in str(error.value) for k in (1, 2, 3, 5))
    assert "'Picture_2' has label 'positve'; expected one of Positive, Similar, Negative" in str(error.value)


@pytest.mark.parametrize("count", [2, 5])
def test_the_number_of_pictures_follows_the_candidates(count: int) -> None:
    candidates = tuple(f"{k:02}" for k in range(1, count + 1))
    data = json.dumps(official()).encode()
    _, problems = check_annotation(data, "x", GROUP, "B", candidates)
    assert {problem.kind for problem in problems} == ({"extra-picture"} if count == 2 else {"missing-picture"})


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_it_fail_otherwise(data: bytes) -> None:
    assert checked(data)[0] is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["Picture_1", "Picture_2", "Picture_5"]), st.sampled_from(["Name", "File", "Label"]), JSON)
def test_no_value_at_all_makes_it_fail_otherwise(picture: str, field: str, value: object) -> None:
    expected = official()[picture][field]
    annotation, _ = checked(changed(lambda c: c[picture].update({field: value})))
    allowed = ("Positive", "Similar", "Negative") if field == "Label" and expected else (expected,)
    assert (annotation is not None) == any(value is one or value == one for one in allowed)
