"""The nouns: patch names, labels, groups."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hggt_data.errors import NameFormatError
from hggt_data.problems import Problem
from hggt_data.schema import Label, PatchGroup, PatchId, label_from_class_id, source_picture

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
        PatchId("a", 0, 0),
        ("01", "02", "03", "04"),
        (),
        (Label.NEGATIVE, Label.POSITIVE, None, Label.POSITIVE),
        (2, 3, 0, 2),
        (3, 3, 1, 3),
    )
    assert group.positives == ("02", "04")
    assert group.negatives == ("01",)
    assert pickle.loads(pickle.dumps(group)) == group


def test_a_problem_opens_with_its_place() -> None:
    assert str(Problem("k", "error", "labels/B/x.json", "is cut", "Restore it.")) == "labels/B/x.json: is cut"
    assert str(Problem("k", "error", "", "is cut", "Restore it.")) == "is cut"
