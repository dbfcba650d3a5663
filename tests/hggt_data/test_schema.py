"""The nouns: patch names, labels, groups."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hggt_data.errors import NameFormatError
from hggt_data.problems import Problem
from hggt_data.schema import (
    Annotation,
    Label,
    PairVote,
    PatchGroup,
    PatchId,
    group_order,
    is_candidate,
    label_from_class_id,
    require_group_id,
    source_picture,
)

NUMBERS = st.integers(0, 999_999_999)
IMAGE_NAMES = st.text(st.characters(exclude_characters="/\\", exclude_categories=["Cc", "Cs"]), min_size=1)


@given(IMAGE_NAMES, NUMBERS, NUMBERS)
def test_a_formatted_patch_id_is_parsed_back_the_same(image: str, top: int, left: int) -> None:
    patch = PatchId(image, top, left)
    assert PatchId.parse(str(patch)) == patch


@given(st.lists(st.sampled_from(["a", "0", "12", "007", "-"]), max_size=9).map("".join))
def test_a_parsed_name_is_formatted_back_the_same(text: str) -> None:
    try:
        patch = PatchId.parse(text)
    except NameFormatError:
        return
    assert str(patch) == text


@pytest.mark.parametrize(
    ("text", "patch"),
    [
        ("0001-586-1469", PatchId("0001", 586, 1469)),
        ("a-1-2-3", PatchId("a-1", 2, 3)),
        ("-0-0-0", PatchId("-0", 0, 0)),
        ("Größe 3-0-1", PatchId("Größe 3", 0, 1)),
    ],
)
def test_the_last_two_numbers_are_row_and_column_and_the_rest_is_the_picture(text: str, patch: PatchId) -> None:
    assert PatchId.parse(text) == patch


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0001-586",
        "-586-1469",  # no picture
        "0001-0586-1469",
        "0001-586-1469\n",
        "00\x0001-586-1469",
        "0001-\uff11-1",  # a digit for Python's int, not for a file name
        "0001-586-1469_01",
        "a/b-1-2",
        "0001-1-10000000000",  # more rows than a picture, or an int32 column, can have
    ],
)
def test_another_name_is_refused_and_the_expected_form_is_given(text: str) -> None:
    with pytest.raises(NameFormatError, match="IMAGE-TOP-LEFT") as error:
        PatchId.parse(text)
    assert repr(text) in str(error.value)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize(
    ("stem", "folder", "image"),
    [
        ("0001", "", "0001"),
        ("my-photo-0-96", "original", "my-photo"),
        ("a-1-5-5", "", "a-1"),  # only one place
        ("0001T3", "", "0001"),
        ("0001T12_s001", "", "0001"),
        ("my_s001_s002", "", "my"),
        ("0001x4", "X4", "0001"),
        ("0001_x2-0-0_s001", "", "0001"),
        ("0001x4w3", "", "0001"),
        ("0001-586-1469_01", "01", "0001"),
        ("0001T0_s003_02", "02", "0001"),
        ("0001-586-1469_01", "gt", "0001"),  # as `export positives` writes it
        ("0001T1-0-96_s003_12x4", "", "0001"),
        ("0001-586-1469_01_s002", "", "0001"),
        ("holiday_01", "gt", "holiday_01"),
        ("holiday_01_s001", "01", "holiday"),
        ("holiday_01T0_s001", "01", "holiday"),
        ("holiday_01_02", "02", "holiday_01"),
        ("0001-586-1469_01_s001", "01", "0001"),
        ("IMG_20190101", "", "IMG_20190101"),
        ("IMG-20190101-123456", "", "IMG-20190101-123456"),  # no picture has so many rows
        ("2019-12-05", "", "2019-12-05"),
        ("sunset_s", "", "sunset_s"),
        ("_01", "01", "_01"),
        ("x4", "", "x4"),
        ("été.T3_s007", "", "été."),
        ("a\nT0", "", "a\n"),
    ],
)
def test_the_source_picture_of_a_file_name(stem: str, folder: str, image: str) -> None:
    assert source_picture(stem, folder) == image


def test_patches_sort_by_picture_then_row_then_column_as_numbers() -> None:
    names = ["b-0-0", "a-10-0", "a-9-100", "a-9-20", "a-1-5-5"]
    assert [str(patch) for patch in sorted(map(PatchId.parse, names))] == [
        "a-9-20",
        "a-9-100",
        "a-10-0",
        "a-1-5-5",
        "b-0-0",
    ]


def test_the_class_ids_are_positive_similar_negative() -> None:
    assert [(label.class_id, label.class_name) for label in Label] == [(0, "positive"), (1, "similar"), (2, "negative")]
    assert [label_from_class_id(label.class_id) for label in Label] == list(Label)
    assert label_from_class_id(None) is None


def test_a_group_names_its_positives_and_negatives() -> None:
    group = PatchGroup(
        id="a-0-0",
        image_name="a",
        top=0,
        left=0,
        candidates=("01", "02", "03", "04"),
        annotations=(),
        consensus=(Label.NEGATIVE, Label.POSITIVE, None, Label.POSITIVE),
        agreement=(2, 3, 0, 2),
        num_votes=(3, 3, 1, 3),
    )
    assert group.positives == ("02", "04")
    assert group.negatives == ("01",)
    assert pickle.loads(pickle.dumps(group)) == group


def test_a_problem_opens_with_its_place() -> None:
    assert str(Problem("k", "error", "labels/B/x.json", "is cut", "Restore it.")) == "labels/B/x.json: is cut"
    assert str(Problem("k", "error", "", "is cut", "Restore it.")) == "is cut"


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "a\\b", "two\nlines", "nul\0", "tab\t", "\ud800"])
def test_what_cannot_be_a_file_name_or_is_not_one_line_is_not_a_group_id(text: str) -> None:
    with pytest.raises(NameFormatError, match=r"is not a group id; expected one line of text without slashes"):
        require_group_id(text)


def test_groups_sort_by_picture_then_place_then_id_and_those_without_a_place_come_first() -> None:
    groups = [("c2", "b", 0, 163), ("c1", "b", 0, 27), ("z", "a", None, None), ("whole", "b", None, None)]
    assert [group[0] for group in sorted(groups, key=lambda group: group_order(*group))] == ["z", "whole", "c1", "c2"]


@pytest.mark.parametrize(
    ("name", "fits"),
    [("01", True), ("SwinIR-L_x4+.b", True), ("a" * 65, False), ("Original", False), ("LR", False), ("a/b", False)],
)
def test_names_of_candidates(name: str, fits: bool) -> None:
    assert is_candidate(name) == fits


def test_only_votes_of_people_count() -> None:
    assert Annotation("A", ()).counts
    assert not Annotation("A", (), kind="gold").counts
    assert not PairVote("01", "02", "tie", annotator_kind="model").counts
