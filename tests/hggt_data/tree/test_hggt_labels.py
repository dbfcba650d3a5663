"""The official JSON of one annotator: read, checked, written back."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hggt_data.errors import AnnotationError
from hggt_data.schema import Annotation, Label
from hggt_data.tree.hggt_labels import check_annotation, format_annotation, parse_annotation
from tests.hggt_data.trees import FOUR

GROUP = "0001-586-1469"
PATH = "labels/B/0001-586-1469.json"
HUGE = "x" * 10**6
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
    """The annotation, and (kind, severity) of each problem. It is None exactly if there is an error."""
    annotation, problems = check_annotation(data, PATH, GROUP, "B", FOUR)
    assert (annotation is None) == any(problem.severity == "error" for problem in problems)
    for problem in problems:
        assert (problem.path, problem.hint[-1]) in ((PATH, "."), (PATH, "?"))
        assert len(f"{problem}{problem.hint}") < 300  # huge values are shortened
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
        42.0,  # the official sample's total differs from its span, which is allowed
        "owl",
    )


def test_every_real_file_is_written_back_byte_for_byte(fixtures: Path) -> None:
    paths = sorted(fixtures.rglob("*.json"))
    assert len(paths) >= 36
    for path in paths:
        group_id = path.stem
        annotation = parse_annotation(path.read_bytes(), group_id, path.parent.name, FOUR)
        assert format_annotation(annotation, group_id, FOUR).encode() == path.read_bytes(), path


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0))


@settings(max_examples=30)
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
    group_id, candidates = f"{image}-3-4", tuple(f"{k:02}" for k in range(1, len(labels) + 1))
    start, end = times or (None, None)
    if start and end and seconds is not None:  # more would be impossible
        seconds = min(seconds, (end - start).total_seconds())
    annotation = Annotation("C", tuple(labels), start, end, seconds, annotator)
    text = format_annotation(annotation, group_id, candidates)
    assert parse_annotation(text.encode(), group_id, "C", candidates, annotator) == annotation


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            lambda c: c.pop("Picture_3"),
            "missing-picture",
            "'Picture_3' (02) is missing; expected Picture_1 to Picture_5",
        ),
        (lambda c: c.update(Picture_6=c["Picture_5"]), "extra-picture", "unknown key 'Picture_6'; expected Picture_1"),
        (lambda c: c["Picture_2"].update(Name=None), "wrong-name", "has Name None; expected '0001-586-1469_01.png'"),
        (
            lambda c: c["Picture_1"].update(Name="0001-586-1469.PNG"),
            "wrong-name",
            "'Picture_1' has another Name: '0001-586-1469.PNG' differs from '0001-586-1469.png' only in case",
        ),
        (lambda c: c["Picture_1"].update(File="01"), "wrong-file", "'Picture_1' has File '01'; expected 'original'"),
        (lambda c: c["Picture_2"].update(File=HUGE), "wrong-file", "...; expected '01'"),
        (lambda c: c["Picture_3"].update(Label="\ud800"), "unknown-label", "has label '\\ud800'; expected one of"),
        (lambda c: c["Picture_3"].update(Label=""), "empty-label", "'Picture_3' (02) has no label; expected one of"),
        (lambda c: c["Picture_1"].update(Label="Similar"), "label-on-original", "expected null, because it is the"),
        (lambda c: c.update(Picture_4="Positive"), "broken-json", "expected an object with Name, File and Label"),
    ],
)
def test_each_error_of_a_picture(change: Callable[[Content], object], kind: str, message: str) -> None:
    data = changed(change)
    assert checked(data)[1] == [(kind, "error")]
    with pytest.raises(AnnotationError) as error:
        parse_annotation(data, GROUP, "B", FOUR)
    assert message in str(error.value)


TEXT = json.dumps(official())


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"[]", "broken-json"),
        (TEXT.replace('"Label": "Similar"', '"Label": "Similar", "Label": "Negative"').encode(), "broken-json"),
        (TEXT.replace("42", "9" * 5000).encode(), "broken-json"),  # more digits than Python reads
        (b"[" * 100_000, "broken-json"),  # deeper than Python reads
        (TEXT.encode().replace(b"Similar", b"Sim\xfflar"), "wrong-encoding"),
    ],
    ids=["list", "label twice", "digits", "depth", "stray byte"],
)
def test_each_error_of_the_file(data: bytes, kind: str) -> None:
    assert checked(data) == (None, [(kind, "error")])


def test_a_repeated_key_among_many_is_found_quickly() -> None:
    pairs = ", ".join(f'"k{k}": 1' for k in [*range(50_000), 49_999])
    _, (problem,) = check_annotation(f"{{{pairs}}}".encode(), "x.json", GROUP, "B", FOUR)
    assert problem.message == "broken JSON: key 'k49999' occurs twice"


def test_a_byte_order_mark_is_ignored() -> None:
    assert checked(b"\xef\xbb\xbf" + TEXT.encode())[1] == []


@pytest.mark.parametrize(
    ("change", "is_start_known", "seconds"),
    [
        (lambda t: t.update(Start="2022-02-30 10:00:00"), False, 42.0),
        (lambda t: t.update(Start="0001-02-03 10:00:00"), False, 42.0),  # a clock that was reset
        (lambda t: t.update(Start=HUGE), False, 42.0),
        (lambda t: t.pop("End"), True, 42.0),
        (lambda t: t.update(End="2022-08-05 17:01:11"), False, 42.0),  # before the start: neither can be trusted
        (lambda t: t.update(Total=-1), True, None),
        (lambda t: t.update(Total=10**400), True, None),
        (lambda t: t.update(Total=99999), True, None),  # in the 43 s from Start to End
    ],
)
def test_an_impossible_time_is_a_warning_and_counts_as_unknown(
    change: Callable[[Content], object], is_start_known: bool, seconds: float | None
) -> None:
    annotation, kinds = checked(changed(lambda c: change(c["Time_cost"])))
    assert set(kinds) == {("impossible-time", "warning")}
    assert annotation is not None
    assert annotation.labels == (Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE, Label.POSITIVE)
    assert ((annotation.start is not None), annotation.seconds) == (is_start_known, seconds)


def test_missing_times_are_a_warning() -> None:
    annotation, kinds = checked(changed(lambda c: c.pop("Time_cost")))
    assert kinds == [("impossible-time", "warning")]
    assert annotation
    assert (annotation.start, annotation.end, annotation.seconds) == (None, None, None)


@pytest.mark.parametrize("total", [3643, 0])
def test_a_total_explained_by_pauses_or_a_clock_set_back_is_allowed(total: int) -> None:
    annotation, kinds = checked(changed(lambda c: c["Time_cost"].update(Total=total)))
    assert kinds == []
    assert annotation is not None
    assert annotation.seconds == total


def test_all_problems_of_a_file_are_reported_at_once() -> None:
    def spoil(content: Content) -> None:
        content["Picture_1"]["Label"] = "Similar"
        content["Picture_2"]["Label"] = "positve"
        content["Picture_3"]["Name"] = "x"
        del content["Picture_5"]
        content["Time_cost"]["Total"] = -3

    assert [kind for kind, _ in checked(changed(spoil))[1]] == [
        "label-on-original",
        "unknown-label",
        "wrong-name",
        "missing-picture",
        "impossible-time",
    ]
    with pytest.raises(AnnotationError) as error:
        parse_annotation(changed(spoil), GROUP, "B", FOUR)
    assert all(f"'Picture_{k}'" in str(error.value) for k in (1, 2, 3, 5))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [(key, field) for key, fields in official().items() for field in fields]


@settings(max_examples=30)
@given(st.sampled_from(FIELDS), st.booleans(), JSON)
def test_any_change_of_a_field_reads_as_before_or_is_one_problem_that_names_it(
    place: tuple[str, str], remove: bool, value: object
) -> None:
    key, field = place
    data = changed(lambda c: c[key].pop(field) if remove else c[key].update({field: value}))
    annotation, problems = check_annotation(data, PATH, GROUP, "B", FOUR)
    if problems:
        (problem,) = problems
        assert f"'{key}'" in problem.message
        assert field in problem.message or f"{key}' ends" in problem.message or "label" in problem.message
    else:
        assert annotation is not None


@settings(max_examples=30)
@given(st.binary(max_size=200), st.integers(0, len(TEXT)))
def test_a_damaged_file_never_fails_otherwise(data: bytes, start: int) -> None:
    checked(data)
    checked(TEXT.encode()[:start] + data + TEXT.encode()[start + len(data) :])
